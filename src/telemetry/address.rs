use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where our own pages are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A unix socket, for root and our own uid.
    Unix(PathBuf),
    /// A loopback address, for whoever is on this host.
    Tcp(SocketAddr),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "http://{address}"),
        }
    }
}

/// `TELEMETRY_ADDRESS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serving {
    /// Nowhere.
    Off,
    /// `telemetry.sock`, beside the socket of dockerd's API.
    BesideTheApi,
    /// There.
    At(Address),
}
