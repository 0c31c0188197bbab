//! The main job on embedded parts, with a summary that can fail.
//!
//! Owns the stand-in for dockerd (its metrics socket and its plugin calls), and the comparison of what was served with what
//! arrived. The pipe in between is the product itself, built by `app`; nothing here knows how it works.

mod command;
pub mod dockerd;
pub mod engine;
mod oracle;
mod pipe;
pub mod recording;
mod report;
mod script;
mod stage;
mod summary;
mod tamper;
mod view;

#[cfg(test)]
mod tests;

pub use command::{Args, run};
pub use tamper::{Break, tamper};
