//! The bytes of a journal's file; the layout is drawn in the room's `mod.rs`.

use std::collections::BTreeSet;

use memchr::memmem;

use super::super::format::{FileHeader, is_sealed, seal, u32_at, u64_at};
use super::changes::{Change, read};

/// Bytes in front of the first batch.
pub(in crate::queue) const FILE_HEADER: usize = 16;
/// Bytes in front of a batch's changes.
pub(in crate::queue) const BATCH_HEADER: usize = 28;

const FILE_MAGIC: [u8; 8] = *b"drwq-jrn";
const VERSION: u32 = 1;
/// Starts with a byte that no UTF-8 text contains, so that label text does not slow a resync down.
const BATCH_MAGIC: [u8; 4] = *b"\xffJRn";
const CHANGES: u32 = 0;
const WHOLE: u32 = 1;

/// What is in a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::queue) struct Scan {
    pub(in crate::queue) entries: BTreeSet<Vec<u8>>,
    /// Where the next batch may be written; 0 where the file has to begin anew.
    pub(in crate::queue) end: u64,
    /// Behind the last batch that counts; the same as `end`, but where the file's header is damaged.
    pub(in crate::queue) readable: u64,
    /// Bytes behind `readable` that were not written to their end, or whose header is gone.
    pub(in crate::queue) torn_bytes: u64,
    /// Bytes behind `readable` of batches whose record did not come to be.
    pub(in crate::queue) unborn_bytes: u64,
    /// The newest sequence of any batch.
    pub(in crate::queue) newest: u64,
    /// Damaged places with something readable behind them; a damaged or unknown file header.
    pub(in crate::queue) damaged: u64,
}

struct Batch<'a> {
    sequence: u64,
    whole: bool,
    /// None: damaged.
    changes: Option<&'a [u8]>,
    framed: usize,
}

pub(in crate::queue) fn file_header() -> [u8; FILE_HEADER] {
    let mut bytes = [0; FILE_HEADER];
    bytes[..8].copy_from_slice(&FILE_MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    seal(&mut bytes);
    bytes
}

/// A batch with its header; `None` for more than a u32 can measure.
pub(in crate::queue) fn batch(sequence: u64, whole: bool, changes: &[u8]) -> Option<Vec<u8>> {
    let mut header = [0; BATCH_HEADER];
    header[..4].copy_from_slice(&BATCH_MAGIC);
    header[4..8].copy_from_slice(&u32::try_from(changes.len()).ok()?.to_le_bytes());
    header[8..16].copy_from_slice(&sequence.to_le_bytes());
    header[16..20].copy_from_slice(&if whole { WHOLE } else { CHANGES }.to_le_bytes());
    header[20..24].copy_from_slice(&crc32fast::hash(changes).to_le_bytes());
    seal(&mut header);
    Some([&header, changes].concat())
}

/// Plays a file's batches through. Those from sequence `unborn` on are changes of records that never came to be.
pub(in crate::queue) fn scan(bytes: &[u8], unborn: u64) -> Scan {
    let mut found = Scan::default();
    let mut at = FILE_HEADER;
    match file_kind(bytes) {
        FileHeader::Current => found.end = at as u64,
        FileHeader::Unknown(_) => {
            found.damaged = 1;
            return found;
        }
        FileHeader::Damaged if bytes.len() < FILE_HEADER => {
            found.torn_bytes = bytes.len() as u64;
            return found;
        }
        // What follows may be good; but nothing is written behind a header that nobody reads.
        FileHeader::Damaged => found.damaged = 1,
    }
    found.readable = at as u64;
    while at < bytes.len() {
        match batch_at(bytes, at) {
            Some(batch) if !batch.whole && batch.sequence >= unborn => {
                found.unborn_bytes = (bytes.len() - at) as u64;
                break;
            }
            Some(batch) => {
                found.newest = found.newest.max(batch.sequence);
                match batch.changes {
                    Some(changes) => found.play(batch.whole, changes),
                    None => found.damaged += 1,
                }
                at += batch.framed;
                found.readable = at as u64;
                found.end = if found.end > 0 { found.readable } else { 0 };
            }
            None => match resync(bytes, at + 1) {
                Some(next) => {
                    found.damaged += 1;
                    at = next;
                }
                None => {
                    found.torn_bytes = (bytes.len() - at) as u64;
                    break;
                }
            },
        }
    }
    found
}

impl Scan {
    fn play(&mut self, whole: bool, changes: &[u8]) {
        if whole {
            self.entries.clear();
        }
        for change in read(changes) {
            match change {
                Change::Added(entry) => {
                    self.entries.insert(entry.to_vec());
                }
                Change::Removed(entry) => {
                    self.entries.remove(entry);
                }
            }
        }
    }
}

fn file_kind(bytes: &[u8]) -> FileHeader {
    let Some(header) = bytes.get(..FILE_HEADER) else { return FileHeader::Damaged };
    if header[..8] != FILE_MAGIC || !is_sealed(header) {
        return FileHeader::Damaged;
    }
    match u32_at(header, 8) {
        VERSION => FileHeader::Current,
        version => FileHeader::Unknown(version),
    }
}

fn batch_at(bytes: &[u8], at: usize) -> Option<Batch<'_>> {
    let header = bytes.get(at..at + BATCH_HEADER)?;
    if header[..4] != BATCH_MAGIC || !is_sealed(header) {
        return None;
    }
    let whole = match u32_at(header, 16) {
        CHANGES => false,
        WHOLE => true,
        _ => return None,
    };
    let framed = BATCH_HEADER + u32_at(header, 4) as usize;
    let changes = bytes.get(at + BATCH_HEADER..at + framed)?;
    let intact = crc32fast::hash(changes) == u32_at(header, 20);
    Some(Batch { sequence: u64_at(header, 8), whole, changes: intact.then_some(changes), framed })
}

fn resync(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    memmem::find_iter(rest, &BATCH_MAGIC).map(|hit| from + hit).find(|at| batch_at(bytes, *at).is_some())
}
