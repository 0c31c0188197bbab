//! The series of one target, each in a slot that its label set owns while the target has it.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

use super::departed::{Departed, Newest};
use super::families::{Families, FamilyRef};
use crate::model::{Description, Labels, MetricType, SampleKind};

/// The newest timestamp of a series that another process has begun: there is one, and nobody knows which.
const SOME_TIME_AGO: i64 = i64::MIN + 1;

/// One series.
#[derive(Debug)]
pub(super) struct Series {
    labels: Labels,
    metadata: Metadata,
    /// [`Families::epoch`] when the metadata was looked up.
    metadata_epoch: u64,
    /// Changes when the slot gets another series, or the series other metadata.
    pub(super) generation: u32,
    /// Lines that name this series, and the list of tracked series if it is there; at 0 the slot is free.
    holders: u32,
    /// Newest timestamp that was handed on, ms since the epoch.
    pub(super) last_timestamp: i64,
    /// Its value's bits.
    pub(super) last_value: u64,
    /// What that sample is, and so the marker that ends the series.
    pub(super) kind: SampleKind,
    /// The scrape that touched it last, and the newest timestamp in that scrape, with the number of that sample.
    pub(super) touched: u64,
    pub(super) touched_timestamp: i64,
    pub(super) touched_sample: usize,
    /// The last scrape in which it had no timestamp of its own: those series get staleness markers (remote-write 3.04).
    pub(super) tracked: u64,
    /// See [`OpenSeries`](super::open_series::OpenSeries).
    pub(super) open: bool,
}

