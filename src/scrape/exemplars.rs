//! Exemplars of one scrape, and which of them were handed on before: a target shows the same one until there is a newer.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::footprint;
use crate::exposition;
use crate::model::{Exemplar, Labels};

/// The most characters of an exemplar's labels, names and values together: OpenMetrics's limit, and that of receivers.
const MAX_CHARACTERS: usize = 128;

/// Exemplars that were exposed but not handed on, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiscardedExemplars {
    /// Of a native histogram, and without a timestamp (remote-write 4.29).
    pub no_timestamp: u64,
    /// Older than the last one of its series.
    pub out_of_order: u64,
    /// More than 128 characters of labels, which no receiver takes.
    pub labels_too_long: u64,
}

impl DiscardedExemplars {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.no_timestamp + self.out_of_order + self.labels_too_long
    }
}

/// The exemplar of a series that was handed on last.
#[derive(Clone, Copy, Debug)]
struct Last {
    /// Labels, value, and its own timestamp.
    hash: u64,
    timestamp: i64,
    value: f64,
    /// The last scrape that had it.
    seen: u64,
}

impl Last {
    /// The order of time. Of the same time the larger value is the newer one, as a receiver has it.
    fn compare(&self, other: &Self) -> Ordering {
        let time = self.timestamp.cmp(&other.timestamp);
        time.then(self.value.total_cmp(&other.value)).then(self.hash.cmp(&other.hash))
    }
}

/// Those of one target.
#[derive(Debug, Default)]
pub(super) struct Exemplars {
    taken: Vec<Exemplar>,
    /// Of `taken`; see [`footprint`].
    weight: usize,
    /// By the slot of the series: what `taken` changes once the scrape is good.
    pending: Vec<(u32, Last)>,
    last: HashMap<u32, Last>,
    discarded: DiscardedExemplars,
    hasher: RandomState,
    scrape: u64,
}

impl Exemplars {
    /// Begins a scrape. One huge scrape must not hold its memory for ever.
    pub(super) fn begin(&mut self) {
        const KEPT: usize = 10_000;
        const SLACK: usize = 4;
        if self.taken.capacity() > KEPT.max(SLACK * self.taken.len()) {
            self.taken = Vec::new();
        }
        self.scrape += 1;
        self.roll_back();
    }

    /// The exemplar of the sample with this number, of the series in this slot; `timestamp` stands where it has none (remote-write 4.29).
    /// One that is no newer than the last one of its series, or larger than receivers take, is left out.
    pub(super) fn take(
        &mut self,
        sample: usize,
        slot: u32,
        exemplar: &exposition::Exemplar<'_>,
        timestamp: i64,
    ) {
        let hash = self.hash(exemplar);
        let last = self.newest(slot);
        if let Some(last) = last.filter(|last| last.hash == hash) {
            self.pending.push((slot, Last { seen: self.scrape, ..last }));
            return;
        }
        let timestamp = exemplar.timestamp.unwrap_or(timestamp);
        if let Some(last) = last.filter(|last| timestamp < last.timestamp) {
            // Still known, or the next scrape would take it for the first one.
            self.pending.push((slot, Last { seen: self.scrape, ..last }));
            self.discarded.out_of_order += 1;
            return;
        }
        self.push(sample, exemplar, timestamp);
        self.pending.push((slot, Last { hash, timestamp, value: exemplar.value, seen: self.scrape }));
    }

