//! Raw bytes of a line to the series that they name, so that unescaping, label rules and sorting happen once for each series.
//!
//! The next line of this scrape is nearly always the next line of the last one: that entry is tried first, with one comparison of bytes,
//! and only a miss is hashed. As long as every line was the expected one, nothing is written down of them.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

use super::footprint;

/// What the bytes alone do not say, but the series depends on: which label is spelled anew under the `# TYPE` in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Spelling {
    /// As exposed.
    AsExposed,
    /// `le` of a histogram (remote-write 4.19).
    Le,
    /// `quantile` of a summary (remote-write 4.19).
    Quantile,
}

/// What a line comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A sample of the series in this slot.
    Series(u32),
    /// Nothing: a filter or a rule drops it.
    Filtered,
}

/// What the cache knows of a line that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) line: Line,
    /// Whether [`LineCache::cached`] was said of it.
    pub(super) cached: bool,
    /// It came in this scrape before, and was cached then (remote-write 4.15).
    pub(super) repeated: bool,
}

#[derive(Debug)]
struct Entry {
    raw: Box<[u8]>,
    spelling: Spelling,
    line: Line,
    /// Whether a sample of it was ever good: Prometheus caches it only then (remote-write 4.03).
    cached: bool,
    /// See [`footprint`].
    weight: usize,
    /// The last scrape that had this line, and where.
    seen: u64,
    position: u32,
}

/// What is to be known of an entry that is expected.
#[derive(Clone, Copy, Debug)]
struct Expected {
    /// Where its bytes end in [`LineCache::text`].
    end: usize,
    line: Line,
    spelling: Spelling,
    /// It stands before this place, too.
    again: bool,
}

/// The lines of one target.
#[derive(Debug, Default)]
pub(super) struct LineCache {
    /// One map for each spelling: the same bytes may come under several types, even in one scrape.
    index: [HashTable<u32>; 3],
    hasher: RandomState,
    /// Entries in all of them.
    remembered: usize,
    /// Those of the last good scrape.
    settled: usize,
    /// Entries that are not [`Entry::cached`].
    uncached: usize,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    previous: Vec<u32>,
    /// The bytes of those lines in a row, and what is to be known of each: entries lie anywhere, and fetching them took three quarters of the
    /// time in which a body was read.
    text: Vec<u8>,
    expected: Vec<Expected>,
    current: Vec<u32>,
    /// Where in `previous` the next line is expected.
    guess: usize,
    /// All lines of this scrape so far were the expected ones: they are not noted yet.
    in_step: bool,
    scrape: u64,
    distinct: usize,
    /// Lines that came after the last good scrape.
    fresh: Vec<u32>,
    /// Of all entries, and of the series that they name.
    weight: usize,
    /// Bytes of the lines of this scrape, each as often as it stands there.
    current_bytes: usize,
}

impl LineCache {
    /// Begins a scrape.
    pub(super) fn begin(&mut self) {
        self.scrape += 1;
        self.current.clear();
        self.guess = 0;
        self.in_step = true;
        self.distinct = 0;
        self.current_bytes = 0;
    }

    /// How many bytes all this takes, as an estimate (see [`footprint`]).
    #[inline]
    pub(super) fn weight(&self) -> usize {
        self.weight + self.text.len().max(self.current_bytes)
    }

    /// What these bytes come to.
    pub(super) fn find(&mut self, raw: &[u8], spelling: Spelling) -> Option<Found> {
        if !raw.is_empty() && raw == self.expected_as(spelling) {
            return Some(self.take_expected());
        }
        self.fall_out_of_step();
        let is = |id: &u32| self.entries[*id as usize].as_ref().is_some_and(|entry| *entry.raw == *raw);
        let id = self.index[spelling as usize].find(self.hasher.hash_one(raw), is).copied()?;
        let entry = self.entries.get(id as usize)?.as_ref()?;
        let Entry { line, cached, .. } = *entry;
        let found = Found { line, cached, repeated: cached && entry.seen == self.scrape };
        self.note(id);
        Some(found)
    }

    /// What [`LineCache::find`] says of the line that is expected, which has come; there must be one.
    #[inline]
    pub(super) fn take_expected(&mut self) -> Found {
        let (id, Expected { line, again, .. }) = (self.previous[self.guess], self.expected[self.guess]);
        let is = |what: fn(&Entry, u64) -> bool| {
            self.entries[id as usize].as_ref().is_some_and(|entry| what(entry, self.scrape))
        };
        let cached = self.uncached == 0 || is(|entry, _| entry.cached);
        let came = if self.in_step { again } else { is(|entry, scrape| entry.seen == scrape) };
        if self.in_step {
            self.guess += 1;
        } else {
            self.note(id);
        }
        Found { line, cached, repeated: cached && came }
    }

    /// The line that was found or inserted last has had a good sample.
    pub(super) fn cached(&mut self) {
        self.set_cached(true);
    }

    /// Takes the last [`LineCache::cached`] back: the sample was no good.
    pub(super) fn not_cached(&mut self) {
        self.set_cached(false);
    }

    fn set_cached(&mut self, cached: bool) {
        let last = if self.in_step { self.previous[..self.guess].last() } else { self.current.last() };
        let entry = last.and_then(|id| self.entries.get_mut(*id as usize)?.as_mut());
        if let Some(entry) = entry.filter(|entry| entry.cached != cached) {
            entry.cached = cached;
            match cached {
                true => self.uncached -= 1,
                false => self.uncached += 1,
            }
        }
    }

