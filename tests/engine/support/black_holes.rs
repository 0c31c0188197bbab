//! Endpoints that never answer, each in its own way.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType};

/// How long a connect to a full backlog has to hang before it counts as never answered. The kernel takes a loopback connection in microseconds.
const HANGS: Duration = Duration::from_millis(300);

/// Two listeners that nobody serves. Dropping them ends the silence.
pub(crate) struct BlackHoles {
    /// The kernel accepts for it; no request is ever read.
    silent: TcpListener,
    /// Its backlog is full: the kernel drops every SYN.
    full: TcpListener,
    /// What fills the backlog.
    _waiting: Vec<TcpStream>,
}

impl BlackHoles {
    pub(crate) fn open() -> BlackHoles {
        let silent = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let full = listener_with_the_least_backlog();
        let address = full.local_addr().expect("it is bound");
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, HANGS) {
            waiting.push(stream);
            assert!(waiting.len() < 64, "the backlog of {address} does not fill");
        }
        BlackHoles { silent, full, _waiting: waiting }
    }

    /// Blocks for `REMOTE_WRITE_CONFIG`: one that accepts and never answers, one that does not even accept, one that never shakes hands for TLS.
    pub(crate) fn blocks(&self) -> String {
        let (silent, full) = (address(&self.silent), address(&self.full));
        format!(
            "[{{name: silent, url: \"http://{silent}/write\"}}, {{name: unreachable, url: \"http://{full}/write\"}}, \
             {{name: tls, url: \"https://{silent}/write\"}}]"
        )
    }
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("it is bound")
}

/// The standard library asks for room for 4,096.
fn listener_with_the_least_backlog() -> TcpListener {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("loopback is there");
    rustix::net::listen(&socket, 0).expect("it is bound");
    TcpListener::from(socket)
}
