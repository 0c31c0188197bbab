//! The queue's thread: the only one that touches a file after the queue has been opened. It may hang for ever in a
//! frozen file system; nobody else does.

mod reading;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::error;

use super::book::Confirmed;
use super::cursor::CursorFile;
use super::desk::{Phase, Shared, Task};
use super::files::{Files, Handle};
use super::floor::{Floor, Short};
use super::format::SEGMENT_HEADER;
use super::health::{Health, Work};
use super::journal::file::JournalFile;
use super::journal::notebook::Step;
use super::notice::Notice;
use super::segment::{self, Writer};
use super::{Position, Record};

/// So many panics are survived, so that what is in memory still gets to the disk; the process is on its way to its end after the first.
const PANICS: u32 = 3;

/// What is written.
pub(super) struct Own {
    pub(super) writer: Writer,
    pub(super) cursors: Vec<CursorFile>,
    pub(super) journals: Vec<JournalFile>,
    pub(super) floor: Floor,
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    files: Box<dyn Files>,
    writer: Writer,
    cursors: Vec<CursorFile>,
    /// In the order of the desk's notebooks; those of new ones come at their first change.
    journals: Vec<JournalFile>,
    /// Of `QUEUE_MAX_DISK_BYTES`: a record above it never fits.
    max_disk_bytes: u64,
    floor: Floor,
    /// The segment that was read last.
    reading: Option<(u64, Box<dyn Handle>)>,
    /// The record that answered EIO, and since when.
    unreadable: Option<(u64, Instant)>,
    /// Files were created or removed since the last sync.
    directory_changed: bool,
}

