//! The main job on embedded parts, with a summary that can fail.
//!
//! Owns the stand-in for dockerd (its metrics socket and its plugin calls), and the comparison of what was served with what
//! arrived. The pipe in between is the product itself, built by `app`; nothing here knows how it works.

pub mod dockerd;
pub mod engine;
mod oracle;
pub mod recording;
mod report;
mod stage;
mod tamper;
mod view;

#[cfg(test)]
mod tests;

pub use tamper::{Break, tamper};

/// Arguments of `demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

/// Placeholder until the demo's room lands.
#[must_use]
pub fn run(_: &Args) -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
