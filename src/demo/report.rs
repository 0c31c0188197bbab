//! Compares what was served with what the receiver decoded; pure.

use std::collections::BTreeMap;

use super::engine::Served;
use super::oracle::{Expected, Target, Unreadable, Value};
use crate::model::{Labels, is_stale_marker};
use crate::receiver::{Answered, Sample, State, Violation};

/// The `job` of the program's own series: they are counted, but nothing that was served says what they must be.
pub(super) const OWN_JOB: &str = "docker-remote-write";
/// Differences that are told; a broken pipe makes thousands.
const TOLD: usize = 10;

/// The figures of the summary, and what differs.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Scrapes that the engine answered with metrics.
    pub(super) scrapes: u64,
    /// Scrapes that failed.
    pub(super) failed_scrapes: u64,
    /// Samples in the served texts.
    pub(super) served: u64,
    /// Samples that must arrive in all: served ones, five more for each scrape, staleness markers.
    pub(super) expected: u64,
    /// Of those, the ones that arrived with exactly the right value.
    pub(super) arrived: u64,
    /// Staleness markers that must arrive; they are part of `expected`.
    pub(super) markers: u64,
    /// Expected samples that never arrived.
    pub(super) lost: u64,
    /// Samples that arrived twice.
    pub(super) doubled: u64,
    /// Samples behind newer ones.
    pub(super) out_of_order: u64,
    /// Expected samples with another value.
    pub(super) wrong: u64,
    /// Samples of our target that nobody expects.
    pub(super) unexpected: u64,
    /// Broken rules of the specification, beside doubled and out of order.
    pub(super) violations: u64,
    /// Samples of the program's own series.
    pub(super) own: u64,
    /// Series in all.
    pub(super) series: usize,
    /// Requests that were stored.
    pub(super) requests: u64,
    /// Requests that were sent away.
    pub(super) refused: u64,
    /// The first differences, one line each.
    pub(super) differences: Vec<String>,
    /// Differences in all.
    pub(super) difference_count: u64,
}

impl Report {
    /// Works out all figures. `delivered` is what the program itself says to have delivered, if it says so.
    pub(super) fn new(served: &[Served], target: &Target, state: &State, delivered: Option<u64>) -> Self {
        let mut report = Self::default();
        let expected = report.expect(served, target, state).unwrap_or_else(|unreadable| {
            report.tell(unreadable.to_string());
            Expected::default()
        });
        report.served = expected.samples;
        report.markers = expected.markers;
        let told: u64 = expected.series.values().map(|samples| samples.len() as u64).sum();
        // Lost so far are whole scrapes: they have no timestamp under which they could be looked for.
        report.expected = told + report.lost;
        report.compare_all(expected.series, state);
        report.requests(state);
        report.ledger(state, delivered);
        report
    }

    /// Whether nothing differs.
    pub(super) const fn is_clean(&self) -> bool {
        self.difference_count == 0
    }

    fn tell(&mut self, difference: String) {
        self.difference_count += 1;
        if self.differences.len() < TOLD {
            self.differences.push(difference);
        }
    }

    /// Gives each served text the timestamp under which it arrived, and works out what must be there.
    fn expect(&mut self, served: &[Served], target: &Target, state: &State) -> Result<Expected, Unreadable> {
        let mut expected = Expected::default();
        let up = state.store.get(&target.synthetic("up"));
        let (ends, scrapes): (Vec<Sample>, Vec<Sample>) =
            up.iter().partition(|sample| is_stale_marker(sample.value()));
        for (served, at) in pair(served, &scrapes) {
            match (&served.text, at) {
                (Some(_), Some(at)) => {
                    self.scrapes += 1;
                    expected.scrape(&served, at, target)?;
                }
                (None, Some(at)) => {
                    self.failed_scrapes += 1;
                    expected.scrape(&served, at, target)?;
                }
                (Some(text), None) => {
                    self.scrapes += 1;
                    let lost = expected.lost(text, target)?;
                    self.lost += lost;
                    self.tell(format!(
                        "lost: all {lost} samples of the scrape that was served at {}",
                        served.at
                    ));
                }
                // The scraper gave up before the engine had failed; at the end such a scrape is not recorded.
                (None, None) => {}
            }
        }
        match ends.as_slice() {
            [end] => expected.end(end.timestamp, target),
            [] => self.tell("lost: the staleness markers of StopMetrics".to_owned()),
            [_, ..] => self.tell(format!("doubled: `up` ends {} times", ends.len())),
        }
        Ok(expected)
    }

    fn compare_all(&mut self, mut expected: BTreeMap<Labels, Vec<(i64, Value)>>, state: &State) {
        for (labels, samples) in state.store.iter() {
            self.series += 1;
            if labels.get("job") == Some(OWN_JOB) {
                self.own += samples.len() as u64;
            } else {
                self.compare(labels, &expected.remove(labels).unwrap_or_default(), samples);
            }
        }
        for (labels, samples) in expected {
            self.compare(&labels, &samples, &[]);
        }
        // No engine serves any.
        for (labels, histograms) in state.store.all_histograms() {
            for histogram in histograms {
                self.unexpected += 1;
                self.tell(format!("nobody served: {labels} at {} is {histogram}", histogram.timestamp()));
            }
        }
    }