/// Says that the thread has ended, however it ended, so that nobody waits for it.
struct Farewell(Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.with(|desk| {
            desk.phase = Phase::Closed;
            desk.reads.clear();
        });
        self.0.closed.send_replace(true);
    }
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, files: Box<dyn Files>, own: Own, max_disk_bytes: u64) -> Self {
        let Own { writer, cursors, journals, floor } = own;
        Self {
            shared,
            files,
            writer,
            cursors,
            journals,
            max_disk_bytes,
            floor,
            reading: None,
            unreadable: None,
            directory_changed: false,
        }
    }

    /// Runs until the queue is closed or abandoned. The directory's lock is released before the end is told.
    pub(super) fn run(self) {
        let _farewell = Farewell(Arc::clone(&self.shared));
        let mut worker = self;
        for panics in 1.. {
            if catch_unwind(AssertUnwindSafe(|| worker.work())).is_ok() {
                return;
            }
            worker.shared.panicked.send_replace(true);
            if panics > PANICS {
                return error!(panics, "the queue's thread ends: it panics again and again");
            }
            worker.recover();
        }
    }

    fn work(&mut self) {
        loop {
            match self.shared.next_task() {
                Task::Journal { journal, name, number, step } => {
                    self.write_journal(journal, &name, number, &step);
                }
                Task::Cursors(dirty) => self.write_cursors(&dirty),
                Task::Write(batch) => self.write(batch),
                Task::Read(request) => self.read(request),
                Task::Remove(segments) => self.remove(&segments),
                Task::Sync => self.sync(),
                Task::Finish => {
                    self.writer.finish();
                    self.shared.with(|desk| desk.book.close());
                    return;
                }
                Task::Abandon => return,
            }
        }
    }

    /// After a panic, as after a fault of the disk: what is not confirmed waits in the ring and is tried again after a while, in a new segment.
    fn recover(&mut self) {
        let retry = self.shared.timing.retry;
        error!(?retry, "the queue's thread has panicked: what it was at stays in memory and is tried again");
        self.writer.distrust();
        self.reading = None;
        self.shared.with(|desk| {
            desk.book.release_batch();
            desk.book.health.rest_all(Instant::now(), retry);
        });
    }

    fn write(&mut self, batch: Vec<Record>) {
        let mut batch = self.shared.packed(batch);
        batch.truncate(self.writer.fitting(&batch));
        self.write_batch(&batch);
        self.shared.with(|desk| desk.book.release_batch());
    }

    /// Writes, syncs, and only then tells the book: what is confirmed survives a power loss.
    fn write_batch(&mut self, batch: &[Record]) {
        let Some(first) = batch.first() else { return };
        let needed = SEGMENT_HEADER as u64 + batch.iter().map(segment::framed).sum::<u64>();
        if needed > self.max_disk_bytes {
            return self.shared.with(|desk| desk.book.too_large(first.sequence, segment::framed(first)));
        }
        if let Err(short) = self.admit(needed) {
            return self.held_back(short);
        }
        self.make_room(needed);
        let (offsets, written) = match self.prepare(first) {
            Ok(()) => self.writer.write(batch),
            Err(error) => return self.failed(Work::Record, &error),
        };
        if !offsets.is_empty()
            && let Err(error) = self.sync_records()
        {
            return self.failed(Work::Record, &error);
        }
        self.confirm(batch, &offsets, written.is_ok());
        if let Err(error) = written {
            self.failed(Work::Record, &error);
        }
    }

    /// Whether enough stays free. A close is the last chance of what is in memory, and that is not much.
    fn admit(&mut self, needed: u64) -> Result<(), Short> {
        let closing = self.shared.lock().phase != Phase::Running;
        match self.files.space() {
            Ok(space) if !closing => self.floor.admit(space, needed),
            // If it cannot tell, the write will.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn make_room(&mut self, needed: u64) {
        let current = self.writer.current();
        let (dropped, doomed) = self.shared.with(|desk| {
            let book = &mut desk.book;
            book.make_room(needed);
            let removable = book.health.ready(Work::Removal, Instant::now());
            let doomed = if removable { book.shelf.take_doomed() } else { Vec::new() };
            (current.is_some_and(|first| !book.shelf.contains(first)), doomed)
        });
        if dropped {
            self.writer.forget_current();
        }
        // Before the write, so that the files never exceed the cap.
        if !doomed.is_empty() {
            self.remove(&doomed);
        }
    }

    fn prepare(&mut self, record: &Record) -> io::Result<()> {
        if let Some(first) = self.writer.prepare(&*self.files, record)? {
            self.directory_changed = true;
            self.shared.with(|desk| desk.book.segment_made(first));
        }
        Ok(())
    }

    /// `all`: none of the batch failed, so the disk works. The writer's end moves before the lock is let go and anything is said: a log
    /// that panics must not leave an end before what is confirmed, which would be cut off.
    fn confirm(&mut self, batch: &[Record], offsets: &[u32], all: bool) {
        let (now, writer) = (Instant::now(), &mut self.writer);
        self.shared.with(|desk| {
            let book = &mut desk.book;
            if all {
                let notice = book.health.worked(Work::Record, now);
                book.note(notice);
            }
            let kept = batch
                .iter()
                .zip(offsets)
                .filter(|(record, offset)| book.confirm(record.sequence, **offset) == Confirmed::Kept);
            // What everybody has taken meanwhile need not stay, unless something stands behind it.
            if let Some((record, offset)) = kept.last() {
                let all = batch.last().is_some_and(|last| last.sequence == record.sequence);
                writer.keep(u64::from(*offset) + segment::framed(record), all);
            }
        });
    }

    fn write_journal(&mut self, journal: usize, name: &str, number: u64, step: &Step) {
        // A journal that is new may come before one that is new and older.
        while self.journals.len() <= journal {
            let at = self.journals.len();
            let name =
                self.shared.lock().journals.get(at).map_or(name.to_owned(), |new| new.name().to_owned());
            self.journals.push(JournalFile::new(&name, 0));
        }
        match self.journals[journal].apply(&*self.files, step) {
            Ok(directory_changed) => {
                self.directory_changed |= directory_changed;
                let bytes = self.journals.iter().map(JournalFile::bytes).sum();
                self.shared.with(|desk| {
                    desk.book.set_beside(bytes);
                    if let Some(notebook) = desk.journals.get_mut(journal) {
                        notebook.done(number);
                    }
                });
                self.schedule_sync();
                self.worked(Work::Journal);
            }
            Err(error) => self.failed(Work::Journal, &error),
        }
    }

    fn write_cursors(&mut self, dirty: &[(usize, Position)]) {
        let mut failure = None;
        let mut new = false;
        for (endpoint, position) in dirty {
            let Some(cursor) = self.cursors.get_mut(*endpoint) else { continue };
            match cursor.write(&*self.files, *position) {
                Ok(created) => {
                    new |= created;
                    self.shared.with(|desk| desk.book.persisted(*endpoint, Some(*position)));
                }
                Err(error) => failure = Some(error),
            }
        }
        self.schedule_sync();
        match failure {
            Some(error) => self.failed(Work::Cursor, &error),
            None => self.worked(Work::Cursor),
        }
        if new {
            // Without its file one of several endpoints would start at the newest record.
            self.directory_changed = true;
            self.sync();
        }
    }

    fn remove(&mut self, segments: &[u64]) {
        let mut failure = None;
        let mut left = Vec::new();
        for first in segments {
            self.reading = self.reading.take().filter(|(reading, _)| reading != first);
            match self.files.remove(&segment::file_name(*first)) {
                Ok(()) => self.directory_changed = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    failure = Some(error);
                    left.push(*first);
                }
            }
        }
        match failure {
            Some(error) => {
                self.shared.with(|desk| desk.book.shelf.still_doomed(left));
                self.failed(Work::Removal, &error);
            }
            None => {
                self.worked(Work::Removal);
                // There may be space now for what a full disk has refused.
                self.shared.with(|desk| desk.book.health.wake(Work::Record));
            }
        }
    }

    fn sync(&mut self) {
        let synced = self.sync_all();
        let retry = Instant::now() + self.shared.timing.sync;
        self.shared.with(|desk| desk.sync_at = synced.is_err().then_some(retry));
        match synced {
            Ok(()) => self.worked(Work::Sync),
            Err(error) => self.failed(Work::Sync, &error),
        }
    }

    /// Records have been synced before they counted. Changes of journals before cursors: one that survives a power loss must not say that
    /// records were taken whose changes are lost.
    fn sync_all(&mut self) -> io::Result<()> {
        self.sync_journals()?;
        // Their names too.
        self.sync_directory()?;
        for (endpoint, cursor) in self.cursors.iter_mut().enumerate() {
            if let Err(error) = cursor.sync() {
                // The kernel has dropped what was written, and lets the next sync succeed.
                self.shared.with(|desk| desk.book.persisted(endpoint, None));
                return Err(error);
            }
        }
        self.sync_directory()
    }

    /// What records have changed becomes durable before they do.
    fn sync_records(&mut self) -> io::Result<()> {
        if let Err(error) = self.sync_journals() {
            self.failed(Work::Journal, &error);
        }
        self.writer.sync()?;
        self.sync_directory()
    }

    fn sync_journals(&mut self) -> io::Result<()> {
        for (journal, file) in self.journals.iter_mut().enumerate() {
            if let Err(error) = file.sync() {
                self.shared.with(|desk| desk.journals.distrust(journal));
                return Err(error);
            }
        }
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        if self.directory_changed {
            self.files.sync()?;
            self.directory_changed = false;
        }
        Ok(())
    }

    fn schedule_sync(&self) {
        let at = Instant::now() + self.shared.timing.sync;
        self.shared.with(|desk| {
            desk.sync_at.get_or_insert(at);
        });
    }

    fn worked(&self, work: Work) {
        self.feel(|health, now, _retry| health.worked(work, now));
    }

    fn held_back(&self, short: Short) {
        self.feel(|health, now, retry| health.held_back(short, now, retry));
    }

    fn failed(&self, work: Work, error: &io::Error) {
        self.feel(|health, now, retry| health.failed(work, error, now, retry));
    }

    fn feel(&self, change: impl FnOnce(&mut Health, Instant, Duration) -> Option<Notice>) {
        let (now, retry) = (Instant::now(), self.shared.timing.retry);
        self.shared.with(|desk| {
            let notice = change(&mut desk.book.health, now, retry);
            desk.book.note(notice);
        });
    }
}
