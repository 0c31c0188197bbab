//! The socket that dockerd calls: Docker's MetricsCollector API, answered from memory on an OS thread of its own.
//!
//! Owns the API socket and its connections. Hands on what dockerd wants through [`Control`]. Never knows the network, the disk or how a scrape
//! goes: it shares memory alone with the rest, because dockerd calls StartMetrics at boot without a time-out, and an answer that waits freezes
//! the whole engine (9.5 minutes were measured; docker-plugin 4).

mod api;
mod door;
mod patience;
mod server;
mod socket;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use tokio::net::UnixListener;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

use self::api::Api;
use self::socket::Socket;
use crate::collector::Control;

pub use self::socket::BindError;

/// The name under which dockerd dials: `interface.socket` of both manifests.
pub const SOCKET_NAME: &str = "remote-write.sock";

/// Where the socket lies inside a plugin: `/run/docker/plugins/` is the host's `/run/docker/plugins/<plugin id>/`.
pub const SOCKET_PATH: &str = "/run/docker/plugins/remote-write.sock";

/// Why nothing can be scraped, once that is known (bad settings): from then on StartMetrics answers 500 with these words, which dockerd logs. Clones
/// share the reason.
#[derive(Clone, Debug, Default)]
pub struct Fault(Arc<OnceLock<String>>);

impl Fault {
    /// Sets the reason. The first one stays; returns whether this was it.
    pub fn set(&self, reason: impl Into<String>) -> bool {
        self.0.set(reason.into()).is_ok()
    }

    /// The reason, if there is one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// The running API. Dropping it leaves the thread to its cancellation token.
#[derive(Debug)]
pub struct ApiThread {
    thread: JoinHandle<()>,
}

/// Binds `path` and answers there, on a thread of its own, until `cancel`. When this returns, dockerd's probe finds the socket.
///
/// The socket has mode 0600, and who is neither root nor of our own uid is not answered whatever mode it is given. Its directory is made if it is missing; a socket that a dead process left behind is replaced.
///
/// # Errors
/// [`BindError`], which names the path: nothing runs then.
pub fn serve(
    path: &Path,
    control: Control,
    fault: Fault,
    cancel: CancellationToken,
) -> Result<ApiThread, BindError> {
    BoundApi::bind(path)?.serve(control, fault, cancel, || ())
}

/// The API's socket before anybody answers there: who dials meanwhile is kept waiting by the kernel, not refused.
#[derive(Debug)]
pub struct BoundApi {
    path: PathBuf,
    socket: Socket,
}

impl BoundApi {
    /// The first half of [`serve`].
    ///
    /// # Errors
    /// [`BindError`], which names the path.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        Ok(Self { path: path.to_owned(), socket: Socket::bind(path)? })
    }

    /// The second half of [`serve`]; the thread calls `first` before it answers anybody.
    ///
    /// # Errors
    /// When there is no thread or runtime to be had.
    pub fn serve(
        self,
        control: Control,
        fault: Fault,
        cancel: CancellationToken,
        first: impl FnOnce() + Send + 'static,
    ) -> Result<ApiThread, BindError> {
        let Self { path, socket } = self;
        let failed = |source: io::Error| BindError::Thread { path: path.clone(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = {
            let _context = runtime.enter();
            UnixListener::from_std(socket.listener().map_err(failed)?).map_err(failed)?
        };
        let thread = thread::Builder::new()
            .name("plugin-api".to_owned())
            .spawn(move || {
                first();
                LocalSet::new()
                    .block_on(&runtime, server::run(listener, socket, Api::new(control, fault), cancel));
            })
            .map_err(failed)?;
        Ok(ApiThread { thread })
    }
}

impl ApiThread {
    /// Waits for the end of the thread, which comes within about a second after its token was cancelled. The socket file is gone then.
    pub fn join(self) {
        if self.thread.join().is_err() {
            error!("the thread that answers dockerd has panicked");
        }
    }
}
