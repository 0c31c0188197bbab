/// Plain numbers for metrics: levels now, and counts since the process started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of segment files. 0 with `QUEUE_STORAGE=memory`.
    pub disk_bytes: u64,
    /// Bytes of journals, which count against `QUEUE_MAX_DISK_BYTES` too.
    pub journal_bytes: u64,
    /// `QUEUE_MAX_DISK_BYTES`. 0 with `QUEUE_STORAGE=memory`.
    pub disk_capacity_bytes: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes of records in the memory ring, with what each costs beside its payload.
    pub memory_bytes: u64,
    /// `QUEUE_MAX_MEMORY_BYTES`.
    pub memory_capacity_bytes: u64,
    /// Records that at least one endpoint still needs.
    pub records: u64,
    /// Of those, records that are in memory only.
    pub waiting_records: u64,
    /// Whether records reach the disk, as far as is known. Always true with `QUEUE_STORAGE=memory`.
    pub disk_ok: bool,
    /// Records appended.
    pub appended_records: u64,
    /// Records that were not on disk 5 s after their append (noticed at the next append, or here).
    pub stalled_appends: u64,
    /// Failed writes, truncations, removals and syncs.
    pub faults: Faults,
    /// Records dropped because a byte cap (disk or memory) was reached, whoever still needed them.
    pub overflowed_records: u64,
    /// What the recovery at start and later reads found.
    pub damage: Damage,
    /// In the order of the endpoints at [`Queue::open`](super::Queue::open).
    pub endpoints: Vec<EndpointStats>,
    /// Endpoints whose cursors were removed at start because no endpoint has their name any more.
    pub removed_endpoints: Vec<RemovedEndpoint>,
}

/// Failures of the file system by errno, and writes that were put off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// ENOSPC, EDQUOT.
    pub no_space: u64,
    /// EIO.
    pub io: u64,
    /// EROFS.
    pub read_only: u64,
    /// Writes that were not tried, because less than `QUEUE_MIN_FREE_DISK` would have been left.
    pub below_floor: u64,
    /// Everything else.
    pub other: u64,
}

/// What could not be read back. Bytes that are damaged stay where they are until their segment goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Segments with an unfinished record at their end (a kill or a power loss in the middle of a write), truncated.
    pub torn_tails: u64,
    /// Bytes truncated.
    pub torn_bytes: u64,
    /// Damaged places in the middle of segments, skipped; a record or a run of records whose headers are unreadable.
    pub damaged_records: u64,
    /// Bytes skipped.
    pub damaged_bytes: u64,
    /// Samples in skipped records, where a header still told.
    pub damaged_samples: u64,
    /// Segments that could not be opened or read at start, left alone.
    pub unreadable_segments: u64,
    /// Segments of an unknown version, left alone.
    pub unknown_segments: u64,
    /// Cursor files without a readable slot; their endpoints started at the oldest record.
    pub damaged_cursors: u64,
    /// Bytes of unfinished batches at the ends of journals, cut off.
    pub journal_torn_bytes: u64,
    /// Damaged places in journals: what their changes were is not known, all others count.
    pub damaged_journal_places: u64,
}

/// One endpoint's share of the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointStats {
    /// Its name.
    pub name: String,
    /// Bytes of payload of the records it has not taken.
    pub pending_bytes: u64,
    /// Smallest timestamp (ms since the epoch) of the record it takes next; `None` when it has taken everything.
    pub oldest_timestamp: Option<i64>,
}

/// A cursor that was removed at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovedEndpoint {
    /// Its name.
    pub name: String,
    /// Samples it had not taken (`endpoint_removed`).
    pub samples: u64,
}
