//! The socket that dockerd calls: Docker's MetricsCollector API, answered from memory on an OS thread of its own.
//!
//! Owns the API socket and its connections. Hands on what dockerd wants through [`Control`]. Never knows the network, the disk or how a scrape
//! goes: it shares memory alone with the rest, because dockerd calls StartMetrics at boot without a time-out, and an answer that waits freezes
//! the whole engine (9.5 minutes were measured; docker-plugin 4).

mod api;
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

use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

use self::api::Api;
use self::socket::Socket;
use crate::collector::Control;

pub use self::socket::BindError;

/// The name under which dockerd dials: `interface.socket` of both manifests.
pub const SOCKET_NAME: &str = "remote-write.sock";

/// After a panic of the thread that answers, so that it does not spin.
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

/// The running API. Dropping it leaves the thread to its cancellation token.
#[derive(Debug)]
pub struct ApiThread {
    thread: JoinHandle<()>,
}

/// Binds `path` and answers there, on a thread of its own, until `cancel`. When this returns, dockerd's probe finds the socket.
///
/// The socket has mode 0600. Its directory is made if it is missing; a socket that a dead process left behind is replaced.
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
    let failed = |source: io::Error| BindError::Thread { path: path.to_owned(), source };
    let socket = Socket::bind(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let listener = listen(&runtime, &socket).map_err(failed)?;
    let api = Api::new(control, fault);
    let answer = move || {
        keep_answering(&runtime, listener, socket, |listener, socket| {
            let answering = server::run(listener, socket, api.clone(), cancel.clone());
            LocalSet::new().block_on(&runtime, answering);
        });
    };
    let thread = thread::Builder::new().name("plugin-api".to_owned()).spawn(answer).map_err(failed)?;
    Ok(ApiThread { thread })
}

fn listen(runtime: &Runtime, socket: &Socket) -> io::Result<UnixListener> {
    let _context = runtime.enter();
    UnixListener::from_std(socket.listener()?)
}

/// Until `answer` has taken the socket, through panics of it: what is bound outlives them, and with it the calls that nobody has accepted yet.
fn keep_answering(
    runtime: &Runtime,
    listener: UnixListener,
    socket: Socket,
    answer: impl Fn(UnixListener, &mut Option<Socket>),
) {
    let (mut listener, mut socket) = (Some(Ok(listener)), Some(socket));
    while let Some(bound) = &socket {
        let listening = listener.take().unwrap_or_else(|| listen(runtime, bound));
        let answered =
            catch_unwind(AssertUnwindSafe(|| listening.map(|listener| answer(listener, &mut socket))));
        match answered {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error!(%error, "cannot go on answering dockerd; trying again in 200 ms"),
            Err(_) => error!(
                "the thread that answers dockerd has panicked; it goes on in 200 ms, without the connections that it had"
            ),
        }
        thread::sleep(PANIC_PAUSE);
    }
}

impl ApiThread {
    /// Waits for the end of the thread, which comes within about a second after its token was cancelled. The socket file is gone then.
    pub fn join(self) {
        if self.thread.join().is_err() {
            error!("the thread that answers dockerd has panicked at its end");
        }
    }
}
