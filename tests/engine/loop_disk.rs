//! ext4 on loop devices, under the real binary: full, below the floor, frozen, read-only, and thin (a disk that takes bytes and cannot
//! keep them). Meanwhile the receiver is away. Everything arrives in order and once, and what came back to disk survives `kill -9`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use docker_remote_write::model::now_ms;
use docker_remote_write::receiver::Answer;

use crate::program::{DEADLINE, Program, World};

/// Something mounted, unmounted when dropped; a loop device goes with its last mount.
struct Mount(PathBuf);

impl Mount {
    fn tmpfs(at: &Path, size: &str) -> Self {
        Self::new(at, &["-t", "tmpfs", "-o", size, "tmpfs"])
    }

    /// A new image of 24 MiB without space that is root's alone.
    fn ext4(image: &Path, at: &Path, features: &str, options: &str) -> Self {
        fs::File::create(image).and_then(|file| file.set_len(24 << 20)).expect("the directory is writable");
        run("mkfs.ext4", &["-q".as_ref(), "-m0".as_ref(), "-O".as_ref(), features.as_ref(), image.as_ref()]);
        Self::new(at, &["-t", "ext4", "-o", options, &image.to_string_lossy()])
    }

    fn new(at: &Path, arguments: &[&str]) -> Self {
        fs::create_dir_all(at).expect("the scratch directory is writable");
        let mut all: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        all.push(at.as_ref());
        run("mount", &all);
        Self(at.to_owned())
    }

