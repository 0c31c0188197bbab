//! What is to be written into a journal's file, as plain memory: its size, what waits, what has to be written anew.

use std::collections::VecDeque;

use bytes::Bytes;

use super::super::notice::Notice;
use super::changes::{Changes, cost};
use super::format::{BATCH_HEADER, FILE_HEADER};

/// 400,000 label sets of 160 bytes, and as much again for what has happened since.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// A small file is not written anew for a few changes.
const SLACK: u64 = 64 << 10;

/// Bounds in bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::queue) struct Caps {
    /// Of the file.
    file: u64,
    /// Of what waits for the disk.
    waiting: u64,
}

impl Caps {
    /// A quarter of `QUEUE_MAX_DISK_BYTES` on disk, what the ring may have in memory.
    pub(in crate::queue) fn new(max_disk_bytes: u64, max_memory_bytes: u64) -> Self {
        Self { file: MAX_FILE_BYTES.min(max_disk_bytes / 4), waiting: max_memory_bytes }
    }

    /// The set itself; its file may grow to twice as much before it is written anew.
    fn live(self) -> u64 {
        self.file / 2
    }
}

/// Something to be done to the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::queue) enum Step {
    /// Changes, behind what is there.
    Append { sequence: u64, changes: Bytes },
    /// The whole set, in place of what is there.
    Replace { sequence: u64, changes: Bytes },
    /// The set is too large to be kept.
    Remove,
}

