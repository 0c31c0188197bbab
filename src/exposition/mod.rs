//! Bytes of an exposition to entries, zero-copy: text 0.0.4 with the semantics of Prometheus 3. Hands on series, types and
//! help texts in the order of the lines; never knows the target's labels, the cache, or what a sample is for.
//!
//! ```text
//! body --Parser::next--> Entry::Series { raw, value, timestamp } --Series::exposed, once for each raw--> names and values
//!                        Entry::Type, Entry::Help, Entry::Comment
//! ```
//!
//! What a line means is decided as Prometheus 3's lexer decides it, oddities included: label values may contain line breaks and
//! zero bytes, commas between labels are optional, `m1.5` is the series `m1` with value 0.5, a zero byte at the start of a line
//! ends the input. The whole exposition is refused at the first error, as there (remote-write 4.16).
//!
//! Deliberate differences, each in the direction of the format's own document:
//! - blanks before a metric name are no part of it (Prometheus 3 would store the name `"  m"`);
//! - a quoted family name after `# HELP` or `# TYPE` is unescaped like any other quoted name;
//! - `le` values that only Go reads as numbers (hexadecimal, `1_000`) keep their spelling.

mod error;
mod escape;
mod family;
mod float;
mod parser;
mod scan;
mod series;
#[cfg(test)]
mod tests;

pub use error::{ParseError, Place, Reason};
pub use family::belongs_to_family;
pub use float::normalized_float;
pub use parser::{Entry, Parser};
pub use series::{Exposed, Occurrence, Series};
