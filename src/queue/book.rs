//! The queue as pure memory: what is where, who has taken what, what is counted as what. No I/O, no clock, no lock.

mod cursors;
mod packing;

use std::mem;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::account::Account;
use super::health::{Health, Work};
use super::index::{Entry, Index};
use super::notice::Notice;
use super::opening::Opening;
use super::ring::{Evicted, Ring};
use super::shelf::Shelf;
use super::{
    Config, Damage, EndpointStats, Fate, Form, Ledger, Position, Record, RecordMeta, RemovedEndpoint, Stats,
};
use super::{Storage, format, segment};

/// Where a record is.
#[derive(Clone, Debug)]
pub(super) enum Find {
    /// In the ring.
    Memory(Record),
    /// In a segment, and only there.
    Disk { entry: Entry, segment: u64 },
    /// There is none.
    Nothing,
}

/// Whether a record that has just been written is still wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirmed {
    Kept,
    /// Taken by all while it was being written.
    Gone,
}

/// Why a record leaves before everybody has taken it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Overflow,
    Exit,
}

/// See the room's `mod.rs` for the rules that this keeps.
pub(super) struct Book {
    index: Index,
    ring: Ring,
    pub(super) shelf: Shelf,
    accounts: Vec<Account>,
    next: u64,
    durable: bool,
    max_disk_bytes: u64,
    max_memory_bytes: u64,
    /// Bytes of other files, which count against the cap too.
    beside: u64,
    /// Records up to this one bring changes of journals: they are written at once.
    pub(super) urgent: u64,
    /// Changes of journals count only if the record of this sequence, or an older one, is on disk or behind a cursor.
    pub(super) noted: u64,
    /// Records before this sequence may be on disk.
    entrusted: u64,
    closed: bool,
    pub(super) health: Health,
    notices: Vec<Notice>,
    /// The ring is full of waiting records: what each endpoint has lost since, and how many records went.
    memory_full: Option<(Vec<u64>, u64)>,
    appended_records: u64,
    overflowed_records: u64,
    stalled_appends: u64,
    damage: Damage,
    removed: Vec<RemovedEndpoint>,
}

impl Book {
    pub(super) fn open(config: &Config, opening: Opening) -> Self {
        let mut index = Index::default();
        opening.entries.into_iter().for_each(|entry| index.push(entry));
        let durable = match config.storage {
            Storage::Disk(_) => true,
            Storage::Memory => false,
        };
        let mut book = Self {
            index,
            ring: Ring::new(opening.next),
            shelf: Shelf::new(opening.segments),
            accounts: opening.accounts,
            next: opening.next,
            durable,
            max_disk_bytes: config.max_disk_bytes,
            max_memory_bytes: config.max_memory_bytes,
            beside: opening.journal_bytes,
            urgent: 0,
            noted: 0,
            entrusted: opening.next,
            closed: false,
            health: Health::default(),
            notices: Vec::new(),
            memory_full: None,
            appended_records: 0,
            overflowed_records: 0,
            stalled_appends: 0,
            damage: opening.damage,
            removed: opening.removed,
        };
        for account in &mut book.accounts {
            let end = Position { sequence: book.next, entry: 0 };
            account.ledger.recovered = book.index.samples_between(account.cursor, end);
            account.ledger.pending = account.ledger.recovered;
        }
        book.prune();
        book.make_room(0);
        book
    }

    // === what senders and the collector ask ===

    /// Whether there is a disk, and with it a thread.
    pub(super) fn is_durable(&self) -> bool {
        self.durable
    }

    /// One past the newest sequence.
    pub(super) fn end(&self) -> u64 {
        self.next
    }

