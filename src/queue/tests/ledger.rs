//! The counts against a model that knows the fate of every single sample.

use proptest::prelude::*;

use super::super::account::Account;
use super::super::book::{Book, Confirmed, Find};
use super::super::opening::Opening;
use super::super::segment;
use super::*;

#[derive(Clone, Debug)]
enum Op {
    Append {
        samples: u32,
        length: usize,
    },
    /// To a place between the oldest record that is left and a little beyond the end.
    Settle {
        endpoint: usize,
        ahead: u64,
        entry: u32,
        fate: Fate,
    },
    /// The thread writes one record.
    Write,
    /// The thread is in the middle of a write while another operation runs.
    WriteDuring(Box<Op>),
    Damage {
        ahead: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let fate = prop_oneof![Just(Fate::Delivered), Just(Fate::Rejected), Just(Fate::Expired)];
    let append = (0u32..6, 0usize..400).prop_map(|(samples, length)| Op::Append { samples, length });
    let settle = (0usize..2, 0u64..6, 0u32..7, fate).prop_map(|(endpoint, ahead, entry, fate)| Op::Settle {
        endpoint,
        ahead,
        entry,
        fate,
    });
    let simple = prop_oneof![4 => append, 3 => settle, 3 => Just(Op::Write)];
    let during = simple.clone().prop_map(|op| Op::WriteDuring(Box::new(op)));
    prop_oneof![8 => simple, 2 => during, 1 => (0u64..6).prop_map(|ahead| Op::Damage { ahead })]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Settled(Fate),
    Overflowed,
    LostAtExit,
}

/// What became of each sample: `samples[endpoint][sequence][entry]`.
struct Model {
    samples: Vec<Vec<Vec<State>>>,
}

impl Model {
    fn append(&mut self, samples: u32) {
        for endpoint in &mut self.samples {
            endpoint.push(vec![State::Pending; samples as usize]);
        }
    }

    fn settle(&mut self, endpoint: usize, to: Position, fate: Fate) -> u64 {
        let mut booked = 0;
        for (sequence, record) in (1..).zip(&mut self.samples[endpoint]) {
            for (entry, state) in (0..).zip(record) {
                if at(sequence, entry) < to && *state == State::Pending {
                    *state = State::Settled(fate);
                    booked += 1;
                }
            }
        }
        booked
    }

    /// Whatever the book no longer has, and nobody settled, was dropped.
    fn drop_missing(&mut self, book: &Book, state: State) -> u64 {
        let mut dropped = 0;
        for record in 0..self.samples[0].len() {
            let sequence = record as u64 + 1;
            let found = match book.find(sequence) {
                Find::Memory(found) => found.sequence,
                Find::Disk { entry, .. } => entry.sequence,
                Find::Nothing => u64::MAX,
            };
            if found == sequence {
                continue;
            }
            for endpoint in &mut self.samples {
                for sample in &mut endpoint[record] {
                    if *sample == State::Pending {
                        *sample = state;
                        dropped += 1;
                    }
                }
            }
        }
        dropped
    }

    fn ledger(&self, endpoint: usize) -> Ledger {
        let mut ledger = Ledger::default();
        for state in self.samples[endpoint].iter().flatten() {
            ledger.appended += 1;
            match state {
                State::Pending => ledger.pending += 1,
                State::Settled(Fate::Delivered) => ledger.delivered += 1,
                State::Settled(Fate::Rejected) => ledger.rejected += 1,
                State::Settled(Fate::Expired) => ledger.expired += 1,
                State::Overflowed => ledger.overflowed += 1,
                State::LostAtExit => ledger.lost_at_exit += 1,
            }
        }
        ledger
    }
}

/// Book and model, side by side.
struct Pair {
    book: Book,
    model: Model,
    /// First sequence and length of the segment that the pretended thread writes.
    active: Option<(u64, u64)>,
    max_disk_bytes: u64,
    max_memory_bytes: u64,
}

impl Pair {
    fn new(max_disk_bytes: u64, max_memory_bytes: u64) -> Self {
        let accounts = ["a", "b"].map(|name| Account::new(name, at(1, 0), None)).to_vec();
        let config = Config {
            storage: Storage::Disk(PathBuf::new()),
            max_disk_bytes,
            min_free_disk: None,
            max_memory_bytes,
        };
        let book = Book::open(&config, Opening { accounts, next: 1, ..Opening::default() });
        let model = Model { samples: vec![Vec::new(); 2] };
        Self { book, model, active: None, max_disk_bytes, max_memory_bytes }
    }

