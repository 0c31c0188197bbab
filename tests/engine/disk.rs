//! Real file systems that fail under the queue: full, and read-only. What does not fit stays in the memory ring until it does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use docker_remote_write::receiver::Answer;

use crate::program::{DEADLINE, World};

/// A tmpfs over a directory, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Self {
        fs::create_dir_all(at).expect("the scratch directory is writable");
        mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], at);
        Self(at.to_owned())
    }

    fn remount(&self, how: &str) {
        mount(&["-o", &format!("remount,{how}")], &self.0);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

fn mount(arguments: &[&str], at: &Path) {
    let output = Command::new("mount").args(arguments).arg(at).output().expect("mount is installed");
    assert!(output.status.success(), "mount {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The receiver is away while the disk fails and recovers; then all scrapes arrive, in order and once.
async fn everything_arrives(fail: impl FnOnce(&SmallDisk), words: &str, mend: impl FnOnce(&SmallDisk)) {
    let world = World::new().await;
    let disk = SmallDisk::mount(&world.path("queue"));
    world.receiver.answer(Answer::status(503));
    // The file system's own answer is what is tested, not the floor above it.
    let mut program = world.run(&[("QUEUE_MIN_FREE_DISK", "0")]);
    assert!(world.engine.wait_for(2, DEADLINE).await);
    fail(&disk);
    program.says(words).await;
    let during = world.engine.scrapes();
    assert!(world.engine.wait_for(during + 2, DEADLINE).await, "scraping goes on");
    mend(&disk);
    program.says("back on disk").await;
    let served = world.engine.scrapes();
    world.receiver.answer(Answer::Normal);
    world.until_ups(served).await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    world.assert_strict();
    world.receiver.read(|state| assert_eq!(state.duplicates, 0));
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_the_queue_returns_to_it() {
    let fill = |disk: &SmallDisk| {
        // Ends with ENOSPC, as it shall.
        let _ = fs::write(disk.0.join("filler"), vec![0; 2 << 20]);
    };
    everything_arrives(fill, "No space left on device", |disk| {
        fs::remove_file(disk.0.join("filler")).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_read_only_directory_ends_run_and_leaves_the_plugin_in_memory() {
    let world = World::new().await;
    let disk = SmallDisk::mount(&world.path("queue"));
    disk.remount("ro");
    let (status, said) = world.run(&[]).ended().await;
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("Read-only file system") && said.contains("queue"), "{said}");

    let (mut plugin, mut dockerd) = world.plugin(&[]).await;
    plugin.says("the queue is in memory").await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    world.until_ups(2).await;
    world.assert_strict();
}