    pub(super) fn append(&mut self, meta: RecordMeta, payload: Bytes, form: Form, now: Instant) -> u64 {
        let sequence = self.next;
        self.next += 1;
        self.appended_records += 1;
        let samples = u64::from(meta.samples);
        for account in &mut self.accounts {
            account.ledger.appended += samples;
            account.ledger.pending += samples;
        }
        self.index.push(Entry {
            sequence,
            min_timestamp: meta.min_timestamp,
            samples: meta.samples,
            length: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            offset: 0,
        });
        self.ring.push(Record { sequence, meta, payload, form }, now);
        if self.closed {
            self.lose(sequence, Loss::Exit);
            self.ring.remove(sequence);
        }
        self.health.wake(Work::Record);
        self.trim();
        self.prune();
        sequence
    }

    pub(super) fn settle(&mut self, endpoint: usize, to: Position, fate: Fate) -> u64 {
        let to = self.normalised(to);
        let Some(account) = self.accounts.get_mut(endpoint) else { return 0 };
        if to <= account.cursor {
            return 0;
        }
        let samples = self.index.samples_between(account.cursor, to);
        account.settle(to, fate, samples);
        self.prune();
        self.relieve();
        samples
    }

    pub(super) fn cursor(&self, endpoint: usize) -> Option<Position> {
        Some(self.accounts.get(endpoint)?.cursor)
    }

    pub(super) fn ledger(&self, endpoint: usize) -> Option<Ledger> {
        Some(self.accounts.get(endpoint)?.ledger)
    }

