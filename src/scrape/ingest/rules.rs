use std::time::Duration;

use crate::exposition::HistogramForms;
use crate::model::Labels;
use crate::scrape::label_limits::LabelLimits;
use crate::scrape::relabelling::Relabelling;

/// The rules by which a body is read.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `job`, `instance`.
    pub target_labels: Labels,
    /// `EXTERNAL_LABELS`.
    pub external_labels: Labels,
    /// `HONOR_LABELS`.
    pub honor_labels: bool,
    /// `HONOR_TIMESTAMPS`.
    pub honor_timestamps: bool,
    /// `SCRAPE_NORMALIZE_LE`.
    pub normalize_le: bool,
    /// `SCRAPE_CREATED_TIMESTAMPS`.
    pub created_timestamps: bool,
    /// `SCRAPE_EXEMPLARS`.
    pub exemplars: bool,
    /// `SCRAPE_NATIVE_HISTOGRAMS`, `ALWAYS_SCRAPE_CLASSIC_HISTOGRAMS`.
    pub histograms: HistogramForms,
    /// `SCRAPE_SAMPLE_LIMIT`.
    pub sample_limit: Option<u64>,
    /// What the body and all that is remembered may take, as an estimate in bytes; more fails the scrape.
    pub memory_limit: Option<u64>,
    /// Limits of labels, behind the rules of relabelling and before external labels.
    pub label_limits: LabelLimits,
    /// Whether `up` and its companions are added.
    pub synthetic_series: bool,
    /// Whether more of them are (remote-write 4.04), with `SCRAPE_TIMEOUT`, which one of them tells.
    pub extra_metrics: Option<Duration>,
    /// Whether series with timestamps of their own get staleness markers, too (remote-write 3.04).
    pub track_timestamps_staleness: bool,
    /// `METRICS_*`, `METRIC_RELABEL_CONFIGS`: not for synthetic series.
    pub relabelling: Relabelling,
}

impl Default for Rules {
    /// The settings' defaults, but for the target: no labels, no limits and no synthetic series.
    fn default() -> Self {
        Self {
            target_labels: Labels::default(),
            external_labels: Labels::default(),
            honor_labels: false,
            honor_timestamps: true,
            normalize_le: true,
            created_timestamps: false,
            exemplars: true,
            histograms: HistogramForms::CLASSIC,
            sample_limit: None,
            memory_limit: None,
            label_limits: LabelLimits::default(),
            synthetic_series: false,
            extra_metrics: None,
            track_timestamps_staleness: false,
            relabelling: Relabelling::default(),
        }
    }
}
