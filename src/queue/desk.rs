//! Where everybody meets: the book under one lock, and the bell of the queue's thread.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::book::Book;
use super::health::Work;
use super::journal::notebook::{Notebooks, Step};
use super::{Position, ReadError, Record};

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
}

impl Default for Timing {
    fn default() -> Self {
        let five = Duration::from_secs(5);
        // Endpoints answer within milliseconds, and a kill may take what was scraped in the last second.
        let linger = Duration::from_millis(250);
        Self { stall: five, retry: five, sync: five, unreadable: Duration::from_secs(30), linger }
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
    retired: bool,
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
            retired: false,
        };
        let (closed, panicked) = (watch::Sender::new(false), watch::Sender::new(false));
        Self { desk: Mutex::new(desk), bell: Condvar::new(), end, closed, panicked, timing }
    }

    /// The desk stays usable whatever happened to another thread: each method of the book leaves it consistent.
    pub(super) fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the book, then says what it has to say, and wakes the thread if there is something to do for it.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Desk) -> T) -> T {
        let mut desk = self.lock();
        let result = work(&mut desk);
        let notices = desk.book.take_notices();
        drop(desk);
        self.bell.notify_one();
        notices.iter().for_each(super::notice::Notice::say);
        result
    }

    /// Wakes the queue's thread.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits for the next thing to do.
    pub(super) fn next_task(&self) -> Task {
        let mut desk = self.lock();
        loop {
            let now = Instant::now();
            if let Some(task) = desk.pick(now, &self.timing) {
                return task;
            }
            desk = match desk.wake_at(now, &self.timing) {
                Some(at) => {
                    let wait = self.bell.wait_timeout(desk, at.saturating_duration_since(now));
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.bell.wait(desk).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Desk {
    /// Changes of journals first: nothing must say that their record came to be before they are there. Then cursors, which keep a kill
    /// from repeating requests; then new records, then those who wait for old ones.
    fn pick(&mut self, now: Instant, timing: &Timing) -> Option<Task> {
        let closing = match self.phase {
            Phase::Running => false,
            Phase::Closing => true,
            Phase::Abandoned | Phase::Closed => return Some(Task::Abandon),
        };
        let ready = |work| self.book.health.ready(work, now);
        if ready(Work::Journal)
            && let Some(task) = self.journal_task()
        {
            return Some(task);
        }
        if ready(Work::Cursor) && self.book.has_dirty_cursor() {
            return Some(Task::Cursors(self.book.dirty_cursors()));
        }
        if ready(Work::Record)
            && let Some(due) = self.book.write_due(timing.linger)
            && (closing || now >= due)
        {
            return Some(Task::Write(self.book.take_batch()));
        }
        if let Some(request) = self.reads.pop_front() {
            return Some(Task::Read(request));
        }
        if ready(Work::Removal) && self.book.shelf.has_doomed() {
            return Some(Task::Remove(self.book.shelf.take_doomed()));
        }
        let due = self.sync_at.is_some_and(|at| closing || now >= at);
        if due && ready(Work::Sync) {
            return Some(Task::Sync);
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

    fn wake_at(&self, now: Instant, timing: &Timing) -> Option<Instant> {
        let later = |at: &Instant| *at > now;
        let sync = self.sync_at.filter(later);
        let write = self.book.write_due(timing.linger).filter(later);
        sync.into_iter().chain(write).chain(self.book.health.next_retry(now)).min()
    }
}
