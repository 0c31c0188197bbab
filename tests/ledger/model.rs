//! What became of every single sample, for each endpoint: the model that the ledgers are compared with. It learns a sample when it is
//! queued, its fate from what the story answered and did to the disk, and never asks the program how it counts.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use docker_remote_write::queue::{Ledger, Position, RecordMeta};

use super::disk::{Cursor, Disk, OnDisk};
use super::key::Key;

pub(super) const ENDPOINTS: usize = 2;

/// Where a sample is, or how it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Pending,
    Delivered,
    Rejected,
    Expired,
    Overflowed,
    LostAtExit,
    /// It was in memory only when the process was killed.
    Killed,
    /// The disk lost it, or the cursor that led to it.
    Damaged,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    key: Key,
    fates: [Fate; ENDPOINTS],
    /// The receiver was asked to store it, and has it.
    stored: [bool; ENDPOINTS],
    /// The receiver has refused it: newer samples of its series were there.
    late: [bool; ENDPOINTS],
    /// It may come again: its answer was lost, or the cursor stands before it once more.
    repeatable: [bool; ENDPOINTS],
    /// It was out of the queue and came back.
    rewound: [bool; ENDPOINTS],
}

#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) meta: RecordMeta,
    samples: Range<usize>,
}

/// Consecutive samples of one record that are in a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    sequence: u64,
    from: u32,
    to: u32,
}

/// How many there are in a request.
pub(super) fn samples(parts: &[Part]) -> u32 {
    parts.iter().map(|part| part.to - part.from).sum()
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}..{}]", self.sequence, self.from, self.to)
    }
}

/// What a restart came to.
#[derive(Debug, Default)]
pub(super) struct Restarted {
    pub(super) killed: u64,
    pub(super) overflowed: u64,
    pub(super) damaged: u64,
    pub(super) repeated: u64,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    samples: Vec<Sample>,
    /// What the queue holds, and what has left it in this life.
    pub(super) records: BTreeMap<u64, Record>,
    /// Nothing before it is pending.
    pub(super) cursors: [Position; ENDPOINTS],
    /// Since the process started.
    pub(super) ledgers: [Ledger; ENDPOINTS],
    /// The newest timestamp of each series that an endpoint holds.
    newest: [HashMap<u64, i64>; ENDPOINTS],
    /// Samples that an endpoint has stored, repeats included.
    pub(super) stored: [u64; ENDPOINTS],
    /// Samples that `delivered` has counted in all lives before this one.
    pub(super) delivered_before: [u64; ENDPOINTS],
    /// Samples stored without being booked as delivered: the answer was lost, or the queue had dropped them meanwhile.
    pub(super) stored_unbooked: [u64; ENDPOINTS],
}

impl Model {
    /// A record has been queued.
    pub(super) fn append(&mut self, sequence: u64, meta: RecordMeta, keys: Vec<Key>) {
        self.learn(sequence, meta, keys);
        for ledger in &mut self.ledgers {
            ledger.appended += u64::from(meta.samples);
            ledger.pending += u64::from(meta.samples);
        }
    }

    fn learn(&mut self, sequence: u64, meta: RecordMeta, keys: Vec<Key>) {
        assert_eq!(keys.len(), meta.samples as usize, "record {sequence} and its header");
        let times = || keys.iter().map(|key| key.timestamp);
        assert_eq!(times().min(), Some(meta.min_timestamp), "record {sequence} and its header");
        assert_eq!(times().max(), Some(meta.max_timestamp), "record {sequence} and its header");
        let first = self.samples.len();
        let no = [false; ENDPOINTS];
        self.samples.extend(keys.into_iter().map(|key| Sample {
            key,
            fates: [Fate::Pending; ENDPOINTS],
            stored: no,
            late: no,
            repeatable: no,
            rewound: no,
        }));
        self.records.insert(sequence, Record { meta, samples: first..self.samples.len() });
    }

