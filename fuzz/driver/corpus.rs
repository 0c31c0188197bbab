use std::fs;
use std::path::{Path, PathBuf};

use super::targets::Target;

/// The directories of one target.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    root: PathBuf,
    name: &'static str,
}

impl Home {
    /// In this repository.
    pub(crate) fn new(target: &Target) -> Self {
        Self::below(Path::new(env!("CARGO_MANIFEST_DIR")), target)
    }

    pub(crate) fn below(root: &Path, target: &Target) -> Self {
        Self { root: root.to_owned(), name: target.name }
    }

    /// Where findings go: `fuzz/artifacts/<target>`.
    pub(crate) fn artifacts(&self) -> PathBuf {
        self.root.join("fuzz/artifacts").join(self.name)
    }

    /// What is kept, with where it is: corpus, regressions, and those fixtures of the tests that serve as inputs, as far as they fit.
    pub(crate) fn kept(&self, target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
        let fuzz = self.root.join("fuzz");
        let directories = ["corpus", "regressions"].map(|kind| fuzz.join(kind).join(self.name));
        let mut files: Vec<PathBuf> = directories.iter().flat_map(|directory| files_of(directory)).collect();
        files.extend(target.fixtures.iter().map(|fixture| self.root.join(fixture)));
        let read = |path: PathBuf| {
            let mut bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            bytes.truncate(target.longest);
            (path, bytes)
        };
        files.into_iter().map(read).collect()
    }
}

/// Sorted; none where there is no such directory.
fn files_of(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