impl Step {
    fn bytes(&self) -> u64 {
        match self {
            Self::Append { changes, .. } | Self::Replace { changes, .. } => changes.len() as u64,
            Self::Remove => 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// File and waiting changes together are the set.
    Following,
    /// They are not, until the keeper says the whole set.
    Behind,
    /// Nothing is kept.
    TooLarge,
}

/// One journal.
#[derive(Debug)]
pub(in crate::queue) struct Notebook {
    name: String,
    caps: Caps,
    recovered: Vec<Bytes>,
    state: State,
    /// The number of the first one waiting.
    first: u64,
    waiting: VecDeque<Step>,
    waiting_bytes: u64,
    /// The set's bytes, whether they are kept or not.
    live: u64,
    /// The file's bytes when all that waits is in it.
    file: u64,
}

impl Notebook {
    pub(in crate::queue) fn new(name: &str, caps: Caps) -> Self {
        Self {
            name: name.to_owned(),
            caps,
            recovered: Vec::new(),
            state: State::Following,
            first: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            live: 0,
            file: FILE_HEADER as u64,
        }
    }

    /// What was found: the entries, and the file's bytes; `None` where it cannot be gone on with. A file above
    /// the cap, which was larger once, is to be written anew too.
    pub(in crate::queue) fn recovered(mut self, entries: Vec<Bytes>, file: Option<u64>) -> Self {
        self.live = entries.iter().map(|entry| cost(entry)).sum();
        self.recovered = entries;
        match file {
            Some(bytes) if bytes <= self.caps.file => self.file = bytes,
            Some(_) | None => self.state = State::Behind,
        }
        self
    }

    pub(in crate::queue) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn take_recovered(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.recovered)
    }

    pub(in crate::queue) fn wants_whole(&self) -> bool {
        match self.state {
            State::Following => self.file > 2 * self.live + SLACK,
            State::Behind => true,
            State::TooLarge => false,
        }
    }

    /// Takes changes in that belong to the record `sequence`.
    pub(in crate::queue) fn note(&mut self, changes: &Changes, sequence: u64) -> Option<Notice> {
        if changes.is_empty() {
            return None;
        }
        self.live = changes.live_after(self.live);
        if self.live > self.caps.live() {
            return self.give_up();
        }
        match self.state {
            State::TooLarge if self.live <= self.caps.live() / 2 => self.state = State::Behind,
            State::Following | State::Behind | State::TooLarge => {}
        }
        let bytes = BATCH_HEADER as u64 + changes.bytes().len() as u64;
        let copied = || Bytes::copy_from_slice(changes.bytes());
        match self.state {
            State::TooLarge => {}
            State::Following | State::Behind if changes.is_whole() => {
                self.drop_waiting();
                self.state = State::Following;
                self.file = FILE_HEADER as u64 + bytes;
                self.push(Step::Replace { sequence, changes: copied() });
            }
            State::Behind => {}
            State::Following => {
                let fits = self.waiting_bytes + bytes <= self.caps.waiting.max(self.caps.live())
                    && self.file + bytes <= self.caps.file;
                if fits {
                    self.file += bytes;
                    self.push(Step::Append { sequence, changes: copied() });
                } else {
                    self.drop_waiting();
                    self.state = State::Behind;
                }
            }
        }
        None
    }

    /// What was written may be gone after a power loss, though a later sync succeeds.
    fn distrust(&mut self) {
        match self.state {
            State::Following => {
                self.drop_waiting();
                self.state = State::Behind;
            }
            State::Behind | State::TooLarge => {}
        }
    }

    /// The first thing to be done, and its number for [`Notebook::done`].
    pub(in crate::queue) fn next(&self) -> Option<(u64, &Step)> {
        Some((self.first, self.waiting.front()?))
    }

    /// It has been done; unless it has been dropped meanwhile, it waits no more.
    pub(in crate::queue) fn done(&mut self, number: u64) {
        if number == self.first
            && let Some(work) = self.waiting.pop_front()
        {
            self.waiting_bytes -= work.bytes();
            self.first += 1;
        }
    }

    fn push(&mut self, work: Step) {
        self.waiting_bytes += work.bytes();
        self.waiting.push_back(work);
    }

    fn drop_waiting(&mut self) {
        self.first += self.waiting.len() as u64;
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    fn give_up(&mut self) -> Option<Notice> {
        if self.state == State::TooLarge {
            return None;
        }
        self.state = State::TooLarge;
        self.drop_waiting();
        self.push(Step::Remove);
        Some(Notice::JournalTooLarge { name: self.name.clone(), bytes: self.live, cap: self.caps.live() })
    }
}

/// All journals of a queue.
#[derive(Debug)]
pub(in crate::queue) struct Notebooks {
    caps: Caps,
    all: Vec<Notebook>,
}

impl Notebooks {
    pub(in crate::queue) fn new(caps: Caps, all: Vec<Notebook>) -> Self {
        Self { caps, all }
    }

    /// The number of a journal, a new one if need be.
    pub(super) fn find(&mut self, name: &str) -> usize {
        let known = self.all.iter().position(|notebook| notebook.name == name);
        known.unwrap_or_else(|| {
            self.all.push(Notebook::new(name, self.caps));
            self.all.len() - 1
        })
    }

    pub(in crate::queue) fn get(&self, number: usize) -> Option<&Notebook> {
        self.all.get(number)
    }

    pub(in crate::queue) fn get_mut(&mut self, number: usize) -> Option<&mut Notebook> {
        self.all.get_mut(number)
    }

    /// A sync of this journal has failed: its keeper is asked for the whole set.
    pub(in crate::queue) fn distrust(&mut self, number: usize) {
        if let Some(notebook) = self.all.get_mut(number) {
            notebook.distrust();
        }
    }

    /// What the queue's thread does next. Changes come before the records that they belong to, a whole set behind: it counts whatever
    /// became of them.
    pub(in crate::queue) fn next(&self, records_wait: bool) -> Option<(usize, u64, Step)> {
        self.all.iter().enumerate().find_map(|(number, notebook)| {
            let (first, work) = notebook.next()?;
            let due = match work {
                Step::Append { .. } | Step::Remove => true,
                Step::Replace { .. } => !records_wait,
            };
            due.then(|| (number, first, work.clone()))
        })
    }
}
