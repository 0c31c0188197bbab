//! What a power loss may cost: records that were not on disk yet, and acknowledgements since the last sync of the cursors.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::book::Find;
use super::power::PowerFiles;
use super::*;

const ENDPOINTS: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
enum Step {
    /// So many records at once.
    Append(u64),
    Settle(usize, u64, u32),
    /// The 5 s are over.
    Sync,
    Close,
    /// While the step before is being done: after so many operations of the file system.
    PowerLoss(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u64..6).prop_map(Step::Append),
        4 => (0usize..2, 0u64..6, 0u32..9).prop_map(|(endpoint, ahead, entry)| Step::Settle(endpoint, ahead, entry)),
        2 => Just(Step::Sync),
        1 => Just(Step::Close),
        3 => (0u64..40, any::<u64>()).prop_map(|(after, seed)| Step::PowerLoss(after, seed)),
    ]
}

/// What is promised at one moment.
#[derive(Clone, Default)]
struct Promise {
    /// Samples of the records that are on disk and that somebody needs.
    records: BTreeMap<u64, u32>,
    cursors: [Position; 2],
}

struct Machine {
    files: PowerFiles,
    queue: Queue,
    /// The cursors at the last sync.
    synced: [Position; 2],
    runtime: tokio::runtime::Runtime,
}

impl Machine {
    fn boot(files: PowerFiles) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let queue = open(&files);
        written(&queue);
        let mut machine = Self { files, queue, synced: [Position::default(); 2], runtime };
        machine.sync();
        machine
    }

    fn cursors(&self) -> [Position; 2] {
        [self.queue.cursor(0), self.queue.cursor(1)]
    }

    fn sync(&mut self) {
        self.queue.shared().with(|desk| desk.sync_at = Some(Instant::now()));
        eventually("synced", || self.queue.shared().lock().sync_at.is_none());
        self.synced = self.cursors();
    }

    fn promise(&self) -> Promise {
        let desk = self.queue.shared().lock();
        let mut records = BTreeMap::new();
        let mut from = 0;
        loop {
            let (sequence, samples) = match desk.book.find(from) {
                Find::Memory(record) => (record.sequence, record.meta.samples),
                Find::Disk { entry, .. } => (entry.sequence, entry.samples),
                Find::Nothing => break,
            };
            records.insert(sequence, samples);
            from = sequence + 1;
        }
        Promise { records, cursors: self.synced }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Append(records) => {
                for _ in 0..*records {
                    let end = *self.queue.end().borrow();
                    self.queue.append(meta(samples_of(end)), payload(end, length_of(end)));
                }
            }
            Step::Settle(endpoint, ahead, entry) => {
                let to = at(self.queue.cursor(*endpoint).sequence + ahead, *entry);
                self.queue.settle(*endpoint, to, Fate::Delivered);
            }
            Step::Sync => self.sync(),
            Step::Close => {
                self.runtime.block_on(self.queue.close());
                self.queue = open(&self.files);
                self.synced = self.cursors();
            }
            Step::PowerLoss(..) => {}
        }
        written(&self.queue);
    }

    /// The next process on what is left.
    fn reboot(self, seed: u64, before: &Promise) -> Self {
        let after = self.promise();
        let (cursors, end) = (self.cursors(), *self.queue.end().borrow());
        let files = self.files.lose(seed);
        drop(self);
        let machine = Self::boot(files);
        let found = machine.promise().records;
        for (sequence, samples) in &before.records {
            // What everybody has taken, or the byte cap has, meanwhile may be there or not.
            if after.records.contains_key(sequence) {
                assert_eq!(found.get(sequence), Some(samples), "record {sequence} is lost");
            }
        }
        for (endpoint, (synced, last)) in before.cursors.iter().zip(&cursors).enumerate() {
            let cursor = machine.queue.cursor(endpoint);
            assert!(cursor >= *synced, "{cursor:?} is before {synced:?}");
            assert!(cursor <= *last, "{cursor:?} is beyond {last:?}");
            let pending: u64 = found
                .iter()
                .map(|(sequence, samples)| match sequence.cmp(&cursor.sequence) {
                    std::cmp::Ordering::Less => 0,
                    std::cmp::Ordering::Equal => u64::from(samples - cursor.entry),
                    std::cmp::Ordering::Greater => u64::from(*samples),
                })
                .sum();
            // A removed segment whose removal was not synced is back, and goes again if it does not fit below the cap.
            let ledger = machine.queue.ledger(endpoint);
            assert_eq!((ledger.pending, ledger.recovered), (pending, pending + ledger.overflowed));
            assert_closes(&machine.queue, endpoint);
        }
        for record in machine.runtime.block_on(read_all(&machine.queue)) {
            assert!(record.sequence < end, "never appended");
            assert_eq!(record.meta, meta(samples_of(record.sequence)));
            assert_eq!(record.payload, payload(record.sequence, length_of(record.sequence)));
        }
        assert!(machine.queue.stats().damage.damaged_cursors == 0);
        machine
    }
}

fn samples_of(sequence: u64) -> u32 {
    sequence as u32 % 7 + 1
}

/// From a part of a sector to several.
fn length_of(sequence: u64) -> usize {
    (sequence as usize * 379) % 1900 + 1
}

/// Segments of 4 KiB.
fn open(files: &PowerFiles) -> Queue {
    let mut home = Home::new();
    home.max_disk_bytes = 32 << 10;
    Queue::on_disk(&home.config(), &names(&ENDPOINTS), Box::new(files.clone()), home.timing).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_power_loss_costs_what_was_not_on_disk_yet_and_the_acks_since_the_last_sync(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut machine = Machine::boot(PowerFiles::default());
        let mut steps = steps.iter().peekable();
        while let Some(step) = steps.next() {
            match steps.peek() {
                Some(Step::PowerLoss(after, seed)) => {
                    let before = machine.promise();
                    machine.files.cut_after(*after);
                    machine.apply(step);
                    machine = machine.reboot(*seed, &before);
                }
                _ => machine.apply(step),
            }
        }
    }
}

#[tokio::test]
async fn a_record_that_left_the_list_of_the_waiting_survives_every_power_loss() {
    let files = PowerFiles::default();
    let queue = open(&files);
    for sequence in 1..=10 {
        queue.append(meta(samples_of(sequence)), payload(sequence, length_of(sequence)));
        written(&queue);
        for seed in 0..32 {
            let next = open(&files.lose(seed));
            let found = read_all(&next).await.len() as u64;
            assert_eq!(found, sequence, "seed {seed}");
        }
    }
    assert!(files.operations() > 0);
}

/// With several endpoints a name without a cursor file starts at the newest record, so the file must not be lost.
#[tokio::test]
async fn a_new_endpoints_cursor_survives_a_power_loss_from_its_first_record_on() {
    let files = PowerFiles::default();
    let queue = open(&files);
    queue.append(meta(10), payload(1, 100));
    written(&queue);
    for seed in 0..32 {
        let next = open(&files.lose(seed));
        assert_eq!((next.ledger(0).recovered, next.ledger(1).recovered), (10, 10), "seed {seed}");
    }
}
