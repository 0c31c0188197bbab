//! The queue's directory as its layout is written down (src/queue/mod.rs), read by code of its own, and how disks spoil it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Instant;

use docker_remote_write::queue::{Position, RecordMeta};

use super::dice::Dice;
use super::key::{Key, keys_of_record};
use super::model::ENDPOINTS;
use super::{DEADLINE, NAMES};

const SEGMENT_HEADER: usize = 16;
const RECORD_HEADER: usize = 48;
const SLOT: usize = 32;
const SLOTS: [usize; 2] = [0, 512];

/// A record that can be read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OnDisk {
    pub(super) meta: RecordMeta,
    pub(super) samples: Vec<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    Missing,
    Unreadable,
    At(Position),
}

/// All that can be read.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) records: BTreeMap<u64, OnDisk>,
    pub(super) cursors: [Cursor; ENDPOINTS],
}

impl Disk {
    pub(super) fn read(dir: &Path) -> Self {
        let mut records = BTreeMap::new();
        for path in segments(dir) {
            let segment = fs::read(path).unwrap();
            read_segment(&segment, &mut records);
        }
        Self { records, cursors: cursors(dir) }
    }
}

pub(super) fn segments(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = dir.read_dir() else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_segment = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.strip_prefix("segment-").is_some_and(|digits| digits.len() == 20)
    };
    let mut segments: Vec<_> = paths.filter(is_segment).collect();
    segments.sort();
    segments
}

/// Every place where a whole record stands, however it is reached.
fn read_segment(bytes: &[u8], records: &mut BTreeMap<u64, OnDisk>) {
    let mut at = SEGMENT_HEADER;
    while at + RECORD_HEADER <= bytes.len() {
        match read_record(&bytes[at..]) {
            Some((sequence, record, length)) => {
                records.insert(sequence, record);
                at += length;
            }
            None => at += 1,
        }
    }
}

fn read_record(bytes: &[u8]) -> Option<(u64, OnDisk, usize)> {
    if bytes[..4] != *b"\xffRWr" || u32_at(bytes, 44) != crc32fast::hash(&bytes[..44]) {
        return None;
    }
    let payload = bytes.get(RECORD_HEADER..RECORD_HEADER + u32_at(bytes, 4) as usize)?;
    if u32_at(bytes, 40) != crc32fast::hash(payload) {
        return None;
    }
    let meta = RecordMeta {
        samples: u32_at(bytes, 16),
        markers: u32_at(bytes, 20),
        min_timestamp: u64_at(bytes, 24).cast_signed(),
        max_timestamp: u64_at(bytes, 32).cast_signed(),
    };
    let record = OnDisk { meta, samples: keys_of_record(payload) };
    Some((u64_at(bytes, 8), record, RECORD_HEADER + payload.len()))
}

/// What the endpoints' cursor files say.
pub(super) fn cursors(dir: &Path) -> [Cursor; ENDPOINTS] {
    NAMES.map(|name| cursor(dir, name))
}

/// What one endpoint's cursor file says.
pub(super) fn cursor(dir: &Path, endpoint: &str) -> Cursor {
    let Ok(bytes) = fs::read(cursor_file(dir, endpoint)) else { return Cursor::Missing };
    let slots = SLOTS.iter().filter_map(|at| read_slot(bytes.get(*at..*at + SLOT)?));
    let newest = slots.max_by_key(|(generation, _)| *generation);
    newest.map_or(Cursor::Unreadable, |(_, position)| Cursor::At(position))
}

fn cursor_file(dir: &Path, endpoint: &str) -> PathBuf {
    dir.join(format!("cursor-{endpoint}"))
}

fn read_slot(slot: &[u8]) -> Option<(u64, Position)> {
    let whole = slot[..4] == *b"drwc" && u32_at(slot, 28) == crc32fast::hash(&slot[..28]);
    whole.then(|| (u64_at(slot, 8), Position { sequence: u64_at(slot, 16), entry: u32_at(slot, 24) }))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Waits until the process before has let go, as its lock tells, and keeps others out.
pub(super) fn lock(dir: &Path) -> File {
    let lock = OpenOptions::new().write(true).open(dir.join("lock")).unwrap();
    let start = Instant::now();
    while lock.try_lock().is_err() {
        assert!(start.elapsed() < DEADLINE, "the queue that was left is still locked");
        std::thread::yield_now();
    }
    lock
}

/// What a kill, a power loss or a bad disk leaves behind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Damage {
    /// The newest segment ends somewhere else.
    TornTail,
    /// The last bytes of the newest segment were never written, though its length was.
    ZeroTail,
    /// Bytes that are no record behind the last one.
    GarbageTail,
    /// One bit of any segment.
    Flip,
    LostSegment,
    /// The newest write of a cursor is gone.
    OldSlot(usize),
    BothSlots(usize),
    LostCursor(usize),
    ForeignFile,
}

