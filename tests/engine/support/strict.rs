//! The embedded strict receiver on a thread of its own: it knows every sample that came, and answers while a test waits for a command.

use std::net::SocketAddr;

use docker_remote_write::receiver::{DEFAULT_PATH, Options, Receiver};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// It serves until it is dropped.
pub(crate) struct StrictReceiver {
    pub(crate) receiver: Receiver,
    address: SocketAddr,
    stop: CancellationToken,
}

impl StrictReceiver {
    pub(crate) fn start() -> StrictReceiver {
        let (receiver, stop) = (Receiver::new(Options::default()), CancellationToken::new());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        listener.set_nonblocking(true).expect("a fresh socket");
        let address = listener.local_addr().expect("it is bound");
        let (serving, ended) = (receiver.clone(), stop.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                let listener = TcpListener::from_std(listener).expect("it does not block");
                serving.serve(listener, ended).await;
            });
        });
        StrictReceiver { receiver, address, stop }
    }

    /// What `REMOTE_WRITE_URL` is set to.
    pub(crate) fn push_url(&self) -> String {
        format!("http://{}{DEFAULT_PATH}", self.address)
    }

    /// Good scrapes of the engine that have arrived.
    pub(crate) fn ups(&self) -> usize {
        self.receiver.read(|state| state.count(&[("__name__", "up"), ("job", "docker")]))
    }
}

impl Drop for StrictReceiver {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
