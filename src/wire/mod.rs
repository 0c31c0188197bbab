//! Remote-write messages: the 2.0 form in which scrapes are queued, the 1.0 form in which they are sent, snappy's block format.
//!
//! Owns bytes and nothing else: it never knows HTTP, files or where a sample came from. Two directions meet here:
//!
//! - [`record`] writes one scrape as `io.prometheus.write.v2.Request` messages, from label references that stay encoded from scrape to
//!   scrape;
//! - [`v1`] reads such records without copying ([`view`]) and writes `prometheus.WriteRequest`, remembering the labels of series that recur;
//! - [`v2`] passes a record on as it is, or merges several under one symbol table;
//! - [`metadata`] gathers what records say of their families, and writes it as requests of its own, since a series of 1.0 has no place for it;
//! - [`excerpt`] looks at a record entry by entry and copies it without some of them: what a receiver must not get stays out;
//! - `selection` says what of a record an endpoint is not sent;
//! - [`decode`] is the way of receivers and tests: prost's derived types.

mod beside;
pub mod decode;
pub mod excerpt;
mod extras;
mod field;
pub mod metadata;
pub mod record;
mod selection;
mod shapes;
pub mod snappy;
mod symbols;
pub mod v1;
pub mod v2;
pub mod view;

pub use decode::DecodeError;
pub use record::{Counts, RecordEncoder};
pub use selection::{Names, Selection, Unsent};

/// How large one message may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Samples, staleness markers included.
    pub max_samples: u32,
    /// Bytes before compression.
    pub max_bytes: usize,
}

/// A record holds 2,000 samples and 1 MiB at most, unless a single sample is larger; 64 MiB is far beyond any body limit.
const MAX_RECORD_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests;