    /// Remembers a line that [`LineCache::find`] does not know; `weight` is that of its series.
    pub(super) fn insert(&mut self, raw: &[u8], spelling: Spelling, line: Line, weight: usize) {
        self.fall_out_of_step();
        let weight = footprint::of_line(raw) + weight;
        self.weight += weight;
        // What is dropped has no sample that could ever be good.
        let cached = line == Line::Filtered;
        self.uncached += usize::from(!cached);
        let hash = self.hasher.hash_one(raw);
        let entry = Entry { raw: raw.into(), spelling, line, cached, weight, seen: 0, position: 0 };
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id as usize] = Some(entry);
                id
            }
            None => {
                self.entries.push(Some(entry));
                u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let Self { index, entries, hasher, .. } = self;
        let hash_of =
            |id: &u32| hasher.hash_one(entries[*id as usize].as_ref().map_or(&[][..], |entry| &entry.raw));
        index[spelling as usize].insert_unique(hash, id, hash_of);
        self.remembered += 1;
        self.fresh.push(id);
        self.note(id);
    }

    /// The bytes of the line that is expected next; empty where there is no guess.
    #[inline]
    pub(super) fn expected(&self) -> &[u8] {
        let Some(expected) = self.expected.get(self.guess) else { return &[] };
        let start = self.guess.checked_sub(1).map_or(0, |before| self.expected[before].end);
        &self.text[start..expected.end]
    }

    /// The same where it comes to the same under this spelling.
    #[inline]
    pub(super) fn expected_as(&self, spelling: Spelling) -> &[u8] {
        match self.expected.get(self.guess) {
            Some(expected) if expected.spelling == spelling => self.expected(),
            Some(_) | None => &[],
        }
    }

    /// Ends a scrape. After a good one the lines that it did not have are forgotten, and `forget` is told their slots; after a failed
    /// one all stay, so that a series which comes back is not counted as added, unless failing scrapes pile up new lines.
    pub(super) fn end(&mut self, good: bool, mut forget: impl FnMut(u32)) {
        const SLACK: usize = 1_000;
        if !good && self.fresh.len() > self.previous.len() + SLACK {
            for id in std::mem::take(&mut self.fresh) {
                self.remove(id, &mut forget);
            }
        }
        if !good {
            return;
        }
        self.fresh.clear();
        if self.in_step && self.guess == self.previous.len() && self.remembered == self.settled {
            return;
        }
        self.fall_out_of_step();
        if self.distinct < self.remembered {
            for (id, at) in (0_u32..).zip(0..self.entries.len()) {
                if self.entries[at].as_ref().is_some_and(|entry| entry.seen != self.scrape) {
                    self.remove(id, &mut forget);
                }
            }
        }
        if self.current != self.previous {
            std::mem::swap(&mut self.previous, &mut self.current);
            self.line_up();
        }
        self.settled = self.remembered;
    }

    /// Writes the lines of `previous` out.
    fn line_up(&mut self) {
        self.text.clear();
        self.expected.clear();
        // Hardly ever is there one.
        let mut before = (self.distinct < self.previous.len()).then(HashSet::new);
        for id in &self.previous {
            // All are there; a missing one would be a line that never comes.
            let entry = self.entries.get(*id as usize).and_then(Option::as_ref);
            let (line, spelling) =
                entry.map_or((Line::Filtered, Spelling::AsExposed), |entry| (entry.line, entry.spelling));
            self.text.extend_from_slice(entry.map_or(&[], |entry| &entry.raw));
            let again = before.as_mut().is_some_and(|before| !before.insert(*id));
            self.expected.push(Expected { end: self.text.len(), line, spelling, again });
        }
    }

    /// Forgets every line, for what they come to has changed; `forget` is told their slots. After [`LineCache::begin`].
    pub(super) fn forget_all(&mut self, mut forget: impl FnMut(u32)) {
        for id in (0_u32..).take(self.entries.len()) {
            self.remove(id, &mut forget);
        }
        self.previous.clear();
        self.line_up();
        self.fresh.clear();
    }

    /// As [`LineCache::forget_all`], and gives the memory back.
    pub(super) fn drop_all(&mut self, forget: impl FnMut(u32)) {
        self.forget_all(forget);
        *self = Self { scrape: self.scrape, ..Self::default() };
    }

    fn remove(&mut self, id: u32, forget: &mut impl FnMut(u32)) {
        if let Some(entry) = self.entries[id as usize].take() {
            let hash = self.hasher.hash_one(&*entry.raw);
            if let Ok(found) = self.index[entry.spelling as usize].find_entry(hash, |other| *other == id) {
                found.remove();
            }
            self.remembered -= 1;
            self.uncached -= usize::from(!entry.cached);
            self.weight -= entry.weight;
            self.free.push(id);
            match entry.line {
                Line::Series(slot) => forget(slot),
                Line::Filtered => {}
            }
        }
    }

    /// Notes the lines so far, if that has not been done.
    fn fall_out_of_step(&mut self) {
        if std::mem::take(&mut self.in_step) {
            for at in 0..std::mem::take(&mut self.guess) {
                self.note(self.previous[at]);
            }
        }
    }

    fn note(&mut self, id: u32) {
        let Some(entry) = self.entries[id as usize].as_mut() else { return };
        if self.previous.get(self.guess) == Some(&id) {
            self.guess += 1;
        } else if self.previous.get(entry.position as usize) == Some(&id) {
            self.guess = entry.position as usize + 1;
        }
        if entry.seen != self.scrape {
            entry.seen = self.scrape;
            self.distinct += 1;
        }
        self.current_bytes += entry.raw.len();
        entry.position = u32::try_from(self.current.len()).unwrap_or(u32::MAX);
        self.current.push(id);
    }
}

#[cfg(test)]
mod tests;
