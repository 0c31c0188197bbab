//! Cursors that may wait: what a kill finds of them is as good as if they had been written at every move.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::account::Account;
use super::super::book::Book;
use super::super::desk::{Shared, Task};
use super::super::journal::notebook::{Caps, Notebooks};
use super::super::opening::Opening;
use super::power::PowerFiles;
use super::*;

const NEVER: Duration = Duration::from_secs(3600);

/// Nothing is written but what must be.
fn lazy() -> Home {
    let mut home = Home::new();
    home.timing = Timing { linger: NEVER, idle_cursor: NEVER, ..home.timing };
    home
}

/// Until the queue's thread has done what is due.
fn at_rest(queue: &Queue) {
    let shared = queue.shared();
    eventually("nothing is due", || {
        let now = Instant::now();
        shared.lock().wake_at(now, &shared.timing).is_none_or(|at| at > now)
    });
}

fn cursor_is_written(queue: &Queue) -> bool {
    !queue.shared().lock().book.has_dirty_cursor()
}

/// A queue whose cursor has a file, which is written at once whatever is in it, and that has two records.
fn begun(home: &Home) -> Queue {
    let queue = home.open(&["a"]);
    eventually("the cursor has a file", || cursor_is_written(&queue));
    for seed in 1..=2 {
        queue.append(meta(10), payload(seed, 50));
    }
    queue
}

#[tokio::test]
async fn a_cursor_over_what_was_never_written_waits_and_a_kill_repeats_nothing() {
    let home = lazy();
    let queue = begun(&home);
    queue.settle(0, at(3, 0), Fate::Delivered);
    at_rest(&queue);
    assert!(!cursor_is_written(&queue));
    drop(queue);
    let queue = home.open(&["a"]);
    assert_eq!((queue.cursor(0), queue.ledger(0).recovered), (at(1, 0), 0));
    assert_eq!(read_all(&queue).await, []);
}

#[tokio::test]
async fn it_does_not_wait_for_ever() {
    let mut home = lazy();
    home.timing.idle_cursor = Duration::from_millis(20);
    let queue = begun(&home);
    queue.settle(0, at(3, 0), Fate::Delivered);
    eventually("the cursor is written", || cursor_is_written(&queue));
}

#[tokio::test]
async fn a_cursor_that_moves_within_or_over_what_is_on_disk_is_written_at_once() {
    let mut home = lazy();
    home.timing.linger = Duration::ZERO;
    let queue = begun(&home);
    eventually("the record is on disk", || queue.stats().waiting_records == 0);
    for to in [at(2, 4), at(3, 0)] {
        queue.settle(0, to, Fate::Delivered);
        eventually("the cursor is written", || cursor_is_written(&queue));
    }
    drop(queue);
    assert_eq!(home.open(&["a"]).cursor(0), at(3, 0));
}

#[tokio::test]
async fn a_cursor_over_a_record_that_changed_a_journal_is_written_at_once() {
    let home = lazy();
    let queue = begun(&home);
    queue.settle(0, at(3, 0), Fate::Delivered);
    at_rest(&queue);
    assert!(!cursor_is_written(&queue));
    let mut changes = Changes::default();
    changes.add(b"up");
    queue.journal("docker").note(&changes);
    eventually("the cursor is written", || cursor_is_written(&queue));
    at_rest(&queue);
    drop(queue);
    let queue = home.open(&["a"]);
    assert_eq!(queue.journal("docker").take_recovered(), [Bytes::from_static(b"up")]);
}

/// Between the two a kill would repeat all that the cursor has passed.
#[test]
fn a_cursor_is_written_before_a_record_that_stands_behind_the_place_in_its_file() {
    let mut home = lazy();
    home.timing.linger = Duration::ZERO;
    let start = at(1, 0);
    let accounts = ["a", "b"].map(|name| Account::new(name, start, Some(start))).to_vec();
    let book = Book::open(&home.config(), Opening { accounts, next: 1, ..Opening::default() });
    let shared = Shared::new(book, Notebooks::new(Caps::new(0, 0), Vec::new()), home.timing);
    shared.with(|desk| {
        desk.book.append(meta(10), payload(1, 50), Form::Packed, Instant::now());
        desk.book.settle(0, at(2, 0), Fate::Delivered);
    });
    let Task::Cursors(dirty) = shared.next_task() else { panic!("the cursor comes first") };
    assert_eq!(dirty, [(0, at(2, 0))]);
    shared.with(|desk| desk.book.persisted(0, Some(at(2, 0))));
    assert!(matches!(shared.next_task(), Task::Write(batch) if batch.len() == 1));
}