    /// Where in the queue the samples of a request stand: from the first pending one of this endpoint on, without a gap but for
    /// what has left the queue. `skipped` is what is pending before the first: it must have expired.
    pub(super) fn locate(&self, endpoint: usize, request: &[Key]) -> (Vec<Part>, Vec<u64>) {
        assert!(!request.is_empty(), "an empty request to endpoint {endpoint}");
        let cursor = self.cursors[endpoint];
        let (mut parts, mut skipped, mut rest) = (Vec::new(), Vec::new(), request);
        for (sequence, record) in self.records.range(cursor.sequence..) {
            if rest.is_empty() {
                break;
            }
            let from = if *sequence == cursor.sequence { cursor.entry } else { 0 };
            let samples = &self.samples[record.samples.clone()][from as usize..];
            let common = samples.iter().zip(rest).take_while(|(sample, key)| sample.key == **key).count();
            if common == 0 {
                let pending = samples.iter().any(|sample| sample.fates[endpoint] == Fate::Pending);
                assert!(
                    !pending || parts.is_empty(),
                    "a request to {endpoint} passes over record {sequence}"
                );
                skipped.extend(pending.then_some(*sequence));
                continue;
            }
            rest = &rest[common..];
            assert!(
                common == samples.len() || rest.is_empty(),
                "a request to {endpoint} leaves record {sequence} in the middle"
            );
            parts.push(Part { sequence: *sequence, from, to: from + u32::try_from(common).unwrap() });
        }
        assert!(
            rest.is_empty(),
            "{} of the {} samples of a request to {endpoint} are not what is queued from {cursor:?} on",
            rest.len(),
            request.len()
        );
        (parts, skipped)
    }

    fn ids(&self, part: Part) -> Range<usize> {
        let first = self.records[&part.sequence].samples.start;
        first + part.from as usize..first + part.to as usize
    }

    /// The receiver stores a request, but for late samples; returns how many are late. `answered`: the sender is told so.
    pub(super) fn store(&mut self, endpoint: usize, parts: &[Part], answered: bool) -> u64 {
        let mut late = 0;
        for id in parts.iter().flat_map(|part| self.ids(*part)).collect::<Vec<_>>() {
            let sample = &mut self.samples[id];
            let newest = self.newest[endpoint].entry(sample.key.series).or_insert(i64::MIN);
            if sample.stored[endpoint] {
                assert!(sample.repeatable[endpoint], "endpoint {endpoint} gets {:?} twice", sample.key);
            } else if sample.key.timestamp <= *newest {
                assert!(sample.rewound[endpoint], "endpoint {endpoint} gets {:?} after {newest}", sample.key);
                sample.late[endpoint] = true;
            }
            late += u64::from(sample.late[endpoint]);
            *newest = sample.key.timestamp.max(*newest);
            sample.stored[endpoint] = true;
            sample.repeatable[endpoint] = !answered;
            self.stored[endpoint] += 1;
            self.stored_unbooked[endpoint] += u64::from(!answered || sample.fates[endpoint] != Fate::Pending);
        }
        late
    }

    /// The answer to a request that was stored never reached the ledger.
    pub(super) fn forget_answer(&mut self, endpoint: usize, parts: &[Part]) {
        for id in parts.iter().flat_map(|part| self.ids(*part)).collect::<Vec<_>>() {
            let sample = &mut self.samples[id];
            sample.repeatable[endpoint] = true;
            self.stored_unbooked[endpoint] += u64::from(sample.fates[endpoint] == Fate::Pending);
        }
    }

    /// A request has a final answer.
    pub(super) fn settle(&mut self, endpoint: usize, parts: &[Part], fate: Fate) {
        for part in parts {
            let ids = self.ids(*part);
            self.leave(endpoint, ids, fate);
        }
        self.cursors[endpoint] = parts.last().map(|part| self.end(*part)).unwrap();
    }

    pub(super) fn end(&self, part: Part) -> Position {
        if part.to == self.records[&part.sequence].meta.samples {
            Position { sequence: part.sequence + 1, entry: 0 }
        } else {
            Position { sequence: part.sequence, entry: part.to }
        }
    }

    /// Whether nothing of it has left the queue.
    pub(super) fn is_pending(&self, endpoint: usize, parts: &[Part]) -> bool {
        let mut ids = parts.iter().flat_map(|part| self.ids(*part));
        ids.all(|id| self.samples[id].fates[endpoint] == Fate::Pending)
    }