    fn apply(&mut self, op: &Op) {
        let now = Instant::now();
        match op {
            Op::Append { samples, length } => {
                let sequence = self.book.end();
                assert_eq!(
                    self.book.append(meta(*samples), payload(sequence, *length), Form::Packed, now),
                    sequence
                );
                self.model.append(*samples);
            }
            Op::Settle { endpoint, ahead, entry, fate } => {
                let cursor = self.book.cursor(*endpoint).unwrap();
                let to = at((cursor.sequence + ahead).saturating_sub(1), *entry);
                let expected = self.model.settle(*endpoint, to, *fate);
                assert_eq!(self.book.settle(*endpoint, to, *fate), expected);
                assert!(self.book.cursor(*endpoint).unwrap() >= cursor);
            }
            Op::Write => self.write(None),
            Op::WriteDuring(op) => self.write(Some(op)),
            Op::Damage { ahead } => {
                let cursor = self.book.cursor(0).unwrap();
                self.book.damaged(cursor.sequence + ahead);
            }
        }
        let memory = self.book.stats().memory_bytes;
        let dropped = self.model.drop_missing(&self.book, State::Overflowed);
        if dropped > 0 {
            let pressed = memory + 600 > self.max_memory_bytes || self.disk_is_pressed();
            assert!(
                pressed || matches!(op, Op::Damage { .. }),
                "{op:?} dropped {dropped} samples for nothing"
            );
        }
        self.compare();
    }

    fn disk_is_pressed(&self) -> bool {
        // A segment of an eighth of the cap, or of one record, may have just gone.
        self.book.stats().disk_bytes + self.max_disk_bytes / 8 + 1200 > self.max_disk_bytes
    }

    fn write(&mut self, during: Option<&Op>) {
        let Some(record) = self.book.take_batch().first().cloned() else { return };
        self.write_first(&record, during);
        self.book.release_batch();
        self.model.drop_missing(&self.book, State::Overflowed);
    }

    /// The batch behind it fails.
    fn write_first(&mut self, record: &Record, during: Option<&Op>) {
        let framed = segment::framed(record);
        if framed + 16 > self.max_disk_bytes {
            return self.book.too_large(record.sequence, framed);
        }
        self.book.make_room(framed + 16);
        self.active = self.active.filter(|(first, _)| self.book.shelf.contains(*first));
        if self.active.is_none_or(|(_, end)| end > 16 && end + framed > self.max_disk_bytes / 8) {
            self.book.segment_made(record.sequence);
            self.active = Some((record.sequence, 16));
        }
        self.model.drop_missing(&self.book, State::Overflowed);
        if let Some(op) = during
            && !matches!(op, Op::Write)
        {
            self.apply(op);
        }
        let (_, end) = self.active.as_mut().unwrap();
        if self.book.confirm(record.sequence, *end as u32) == Confirmed::Kept {
            *end += framed;
        }
    }

    fn compare(&self) {
        for endpoint in 0..2 {
            assert_eq!(self.book.ledger(endpoint).unwrap(), self.model.ledger(endpoint));
        }
        let stats = self.book.stats();
        assert!(stats.disk_bytes <= self.max_disk_bytes);
        // What is being written stays in memory, whatever comes.
        assert!(stats.memory_bytes <= self.max_memory_bytes.max(400 + 128) * 5 / 4 + 400 + 128);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_knows_the_fate_of_every_sample(
        ops in prop::collection::vec(op(), 1..120),
        disk in prop_oneof![Just(300u64), Just(2_000), Just(20_000)],
        memory in prop_oneof![Just(1u64), Just(1_500), Just(20_000)],
    ) {
        let mut pair = Pair::new(disk, memory);
        for op in &ops {
            pair.apply(op);
        }
        pair.book.close();
        pair.model.drop_missing(&pair.book, State::LostAtExit);
        pair.compare();
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u32),
    Settle(usize, u64, u32),
    /// Closed and opened again.
    Restart,
    /// Left as a kill leaves it, after everything was written.
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u32..9).prop_map(Step::Append),
        4 => (0usize..2, 0u64..5, 0u32..9).prop_map(|(endpoint, ahead, entry)| Step::Settle(endpoint, ahead, entry)),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn over_restarts_and_kills_nothing_is_lost_and_nothing_comes_twice(
        steps in prop::collection::vec(step(), 1..60),
        memory in prop_oneof![Just(1u64), Just(1_000), Just(1 << 20)],
    ) {
        let mut home = Home::new();
        home.max_disk_bytes = 1 << 20;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut queue = home.open(&["a", "b"]);
        let (mut appended, mut settled) = (0, [0; 2]);
        for step in steps {
            // A small ring is tested where it cannot overflow: everything before the last append is on disk.
            home.max_memory_bytes = memory;
            match step {
                Step::Append(samples) => {
                    let end = *queue.end().borrow();
                    let sequence = queue.append(meta(samples), payload(end, 300));
                    prop_assert_eq!(sequence + 1, *queue.end().borrow());
                    appended += u64::from(samples);
                    written(&queue);
                }
                Step::Settle(endpoint, ahead, entry) => {
                    let to = at(queue.cursor(endpoint).sequence + ahead, entry);
                    settled[endpoint] += queue.settle(endpoint, to, Fate::Delivered);
                }
                Step::Restart => {
                    runtime.block_on(queue.close());
                    queue = home.open(&["a", "b"]);
                }
                Step::Kill => {
                    written(&queue);
                    drop(queue);
                    queue = home.open(&["a", "b"]);
                }
            }
            for (endpoint, settled) in settled.iter().enumerate() {
                prop_assert_eq!(queue.ledger(endpoint).pending, appended - settled);
                assert_closes(&queue, endpoint);
            }
        }
        for record in runtime.block_on(read_all(&queue)) {
            prop_assert_eq!(record.payload, payload(record.sequence, 300));
        }
    }
}
