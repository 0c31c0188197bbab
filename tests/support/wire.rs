//! What lies between a sender and a receiver: a TCP forwarder whose connections are counted, can be slow, and can be made to die in silence.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
        Self::slow(server, Duration::ZERO).await
    }

    /// Every answer comes so much later.
    pub(crate) async fn slow(server: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, accepted) = watch::channel(0);
        let cut = watch::Sender::new(0);
        let forwarding = tokio::spawn(forward(listener, server, delay, count, cut.clone()));
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
    delay: Duration,
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
            // Otherwise the end of each request waits 40 ms for an acknowledgement.
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let cut = tokio::select! {
                // The end of one side ends the other.
                _ = exchange(&mut near, &mut far, delay) => return,
                cut = cut.wait_for(|cut| *cut > number) => cut.is_ok(),
            };
            if cut {
                std::future::pending::<()>().await;
            }
        });
    }
}

/// Until either side ends.
async fn exchange(near: &mut TcpStream, far: &mut TcpStream, delay: Duration) -> io::Result<()> {
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.split(), far.split());
    let answers = async {
        let mut answer = vec![0; 16 << 10];
        loop {
            let length = far_in.read(&mut answer).await?;
            tokio::time::sleep(delay).await;
            if length == 0 {
                return Ok(());
            }
            near_out.write_all(&answer[..length]).await?;
        }
    };
    tokio::select! {
        requests = tokio::io::copy(&mut near_in, &mut far_out) => requests.map(|_| ()),
        answers = answers => answers,
    }
}
