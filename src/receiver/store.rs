use std::collections::BTreeMap;
use std::fmt;

use super::histogram::{Histogram, Totals};
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

/// One of the two things that a series has at a timestamp. Equal means bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point<'a> {
    Sample(Sample),
    Histogram(&'a Histogram),
}

impl Point<'_> {
    /// Milliseconds since the epoch.
    pub(super) const fn timestamp(self) -> i64 {
        match self {
            Self::Sample(sample) => sample.timestamp,
            Self::Histogram(histogram) => histogram.timestamp(),
        }
    }

    pub(super) const fn is_stale_marker(self) -> bool {
        match self {
            Self::Sample(sample) => sample.is_stale_marker(),
            Self::Histogram(histogram) => histogram.is_stale_marker(),
        }
    }
}

impl fmt::Display for Point<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sample(sample) => write!(f, "bits {:#018x}", sample.bits),
            // Without its buckets, of which there may be any number.
            Self::Histogram(histogram) => write!(f, "the native histogram {{{}}}", Totals(histogram)),
        }
    }
}

/// What a series has, or a request brings for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Points {
    pub(super) samples: Vec<Sample>,
    pub(super) histograms: Vec<Histogram>,
}

impl Points {
    pub(super) const fn new(samples: Vec<Sample>, histograms: Vec<Histogram>) -> Self {
        Self { samples, histograms }
    }

    /// The samples, then the histograms. No sender mixes them in one series of a request.
    pub(super) fn iter(&self) -> impl Iterator<Item = Point<'_>> {
        let samples = self.samples.iter().copied().map(Point::Sample);
        samples.chain(self.histograms.iter().map(Point::Histogram))
    }

    const fn len(&self) -> usize {
        self.samples.len() + self.histograms.len()
    }

    fn push(&mut self, point: Point<'_>) {
        match point {
            Point::Sample(sample) => self.samples.push(sample),
            Point::Histogram(histogram) => self.histograms.push(histogram.clone()),
        }
    }

    fn newest(&self) -> Option<i64> {
        let sample = self.samples.last().map(|sample| sample.timestamp);
        sample.max(self.histograms.last().map(Histogram::timestamp))
    }

    /// What is there at this timestamp; both parts are in the order of time.
    fn at(&self, timestamp: i64) -> Option<Point<'_>> {
        let sample = self.samples.binary_search_by_key(&timestamp, |sample| sample.timestamp);
        let histogram = self.histograms.binary_search_by_key(&timestamp, Histogram::timestamp);
        match (sample, histogram) {
            (Ok(at), _) => Some(Point::Sample(self.samples[at])),
            (Err(_), Ok(at)) => Some(Point::Histogram(&self.histograms[at])),
            (Err(_), Err(_)) => None,
        }
    }

    fn append(&mut self, other: Self, keep: usize) {
        fn cut<T>(points: &mut Vec<T>, keep: usize) {
            // Cut rarely, so that cutting costs nothing on average.
            if points.len() > keep.saturating_mul(2) {
                points.drain(..points.len() - keep);
            }
        }
        self.samples.extend(other.samples);
        self.histograms.extend(other.histograms);
        cut(&mut self.samples, keep);
        cut(&mut self.histograms, keep);
    }
}

/// What became of the samples of one request, native histograms included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Admission {
    /// New samples.
    pub(super) stored: u64,
    /// Samples that were there already, bit for bit: a resend.
    pub(super) duplicates: u64,
    /// How many of the two together are native histograms.
    pub(super) histograms: u64,
    pub(super) violations: Vec<Violation>,
}

/// All samples and native histograms that were accepted, by series.
#[derive(Clone, Debug)]
pub struct Store {
    series: BTreeMap<Labels, Points>,
    samples: u64,
    histograms: u64,
    keep: usize,
}

impl Store {
    pub(super) const fn new(keep: usize) -> Self {
        Self { series: BTreeMap::new(), samples: 0, histograms: 0, keep }
    }

