//! A disk that can be frozen: an ext4 image on a loop device. While it is frozen every write to it waits in the kernel, and not even `kill -9` ends
//! the thread that waits.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Big enough for the queue and its reserve.
const SIZE: u64 = 256 * 1024 * 1024;

/// An ext4 image over a directory. Dropping it thaws and unmounts it.
pub(crate) struct FreezableDisk {
    image: PathBuf,
    mount_point: PathBuf,
}

impl FreezableDisk {
    /// Makes the image and mounts it over `mount_point`, which is created if it is missing.
    pub(crate) fn mount(image: &Path, mount_point: &Path) -> FreezableDisk {
        File::create(image).and_then(|file| file.set_len(SIZE)).expect("the scratch directory is writable");
        run("mkfs.ext4", &["-q", &image.to_string_lossy()]);
        let disk = FreezableDisk { image: image.to_owned(), mount_point: mount_point.to_owned() };
        disk.mount_again();
        disk
    }

    /// `docker plugin disable` unmounts everything below the plugin's directory, this disk too.
    pub(crate) fn mount_again(&self) {
        fs::create_dir_all(&self.mount_point).expect("the mount point can be made");
        run("mount", &["-o", "loop", &self.image.to_string_lossy(), &self.mount_point.to_string_lossy()]);
    }

    /// From now on every write waits.
    pub(crate) fn freeze(&self) {
        run("fsfreeze", &["--freeze", &self.mount_point.to_string_lossy()]);
    }

    /// Lets the waiting writes go.
    pub(crate) fn thaw(&self) {
        run("fsfreeze", &["--unfreeze", &self.mount_point.to_string_lossy()]);
    }
}

impl Drop for FreezableDisk {
    fn drop(&mut self) {
        // First of all, or nothing that wrote to it could ever end. Thawing a thawed disk only says so.
        let _ = Command::new("fsfreeze").arg("--unfreeze").arg(&self.mount_point).output();
        let _ = Command::new("umount").arg("--lazy").arg(&self.mount_point).output();
    }
}

fn run(program: &str, args: &[&str]) {
    let output =
        Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
