//! Where everybody meets: the book under one lock, and the bell of the queue's thread.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::book::Book;
use super::health::Work;
use super::journal::notebook::{Notebooks, Step};
use super::{Form, Position, ReadError, Record};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// From append to disk, before it is called a stall.
    pub(super) stall: Duration,
    /// Between two tries of what failed.
    pub(super) retry: Duration,
    /// Between two syncs.
    pub(super) sync: Duration,
    /// How long a record may answer EIO before it is skipped as damaged.
    pub(super) unreadable: Duration,
    /// How long a record is left to the endpoints before it is written, while none of them is behind.
    pub(super) linger: Duration,
    /// How long a cursor may wait that has moved over nothing on disk: a kill would repeat none of it.
    pub(super) idle_cursor: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let five = Duration::from_secs(5);
        // Endpoints answer within milliseconds, and a kill may take what was scraped in the last second.
        let linger = Duration::from_millis(250);
        let unreadable = Duration::from_secs(30);
        Self { stall: five, retry: five, sync: five, unreadable, linger, idle_cursor: five }
    }
}

/// What the queue's thread does next.
pub(super) enum Task {
    /// Of the journal with this number, the step with this number.
    Journal {
        journal: usize,
        name: String,
        number: u64,
        step: Step,
    },
    Cursors(Vec<(usize, Position)>),
    /// These, the oldest that wait, and all or the first of them.
    Write(Vec<Record>),
    Read(ReadRequest),
    Remove(Vec<u64>),
    Sync,
    /// Nothing is left to be done, and the queue is being closed.
    Finish,
    /// Everybody has gone.
    Abandon,
}

/// A record that is not in memory is wanted.
pub(super) struct ReadRequest {
    pub(super) from: u64,
    pub(super) reply: oneshot::Sender<Result<Option<Record>, ReadError>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// The last writes, then [`Phase::Closed`].
    Closing,
    /// All handles are gone without a close: the thread leaves everything as a kill would.
    Abandoned,
    /// There is no thread (any more).
    Closed,
}

/// What the lock guards.
pub(super) struct Desk {
    pub(super) book: Book,
    pub(super) journals: Notebooks,
    pub(super) reads: VecDeque<ReadRequest>,
    pub(super) phase: Phase,
    /// Written by the thread when it has written something.
    pub(super) sync_at: Option<Instant>,
    /// Since when cursors are not as they were last written.
    moved_at: Option<Instant>,
    retired: bool,
    thread: Thread,
}

/// What the queue's thread does: a ring costs both sides some 10 us, so it is rung for only when it sleeps, and too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thread {
    /// It is at work, and looks again before it sleeps; or it has been rung for; or there is none.
    Awake,
    /// Until then, or until it is rung for.
    Asleep(Option<Instant>),
}

/// One kind of task and since when it is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    Journal,
    Cursors,
    Write,
    Read,
    Remove,
    Sync,
}

pub(super) struct Shared {
    /// A std mutex, because nobody awaits or touches a file inside.
    desk: Mutex<Desk>,
    bell: Condvar,
    /// One past the newest sequence.
    pub(super) end: watch::Sender<u64>,
    /// Turns true when the thread has ended.
    pub(super) closed: watch::Sender<bool>,
    /// Turns true when the thread has panicked, although it goes on.
    pub(super) panicked: watch::Sender<bool>,
    pub(super) timing: Timing,
}

impl Shared {
    pub(super) fn new(book: Book, journals: Notebooks, timing: Timing) -> Self {
        let end = watch::Sender::new(book.end());
        let desk = Desk {
            book,
            journals,
            reads: VecDeque::new(),
            phase: Phase::Running,
            sync_at: None,
            moved_at: None,
            retired: false,
            thread: Thread::Awake,
        };
        let (closed, panicked) = (watch::Sender::new(false), watch::Sender::new(false));
        Self { desk: Mutex::new(desk), bell: Condvar::new(), end, closed, panicked, timing }
    }

    /// The desk stays usable whatever happened to another thread: each method of the book leaves it consistent.
    pub(super) fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the book, then says what it has to say, and wakes the thread if there is something to do for it before it would look
    /// by itself.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Desk) -> T) -> T {
        let mut desk = self.lock();
        let result = work(&mut desk);
        let notices = desk.book.take_notices();
        let ring = desk.oversleeps(Instant::now(), &self.timing);
        drop(desk);
        if ring {
            self.bell.notify_one();
        }
        notices.iter().for_each(super::notice::Notice::say);
        result
    }

    /// The records as they go to disk; the ring has them so from now on. Nobody waits while they are packed.
    pub(super) fn packed(&self, batch: Vec<Record>) -> Vec<Record> {
        if batch.iter().all(|record| record.form == Form::Packed) {
            return batch;
        }
        let packed: Vec<Record> = batch.into_iter().map(Record::packed).collect();
        self.with(|desk| packed.iter().for_each(|record| desk.book.repack(record.clone())));
        packed
    }

    /// Waits for the next thing to do.
    pub(super) fn next_task(&self) -> Task {
        let mut desk = self.lock();
        loop {
            let now = Instant::now();
            if let Some(task) = desk.pick(now, &self.timing) {
                return task;
            }
            let until = desk.wake_at(now, &self.timing);
            desk.thread = Thread::Asleep(until);
            desk = match until {
                Some(at) => {
                    let wait = self.bell.wait_timeout(desk, at.saturating_duration_since(now));
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.bell.wait(desk).unwrap_or_else(PoisonError::into_inner),
            };
            desk.thread = Thread::Awake;
        }
    }
}

