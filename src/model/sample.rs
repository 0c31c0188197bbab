use std::time::{SystemTime, UNIX_EPOCH};

use super::{Labels, MetricType};

/// The bits of the staleness marker (specification 1.0, "Stale Markers"; remote-write 1.17). A signalling NaN: it travels as bits,
/// never through arithmetic or formatting.
pub const STALE_MARKER_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The bits under which Prometheus stores every NaN that an exposition contains (remote-write 4.17).
pub const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// Which series a sample belongs to, and the sample.
#[derive(Clone, Copy, Debug)]
pub struct SampleRef {
    /// Names the series: small and dense, reused after a series is gone.
    pub slot: u32,
    /// Changes when the slot is reused, or when labels or metadata of its series change.
    pub generation: u32,
    /// The value, as bits where it is the staleness marker.
    pub value: f64,
    /// ms since the epoch.
    pub timestamp: i64,
    /// When its counting began, ms since the epoch; 0 is unknown (remote-write 2.12).
    pub start: i64,
}

/// An exemplar of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// The sample's place among those of its scrape.
    pub sample: usize,
    /// Mostly a trace's identifier.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
    /// ms since the epoch.
    pub timestamp: i64,
}

/// What a series is; asked for only where it is not known by its slot yet.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// The complete label set, external labels included.
    pub labels: &'a Labels,
    /// From `# TYPE`.
    pub metric_type: MetricType,
    /// From `# HELP`, or empty.
    pub help: &'a str,
    /// From `# UNIT`, or empty.
    pub unit: &'a str,
}

/// The value that ends a series.
#[must_use]
pub const fn stale_marker() -> f64 {
    f64::from_bits(STALE_MARKER_BITS)
}

/// Whether a value is the staleness marker; any other NaN is not.
#[must_use]
pub const fn is_stale_marker(value: f64) -> bool {
    value.to_bits() == STALE_MARKER_BITS
}

/// The wall clock in milliseconds since the epoch. A clock before 1970 reads as 0.
#[must_use]
pub fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
