//! A queue's directory as plain bytes, written by the layout that `src/queue/mod.rs` draws and by nothing of the queue's own code; and a
//! script of damage to it.

use std::collections::BTreeMap;
use std::fmt;

/// Bytes in front of a record's payload.
const RECORD_HEADER: usize = 48;
const FILE_HEADER: usize = 16;
/// A sequence far beyond all others, and not so far that a queue could not go on from there (its ceiling is 2^62).
const LATE: u64 = 1 << 60;
const BATCH_HEADER: usize = 28;

/// A record as it was appended, or as it was read.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Appended {
    pub(super) sequence: u64,
    pub(super) samples: u32,
    pub(super) payload: Vec<u8>,
}

/// Without the payload's bytes: a dozen of these stand in one message.
impl fmt::Debug for Appended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, samples, payload } = self;
        write!(f, "{sequence}: {samples} samples, {} bytes, {:08x}", payload.len(), crc32fast::hash(payload))
    }
}

/// The directory, and what was put into it.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) appended: Vec<Appended>,
    pub(super) set: Vec<Vec<u8>>,
    /// A checksum was made to fit what nobody appended.
    pub(super) forged: bool,
}

fn seal(bytes: &mut [u8]) {
    let (body, crc) = bytes.split_at_mut(bytes.len() - 4);
    crc.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
}

fn file_header(magic: &[u8; 8]) -> Vec<u8> {
    let mut bytes = [&magic[..], &1_u32.to_le_bytes(), &[0; 4]].concat();
    seal(&mut bytes);
    bytes
}

