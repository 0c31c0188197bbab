//! A file system in memory whose power fails: what was not synced is kept or lost at random, sector by sector and name by name.
//!
//! Stricter than the file systems of the day, on purpose: only a sync of the file keeps its bytes and its length, only a sync of the
//! directory keeps creations and removals, and what was not synced survives in any combination.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::super::files::{Files, Handle, Mode};
use super::super::floor::Space;

const SECTOR: usize = 512;

/// One disk, shared by the test and the process that uses it.
#[derive(Clone, Default)]
pub(super) struct PowerFiles(Arc<Mutex<Disk>>);

#[derive(Clone, Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    /// As a power loss would find it, and what has happened since, in order.
    durable_names: BTreeMap<String, usize>,
    pending: Vec<Entry>,
    operations: u64,
    /// The power fails just before this operation.
    cut: Option<u64>,
    /// What was there at that moment.
    image: Option<Box<Disk>>,
}

#[derive(Clone, Default)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone)]
enum Entry {
    Link(String, usize),
    Unlink(String),
    /// Both names at once, or neither.
    Rename(String, String, usize),
}

struct PowerHandle {
    disk: Arc<Mutex<Disk>>,
    inode: usize,
}

impl PowerFiles {
    /// The power fails after `operations` more of them; until [`PowerFiles::lose`] nobody notices.
    pub(super) fn cut_after(&self, operations: u64) {
        let mut disk = self.0.lock().unwrap();
        disk.cut = Some(disk.operations + operations);
        disk.image = None;
    }

    pub(super) fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    /// The disk that a new process finds: as of the cut, or of now if it has not come yet.
    pub(super) fn lose(&self, seed: u64) -> PowerFiles {
        let mut disk = self.0.lock().unwrap().clone();
        if let Some(image) = disk.image.take() {
            disk = *image;
        }
        disk.lose(&mut Coin(seed | 1));
        PowerFiles(Arc::new(Mutex::new(disk)))
    }

    fn operate<T>(&self, work: impl FnOnce(&mut Disk) -> T) -> T {
        operate(&self.0, work)
    }
}

fn operate<T>(disk: &Mutex<Disk>, work: impl FnOnce(&mut Disk) -> T) -> T {
    let mut disk = disk.lock().unwrap();
    if disk.cut == Some(disk.operations) && disk.image.is_none() {
        disk.image = Some(Box::new(disk.clone()));
    }
    disk.operations += 1;
    work(&mut disk)
}

impl Disk {
    fn lose(&mut self, coin: &mut Coin) {
        for entry in std::mem::take(&mut self.pending) {
            if coin.tails() {
                continue;
            }
            match entry {
                Entry::Link(name, inode) => _ = self.durable_names.insert(name, inode),
                Entry::Unlink(name) => _ = self.durable_names.remove(&name),
                Entry::Rename(from, to, inode) => {
                    self.durable_names.remove(&from);
                    self.durable_names.insert(to, inode);
                }
            }
        }
        self.names = self.durable_names.clone();
        for inode in &mut self.inodes {
            inode.lose(coin);
        }
        (self.cut, self.image) = (None, None);
    }
}

impl Inode {
    fn change(&mut self, change: Change) {
        apply(&mut self.bytes, &change);
        self.pending.push(change);
    }

    fn lose(&mut self, coin: &mut Coin) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                Change::Length(_) if coin.tails() => {}
                Change::Length(length) => apply(&mut self.durable, &Change::Length(length)),
                Change::Write { offset, bytes } => {
                    // A length that is known before the bytes are there: zeroes.
                    if !coin.tails() {
                        let length = self.durable.len().max(offset + bytes.len());
                        apply(&mut self.durable, &Change::Length(length));
                    }
                    self.keep_sectors(offset, &bytes, coin);
                }
            }
        }
        self.bytes = self.durable.clone();
    }

    fn keep_sectors(&mut self, offset: usize, bytes: &[u8], coin: &mut Coin) {
        let mut at = offset;
        while at < offset + bytes.len() {
            let end = ((at / SECTOR + 1) * SECTOR).min(offset + bytes.len());
            if !coin.tails() {
                let sector = bytes[at - offset..end - offset].to_vec();
                apply(&mut self.durable, &Change::Write { offset: at, bytes: sector });
            }
            at = end;
        }
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => content.resize(*length, 0),
        Change::Write { offset, bytes } => {
            let end = offset + bytes.len();
            content.resize(content.len().max(end), 0);
            content[*offset..end].copy_from_slice(bytes);
        }
    }
}

/// Half of the losses are random, a quarter each lose or keep everything.
struct Coin(u64);

impl Coin {
    fn tails(&mut self) -> bool {
        match self.0 % 8 {
            1 => return true,
            3 => return false,
            _ => {}
        }
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The low bits say what kind of loss this is, so they stay.
        self.0 = self.0 & !7 | 5;
        self.0 >> 40 & 1 == 1
    }
}

impl Files for PowerFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        self.operate(|disk| Ok(disk.names.keys().cloned().collect()))
    }

    fn open(&self, name: &str, mode: Mode) -> io::Result<Box<dyn Handle>> {
        let inode = self.operate(|disk| {
            let known = disk.names.get(name).copied();
            let inode = match (known, mode) {
                (Some(inode), Mode::Read | Mode::Update) => inode,
                (Some(inode), Mode::Fresh) => {
                    disk.inodes[inode].change(Change::Length(0));
                    inode
                }
                (None, Mode::Read) => return Err(io::Error::from(io::ErrorKind::NotFound)),
                (None, Mode::Update | Mode::Fresh) => {
                    disk.inodes.push(Inode::default());
                    let inode = disk.inodes.len() - 1;
                    disk.names.insert(name.to_owned(), inode);
                    disk.pending.push(Entry::Link(name.to_owned(), inode));
                    inode
                }
            };
            Ok(inode)
        })?;
        Ok(Box::new(PowerHandle { disk: Arc::clone(&self.0), inode }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operate(|disk| {
            disk.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
            disk.pending.push(Entry::Unlink(name.to_owned()));
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.operate(|disk| {
            let inode = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            disk.names.insert(to.to_owned(), inode);
            disk.pending.push(Entry::Rename(from.to_owned(), to.to_owned(), inode));
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.operate(|disk| {
            disk.durable_names = disk.names.clone();
            disk.pending.clear();
            Ok(())
        })
    }

    fn space(&self) -> io::Result<Space> {
        Ok(Space { available: 1 << 40, total: 1 << 40 })
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/power").join(name)
    }
}

impl PowerHandle {
    fn with<T>(&self, work: impl FnOnce(&mut Inode) -> T) -> T {
        operate(&self.disk, |disk| work(&mut disk.inodes[self.inode]))
    }
}

impl Handle for PowerHandle {
    fn len(&self) -> io::Result<u64> {
        self.with(|inode| Ok(inode.bytes.len() as u64))
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|inode| {
            let from = offset as usize;
            let bytes = inode.bytes.get(from..from + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|inode| {
            inode.change(Change::Write { offset: offset as usize, bytes: bytes.to_vec() });
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.with(|inode| {
            inode.change(Change::Length(length as usize));
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|inode| {
            inode.durable = inode.bytes.clone();
            inode.pending.clear();
            Ok(())
        })
    }
}