    /// Those of a native histogram, which has several: the newer ones, in the order of time. Only what has a timestamp tells whether it
    /// is newer (remote-write 4.29).
    pub(super) fn take_of_histogram<'a>(
        &mut self,
        sample: usize,
        slot: u32,
        exemplars: impl Iterator<Item = exposition::Exemplar<'a>>,
    ) {
        let last = self.newest(slot);
        let mut newer = Vec::new();
        for exemplar in exemplars {
            let Some(timestamp) = exemplar.timestamp else {
                self.discarded.no_timestamp += 1;
                continue;
            };
            let hash = self.hash(&exemplar);
            let place = Last { hash, timestamp, value: exemplar.value, seen: self.scrape };
            // What is not newer was handed on when it was, nearly always: a target shows the same ones again and again, at no cost.
            if last.is_none_or(|last| place.compare(&last).is_gt()) {
                newer.push((place, exemplar));
            }
        }
        newer.sort_by(|(one, _), (other, _)| one.compare(other));
        newer.dedup_by(|(one, _), (other, _)| one.compare(other).is_eq());
        for (place, exemplar) in &newer {
            self.push(sample, exemplar, place.timestamp);
        }
        if let Some(newest) = newer.last().map(|(place, _)| *place).or(last) {
            self.pending.push((slot, Last { seen: self.scrape, ..newest }));
        }
    }

    /// What was handed on last of the series in this slot, or is to be with the sample before: those of one series mostly stand together.
    fn newest(&self, slot: u32) -> Option<Last> {
        let before = self.pending.last().filter(|(pending, _)| *pending == slot);
        before.map(|(_, last)| last).or_else(|| self.last.get(&slot)).copied()
    }

    /// The sample was not handed on, and its exemplar is as known as before.
    pub(super) fn keep(&mut self, slot: u32) {
        if let Some(last) = self.last.get_mut(&slot) {
            last.seen = self.scrape;
        }
    }

    /// The slot is free, for a series of which nothing is known.
    pub(super) fn forget(&mut self, slot: u32) {
        self.last.remove(&slot);
    }

    fn hash(&self, exemplar: &exposition::Exemplar<'_>) -> u64 {
        self.hasher.hash_one((exemplar.spelled(), exemplar.value.to_bits(), exemplar.timestamp))
    }

    fn push(&mut self, sample: usize, exemplar: &exposition::Exemplar<'_>, timestamp: i64) {
        let labels = exemplar.labels();
        let characters: usize =
            labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        if characters > MAX_CHARACTERS {
            self.discarded.labels_too_long += 1;
            return;
        }
        let labels: Labels = labels.into_iter().filter(|(name, _)| !name.is_empty()).collect();
        self.weight += footprint::of_exemplar(&labels);
        self.taken.push(Exemplar { sample, labels, value: exemplar.value, timestamp });
    }

    /// Nothing of this scrape was taken.
    pub(super) fn roll_back(&mut self) {
        self.taken.clear();
        self.weight = 0;
        self.pending.clear();
        self.discarded = DiscardedExemplars::default();
    }

    /// What was taken is handed on; returns what was not. After a good scrape those are forgotten that it did not have.
    pub(super) fn conclude(&mut self, good: bool) -> DiscardedExemplars {
        for (slot, last) in self.pending.drain(..) {
            self.last.insert(slot, last);
        }
        if good && !self.last.is_empty() {
            self.last.retain(|_, last| last.seen == self.scrape);
        }
        self.discarded
    }

    /// How many bytes all this takes, as an estimate (see [`footprint`]).
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// In the order of their samples.
    pub(super) fn taken(&self) -> &[Exemplar] {
        &self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{Entry, OpenMetricsParser};

    /// One scrape of lines with exemplars; each sample's slot is its value.
    fn scrape(exemplars: &mut Exemplars, timestamp: i64, lines: &str, good: bool) -> Vec<String> {
        exemplars.begin();
        let body = format!("{lines}# EOF\n");
        let mut parser = OpenMetricsParser::new(body.as_bytes());
        let mut sample = 0;
        while let Some(entry) = parser.next() {
            let Entry::Series(series) = entry.unwrap() else { panic!("samples only") };
            if let Some(exemplar) = parser.exemplar() {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small integers")]
                exemplars.take(sample, series.value as u32, &exemplar, timestamp);
            }
            sample += 1;
        }
        if !good {
            exemplars.roll_back();
        }
        exemplars.conclude(good);
        let text = |e: &Exemplar| format!("{}: {} {}@{}", e.sample, e.labels, e.value, e.timestamp);
        exemplars.taken().iter().map(text).collect()
    }

    #[test]
    fn rw_4_29_an_exemplar_without_a_timestamp_has_that_of_the_scrape() {
        let mut exemplars = Exemplars::default();
        let lines = "a 1\na 2 # {t=\"x\",a=\"\"} 7\na 3 # {} 8 9\n";
        assert_eq!(scrape(&mut exemplars, 5, lines, true), ["1: {t=\"x\"} 7@5", "2:  8@9000"]);
    }

    #[test]
    fn an_exemplar_goes_once_while_it_stays_the_same_and_again_after_a_failed_scrape() {
        let mut exemplars = Exemplars::default();
        let first = "a 1 # {t=\"x\"} 7\n";
        assert!(scrape(&mut exemplars, 1, first, false).is_empty());
        assert_eq!(scrape(&mut exemplars, 2, first, true), ["0: {t=\"x\"} 7@2"]);
        assert!(scrape(&mut exemplars, 3, first, true).is_empty());
        assert!(scrape(&mut exemplars, 4, "", false).is_empty());
        assert!(scrape(&mut exemplars, 5, first, true).is_empty(), "a failed scrape forgets nothing");
        assert_eq!(scrape(&mut exemplars, 6, "a 1 # {t=\"x\"} 8\n", true), ["0: {t=\"x\"} 8@6"]);
        assert_eq!(scrape(&mut exemplars, 7, "a 1 # {t=\"y\"} 8\n", true), ["0: {t=\"y\"} 8@7"]);
        assert!(scrape(&mut exemplars, 8, "a 1\n", true).is_empty() && exemplars.last.is_empty());
        assert_eq!(scrape(&mut exemplars, 9, "a 1 # {t=\"y\"} 8\n", true), ["0: {t=\"y\"} 8@9"]);
    }

    #[test]
    fn an_older_exemplar_than_the_last_one_and_one_with_too_many_characters_are_left_out() {
        let mut exemplars = Exemplars::default();
        scrape(&mut exemplars, 0, "a 1 # {} 1 10\n", true);
        for _ in 0..2 {
            assert!(scrape(&mut exemplars, 0, "a 1 # {} 2 9.9\n", true).is_empty());
        }
        let long = |characters| format!("a 1 # {{t=\"{}\"}} 1 20\n", "ü".repeat(characters));
        assert!(scrape(&mut exemplars, 0, &long(128), true).is_empty());
        assert_eq!(scrape(&mut exemplars, 0, &long(127), true).len(), 1);
    }
}
