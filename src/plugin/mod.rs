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
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
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

/// After a panic of a thread that answers, so that it does not spin.
const PANIC_PAUSE: Duration = Duration::from_millis(200);

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
/// A panic ends neither the process nor the API: one while a connection is served costs that connection (dockerd calls again), any other all of them.
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

/// What is bound. A socket's file goes with it.
#[derive(Debug)]
enum Listening {
    Unix(Socket),
    Tcp(std::net::TcpListener),
}

impl Listening {
    /// The listener for a runtime; may be had more than once.
    fn listener(&self, runtime: &Runtime) -> io::Result<Listener> {
        let _context = runtime.enter();
        match self {
            Self::Unix(socket) => UnixListener::from_std(socket.listener()?).map(Listener::Unix),
            Self::Tcp(listener) => TcpListener::from_std(listener.try_clone()?).map(Listener::Tcp),
        }
    }
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
        let listener = listening.listener(&runtime).map_err(failed)?;
        let serve = move || {
            first();
            keep_answering(&runtime, name, listener, listening, |listener, bound| {
                let answering = server::run(listener, bound, name, answer.clone(), cancel.clone());
                LocalSet::new().block_on(&runtime, answering);
            });
        };
        let thread = thread::Builder::new().name(thread.to_owned()).spawn(serve).map_err(failed)?;
        Ok(ApiThread { thread })
    }
}

/// Until `answer` has taken what is bound, through panics of it: the socket outlives them, and with it the calls that nobody has accepted yet.
fn keep_answering(
    runtime: &Runtime,
    name: &'static str,
    listener: Listener,
    bound: Listening,
    answer: impl Fn(Listener, &mut Option<Listening>),
) {
    let (mut listener, mut bound) = (Some(Ok(listener)), Some(bound));
    while let Some(listening) = &bound {
        let next = listener.take().unwrap_or_else(|| listening.listener(runtime));
        match catch_unwind(AssertUnwindSafe(|| next.map(|listener| answer(listener, &mut bound)))) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error!(%error, socket = name, "cannot go on answering; trying again in 200 ms"),
            Err(_) => error!(
                socket = name,
                "the thread that answers has panicked; it goes on in 200 ms, without the connections that it had"
            ),
        }
        thread::sleep(PANIC_PAUSE);
    }
}

impl ApiThread {
    /// Waits for the end of the thread, which comes within about a second after its token was cancelled. The socket file is gone then.
    pub fn join(self) {
        if self.thread.join().is_err() {
            error!("a thread that answers dockerd, or serves our own pages, has panicked at its end");
        }
    }
}
