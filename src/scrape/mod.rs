//! Turns a target into samples: timer, GET over a unix socket or http, limits, series cache, relabelling, staleness, synthetic series.
//!
//! Knows nothing of the queue or of endpoints.

mod cache;
mod client;
mod clock;
mod content_type;
mod departed;
mod error;
mod exemplars;
mod families;
mod footprint;
mod histograms;
mod identity;
mod ingest;
mod label_limits;
mod open_series;
mod packed;
mod protocol;
mod relabelling;
mod repeated;
mod series;
mod synthetic;
mod target_labels;
mod template;

pub use crate::model::Escaping;
pub use client::TargetClient;
pub use clock::Schedule;
pub use error::{ScrapeError, Site};
pub use exemplars::DiscardedExemplars;
pub use identity::{Identity, Recognition, engine_lines};
pub use ingest::{Discarded, Ingest, Report, Rules};
pub use label_limits::{LabelExcess, LabelLimits};
pub use open_series::{ChangeKind, SeriesChange};
pub use protocol::Protocol;
pub use relabelling::Relabelling;
pub use template::{LabelTemplates, Placeholder, TargetNames, Template, Templates};

use std::path::PathBuf;
use std::time::Duration;

pub use crate::exposition::{Format, HistogramForms};
use crate::model::Labels;

/// `SCRAPE_URL`, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `unix:///path?path=/metrics`
    Unix {
        /// The socket.
        socket: PathBuf,
        /// The path of the request, `/metrics` unless told.
        path: String,
    },
    /// `http://host:port/path` or https.
    Http(reqwest::Url),
}

/// One target and how to scrape it.
#[derive(Clone, Debug)]
pub struct Config {
    /// `SCRAPE_URL`.
    pub address: Address,
    /// `SCRAPE_INTERVAL`.
    pub interval: Duration,
    /// `SCRAPE_TIMEOUT`.
    pub timeout: Duration,
    /// `SCRAPE_BODY_SIZE_LIMIT`, uncompressed bytes; `None` is off.
    pub body_size_limit: Option<u64>,
    /// `SCRAPE_SAMPLE_LIMIT`; `None` is off.
    pub sample_limit: Option<u64>,
    /// `SCRAPE_LABEL_LIMIT` and its company.
    pub label_limits: LabelLimits,
    /// `EXTRA_SCRAPE_METRICS`.
    pub extra_metrics: bool,
    /// `TRACK_TIMESTAMPS_STALENESS`.
    pub track_timestamps_staleness: bool,
    /// `SCRAPE_PROTOCOLS`: what is asked for, the best one first; not empty, none twice.
    pub protocols: Vec<Protocol>,
    /// `SCRAPE_FALLBACK_PROTOCOL`: how a body without a known Content-Type is read; `None` fails the scrape.
    pub fallback_protocol: Option<Protocol>,
    /// `METRIC_NAME_ESCAPING_SCHEME`.
    pub escaping: Escaping,
    /// `SCRAPE_CREATED_TIMESTAMPS`.
    pub created_timestamps: bool,
    /// `SCRAPE_EXEMPLARS`.
    pub exemplars: bool,
    /// `SCRAPE_NATIVE_HISTOGRAMS`, `ALWAYS_SCRAPE_CLASSIC_HISTOGRAMS`.
    pub histograms: HistogramForms,
    /// `SCRAPE_NORMALIZE_LE`.
    pub normalize_le: bool,
    /// `HONOR_LABELS`.
    pub honor_labels: bool,
    /// `HONOR_TIMESTAMPS`.
    pub honor_timestamps: bool,
    /// `JOB`, `INSTANCE`, `EXTERNAL_LABELS`.
    pub labels: LabelTemplates,
    /// Labels that tell this host from others before any placeholder is known: they decide the phase of the scrapes.
    pub phase: Labels,
    /// `METRICS_PRESET`, `METRICS_KEEP`, `METRICS_DROP`, and `METRIC_RELABEL_CONFIGS` where it is no file.
    pub relabelling: Relabelling,
    /// `METRIC_RELABEL_CONFIGS` where it is a file.
    pub rules_file: Option<PathBuf>,
}

impl Config {
    /// What a scrape may take in memory, in bytes: [`Rules::memory_limit`].
    #[must_use]
    pub fn memory_limit(&self) -> Option<u64> {
        footprint::limit(self.body_size_limit)
    }
}