impl Desk {
    /// Whether the thread must be rung for; if so, it counts as awake from now on.
    fn oversleeps(&mut self, now: Instant, timing: &Timing) -> bool {
        let Thread::Asleep(until) = self.thread else { return false };
        let over = match self.phase {
            Phase::Running => {
                let due = self.wake_at(now, timing);
                due.is_some_and(|due| until.is_none_or(|until| due < until))
            }
            Phase::Closing | Phase::Abandoned | Phase::Closed => true,
        };
        if over {
            self.thread = Thread::Awake;
        }
        over
    }

    /// Changes of journals first: nothing must say that their record came to be before they are there. Then cursors, which keep a kill
    /// from repeating requests; then new records, then those who wait for old ones.
    fn pick(&mut self, now: Instant, timing: &Timing) -> Option<Task> {
        let closing = match self.phase {
            Phase::Running => false,
            Phase::Closing => true,
            Phase::Abandoned | Phase::Closed => return Some(Task::Abandon),
        };
        let due = self.duties(now, timing).into_iter().find(|(_, at)| at.is_some_and(|at| at <= now));
        if let Some(task) = due.and_then(|(duty, _)| self.task(duty)) {
            return Some(task);
        }
        if !closing {
            return None;
        }
        if !self.retired {
            self.retired = true;
            self.book.retire();
            return self.pick(now, timing);
        }
        Some(Task::Finish)
    }

    /// When the first duty is due.
    pub(super) fn wake_at(&mut self, now: Instant, timing: &Timing) -> Option<Instant> {
        self.duties(now, timing).into_iter().filter_map(|(_, at)| at).min()
    }

    /// What is to be done from when on, in the order in which it is to be done.
    fn duties(&mut self, now: Instant, timing: &Timing) -> [(Duty, Option<Instant>); 6] {
        let closing = self.phase == Phase::Closing;
        let soon = |wanted: bool| wanted.then_some(now);
        let at_close = |at: Instant| if closing { now } else { at };
        let write = self.book.write_due(timing.linger).map(at_close);
        let cursors = self.cursors_due(now, timing, write).map(at_close);
        let journal = soon(self.journal_task().is_some());
        let rested = |work, at: Option<Instant>| self.book.health.not_before(work, at);
        [
            (Duty::Journal, rested(Work::Journal, journal)),
            (Duty::Cursors, rested(Work::Cursor, cursors)),
            (Duty::Write, rested(Work::Record, write)),
            (Duty::Read, soon(!self.reads.is_empty())),
            (Duty::Remove, rested(Work::Removal, soon(self.book.shelf.has_doomed()))),
            (Duty::Sync, rested(Work::Sync, self.sync_at.map(at_close))),
        ]
    }

    /// Cursors are written at once if a kill would repeat something without that, and before any record: what everybody has taken and
    /// nobody has written ends with the process.
    fn cursors_due(&mut self, now: Instant, timing: &Timing, write: Option<Instant>) -> Option<Instant> {
        if !self.book.has_dirty_cursor() {
            self.moved_at = None;
            return None;
        }
        let moved = *self.moved_at.get_or_insert(now);
        if self.book.kill_repeats() {
            return Some(moved);
        }
        let idle = moved + timing.idle_cursor;
        Some(write.map_or(idle, |write| write.min(idle)))
    }

    fn task(&mut self, duty: Duty) -> Option<Task> {
        match duty {
            Duty::Journal => self.journal_task(),
            Duty::Cursors => {
                // One that moves while these are written has its own time.
                self.moved_at = None;
                Some(Task::Cursors(self.book.dirty_cursors()))
            }
            Duty::Write => Some(Task::Write(self.book.take_batch())),
            Duty::Read => self.reads.pop_front().map(Task::Read),
            Duty::Remove => Some(Task::Remove(self.book.shelf.take_doomed())),
            Duty::Sync => Some(Task::Sync),
        }
    }

    fn journal_task(&self) -> Option<Task> {
        let (journal, number, step) = {
            // Records that the disk does not take must not keep a whole set from it.
            let records_wait =
                self.book.write_due(Duration::ZERO).is_some() && self.book.health.records_reach_disk();
            self.journals.next(records_wait)?
        };
        let name = self.journals.get(journal)?.name().to_owned();
        Some(Task::Journal { journal, name, number, step })
    }
}
