use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::account::Account;
use super::book::{Book, Find};
use super::desk::{Desk, Phase, ReadRequest, Shared, Timing};
use super::files::{Directory, Files};
use super::floor::Floor;
use super::journal::notebook::{Caps, Notebooks};
use super::opening::Opening;
use super::recovery::{Recovered, recover};
use super::segment::{Writer, size_limit};
use super::worker::{Own, Worker};
use super::{
    Config, Fate, Form, Ledger, OpenError, Pack, Position, ReadError, Record, RecordMeta, Stats, Storage,
};

/// A process that is on its way out gets this long to let go of the directory.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// The queue, for everybody: cheap to clone. No method but [`Queue::open`] touches a file; none waits for one but
/// [`Queue::read`] of a record that is only on disk, and [`Queue::close`].
///
/// When the last clone goes without [`Queue::close`], everything is left as a kill would leave it.
#[derive(Clone)]
pub struct Queue {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.with(|desk| match desk.phase {
            Phase::Running => desk.phase = Phase::Abandoned,
            // A close that nobody waits for any more still does what it can.
            Phase::Closing | Phase::Abandoned | Phase::Closed => {}
        });
    }
}

impl Queue {
    /// Opens or creates the queue, recovers what is in it, and starts its thread. Blocks: to be called at start.
    ///
    /// `endpoints` are the names of the endpoints; an endpoint is from then on its index in this slice. Waits up to 5 s
    /// for another process to let go of the directory.
    ///
    /// # Errors
    /// If the directory cannot be made, written, listed or locked, or no thread can be started. Damaged contents are no
    /// error: they are skipped, counted ([`Stats::damage`]) and logged.
    pub fn open(config: &Config, endpoints: &[String]) -> Result<Self, OpenError> {
        match &config.storage {
            Storage::Memory => Ok(Self::in_memory(config, endpoints)),
            Storage::Disk(path) => {
                let directory = Directory::open(path, LOCK_PATIENCE)?;
                Self::on_disk(config, endpoints, Box::new(directory), Timing::default())
            }
        }
    }

    fn in_memory(config: &Config, endpoints: &[String]) -> Self {
        let start = Position { sequence: 1, entry: 0 };
        let accounts = endpoints.iter().map(|name| Account::new(name, start, None)).collect();
        let book = Book::open(config, Opening { accounts, next: start.sequence, ..Opening::default() });
        let journals = Notebooks::new(Caps::new(0, 0), Vec::new());
        let shared = Arc::new(Shared::new(book, journals, Timing::default()));
        Self { owner: Arc::new(Owner { shared }) }
    }

    pub(super) fn on_disk(
        config: &Config,
        endpoints: &[String],
        files: Box<dyn Files>,
        timing: Timing,
    ) -> Result<Self, OpenError> {
        let caps = Caps::new(config.max_disk_bytes, config.max_memory_bytes);
        let recovered = recover(&*files, endpoints, caps);
        let Recovered { opening, resume, cursors, journals } =
            recovered.map_err(|source| OpenError::List { path: files.path(""), source })?;
        let (notebooks, journals) = journals.into_iter().unzip();
        let notebooks = Notebooks::new(caps, notebooks);
        let shared = Arc::new(Shared::new(Book::open(config, opening), notebooks, timing));
        let writer = Writer::new(size_limit(config.max_disk_bytes), resume);
        let own = Own { writer, cursors, journals, floor: Floor::new(config.min_free_disk) };
        let worker = Worker::new(Arc::clone(&shared), files, own, config.max_disk_bytes);
        let thread = std::thread::Builder::new().name("queue".to_owned());
        thread.spawn(|| worker.run()).map_err(|source| OpenError::Thread { source })?;
        Ok(Self { owner: Arc::new(Owner { shared }) })
    }

    /// Takes a record in and returns its sequence. Never waits for the disk: the record is in memory, and the queue's
    /// thread is told. After [`Queue::close`] the record is lost and counted so.
    pub fn append(&self, meta: RecordMeta, payload: Bytes) -> u64 {
        self.append_with(meta, payload, Form::Packed, |_, _| ())
    }

    /// The same, and in one step with it what `also` does, which is told the record's sequence.
    pub(super) fn append_with(
        &self,
        meta: RecordMeta,
        payload: Bytes,
        form: Form,
        also: impl FnOnce(&mut Desk, u64),
    ) -> u64 {
        let now = Instant::now();
        let shared = &self.owner.shared;
        let (payload, form) = match form {
            Form::Raw(Pack(pack)) if !self.takes_raw(payload.len(), now) => (pack(&payload), Form::Packed),
            Form::Raw(_) | Form::Packed => (payload, form),
        };
        let sequence = shared.with(|desk| {
            let sequence = desk.book.append(meta, payload, form, now);
            also(desk, sequence);
            desk.book.look_for_stalls(now, shared.timing.stall);
            sequence
        });
        // Outside the lock, where a reader that holds on to the old number would hold up everybody; so it must not go back.
        shared.end.send_if_modified(|end| {
            let newer = *end <= sequence;
            *end = (*end).max(sequence + 1);
            newer
        });
        sequence
    }

