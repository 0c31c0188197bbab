//! What stands around the pipe: a private directory, and a receiver whose port can be closed and opened again.

use std::fs::DirBuilder;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::model::now_ms;
use crate::receiver::Receiver;

/// A unix socket's path has at most 107 bytes; the longest name below the directory has 12.
const MAX_DIRECTORY_BYTES: usize = 107 - 13;

/// A directory that nobody else can read, gone with all it holds when this is dropped.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// Below `TMPDIR`, or below `/tmp` where that makes the paths of sockets too long.
    pub(super) fn new() -> io::Result<Self> {
        let name = |attempt: u32| format!("docker-remote-write-demo-{}-{attempt}", std::process::id());
        let mut parent = std::env::temp_dir();
        if parent.as_os_str().len() + 1 + name(999).len() > MAX_DIRECTORY_BYTES {
            parent = PathBuf::from("/tmp");
        }
        // A killed demo with the same process ID may have left its own behind.
        let first = u32::try_from(now_ms() % 900).unwrap_or_default();
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for attempt in first..first + 100 {
            let path = parent.join(name(attempt));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => {
                    let text = format!("cannot make {}: {error}", path.display());
                    return Err(io::Error::new(error.kind(), text));
                }
            }
        }
        Err(last)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Left behind it does no harm, and nobody is there to be told.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The receiver's port.
#[derive(Debug)]
pub(super) struct Inlet {
    receiver: Receiver,
    address: SocketAddr,
    /// Bound and never listening: while the port is closed, the kernel gives it to nobody else.
    _held: TcpSocket,
    serving: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Inlet {
    /// Opens a port of the kernel's choice on loopback.
    pub(super) async fn new(receiver: Receiver) -> io::Result<Self> {
        let (held, address) = hold().map_err(|error| {
            io::Error::new(error.kind(), format!("cannot bind a port of {}: {error}", Ipv4Addr::LOCALHOST))
        })?;
        let mut inlet = Self { receiver, address, _held: held, serving: None };
        inlet.open().await?;
        Ok(inlet)
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses connections from now on; what was being answered is answered.
    pub(super) async fn close(&mut self) {
        if let Some((stop, task)) = self.serving.take() {
            stop.cancel();
            // It ends by itself after the grace of its connections; a panic inside has been printed.
            let _ = task.await;
        }
    }

    /// Takes connections on the same port (again).
    pub(super) async fn open(&mut self) -> io::Result<()> {
        self.close().await;
        let listener = TcpListener::bind(self.address).await.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {}: {error}", self.address))
        })?;
        let stop = CancellationToken::new();
        let (receiver, stopped) = (self.receiver.clone(), stop.clone());
        let task = tokio::spawn(async move { receiver.serve(listener, stopped).await });
        self.serving = Some((stop, task));
        Ok(())
    }
}

fn hold() -> io::Result<(TcpSocket, SocketAddr)> {
    let held = TcpSocket::new_v4()?;
    // Listeners have this option too, and may use the port beside a socket that does not listen.
    held.set_reuseaddr(true)?;
    held.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = held.local_addr()?;
    Ok((held, address))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tokio::net::TcpStream;

    use super::*;
    use crate::receiver::Options;

    #[test]
    fn the_directory_is_private_and_goes_with_its_owner() {
        let (one, other) = (Directory::new().unwrap(), Directory::new().unwrap());
        assert_ne!(one.path(), other.path());
        let path = one.path().to_owned();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::create_dir(one.join("queue")).unwrap();
        drop(one);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_closed_inlet_refuses_and_an_opened_one_listens_on_the_same_port() {
        let mut inlet = Inlet::new(Receiver::new(Options::default())).await.unwrap();
        let address = inlet.address();
        TcpStream::connect(address).await.unwrap();
        inlet.close().await;
        let error = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let taken = TcpSocket::new_v4().unwrap().bind(address).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        inlet.open().await.unwrap();
        assert_eq!(inlet.address(), address);
        TcpStream::connect(address).await.unwrap();
    }
}