    /// The first record from `from` on that still exists.
    pub(super) fn find(&self, from: u64) -> Find {
        let Some(entry) = self.index.first_from(from) else { return Find::Nothing };
        match self.ring.get(entry.sequence) {
            Some(record) => Find::Memory(record.clone()),
            None => Find::Disk { entry: *entry, segment: self.shelf.segment_of(entry.sequence) },
        }
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            disk_bytes: self.shelf.bytes(),
            journal_bytes: self.beside,
            disk_capacity_bytes: if self.durable { self.max_disk_bytes } else { 0 },
            segments: self.shelf.len() as u64,
            memory_bytes: self.ring.bytes(),
            memory_capacity_bytes: self.max_memory_bytes,
            records: self.index.len() as u64,
            waiting_records: self.ring.waiting() as u64,
            disk_ok: self.health.records_reach_disk(),
            appended_records: self.appended_records,
            stalled_appends: self.stalled_appends,
            faults: self.health.faults,
            overflowed_records: self.overflowed_records,
            damage: self.damage,
            endpoints: self.accounts.iter().map(|account| self.endpoint_stats(account)).collect(),
            removed_endpoints: self.removed.clone(),
        }
    }

    fn endpoint_stats(&self, account: &Account) -> EndpointStats {
        EndpointStats {
            name: account.name.clone(),
            pending_bytes: self.index.from(account.cursor).map(|entry| u64::from(entry.length)).sum(),
            oldest_timestamp: self.index.from(account.cursor).next().map(|entry| entry.min_timestamp),
        }
    }

    /// Counts records that have waited for the disk for `limit`.
    pub(super) fn look_for_stalls(&mut self, now: Instant, limit: Duration) {
        if !self.durable {
            return;
        }
        let stalled = self.ring.newly_stalled(now, limit);
        self.stalled_appends += stalled;
        if stalled > 0 {
            let notice = self.health.stalled(now, self.ring.waiting(), limit);
            self.notices.extend(notice);
        }
    }

    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        mem::take(&mut self.notices)
    }

    pub(super) fn note(&mut self, notice: Option<Notice>) {
        self.notices.extend(notice);
    }

    // === what the queue's thread asks and reports ===

    /// When the oldest record that waits is to be written: at once if a record before it is on disk, that is while an
    /// endpoint is behind; else `linger` after its append, so that endpoints that answer take it before.
    pub(super) fn write_due(&self, linger: Duration) -> Option<Instant> {
        let (oldest, since) = self.ring.all_waiting().next()?;
        let behind = self.is_behind();
        let pressed = self.ring.waiting_bytes() > self.max_memory_bytes / 2;
        let urgent = oldest.sequence <= self.urgent;
        Some(if behind || pressed || urgent { since } else { since + linger })
    }

    /// Whether an endpoint still needs something that had to be written.
    fn is_behind(&self) -> bool {
        self.index.first_from(0).is_some_and(|entry| self.ring.is_written(entry.sequence))
    }

    /// The oldest records that wait, at least one and together no more than a segment takes, and holds them in the ring
    /// until [`Book::release_batch`].
    pub(super) fn take_batch(&mut self) -> Vec<Record> {
        let limit = segment::size_limit(self.max_disk_bytes).min(self.max_memory_bytes / 4);
        let mut bytes = 0;
        let mut batch: Vec<Record> = Vec::new();
        for (record, _) in self.ring.all_waiting() {
            bytes += segment::framed(record);
            if bytes > limit && !batch.is_empty() {
                break;
            }
            batch.push(record.clone());
        }
        let end = batch.last().map_or(0, |record| record.sequence + 1);
        self.entrusted = self.entrusted.max(end);
        self.ring.hold(end);
        batch
    }

    /// The batch is on disk, or it failed: what is not confirmed waits as before.
    pub(super) fn release_batch(&mut self) {
        self.ring.hold(0);
        self.trim();
    }

    /// Drops the oldest segments until `bytes` more fit below the cap.
    pub(super) fn make_room(&mut self, bytes: u64) {
        // Two journals of a quarter each; one that is larger is from a time with a larger cap, and about to be written anew.
        let beside = self.beside.min(self.max_disk_bytes / 2);
        while self.shelf.bytes() + beside + bytes > self.max_disk_bytes {
            let Some(segment) = self.shelf.drop_oldest() else { break };
            let before: Vec<u64> = self.accounts.iter().map(|account| account.ledger.overflowed).collect();
            while let Some(sequence) = self.index.first_from(0).map(|entry| entry.sequence)
                && sequence <= segment.last
            {
                self.lose(sequence, Loss::Overflow);
            }
            self.ring.forget_before(segment.last + 1);
            for (account, before) in self.accounts.iter().zip(before) {
                let samples = account.ledger.overflowed - before;
                if samples > 0 {
                    let endpoint = account.name.clone();
                    self.notices.push(Notice::SegmentDropped { endpoint, segment: segment.first, samples });
                }
            }
        }
    }

    /// The journals take so many bytes now.
    pub(super) fn set_beside(&mut self, bytes: u64) {
        self.beside = bytes;
    }

    /// A new segment file exists, with its file header in it.
    pub(super) fn segment_made(&mut self, first: u64) {
        self.shelf.add(first);
        self.prune();
    }

    /// The record stands at `offset` of the newest segment, and survives a power loss.
    pub(super) fn confirm(&mut self, sequence: u64, offset: u32) -> Confirmed {
        let Some(entry) = self.index.get_mut(sequence) else { return Confirmed::Gone };
        let end = u64::from(offset) + format::RECORD_HEADER as u64 + u64::from(entry.length);
        if !self.shelf.grow(sequence, end) {
            return Confirmed::Gone;
        }
        entry.offset = offset;
        self.ring.confirm(sequence);
        self.relieve();
        Confirmed::Kept
    }

    /// The record can never be on disk: it is larger than the byte cap.
    pub(super) fn too_large(&mut self, sequence: u64, bytes: u64) {
        let cap = self.max_disk_bytes;
        self.notices.push(Notice::TooLarge { sequence, bytes, cap });
        self.lose(sequence, Loss::Overflow);
        self.ring.remove(sequence);
        self.prune();
    }

    /// The record cannot be read back.
    pub(super) fn damaged(&mut self, sequence: u64) {
        let Some(entry) = self.index.get(sequence).copied() else { return };
        self.damage.damaged_records += 1;
        self.damage.damaged_bytes += format::RECORD_HEADER as u64 + u64::from(entry.length);
        self.damage.damaged_samples += u64::from(entry.samples);
        self.notices.push(Notice::Damaged { sequence, samples: entry.samples });
        self.lose(sequence, Loss::Overflow);
        self.prune();
    }

    /// At the end, when everything is taken and the cursors are safe: the newest segment may go too, so that a renamed
    /// endpoint, which starts at the oldest record, repeats nothing.
    pub(super) fn retire(&mut self) {
        if self.index.len() == 0 {
            while self.shelf.drop_oldest().is_some() {}
        }
    }

    /// Books what is in memory only. Records appended from now on are lost at once.
    pub(super) fn close(&mut self) {
        self.closed = true;
        let before: Vec<u64> = self.accounts.iter().map(|account| account.ledger.lost_at_exit).collect();
        let waiting: Vec<u64> = self.ring.all_waiting().map(|(record, _)| record.sequence).collect();
        for sequence in waiting {
            self.lose(sequence, Loss::Exit);
            self.ring.remove(sequence);
        }
        for (account, before) in self.accounts.iter().zip(before) {
            let samples = account.ledger.lost_at_exit - before;
            if samples > 0 {
                self.notices.push(Notice::LostAtExit { endpoint: account.name.clone(), samples });
            }
        }
        self.prune();
    }

    // === rules ===

    /// A position behind the last sample of a record is the beginning of the next one.
    fn normalised(&self, to: Position) -> Position {
        let end = Position { sequence: self.next, entry: 0 };
        if to >= end {
            return end;
        }
        let samples = self.index.get(to.sequence).map_or(0, |entry| entry.samples);
        if to.entry > 0 && to.entry >= samples {
            return Position { sequence: to.sequence + 1, entry: 0 };
        }
        to
    }

    /// Keeps the ring below its cap.
    fn trim(&mut self) {
        while let Some(evicted) = self.ring.evict(self.max_memory_bytes) {
            match evicted {
                Evicted::OnDisk => {}
                Evicted::Waiting(sequence) => self.overflow_memory(sequence),
            }
        }
    }

    fn overflow_memory(&mut self, sequence: u64) {
        let before: Vec<u64> = self.accounts.iter().map(|account| account.ledger.overflowed).collect();
        self.lose(sequence, Loss::Overflow);
        if self.memory_full.is_none() {
            self.notices.push(Notice::MemoryFull { sequence, cap: self.max_memory_bytes });
        }
        let (lost, records) = self.memory_full.get_or_insert_with(|| (vec![0; self.accounts.len()], 0));
        *records += 1;
        for ((lost, account), before) in lost.iter_mut().zip(&self.accounts).zip(before) {
            *lost += account.ledger.overflowed - before;
        }
    }

    /// Ends the episode of a full ring when half of it is free: a threshold at the cap itself would log at every append.
    fn relieve(&mut self) {
        if self.ring.waiting_bytes() > self.max_memory_bytes / 2 {
            return;
        }
        let Some((lost, records)) = self.memory_full.take() else { return };
        for (account, samples) in self.accounts.iter().zip(lost).filter(|(_, samples)| *samples > 0) {
            let endpoint = account.name.clone();
            self.notices.push(Notice::MemoryRelieved { endpoint, records, samples });
        }
    }

    /// Takes a record out of the index and books it for everyone who has not taken it.
    fn lose(&mut self, sequence: u64, loss: Loss) {
        let Some(entry) = self.index.remove(sequence) else { return };
        match loss {
            Loss::Overflow => self.overflowed_records += 1,
            Loss::Exit => {}
        }
        for account in &mut self.accounts {
            let samples = account.step_over(sequence, entry.samples);
            match loss {
                Loss::Overflow => account.ledger.overflowed += samples,
                Loss::Exit => account.ledger.lost_at_exit += samples,
            }
        }
    }

    /// Forgets what every endpoint has taken.
    fn prune(&mut self) {
        let floor = self.accounts.iter().map(|account| account.cursor.sequence).min().unwrap_or(self.next);
        self.index.forget_before(floor);
        self.ring.forget_before(floor);
        self.shelf.prune(floor);
    }
}
