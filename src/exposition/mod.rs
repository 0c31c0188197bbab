//! Bytes of an exposition to entries, zero-copy: the text format, OpenMetrics and delimited protobuf with the semantics of Prometheus 3.
//! Hands on series, types, help texts and units in the order of the body; never knows the target's labels, the cache, or what a sample is for.
//!
//! ```text
//! body --Parser::next--> Entry::Series { raw, value, timestamp } --Series::exposed, once for each raw--> names and values
//!                        Entry::Type, Entry::Help, Entry::Unit, Entry::Comment
//! ```
//!
//! `OpenMetricsParser` and `ProtobufParser` give the same entries; what comes beside a sample (exemplar, start timestamp) they are asked
//! for.
//!
//! What a line of the text format means is decided as Prometheus 3's lexer decides it, oddities included: label values may contain line breaks and
//! zero bytes, commas between labels are optional, `m1.5` is the series `m1` with value 0.5, a zero byte at the start of a line
//! ends the input. The whole exposition is refused at the first error, as there (remote-write 4.16).
//!
//! Deliberate differences, each in the direction of the format's own document:
//! - blanks before a metric name are no part of it (Prometheus 3 would store the name `"  m"`);
//! - a quoted family name after `# HELP` or `# TYPE` is unescaped like any other quoted name;
//! - `le` values that only Go reads as numbers (hexadecimal, `1_000`) keep their spelling.

mod classic;
mod collation;
mod error;
mod escape;
mod exemplar;
mod family;
mod float;
mod format;
mod openmetrics;
mod parser;
mod protobuf;
mod scan;
mod series;
#[cfg(test)]
mod tests;

/// A series line, a HELP text, a family's name or a protobuf metric of more bytes is no good. No receiver takes such a label (Mimir 2 KiB, VictoriaMetrics
/// 4 KiB), and each of its bytes stands a dozen times in memory on its way.
pub const LONGEST: usize = 128 << 10;

pub use collation::{Collation, Gathered, Taken};
pub use error::{ParseError, Place, Reason};
pub use exemplar::{Exemplar, Pair};
pub use family::belongs_to_family;
pub use float::normalized_float;
pub use format::Format;
pub use openmetrics::{CreatedTimes, OpenMetricsParser, is_created};
pub use parser::{Entry, Parser};
pub use protobuf::{
    HistogramForms, HistogramReason, MessageError, MessageReason, ProtobufParser, ProtobufScratch, Sign,
    protobuf_as_text,
};
pub use series::{Exposed, Occurrence, Series};
