//! What the queue has to say. Decided under the lock, said after it: no log line is written while a sender waits.

use std::time::Duration;

use tracing::{error, info, warn};

use super::health::Work;

/// One log line.
#[derive(Debug)]
pub(super) enum Notice {
    /// A segment went because of the byte cap before this endpoint had all of it.
    SegmentDropped { endpoint: String, segment: u64, samples: u64 },
    /// A record is larger than the whole byte cap.
    TooLarge { sequence: u64, bytes: u64, cap: u64 },
    /// The memory ring is full of records that are nowhere else: the first one was dropped.
    MemoryFull { sequence: u64, cap: u64 },
    /// The memory ring has room again.
    MemoryRelieved { endpoint: String, records: u64, samples: u64 },
    /// No word from the disk.
    Stalled { waiting: usize, limit: Duration },
    /// The disk says no.
    Failing { work: Work, error: String, retry: Duration },
    /// Less would be free than shall be.
    BelowFloor { available: u64, floor: u64, retry: Duration },
    /// The disk does what it should again.
    Recovered { work: Work, after: Duration },
    /// A record turned out to be unreadable after it had been written.
    Damaged { sequence: u64, samples: u32 },
    /// A journal's set is larger than its share of the byte cap.
    JournalTooLarge { name: String, bytes: u64, cap: u64 },
    /// Records that could not be kept.
    LostAtExit { endpoint: String, samples: u64 },
}

impl Notice {
    pub(super) fn say(&self) {
        match self {
            Self::SegmentDropped { endpoint, segment, samples } => warn!(
                endpoint = %endpoint, segment, samples,
                "queue is at its byte cap: the oldest segment was dropped before this endpoint had taken it; counted as overflowed"
            ),
            Self::TooLarge { sequence, bytes, cap } => warn!(
                sequence,
                bytes,
                cap,
                "a record is larger than the whole byte cap of the queue and was dropped; counted as overflowed"
            ),
            Self::MemoryFull { sequence, cap } => warn!(
                sequence,
                cap,
                "memory ring is full of records that are not on disk: dropping the oldest, counted as overflowed"
            ),
            Self::MemoryRelieved { endpoint, records, samples } => info!(
                endpoint = %endpoint, records, samples,
                "memory ring has room again; these samples were dropped meanwhile"
            ),
            Self::Stalled { waiting, limit } => warn!(
                waiting, limit = ?limit,
                "the queue's disk does not answer: records stay in the memory ring, delivery goes on"
            ),
            Self::Failing { work: Work::Journal, error, retry } => error!(
                error = %error, retry = ?retry,
                "the queue's disk fails at writing journals: a restart would find them as they were; tried again after the delay"
            ),
            Self::Failing { work, error, retry } => error!(
                error = %error, retry = ?retry,
                "the queue's disk fails at {}: records stay in the memory ring, tried again at the next append or after the delay",
                work.name()
            ),
            Self::BelowFloor { available, floor, retry } => warn!(
                available, floor, retry = ?retry,
                "less would be free on the queue's disk than QUEUE_MIN_FREE_DISK: records stay in the memory ring until there is room"
            ),
            Self::Recovered { work, after } => {
                info!(after = ?after, "back on disk: {} works again", work.name())
            }
            Self::Damaged { sequence, samples } => error!(
                sequence,
                samples,
                "a queued record became unreadable on disk and is skipped; counted as overflowed and damaged"
            ),
            Self::JournalTooLarge { name, bytes, cap } => warn!(
                journal = %name, bytes, cap,
                "the set of this journal is larger than an eighth of the queue's byte cap: it is not kept over a restart until it is smaller"
            ),
            Self::LostAtExit { endpoint, samples } => warn!(
                endpoint = %endpoint, samples,
                "closing the queue with samples that are in memory only; counted as lost_at_exit"
            ),
        }
    }
}
