//! How the disk is doing, for each kind of work: what is said once, what is counted, when it is tried again.

use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::Faults;
use super::floor::Short;
use super::notice::Notice;

/// What the queue's thread asks of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Journal,
    Record,
    Cursor,
    Removal,
    Sync,
}

impl Work {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Journal => "writing journals",
            Self::Record => "writing records",
            Self::Cursor => "writing cursors",
            Self::Removal => "removing segments",
            Self::Sync => "syncing",
        }
    }
}

/// Why work does not get done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No answer at all so far.
    Stalled,
    /// Not asked: less would be free than `QUEUE_MIN_FREE_DISK`.
    BelowFloor,
    NoSpace,
    Io,
    ReadOnly,
    Other,
}

impl Fault {
    pub(super) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Self::Io,
            _ => Self::Other,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Ward {
    trouble: Option<(Fault, Instant)>,
    rest_until: Option<Instant>,
}

/// The state of all five kinds of work.
#[derive(Debug, Default)]
pub(super) struct Health {
    wards: [Ward; 5],
    pub(super) faults: Faults,
}

impl Health {
    /// Whether this work may be tried now.
    pub(super) fn ready(&self, work: Work, now: Instant) -> bool {
        self.wards[work as usize].rest_until.is_none_or(|until| now >= until)
    }

    /// When work that is due at `at` may be tried: not while it rests.
    pub(super) fn not_before(&self, work: Work, at: Option<Instant>) -> Option<Instant> {
        let rest_until = self.wards[work as usize].rest_until;
        at.map(|at| rest_until.map_or(at, |until| until.max(at)))
    }

    /// Tries again at once.
    pub(super) fn wake(&mut self, work: Work) {
        self.wards[work as usize].rest_until = None;
    }

    pub(super) fn wake_all(&mut self) {
        for ward in &mut self.wards {
            ward.rest_until = None;
        }
    }

    /// Nothing is tried for a while.
    pub(super) fn rest_all(&mut self, now: Instant, rest: Duration) {
        for ward in &mut self.wards {
            ward.rest_until = Some(now + rest);
        }
    }

    /// Counts a failure and rests this work; says so when it is news.
    pub(super) fn failed(
        &mut self,
        work: Work,
        error: &io::Error,
        now: Instant,
        rest: Duration,
    ) -> Option<Notice> {
        let fault = Fault::of(error);
        match fault {
            Fault::NoSpace => self.faults.no_space += 1,
            Fault::Io => self.faults.io += 1,
            Fault::ReadOnly => self.faults.read_only += 1,
            Fault::Stalled | Fault::BelowFloor | Fault::Other => self.faults.other += 1,
        }
        let known = self.rest(work, fault, now, rest);
        (!known).then(|| Notice::Failing { work, error: error.to_string(), retry: rest })
    }

    /// Records are not written, because others need the space; counts it, rests, and says so when it is news.
    pub(super) fn held_back(&mut self, short: Short, now: Instant, rest: Duration) -> Option<Notice> {
        self.faults.below_floor += 1;
        let known = self.rest(Work::Record, Fault::BelowFloor, now, rest);
        let Short { available, floor } = short;
        (!known).then_some(Notice::BelowFloor { available, floor, retry: rest })
    }

    /// Whether it was known.
    fn rest(&mut self, work: Work, fault: Fault, now: Instant, rest: Duration) -> bool {
        let ward = &mut self.wards[work as usize];
        ward.rest_until = Some(now + rest);
        let since = ward.trouble.map_or(now, |(_, since)| since);
        let known = ward.trouble.is_some_and(|(known, _)| known == fault);
        ward.trouble = Some((fault, since));
        known
    }

    /// Records do not come back from the disk; news only if nothing else was wrong with them.
    pub(super) fn stalled(&mut self, now: Instant, waiting: usize, limit: Duration) -> Option<Notice> {
        let ward = &mut self.wards[Work::Record as usize];
        if ward.trouble.is_some() {
            return None;
        }
        ward.trouble = Some((Fault::Stalled, now));
        Some(Notice::Stalled { waiting, limit })
    }

    /// The work got done; news if it did not before.
    pub(super) fn worked(&mut self, work: Work, now: Instant) -> Option<Notice> {
        let ward = &mut self.wards[work as usize];
        ward.rest_until = None;
        let (_, since) = ward.trouble.take()?;
        Some(Notice::Recovered { work, after: now.saturating_duration_since(since) })
    }

    /// Whether records reach the disk, as far as is known.
    pub(super) fn records_reach_disk(&self) -> bool {
        self.wards[Work::Record as usize].trouble.is_none()
    }
}
