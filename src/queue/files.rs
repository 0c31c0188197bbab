//! The one door to the file system: a trait that tests fail and block at will, and the real directory behind it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tracing::info;

use super::floor::Space;
use super::{OpenError, modes};

/// The name of the file that a process locks while it uses the directory.
pub(super) const LOCK: &str = "lock";

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It must exist.
    Read,
    /// Created when missing, kept as it is otherwise.
    Update,
    /// Created, or emptied.
    Fresh,
}

/// A directory of plain files.
pub(super) trait Files: Send {
    /// Names of its regular files.
    fn list(&self) -> io::Result<Vec<String>>;
    fn open(&self, name: &str, mode: Mode) -> io::Result<Box<dyn Handle>>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// In place of the file `to`, if there is one.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes creations and removals outlive a power loss.
    fn sync(&self) -> io::Result<()>;
    /// Of the file system that the directory is in.
    fn space(&self) -> io::Result<Space>;
    /// For messages.
    fn path(&self, name: &str) -> PathBuf;
}

/// An open file, used by position only.
pub(super) trait Handle: Send {
    fn len(&self) -> io::Result<u64>;
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Makes the bytes outlive a power loss.
    fn sync(&self) -> io::Result<()>;
}

/// A real directory, locked against other processes for as long as this value lives.
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Creates the directory when it is missing (0700), syncs its name, and locks it, waiting up to `patience` for a process that is on
    /// its way out.
    pub(super) fn open(path: &Path, patience: Duration) -> Result<Self, OpenError> {
        if let Some(unsynced) = make_directory(path)? {
            info!("{unsynced}");
        }
        let lock_path = path.join(LOCK);
        let lock = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(&lock_path);
        let lock = lock.map_err(|source| OpenError::LockFile { path: lock_path.clone(), source })?;
        let deadline = Instant::now() + patience;
        loop {
            match lock.try_lock() {
                Ok(()) => {
                    modes::mend(path);
                    return Ok(Self { path: path.to_owned(), _lock: lock });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(OpenError::LockFile { path: lock_path, source });
                }
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(OpenError::Locked { path: lock_path, waited: patience });
                }
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

/// Makes the directory when it is missing, with mode 0700, as [`super::Queue::open`] does: for a process that may not do so any more by then. Blocks
/// while the disk does. Returns what to tell the log: that its name may not outlive a power loss.
///
/// # Errors
/// [`OpenError::Create`].
pub fn make_directory(path: &Path) -> Result<Option<String>, OpenError> {
    create_durably(path).map_err(|source| OpenError::Create { path: path.to_owned(), source })
}

/// Also makes new names outlive a power loss, as far as the directories above can be opened.
fn create_durably(path: &Path) -> io::Result<Option<String>> {
    let missing = path.ancestors().take_while(|ancestor| !ancestor.exists()).count();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let mut unsynced = None;
    for parent in path.ancestors().skip(1).take(missing) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        if let Err(error) = File::open(parent).and_then(|parent| parent.sync_all()) {
            unsynced = Some(format!(
                "cannot sync {}, a directory above the queue's: {error}; a power loss within seconds may undo its creation",
                parent.display()
            ));
        }
    }
    Ok(unsynced)
}

impl Files for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in self.path.read_dir()? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str, mode: Mode) -> io::Result<Box<dyn Handle>> {
        let mut options = OpenOptions::new();
        match mode {
            Mode::Read => options.read(true),
            Mode::Update => options.read(true).write(true).create(true).truncate(false),
            Mode::Fresh => options.read(true).write(true).create(true).truncate(true),
        };
        Ok(Box::new(options.mode(0o600).open(self.path.join(name))?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn space(&self) -> io::Result<Space> {
        let found = rustix::fs::statvfs(&self.path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space { available: bytes(found.f_bavail), total: bytes(found.f_blocks) })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Handle for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        File::set_len(self, length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
