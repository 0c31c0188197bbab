use std::collections::BTreeMap;

use super::violation::Violation;
use crate::model::{Labels, STALE_MARKER_BITS};

/// One sample; the value as bits, because that is what must arrive (remote-write 1.17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Bits of the value.
    pub bits: u64,
}

impl Sample {
    /// The value; compare bits instead where it may be NaN.
    #[must_use]
    pub const fn value(self) -> f64 {
        f64::from_bits(self.bits)
    }

    /// Whether it ends its series.
    #[must_use]
    pub const fn is_stale_marker(self) -> bool {
        self.bits == STALE_MARKER_BITS
    }
}

/// What became of the samples of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Admission {
    /// New samples.
    pub(super) stored: u64,
    /// Samples that were there already, bit for bit: a resend.
    pub(super) duplicates: u64,
    pub(super) violations: Vec<Violation>,
}

/// All samples that were accepted, by series.
#[derive(Clone, Debug)]
pub struct Store {
    series: BTreeMap<Labels, Vec<Sample>>,
    samples: u64,
    keep: usize,
}

impl Store {
    pub(super) const fn new(keep: usize) -> Self {
        Self { series: BTreeMap::new(), samples: 0, keep }
    }

    /// All series in the order of their labels, the samples of each in the order of arrival, which is that of time.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Labels, &[Sample])> {
        self.series.iter().map(|(labels, samples)| (labels, samples.as_slice()))
    }

    /// The samples of one series; empty where it never came.
    #[must_use]
    pub fn get(&self, labels: &Labels) -> &[Sample] {
        self.series.get(labels).map_or(&[], Vec::as_slice)
    }

    /// The series that have all these labels: `[("__name__", "up"), ("job", "docker")]`.
    pub fn select<'a>(
        &'a self,
        matchers: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = (&'a Labels, &'a [Sample])> {
        self.iter().filter(|(labels, _)| matchers.iter().all(|(name, value)| labels.get(name) == Some(value)))
    }

    /// How many series there are.
    #[must_use]
    pub fn series(&self) -> usize {
        self.series.len()
    }

    /// How many samples were stored ever, staleness markers included, duplicates not.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// Checks the order of a request's samples against what is here (remote-write 1.13); stores what is new if `commit` agrees
    /// to the result, and otherwise changes nothing.
    pub(super) fn admit(
        &mut self,
        request: &[(Labels, Vec<Sample>)],
        commit: impl FnOnce(&Admission) -> bool,
    ) -> Admission {
        let mut admission = Admission::default();
        let mut fresh: BTreeMap<&Labels, Vec<Sample>> = BTreeMap::new();
        for (labels, samples) in request {
            let stored = self.get(labels);
            let fresh = fresh.entry(labels).or_default();
            for sample in samples {
                match place(stored, fresh, *sample) {
                    Place::Newest => fresh.push(*sample),
                    Place::Resent => admission.duplicates += 1,
                    Place::Wrong(wrong) => admission.violations.push(wrong.violation(labels, *sample)),
                }
            }
        }
        admission.stored = fresh.values().map(|samples| samples.len() as u64).sum();
        if commit(&admission) {
            let fresh: Vec<_> =
                fresh.into_iter().map(|(labels, samples)| (labels.clone(), samples)).collect();
            self.append(fresh, admission.stored);
        }
        admission
    }

    fn append(&mut self, fresh: Vec<(Labels, Vec<Sample>)>, count: u64) {
        self.samples += count;
        for (labels, samples) in fresh.into_iter().filter(|(_, samples)| !samples.is_empty()) {
            let stored = self.series.entry(labels).or_default();
            stored.extend(samples);
            // Cut rarely, so that cutting costs nothing on average.
            if stored.len() > self.keep.saturating_mul(2) {
                stored.drain(..stored.len() - self.keep);
            }
        }
    }
}

enum Place {
    Newest,
    Resent,
    Wrong(Wrong),
}

enum Wrong {
    Older { newest: i64 },
    OtherValue { stored: u64 },
    Doubled,
}

impl Wrong {
    fn violation(self, labels: &Labels, sample: Sample) -> Violation {
        let (series, timestamp) = (labels.clone(), sample.timestamp);
        match self {
            Self::Older { newest } => Violation::OutOfOrder { series, timestamp, newest },
            Self::OtherValue { stored } => {
                Violation::OtherValue { series, timestamp, stored, found: sample.bits }
            }
            Self::Doubled => Violation::Doubled { series, timestamp },
        }
    }
}

/// Where a sample belongs, given what the series has from earlier requests and from this one.
fn place(stored: &[Sample], fresh: &[Sample], sample: Sample) -> Place {
    let newest = fresh.last().or(stored.last());
    let Some(newest) = newest.filter(|newest| newest.timestamp >= sample.timestamp) else {
        return Place::Newest;
    };
    let find = |samples: &[Sample]| {
        let at = samples.binary_search_by_key(&sample.timestamp, |sample| sample.timestamp).ok()?;
        Some(samples[at].bits)
    };
    let wrong = match (find(fresh), find(stored)) {
        (Some(bits), _) if bits == sample.bits => Wrong::Doubled,
        // After a newer sample of the same request even a resend is out of order.
        (None, Some(bits)) if bits == sample.bits && fresh.is_empty() => return Place::Resent,
        (None, Some(bits)) if bits == sample.bits => Wrong::Older { newest: newest.timestamp },
        (Some(stored), _) | (None, Some(stored)) => Wrong::OtherValue { stored },
        (None, None) => Wrong::Older { newest: newest.timestamp },
    };
    Place::Wrong(wrong)
}
