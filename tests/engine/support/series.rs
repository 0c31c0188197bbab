//! Stored series, and what must be true of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Receiver;

/// What all scenarios set SCRAPE_INTERVAL to: the shortest that the settings allow.
const INTERVAL_MS: i64 = 1000;

/// One series as a query answers it.
#[derive(Debug, Clone)]
pub(crate) struct Points {
    pub(crate) labels: BTreeMap<String, String>,
    /// ms since the epoch and value, oldest first.
    pub(crate) points: Vec<(i64, f64)>,
}

impl Points {
    /// One element of `data.result`; `key` is `value` (a vector) or `values` (a matrix).
    pub(crate) fn from_json(series: &Value, key: &str) -> Points {
        let labels = series["metric"].as_object().expect("each series has labels");
        let labels = labels.iter().map(|(name, value)| (name.clone(), text(value).to_owned())).collect();
        let found = &series[key];
        let points = match key {
            "value" => vec![point(found)],
            _ => found.as_array().expect("a matrix has points").iter().map(point).collect(),
        };
        Points { labels, points }
    }

    /// A label's value, empty if there is no such label.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// Demands one sample for every interval from the first to the last, none twice. A scrape that the machine held up by more than 2 ms carries its
/// true time (facts: remote-write 4), so the grid is met by rounding.
pub(crate) fn assert_no_gaps(what: &str, points: &[(i64, f64)]) {
    for pair in points.windows(2) {
        let (before, after) = (pair[0].0, pair[1].0);
        let intervals = (after - before + INTERVAL_MS / 2) / INTERVAL_MS;
        assert_eq!(intervals, 1, "{what}: intervals from {before} to {after} ms; all: {points:?}");
    }
}

/// Where in the interval most of these samples lie: the phase of the target, in ms.
pub(crate) fn phase(points: &[(i64, f64)]) -> i64 {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for (at, _) in points {
        *counts.entry(at.rem_euclid(INTERVAL_MS)).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.expect("there are samples").0
}

/// Demands of every stored round of our own counters: scraped + recovered = delivered + pending + dropped.
/// Returns how many rounds were checked.
pub(crate) fn assert_ledger_closes(receiver: &Receiver) -> usize {
    let sum = |name: &str| {
        let mut sums: BTreeMap<i64, f64> = BTreeMap::new();
        for series in
            receiver.stored(&format!("docker_remote_write_samples_{name}{{job=\"docker-remote-write\"}}"))
        {
            for (at, value) in series.points {
                *sums.entry(at).or_default() += value;
            }
        }
        sums
    };
    let scraped = sum("scraped_total");
    let recovered = sum("recovered_total");
    let gone = [sum("delivered_total"), sum("pending"), sum("dropped_total")];
    for (at, value) in &scraped {
        let came = value + recovered.get(at).copied().unwrap_or_default();
        let went: f64 = gone.iter().map(|part| part.get(at).copied().unwrap_or_default()).sum();
        assert!(
            (came - went).abs() < 0.5,
            "the ledger is open at {at} ms: scraped + recovered = {came}, delivered + pending + dropped = {went}"
        );
    }
    scraped.len()
}

fn point(value: &Value) -> (i64, f64) {
    let seconds = value[0].as_f64().expect("a point has a time");
    #[allow(
        clippy::cast_possible_truncation,
        reason = "ms since 1970 fit 53 bits; PromQL's JSON gives seconds as a float"
    )]
    let ms = (seconds * 1000.0).round() as i64;
    (ms, text(&value[1]).parse().expect("a point has a value"))
}

fn text(value: &Value) -> &str {
    value.as_str().expect("PromQL's JSON writes labels and values as strings")
}
