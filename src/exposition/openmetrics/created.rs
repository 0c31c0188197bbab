//! `_created` lines as start timestamps of the series beside them (remote-write 4.26, 2.13).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::OpenMetricsParser;
use crate::exposition::family::belongs_to_family;
use crate::exposition::parser::Entry;
use crate::exposition::series::Series;
use crate::model::{METRIC_NAME, MetricType};

const SUFFIX: &str = "_created";

/// When the counters, histograms and summaries of one body were created. Kept from body to body for its room.
#[derive(Debug, Default)]
pub struct CreatedTimes {
    times: HashMap<u64, i64>,
    hasher: RandomState,
}

impl CreatedTimes {
    /// Reads the `_created` lines of a body: they may stand behind the samples that they are about. What is wrong with the body is not
    /// told here.
    pub fn collect(&mut self, body: &[u8]) {
        self.times.clear();
        let mut parser = OpenMetricsParser::new(body);
        let mut family = String::new();
        while let Some(Ok(entry)) = parser.next() {
            match entry {
                Entry::Type { family: name, .. } => family = name.into_owned(),
                Entry::Series(series) => {
                    if is_created(&series, &family)
                        && let Some(key) = self.key(&series, &family)
                    {
                        #[expect(clippy::cast_possible_truncation, reason = "as a timestamp is cut")]
                        self.times.insert(key, (series.value * 1000.0) as i64);
                    }
                }
                Entry::Histogram(_) | Entry::Help { .. } | Entry::Unit { .. } | Entry::Comment => {}
            }
        }
    }

    /// When a series of this family was created, ms since the epoch.
    #[must_use]
    pub fn of(&self, series: &Series<'_>, family: &str) -> Option<i64> {
        if self.times.is_empty()
            || !has_start(series.in_force)
            || !belongs_to_family(&series.find_name().ok()?, family, series.in_force)
        {
            return None;
        }
        self.times.get(&self.key(series, family)?).copied()
    }

    /// Labels without those that tell the parts of one metric apart, in any order.
    fn key(&self, series: &Series<'_>, family: &str) -> Option<u64> {
        let exposed = series.collect().ok()?;
        let part = match series.in_force {
            MetricType::Summary => "quantile",
            MetricType::Histogram => "le",
            MetricType::Unknown
            | MetricType::Counter
            | MetricType::Gauge
            | MetricType::GaugeHistogram
            | MetricType::Info
            | MetricType::StateSet => "",
        };
        let mut sum = self.hasher.hash_one(family);
        for label in exposed.iter().filter(|(name, _)| *name != METRIC_NAME && *name != part) {
            sum = sum.wrapping_add(self.hasher.hash_one(label));
        }
        Some(sum)
    }
}

/// Whether a series is the `_created` line of the family before it, and no series of its own.
#[must_use]
pub fn is_created(series: &Series<'_>, family: &str) -> bool {
    has_start(series.in_force)
        && series
            .find_name()
            .is_ok_and(|name| name.strip_suffix(SUFFIX).is_some_and(|before| before == family))
}

fn has_start(metric_type: MetricType) -> bool {
    match metric_type {
        MetricType::Counter | MetricType::Histogram | MetricType::Summary => true,
        MetricType::Unknown
        | MetricType::Gauge
        | MetricType::GaugeHistogram
        | MetricType::Info
        | MetricType::StateSet => false,
    }
}
