//! The process that is watched: the rooms of `run`, with an interval that settings do not allow.

use std::process::ExitCode;
use std::time::Duration;

use docker_remote_write::app::App;
use docker_remote_write::collector;
use docker_remote_write::config::{Config, Environment, Mode};
use docker_remote_write::telemetry::log;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Makes this program the forwarder.
pub(crate) const ARGUMENT: &str = "--forwarder";

pub(crate) const INTERVAL: Duration = Duration::from_millis(50);

pub(crate) fn run() -> ExitCode {
    match forward() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("forwarder: {error}");
            ExitCode::FAILURE
        }
    }
}

fn forward() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::from_env(Mode::Run, &Environment)?.config;
    config.scrape.interval = INTERVAL;
    config.scrape.timeout = INTERVAL;
    let log = log::init(config.log, log::stdout()?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let app = App::build(config, Some(log.clone()))?;
    let (control, commands) = collector::control();
    control.start();
    let shutdown = CancellationToken::new();
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let ended = shutdown.clone();
        tokio::spawn(async move {
            terminate.recv().await;
            ended.cancel();
        });
        app.run(commands, shutdown).await?;
        Ok::<(), Box<dyn std::error::Error>>(())
    })?;
    runtime.shutdown_timeout(Duration::from_millis(100));
    log.flush(Duration::from_millis(500));
    Ok(())
}
