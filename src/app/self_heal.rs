//! Ends the plugin's process when its metrics socket is dead for ever, so that dockerd starts a fresh one with a fresh mount.
//!
//! The note of the last such exit is `state/stale-socket-exit` in `QUEUE_DIR`.

use std::io;

use tracing::warn;

use super::exit_note::ExitNote;
use crate::collector::{LONGEST_PAUSE, SocketWatch};

/// The note's name.
pub(super) const NOTE: &str = "stale-socket-exit";
/// Returns when this process should end, and the note of it is written. May be dropped at any time.
pub(super) async fn until_hopeless(mut watch: SocketWatch, mut note: ExitNote) {
    loop {
        watch.until_dead().await;
        match note.write(watch.exit_now()).await {
            Ok(()) => break,
            // Without a note, an exit in so long a time is no loop either; a disk that hangs would keep this process from ending.
            Err(error) if error.kind() != io::ErrorKind::TimedOut && watch.uptime() >= LONGEST_PAUSE => {
                warn!(%error, "no note of this exit can be kept in QUEUE_DIR");
                break;
            }
            Err(error) => watch.put_off(&format!("no note of the exit can be kept in QUEUE_DIR: {error}")),
        }
    }
    warn!(
        "the metrics socket is dead: the engine came back, and this plugin still has the old one; ending, so that dockerd starts a new process \
         with the new socket (what is queued stays)"
    );
}
