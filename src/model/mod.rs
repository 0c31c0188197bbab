//! The words that all rooms share: labels, metric types, native histograms, the staleness marker, secrets. Knows nothing above itself.

mod clock;
mod escaping;
mod histogram;
mod labels;
mod metric_type;
mod sample;
mod secret;

pub use clock::Clock;
pub use escaping::{Escaping, NameOf};
pub use histogram::{
    Buckets, CUSTOM_BOUNDS_SCHEMA, EXPONENTIAL_SCHEMAS, Histogram, HistogramKind, HistogramSample,
    HistogramSize, IndexFault, SampleKind, Side, Span,
};
pub use labels::{Labels, METRIC_NAME};
pub use metric_type::MetricType;
pub use sample::{
    Description, Exemplar, NORMAL_NAN_BITS, STALE_MARKER_BITS, SampleRef, is_stale_marker, now_ms,
    stale_marker,
};
pub use secret::{Secret, SecretSource};