    /// The newest timestamp of the part's record.
    pub(super) fn newest(&self, part: Part) -> i64 {
        self.records[&part.sequence].meta.max_timestamp
    }

    /// Of one record, what is pending.
    pub(super) fn drop_record(&mut self, endpoint: usize, sequence: u64, fate: Fate) -> u64 {
        let ids = self.records[&sequence].samples.clone();
        self.leave(endpoint, ids, fate)
    }

    fn leave(&mut self, endpoint: usize, ids: Range<usize>, fate: Fate) -> u64 {
        let mut left = 0;
        for sample in &mut self.samples[ids] {
            if sample.fates[endpoint] == Fate::Pending {
                sample.fates[endpoint] = fate;
                left += 1;
            }
        }
        let ledger = &mut self.ledgers[endpoint];
        ledger.pending -= left;
        let place = match fate {
            Fate::Delivered => &mut ledger.delivered,
            Fate::Rejected => &mut ledger.rejected,
            Fate::Expired => &mut ledger.expired,
            Fate::Overflowed => &mut ledger.overflowed,
            Fate::LostAtExit => &mut ledger.lost_at_exit,
            // No process counts these: the one is dead, the next one never had them.
            Fate::Killed | Fate::Damaged => return left,
            Fate::Pending => unreachable!("nothing leaves to be pending"),
        };
        *place += left;
        left
    }

    /// Records of which something is pending.
    pub(super) fn waiting(&self, endpoint: usize) -> Vec<u64> {
        let from = self.cursors[endpoint].sequence;
        let pending = |record: &Record| {
            self.samples[record.samples.clone()].iter().any(|sample| sample.fates[endpoint] == Fate::Pending)
        };
        let records = self.records.range(from..).filter(|(_, record)| pending(record));
        records.map(|(sequence, _)| *sequence).collect()
    }

    /// The program's cursor may stand anywhere where nothing pending is passed over.
    pub(super) fn follow(&mut self, endpoint: usize, actual: Position) {
        let model = self.cursors[endpoint];
        let (low, high) = (model.min(actual), model.max(actual));
        for (sequence, record) in self.records.range(low.sequence..=high.sequence) {
            for (entry, id) in (0_u32..).zip(record.samples.clone()) {
                let between = (low..high).contains(&Position { sequence: *sequence, entry });
                assert!(
                    !between || self.samples[id].fates[endpoint] != Fate::Pending,
                    "endpoint {endpoint}: cursor at {actual:?}, expected {model:?}"
                );
            }
        }
        self.cursors[endpoint] = actual;
    }

    /// Everything that is pending is lost.
    pub(super) fn lose_all(&mut self, fate: Fate) -> u64 {
        let mut lost = 0;
        for endpoint in 0..ENDPOINTS {
            for sequence in self.waiting(endpoint) {
                lost += self.drop_record(endpoint, sequence, fate);
            }
        }
        lost
    }

    fn begin_life(&mut self) {
        for (before, ledger) in self.delivered_before.iter_mut().zip(&mut self.ledgers) {
            *before += ledger.delivered;
            *ledger = Ledger::default();
        }
    }

    /// What the disk held when the process ended. From `unsafe_from` on, records may not have been written yet; `pressed`: the byte
    /// cap may have taken the oldest while the process died; `passed`: how an endpoint may have passed over what it was never asked to
    /// take. Returns killed and overflowed.
    pub(super) fn compare_with_disk(
        &mut self,
        disk: &Disk,
        unsafe_from: u64,
        pressed: bool,
        passed: Fate,
    ) -> Restarted {
        for (sequence, found) in &disk.records {
            match self.records.get(sequence) {
                Some(record) => {
                    let samples = &self.samples[record.samples.clone()];
                    assert_eq!(record.meta, found.meta, "record {sequence} on disk");
                    assert!(
                        samples.iter().map(|sample| &sample.key).eq(&found.samples),
                        "record {sequence} on disk"
                    );
                }
                None => {
                    assert!(*sequence >= unsafe_from, "nobody has appended record {sequence}");
                    self.append(*sequence, found.meta, found.samples.clone());
                    for endpoint in 0..ENDPOINTS {
                        // Nobody has answered for it, and yet this endpoint is done with it.
                        if self.cursors[endpoint].sequence > *sequence {
                            self.drop_record(endpoint, *sequence, passed);
                        }
                    }
                }
            }
        }
        let oldest = disk.records.keys().next().copied().unwrap_or(u64::MAX);
        let mut restarted = Restarted::default();
        for endpoint in 0..ENDPOINTS {
            let missing =
                self.waiting(endpoint).into_iter().filter(|sequence| !disk.records.contains_key(sequence));
            for sequence in missing.collect::<Vec<_>>() {
                if sequence >= unsafe_from {
                    restarted.killed += self.drop_record(endpoint, sequence, Fate::Killed);
                } else {
                    assert!(
                        pressed && sequence < oldest,
                        "record {sequence} was confirmed and is not on disk"
                    );
                    restarted.overflowed += self.drop_record(endpoint, sequence, Fate::Overflowed);
                }
            }
        }
        restarted
    }