#[derive(Clone, Debug)]
enum Step {
    Append(u32),
    Settle(usize, u64, u32),
    Restart,
    Kill(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u32..9).prop_map(Step::Append),
        6 => (0usize..2, 0u64..6, 0u32..9).prop_map(|(endpoint, ahead, entry)| Step::Settle(endpoint, ahead, entry)),
        1 => Just(Step::Restart),
        2 => any::<u64>().prop_map(Step::Kill),
    ]
}

/// Sequences come again after a kill; the payloads' first bytes do not.
type Pending = BTreeMap<u64, u32>;

fn id(record: &Record) -> u64 {
    u64::from_le_bytes(record.payload[..8].try_into().unwrap())
}

struct Machine {
    files: PowerFiles,
    timing: Timing,
    queue: Queue,
    runtime: tokio::runtime::Runtime,
    appended: u64,
    /// Kills are power losses, each after a sync. Not both in one life: what a process leaves in the page cache is no business of the next one.
    power: bool,
}

impl Machine {
    fn new(linger: Duration, power: bool) -> Self {
        let files = PowerFiles::default();
        let timing = Timing { linger, ..lazy().timing };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { queue: open(&files, timing), files, timing, runtime, appended: 0, power }
    }

    /// For each endpoint, of each record how many samples wait for it.
    fn pending(&self) -> [Pending; 2] {
        let records = self.runtime.block_on(read_all(&self.queue));
        [0, 1].map(|endpoint| {
            let cursor = self.queue.cursor(endpoint);
            let left = |record: &Record| match record.sequence.cmp(&cursor.sequence) {
                std::cmp::Ordering::Less => 0,
                std::cmp::Ordering::Equal => record.meta.samples - cursor.entry,
                std::cmp::Ordering::Greater => record.meta.samples,
            };
            let of = records.iter().map(|record| (id(record), left(record)));
            of.filter(|(_, samples)| *samples > 0).collect()
        })
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Append(samples) => {
                self.appended += 1;
                let mut bytes = self.appended.to_le_bytes().to_vec();
                bytes.extend_from_slice(&payload(self.appended, 200));
                self.queue.append(meta(*samples), bytes.into());
            }
            Step::Settle(endpoint, ahead, entry) => {
                let to = at(self.queue.cursor(*endpoint).sequence + ahead, *entry);
                self.queue.settle(*endpoint, to, Fate::Delivered);
            }
            Step::Restart => {
                let before = self.pending();
                self.runtime.block_on(self.queue.close());
                self.queue = open(&self.files, self.timing);
                assert_eq!(self.pending(), before);
            }
            Step::Kill(seed) => self.end(*seed),
        }
    }

    fn end(&mut self, seed: u64) {
        if self.timing.linger < NEVER {
            // A record that is written between the sync and the loss would bring back what others have taken of it.
            eventually("all is written", || self.queue.stats().waiting_records == 0);
        }
        at_rest(&self.queue);
        if self.power {
            self.queue.shared().with(|desk| desk.sync_at = Some(Instant::now()));
            eventually("synced", || self.queue.shared().lock().sync_at.is_none());
        }
        let before = self.pending();
        let waiting = self.queue.stats().waiting_records;
        let newest = self.appended - waiting;
        let mut closed = self.queue.shared().closed.subscribe();
        let files = if self.power { self.files.lose(seed) } else { self.files.clone() };
        self.queue = open(&PowerFiles::default(), self.timing);
        self.runtime.block_on(closed.wait_for(|closed| *closed)).unwrap();
        self.files = files;
        self.queue = open(&self.files, self.timing);
        for (before, after) in before.iter().zip(&self.pending()) {
            for (id, samples) in after {
                assert_eq!(before.get(id), Some(samples), "record {id} is repeated");
            }
            for id in before.keys().filter(|id| **id <= newest) {
                assert!(after.contains_key(id), "record {id} is lost, which was on disk");
            }
        }
    }
}

fn open(files: &PowerFiles, timing: Timing) -> Queue {
    Queue::on_disk(&Home::new().config(), &names(&["a", "b"]), Box::new(files.clone()), timing).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kills_and_power_losses_repeat_nothing_and_take_only_what_waited(
        steps in prop::collection::vec(step(), 1..60),
        linger in prop_oneof![Just(Duration::ZERO), Just(Duration::from_millis(1)), Just(NEVER)],
        power in any::<bool>(),
    ) {
        let mut machine = Machine::new(linger, power);
        steps.iter().for_each(|step| machine.apply(step));
    }
}
