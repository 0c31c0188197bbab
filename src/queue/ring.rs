//! The newest records, in memory. Those that wait for the disk are always its last part.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Form, Record};

/// What a record costs beside its payload, roughly: the slot, its index entry, the allocation's own header.
const OVERHEAD: u64 = 128;

#[derive(Debug)]
struct Slot {
    record: Record,
    since: Instant,
}

#[derive(Debug)]
pub(super) struct Ring {
    slots: VecDeque<Slot>,
    bytes: u64,
    waiting_bytes: u64,
    /// Bytes of the records that are not packed.
    raw_bytes: u64,
    /// Records before this sequence need no write: they are on disk, or gone.
    written: u64,
    /// Waiting records before this sequence are being written.
    in_flight: u64,
    /// Records before this sequence have been looked at by [`Ring::newly_stalled`] and counted.
    stalled: u64,
}

/// What left the ring.
pub(super) enum Evicted {
    /// It is on disk, and is read from there if it is still needed.
    OnDisk,
    /// It was nowhere else: its sequence.
    Waiting(u64),
}

impl Ring {
    pub(super) fn new(next: u64) -> Self {
        Self {
            slots: VecDeque::new(),
            bytes: 0,
            waiting_bytes: 0,
            raw_bytes: 0,
            written: next,
            in_flight: next,
            stalled: next,
        }
    }

    pub(super) fn push(&mut self, record: Record, since: Instant) {
        self.bytes += cost(&record);
        self.waiting_bytes += cost(&record);
        self.raw_bytes += raw(&record);
        self.slots.push_back(Slot { record, since });
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the records that are nowhere but here.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// Bytes of the records that could be smaller.
    pub(super) fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// Puts the same record in another form in its place, if it is still here.
    pub(super) fn replace(&mut self, record: Record) {
        let at = self.at(record.sequence);
        let waiting = at >= self.first_waiting();
        let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.record.sequence == record.sequence) else {
            return;
        };
        let (old, new) = (cost(&slot.record), cost(&record));
        self.bytes = self.bytes - old + new;
        if waiting {
            self.waiting_bytes = self.waiting_bytes - old + new;
        }
        self.raw_bytes = self.raw_bytes - raw(&slot.record) + raw(&record);
        slot.record = record;
    }

    pub(super) fn waiting(&self) -> usize {
        self.slots.len() - self.first_waiting()
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&Record> {
        let slot = self.slots.get(self.at(sequence))?;
        (slot.record.sequence == sequence).then_some(&slot.record)
    }

    /// The records that are not on disk, oldest first, each with the time of its append.
    pub(super) fn all_waiting(&self) -> impl Iterator<Item = (&Record, Instant)> {
        self.slots.range(self.first_waiting()..).map(|slot| (&slot.record, slot.since))
    }

    /// Records before this sequence are being written from now on: they stay, so that what is on disk and what is counted
    /// as dropped are never the same record.
    pub(super) fn hold(&mut self, before: u64) {
        self.in_flight = before;
    }

    /// Whether everything before this sequence is on disk, or gone.
    pub(super) fn is_written(&self, sequence: u64) -> bool {
        sequence < self.written
    }

    /// The record is on disk, and so is everything before it.
    pub(super) fn confirm(&mut self, sequence: u64) {
        let (from, to) = (self.first_waiting(), self.at(sequence + 1));
        self.waiting_bytes -=
            self.slots.range(from..to.max(from)).map(|slot| cost(&slot.record)).sum::<u64>();
        self.written = self.written.max(sequence + 1);
    }

    /// Takes the oldest record out that is not being written, if the ring holds more than `cap` bytes. The newest record
    /// always stays: a ring that is smaller than one record must still pass it on.
    pub(super) fn evict(&mut self, cap: u64) -> Option<Evicted> {
        if self.bytes <= cap || self.slots.len() <= 1 {
            return None;
        }
        if self.first_waiting() > 0 {
            self.pop()?;
            return Some(Evicted::OnDisk);
        }
        let at = self.at(self.in_flight);
        if at + 1 >= self.slots.len() {
            return None;
        }
        let sequence = self.slots.get(at)?.record.sequence;
        self.remove(sequence);
        Some(Evicted::Waiting(sequence))
    }

    pub(super) fn remove(&mut self, sequence: u64) {
        let at = self.at(sequence);
        if self.get(sequence).is_none() {
            return;
        }
        let waiting = at >= self.first_waiting();
        if let Some(slot) = self.slots.remove(at) {
            self.bytes -= cost(&slot.record);
            self.raw_bytes -= raw(&slot.record);
            self.waiting_bytes -= if waiting { cost(&slot.record) } else { 0 };
        }
    }

    /// Forgets everything before `sequence`.
    pub(super) fn forget_before(&mut self, sequence: u64) {
        while self.slots.front().is_some_and(|slot| slot.record.sequence < sequence) {
            self.pop();
        }
        if self.slots.capacity() > 64 && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
    }

    /// How many records have waited for `limit` since they came and were not reported before.
    pub(super) fn newly_stalled(&mut self, now: Instant, limit: Duration) -> u64 {
        let from = self.at(self.written.max(self.stalled));
        let mut count = 0;
        for slot in self.slots.range(from..) {
            if now.saturating_duration_since(slot.since) < limit {
                break;
            }
            self.stalled = slot.record.sequence + 1;
            count += 1;
        }
        count
    }

    fn pop(&mut self) -> Option<Record> {
        let waiting = self.first_waiting() == 0;
        let record = self.slots.pop_front()?.record;
        self.bytes -= cost(&record);
        self.raw_bytes -= raw(&record);
        if waiting {
            self.waiting_bytes -= cost(&record);
        }
        Some(record)
    }

    fn first_waiting(&self) -> usize {
        self.at(self.written)
    }

    fn at(&self, sequence: u64) -> usize {
        self.slots.partition_point(|slot| slot.record.sequence < sequence)
    }
}

fn raw(record: &Record) -> u64 {
    match record.form {
        Form::Packed => 0,
        Form::Raw(_) => record.payload.len() as u64,
    }
}

fn cost(record: &Record) -> u64 {
    record.payload.len() as u64 + OVERHEAD
}
