use thiserror::Error;

use crate::exposition::Reason;

/// Why a protobuf exposition is refused, and where. The whole scrape fails (remote-write 4.16).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
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
#[derive(Clone, Debug, PartialEq, Eq, Error)]
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
    /// A series that cannot be.
    #[error("{reason}: {excerpt}")]
    Series {
        /// What is wrong with it.
        reason: Reason,
        /// The series, as text.
        excerpt: String,
    },
}

/// A reason and its offset; becomes a [`MessageError`] where the message's number is known.
#[derive(Debug)]
pub(super) struct MessageFault {
    pub(super) at: usize,
    pub(super) reason: MessageReason,
}