impl Series {
    /// Another process has begun it with samples of this kind, and not ended it.
    pub(super) fn reopen(&mut self, kind: SampleKind) {
        self.open = true;
        self.kind = kind;
        self.last_timestamp = self.last_timestamp.max(SOME_TIME_AGO);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metadata {
    None,
    Family(FamilyRef),
    Synthetic(&'static str),
}

impl Series {
    /// Its end is to be noticed, as of this scrape; whether that is new. Synthetic series come with every scrape and end only with the target.
    #[inline]
    pub(super) fn track(&mut self, scrape: u64) -> bool {
        let is_new = self.tracked != scrape && !self.is_synthetic();
        if is_new {
            self.tracked = scrape;
        }
        is_new
    }

    pub(super) fn is_synthetic(&self) -> bool {
        matches!(self.metadata, Metadata::Synthetic(_))
    }
}

/// All series of one target.
#[derive(Debug, Default)]
pub(super) struct SeriesTable {
    by_labels: HashTable<u32>,
    hasher: RandomState,
    slots: Vec<Option<Series>>,
    free: Vec<u32>,
    /// Series without holders: their slots are free once their markers have been encoded, at the next scrape.
    leaving: Vec<u32>,
    generation: u32,
    departed: Departed,
}

impl SeriesTable {
    /// Frees the slots of series that vanished in the scrape before, and says which; `now` is the newest timestamp so far, ms since the epoch.
    pub(super) fn begin(&mut self, now: i64, mut freed: impl FnMut(u32)) {
        for slot in std::mem::take(&mut self.leaving) {
            if self.slots[slot as usize].as_ref().is_some_and(|series| series.holders == 0)
                && let Some(series) = self.slots[slot as usize].take()
            {
                let hash = self.hasher.hash_one(&series.labels);
                if let Ok(found) = self.by_labels.find_entry(hash, |other| *other == slot) {
                    found.remove();
                }
                if series.last_timestamp > SOME_TIME_AGO {
                    let Series { last_timestamp: timestamp, last_value: value, kind, .. } = series;
                    let newest = Newest { timestamp, value, kind };
                    self.departed.remember(&series.labels, newest, now);
                }
                self.free.push(slot);
                freed(slot);
            }
        }
    }

    /// The slot of a label set, for one more line that names it.
    pub(super) fn acquire(&mut self, labels: Labels) -> u32 {
        let hash = self.hasher.hash_one(&labels);
        let is = |slot: &u32| *self.labels(*slot) == labels;
        let slot = self.by_labels.find(hash, is).copied();
        let slot = slot.unwrap_or_else(|| self.occupy(labels, hash));
        self.hold(slot);
        slot
    }

    /// One more holder: the slot stays until it has released it.
    pub(super) fn hold(&mut self, slot: u32) {
        if let Some(series) = self.slots[slot as usize].as_mut() {
            series.holders += 1;
        }
    }

    /// A synthetic series, a gauge that stays for ever; if the target exposes the same label set it is the same series
    /// (remote-write 4.05).
    pub(super) fn acquire_synthetic(&mut self, labels: Labels, help: &'static str) -> u32 {
        let slot = self.acquire(labels);
        if let Some(series) = self.slots[slot as usize].as_mut() {
            series.metadata = Metadata::Synthetic(help);
        }
        slot
    }

    /// A synthetic series no more: if the target exposes it, it is one of the target's own.
    pub(super) fn retire_synthetic(&mut self, slot: u32) {
        let series = self.get_mut(slot);
        (series.metadata, series.metadata_epoch) = (Metadata::None, u64::MAX);
    }

    /// One line less names the series, or it is tracked no more.
    pub(super) fn release(&mut self, slot: u32) {
        if let Some(series) = self.slots[slot as usize].as_mut() {
            series.holders -= 1;
            if series.holders == 0 {
                self.leaving.push(slot);
            }
        }
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Series {
        match self.slots[slot as usize].as_mut() {
            Some(series) => series,
            None => unreachable!("slot {slot} is held by a line or by the last scrape"),
        }
    }

    pub(super) fn labels(&self, slot: u32) -> &Labels {
        static NONE: Labels = Labels::new();
        self.slots[slot as usize].as_ref().map_or(&NONE, |series| &series.labels)
    }

    /// Gives the series the metadata of its family as it is now; returns its generation.
    pub(super) fn refresh_metadata(&mut self, slot: u32, families: &Families) -> u32 {
        let series = self.get_mut(slot);
        if series.metadata_epoch == families.epoch() {
            return series.generation;
        }
        series.metadata_epoch = families.epoch();
        let name = series.labels.get(crate::model::METRIC_NAME).unwrap_or_default();
        let current = match series.metadata {
            // Looked up anew: another family may fit better by now, or the old one no longer.
            Metadata::None | Metadata::Family(_) => {
                families.of_metric(name).map_or(Metadata::None, Metadata::Family)
            }
            Metadata::Synthetic(help) => Metadata::Synthetic(help),
        };
        if series.metadata == current {
            return series.generation;
        }
        series.metadata = current;
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        self.get_mut(slot).generation = generation;
        generation
    }

    /// What the encoder needs to know of a series.
    pub(super) fn describe<'a>(&'a self, slot: u32, families: &'a Families) -> Description<'a> {
        let series = self.slots[slot as usize].as_ref();
        let (metric_type, help, unit) = match series.map_or(Metadata::None, |series| series.metadata) {
            Metadata::None => (MetricType::Unknown, "", ""),
            Metadata::Family(family) => families.metadata(family),
            Metadata::Synthetic(help) => (MetricType::Gauge, help, ""),
        };
        Description { labels: self.labels(slot), metric_type, help, unit }
    }

    /// All series that have begun and not ended.
    pub(super) fn open(&self) -> impl Iterator<Item = (&Labels, SampleKind)> {
        let open = self.slots.iter().flatten().filter(|series| series.open);
        open.map(|series| (&series.labels, series.kind))
    }

    #[cfg(test)]
    pub(super) fn highest_slot(&self) -> usize {
        self.slots.len()
    }

    fn occupy(&mut self, labels: Labels, hash: u64) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        let newest = self.departed.recall(&labels);
        let series = Series {
            labels,
            metadata: Metadata::None,
            metadata_epoch: u64::MAX,
            generation: self.generation,
            holders: 0,
            last_timestamp: newest.map_or(i64::MIN, |newest| newest.timestamp),
            last_value: newest.map_or(0, |newest| newest.value),
            kind: newest.map_or(SampleKind::Float, |newest| newest.kind),
            touched: 0,
            touched_timestamp: i64::MIN,
            touched_sample: 0,
            tracked: 0,
            open: false,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(series);
                slot
            }
            None => {
                self.slots.push(Some(series));
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let Self { by_labels, slots, hasher, .. } = self;
        let hash_of =
            |slot: &u32| slots[*slot as usize].as_ref().map_or(0, |series| hasher.hash_one(&series.labels));
        by_labels.insert_unique(hash, slot, hash_of);
        slot
    }
}
