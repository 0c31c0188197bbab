//! What Prometheus 2.42, the oracle, does differently from Prometheus 3, which we follow. Each difference has a name, and changes the oracle's
//! history to what 3 would hold; nothing else may differ.
//!
//! Not served, because 2.42 differs: names in quotes (remote-write 4.23), which it cannot read; blanks before a metric's name, which it takes for a part
//! of the name; an `exported_` label without a value beside a clash, which it takes for taken; a line without a timestamp behind the same one with one, or
//! more of the same line than `sample_limit` (remote-write 4.15: 3 drops a line that came before without asking for more).
//!
//! Nor, of native histograms: those that 2.42 takes for classic ones (floats and no-op spans without a zero bucket that has a width; it looks at the first
//! metric of a family and goes by that), a count that only the zero bucket makes too small or that is too large (2.42 takes both), more buckets than spans
//! have (a panic of 2.42), two kinds in one scrape with the float last (2.42 stores floats first), NaNs of other bits (2.42 keeps them), more of them than
//! `sample_limit` (2.42 does not count them).
//!
//! Not compared: which Content-Type fails a scrape (remote-write 4.10: 2.42 takes anything unknown for text 0.0.4, which is our default too), OpenMetrics
//! (not asked for) and exemplars.

use docker_remote_write::model::{HistogramKind, SampleKind};

use super::history::{At, History, LabelSet, Samples, Stored};

/// A difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// How long a scrape took is nobody's copy: only that the sample is there.
    ScrapeDuration,
    /// remote-write 4.19: 2.42 keeps the spelling of `le` and `quantile` in text.
    BoundSpelling,
    /// remote-write 3.02, quirk: of a body that fails in its middle, 2.42 counts the series before the fault as seen. It ends them only at the next
    /// failure or when they are missing, even those that it has never stored.
    HalfReadBody,
    /// `scrape_series_added`: a scrape that fails or is empty is no iteration of 2.42's cache, so what it saw outlives the next good scrape and is
    /// not counted when it comes again. 2.42 may only count less, and only until two good scrapes have passed.
    UncountedReturn,
    /// remote-write 4.05, ours on purpose: when a target stops to expose `up` and the like, Prometheus ends the series and drops its own sample of that
    /// moment; we keep the sample.
    SyntheticGoesOn,
}

impl Known {
    pub(super) const ALL: [Known; 5] = [
        Known::ScrapeDuration,
        Known::BoundSpelling,
        // Before those that ask whether `up` was 0.
        Known::SyntheticGoesOn,
        Known::HalfReadBody,
        Known::UncountedReturn,
    ];

    /// The oracle's history without this difference.
    pub(super) fn correct(self, oracle: History, ours: &History, steps: usize) -> History {
        match self {
            Known::ScrapeDuration => without_durations(oracle),
            Known::BoundSpelling => {
                oracle.into_iter().map(|(labels, samples)| (respelled(labels), samples)).collect()
            }
            Known::HalfReadBody => {
                let failed = failed_scrapes(&oracle, steps);
                let corrected = oracle.into_iter().map(|(labels, samples)| {
                    let samples =
                        if is_synthetic(&labels) { samples } else { ended_in_time(&samples, &failed) };
                    (labels, samples)
                });
                corrected.filter(|(_, samples)| !samples.is_empty()).collect()
            }
            Known::SyntheticGoesOn => with_synthetic_samples(oracle, ours),
            Known::UncountedReturn => with_returns_counted(oracle, ours, steps),
        }
    }
}

/// Both sides' durations become 0; a marker stays one.
pub(super) fn without_durations(mut history: History) -> History {
    for (labels, samples) in &mut history {
        if name(labels) == "scrape_duration_seconds" {
            samples
                .values_mut()
                .filter(|stored| !stored.is_marker())
                .for_each(|stored| *stored = Stored::ZERO);
        }
    }
    history
}

