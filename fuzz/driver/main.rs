//! Runs the targets on stable Rust: docs/fuzzing.md. Each test replays what is kept (corpus and regressions); with `FUZZ_TIME` it goes on
//! with mutations of it for so long.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "clippy.toml allows it in test functions; their helpers are no less tests"
)]

/// Mutation after mutation until the time is over or something is found.
mod campaign;
/// Files of inputs.
mod corpus;
/// One input, with bounds of time and memory.
mod examine;
/// The same finding with a shorter input.
mod minimise;
/// From an input to its neighbours.
mod mutate;
/// Numbers that a seed determines.
mod random;
#[path = "../targets/mod.rs"]
mod targets;
/// The driver itself, on targets with planted faults.
mod tests;

use campaign::fuzz;

#[test]
fn exposition() {
    fuzz(&targets::exposition::TARGET);
}

#[test]
fn exposition_protobuf() {
    fuzz(&targets::exposition_protobuf::TARGET);
}

#[test]
fn queue_recovery() {
    fuzz(&targets::queue_recovery::TARGET);
}

#[test]
fn wire_decode() {
    fuzz(&targets::wire_decode::TARGET);
}

#[test]
fn settings() {
    fuzz(&targets::settings::TARGET);
}

#[test]
fn relabel_rules() {
    fuzz(&targets::relabel_rules::TARGET);
}

#[test]
fn api_requests() {
    fuzz(&targets::api_requests::TARGET);
}
