//! The bytes of segments and cursors: encode, decode, scan. Pure; the layout itself is drawn in the room's `mod.rs`.

use std::ops::Range;

use memchr::memmem;

use super::{Position, Record, RecordMeta};

/// Bytes in front of the first record of a segment.
pub(super) const SEGMENT_HEADER: usize = 16;
/// Bytes in front of a record's payload.
pub(super) const RECORD_HEADER: usize = 48;
/// Bytes of one cursor slot.
pub(super) const SLOT: usize = 32;

const SEGMENT_MAGIC: [u8; 8] = *b"drwq-seg";
const SEGMENT_VERSION: u32 = 1;
/// Starts with a byte that no UTF-8 text contains, so that label text does not slow a resync down.
const RECORD_MAGIC: [u8; 4] = *b"\xffRWr";
const SLOT_MAGIC: [u8; 4] = *b"drwc";
const SLOT_VERSION: u32 = 1;

/// What the first bytes of a segment say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileHeader {
    /// Ours, and of this version.
    Current,
    /// Intact, of a version that this program does not know.
    Unknown(u32),
    /// Too short, or its checksum does not fit.
    Damaged,
}

/// The fixed part in front of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) sequence: u64,
    pub(super) meta: RecordMeta,
    /// Bytes of payload.
    pub(super) length: u32,
    payload_crc: u32,
}

/// A readable record inside a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) header: RecordHeader,
    /// Of the header, from the start of the file.
    pub(super) offset: usize,
}

/// What a segment holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) records: Vec<Found>,
    /// One past the largest sequence that an intact header claims, of damaged records too: it must not be used again here.
    pub(super) next: u64,
    /// Where the next record may be appended: behind the last whole record.
    pub(super) end: usize,
    /// Bytes behind `end`: a record that was not written to its end, or one whose header is gone.
    pub(super) torn_bytes: usize,
    /// Damaged places that have something readable or at least a whole record's frame behind them.
    pub(super) damaged_records: u64,
    pub(super) damaged_bytes: u64,
    /// Samples of damaged records, where their header could still be read.
    pub(super) damaged_samples: u64,
}

enum Piece {
    Record(RecordHeader),
    /// The header is good, the payload is complete and does not fit its checksum.
    Spoilt(RecordHeader),
    /// No header here, or one whose payload ends beyond the file.
    Nothing,
}

pub(super) fn segment_header() -> [u8; SEGMENT_HEADER] {
    let mut bytes = [0; SEGMENT_HEADER];
    bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
    bytes[8..12].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
    seal(&mut bytes);
    bytes
}

pub(super) fn read_segment_header(bytes: &[u8]) -> FileHeader {
    let Some(header) = bytes.get(..SEGMENT_HEADER) else { return FileHeader::Damaged };
    if header[..8] != SEGMENT_MAGIC || !is_sealed(header) {
        return FileHeader::Damaged;
    }
    match u32_at(header, 8) {
        SEGMENT_VERSION => FileHeader::Current,
        version => FileHeader::Unknown(version),
    }
}

/// The header of a record; `None` for a payload that a u32 cannot measure.
pub(super) fn record_header(record: &Record) -> Option<[u8; RECORD_HEADER]> {
    let length = u32::try_from(record.payload.len()).ok()?;
    let mut bytes = [0; RECORD_HEADER];
    bytes[..4].copy_from_slice(&RECORD_MAGIC);
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes[8..16].copy_from_slice(&record.sequence.to_le_bytes());
    bytes[16..20].copy_from_slice(&record.meta.samples.to_le_bytes());
    bytes[20..24].copy_from_slice(&record.meta.markers.to_le_bytes());
    bytes[24..32].copy_from_slice(&record.meta.min_timestamp.to_le_bytes());
    bytes[32..40].copy_from_slice(&record.meta.max_timestamp.to_le_bytes());
    bytes[40..44].copy_from_slice(&crc32fast::hash(&record.payload).to_le_bytes());
    seal(&mut bytes);
    Some(bytes)
}

/// `None` where there is no intact header.
pub(super) fn read_record_header(bytes: &[u8]) -> Option<RecordHeader> {
    let header = bytes.get(..RECORD_HEADER)?;
    if header[..4] != RECORD_MAGIC || !is_sealed(header) {
        return None;
    }
    let meta = RecordMeta {
        samples: u32_at(header, 16),
        markers: u32_at(header, 20),
        min_timestamp: u64_at(header, 24).cast_signed(),
        max_timestamp: u64_at(header, 32).cast_signed(),
    };
    Some(RecordHeader {
        sequence: u64_at(header, 8),
        meta,
        length: u32_at(header, 4),
        payload_crc: u32_at(header, 40),
    })
}

