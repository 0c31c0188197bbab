//! Gives up what the process does not need: capabilities, new privileges, core dumps, files, ports.
//!
//! Owns no state: what is in force lives in the kernel. Hands on a [`Report`] of it, and words for a refusal ([`why_refused`]). Never knows what a
//! path or a port is for; whoever builds the rooms says what they need ([`Needs`]).
//!
//! # Rules
//! - Everything here holds for the calling thread and for the threads that it starts later. [`drop_privileges`] touches no file and comes before
//!   the first thread; [`confine`] opens paths, which a dead file system may hold up, so the thread that answers dockerd confines itself, to less.
//! - Best effort: an older kernel gives what it has, and the report names what is missing. Nothing here ends the process.
//! - Landlock's rights are those up to ABI 7 (Linux 6.15), which are the ones that were tried. Newer ones (sockets by path, UDP) are not asked for.

mod landlock;
mod privileges;
mod read;
mod refusal;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;

pub use self::landlock::{Confinement, confine};
pub use self::privileges::{Privileges, drop_privileges, keep_files_private};
pub use self::read::replaced_resolver_files;
pub use self::refusal::{Wanted, why_refused};
pub use self::report::Report;

/// What a thread does from now on. Everything that is not named is refused, where the kernel has Landlock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Directories in which files and directories are made, read, written, renamed and removed.
    pub writable: Vec<PathBuf>,
    /// Files that are read, now or later. The directory of each is readable, and the one that its links lead to now: a file may be replaced by another.
    pub files: Vec<PathBuf>,
    /// Files out of which only something is removed: the directories of our own sockets.
    pub removable_in: Vec<PathBuf>,
    /// Directories in which a socket of ours is still to be made.
    pub sockets_in: Vec<PathBuf>,
    /// Whether names of hosts are resolved.
    pub resolver: bool,
    /// Whether `/proc/self` is read.
    pub own_process: bool,
    /// TCP ports that are connected to, on any host; 53 comes with [`Needs::resolver`]. None is bound.
    pub connect: BTreeSet<u16>,
}
