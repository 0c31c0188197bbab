use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why the queue could not be opened. Nothing has been changed on disk but, at most, a directory and a lock file made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is not there and cannot be made, or something else stands in its place.
    #[error("cannot create the queue directory {}: {source}; QUEUE_DIR must name a directory on a writable file system, or set QUEUE_STORAGE=memory", path.display())]
    Create {
        /// `QUEUE_DIR`.
        path: PathBuf,
        /// With the errno.
        source: io::Error,
    },
    /// The lock file cannot be opened for writing: no permission, a read-only file system, a full one.
    #[error("cannot write in the queue directory: opening {}: {source}; make it writable for this process and not full, or set QUEUE_STORAGE=memory", path.display())]
    LockFile {
        /// The lock file.
        path: PathBuf,
        /// With the errno.
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error("the queue directory is in use: {} was still locked by another process after {waited:?}; look for a second instance of this plugin or program (each needs a QUEUE_DIR of its own) and stop it", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long the lock was waited for.
        waited: Duration,
    },
    /// The directory cannot be listed.
    #[error("cannot list the queue directory {}: {source}; it must be readable for this process", path.display())]
    List {
        /// `QUEUE_DIR`.
        path: PathBuf,
        /// With the errno.
        source: io::Error,
    },
    /// Recovery has a bug that these files have found.
    #[error("opening the queue panicked: a bug, whose place is in the log; moving the files of QUEUE_DIR ({}) out of the way helps", path.display())]
    Panicked {
        /// `QUEUE_DIR`.
        path: PathBuf,
    },
    /// The system gave no thread.
    #[error("cannot start the queue's thread: {source}; look for a limit on processes or memory")]
    Thread {
        /// With the errno.
        source: io::Error,
    },
}

/// Why a record could not be read. It is still in the queue: ask again later.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system refused.
    #[error("cannot read record {sequence} from {}: {source}; it stays queued and is tried again", path.display())]
    Io {
        /// The record.
        sequence: u64,
        /// The segment.
        path: PathBuf,
        /// With the errno.
        source: io::Error,
    },
    /// The queue has been closed; what is on disk is sent by the next process.
    #[error("cannot read from the queue: it has been closed; what is on disk is sent after the next start")]
    Closed,
}