impl RecordHeader {
    /// Whether these are the bytes that were written behind this header.
    pub(super) fn fits(&self, payload: &[u8]) -> bool {
        payload.len() == self.length as usize && crc32fast::hash(payload) == self.payload_crc
    }

    /// Header and payload, in bytes.
    pub(super) fn framed(&self) -> usize {
        RECORD_HEADER + self.length as usize
    }
}

/// Finds every readable record of a segment's bytes (its file header included), stepping over what is damaged.
/// Only sequences inside `allowed` are taken, ascending: what lies outside was not written here by us.
pub(super) fn scan(bytes: &[u8], allowed: Range<u64>) -> Scan {
    let mut found = Scan::default();
    let mut allowed = allowed;
    let mut at = SEGMENT_HEADER.min(bytes.len());
    if read_segment_header(bytes) == FileHeader::Damaged && bytes.len() > SEGMENT_HEADER {
        found.damaged_records += 1;
        found.damaged_bytes += SEGMENT_HEADER as u64;
    }
    found.end = at;
    while at < bytes.len() {
        match piece(bytes, at, &allowed) {
            Piece::Record(header) => {
                found.records.push(Found { header, offset: at });
                allowed.start = header.sequence + 1;
                at += header.framed();
                found.end = at;
            }
            Piece::Spoilt(header) => {
                found.damaged_records += 1;
                found.damaged_bytes += header.framed() as u64;
                found.damaged_samples += u64::from(header.meta.samples);
                allowed.start = header.sequence + 1;
                at += header.framed();
                found.end = at;
            }
            Piece::Nothing => match resync(bytes, at + 1, &allowed) {
                Some(next) => {
                    found.damaged_records += 1;
                    found.damaged_bytes += (next - at) as u64;
                    at = next;
                }
                None => {
                    found.torn_bytes = bytes.len() - at;
                    break;
                }
            },
        }
    }
    found.next = allowed.start;
    found
}

fn piece(bytes: &[u8], at: usize, allowed: &Range<u64>) -> Piece {
    let Some(header) = bytes.get(at..).and_then(read_record_header) else { return Piece::Nothing };
    if !allowed.contains(&header.sequence) {
        return Piece::Nothing;
    }
    match bytes.get(at + RECORD_HEADER..at + header.framed()) {
        Some(payload) if header.fits(payload) => Piece::Record(header),
        Some(_) => Piece::Spoilt(header),
        None => Piece::Nothing,
    }
}

/// The next offset, from `from` on, where a whole record stands.
fn resync(bytes: &[u8], from: usize, allowed: &Range<u64>) -> Option<usize> {
    let rest = bytes.get(from..)?;
    memmem::find_iter(rest, &RECORD_MAGIC).map(|hit| from + hit).find(|at| match piece(bytes, *at, allowed) {
        Piece::Record(_) | Piece::Spoilt(_) => true,
        Piece::Nothing => false,
    })
}

/// One slot of a cursor file.
pub(super) fn slot(generation: u64, position: Position) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    bytes[..4].copy_from_slice(&SLOT_MAGIC);
    bytes[4..8].copy_from_slice(&SLOT_VERSION.to_le_bytes());
    bytes[8..16].copy_from_slice(&generation.to_le_bytes());
    bytes[16..24].copy_from_slice(&position.sequence.to_le_bytes());
    bytes[24..28].copy_from_slice(&position.entry.to_le_bytes());
    seal(&mut bytes);
    bytes
}

/// Generation and position; `None` for a slot that was never written, was torn, or is of another version.
pub(super) fn read_slot(bytes: &[u8]) -> Option<(u64, Position)> {
    let slot = bytes.get(..SLOT)?;
    if slot[..4] != SLOT_MAGIC || u32_at(slot, 4) != SLOT_VERSION || !is_sealed(slot) {
        return None;
    }
    Some((u64_at(slot, 8), Position { sequence: u64_at(slot, 16), entry: u32_at(slot, 24) }))
}

/// The last four bytes become the checksum of all bytes before them.
pub(super) fn seal(bytes: &mut [u8]) {
    let (body, crc) = bytes.split_at_mut(bytes.len() - 4);
    crc.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
}

pub(super) fn is_sealed(bytes: &[u8]) -> bool {
    let (body, _) = bytes.split_at(bytes.len() - 4);
    u32_at(bytes, bytes.len() - 4) == crc32fast::hash(body)
}

/// The caller has checked the length.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// The caller has checked the length.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
