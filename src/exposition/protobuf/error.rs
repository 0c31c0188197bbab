use thiserror::Error;

use crate::exposition::Reason;

/// Why a protobuf exposition is refused, and where. The whole scrape fails (remote-write 4.16).
#[derive(Clone, Debug, PartialEq, Error)]
#[error("message {message}, byte {offset}: {reason}")]
pub struct MessageError {
    /// The `MetricFamily` message, from 1.
    pub message: u32,
    /// The byte within the body, from 0.
    pub offset: usize,
    /// What is wrong there.
    pub reason: MessageReason,
}

/// What is wrong with a protobuf exposition.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum MessageReason {
    /// A length that reaches beyond its message, or a message that ends within a field.
    #[error("the message is cut off")]
    Truncated,
    /// More than 64 bits.
    #[error("the varint is longer than 64 bits")]
    LongVarint,
    /// A field number that is 0 or too large.
    #[error("the field number is out of range")]
    FieldNumber,
    /// A group, a wire type that does not exist, or one that the field does not have.
    #[error("field {field} has wire type {wire_type}")]
    WireType {
        /// Its number.
        field: u32,
        /// What came.
        wire_type: u8,
    },
    /// A string that is not UTF-8.
    #[error("field {field} is not valid UTF-8")]
    NotUtf8 {
        /// Its number.
        field: u32,
    },
    /// A family without a name.
    #[error("the metric name is missing")]
    MissingName,
    /// A number that names no type.
    #[error("metric type {0} is unknown")]
    UnknownType(i64),
    /// A metric, a name or a help text that nobody can store.
    #[error("{bytes} bytes, more than {limit}, in one metric, name or help text")]
    TooLong {
        /// Its bytes.
        bytes: usize,
        /// [`crate::exposition::LONGEST`].
        limit: usize,
    },
    /// A unit that the name does not end with.
    #[error("the unit \"{0}\" is no suffix of the metric's name")]
    UnitIsNoSuffix(String),
    /// A native histogram that Prometheus would refuse.
    #[error("native histogram {0}: {1}")]
    Histogram(String, HistogramReason),
    /// A series that cannot be.
    #[error("{reason}: {excerpt}")]
    Series {
        /// What is wrong with it.
        reason: Reason,
        /// The series, as text.
        excerpt: String,
    },
}

/// What is wrong with a native histogram (remote-write 2.23).
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum HistogramReason {
    /// Custom bounds (-53) have no place in this format.
    #[error("schema {0} is none of -4 to 8")]
    Schema(i32),
    /// Buckets with observations ascend.
    #[error("{side} bucket {bucket} begins {buckets} before the end of the one before")]
    Descends {
        /// On which side of zero.
        side: Sign,
        /// From 1.
        bucket: usize,
        /// How many too far down.
        buckets: i64,
    },
    /// As many buckets as the spans say.
    #[error("the {side} spans have {spans} buckets, and there are {buckets}")]
    SpanLengths {
        /// On which side of zero.
        side: Sign,
        /// The sum of their lengths.
        spans: u64,
        /// Counts or deltas.
        buckets: u64,
    },
    /// Fewer than no observations.
    #[error("{side} bucket {bucket} has a count of {count}")]
    NegativeCount {
        /// On which side of zero.
        side: Sign,
        /// From 1.
        bucket: usize,
        /// What is negative.
        count: f64,
    },
    /// A place that no schema has.
    #[error("a {side} bucket's index is outside of 32 bits")]
    Index {
        /// On which side of zero.
        side: Sign,
    },
    /// Every observation is in one bucket, or is not a number.
    #[error("{buckets} observations are in buckets, and {count} in all")]
    Count {
        /// The zero bucket included.
        buckets: u128,
        /// What it says of all of them.
        count: u64,
    },
}

/// A side of zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Below.
    Negative,
    /// Above.
    Positive,
}

impl std::fmt::Display for Sign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Negative => "negative",
            Self::Positive => "positive",
        })
    }
}

/// A reason and its offset; becomes a [`MessageError`] where the message's number is known.
#[derive(Debug)]
pub(super) struct MessageFault {
    pub(super) at: usize,
    pub(super) reason: MessageReason,
}
