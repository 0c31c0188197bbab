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
}

struct Active {
    first: u64,
    file: Box<dyn Handle>,
    /// Where the next record goes.
    end: u64,
    /// There may be bytes behind `end` that must not stay.
    ragged: bool,
    /// A sync has failed. The kernel forgets after that which bytes did not reach the disk, so nothing more is entrusted
    /// to this file. Or the thread has panicked over it.
    spoilt: bool,
}

impl Writer {
    pub(super) fn new(size_limit: u64, resume: Option<(u64, u64)>) -> Self {
        Self { size_limit, active: None, resume }
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

    /// Nobody knows what became of the last write: nothing more is entrusted to the file.
    pub(super) fn distrust(&mut self) {
        if let Some(active) = &mut self.active {
            active.spoilt = true;
        }
    }

    /// Makes sure that a segment is open which `record` goes to. Returns its name's sequence when it is a new one.
    pub(super) fn prepare(&mut self, files: &dyn Files, record: &Record) -> io::Result<Option<u64>> {
        if let Some((first, end)) = self.resume.take() {
            let file = files.open(&file_name(first), Mode::Update)?;
            self.active = Some(Active { first, file, end, ragged: false, spoilt: false });
        }
        if let Some(active) = &mut self.active {
            // Where the cut does not work, the bytes stay, a new segment begins, and recovery steps over them.
            let clean = !active.ragged || active.file.set_len(active.end).is_ok();
            active.ragged = !clean;
            let fits = active.end == SEGMENT_HEADER as u64 || active.end + framed(record) <= self.size_limit;
            if clean && fits && !active.spoilt {
                return Ok(None);
            }
        }
        self.active = None;
        let name = file_name(record.sequence);
        let file = files.open(&name, Mode::Fresh)?;
        if let Err(error) = file.write_all_at(&format::segment_header(), 0) {
            // Left behind, an empty file would only be reopened and emptied at the retry.
            let _ = files.remove(&name);
            return Err(error);
        }
        let end = SEGMENT_HEADER as u64;
        self.active = Some(Active { first: record.sequence, file, end, ragged: false, spoilt: false });
        Ok(Some(record.sequence))
    }

    /// How many of these records go into one segment, in which the first of them is going to be.
    pub(super) fn fitting(&self, batch: &[Record]) -> usize {
        let active = self.active.as_ref().filter(|active| !active.spoilt).map(|active| active.end);
        let current = active.or(self.resume.map(|(_, end)| end));
        let fits = |end: &u64| batch.first().is_some_and(|first| end + framed(first) <= self.size_limit);
        let mut end = current.filter(fits).unwrap_or(SEGMENT_HEADER as u64);
        let ends = batch.iter().take_while(|record| {
            end += framed(record);
            end <= self.size_limit
        });
        ends.count().max(1)
    }

    /// Writes records behind the last one, as many as the disk lets, and returns the offset of each; they count only after
    /// [`Writer::keep`].
    pub(super) fn write(&mut self, batch: &[Record]) -> (Vec<u32>, io::Result<()>) {
        let mut offsets = Vec::with_capacity(batch.len());
        let Some(active) = self.active.as_mut() else {
            return (offsets, Err(io::Error::other("no segment is open")));
        };
        let mut end = active.end;
        for record in batch {
            active.ragged = true;
            match write_at(&*active.file, record, end) {
                Ok(offset) => offsets.push(offset),
                Err(error) => return (offsets, Err(error)),
            }
            end += framed(record);
        }
        (offsets, Ok(()))
    }

    /// Everything before `end` stays.
    pub(super) fn keep(&mut self, end: u64, all: bool) {
        if let Some(active) = &mut self.active {
            active.end = end;
            active.ragged = !all;
        }
    }

    /// Makes what was written outlive a power loss.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        let synced = active.file.sync();
        active.spoilt |= synced.is_err();
        synced
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

fn write_at(file: &dyn Handle, record: &Record, at: u64) -> io::Result<u32> {
    let header = format::record_header(record).ok_or(io::ErrorKind::FileTooLarge)?;
    let offset = u32::try_from(at).map_err(|_| io::ErrorKind::FileTooLarge)?;
    file.write_all_at(&header, at)?;
    file.write_all_at(&record.payload, at + RECORD_HEADER as u64)?;
    Ok(offset)
}

/// Bytes of a record on disk.
pub(super) fn framed(record: &Record) -> u64 {
    (RECORD_HEADER + record.payload.len()) as u64
}
