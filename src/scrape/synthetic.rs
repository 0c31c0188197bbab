//! The series that a scrape says about itself (remote-write 4.01, 4.04).

use std::time::Duration;

use super::ingest::{Report, Rules};
use super::series::SeriesTable;
use super::target_labels::TargetLabels;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Up,
    DurationSeconds,
    SamplesScraped,
    SamplesPostMetricRelabeling,
    SeriesAdded,
    TimeoutSeconds,
    SampleLimit,
    BodySizeBytes,
}

const ALWAYS: [Kind; 5] = [
    Kind::Up,
    Kind::DurationSeconds,
    Kind::SamplesScraped,
    Kind::SamplesPostMetricRelabeling,
    Kind::SeriesAdded,
];

/// `EXTRA_SCRAPE_METRICS`
const EXTRA: [Kind; 3] = [Kind::TimeoutSeconds, Kind::SampleLimit, Kind::BodySizeBytes];

/// A synthetic series of one target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Synthetic {
    pub(super) kind: Kind,
    pub(super) slot: u32,
}

/// All that `rules` want, in slots of their own.
pub(super) fn all(rules: &Rules, labels: &TargetLabels, series: &mut SeriesTable) -> Vec<Synthetic> {
    let always = rules.synthetic_series.then_some(ALWAYS).into_iter().flatten();
    let extra = rules.extra_metrics.filter(|_| rules.synthetic_series).map(|_| EXTRA);
    let slot = |kind: Kind, series: &mut SeriesTable| {
        series.acquire_synthetic(labels.synthetic(kind.name()), kind.help())
    };
    let kinds = always.chain(extra.into_iter().flatten());
    kinds.map(|kind| Synthetic { kind, slot: slot(kind, series) }).collect()
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::DurationSeconds => "scrape_duration_seconds",
            Self::SamplesScraped => "scrape_samples_scraped",
            Self::SamplesPostMetricRelabeling => "scrape_samples_post_metric_relabeling",
            Self::SeriesAdded => "scrape_series_added",
            Self::TimeoutSeconds => "scrape_timeout_seconds",
            Self::SampleLimit => "scrape_sample_limit",
            Self::BodySizeBytes => "scrape_body_size_bytes",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Up => "1 if the scrape succeeded, 0 if it failed",
            Self::DurationSeconds => "Duration of the scrape in seconds",
            Self::SamplesScraped => "Samples that the target exposed",
            Self::SamplesPostMetricRelabeling => "Samples that remained after metric relabeling",
            Self::SeriesAdded => "Series of this scrape that were not known before",
            Self::TimeoutSeconds => "SCRAPE_TIMEOUT in seconds",
            Self::SampleLimit => "SCRAPE_SAMPLE_LIMIT, 0 if there is none",
            Self::BodySizeBytes => {
                "Uncompressed bytes of the exposition, -1 if they reached SCRAPE_BODY_SIZE_LIMIT, 0 if the fetch failed"
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub(super) fn value(self, rules: &Rules, report: &Report, elapsed: Duration) -> f64 {
        match self {
            Self::Up => f64::from(u8::from(report.failure.is_none())),
            Self::DurationSeconds => elapsed.as_secs_f64(),
            Self::SamplesScraped => report.scraped as f64,
            Self::SamplesPostMetricRelabeling => report.post_relabel as f64,
            Self::SeriesAdded => report.added as f64,
            Self::TimeoutSeconds => rules.extra_metrics.unwrap_or_default().as_secs_f64(),
            Self::SampleLimit => rules.sample_limit.unwrap_or_default() as f64,
            Self::BodySizeBytes => report.body_size as f64,
        }
    }
}
