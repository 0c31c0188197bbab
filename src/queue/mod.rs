//! The durable queue: one bounded memory ring in front of segment files, one cursor for each endpoint. Bytes only.
//!
//! Owns all file I/O behind one thread. Knows nothing of what a record's payload means.

use std::path::PathBuf;

use bytes::Bytes;

/// Where records live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In the memory ring only; what is left at exit is lost and counted.
    Memory,
    /// In segment files below this directory (created when missing).
    Disk(PathBuf),
}

/// The queue's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `QUEUE_STORAGE`, `QUEUE_DIR`.
    pub storage: Storage,
    /// `QUEUE_MAX_DISK_BYTES`.
    pub max_disk_bytes: u64,
    /// `QUEUE_MAX_MEMORY_BYTES`.
    pub max_memory_bytes: u64,
}

/// What a record's header says, so that the queue counts and expires without decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMeta {
    /// Samples in the record, staleness markers included: the entries of a [`Position`].
    pub samples: u32,
    /// How many of them are staleness markers.
    pub markers: u32,
    /// Smallest timestamp, ms since the epoch.
    pub min_timestamp: i64,
    /// Largest timestamp, ms since the epoch.
    pub max_timestamp: i64,
}

/// One record, as it is in the ring or on disk. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Grows by one with each record, over restarts too (gaps are allowed).
    pub sequence: u64,
    /// The header's counts.
    pub meta: RecordMeta,
    /// Opaque.
    pub payload: Bytes,
}

/// A place between two samples of the queue: the next sample to be sent. Ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The record.
    pub sequence: u64,
    /// Samples of that record that are done with.
    pub entry: u32,
}

/// How samples leave the queue: one word of the ledger each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The endpoint answered 2xx.
    Delivered,
    /// The endpoint's answer was final and not 2xx.
    Rejected,
    /// Older than `REMOTE_WRITE_SAMPLE_AGE_LIMIT`.
    Expired,
}

/// The ledger of one endpoint since the process started. Closes at every moment:
/// `appended + recovered = delivered + rejected + expired + overflowed + lost_at_exit + pending`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Samples appended by this process.
    pub appended: u64,
    /// Samples that were pending when the queue was opened.
    pub recovered: u64,
    /// See [`Fate::Delivered`].
    pub delivered: u64,
    /// See [`Fate::Rejected`].
    pub rejected: u64,
    /// See [`Fate::Expired`].
    pub expired: u64,
    /// Dropped because the byte cap (disk or memory) was reached.
    pub overflowed: u64,
    /// Still in memory only when the queue was closed.
    pub lost_at_exit: u64,
    /// Between the cursor and the end of the queue.
    pub pending: u64,
}