/// remote-write 2.16: the receiver of 2.42 takes a float histogram without observations, which a stale one is, for one of integers. What a receiver of 2.42
/// stores of the oracle's history.
pub(super) fn as_received(mut oracle: History) -> History {
    const FLOAT: Stored = Stored::Marker(SampleKind::Histogram(HistogramKind::Float));
    const INTEGER: Stored = Stored::Marker(SampleKind::Histogram(HistogramKind::Integer));
    let markers = oracle.values_mut().flat_map(Samples::values_mut).filter(|stored| **stored == FLOAT);
    markers.for_each(|stored| *stored = INTEGER);
    oracle
}

fn name(labels: &LabelSet) -> &str {
    labels.get("__name__").map_or("", String::as_str)
}

fn is_synthetic(labels: &LabelSet) -> bool {
    (name(labels) == "up" || name(labels).starts_with("scrape_")) && labels.len() == 3
}

/// An independent writing of 3's rule, for the names that the captures use: whole numbers get `.0`, all else is shortest already.
fn respelled(mut labels: LabelSet) -> LabelSet {
    for bound in ["le", "quantile"] {
        if let Some(value) = labels.get_mut(bound)
            && value.bytes().all(|byte| byte.is_ascii_digit())
        {
            value.push_str(".0");
        }
    }
    labels
}

fn with_synthetic_samples(mut oracle: History, ours: &History) -> History {
    for (labels, samples) in oracle.iter_mut().filter(|(labels, _)| is_synthetic(labels)) {
        for (at, stored) in samples.iter_mut().filter(|(_, stored)| stored.is_marker()) {
            if let Some(kept) = ours.get(labels).and_then(|samples| samples.get(at)) {
                stored.clone_from(kept);
            }
        }
    }
    oracle
}

fn with_returns_counted(mut oracle: History, ours: &History, steps: usize) -> History {
    let value_of = |history: &History, wanted: &str, scrape: usize| {
        let found = history.iter().find(|(labels, _)| name(labels) == wanted && labels.len() == 3);
        found.and_then(|(_, samples)| samples.get(&At::Scrape(scrape)).cloned())
    };
    let mut good_since_failure = 2;
    for scrape in 0..steps {
        let counted = value_of(ours, "scrape_series_added", scrape);
        for (labels, samples) in &mut oracle {
            if name(labels) == "scrape_series_added"
                && good_since_failure < 2
                && let (Some(expected), Some(counted)) = (samples.get_mut(&At::Scrape(scrape)), &counted)
                && expected.as_f64() < counted.as_f64()
            {
                expected.clone_from(counted);
            }
        }
        let empty = value_of(&oracle, "scrape_samples_scraped", scrape) == Some(Stored::ZERO);
        let failed = value_of(&oracle, "up", scrape) == Some(Stored::ZERO);
        good_since_failure = if empty || failed { 0 } else { good_since_failure + 1 };
    }
    oracle
}

fn failed_scrapes(history: &History, steps: usize) -> Vec<bool> {
    let up = history
        .iter()
        .find(|(labels, _)| name(labels) == "up" && labels.len() == 3)
        .map(|(_, samples)| samples);
    (0..steps).map(|scrape| up.and_then(|up| up.get(&At::Scrape(scrape))) == Some(&Stored::ZERO)).collect()
}

/// At each failed scrape ends what had a sample at the scrape before; nothing ends twice or before it began.
fn ended_in_time(samples: &Samples, failed: &[bool]) -> Samples {
    let mut corrected = Samples::new();
    let own =
        samples.iter().filter(|(at, _)| matches!(at, At::Own(_))).map(|(at, stored)| (*at, stored.clone()));
    corrected.extend(own);
    let mut alive = None;
    for (scrape, failed) in failed.iter().enumerate() {
        let at = At::Scrape(scrape);
        match samples.get(&at) {
            Some(stored) if !stored.is_marker() => {
                corrected.insert(at, stored.clone());
                alive = Some(stored.kind());
            }
            Some(marker) if alive.is_some() => {
                corrected.insert(at, marker.clone());
                alive = None;
            }
            // 2.42 ends again what has ended, or ends what never was.
            Some(_) => {}
            None if *failed && scrape > 0 && samples.contains_key(&At::Scrape(scrape - 1)) => {
                if let Some(kind) = alive.take() {
                    corrected.insert(at, Stored::Marker(kind));
                }
            }
            None => {}
        }
    }
    corrected
}
