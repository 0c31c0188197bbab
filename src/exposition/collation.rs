//! The series of a classic histogram in text, gathered line by line until they are all there.
//!
//! As Prometheus does it: they stand together, under the `# TYPE` of their family, and have the same labels but for `le`.

use super::classic::ClassicHistogram;
use super::exemplar::Exemplar;
use super::float::parse_float;
use super::protobuf::spell_series;
use super::series::Series;
use crate::model::{Histogram, Labels, METRIC_NAME, MetricType};

/// One that has more series stays classic: gathering must not take more memory than a scrape.
const MOST: usize = 10_000;

/// The series of one histogram so far.
#[derive(Debug, Default)]
pub struct Collation<'a> {
    /// Name and labels of the histogram; `None` before the first of its series.
    key: Option<Labels>,
    /// One that was too long: the rest of it stays classic, too.
    refused: Option<Labels>,
    classic: ClassicHistogram,
    gathered: Vec<Gathered<'a>>,
    spelled: Vec<u8>,
}

/// A series that was gathered, with what came beside it.
#[derive(Clone, Copy, Debug)]
pub struct Gathered<'a> {
    /// It.
    pub series: Series<'a>,
    /// Its exemplar.
    pub exemplar: Option<Exemplar<'a>>,
    /// When its counting began, ms since the epoch.
    pub start: Option<i64>,
}

/// What became of a series that was to be gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It waits with those before it.
    Gathered,
    /// It bears the name and the labels of their histogram, but is no part of it (a bucket without a bound, a bare name). The histogram goes
    /// on behind it, as in Prometheus.
    Beside,
    /// It belongs to another histogram, or to none: those before it are all.
    Not,
}

/// What a series is to a histogram.
#[derive(Clone, Copy, Debug)]
enum Part {
    Bucket(f64),
    Sum,
    Count,
}

impl<'a> Collation<'a> {
    /// Gathers a series of the same histogram as those before, or of any if there are none. `family`: that of the last `# TYPE`.
    pub fn take(&mut self, one: Gathered<'a>, family: &str) -> Taken {
        let Some((part, key)) = part(&one.series, family) else { return Taken::Not };
        let Some(part) = part else {
            return if self.key.as_ref() == Some(&key) { Taken::Beside } else { Taken::Not };
        };
        match &self.key {
            Some(before) if *before != key => return Taken::Not,
            Some(_) if self.gathered.len() == MOST => {
                self.refused = Some(key);
                return Taken::Not;
            }
            Some(_) => {}
            None if self.refused.as_ref() == Some(&key) => return Taken::Not,
            None => self.key = Some(key),
        }
        match part {
            Part::Bucket(bound) => self.classic.push(bound, one.series.value),
            Part::Sum => self.classic.sum = one.series.value,
            Part::Count => self.classic.count = Some(one.series.value),
        }
        self.gathered.push(one);
        Taken::Gathered
    }

    /// What was gathered, in its order.
    #[must_use]
    pub fn gathered(&self) -> &[Gathered<'a>] {
        &self.gathered
    }

    /// Writes the histogram that the series make; gives its own series, or `None` where they make none.
    pub fn convert(&mut self, histogram: &mut Histogram) -> Option<Series<'_>> {
        let last = self.gathered.last().filter(|_| self.key != self.refused)?;
        self.classic.convert(histogram).ok()?;
        self.spelled.clear();
        spell_series(self.key.as_ref()?, &mut self.spelled);
        Some(Series {
            raw: &self.spelled,
            value: histogram.sum(),
            timestamp: last.series.timestamp,
            // All its labels are its own: none of them is a bound.
            in_force: MetricType::Unknown,
            body: &self.spelled,
            at: 0,
        })
    }

    /// Begins the next one.
    pub fn clear(&mut self) {
        self.key = None;
        self.classic.clear();
        self.gathered.clear();
    }
}

/// What a series is to the histogram of this family that it names, and which one that is; no part where it is none of its parts.
fn part(series: &Series<'_>, family: &str) -> Option<(Option<Part>, Labels)> {
    if series.in_force != MetricType::Histogram {
        return None;
    }
    // A line that is no good is told of where it is taken in.
    let name = series.find_name().ok()?;
    let (base, suffix) = split(&name);
    if base != family {
        return None;
    }
    let exposed = series.collect().ok()?;
    let bound = || exposed.get("le").and_then(parse_float).filter(|bound| !bound.is_nan());
    let part = match suffix {
        "_bucket" => bound().map(Part::Bucket),
        "_sum" => Some(Part::Sum),
        "_count" => Some(Part::Count),
        _ => None,
    };
    let mut key = exposed.to_labels();
    key.set(METRIC_NAME, family);
    key.set("le", "");
    Some((part, key))
}

/// The name of the histogram that a series names, as Prometheus has it, whatever the family, and the rest.
fn split(name: &str) -> (&str, &str) {
    let at = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .map_or(name.len(), str::len);
    name.split_at(at)
}
