//! The durable queue: one bounded memory ring in front of segment files, one cursor for each endpoint. Bytes only.
//!
//! Owns the records between their append and the moment when every endpoint has settled them, and all file I/O, behind one
//! thread. Hands on records, positions, and the ledger. Never knows what a payload means, who produces it, or who sends it.
//!
//! # On disk
//! Everything is in `QUEUE_DIR`; integers are little-endian; each CRC is crc32 (IEEE) of the bytes named.
//!
//! ```text
//! lock                            flock'ed for as long as a process uses the directory
//! segment-<20 digits>             records; no record in it has a smaller sequence than its name, none a larger one
//!                                 than the next segment's name
//!   0   8  "drwq-seg"
//!   8   4  version = 1
//!  12   4  CRC of bytes 0..12
//!  16      records, one after another:
//!            0   4  magic ff 52 57 72
//!            4   4  length of the payload in bytes
//!            8   8  sequence
//!           16   4  samples
//!           20   4  of which are staleness markers
//!           24   8  smallest timestamp, ms since the epoch
//!           32   8  largest timestamp
//!           40   4  CRC of the payload
//!           44   4  CRC of bytes 0..44
//!           48      payload
//! journal-<name>                  a set of byte strings as the changes that led to it; journal-<name>.new while it is written anew
//!   0   8  "drwq-jrn"
//!   8   4  version = 1
//!  12   4  CRC of bytes 0..12
//!  16      batches, one after another:
//!            0   4  magic ff 4a 52 6e
//!            4   4  length of the changes in bytes
//!            8   8  sequence of the record that brought them
//!           16   4  0: changes; 1: the whole set, in place of everything before
//!           20   4  CRC of the changes
//!           24   4  CRC of bytes 0..24
//!           28      changes: '+' or '-', length (4 bytes), entry
//! state/                          what other rooms keep beside the queue, which does not look into it
//! cursor-<endpoint>               1,024 bytes: two slots, at 0 and at 512, written in turn
//!            0   4  "drwc"
//!            4   4  version = 1
//!            8   8  generation: the valid slot with the larger one counts
//!           16   8  sequence  } the next sample to be sent
//!           24   4  entry     }
//!           28   4  CRC of bytes 0..28
//! ```
//!
//! The header has a CRC of its own, so that a record with a damaged payload still tells how many samples were lost and where
//! the next record begins. Where a header is damaged, recovery looks for the next magic with a fitting CRC.
//!
//! # Rules
//! - `append` only touches memory. The thread writes what is in the ring in order, syncs it (the segment, and the directory
//!   where a file is new) and confirms it; confirmed records may leave the ring (they survive a power loss), unconfirmed ones
//!   are dropped, oldest first, only when the ring is full of them.
//! - A payload may come raw, with the function that packs it. It stays so while every endpoint keeps up, which spares packing and unpacking
//!   what is never written; the thread packs what it is about to write. While an endpoint is behind, or an eighth of the ring is raw, a record
//!   is packed at its append: the ring's bound is meant for packed records. With `QUEUE_STORAGE=memory` all are.
//! - While an endpoint is behind, a record is written at once, with all that wait beside it in one sync. While none is, the
//!   endpoints have 250 ms to take it; a record that everybody has taken is never written.
//! - A segment whose sync has failed takes no more records: the kernel forgets then what did not reach the disk.
//! - A record that would leave less than `QUEUE_MIN_FREE_DISK` free is not written until an eighth of that is free on top; the
//!   queue does not shrink for it, since what it holds is not delivered yet. A close writes what is in the ring all the same.
//! - A failing or frozen disk is tried again at the next append and every 5 s. Meanwhile everything else works in memory.
//! - Segments are rolled at 1 MiB or an eighth of the byte cap, whichever is smaller. The oldest goes when every cursor is
//!   past it, or when the next record would exceed the cap.
//! - Cursors are written as soon as they move over anything that may be on disk or that brought changes of a journal, and before any record;
//!   over what was never written, within 5 s. They are synced every 5 s (a new one, with its name, at once): a kill repeats at most what was
//!   settled within the last write, a power loss at most 5 s of it, and the 250 ms for which a record beside it waited.
//! - A journal's changes are written before their record, and count at the next start only if that record is on disk or behind a cursor by
//!   then: a kill leaves set and queue as of one moment. One window stays: an endpoint has taken the record before the thread has written
//!   either, and the process is killed in that moment (about 0.1 ms after an append). A file of more than twice its set is written anew, by
//!   rename; its bytes count against the cap, of which a journal has at most a quarter and its set an eighth. While it cannot be written its
//!   changes wait, within the ring's bound or that of a whole set; past that the whole set is asked for.
//! - Sequences are never used twice: the next one is past every record, every segment's name and every cursor.
//! - Each endpoint's [`Ledger`] closes whenever the lock is free.
//!
//! # Files of this room
//! `modes` keeps others from reading it; `handle` is the door; `book` (with `index`, `ring`, `shelf`, `account`, `health`) holds the rules as plain memory; `desk` is the
//! lock and the bell; `worker` (with `segment`, `cursor`, `floor`) is the thread; `recovery` and `format` read what is there; `journal` is
//! the sets beside the records.

use std::path::PathBuf;

use bytes::Bytes;

mod account;
mod book;
mod cursor;
mod desk;
mod error;
mod files;
mod floor;
mod format;
mod handle;
mod health;
mod index;
mod journal;
mod modes;
mod notice;
mod opening;
mod recovery;
mod ring;
mod segment;
mod shelf;
mod stats;
#[cfg(test)]
mod tests;
mod worker;

pub use error::{OpenError, ReadError};
pub use files::make_directory;
pub use handle::Queue;
pub use journal::{Changes, Journal};
pub use stats::{Damage, EndpointStats, Faults, RemovedEndpoint, Stats};

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
    /// `QUEUE_MIN_FREE_DISK`; `None` is 512 MiB, or a tenth of the file system where that is less.
    pub min_free_disk: Option<u64>,
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
    /// What became of the payload so far.
    pub form: Form,
}

/// Whether a payload is as it goes to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It is.
    Packed,
    /// It is packed when it has to wait.
    Raw(Pack),
}

/// How a payload is packed: smaller, and readable for whoever reads it back.
#[derive(Clone, Copy)]
pub struct Pack(pub fn(&[u8]) -> Bytes);

impl PartialEq for Pack {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.0, other.0)
    }
}

impl Eq for Pack {}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pack")
    }
}

impl Record {
    /// The same record as it goes to disk.
    fn packed(self) -> Self {
        match self.form {
            Form::Packed => self,
            Form::Raw(Pack(pack)) => Self { payload: pack(&self.payload), form: Form::Packed, ..self },
        }
    }
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