impl Damage {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let endpoint = dice.below(ENDPOINTS);
        dice.weighted(&[
            (6, Self::TornTail),
            (3, Self::ZeroTail),
            (3, Self::GarbageTail),
            (6, Self::Flip),
            (1, Self::LostSegment),
            (3, Self::OldSlot(endpoint)),
            (1, Self::BothSlots(endpoint)),
            (1, Self::LostCursor(endpoint)),
            (1, Self::ForeignFile),
        ])
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::TornTail => "torn tail",
            Self::ZeroTail => "tail of zeroes",
            Self::GarbageTail => "garbage behind the tail",
            Self::Flip => "flipped bit",
            Self::LostSegment => "lost segment",
            Self::OldSlot(_) => "cursor's newest slot lost",
            Self::BothSlots(_) => "cursor unreadable",
            Self::LostCursor(_) => "cursor file lost",
            Self::ForeignFile => "foreign file",
        }
    }

    /// The endpoint whose cursor it moves.
    pub(super) fn rewinds(self) -> Option<usize> {
        match self {
            Self::OldSlot(endpoint) | Self::BothSlots(endpoint) | Self::LostCursor(endpoint) => {
                Some(endpoint)
            }
            Self::TornTail
            | Self::ZeroTail
            | Self::GarbageTail
            | Self::Flip
            | Self::LostSegment
            | Self::ForeignFile => None,
        }
    }

    pub(super) fn inflict(self, dir: &Path, dice: &mut Dice) {
        let segments = segments(dir);
        match self {
            Self::TornTail => edit(segments.last(), |bytes| bytes.truncate(dice.below(bytes.len() + 1))),
            Self::ZeroTail => edit(segments.last(), |bytes| {
                let from = bytes.len() - dice.below(bytes.len().min(3_000) + 1);
                bytes[from..].fill(0);
            }),
            Self::GarbageTail => edit(segments.last(), |bytes| {
                let garbage = dice.below(100);
                bytes.extend((0..garbage).map(|_| dice.roll().to_le_bytes()[0]));
            }),
            Self::Flip if segments.is_empty() => {}
            Self::Flip => edit(Some(&segments[dice.below(segments.len())]), |bytes| flip(bytes, dice)),
            Self::LostSegment if segments.is_empty() => {}
            Self::LostSegment => fs::remove_file(&segments[dice.below(segments.len())]).unwrap(),
            Self::OldSlot(endpoint) => edit(Some(&cursor_file(dir, NAMES[endpoint])), |bytes| {
                let slot = |at: usize| bytes.get(at..at + SLOT).and_then(read_slot).map(|slot| (slot.0, at));
                if let Some((_, newest)) = SLOTS.into_iter().filter_map(slot).max() {
                    bytes[newest..newest + SLOT].fill(0);
                }
            }),
            Self::BothSlots(endpoint) => edit(Some(&cursor_file(dir, NAMES[endpoint])), |bytes| {
                for at in SLOTS {
                    if let Some(slot) = bytes.get_mut(at..at + SLOT) {
                        flip(slot, dice);
                    }
                }
            }),
            Self::LostCursor(endpoint) => {
                let _ = fs::remove_file(cursor_file(dir, NAMES[endpoint]));
            }
            Self::ForeignFile => fs::write(dir.join("segment-notes.txt"), "not the queue's").unwrap(),
        }
    }
}

fn edit(path: Option<&PathBuf>, change: impl FnOnce(&mut Vec<u8>)) {
    let Some(path) = path else { return };
    let Ok(mut bytes) = fs::read(path) else { return };
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn flip(bytes: &mut [u8], dice: &mut Dice) {
    if !bytes.is_empty() {
        bytes[dice.below(bytes.len())] ^= 1 << dice.below(8);
    }
}
