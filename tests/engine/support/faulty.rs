//! A disk that says no: a file system of ours behind the kernel's FUSE, flat and in memory, whose changes can be refused with any error, and
//! taken again. `mount -o remount,ro` refuses under a file that is open for writing, and a journal that has been aborted never comes back: what
//! turns read-only under a running process and back is a file system whose server decides, as this one does.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request,
    TimeOrNow, WriteFlags,
};

/// 1 GiB that nothing fills: the queue's floor is not what is tested.
const BLOCKS: u64 = 1 << 18;
const BLOCK: u32 = 4096;

/// The kernel asks again each time: what it remembered would hide a change of mind.
const TTL: Duration = Duration::ZERO;

/// Mounted over a directory; unmounted when dropped. Its files live as long as it does, whoever dies that wrote them.
pub(crate) struct FaultyDisk {
    mount_point: PathBuf,
    state: Arc<Mutex<State>>,
    session: Option<BackgroundSession>,
}

#[derive(Default)]
struct State {
    refusal: Refusal,
    refused: u64,
    names: BTreeMap<String, u64>,
    /// A file that is removed while it is open keeps its bytes: they stay, a test is short.
    files: Vec<Stored>,
}

#[derive(Clone, Copy, Default)]
enum Refusal {
    #[default]
    Nothing,
    Changes(Errno),
    Syncs(Errno),
}

#[derive(Default)]
struct Stored {
    bytes: Vec<u8>,
    /// As of the last sync.
    synced: Vec<u8>,
}

impl FaultyDisk {
    /// Over `mount_point`, which is created if it is missing.
    pub(crate) fn mount(mount_point: &Path) -> FaultyDisk {
        fs::create_dir_all(mount_point).expect("the mount point can be made");
        let state = Arc::<Mutex<State>>::default();
        let mut options = fuser::Config::default();
        options.mount_options = vec![MountOption::FSName("faulty".to_owned())];
        let session = fuser::spawn_mount(Server(Arc::clone(&state)), mount_point, &options)
            .expect("root may mount, and /dev/fuse is there");
        FaultyDisk { mount_point: mount_point.to_owned(), state, session: Some(session) }
    }

    /// From now on every change is refused like this; reading goes on.
    pub(crate) fn refuse(&self, errno: Errno) {
        lock(&self.state).refusal = Refusal::Changes(errno);
    }

    /// From now on every sync is refused like this, and takes with it what the file has got since the last one, as a write-back that fails does.
    pub(crate) fn refuse_syncs(&self, errno: Errno) {
        lock(&self.state).refusal = Refusal::Syncs(errno);
    }

    /// Everything works again.
    pub(crate) fn heal(&self) {
        lock(&self.state).refusal = Refusal::Nothing;
    }

    /// How many changes and syncs were refused.
    pub(crate) fn refused(&self) -> u64 {
        lock(&self.state).refused
    }
}

impl Drop for FaultyDisk {
    fn drop(&mut self) {
        // The session's own way is refused while a file is open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.mount_point).output();
        drop(self.session.take());
    }
}

/// A panic of a test poisons it; the files are still true.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn change(&mut self) -> Result<(), Errno> {
        match self.refusal {
            Refusal::Changes(errno) => {
                self.refused += 1;
                Err(errno)
            }
            Refusal::Nothing | Refusal::Syncs(_) => Ok(()),
        }
    }

    fn sync(&mut self, number: INodeNo) -> Result<(), Errno> {
        let refusal = self.refusal;
        let file = match number {
            INodeNo::ROOT => None,
            file => Some(self.file(file)?),
        };
        match refusal {
            Refusal::Nothing => {
                if let Some(file) = file {
                    file.synced.clone_from(&file.bytes);
                }
                Ok(())
            }
            Refusal::Changes(errno) | Refusal::Syncs(errno) => {
                if let Some(file) = file {
                    file.bytes.clone_from(&file.synced);
                }
                self.refused += 1;
                Err(errno)
            }
        }
    }

    fn find(&self, name: &OsStr) -> Result<INodeNo, Errno> {
        let known = name.to_str().and_then(|name| self.names.get(name));
        known.map(|number| INodeNo(*number)).ok_or(Errno::ENOENT)
    }

    /// Numbers begin behind the directory's.
    fn file(&mut self, number: INodeNo) -> Result<&mut Stored, Errno> {
        let index = number.0.checked_sub(INodeNo::ROOT.0 + 1).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.files.get_mut(index)).ok_or(Errno::ENOENT)
    }

    fn attributes(&mut self, number: INodeNo) -> Result<FileAttr, Errno> {
        let (kind, perm, size) = match number {
            INodeNo::ROOT => (FileType::Directory, 0o700, 0),
            file => (FileType::RegularFile, 0o600, self.file(file)?.bytes.len() as u64),
        };
        Ok(FileAttr {
            ino: number,
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        })
    }

    fn create(&mut self, name: &OsStr) -> Result<FileAttr, Errno> {
        self.change()?;
        let name = name.to_str().ok_or(Errno::EINVAL)?.to_owned();
        self.files.push(Stored::default());
        let number = INodeNo::ROOT.0 + self.files.len() as u64;
        self.names.insert(name, number);
        self.attributes(INodeNo(number))
    }

    fn resize(&mut self, number: INodeNo, size: Option<u64>) -> Result<FileAttr, Errno> {
        self.change()?;
        if let Some(size) = size {
            self.file(number)?.bytes.resize(usize::try_from(size).map_err(|_| Errno::EFBIG)?, 0);
        }
        self.attributes(number)
    }

    fn write(&mut self, number: INodeNo, offset: u64, data: &[u8]) -> Result<u32, Errno> {
        self.change()?;
        let file = &mut self.file(number)?.bytes;
        let start = usize::try_from(offset).map_err(|_| Errno::EFBIG)?;
        file.resize(file.len().max(start + data.len()), 0);
        file[start..start + data.len()].copy_from_slice(data);
        u32::try_from(data.len()).map_err(|_| Errno::EFBIG)
    }

    fn rename(&mut self, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
        self.change()?;
        let number = self.find(from)?;
        let to = to.to_str().ok_or(Errno::EINVAL)?.to_owned();
        self.names.retain(|_, other| *other != number.0);
        self.names.insert(to, number.0);
        Ok(())
    }

    fn remove(&mut self, name: &OsStr) -> Result<(), Errno> {
        self.change()?;
        let number = self.find(name)?;
        self.names.retain(|_, other| *other != number.0);
        Ok(())
    }
}

