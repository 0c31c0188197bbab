//! The sockets that others call, each answered from memory on an OS thread of its own: Docker's MetricsCollector API, and our own pages.
//!
//! Owns the sockets and their connections. Hands on what dockerd wants through [`Control`]. Never knows the network, the disk or how a scrape
//! goes: it shares memory alone with the rest, because dockerd calls StartMetrics at boot without a time-out, and an answer that waits freezes
//! the whole engine (9.5 minutes were measured; docker-plugin 4).

mod api;
mod door;
mod pages;
mod patience;
mod server;
mod socket;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use tokio::net::{TcpListener, UnixListener};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

use self::api::Api;
use self::server::{Answer, Listener};
use self::socket::Socket;
use crate::collector::Control;
use crate::telemetry::Address;

pub use self::pages::{Content, Pages};
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

/// A running server. Dropping it leaves the thread to its cancellation token.
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
    Bound::bind(&Address::Unix(path.to_owned()))?.serve_api(control, fault, cancel, || ())
}

/// A socket before anybody answers there: who dials meanwhile is kept waiting by the kernel, not refused.
#[derive(Debug)]
pub struct Bound {
    address: Address,
    listening: Listening,
}

#[derive(Debug)]
enum Listening {
    Unix(Socket),
    Tcp(std::net::TcpListener),
}

impl Bound {
    /// The first half of [`serve`], which is for the socket of dockerd's API; also for our own pages.
    ///
    /// # Errors
    /// [`BindError`], which names the address.
    pub fn bind(address: &Address) -> Result<Self, BindError> {
        let listening = match address {
            Address::Unix(path) => Listening::Unix(Socket::bind(path)?),
            Address::Tcp(ip) => {
                let listener = std::net::TcpListener::bind(ip);
                let failed = |source| BindError::Tcp { address: *ip, source };
                let listener = listener.and_then(|bound| bound.set_nonblocking(true).map(|()| bound));
                Listening::Tcp(listener.map_err(failed)?)
            }
        };
        Ok(Self { address: address.clone(), listening })
    }

    /// The second half of [`serve`]; the thread calls `first` before it answers anybody.
    ///
    /// # Errors
    /// When there is no thread or runtime to be had.
    pub fn serve_api(
        self,
        control: Control,
        fault: Fault,
        cancel: CancellationToken,
        first: impl FnOnce() + Send + 'static,
    ) -> Result<ApiThread, BindError> {
        self.serve("api", "plugin-api", Api::new(control, fault), cancel, first)
    }

    /// Serves our own pages on a thread of their own until `cancel`.
    ///
    /// # Errors
    /// When there is no thread or runtime to be had.
    pub fn serve_pages(self, pages: Pages, cancel: CancellationToken) -> Result<ApiThread, BindError> {
        self.serve("telemetry", "telemetry", pages, cancel, || ())
    }

    fn serve(
        self,
        name: &'static str,
        thread: &str,
        answer: impl Answer + Send,
        cancel: CancellationToken,
        first: impl FnOnce() + Send + 'static,
    ) -> Result<ApiThread, BindError> {
        let Self { address, listening } = self;
        let failed = |source: io::Error| BindError::Thread { address: address.clone(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = {
            let _context = runtime.enter();
            match listening {
                Listening::Unix(socket) => {
                    let listener =
                        UnixListener::from_std(socket.listener().map_err(failed)?).map_err(failed)?;
                    Listener::Unix { listener, _file: socket }
                }
                Listening::Tcp(listener) => Listener::Tcp(TcpListener::from_std(listener).map_err(failed)?),
            }
        };
        let thread = thread::Builder::new()
            .name(thread.to_owned())
            .spawn(move || {
                first();
                LocalSet::new().block_on(&runtime, server::run(listener, name, answer, cancel));
            })
            .map_err(failed)?;
        Ok(ApiThread { thread })
    }
}

impl ApiThread {
    /// Waits for the end of the thread, which comes within about a second after its token was cancelled. The socket file is gone then.
    pub fn join(self) {
        if self.thread.join().is_err() {
            error!("a thread that answers dockerd, or serves our own pages, has panicked");
        }
    }
}
