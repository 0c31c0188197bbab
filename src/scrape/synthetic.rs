//! The series that a scrape says about itself (remote-write 4.01).

use std::time::Duration;

use super::ingest::Report;
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
}

const ALL: [Kind; 5] = [
    Kind::Up,
    Kind::DurationSeconds,
    Kind::SamplesScraped,
    Kind::SamplesPostMetricRelabeling,
    Kind::SeriesAdded,
];

/// A synthetic series of one target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Synthetic {
    pub(super) kind: Kind,
    pub(super) slot: u32,
}

/// All of them, in slots of their own.
pub(super) fn all(labels: &TargetLabels, series: &mut SeriesTable) -> Vec<Synthetic> {
    let slot = |kind: Kind, series: &mut SeriesTable| {
        series.acquire_synthetic(labels.synthetic(kind.name()), kind.help())
    };
    ALL.into_iter().map(|kind| Synthetic { kind, slot: slot(kind, series) }).collect()
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::DurationSeconds => "scrape_duration_seconds",
            Self::SamplesScraped => "scrape_samples_scraped",
            Self::SamplesPostMetricRelabeling => "scrape_samples_post_metric_relabeling",
            Self::SeriesAdded => "scrape_series_added",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Up => "1 if the scrape succeeded, 0 if it failed",
            Self::DurationSeconds => "Duration of the scrape in seconds",
            Self::SamplesScraped => "Samples that the target exposed",
            Self::SamplesPostMetricRelabeling => "Samples that remained after metric relabeling",
            Self::SeriesAdded => "Series of this scrape that were not known before",
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub(super) fn value(self, report: &Report, elapsed: Duration) -> f64 {
        match self {
            Self::Up => f64::from(u8::from(report.failure.is_none())),
            Self::DurationSeconds => elapsed.as_secs_f64(),
            Self::SamplesScraped => report.scraped as f64,
            Self::SamplesPostMetricRelabeling => report.post_relabel as f64,
            Self::SeriesAdded => report.added as f64,
        }
    }
}
