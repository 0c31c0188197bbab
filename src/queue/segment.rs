//! The segment that is being written.

use std::io;

use super::Record;
use super::files::{Files, Handle, Mode};
use super::format::{self, RECORD_HEADER, SEGMENT_HEADER};

const PREFIX: &str = "segment-";
const MAX_SEGMENT_BYTES: u64 = 1 << 20;
/// A sequence that no honest queue reaches: at 1,000 records a second it takes 146 million years.
pub(super) const SEQUENCE_CEILING: u64 = 1 << 62;

/// The file whose first record may have this sequence.
pub(super) fn file_name(first: u64) -> String {
    format!("{PREFIX}{first:020}")
}

/// The sequence in a segment's name.
pub(super) fn first_of(file: &str) -> Option<u64> {
    let digits = file.strip_prefix(PREFIX).filter(|digits| digits.len() == 20)?;
    let first = digits.parse().ok().filter(|first| *first < SEQUENCE_CEILING)?;
    (file_name(first) == file).then_some(first)
}

/// Segments are the unit of retention: eight of them fit below the cap, so that reaching it costs an eighth at most.
pub(super) fn size_limit(max_disk_bytes: u64) -> u64 {
    MAX_SEGMENT_BYTES.min(max_disk_bytes / 8)
}

/// Appends records to the newest segment, and begins the next one when that is full.
pub(super) struct Writer {
    size_limit: u64,
    active: Option<Active>,
    /// A segment of the process before us that ends cleanly: first sequence and length.
    resume: Option<(u64, u64)>,
    /// Rolled, not yet synced.
    rolled: Vec<Box<dyn Handle>>,
    unsynced: bool,
}

struct Active {
    first: u64,
    file: Box<dyn Handle>,
    /// Where the next record goes.
    end: u64,
    /// There may be bytes behind `end` that must not stay.
    ragged: bool,
}

impl Writer {
    pub(super) fn new(size_limit: u64, resume: Option<(u64, u64)>) -> Self {
        Self { size_limit, active: None, resume, rolled: Vec::new(), unsynced: false }
    }

    /// The segment that the next record would go to, if one is open or about to be resumed.
    pub(super) fn current(&self) -> Option<u64> {
        self.active.as_ref().map(|active| active.first).or(self.resume.map(|(first, _)| first))
    }

    /// The segment has been dropped.
    pub(super) fn forget_current(&mut self) {
        self.active = None;
        self.resume = None;
    }

    /// Makes sure that a segment is open which `record` goes to. Returns its name's sequence when it is a new one.
    pub(super) fn prepare(&mut self, files: &dyn Files, record: &Record) -> io::Result<Option<u64>> {
        if let Some((first, end)) = self.resume.take() {
            let file = files.open(&file_name(first), Mode::Update)?;
            self.active = Some(Active { first, file, end, ragged: false });
        }
        if let Some(active) = &mut self.active {
            // Where the cut does not work, the bytes stay, a new segment begins, and recovery steps over them.
            let clean = !active.ragged || active.file.set_len(active.end).is_ok();
            active.ragged = !clean;
            let fits = active.end == SEGMENT_HEADER as u64 || active.end + framed(record) <= self.size_limit;
            if clean && fits {
                return Ok(None);
            }
        }
        self.rolled.extend(self.active.take().map(|active| active.file));
        let name = file_name(record.sequence);
        let file = files.open(&name, Mode::Fresh)?;
        if let Err(error) = file.write_all_at(&format::segment_header(), 0) {
            // Left behind, an empty file would only be reopened and emptied at the retry.
            let _ = files.remove(&name);
            return Err(error);
        }
        let end = SEGMENT_HEADER as u64;
        self.active = Some(Active { first: record.sequence, file, end, ragged: false });
        self.unsynced = true;
        Ok(Some(record.sequence))
    }

    /// Writes the record behind the last one and returns its offset; it counts only after [`Writer::keep`].
    pub(super) fn write(&mut self, record: &Record) -> io::Result<u32> {
        let active = self.active.as_mut().ok_or_else(|| io::Error::other("no segment is open"))?;
        let header = format::record_header(record).ok_or(io::ErrorKind::FileTooLarge)?;
        let offset = u32::try_from(active.end).map_err(|_| io::ErrorKind::FileTooLarge)?;
        active.ragged = true;
        active.file.write_all_at(&header, active.end)?;
        active.file.write_all_at(&record.payload, active.end + RECORD_HEADER as u64)?;
        self.unsynced = true;
        Ok(offset)
    }

    /// The record that was just written stays.
    pub(super) fn keep(&mut self, record: &Record) {
        if let Some(active) = &mut self.active {
            active.end += framed(record);
            active.ragged = false;
        }
    }

    /// Makes what was written outlive a power loss.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        while let Some(file) = self.rolled.last() {
            file.sync()?;
            self.rolled.pop();
        }
        if let Some(active) = &self.active
            && self.unsynced
        {
            active.file.sync()?;
        }
        self.unsynced = false;
        Ok(())
    }

    /// Cuts off what must not stay, as far as the disk allows.
    pub(super) fn finish(&mut self) {
        if let Some(active) = &self.active
            && active.ragged
        {
            let _ = active.file.set_len(active.end);
        }
    }
}

/// Bytes of a record on disk.
pub(super) fn framed(record: &Record) -> u64 {
    (RECORD_HEADER + record.payload.len()) as u64
}
