//! The face `demo`.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};

use super::engine::{Engine, Source};
use super::script::{DemoError, play};
use super::stage::Directory;
use super::summary::summary;
use super::tamper::{Break, tamper};
use super::view::View;
use crate::receiver::{Options, Receiver, Speaks};

/// Where a real engine listens.
const ENGINE_SOCKET: &str = "/run/docker/metrics.sock";

/// Arguments of `demo`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Scrape the metrics socket of a real engine instead of the stand-in (needs the right to read it, so mostly root)
    #[arg(long, value_name = "SOCKET", num_args = 0..=1, default_missing_value = ENGINE_SOCKET)]
    pub engine: Option<PathBuf>,
    /// Show the plugin's own log on standard error
    #[arg(long)]
    pub log: bool,
    /// Break the pipe on purpose: the demo must notice and exit 1
    #[arg(long = "break", value_name = "HOW", value_enum, hide = true)]
    pub break_pipe: Option<Break>,
}

/// Plays the demo on standard output. Exit code 0 where everything that was served arrived, 1 otherwise.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start: {error}")),
    };
    let code = runtime.block_on(async {
        let interrupted = interrupted();
        tokio::select! {
            biased;
            () = interrupted => failed("interrupted"),
            code = demo(args) => code,
        }
    });
    // Interrupted while the program was ending: nobody waits for its threads.
    runtime.shutdown_background();
    code
}

async fn demo(args: &Args) -> ExitCode {
    let stdout = io::stdout();
    let terminal = stdout.is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
    let mut view = View::new(stdout, terminal);
    let source = match source(args, &mut view).await {
        Ok(source) => source,
        Err(error) => return failed(&error),
    };
    let receiver = Receiver::new(Options { tamper: args.break_pipe.map(tamper), ..Options::default() });
    if args.break_pipe.is_some() {
        // What breaks the pipe reads 1.0.
        receiver.speak(Speaks::V1);
    }
    let directory = match Directory::new() {
        Ok(directory) => directory,
        Err(error) => return failed(&error.to_string()),
    };
    match play(&mut view, &directory, Engine::new(source), receiver.clone(), args.log).await {
        Ok((report, outage)) => {
            view.lines(&receiver.read(|state| summary(&report, outage, state)));
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            view.lines("");
            failed(&told(&error, &receiver))
        }
    }
}

/// What is scraped; says so.
async fn source<W: Write>(args: &Args, view: &mut View<W>) -> Result<Source, String> {
    view.lines("docker-remote-write demo: the whole way of an engine's metrics, on this machine alone\n\n");
    let Some(socket) = &args.engine else {
        view.phase("engine: a stand-in, with recorded metrics of Docker 20.10.24 whose values move");
        return Ok(Source::Recording(Box::default()));
    };
    match UnixStream::connect(socket).await {
        Ok(_) => {
            view.phase(&format!("engine: the real one behind {}", socket.display()));
            Ok(Source::Engine(socket.clone()))
        }
        Err(error) => Err(format!(
            "cannot connect to {}: {error}; the stand-in engine needs no rights: leave --engine out",
            socket.display()
        )),
    }
}

fn told(error: &DemoError, receiver: &Receiver) -> String {
    let violations =
        receiver.read(|state| state.violations.iter().take(3).map(ToString::to_string).collect::<Vec<_>>());
    if violations.is_empty() {
        error.to_string()
    } else {
        format!("{error}; the receiver saw: {}", violations.join("; "))
    }
}

async fn interrupted() {
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // Without handlers the signals end the process at once; the directory stays behind.
        (Ok(_) | Err(_), _) => std::future::pending().await,
    }
}

fn failed(what: &str) -> ExitCode {
    // Nobody is left to tell when standard error is closed too.
    let _ = writeln!(io::stderr(), "demo: {what}");
    ExitCode::FAILURE
}
