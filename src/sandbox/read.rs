//! Which directories or files a reader of a path needs, so that the path may change under it.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::refusal::{Wanted, is_the_sandbox};

/// What glibc's resolver opens. Static builds know `files` and `dns` alone, whatever `nsswitch.conf` says.
const RESOLVER: [&str; 7] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
];

/// What else it opens where it is not linked statically: the modules that `nsswitch.conf` names.
const MODULES: [&str; 5] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"];

/// The directory of a file, and the one that it is in after all links: a rename or a swapped link within them is followed. A file directly below
/// the root stands for itself, since its directory is everything. A directory that is not there yet is represented by the next one above.
pub(super) fn with_neighbours(file: &Path) -> Vec<PathBuf> {
    let named = file.parent().and_then(existing);
    let linked = file.canonicalize().ok();
    let linked_in = linked.as_deref().and_then(Path::parent).map(Path::to_owned);
    let mut paths: Vec<PathBuf> =
        [named, linked_in].into_iter().flatten().filter(|path| !is_root(path)).collect();
    if paths.is_empty() {
        paths.extend(linked);
    }
    paths.dedup();
    paths
}

/// The resolver's files one by one, and the directory of what they link to (systemd-resolved, resolvconf and NetworkManager replace the target by a
/// rename). A plain file in `/etc` may be replaced as well; the directory as a whole is readable only for who is not root, since to root it would
/// give `/etc/shadow`: root's process has to be started anew then, and says so.
pub(super) fn resolver(root: bool) -> Vec<PathBuf> {
    let etc = Path::new("/etc");
    let mut paths: Vec<PathBuf> = if root { Vec::new() } else { vec![etc.to_owned()] };
    for file in RESOLVER.map(Path::new) {
        let Ok(target) = file.canonicalize() else { continue };
        match target.parent() {
            Some(directory) if directory != etc && !is_root(directory) => paths.push(directory.to_owned()),
            Some(_) | None if root => paths.push(target),
            Some(_) | None => {}
        }
    }
    if !cfg!(target_feature = "crt-static") {
        paths.extend(MODULES.map(PathBuf::from).into_iter().filter(|path| path.exists()));
    }
    paths
}

/// The resolver's files that are there, might be read by this process, and cannot be read in its sandbox: they were replaced after the start.
/// Blocks while the disk does.
#[must_use]
pub fn replaced_resolver_files() -> Vec<&'static Path> {
    let refused = |file: &&Path| match File::open(file) {
        Ok(_) => false,
        Err(error) => is_the_sandbox(file, Wanted::Read, &error),
    };
    RESOLVER.into_iter().map(Path::new).filter(refused).collect()
}

fn is_root(path: &Path) -> bool {
    path == Path::new("/")
}

/// The nearest directory upwards that is there. Relative paths begin where the process does.
fn existing(directory: &Path) -> Option<PathBuf> {
    let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    here.ancestors().find_map(|ancestor| ancestor.canonicalize().ok())
}