    /// One series, both sides in the order of time.
    fn compare(&mut self, labels: &Labels, expected: &[(i64, Value)], arrived: &[Sample]) {
        let mut arrived = arrived.iter().peekable();
        for &(at, value) in expected {
            while let Some(early) = arrived.next_if(|sample| sample.timestamp < at) {
                self.unexpected(labels, *early);
            }
            match arrived.next_if(|sample| sample.timestamp == at) {
                Some(sample) if value.fits(sample.bits) => self.arrived += 1,
                Some(sample) => {
                    self.wrong += 1;
                    let wanted = match value {
                        Value::Bits(bits) => show(bits),
                        Value::Positive => "a positive number".to_owned(),
                    };
                    self.tell(format!(
                        "another value: {labels} at {at} is {}, served was {wanted}",
                        show(sample.bits)
                    ));
                }
                None => {
                    self.lost += 1;
                    self.tell(format!("lost: {labels} at {at}"));
                }
            }
        }
        for late in arrived {
            self.unexpected(labels, *late);
        }
    }

    fn unexpected(&mut self, labels: &Labels, sample: Sample) {
        self.unexpected += 1;
        self.tell(format!("nobody served: {labels} at {} is {}", sample.timestamp, show(sample.bits)));
    }

    fn requests(&mut self, state: &State) {
        for request in &state.requests {
            match request.answered {
                Answered::Status(200..=299) => self.requests += 1,
                Answered::Status(_) | Answered::Hang | Answered::Closed | Answered::Half => self.refused += 1,
            }
        }
        self.doubled = state.duplicates;
        if state.duplicates > 0 {
            self.tell(format!(
                "doubled: {} samples were sent again after they had been taken",
                state.duplicates
            ));
        }
        for violation in &state.violations {
            match violation {
                Violation::Doubled { .. } => self.doubled += 1,
                Violation::OutOfOrder { .. } => self.out_of_order += 1,
                Violation::OtherValue { .. } | Violation::OtherHistogram { .. } => self.wrong += 1,
                Violation::Method(_)
                | Violation::Path { .. }
                | Violation::Header { .. }
                | Violation::UserAgent(_)
                | Violation::RepeatedHeader { .. }
                | Violation::FramedSnappy
                | Violation::Snappy(_)
                | Violation::Body(_)
                | Violation::Message(_)
                | Violation::MessageV2(_)
                | Violation::OddReferences(_)
                | Violation::NoReferences(_)
                | Violation::NoSymbols
                | Violation::FirstSymbol(_)
                | Violation::RepeatedSymbol(_)
                | Violation::Reference { .. }
                | Violation::NoData(_)
                | Violation::MixedData { .. }
                | Violation::ExemplarTime(_)
                | Violation::Field { .. }
                | Violation::Timestamp { .. }
                | Violation::NoMetricName(_)
                | Violation::Unsorted { .. }
                | Violation::RepeatedLabel(_)
                | Violation::EmptyLabelName(_)
                | Violation::EmptyLabelValue(_)
                | Violation::MetricName(_)
                | Violation::LabelName(_)
                | Violation::ReservedLabel(_)
                | Violation::FamilyName(_)
                | Violation::MetricType { .. }
                | Violation::RepeatedFamily(_)
                | Violation::CustomBounds(_)
                | Violation::Histogram { .. }
                | Violation::StaleHistogram { .. }
                | Violation::RetriedAfterFinal(_)
                | Violation::Nan { .. } => self.violations += 1,
            }
            self.tell(format!("broken rule {violation}"));
        }
    }

    fn ledger(&mut self, state: &State, delivered: Option<u64>) {
        let stored = state.store.samples() + state.duplicates;
        if let Some(delivered) = delivered.filter(|delivered| *delivered != stored) {
            self.tell(format!("the ledger says {delivered} samples delivered, the receiver took {stored}"));
        }
    }
}

/// Each served text with the timestamp of its scrape, which is that of its start: the newest `up` that is not later than the
/// engine saw the request. No tolerance: the last scrape of all may start 2 ms after a regular one was served. A failed scrape
/// that never reached the engine is told by its `up` alone.
fn pair(served: &[Served], scrapes: &[Sample]) -> Vec<(Served, Option<i64>)> {
    let mut pairs = Vec::new();
    let mut rest = scrapes;
    for served in served {
        let until = rest.partition_point(|sample| sample.timestamp <= served.at);
        let (mine, later) = rest.split_at(until);
        rest = later;
        let Some((at, unpaired)) = mine.split_last() else {
            pairs.push((served.clone(), None));
            continue;
        };
        pairs.extend(unpaired.iter().map(|sample| unreached(sample.timestamp)));
        pairs.push((served.clone(), Some(at.timestamp)));
    }
    pairs.extend(rest.iter().map(|sample| unreached(sample.timestamp)));
    pairs
}

fn unreached(at: i64) -> (Served, Option<i64>) {
    (Served { at, text: None }, Some(at))
}

fn show(bits: u64) -> String {
    let value = f64::from_bits(bits);
    if is_stale_marker(value) { "the staleness marker".to_owned() } else { value.to_string() }
}
