//! What one process tells the next: small files in `state/` of `QUEUE_DIR`, a directory that the queue does not look into.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::queue::Storage;

/// Where the note of this name is; nowhere with the queue in memory.
pub(super) fn path(storage: &Storage, name: &str) -> Option<PathBuf> {
    match storage {
        Storage::Disk(dir) => Some(dir.join("state").join(name)),
        Storage::Memory => None,
    }
}

/// Blocks while the disk does. A kill leaves the old note or the new one.
pub(super) fn write(path: &Path, note: &str) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(note.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}
