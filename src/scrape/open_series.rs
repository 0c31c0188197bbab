//! The series that go on in a receiver's eyes: they have begun, and no staleness marker has ended them, whichever process began them.
//!
//! What outlives the process is said as changes, so that a steady set costs nothing.

use super::series::{Series, SeriesTable};
use crate::model::{Labels, SampleKind};

/// A series has begun, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesChange {
    /// Which way.
    pub kind: ChangeKind,
    /// What its samples are.
    pub samples: SampleKind,
    /// The series, for `Ingest::describe`; valid until the next scrape.
    pub slot: u32,
    /// Which of the scrape's samples brings it; past the last one where none does.
    pub sample: usize,
}

/// Which way a series has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// From now on it needs a marker when it vanishes.
    Opened,
    /// It needs none any more.
    Ended,
}

/// Changes of one scrape, and what the process before has left open.
#[derive(Debug, Default)]
pub(super) struct OpenSeries {
    /// Left open by the process before, held, not seen yet.
    pub(super) restored: Vec<u32>,
    changes: Vec<SeriesChange>,
    /// Ended without a marker.
    silently: Vec<u32>,
}

impl OpenSeries {
    pub(super) fn begin(&mut self) {
        self.changes.clear();
        self.silently.clear();
    }

    pub(super) fn changes(&self) -> &[SeriesChange] {
        &self.changes
    }

    /// Takes over a series that the process before has left open. Synthetic ones go on with any scrape.
    pub(super) fn restore(&mut self, labels: Labels, kind: SampleKind, table: &mut SeriesTable) {
        let slot = table.acquire(labels);
        let series = table.get_mut(slot);
        let goes_on = series.open || series.is_synthetic();
        series.reopen(kind);
        if goes_on {
            table.release(slot);
        } else {
            self.restored.push(slot);
        }
    }

    /// The series is tracked no more. A marker says so, or was not possible.
    pub(super) fn untracked(&mut self, slot: u32, marked: bool) {
        if !marked {
            self.silently.push(slot);
        }
    }

    /// The `sample`th sample of the scrape belongs to this series, which goes on with it.
    pub(super) fn goes_on(&mut self, slot: u32, sample: usize, series: &mut Series) {
        series.open = true;
        self.changes.push(SeriesChange { kind: ChangeKind::Opened, samples: series.kind, slot, sample });
    }

    /// The `sample`th sample is the series' marker.
    pub(super) fn ends(&mut self, slot: u32, sample: usize, series: &mut Series) {
        series.open = false;
        self.changes.push(SeriesChange { kind: ChangeKind::Ended, samples: series.kind, slot, sample });
    }

    /// What ended without a marker comes last.
    pub(super) fn conclude(&mut self, samples: usize, table: &mut SeriesTable) {
        for at in 0..self.silently.len() {
            let slot = self.silently[at];
            let series = table.get_mut(slot);
            if series.open {
                self.ends(slot, samples, series);
            }
        }
    }
}
