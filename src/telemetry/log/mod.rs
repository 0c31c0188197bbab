//! Logs: one event is one short line, handed through a bounded queue to a thread that alone knows the output.
//!
//! Whoever logs never waits: dockerd reads our stdout through a pipe that blocks after about 120 KB while a live-restore daemon is down,
//! and a line over 64 KiB ends the stream for good (docker-plugin 9). So a line is at most [`MAX_LINE_BYTES`], a full queue drops
//! and counts, and what was dropped is said as soon as lines flow again. The same message more than ten times in ten seconds becomes one line
//! with a count.

mod clock;
mod layer;
mod line;
mod options;
mod panic;
mod queue;
mod storm;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;

use self::queue::Lines;

pub use self::clock::Rfc3339;
pub use self::layer::LogLayer;
pub use self::line::MAX_LINE_BYTES;
pub use self::options::{Format, Level, LogConfig, UnknownWord};
pub use self::panic::install_panic_hook;
pub use self::queue::Counters;

/// The process's queue, for the panic hook: it has no other way to be handed one.
static PROCESS: OnceLock<Arc<Lines>> = OnceLock::new();

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system gives no thread.
    #[error("cannot start the log writer's thread: {0}")]
    Thread(#[source] io::Error),
    /// [`init`] was called before, or somebody else's subscriber is there.
    #[error("the process has a log writer already")]
    Taken,
}

/// The log writer, seen from outside. Clones are the same writer; when the last one goes, what is queued is still written and the thread ends.
#[derive(Clone, Debug)]
pub struct LogWriter {
    owner: Arc<Owner>,
}

#[derive(Debug)]
struct Owner(Arc<Lines>);

/// Starts the writer's thread on `output` and takes the process's tracing events. For the whole process, once.
///
/// # Errors
/// [`LogError`] when there is no thread to be had or when the process logs already.
pub fn init(config: LogConfig, output: impl Write + Send + 'static) -> Result<LogWriter, LogError> {
    let (layer, writer) = start(config, output)?;
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))
        .map_err(|_| LogError::Taken)?;
    PROCESS.set(Arc::clone(&writer.owner.0)).map_err(|_| LogError::Taken)?;
    Ok(writer)
}

/// The same writer without the claim on the whole process: the caller installs the layer.
///
/// # Errors
/// [`LogError::Thread`].
pub fn start(
    config: LogConfig,
    output: impl Write + Send + 'static,
) -> Result<(LogLayer, LogWriter), LogError> {
    let lines = Arc::new(Lines::new(config.format));
    Lines::spawn(&lines, output).map_err(LogError::Thread)?;
    let writer = LogWriter { owner: Arc::new(Owner(Arc::clone(&lines))) };
    Ok((LogLayer::new(config, lines), writer))
}

/// Standard output without the standard library's lock and buffer, so that a write that blocks blocks nobody but the log writer.
///
/// # Errors
/// When the descriptor is closed or cannot be doubled.
pub fn stdout() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

impl LogWriter {
    /// Waits until every line so far is written, at most `limit`. Returns whether that is so.
    pub fn flush(&self, limit: Duration) -> bool {
        self.owner.0.flush(limit)
    }

    /// What happened to the lines so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.owner.0.counters()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}
