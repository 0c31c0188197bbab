//! The face `plugin`: dockerd's plugin API first, everything else behind it.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::run::{EXIT_PANIC, say_start, start_log};
use super::{App, Ended, confine, signals};
use crate::collector::{self, Commands, Control, FIRST_PAUSE};
use crate::config::{Config, Loaded, Mode, Problems, Strings, log_from_env, sandbox_from_env};
use crate::plugin::{ApiThread, BindError, Bound, Fault, Pages};
use crate::sandbox::{self, Report};
use crate::telemetry::Address;
use crate::telemetry::log::{self, LogConfig, LogWriter};

/// How often a plugin that cannot work says why.
const REMIND_EVERY: Duration = Duration::from_secs(300);
/// A queue of 256 MiB opens within a second; the wait for a dying predecessor's lock takes 5 s at most.
const SLOW_OPEN: Duration = Duration::from_secs(6);
/// Between two tries for what the system has refused. dockerd looks for the API socket for 9.5 s.
const RETRY: Duration = Duration::from_millis(500);
/// An end that nobody ordered, and of which no note is kept, comes at this age: dockerd starts the plugin again at once, without pause or limit, and not
/// any more if it dies within 0.5 s.
const LEAST_AGE: Duration = FIRST_PAUSE;

type Settings = Result<Loaded, Problems>;

/// Serves dockerd on `socket` until SIGTERM. The socket is bound before anything else is looked at: dockerd gives up after 9.5 s, and
/// then leaves the plugin disabled.
#[must_use]
pub fn run(socket: &Path, env: &impl Strings) -> ExitCode {
    let born = Instant::now();
    log::install_panic_hook();
    not_before(born + LEAST_AGE, || serve(socket, env, born))
}

/// What panics here does so outside of everything that is told apart further in: in the few steps from one part to the next. The threads
/// that there are go on until `at`.
fn not_before(at: Instant, work: impl FnOnce() -> ExitCode) -> ExitCode {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        ExitCode::from(EXIT_PANIC)
    })
}

fn serve(socket: &Path, env: &impl Strings, born: Instant) -> ExitCode {
    let (control, commands) = collector::control();
    sandbox::keep_files_private();
    let mut process = Process {
        socket,
        born,
        control,
        fault: Fault::default(),
        shutdown: CancellationToken::new(),
        sandboxed: false,
    };
    let bound = process.bind();
    // Before the first thread: each has its own, and inherits.
    let wanted = catch_unwind(AssertUnwindSafe(|| sandbox_from_env(env))).unwrap_or(true);
    let privileges = wanted.then(sandbox::drop_privileges);
    process.sandboxed = privileges.is_some();
    let mut api = bound.and_then(|bound| process.serve(bound));

    // The same text would make the next process panic too.
    let settings = catch_unwind(AssertUnwindSafe(|| Config::from_env(Mode::Plugin, env)));
    let config = settings.as_ref().ok().and_then(|settings| settings.as_ref().ok());
    let mut prepared =
        confine::confine(config.map(|loaded| &loaded.config), Some(socket), api.is_ok(), privileges);
    let log = match &settings {
        Ok(Ok(loaded)) => start_log(loaded),
        Ok(Err(_)) => start_bare_log(log_from_env(env)),
        Err(_) => start_bare_log(LogConfig::default()),
    };
    let settings =
        settings.map_err(|_| "reading the settings panicked: a bug, whose place is in the daemon's log");
    let served = match &log {
        Ok(_) => {
            prepared.log();
            prepared.serve_pages()
        }
        Err(_) => confine::PagesThread::default(),
    };
    let code = match process.runtime() {
        Some(runtime) => {
            let faces = (&prepared.report, &served.pages);
            let live = || runtime.block_on(process.live(&mut api, settings, commands, &log, faces));
            let code = catch_unwind(AssertUnwindSafe(live)).unwrap_or_else(|_| {
                let code = ExitCode::from(EXIT_PANIC);
                let dying =
                    process.linger("the main thread has panicked: a bug, whose place is in the log", code);
                // Whatever happens now, it is the end.
                catch_unwind(AssertUnwindSafe(|| runtime.block_on(dying))).unwrap_or(code)
            });
            // A name that is still being resolved, or a frozen disk, must not hold up the exit.
            runtime.shutdown_timeout(Duration::from_millis(100));
            code
        }
        None => ExitCode::FAILURE,
    };
    process.shutdown.cancel();
    served.end();
    if let Ok(api) = api {
        api.join();
    }
    if let Ok(log) = log {
        log.flush(Duration::from_millis(500));
    }
    code
}

/// With bad settings the log's own may still be good.
fn start_bare_log(config: LogConfig) -> Result<LogWriter, Box<dyn std::error::Error>> {
    let log = log::init(config, log::stdout()?)?;
    say_start();
    Ok(log)
}

/// What is there whatever else fails.
struct Process<'a> {
    socket: &'a Path,
    born: Instant,
    control: Control,
    fault: Fault,
    shutdown: CancellationToken,
    /// Whether its threads are to be confined.
    sandboxed: bool,
}