    /// Asked before the append, so that nobody packs under the lock.
    fn takes_raw(&self, bytes: usize, now: Instant) -> bool {
        let shared = &self.owner.shared;
        shared.lock().book.takes_raw(bytes, now, shared.timing.linger)
    }

    /// One past the newest sequence; changes at each append.
    #[must_use]
    pub fn end(&self) -> watch::Receiver<u64> {
        self.owner.shared.end.subscribe()
    }

    /// The next sample that this endpoint takes. Past a record's last sample it is the beginning of the next record, so an
    /// endpoint has caught up when `cursor.sequence` equals [`Queue::end`]. The default position for an unknown endpoint.
    #[must_use]
    pub fn cursor(&self, endpoint: usize) -> Position {
        self.owner.shared.lock().book.cursor(endpoint).unwrap_or_default()
    }

    /// The first record with sequence `from` or a later one that still exists; `None` when there is none, that is when
    /// everything has been read. From memory at once; from disk through the queue's thread, for as long as that takes.
    /// Records that turn out to be damaged are skipped, counted and logged. Safe to cancel.
    ///
    /// # Errors
    /// [`ReadError::Io`] if the file system refuses: ask again after a while. A record that answers EIO for 30 s is
    /// skipped as damaged. [`ReadError::Closed`] after [`Queue::close`].
    pub async fn read(&self, from: u64) -> Result<Option<Record>, ReadError> {
        let answer = self.owner.shared.with(|desk| match desk.book.find(from) {
            Find::Memory(record) => Err(Ok(Some(record))),
            Find::Nothing => Err(Ok(None)),
            Find::Disk { .. } if desk.phase == Phase::Closed => Err(Err(ReadError::Closed)),
            Find::Disk { .. } => {
                let (reply, answer) = oneshot::channel();
                desk.reads.push_back(ReadRequest { from, reply });
                Ok(answer)
            }
        });
        match answer {
            Ok(answer) => answer.await.unwrap_or(Err(ReadError::Closed)),
            Err(known) => known,
        }
    }

    /// Moves the endpoint's cursor forward to `to` and books the samples that it passes over under `fate`. Returns how
    /// many were booked: 0 if the cursor is there already or beyond, and without those that the queue has dropped and
    /// counted meanwhile.
    pub fn settle(&self, endpoint: usize, to: Position, fate: Fate) -> u64 {
        self.owner.shared.with(|desk| desk.book.settle(endpoint, to, fate))
    }

    /// A snapshot in which the ledger closes. All zeroes for an unknown endpoint.
    #[must_use]
    pub fn ledger(&self, endpoint: usize) -> Ledger {
        self.owner.shared.lock().book.ledger(endpoint).unwrap_or_default()
    }

    /// Plain numbers for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &self.owner.shared;
        let now = Instant::now();
        shared.with(|desk| {
            desk.book.look_for_stalls(now, shared.timing.stall);
            desk.book.stats()
        })
    }

    /// Writes what is in memory only, persists the cursors, syncs, and ends the thread. What cannot be written in one try
    /// is booked as lost at exit; with `QUEUE_STORAGE=memory` that is everything pending. The caller sets the deadline:
    /// the future may be dropped at any time, the thread goes on for as long as it can. Closing twice is closing once.
    pub async fn close(&self) {
        let shared = &self.owner.shared;
        let mut closed = shared.closed.subscribe();
        shared.with(|desk| match desk.phase {
            Phase::Running if desk.book.is_durable() => {
                desk.book.health.wake_all();
                desk.phase = Phase::Closing;
            }
            Phase::Running => {
                desk.book.close();
                desk.phase = Phase::Closed;
                shared.closed.send_replace(true);
            }
            Phase::Closing | Phase::Abandoned | Phase::Closed => {}
        });
        // The sender lives as long as `self`, so this ends only when the thread has.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Resolves when the queue's thread has panicked: it tries to go on, so that what is in memory gets to the disk, but nobody should rely on it any
    /// longer than that takes. Never with the queue in memory.
    pub async fn panicked(&self) {
        let mut panicked = self.owner.shared.panicked.subscribe();
        // The sender lives as long as `self`.
        let _ = panicked.wait_for(|panicked| *panicked).await;
    }

    /// As if its thread had panicked.
    #[cfg(test)]
    pub(crate) fn pretend_a_panic(&self) {
        self.owner.shared.panicked.send_replace(true);
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.owner.shared
    }
}
