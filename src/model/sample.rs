use std::time::{SystemTime, UNIX_EPOCH};

/// The bits of the staleness marker (specification 1.0, "Stale Markers"; remote-write 1.17). A signalling NaN: it travels as bits,
/// never through arithmetic or formatting.
pub const STALE_MARKER_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The bits under which Prometheus stores every NaN that an exposition contains (remote-write 4.17).
pub const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

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
