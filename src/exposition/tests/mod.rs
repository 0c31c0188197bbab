//! The room as its callers see it: one theme in each file.

/// What a real engine exposes.
mod captures;
/// Each row of crates.md section 1, with the column of Prometheus.
mod divergences;
/// Generated input: prometheus-parse as the oracle where it is right, arbitrary and truncated bytes, guesses.
mod generated;
/// Native histograms of protobuf, prost as the oracle.
mod native;
/// OpenMetrics: vectors, what is refused, exemplars, `_created`.
mod openmetrics;
/// Delimited protobuf: the recorded bodies, every type, prost as the oracle.
mod protobuf;
/// The rules by number.
mod rules;
/// Prometheus' own parse cases, re-expressed: what is accepted, what is refused, and where.
mod vectors;

use super::{Entry, ParseError, Parser};
use crate::model::MetricType;

/// An entry with nothing borrowed, for comparisons.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Sample { raw: String, labels: Vec<(String, String)>, value: u64, timestamp: Option<i64> },
    Type(String, MetricType),
    Help(String, String),
    Unit(String, String),
    Comment,
}

/// Reads to the end or to the first error, as a scrape does: each series' labels are asked for.
fn read(body: &[u8]) -> (Vec<Seen>, Option<ParseError>) {
    let mut parser = Parser::new(body);
    let mut seen = Vec::new();
    while let Some(entry) = parser.next() {
        match entry.and_then(see) {
            Ok(entry) => seen.push(entry),
            Err(error) => return (seen, Some(error)),
        }
    }
    assert!(parser.next().is_none(), "the end stays the end");
    (seen, None)
}

fn see(entry: Entry<'_>) -> Result<Seen, ParseError> {
    Ok(match entry {
        Entry::Series(series) => {
            let mut exposed = series.exposed()?;
            exposed.normalize(series.in_force);
            Seen::Sample {
                raw: String::from_utf8(series.raw.to_vec()).expect("a series is UTF-8"),
                labels: exposed.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                value: series.value.to_bits(),
                timestamp: series.timestamp,
            }
        }
        Entry::Type { family, metric_type } => Seen::Type(family.into_owned(), metric_type),
        Entry::Help { family, help } => Seen::Help(family.into_owned(), help.into_owned()),
        Entry::Unit { family, unit } => Seen::Unit(family.into_owned(), unit.into_owned()),
        Entry::Comment => Seen::Comment,
        Entry::Histogram(series) => panic!("nobody has asked for native histograms: {series:?}"),
    })
}

/// All entries of an exposition that must be good.
fn accept(body: impl AsRef<[u8]>) -> Vec<Seen> {
    let (seen, error) = read(body.as_ref());
    assert_eq!(error, None, "{}", body.as_ref().escape_ascii());
    seen
}

/// The error of an exposition that must be refused.
fn refuse(body: impl AsRef<[u8]>) -> ParseError {
    let (seen, error) = read(body.as_ref());
    error.unwrap_or_else(|| panic!("accepted {} as {seen:?}", body.as_ref().escape_ascii()))
}

/// A sample whose `raw` is given; the first of `labels` is the metric's name.
fn sample(raw: &str, value: f64, timestamp: Option<i64>, labels: &[(&str, &str)]) -> Seen {
    Seen::Sample {
        raw: raw.to_owned(),
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        value: value.to_bits(),
        timestamp,
    }
}
