//! The room's tests: `recovery` damages files, `cursors` damages and renames cursors, `ledger` checks the counts against a
//! model, `notices` counts the log lines, `retention` reaches the caps, `journal` keeps sets beside the records, `disk` fails and freezes the
//! file system, `floor` fills it, `power_loss` forgets what was not synced, `idle` kills while
//! cursors wait, `raw` packs late, `door` opens and closes.

mod cursors;
mod disk;
mod door;
mod faults;
mod floor;
mod idle;
mod journal;
mod ledger;
mod notices;
mod power;
mod power_loss;
mod raw;
mod recovery;
mod retention;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;

use super::desk::Timing;
use super::files::Directory;
use super::*;
use faults::{FaultyFiles, Sabotage};

/// Long enough for any machine: only a test that fails waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

/// A queue directory whose file system obeys.
struct Home {
    dir: TempDir,
    sabotage: Sabotage,
    max_disk_bytes: u64,
    max_memory_bytes: u64,
    timing: Timing,
}

impl Home {
    /// Nothing is tried again or synced by time alone, so that a test decides what happens when.
    fn new() -> Self {
        let never = Duration::from_secs(3600);
        Self {
            dir: tempfile::tempdir().unwrap(),
            sabotage: Sabotage::default(),
            max_disk_bytes: 64 << 20,
            max_memory_bytes: 16 << 20,
            timing: Timing {
                stall: never,
                retry: never,
                sync: never,
                unreadable: never,
                linger: Duration::ZERO,
                idle_cursor: Duration::ZERO,
            },
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn config(&self) -> Config {
        Config {
            storage: Storage::Disk(self.path().to_owned()),
            max_disk_bytes: self.max_disk_bytes,
            min_free_disk: None,
            max_memory_bytes: self.max_memory_bytes,
        }
    }

    fn open(&self, endpoints: &[&str]) -> Queue {
        let directory = Directory::open(self.path(), DEADLINE).unwrap();
        let files = Box::new(FaultyFiles::new(directory, self.sabotage.clone()));
        Queue::on_disk(&self.config(), &names(endpoints), files, self.timing).unwrap()
    }

    /// Files whose names begin so, sorted.
    fn files(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> =
            entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix)).collect();
        files.sort();
        files
    }
}

fn names(endpoints: &[&str]) -> Vec<String> {
    endpoints.iter().map(|name| (*name).to_owned()).collect()
}

fn in_memory(max_memory_bytes: u64, endpoints: &[&str]) -> Queue {
    let config =
        Config { storage: Storage::Memory, max_disk_bytes: 0, min_free_disk: None, max_memory_bytes };
    Queue::open(&config, &names(endpoints)).unwrap()
}

fn meta(samples: u32) -> RecordMeta {
    RecordMeta { samples, markers: samples / 3, min_timestamp: -5, max_timestamp: 1_700_000_000_000 }
}

/// Bytes that differ from record to record.
fn payload(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

fn at(sequence: u64, entry: u32) -> Position {
    Position { sequence, entry }
}

/// Waits for a condition that another thread brings about.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Until the queue's thread has written everything that it was given: cursors come first, so they are written too.
fn written(queue: &Queue) {
    eventually("everything is on disk", || {
        let desk = queue.shared().lock();
        desk.book.write_due(Duration::ZERO).is_none()
            && !desk.book.has_dirty_cursor()
            && !desk.book.shelf.has_doomed()
    });
}

async fn read_all(queue: &Queue) -> Vec<Record> {
    let mut records = Vec::new();
    let mut from = 0;
    while let Some(record) = queue.read(from).await.unwrap() {
        from = record.sequence + 1;
        records.push(record);
    }
    records
}

fn assert_closes(queue: &Queue, endpoint: usize) {
    let ledger = queue.ledger(endpoint);
    let out = ledger.delivered + ledger.rejected + ledger.expired + ledger.overflowed + ledger.lost_at_exit;
    assert_eq!(ledger.appended + ledger.recovered, out + ledger.pending, "{ledger:?}");
}
