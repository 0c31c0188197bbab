//! SIGTERM and SIGINT to one cancellation. As PID 1 of a plugin we get no signal that we do not ask for.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Cancels `shutdown` at the first of the signals. Must be called inside the runtime; the handlers are in place when it returns.
///
/// # Errors
/// When the system takes no handler.
pub(super) fn cancel_on_signal(shutdown: CancellationToken) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            () = shutdown.cancelled() => return,
        };
        info!(signal = name, "shutting down");
        shutdown.cancel();
    });
    Ok(())
}
