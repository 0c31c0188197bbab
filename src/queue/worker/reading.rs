//! Reading records back from their segments.

use std::io;
use std::time::Instant;

use bytes::Bytes;

use super::super::book::Find;
use super::super::desk::ReadRequest;
use super::super::files::Mode;
use super::super::format::{self, RECORD_HEADER};
use super::super::health::Fault;
use super::super::index::Entry;
use super::super::{Form, ReadError, Record, segment};
use super::Worker;

enum Unreadable {
    /// Not there, or not what was written: it never comes back.
    Damaged,
    Io(io::Error),
}

impl Worker {
    pub(super) fn read(&mut self, request: ReadRequest) {
        if request.reply.is_closed() {
            return;
        }
        let answer = loop {
            let found = self.shared.with(|desk| desk.book.find(request.from));
            let (entry, segment) = match found {
                Find::Memory(record) => break Ok(Some(record)),
                Find::Nothing => break Ok(None),
                Find::Disk { entry, segment } => (entry, segment),
            };
            match self.load(entry, segment) {
                Ok(record) => {
                    self.unreadable = None;
                    break Ok(Some(record));
                }
                Err(Unreadable::Io(source)) if !self.is_hopeless(entry.sequence, &source) => {
                    let path = self.files.path(&segment::file_name(segment));
                    break Err(ReadError::Io { sequence: entry.sequence, path, source });
                }
                Err(Unreadable::Damaged | Unreadable::Io(_)) => {
                    self.shared.with(|desk| desk.book.damaged(entry.sequence));
                }
            }
        };
        // The reader may have gone meanwhile; the record is still in the queue.
        let _ = request.reply.send(answer);
    }

    fn load(&mut self, entry: Entry, segment: u64) -> Result<Record, Unreadable> {
        let file = match self.reading.take() {
            Some((reading, file)) if reading == segment => file,
            _ => self.files.open(&segment::file_name(segment), Mode::Read).map_err(unreadable)?,
        };
        let mut bytes = vec![0; RECORD_HEADER + entry.length as usize];
        file.read_exact_at(&mut bytes, u64::from(entry.offset)).map_err(unreadable)?;
        self.reading = Some((segment, file));
        let header = format::read_record_header(&bytes).ok_or(Unreadable::Damaged)?;
        let payload = Bytes::from(bytes).slice(RECORD_HEADER..);
        if header.sequence != entry.sequence || !header.fits(&payload) {
            return Err(Unreadable::Damaged);
        }
        Ok(Record { sequence: entry.sequence, meta: header.meta, payload, form: Form::Packed })
    }

    /// A bad sector answers EIO for ever and must not hold back what comes after it; other errors pass.
    fn is_hopeless(&mut self, sequence: u64, error: &io::Error) -> bool {
        if Fault::of(error) != Fault::Io {
            return false;
        }
        let now = Instant::now();
        let since = match self.unreadable {
            Some((unreadable, since)) if unreadable == sequence => since,
            _ => now,
        };
        self.unreadable = Some((sequence, since));
        now.saturating_duration_since(since) >= self.shared.timing.unreadable
    }
}

fn unreadable(error: io::Error) -> Unreadable {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => Unreadable::Damaged,
        _ => Unreadable::Io(error),
    }
}
