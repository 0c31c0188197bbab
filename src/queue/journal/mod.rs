//! A set of byte strings beside the records, which outlives the process: what has been added and not yet removed.
//!
//! Its keeper (another room) holds the set in memory; here are a file of the changes, the rules of its size, and what is left of it after a
//! kill. Changes belong to a record: they reach the disk before it, and count at the next start only if the record was on disk or settled by
//! then, so that set and queue tell the same story.
//!
//! `changes` is what the keeper says; `notebook` decides as plain memory what is written; `file` writes it; `format` reads what is there.

use bytes::Bytes;

use super::desk::{Desk, Phase};
use super::{Form, Queue, RecordMeta};

pub(super) mod changes;
pub(super) mod file;
pub(super) mod format;
pub(super) mod notebook;
pub(super) mod recovery;

pub use changes::Changes;

/// One such set, by its name; see the module. With a queue in memory nothing is kept, and nothing was there.
///
/// No method touches a file or waits for one.
#[derive(Clone, Debug)]
pub struct Journal {
    queue: Queue,
    /// None: the queue is in memory.
    number: Option<usize>,
}

impl Queue {
    /// The journal of this name (letters, digits and `-`), as the process before left it; empty where there was none.
    #[must_use]
    pub fn journal(&self, name: &'static str) -> Journal {
        let number = self.shared().with(|desk| desk.book.is_durable().then(|| desk.journals.find(name)));
        Journal { queue: self.clone(), number }
    }
}

impl Journal {
    /// What the process before had added and not removed, in no particular order. Given once: empty at the next call.
    #[must_use]
    pub fn take_recovered(&self) -> Vec<Bytes> {
        self.with(|desk, number| desk.journals.get_mut(number).map(|notebook| notebook.take_recovered()))
            .flatten()
            .unwrap_or_default()
    }

    /// [`Queue::append`], and with it the changes of the set that the record brings, in one step.
    pub fn append(&self, meta: RecordMeta, payload: Bytes, changes: &Changes) -> u64 {
        self.append_as(Form::Packed, meta, payload, changes)
    }

    /// The same, of a payload in this form.
    pub fn append_as(&self, form: Form, meta: RecordMeta, payload: Bytes, changes: &Changes) -> u64 {
        self.queue.append_with(meta, payload, form, |desk, sequence| {
            if let Some(number) = self.number {
                if !changes.is_empty() {
                    desk.book.urgent = sequence;
                }
                note(desk, number, changes, sequence);
            }
        })
    }

    /// Notes changes that belong to no new record.
    pub fn note(&self, changes: &Changes) {
        self.with(|desk, number| {
            let newest = desk.book.end().saturating_sub(1);
            note(desk, number, changes, newest);
        });
    }

    /// Whether the keeper should note the whole set ([`Changes::whole`]): the file is mostly history by now, or changes of it were lost.
    #[must_use]
    pub fn wants_whole(&self) -> bool {
        let wants = self.number.map(|number| {
            let desk = self.queue.shared().lock();
            desk.journals.get(number).is_some_and(|notebook| notebook.wants_whole())
        });
        wants.unwrap_or(false)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Desk, usize) -> T) -> Option<T> {
        self.number.map(|number| self.queue.shared().with(|desk| work(desk, number)))
    }
}

fn note(desk: &mut Desk, number: usize, changes: &Changes, sequence: u64) {
    match desk.phase {
        Phase::Running => {}
        // The collector ends before the queue closes, so nothing comes here; nothing would be written for it any more.
        Phase::Closing | Phase::Abandoned | Phase::Closed => return,
    }
    let Some(notebook) = desk.journals.get_mut(number) else { return };
    if !changes.is_empty() {
        desk.book.noted = sequence;
    }
    let notice = notebook.note(changes, sequence);
    desk.book.note(notice);
}