    /// The next process finds `disk`, and the end of its queue is `end`. `rewinds` says whose cursors were spoilt, `unsafe_from` as
    /// in [`Model::compare_with_disk`], and `safe` where the cursors stood at the last moment of rest.
    pub(super) fn restart(
        &mut self,
        disk: &Disk,
        end: u64,
        rewinds: [bool; ENDPOINTS],
        safe: [Position; ENDPOINTS],
    ) -> Restarted {
        let mut restarted = Restarted::default();
        for endpoint in 0..ENDPOINTS {
            let gone =
                self.waiting(endpoint).into_iter().filter(|sequence| !disk.records.contains_key(sequence));
            for sequence in gone.collect::<Vec<_>>() {
                restarted.damaged += self.drop_record(endpoint, sequence, Fate::Damaged);
            }
        }
        self.begin_life();
        self.records.retain(|sequence, _| disk.records.contains_key(sequence));
        let oldest = self.records.keys().next().copied().unwrap_or(end);
        for endpoint in 0..ENDPOINTS {
            let start = match disk.cursors[endpoint] {
                Cursor::Missing => Position { sequence: end, entry: 0 },
                Cursor::Unreadable => Position { sequence: oldest, entry: 0 },
                Cursor::At(position) => position,
            };
            let mut pending = 0;
            for (sequence, record) in &self.records {
                for (entry, id) in (0_u32..).zip(record.samples.clone()) {
                    let (at, sample) = (Position { sequence: *sequence, entry }, &mut self.samples[id]);
                    let is_pending = sample.fates[endpoint] == Fate::Pending;
                    if at >= start && !is_pending {
                        assert!(
                            rewinds[endpoint] || at >= safe[endpoint],
                            "endpoint {endpoint} repeats {at:?}"
                        );
                        sample.fates[endpoint] = Fate::Pending;
                        (sample.repeatable[endpoint], sample.rewound[endpoint]) = (true, true);
                        restarted.repeated += 1;
                    } else if at < start && is_pending {
                        assert!(rewinds[endpoint], "endpoint {endpoint} forgets {at:?}");
                        sample.fates[endpoint] = Fate::Damaged;
                        restarted.damaged += 1;
                    }
                    pending += u64::from(at >= start);
                }
            }
            self.cursors[endpoint] = start;
            self.ledgers[endpoint] = Ledger { recovered: pending, pending, ..Ledger::default() };
        }
        restarted
    }

    /// At the end of a story: each sample has a word, and whoever is said to have it has it.
    pub(super) fn assert_complete(&self) {
        for (id, sample) in self.samples.iter().enumerate() {
            for endpoint in 0..ENDPOINTS {
                let fate = sample.fates[endpoint];
                assert_ne!(fate, Fate::Pending, "sample {id} of {endpoint}: {sample:?}");
                assert!(
                    fate != Fate::Delivered || sample.stored[endpoint],
                    "sample {id} of {endpoint}: {sample:?}"
                );
            }
        }
    }
}

impl Disk {
    pub(super) fn empty() -> Self {
        Self { records: BTreeMap::<u64, OnDisk>::new(), cursors: [Cursor::Missing; ENDPOINTS] }
    }
}
