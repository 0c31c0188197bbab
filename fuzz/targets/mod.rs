//! What is fuzzed: one function for each door by which bytes of others come in. Each takes any bytes at all, panics where a promise is
//! broken, and tells otherwise what the bytes came to, so that a driver without coverage sees when an input is of a new sort.
//!
//! Two drivers call them: `fuzz/driver` on stable Rust, `fuzz/fuzz_targets` under cargo-fuzz.

pub(crate) mod api_requests;
pub(crate) mod exposition;
pub(crate) mod exposition_protobuf;
mod native;
mod outcome;
pub(crate) mod panics;
mod queue_image;
pub(crate) mod queue_recovery;
pub(crate) mod relabel_rules;
pub(crate) mod settings;
pub(crate) mod wire_decode;

pub(crate) use outcome::Outcome;

/// One target, and what a driver has to know of it.
pub(crate) struct Target {
    /// Also the name of its directories below `fuzz/corpus`, `fuzz/regressions` and `fuzz/artifacts`.
    pub(crate) name: &'static str,
    pub(crate) run: fn(&[u8]) -> Outcome,
    /// Pieces of the input's language.
    pub(crate) words: &'static [&'static [u8]],
    /// Files of the repository that are inputs, too.
    pub(crate) fixtures: &'static [&'static str],
    /// Longer inputs say nothing new; bytes.
    pub(crate) longest: usize,
    /// The most bytes that the run's own thread may hold at once: so many, and so many for each byte of the input.
    pub(crate) memory: (u64, u64),
}