fn record(record: &Appended) -> Vec<u8> {
    let mut header = b"\xffRWr".to_vec();
    header.extend_from_slice(&(record.payload.len() as u32).to_le_bytes());
    header.extend_from_slice(&record.sequence.to_le_bytes());
    header.extend_from_slice(&record.samples.to_le_bytes());
    header.extend_from_slice(&(record.samples / 2).to_le_bytes());
    header.extend_from_slice(&1_700_000_000_000_i64.to_le_bytes());
    header.extend_from_slice(&1_700_000_000_500_i64.to_le_bytes());
    header.extend_from_slice(&crc32fast::hash(&record.payload).to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    seal(&mut header);
    [header, record.payload.clone()].concat()
}

fn slot(generation: u64, sequence: u64, entry: u32) -> Vec<u8> {
    let mut slot = [&b"drwc"[..], &1_u32.to_le_bytes(), &generation.to_le_bytes()].concat();
    slot.extend_from_slice(&sequence.to_le_bytes());
    slot.extend_from_slice(&entry.to_le_bytes());
    slot.extend_from_slice(&[0; 4]);
    seal(&mut slot);
    slot
}

fn batch(sequence: u64, whole: u32, changes: &[u8]) -> Vec<u8> {
    let mut header = b"\xffJRn".to_vec();
    header.extend_from_slice(&(changes.len() as u32).to_le_bytes());
    header.extend_from_slice(&sequence.to_le_bytes());
    header.extend_from_slice(&whole.to_le_bytes());
    header.extend_from_slice(&crc32fast::hash(changes).to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    seal(&mut header);
    [header, changes.to_vec()].concat()
}

fn added(entry: &[u8]) -> Vec<u8> {
    [b"+", &(entry.len() as u32).to_le_bytes()[..], entry].concat()
}

pub(super) fn segment_name(first: u64) -> String {
    format!("segment-{first:020}")
}

impl Image {
    /// Three segments of four records, the cursors of two endpoints, a journal of three entries.
    pub(super) fn sound() -> Self {
        let mut image = Self::default();
        for first in [1_u64, 5, 9] {
            let mut segment = file_header(b"drwq-seg");
            for sequence in first..first + 4 {
                let length = (sequence as usize * 37) % 120;
                let payload = (0..length).map(|at| (at as u64 * 31 + sequence * 7) as u8).collect();
                let appended = Appended { sequence, samples: sequence as u32 % 5, payload };
                segment.extend_from_slice(&record(&appended));
                image.appended.push(appended);
            }
            image.files.insert(segment_name(first), segment);
        }
        for (name, sequence, entry) in [("a", 3, 2), ("b", 9, 0)] {
            let mut cursor = vec![0; 1024];
            cursor[512..544].copy_from_slice(&slot(1, sequence - 1, 0));
            cursor[..32].copy_from_slice(&slot(2, sequence, entry));
            image.files.insert(format!("cursor-{name}"), cursor);
        }
        image.set = vec![b"alpha".to_vec(), b"beta".to_vec(), b"gamma".to_vec()];
        let mut journal = file_header(b"drwq-jrn");
        journal.extend_from_slice(&batch(1, 1, &[added(b"alpha"), added(b"beta")].concat()));
        journal.extend_from_slice(&batch(4, 0, &added(b"gamma")));
        image.files.insert("journal-series".to_owned(), journal);
        image
    }

    /// Does to the directory what the script says, to its end.
    pub(super) fn damage(&mut self, script: &[u8]) {
        let mut script = Script(script);
        for _ in 0..64 {
            let Some(action) = script.byte() else { return };
            self.step(action, &mut script);
        }
    }

    fn step(&mut self, action: u8, script: &mut Script<'_>) {
        let name = script.pick(&self.files);
        let Some(bytes) = name.as_ref().and_then(|name| self.files.get_mut(name)) else { return };
        let at = usize::from(script.short()) % (bytes.len() + 1);
        match action % 12 {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (script.0.len() % 8)),
            1 => {
                let text = script.text();
                bytes.iter_mut().skip(at).zip(text).for_each(|(byte, with)| *byte = *with);
            }
            2 => bytes.truncate(at),
            3 => bytes.extend_from_slice(script.text()),
            4 => {
                name.and_then(|name| self.files.remove(&name));
            }
            5 => {
                let copy = bytes.clone();
                let to = match script.byte().unwrap_or(0) % 8 {
                    0 => "journal-series.new".to_owned(),
                    1 => "journal-other".to_owned(),
                    2 => "cursor-gone".to_owned(),
                    3 => segment_name(LATE),
                    4 => "foreign".to_owned(),
                    5..=7 | 8.. => segment_name(u64::from(script.byte().unwrap_or(0) % 16)),
                };
                self.files.insert(to, copy);
            }
            6 | 7 => self.forge_record(&name.unwrap_or_default(), script),
            8 => {
                let (generation, sequence, entry) =
                    (script.number(), script.number(), script.number() as u32);
                // Nor just below the ceiling, where the next record would be beyond it.
                let sequence = if (LATE..=1 << 62).contains(&sequence) { LATE } else { sequence };
                let place = if script.byte().unwrap_or(0) & 1 == 0 { 0 } else { 512 };
                let cursor = self.files.entry("cursor-a".to_owned()).or_default();
                cursor.resize(1024, 0);
                cursor[place..place + 32].copy_from_slice(&slot(generation, sequence, entry));
            }
            9 => {
                let (sequence, whole) = (script.sequence(), u32::from(script.byte().unwrap_or(0) % 3));
                let batch = batch(sequence, whole, script.text());
                self.forged = true;
                self.files.entry("journal-series".to_owned()).or_default().extend_from_slice(&batch);
            }
            // A piece of one file inside another, at the place or in addition.
            10 => {
                let length = usize::from(script.short());
                let piece: Vec<u8> = bytes.iter().skip(at).take(length).copied().collect();
                let Some(other) = script.pick(&self.files).and_then(|name| self.files.get_mut(&name)) else {
                    return;
                };
                let to = usize::from(script.short()) % (other.len() + 1);
                other.splice(to..to, piece);
                other.truncate(64 << 10);
            }
            11.. => {
                let length = usize::from(script.short());
                bytes.drain(at..(at + length).min(bytes.len()));
            }
        }
    }

    /// Writes a number into a header and makes its checksum fit.
    fn forge_record(&mut self, name: &str, script: &mut Script<'_>) {
        let Some(bytes) = self.files.get_mut(name) else { return };
        let nth = usize::from(script.byte().unwrap_or(0)) % 4;
        let (magic, header) = if name.starts_with("journal") {
            (&b"\xffJRn"[..], BATCH_HEADER)
        } else {
            (&b"\xffRWr"[..], RECORD_HEADER)
        };
        let starts = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(magic));
        let Some(start) = starts.clone().nth(nth) else {
            // A file's own header: another version, with a checksum that fits.
            if let Some(header) = bytes.get_mut(..FILE_HEADER) {
                header[8] = script.byte().unwrap_or(0);
                seal(header);
            }
            return;
        };
        let field = usize::from(script.byte().unwrap_or(0));
        let value = script.sequence();
        let Some(header) = bytes.get_mut(start..start + header) else { return };
        match field % 4 {
            0 => header[4..8].copy_from_slice(&(value as u32).to_le_bytes()),
            1 => header[8..16].copy_from_slice(&value.to_le_bytes()),
            2 => header[16..20].copy_from_slice(&(value as u32).to_le_bytes()),
            3.. => header[20..24].copy_from_slice(&(value as u32).to_le_bytes()),
        }
        seal(header);
        self.forged = true;
    }
}

/// Reads a script from its front; past its end everything is zero.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte().unwrap_or(0), self.byte().unwrap_or(0)])
    }

    /// Numbers that stand at an edge, or are small.
    fn number(&mut self) -> u64 {
        match self.byte().unwrap_or(0) {
            small @ 0..=127 => u64::from(small),
            edge @ 128..=191 => (1_u64 << (edge - 128)).wrapping_sub(1),
            edge @ 192..=254 => 1_u64 << (edge - 192),
            255 => u64::MAX,
        }
    }

    /// Not past [`LATE`].
    fn sequence(&mut self) -> u64 {
        self.number().min(LATE)
    }

    /// As many bytes as the next one says.
    fn text(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte().unwrap_or(0)).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        text
    }

    fn pick(&mut self, files: &BTreeMap<String, Vec<u8>>) -> Option<String> {
        let number = usize::from(self.byte().unwrap_or(0));
        files.keys().nth(number % files.len().max(1)).cloned()
    }
}
