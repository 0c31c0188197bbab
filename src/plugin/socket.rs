use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::telemetry::Address;

/// dockerd runs as root, and so does a plugin: nobody else has business here.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Calls that may wait for `accept`. dockerd makes one at a time.
const BACKLOG: i32 = 128;

/// Why a socket cannot be served. Each names it; where it is the API's, dockerd then ends `enable` with its own words after 12.5 s.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The directory is missing and cannot be made.
    #[error("cannot make the directory of the socket {}: {source}", path.display())]
    Directory {
        /// The socket's path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something other than a socket has that name; it is left alone.
    #[error("cannot bind the socket {}: the path exists and is no socket", path.display())]
    NotASocket {
        /// The socket's path.
        path: PathBuf,
    },
    /// A living process listens there.
    #[error("cannot bind the socket {}: another process answers there", path.display())]
    Occupied {
        /// The socket's path.
        path: PathBuf,
    },
    /// Anything else that the system says.
    #[error("cannot bind the socket {}: {source}", path.display())]
    Bind {
        /// The socket's path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A TCP address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Tcp {
        /// With its port.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The socket is bound, but there is no thread or runtime to be had.
    #[error("cannot start the thread behind {address}: {source}")]
    Thread {
        /// What was bound.
        address: Address,
        /// What the system says.
        source: io::Error,
    },
}

/// The bound socket. Its file goes when this is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    listener: UnixListener,
}

impl Socket {
    /// Binds and listens. Between the two the mode is set, so that nobody connects under the umask's mode.
    pub(super) fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |source: io::Error| BindError::Bind { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)
                .map_err(|source| BindError::Directory { path: path.to_owned(), source })?;
        }
        let address = SocketAddrUnix::new(path).map_err(|errno| failed(errno.into()))?;
        remove_stale(path, &address)?;
        let bound = || -> Result<UnixListener, Errno> {
            let socket = stream_socket()?;
            rustix::net::bind(&socket, &address)?;
            rustix::fs::chmod(path, MODE)?;
            rustix::net::listen(&socket, BACKLOG)?;
            Ok(UnixListener::from(socket))
        };
        let listener = bound().map_err(|errno| failed(errno.into()))?;
        Ok(Self { path: path.to_owned(), listener })
    }

    /// The listener for a runtime: non-blocking, the same socket.
    pub(super) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Ok(()) => {}
            // dockerd removes the whole directory when a plugin ends.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(socket = %self.path.display(), %error, "the socket stays behind; the next start replaces it");
            }
        }
    }
}

fn stream_socket() -> Result<rustix::fd::OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// Unlinks what a dead process left. A refused connect is the proof that nobody listens; a full backlog (EAGAIN, the socket does not block) proves
/// the contrary.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), BindError> {
    let failed = |source: io::Error| BindError::Bind { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    let probe = stream_socket().map_err(|errno| failed(errno.into()))?;
    match rustix::net::connect(&probe, address) {
        Ok(()) | Err(Errno::AGAIN) => Err(BindError::Occupied { path: path.to_owned() }),
        Err(Errno::CONNREFUSED) => fs::remove_file(path).map_err(failed),
        Err(errno) => Err(failed(errno.into())),
    }
}
