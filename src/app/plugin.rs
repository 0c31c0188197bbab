//! The face `plugin`: dockerd's plugin API first, everything else behind it.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::run::start_log;
use super::{App, confine, signals};
use crate::collector::{self, Commands};
use crate::config::{Config, Loaded, Mode, Problems, Strings, log_from_env, sandbox_from_env};
use crate::plugin::{Bound, Fault, Pages};
use crate::sandbox::{self, Report};
use crate::telemetry::Address;
use crate::telemetry::log::{self, LogWriter};

/// How often a plugin that cannot work says why.
const REMIND_EVERY: Duration = Duration::from_secs(300);
/// A queue of 256 MiB opens within a second; the wait for a dying predecessor's lock takes 5 s at most.
const SLOW_OPEN: Duration = Duration::from_secs(6);

/// Serves dockerd on `socket` until SIGTERM. The socket is bound before anything else is looked at: dockerd gives up after 9.5 s, and
/// then leaves the plugin disabled.
#[must_use]
pub fn run(socket: &Path, env: &impl Strings) -> ExitCode {
    let (control, commands) = collector::control();
    let fault = Fault::default();
    let shutdown = CancellationToken::new();
    sandbox::keep_files_private();
    let bound = Bound::bind(&Address::Unix(socket.to_owned()));
    // Before the first thread: each has its own, and inherits.
    let privileges = sandbox_from_env(env).then(sandbox::drop_privileges);
    let api = bound.and_then(|bound| {
        let needs = privileges.is_some().then(|| confine::api_needs(socket));
        // Of its own, because ours waits for the disk. What it lacks is what ours lacks.
        let first = move || drop(needs.as_ref().map(sandbox::confine));
        bound.serve_api(control, fault.clone(), shutdown.clone(), first)
    });

    let loaded = Config::from_env(Mode::Plugin, env);
    let config = loaded.as_ref().ok().map(|loaded| &loaded.config);
    let mut prepared = confine::confine(config, Some(socket), privileges);
    let log = match &loaded {
        Ok(loaded) => start_log(loaded),
        Err(_) => start_bare_log(env),
    };
    let Ok(log) = log else { return ExitCode::FAILURE };
    prepared.log();
    let code = match api {
        Ok(api) => {
            // Bound before there was a log to say it in.
            info!(socket = %socket.display(), "answering dockerd's calls");
            let served = prepared.serve_pages();
            let faces = (&prepared.report, &served.pages);
            let code = serve(loaded, commands, &fault, &log, &shutdown, faces);
            shutdown.cancel();
            served.end();
            api.join();
            code
        }
        Err(error) => {
            error!(%error, "cannot serve dockerd");
            ExitCode::FAILURE
        }
    };
    log.flush(Duration::from_millis(500));
    code
}

/// With bad settings the log's own may still be good.
fn start_bare_log(env: &impl Strings) -> Result<LogWriter, Box<dyn std::error::Error>> {
    let log = log::init(log_from_env(env), log::stdout()?)?;
    log::install_panic_hook();
    Ok(log)
}

fn serve(
    loaded: Result<Loaded, Problems>,
    commands: Commands,
    fault: &Fault,
    log: &LogWriter,
    shutdown: &CancellationToken,
    (sandbox, pages): (&Report, &Pages),
) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "cannot start the main runtime");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        if let Err(error) = signals::cancel_on_signal(shutdown.clone()) {
            warn!(%error, "no handler for SIGTERM: dockerd will have to kill this process");
        }
        match loaded {
            Ok(loaded) => forward(loaded.config, commands, fault, log, shutdown, (sandbox, pages)).await,
            Err(problems) => stay_with(&problems, fault, shutdown).await,
        }
    });
    // A name that is still being resolved, or a frozen disk, must not hold up the exit.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ExitCode::SUCCESS
}

async fn forward(
    config: Config,
    commands: Commands,
    fault: &Fault,
    log: &LogWriter,
    shutdown: &CancellationToken,
    (sandbox, pages): (&Report, &Pages),
) {
    let log = log.clone();
    // On a thread of its own: opening the queue waits for the disk, and SIGTERM must not.
    let building = tokio::task::spawn_blocking(move || App::build(config, Some(log)).map(App::self_healing));
    let built = tokio::select! {
        built = building => built,
        never = complain_when_late() => match never {},
        () = shutdown.cancelled() => {
            warn!("stopped before the queue was open");
            return;
        }
    };
    let outcome = match built {
        Ok(Ok(app)) => {
            app.sandboxed(sandbox).shown_on(pages.clone()).run(commands, shutdown.clone()).await.map(|_| ())
        }
        Ok(Err(error)) => Err(error),
        Err(panicked) => {
            error!(%panicked, "building failed");
            return;
        }
    };
    if let Err(error) = outcome {
        remind(&error.to_string(), fault, shutdown).await;
    }
}

/// Never ends. dockerd's calls are answered meanwhile, but nobody scrapes: that must not look like health.
async fn complain_when_late() -> std::convert::Infallible {
    let mut waited = Duration::ZERO;
    loop {
        let pause = if waited.is_zero() { SLOW_OPEN } else { REMIND_EVERY };
        tokio::time::sleep(pause).await;
        waited += pause;
        warn!(
            ?waited,
            "the queue is still being opened: the disk does not answer, or another process holds the directory; nothing is scraped until then"
        );
    }
}

async fn stay_with(problems: &Problems, fault: &Fault, shutdown: &CancellationToken) {
    for problem in problems.as_slice() {
        error!("{problem}");
    }
    remind(&problems.one_line(), fault, shutdown).await;
}

/// Ending would help nobody: dockerd starts a plugin that exits again at once, without pause or limit. So the plugin stays, StartMetrics
/// answers with the reason, and the log repeats it.
async fn remind(reason: &str, fault: &Fault, shutdown: &CancellationToken) {
    fault.set(reason);
    loop {
        error!(
            reason,
            "nothing is scraped or sent; mend it with: docker plugin disable, docker plugin set, docker plugin enable"
        );
        tokio::select! {
            () = tokio::time::sleep(REMIND_EVERY) => {}
            () = shutdown.cancelled() => {
                info!("stopped");
                return;
            }
        }
    }
}
