//! Which segment files there are, and which of them may go. The newest one is being written and stays.

use std::collections::VecDeque;
use std::mem;

use super::format::SEGMENT_HEADER;

/// A segment file, named after `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// No record in it has a smaller sequence.
    pub(super) first: u64,
    /// The largest sequence in it; one less than `first` while it is empty.
    pub(super) last: u64,
    /// Of the file, as far as it is confirmed.
    pub(super) bytes: u64,
}

/// Segments in ascending order.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    segments: VecDeque<Segment>,
    bytes: u64,
    doomed: Vec<u64>,
}

impl Shelf {
    pub(super) fn new(segments: Vec<Segment>) -> Self {
        let bytes = segments.iter().map(|segment| segment.bytes).sum();
        Self { segments: segments.into(), bytes, doomed: Vec::new() }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    pub(super) fn contains(&self, first: u64) -> bool {
        self.segments.iter().any(|segment| segment.first == first)
    }

    /// The segment that this record is in.
    pub(super) fn segment_of(&self, sequence: u64) -> u64 {
        let behind = self.segments.partition_point(|segment| segment.first <= sequence);
        behind.checked_sub(1).and_then(|at| self.segments.get(at)).map_or(0, |segment| segment.first)
    }

    /// A file with nothing but its header in it.
    pub(super) fn add(&mut self, first: u64) {
        // Made a second time when the first try to fill it left bytes that could not be cut off.
        if !self.contains(first) {
            let bytes = SEGMENT_HEADER as u64;
            self.bytes += bytes;
            self.segments.push_back(Segment { first, last: first.saturating_sub(1), bytes });
        }
    }

    /// The newest segment now ends with this record, at `end`. False if there is none.
    pub(super) fn grow(&mut self, sequence: u64, end: u64) -> bool {
        let Some(segment) = self.segments.back_mut() else { return false };
        self.bytes += end.saturating_sub(segment.bytes);
        segment.last = sequence;
        segment.bytes = end;
        true
    }

    /// Dooms the oldest segment.
    pub(super) fn drop_oldest(&mut self) -> Option<Segment> {
        let segment = self.segments.pop_front()?;
        self.bytes -= segment.bytes;
        self.doomed.push(segment.first);
        Some(segment)
    }

    /// Dooms what has no record from `floor` on, but for the newest segment.
    pub(super) fn prune(&mut self, floor: u64) {
        while self.segments.len() > 1 && self.segments.front().is_some_and(|front| front.last < floor) {
            self.drop_oldest();
        }
    }

    pub(super) fn has_doomed(&self) -> bool {
        !self.doomed.is_empty()
    }

    /// Segments whose files are to be removed.
    pub(super) fn take_doomed(&mut self) -> Vec<u64> {
        mem::take(&mut self.doomed)
    }

    /// They could not be removed; asked again later.
    pub(super) fn still_doomed(&mut self, segments: Vec<u64>) {
        self.doomed.extend(segments);
    }
}
