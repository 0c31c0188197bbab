//! What the queue holds, one small entry for each record, wherever its payload is.

use std::collections::VecDeque;

use super::Position;

/// 32 bytes: a full default disk cap (256 MiB) of engine scrapes (about 20 kB each) costs 0.4 MiB of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) sequence: u64,
    /// Ms since the epoch.
    pub(super) min_timestamp: i64,
    pub(super) samples: u32,
    /// Bytes of payload.
    pub(super) length: u32,
    /// Of the record's header inside its segment; means nothing before the record is on disk.
    pub(super) offset: u32,
}

/// Entries in ascending order of sequence, gaps allowed.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: VecDeque<Entry>,
}

impl Index {
    /// `entry.sequence` must be larger than any before it.
    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&Entry> {
        self.first_from(sequence).filter(|entry| entry.sequence == sequence)
    }

    pub(super) fn get_mut(&mut self, sequence: u64) -> Option<&mut Entry> {
        let at = self.at(sequence);
        self.entries.get_mut(at).filter(|entry| entry.sequence == sequence)
    }

    /// The first entry with this sequence or a later one.
    pub(super) fn first_from(&self, sequence: u64) -> Option<&Entry> {
        self.entries.get(self.at(sequence))
    }

    pub(super) fn remove(&mut self, sequence: u64) -> Option<Entry> {
        let at = self.at(sequence);
        if self.entries.get(at)?.sequence == sequence { self.entries.remove(at) } else { None }
    }

    /// Forgets everything before `sequence`.
    pub(super) fn forget_before(&mut self, sequence: u64) {
        while self.entries.front().is_some_and(|entry| entry.sequence < sequence) {
            self.entries.pop_front();
        }
        // An outage of days must not leave its index behind.
        if self.entries.capacity() > 1024 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    /// Entries whose records are not wholly before `from`.
    pub(super) fn from(&self, from: Position) -> impl Iterator<Item = &Entry> {
        self.entries.range(self.at(from.sequence)..)
    }

    /// Samples between two positions.
    pub(super) fn samples_between(&self, from: Position, to: Position) -> u64 {
        let mut samples = 0;
        for entry in self.from(from).take_while(|entry| entry.sequence <= to.sequence) {
            let first = if entry.sequence == from.sequence { from.entry.min(entry.samples) } else { 0 };
            let last =
                if entry.sequence == to.sequence { to.entry.min(entry.samples) } else { entry.samples };
            samples += u64::from(last.saturating_sub(first));
        }
        samples
    }

    fn at(&self, sequence: u64) -> usize {
        self.entries.partition_point(|entry| entry.sequence < sequence)
    }
}