/// The side that the kernel asks.
struct Server(Arc<Mutex<State>>);

/// What [`State`] has decided, in the words of the reply.
macro_rules! answer {
    ($reply:ident, $decided:expr, $good:expr) => {
        match $decided {
            Ok(value) => $good($reply, value),
            Err(errno) => $reply.error(errno),
        }
    };
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut state = lock(&self.0);
        let found = state.find(name).and_then(|number| state.attributes(number));
        answer!(reply, found, |reply: ReplyEntry, found| reply.entry(&TTL, &found, Generation(0)));
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let found = lock(&self.0).attributes(number);
        answer!(reply, found, |reply: ReplyAttr, found| reply.attr(&TTL, &found));
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<std::time::SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<std::time::SystemTime>,
        _chgtime: Option<std::time::SystemTime>,
        _bkuptime: Option<std::time::SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let resized = lock(&self.0).resize(number, size);
        answer!(reply, resized, |reply: ReplyAttr, resized| reply.attr(&TTL, &resized));
    }

    fn open(&self, _: &Request, _: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let opened = match flags.acc_mode() {
            OpenAccMode::O_RDONLY => Ok(()),
            OpenAccMode::O_WRONLY | OpenAccMode::O_RDWR => lock(&self.0).change(),
        };
        answer!(reply, opened, |reply: ReplyOpen, ()| reply.opened(FileHandle(0), FopenFlags::empty()));
    }

    fn create(&self, _: &Request, _: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        let created = lock(&self.0).create(name);
        answer!(reply, created, |reply: ReplyCreate, created| {
            reply.created(&TTL, &created, Generation(0), FileHandle(0), FopenFlags::empty());
        });
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut state = lock(&self.0);
        let read = state.file(number).map(|file| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(file.bytes.len());
            let end = start.saturating_add(size as usize).min(file.bytes.len());
            &file.bytes[start..end]
        });
        answer!(reply, read, |reply: ReplyData, read| reply.data(read));
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = lock(&self.0).write(number, offset, data);
        answer!(reply, written, |reply: ReplyWrite, written| reply.written(written));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let synced = lock(&self.0).sync(number);
        answer!(reply, synced, |reply: ReplyEmpty, ()| reply.ok());
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let synced = lock(&self.0).sync(number);
        answer!(reply, synced, |reply: ReplyEmpty, ()| reply.ok());
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = lock(&self.0);
        let dots =
            [(INodeNo::ROOT.0, FileType::Directory, "."), (INodeNo::ROOT.0, FileType::Directory, "..")];
        let files = state.names.iter().map(|(name, number)| (*number, FileType::RegularFile, name.as_str()));
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, (number, kind, name)) in dots.into_iter().chain(files).enumerate().skip(from) {
            if reply.add(INodeNo(number), index as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = lock(&self.0).remove(name);
        answer!(reply, removed, |reply: ReplyEmpty, ()| reply.ok());
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        from: &OsStr,
        _: INodeNo,
        to: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let renamed = lock(&self.0).rename(from, to);
        answer!(reply, renamed, |reply: ReplyEmpty, ()| reply.ok());
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, 1 << 20, 1 << 20, BLOCK, 255, BLOCK);
    }
}
