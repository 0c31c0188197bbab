use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use super::line::{Finished, Line};
use super::options::{Format, Level};
use super::storm::{Key, Storms, Summary, Verdict};
use crate::model::now_ms;

const MAX_LINES: usize = 1024;
const MAX_BYTES: usize = 256 * 1024;

/// The pause before a non-blocking output that is full is tried again.
const FULL_OUTPUT_PAUSE: Duration = Duration::from_millis(20);

/// Between two tries for a lock that may belong to a thread that panics.
const LOCK_PAUSE: Duration = Duration::from_millis(1);

pub(super) const THREAD_NAME: &str = "log-writer";

/// What happened to the lines so far, since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Given to the output, whole.
    pub lines_written: u64,
    /// Not queued, because the queue was full.
    pub lines_dropped: u64,
    /// Cut to [`MAX_LINE_BYTES`](super::MAX_LINE_BYTES); written or dropped after that like any other.
    pub lines_truncated: u64,
    /// Repeats that a summary stands for.
    pub lines_suppressed: u64,
    /// Lines that the output refused; they are lost.
    pub write_errors: u64,
}

/// The queue between those who log and the log writer. The two locks are never held together, nor while anything is written or formatted for others.
#[derive(Debug)]
pub(super) struct Lines {
    format: Format,
    state: Mutex<State>,
    storms: Mutex<Storms>,
    /// For the writer: there is a line, a summary is due, or the end has come.
    bell: Condvar,
    /// For [`Lines::flush`]: the last line has been written.
    drained: Condvar,
    written: AtomicU64,
    dropped: AtomicU64,
    truncated: AtomicU64,
    suppressed: AtomicU64,
    write_errors: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<String>,
    bytes: usize,
    /// A line has left the queue and is not written yet.
    in_hand: bool,
    /// Dropped and not yet said.
    unsaid: u64,
    /// When the writer shall look for summaries.
    summary_due: Option<Instant>,
    closed: bool,
}

/// What the writer does next.
enum Step {
    Write(String),
    Summarise,
    End,
}