impl Process<'_> {
    fn bind(&self) -> Result<Bound, BindError> {
        Bound::bind(&Address::Unix(self.socket.to_owned()))
    }

    fn serve(&self, bound: Bound) -> Result<ApiThread, BindError> {
        let needs = self.sandboxed.then(|| confine::api_needs(self.socket));
        // Of its own, because ours waits for the disk. What it lacks is what ours lacks.
        let first = move || drop(needs.as_ref().map(sandbox::confine));
        bound.serve_api(self.control.clone(), self.fault.clone(), self.shutdown.clone(), first)
    }

    /// The main runtime; none if the system gives none for [`LEAST_AGE`]. Without it there is no handler for SIGTERM: dockerd kills after 10 s.
    fn runtime(&self) -> Option<Runtime> {
        loop {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => return Some(runtime),
                Err(error) => error!(%error, "cannot start the main runtime; trying again every 500 ms"),
            }
            if self.born.elapsed() >= LEAST_AGE {
                return None;
            }
            thread::sleep(RETRY);
        }
    }

    async fn live(
        &self,
        api: &mut Result<ApiThread, BindError>,
        settings: Result<Settings, &'static str>,
        commands: Commands,
        log: &Result<LogWriter, Box<dyn std::error::Error>>,
        faces: (&Report, &Pages),
    ) -> ExitCode {
        if let Err(error) = signals::cancel_on_signal(self.shutdown.clone()) {
            warn!(%error, "no handler for SIGTERM: dockerd will have to kill this process");
        }
        let log = match log {
            Ok(log) => log,
            Err(error) => {
                // There is no other way to say it, and it is one line.
                let _ =
                    writeln!(std::io::stderr(), "no log: {error}; this process ends when it is a minute old");
                return self.linger(&format!("no log: {error}"), ExitCode::FAILURE).await;
            }
        };
        if !self.is_served(api).await {
            return if self.shutdown.is_cancelled() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        // Bound before there was a log to say it in.
        info!(socket = %self.socket.display(), "answering dockerd's calls");
        match settings {
            Ok(Ok(loaded)) => self.forward(loaded.config, commands, log, faces).await,
            Ok(Err(problems)) => {
                for problem in problems.as_slice() {
                    error!("{problem}");
                }
                self.remind(&problems.one_line()).await
            }
            Err(panicked) => self.remind(panicked).await,
        }
    }

    /// Binds the socket if that has failed, again and again: to end for it would help nobody sooner, and dockerd ends a plugin that it cannot reach
    /// for 12.5 s. `false` when it is time to go.
    async fn is_served(&self, api: &mut Result<ApiThread, BindError>) -> bool {
        let mut said = false;
        while let Err(error) = api {
            if !said {
                error!(%error, "cannot serve dockerd; trying again every 500 ms");
                said = true;
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = self.shutdown.cancelled() => return false,
            }
            if self.born.elapsed() >= LEAST_AGE {
                error!(%error, "cannot serve dockerd; ending");
                return false;
            }
            *api = self.bind().and_then(|bound| self.serve(bound));
        }
        true
    }

    async fn forward(
        &self,
        config: Config,
        commands: Commands,
        log: &LogWriter,
        (sandbox, pages): (&Report, &Pages),
    ) -> ExitCode {
        let (log, born, fault) = (log.clone(), self.born, self.fault.clone());
        // On a thread of its own: opening the queue waits for the disk, and SIGTERM must not.
        let building = tokio::task::spawn_blocking(move || {
            App::build(config, Some(log)).map(|app| app.self_healing(born, fault))
        });
        let built = tokio::select! {
            built = building => built,
            never = complain_when_late() => match never {},
            () = self.shutdown.cancelled() => {
                warn!("stopped before the queue was open");
                return ExitCode::SUCCESS;
            }
        };
        let ended = match built {
            // A token of its own: the API answers until the queue is closed.
            Ok(Ok(app)) => {
                let app = app.sandboxed(sandbox).shown_on(pages.clone());
                app.run(commands, self.shutdown.child_token()).await
            }
            Ok(Err(error)) => Err(error),
            Err(error) => {
                let reason = format!("building the parts has failed: {error}");
                return self.linger(&reason, ExitCode::from(EXIT_PANIC)).await;
            }
        };
        match ended {
            Ok(Ended { crashed: None, .. }) => ExitCode::SUCCESS,
            Ok(Ended { crashed: Some(_), .. }) => ExitCode::from(EXIT_PANIC),
            Err(error) => self.remind(&error.to_string()).await,
        }
    }

    /// Ending would help nobody: dockerd starts a plugin that exits again at once, without pause or limit. So the plugin stays, StartMetrics
    /// answers with the reason, and the log repeats it.
    async fn remind(&self, reason: &str) -> ExitCode {
        self.fault.set(reason);
        loop {
            error!(
                reason,
                "nothing is scraped or sent; mend it with: docker plugin disable, docker plugin set, docker plugin enable"
            );
            tokio::select! {
                () = tokio::time::sleep(REMIND_EVERY) => {}
                () = self.shutdown.cancelled() => {
                    info!("stopped");
                    return ExitCode::SUCCESS;
                }
            }
        }
    }

    /// A new process may do better, but not at once: this one stays, and StartMetrics answers with the reason, until it is [`LEAST_AGE`] old, for an end with
    /// `code`, or told to end, which is a good end.
    async fn linger(&self, reason: &str, code: ExitCode) -> ExitCode {
        self.fault.set(reason);
        let rest = LEAST_AGE.saturating_sub(self.born.elapsed());
        error!(reason, ends_in = ?rest, "nothing is scraped or sent; this process ends, so that a new one is started");
        tokio::select! {
            () = tokio::time::sleep(rest) => code,
            () = self.shutdown.cancelled() => ExitCode::SUCCESS,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_outside_of_every_part_ends_the_process_with_its_own_code_and_no_earlier_than_it_may() {
        let at = Instant::now() + Duration::from_millis(50);
        let code = not_before(at, || panic!("as it was told"));
        assert_eq!(code, ExitCode::from(EXIT_PANIC));
        assert!(Instant::now() >= at);
        assert_eq!(not_before(at, || ExitCode::SUCCESS), ExitCode::SUCCESS);
    }
}
