//! What lies between a sender and a receiver: a TCP forwarder whose connections are counted and can be made to die in silence.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The forwarder; it ends, and all connections with it, when this is dropped.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    /// Connections so far.
    accepted: watch::Receiver<usize>,
    /// The first so many connections carry nothing any more.
    cut: watch::Sender<usize>,
    forwarding: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}

impl Wire {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, accepted) = watch::channel(0);
        let cut = watch::Sender::new(0);
        let forwarding = tokio::spawn(forward(listener, server, count, cut.clone()));
        Self { address, accepted, cut, forwarding }
    }

    pub(crate) fn connections(&self) -> usize {
        *self.accepted.borrow()
    }

    /// Every connection there is stays open and says nothing more: as if the peer's host had lost its power.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(self.connections());
    }
}

async fn forward(
    listener: TcpListener,
    server: SocketAddr,
    count: watch::Sender<usize>,
    cut: watch::Sender<usize>,
) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((mut near, _)) = listener.accept().await else { return };
        let mut cut = cut.subscribe();
        let number = *count.borrow();
        count.send_replace(number + 1);
        connections.spawn(async move {
            let Ok(mut far) = TcpStream::connect(server).await else { return };
            let cut = tokio::select! {
                // The end of one side ends the other.
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
                cut = cut.wait_for(|cut| *cut > number) => cut.is_ok(),
            };
            if cut {
                std::future::pending::<()>().await;
            }
        });
    }
}
