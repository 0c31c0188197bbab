//! An address that refuses connections until somebody listens there; nobody else can take its port.

use std::net::SocketAddr;

use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketAddrV4, SocketType};
use tokio::net::TcpListener;

/// Bound, and not listening.
pub(crate) struct Refused {
    pub(crate) address: SocketAddr,
    socket: OwnedFd,
}

impl Refused {
    pub(crate) fn new() -> Self {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrV4::new([127, 0, 0, 1].into(), 0)).unwrap();
        let address = SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();
        Self { address, socket }
    }

    pub(crate) fn listen(self) -> TcpListener {
        rustix::net::listen(&self.socket, 16).unwrap();
        let listener = std::net::TcpListener::from(self.socket);
        listener.set_nonblocking(true).unwrap();
        TcpListener::from_std(listener).unwrap()
    }
}
