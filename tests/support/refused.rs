//! An address that refuses connections until somebody listens there: by `listen`, or a program that is told to. The kernel gives its port to
//! nobody else.

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
        // Whoever names the port, and has this option too (as a listener of std has), may listen there beside a socket that does not.
        rustix::net::sockopt::set_socket_reuseaddr(&socket, true).unwrap();
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