    /// All series in the order of their labels, the float samples of each in the order of arrival, which is that of time. Of a
    /// series of native histograms there are none: see [`Store::all_histograms`].
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Labels, &[Sample])> {
        self.series.iter().map(|(labels, points)| (labels, points.samples.as_slice()))
    }

    /// The float samples of one series; empty where none ever came.
    #[must_use]
    pub fn get(&self, labels: &Labels) -> &[Sample] {
        self.series.get(labels).map_or(&[], |points| points.samples.as_slice())
    }

    /// The native histograms of one series in the order of time, staleness markers included; empty where none ever came.
    #[must_use]
    pub fn histograms(&self, labels: &Labels) -> &[Histogram] {
        self.series.get(labels).map_or(&[], |points| points.histograms.as_slice())
    }

    /// The series that have native histograms, in the order of their labels, with these.
    pub fn all_histograms(&self) -> impl Iterator<Item = (&Labels, &[Histogram])> {
        let all = self.series.iter().map(|(labels, points)| (labels, points.histograms.as_slice()));
        all.filter(|(_, histograms)| !histograms.is_empty())
    }

    /// The series that have all these labels: `[("__name__", "up"), ("job", "docker")]`, with their float samples.
    pub fn select<'a>(
        &'a self,
        matchers: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = (&'a Labels, &'a [Sample])> {
        self.iter().filter(|(labels, _)| matches(labels, matchers))
    }

    pub(super) fn count(&self, matchers: &[(&str, &str)]) -> usize {
        let found = self.series.iter().filter(|(labels, _)| matches(labels, matchers));
        found.map(|(_, points)| points.len()).sum()
    }

    /// How many series there are.
    #[must_use]
    pub fn series(&self) -> usize {
        self.series.len()
    }

    /// How many samples were stored ever, native histograms and staleness markers included, duplicates not: what the ledger of a
    /// sender that lost nothing calls delivered.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// How many of [`Store::samples`] are native histograms.
    #[must_use]
    pub const fn histogram_count(&self) -> u64 {
        self.histograms
    }

    /// Checks the order of a request's samples and histograms, which is one for both, against what is here (remote-write 1.13);
    /// stores what is new if `commit` agrees to the result, and otherwise changes nothing.
    pub(super) fn admit(
        &mut self,
        request: &[(Labels, Points)],
        commit: impl FnOnce(&Admission) -> bool,
    ) -> Admission {
        let nothing = Points::default();
        let mut admission = Admission::default();
        let mut fresh: BTreeMap<&Labels, Points> = BTreeMap::new();
        for (labels, points) in request {
            let stored = self.series.get(labels).unwrap_or(&nothing);
            let fresh = fresh.entry(labels).or_default();
            for point in points.iter() {
                match place(stored, fresh, point) {
                    Place::Newest => fresh.push(point),
                    Place::Resent => {
                        admission.duplicates += 1;
                        admission.histograms += u64::from(matches!(point, Point::Histogram(_)));
                    }
                    Place::Wrong(wrong) => admission.violations.push(wrong.violation(labels, point)),
                }
            }
        }
        admission.stored = fresh.values().map(|points| points.len() as u64).sum();
        let histograms: u64 = fresh.values().map(|points| points.histograms.len() as u64).sum();
        admission.histograms += histograms;
        if commit(&admission) {
            let fresh: Vec<_> = fresh.into_iter().map(|(labels, points)| (labels.clone(), points)).collect();
            self.samples += admission.stored;
            self.histograms += histograms;
            for (labels, points) in fresh.into_iter().filter(|(_, points)| points.len() > 0) {
                self.series.entry(labels).or_default().append(points, self.keep);
            }
        }
        admission
    }
}

fn matches(labels: &Labels, matchers: &[(&str, &str)]) -> bool {
    matchers.iter().all(|(name, value)| labels.get(name) == Some(value))
}

enum Place<'a> {
    Newest,
    Resent,
    Wrong(Wrong<'a>),
}

enum Wrong<'a> {
    Older { newest: i64 },
    OtherValue { stored: Point<'a> },
    Doubled,
}

impl Wrong<'_> {
    fn violation(self, labels: &Labels, found: Point<'_>) -> Violation {
        let (series, timestamp) = (labels.clone(), found.timestamp());
        match self {
            Self::Older { newest } => Violation::OutOfOrder { series, timestamp, newest },
            Self::OtherValue { stored } => match (stored, found) {
                (Point::Sample(stored), Point::Sample(found)) => {
                    Violation::OtherValue { series, timestamp, stored: stored.bits, found: found.bits }
                }
                (Point::Histogram(_), _) | (_, Point::Histogram(_)) => {
                    let (stored, found) = (stored.to_string(), found.to_string());
                    Violation::OtherHistogram { series, timestamp, stored, found }
                }
            },
            Self::Doubled => Violation::Doubled { series, timestamp },
        }
    }
}

/// Where a point belongs, given what the series has from earlier requests and from this one.
fn place<'a>(stored: &'a Points, fresh: &'a Points, point: Point<'_>) -> Place<'a> {
    let timestamp = point.timestamp();
    let newest = fresh.newest().or(stored.newest());
    let Some(newest) = newest.filter(|newest| *newest >= timestamp) else {
        return Place::Newest;
    };
    let wrong = match (fresh.at(timestamp), stored.at(timestamp)) {
        (Some(same), _) if same == point => Wrong::Doubled,
        // After a newer point of the same request even a resend is out of order.
        (None, Some(same)) if same == point && fresh.len() == 0 => return Place::Resent,
        (None, Some(same)) if same == point => Wrong::Older { newest },
        (Some(stored), _) | (None, Some(stored)) => Wrong::OtherValue { stored },
        (None, None) => Wrong::Older { newest },
    };
    Place::Wrong(wrong)
}
