use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};

/// What was tried with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// To read a file.
    Read,
    /// To write a file.
    Write,
    /// To make files in a directory.
    MakeFiles,
}

/// What to do about a "permission denied" that the sandbox has a part in, as the end of a sentence that begins with the error; empty for
/// any other error. Asks the file system, so it waits while that does.
#[must_use]
pub fn why_refused(path: &Path, wanted: Wanted, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    if is_the_sandbox(path, wanted, error) {
        return Refusal::Sandbox.to_string();
    }
    let us = rustix::process::geteuid();
    match std::fs::metadata(path) {
        Ok(found) if us.is_root() => {
            Refusal::Owner { uid: found.uid(), mode: found.mode() & 0o7777 }.to_string()
        }
        Ok(_) | Err(_) if us.is_root() => Refusal::Above.to_string(),
        Ok(_) | Err(_) => String::new(),
    }
}

/// Whether owner and mode would have allowed what was refused. Landlock has no say in `access`.
pub(super) fn is_the_sandbox(path: &Path, wanted: Wanted, error: &io::Error) -> bool {
    let mode = match wanted {
        Wanted::Read => Access::READ_OK,
        Wanted::Write => Access::WRITE_OK,
        Wanted::MakeFiles => Access::WRITE_OK | Access::EXEC_OK,
    };
    error.kind() == io::ErrorKind::PermissionDenied && accessat(CWD, path, mode, AtFlags::EACCESS).is_ok()
}

/// Why, where it is not plain.
enum Refusal {
    /// The file's mode would allow it.
    Sandbox,
    /// It belongs to somebody else.
    Owner { uid: u32, mode: u32 },
    /// A directory above does.
    Above,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHOWN: &str = "as root it has no capability that passes over owner and mode (see SANDBOX): give the path to \
                             uid 0, or set SANDBOX=off";
        match self {
            Self::Sandbox => f.write_str(
                "; its owner and mode allow it, the sandbox does not: it knows the directories that the settings led to when the \
                 process started; start it anew, or set SANDBOX=off",
            ),
            Self::Owner { uid, mode } => {
                write!(f, "; it belongs to uid {uid} with mode {mode:04o}, and this process runs as uid 0; {CHOWN}")
            }
            Self::Above => write!(f, "; a directory above it cannot be entered by this process, uid 0; {CHOWN}"),
        }
    }
}