impl Lines {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            state: Mutex::default(),
            storms: Mutex::default(),
            bell: Condvar::new(),
            drained: Condvar::new(),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            truncated: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
            write_errors: AtomicU64::new(0),
        }
    }

    /// Starts the writer. It ends after [`Lines::close`], when the queue is empty; a panic costs the line that it was at, no more.
    pub(super) fn spawn(lines: &Arc<Self>, mut output: impl Write + Send + 'static) -> io::Result<()> {
        let lines = Arc::clone(lines);
        let write = move || {
            while catch_unwind(AssertUnwindSafe(|| lines.run(&mut output))).is_err() {
                lines.write_errors.fetch_add(1, Ordering::Relaxed);
            }
        };
        thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(write).map(drop)
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Whether an event becomes a line, or only part of a count.
    pub(super) fn admit(&self, key: Key, level: Level, room: &str) -> bool {
        let now = Instant::now();
        let (ended, verdict) = {
            let mut storms = self.storms.lock().unwrap_or_else(PoisonError::into_inner);
            (storms.ended(now), storms.judge(now, key, level, room))
        };
        self.summarise(ended);
        match verdict {
            Verdict::Write => true,
            Verdict::Suppress { summary_due } => {
                self.suppressed.fetch_add(1, Ordering::Relaxed);
                if let Some(due) = summary_due {
                    let mut state = self.state();
                    state.summary_due = Some(state.summary_due.map_or(due, |earlier| earlier.min(due)));
                    self.bell.notify_one();
                }
                false
            }
        }
    }

    /// Queues a line, or drops it.
    pub(super) fn push(&self, line: Finished) {
        if line.truncated {
            self.truncated.fetch_add(1, Ordering::Relaxed);
        }
        let mut state = self.state();
        let full = state.lines.len() >= MAX_LINES || state.bytes + line.text.len() > MAX_BYTES;
        if full || state.closed {
            state.unsaid += 1;
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.say_dropped(&mut state);
        state.put(line.text);
        self.bell.notify_one();
    }

    /// For a panic: queues a line, over the limits if need be, and waits until it is written; `limit` is for both. Returns whether it is in the
    /// queue: not where the lock cannot be had, which the panicking thread may hold itself.
    pub(super) fn push_within(&self, line: Finished, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = loop {
            match self.state.try_lock() {
                Ok(state) => break state,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return false,
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            }
        };
        if state.closed {
            return false;
        }
        state.put(line.text);
        self.bell.notify_one();
        self.until_drained(state, deadline.saturating_duration_since(Instant::now()));
        true
    }

    pub(super) fn flush(&self, limit: Duration) -> bool {
        let unsummarised = self.storms.lock().unwrap_or_else(PoisonError::into_inner).all();
        self.summarise(unsummarised);
        self.until_drained(self.state(), limit)
    }

    fn until_drained(&self, state: MutexGuard<'_, State>, limit: Duration) -> bool {
        let busy =
            |state: &mut State| -> bool { state.in_hand || state.unsaid > 0 || !state.lines.is_empty() };
        let waited = self.drained.wait_timeout_while(state, limit, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Does something while this thread holds the queue, as one does that panics in it.
    #[cfg(test)]
    pub(super) fn while_locked(&self, work: impl FnOnce()) {
        let _state = self.state();
        work();
    }

    pub(super) fn close(&self) {
        self.state().closed = true;
        self.bell.notify_one();
    }

    pub(super) fn counters(&self) -> Counters {
        Counters {
            lines_written: self.written.load(Ordering::Relaxed),
            lines_dropped: self.dropped.load(Ordering::Relaxed),
            lines_truncated: self.truncated.load(Ordering::Relaxed),
            lines_suppressed: self.suppressed.load(Ordering::Relaxed),
            write_errors: self.write_errors.load(Ordering::Relaxed),
        }
    }

    /// A panic elsewhere leaves the queue as usable as it was: no lock is held while foreign code runs.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn summarise(&self, summaries: Vec<Summary>) {
        for Summary { level, room, message, repeats } in summaries {
            let mut line = Line::new(self.format, now_ms(), level, &room);
            line.message(format_args!("repeated lines were suppressed"));
            line.plain("repeats", format_args!("{repeats}"));
            line.field("message", format_args!("{message}"));
            self.push(line.finish());
        }
    }

    /// Queues the line about dropped ones, over the limit if need be: it is one line at most.
    fn say_dropped(&self, state: &mut State) {
        if state.unsaid > 0 {
            let mut line = Line::new(self.format, now_ms(), Level::Warn, "telemetry");
            line.message(format_args!("{} log lines dropped: the output took no more", state.unsaid));
            state.unsaid = 0;
            state.put(line.finish().text);
        }
    }

    fn run(&self, output: &mut impl Write) {
        let mut torn = false;
        loop {
            match self.next() {
                Step::End => return,
                Step::Summarise => {
                    let ended =
                        self.storms.lock().unwrap_or_else(PoisonError::into_inner).ended(Instant::now());
                    self.summarise(ended);
                }
                Step::Write(line) => {
                    let counter =
                        if write_line(output, &line, &mut torn) { &self.written } else { &self.write_errors };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn next(&self) -> Step {
        let mut state = self.state();
        state.in_hand = false;
        loop {
            if state.lines.is_empty() {
                self.say_dropped(&mut state);
            }
            if let Some(line) = state.lines.pop_front() {
                state.bytes -= line.len();
                state.in_hand = true;
                return Step::Write(line);
            }
            self.drained.notify_all();
            if state.closed {
                return Step::End;
            }
            state = match state.summary_due.map(|due| due.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => {
                    state.summary_due = None;
                    return Step::Summarise;
                }
                Some(wait) => self.bell.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => self.bell.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl State {
    fn put(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
    }
}

/// Writes one line; returns whether all of it went. `torn` remembers that the last line ended in the middle: the next one begins on a line of its own.
fn write_line(output: &mut impl Write, line: &str, torn: &mut bool) -> bool {
    if *torn && write_all(output, b"\n").is_err() {
        return false;
    }
    match write_all(output, line.as_bytes()) {
        Ok(()) => {
            *torn = false;
            true
        }
        Err(taken) => {
            *torn = taken > 0;
            false
        }
    }
}

/// The error is the number of bytes taken before the output failed: closed pipe, full disk; there is nobody left to tell. A full non-blocking output
/// (a terminal shared with a program that made it so) is waited for.
fn write_all(output: &mut impl Write, bytes: &[u8]) -> Result<(), usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match output.write(&bytes[taken..]) {
            Ok(0) => return Err(taken),
            Ok(more) => taken += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL_OUTPUT_PAUSE),
            Err(_) => return Err(taken),
        }
    }
    output.flush().map_err(|_| taken)
}