    /// Leaves `bytes` to everybody else, or nothing at all.
    fn fill(&self, bytes: u64) {
        let found = rustix::fs::statvfs(&self.0).expect("it is mounted");
        let free = found.f_bavail * found.f_frsize;
        // Ends with ENOSPC where nothing is to be left, as it shall.
        let _ = fs::write(self.0.join("filler"), vec![1; free.saturating_sub(bytes) as usize + 4096]);
        let synced = fs::File::open(self.0.join("filler")).and_then(|file| file.sync_all());
        drop(synced);
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).expect("it was filled");
    }

    fn freeze(&self, how: &str) {
        run("fsfreeze", &[how.as_ref(), self.0.as_ref()]);
    }

    /// As ext4 does at damage of its own structures with errors=remount-ro.
    fn break_down(&self) {
        let mounts = fs::read_to_string("/proc/mounts").expect("proc is mounted");
        let ours = |line: &&str| line.split(' ').nth(1) == self.0.to_str();
        let device =
            mounts.lines().find(ours).and_then(|line| line.split(' ').next()).expect("it is mounted");
        let name = device.rsplit('/').next().unwrap_or(device);
        let trigger = format!("/sys/fs/ext4/{name}/trigger_fs_error");
        fs::write(&trigger, "1").unwrap_or_else(|error| panic!("{trigger}: {error}"));
    }

    fn is_read_only(&self) -> bool {
        fs::write(self.0.join("probe"), "").is_err()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A frozen one could not be unmounted by its writers' end; thawing a thawed one only says so.
        let _ = Command::new("fsfreeze").arg("--unfreeze").arg(&self.0).output();
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

fn run(program: &str, arguments: &[&OsStr]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A program in an outage, with its queue on a file system of its own.
struct Outage {
    world: World,
    program: Program,
    settings: Vec<(&'static str, &'static str)>,
}

impl Outage {
    /// Two scrapes are behind it.
    async fn begin(world: World, settings: &[(&'static str, &'static str)]) -> Self {
        world.receiver.answer(Answer::status(503));
        let program = world.run(settings);
        assert!(world.engine.wait_for(2, DEADLINE).await);
        Self { world, program, settings: settings.to_vec() }
    }

    async fn scrapes_go_on(&self) {
        let during = self.world.engine.scrapes();
        assert!(self.world.engine.wait_for(during + 2, DEADLINE).await);
    }

    /// Back on disk: a kill, another process, and everything that was scraped a second before the kill is there.
    async fn ends_with_everything(mut self) {
        self.program.says("back on disk").await;
        self.scrapes_go_on().await;
        let safe = self.world.scraped(0, now_ms() - 1000);
        self.program.killed();
        let program = self.world.run(&self.settings);
        self.world.receiver.answer(Answer::Normal);
        self.world.until_arrived(&safe).await;
        let (status, said, _) = program.terminated().await;
        assert!(status.success(), "{said}");
        self.world.assert_strict();
        self.world.receiver.read(|state| assert_eq!(state.duplicates, 0));
    }
}

#[tokio::test]
async fn a_full_ext4() {
    let world = World::new().await;
    let disk = Mount::ext4(&world.path("image"), &world.path("queue"), "has_journal", "loop");
    let mut outage = Outage::begin(world, &[("QUEUE_MIN_FREE_DISK", "0")]).await;
    disk.fill(0);
    outage.program.says("No space left on device").await;
    outage.scrapes_go_on().await;
    disk.empty();
    outage.ends_with_everything().await;
}

#[tokio::test]
async fn an_ext4_below_the_floor() {
    let world = World::new().await;
    let disk = Mount::ext4(&world.path("image"), &world.path("queue"), "has_journal", "loop");
    let mut outage = Outage::begin(world, &[("QUEUE_MIN_FREE_DISK", "8MiB")]).await;
    disk.fill(7 << 20);
    outage.program.says("QUEUE_MIN_FREE_DISK").await;
    outage.scrapes_go_on().await;
    disk.empty();
    outage.ends_with_everything().await;
}

/// By default a tenth of so small a file system, not 512 MiB: it is used.
#[tokio::test]
async fn an_ext4_smaller_than_the_floors_default() {
    let world = World::new().await;
    let disk = Mount::ext4(&world.path("image"), &world.path("queue"), "has_journal", "loop");
    let mut outage = Outage::begin(world, &[]).await;
    disk.fill(2 << 20);
    outage.program.says("QUEUE_MIN_FREE_DISK").await;
    disk.empty();
    outage.ends_with_everything().await;
}

#[tokio::test]
async fn a_frozen_ext4() {
    let world = World::new().await;
    let disk = Mount::ext4(&world.path("image"), &world.path("queue"), "has_journal", "loop");
    let mut outage = Outage::begin(world, &[]).await;
    disk.freeze("--freeze");
    outage.program.says("does not answer").await;
    // Delivery goes on from memory, frost or not.
    let served = outage.world.engine.scrapes();
    outage.world.receiver.answer(Answer::Normal);
    outage.world.until_ups(served).await;
    outage.world.receiver.answer(Answer::status(503));
    outage.scrapes_go_on().await;
    disk.freeze("--unfreeze");
    outage.ends_with_everything().await;
}

/// ext4 turns read-only with files open for writing, where `mount -o remount,ro` is refused; no remount mends that (`faulty_disk` has a disk that
/// comes back). So what the disk cannot take is delivered from memory, and the end is a clean one.
#[tokio::test]
async fn an_ext4_that_turns_read_only() {
    let world = World::new().await;
    let disk =
        Mount::ext4(&world.path("image"), &world.path("queue"), "has_journal", "loop,errors=remount-ro");
    let mut outage = Outage::begin(world, &[]).await;
    let remount = |how: &str| Command::new("mount").args(["-o", how]).arg(&disk.0).output();
    let refused = remount("remount,ro").expect("mount is installed");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("busy"), "{refused:?}");
    disk.break_down();
    assert!(disk.is_read_only());
    outage.program.says("Read-only file system").await;
    outage.scrapes_go_on().await;
    let mended = remount("remount,rw").expect("mount is installed");
    assert!(!mended.status.success() && disk.is_read_only(), "{mended:?}");
    let Outage { world, program, .. } = outage;
    let served = world.engine.scrapes();
    world.receiver.answer(Answer::Normal);
    world.until_ups(served).await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    assert!(said.contains(" lost_at_exit=0 "), "{said}");
    world.assert_strict();
    world.receiver.read(|state| assert_eq!(state.duplicates, 0));
}

/// Writes succeed, syncs fail, and the kernel forgets the bytes: what was not synced has to be written again.
#[tokio::test]
async fn a_thin_disk_that_takes_bytes_and_cannot_keep_them() {
    let world = World::new().await;
    // Without a journal the bytes of files are the first that it refuses.
    let thin = Mount::tmpfs(&world.path("thin"), "size=16m");
    let _disk = Mount::ext4(&world.path("thin/image"), &world.path("queue"), "^has_journal", "loop");
    let mut outage = Outage::begin(world, &[]).await;
    thin.fill(0);
    outage.program.says("No space left on device").await;
    outage.scrapes_go_on().await;
    thin.empty();
    outage.ends_with_everything().await;
}
