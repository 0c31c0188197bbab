//! The face `run`: the forwarder without dockerd, scraping from its start to its end.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{App, Ended, confine, signals};
use crate::collector;
use crate::config::{Config, Loaded, Mode, Strings};
use crate::plugin::Pages;
use crate::sandbox::{self, Report};
use crate::telemetry::log::{self, LogWriter};

/// `EX_CONFIG` of sysexits.h: the settings must be mended, starting again will not help.
pub const EXIT_CONFIG: u8 = 78;

/// `EX_SOFTWARE` of sysexits.h: something has panicked.
pub const EXIT_PANIC: u8 = 70;

/// Runs until SIGTERM or SIGINT.
#[must_use]
pub fn run(env: &impl Strings) -> ExitCode {
    log::install_panic_hook();
    let loaded = match Config::from_env(Mode::Run, env) {
        Ok(loaded) => loaded,
        Err(problems) => {
            let _ = writeln!(std::io::stderr(), "{problems}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    sandbox::keep_files_private();
    let privileges = loaded.config.sandbox.then(sandbox::drop_privileges);
    let mut prepared = confine::confine(Some(&loaded.config), None, true, privileges);
    let log = match start_log(&loaded) {
        Ok(log) => log,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            return ExitCode::FAILURE;
        }
    };
    prepared.log();
    let served = prepared.serve_pages();
    let code = match forward(loaded.config, log.clone(), &prepared.report, &served.pages) {
        Ok(Ended { crashed: None, .. }) => ExitCode::SUCCESS,
        Ok(Ended { crashed: Some(_), .. }) => ExitCode::from(EXIT_PANIC),
        Err(error) => {
            error!(%error, "cannot start");
            ExitCode::FAILURE
        }
    };
    served.end();
    log.flush(Duration::from_millis(500));
    code
}

/// Starts the log and says the settings' warnings.
pub(super) fn start_log(loaded: &Loaded) -> Result<LogWriter, Box<dyn std::error::Error>> {
    let log = log::init(loaded.config.log, log::stdout()?)?;
    say_start();
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    Ok(log)
}

pub(super) fn say_start() {
    let version = env!("CARGO_PKG_VERSION");
    info!(version, revision = env!("REVISION"), "docker-remote-write starts");
}

fn forward(
    config: Config,
    log: LogWriter,
    sandbox: &Report,
    pages: &Pages,
) -> Result<Ended, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shutdown = CancellationToken::new();
    let app = App::build(config, Some(log))?.sandboxed(sandbox).shown_on(pages.clone());
    let (control, commands) = collector::control();
    control.start();
    let forwarded = runtime.block_on(async {
        signals::cancel_on_signal(shutdown.clone())?;
        app.run(commands, shutdown).await.map_err(Box::<dyn std::error::Error>::from)
    });
    // A name that is still being resolved must not hold up the exit.
    runtime.shutdown_timeout(Duration::from_millis(100));
    forwarded
}
