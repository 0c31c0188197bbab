//! Who may read the queue: its own uid alone. Files 0600, directories 0700, also those that an earlier version or a copy left wider.

use std::fs::{Metadata, Permissions, set_permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tracing::{info, warn};

use super::files::LOCK;

const FILE: u32 = 0o600;
const DIRECTORY: u32 = 0o700;

/// Beside the queue's own files: the directory of the user's secrets, what other rooms keep, and what a file system has at its root.
const NEIGHBOURS: [&str; 3] = ["etc", "state", "lost+found"];

/// Mends the modes of the directory and of what the queue keeps in it, and says so. A directory that holds other things too is somebody else's
/// business (`QUEUE_DIR=/tmp`): it is left alone, with a warning. Nothing here is a reason not to use the queue.
pub(super) fn mend(directory: &Path) {
    let mut mended = Vec::new();
    let mut failed = Vec::new();
    let mut shared = false;
    let mut note = |path: &Path, result: io::Result<Option<u32>>| match result {
        Ok(None) => {}
        Ok(Some(before)) => mended.push(format!("{} ({before:04o})", path.display())),
        Err(error) => failed.push(format!("{}: {error}", path.display())),
    };
    for path in entries(directory) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match name.as_ref() {
            name if is_ours(name) => note(&path, narrow(&path, FILE, Metadata::is_file)),
            "state" => {
                note(&path, narrow(&path, DIRECTORY, Metadata::is_dir));
                for inside in entries(&path) {
                    note(&inside, narrow(&inside, FILE, Metadata::is_file));
                }
            }
            name => shared |= !NEIGHBOURS.contains(&name),
        }
    }
    if shared {
        warn_if_open(directory);
    } else {
        note(directory, narrow(directory, DIRECTORY, Metadata::is_dir));
    }
    if !mended.is_empty() {
        info!(paths = mended.join(", "), "modes of the queue were not 0600 and 0700; mended");
    }
    if !failed.is_empty() {
        warn!(
            paths = failed.join(", "),
            "modes of the queue are not 0600 and 0700 and cannot be mended: others may read it, or it not be usable"
        );
    }
}

fn is_ours(name: &str) -> bool {
    name == LOCK || ["segment-", "cursor-", "journal-"].iter().any(|prefix| name.starts_with(prefix))
}

/// What cannot be listed is not the queue's, or fails at its opening with better words.
fn entries(directory: &Path) -> Vec<std::path::PathBuf> {
    let listed = directory.read_dir().into_iter().flatten();
    listed.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// Sets the mode if it is another one, and returns that one. What is of another kind, a link among them, is left alone.
fn narrow(path: &Path, mode: u32, of_kind: impl Fn(&Metadata) -> bool) -> io::Result<Option<u32>> {
    let found = path.symlink_metadata()?;
    let before = found.permissions().mode() & 0o7777;
    if !of_kind(&found) || before == mode {
        return Ok(None);
    }
    set_permissions(path, Permissions::from_mode(mode)).map(|()| Some(before))
}

fn warn_if_open(directory: &Path) {
    let Ok(found) = directory.metadata() else { return };
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let mode = format!("{mode:04o}");
        warn!(path = %directory.display(), mode, "the queue's directory is open to others and holds other things too, so its mode is left alone; give the queue a directory of its own");
    }
}
