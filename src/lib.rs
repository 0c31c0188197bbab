//! Docker metrics collector plugin: the engine's own metrics, pushed with Prometheus remote-write.
//!
//! The rooms, from the door down; a room imports only from rooms below it (`tests/architecture.rs` enforces that):
//!
//! - [`cli`]: arguments to faces of the program: `plugin`, `run`, `demo`, `receive`, `settings`
//! - [`demo`]: the main job on embedded parts, with a summary that can fail
//! - [`app`]: builds the rooms in order, signals, drain with a deadline
//! - [`config`]: the one settings table, environment to typed configuration, all problems at once
//! - [`plugin`]: the sockets that others call: dockerd's API, our own pages; constant-time answers
//! - [`collector`]: `Stopped <-> Running`; one scrape becomes records of the queue
//! - [`remote`]: one sender for each endpoint, HTTP, `Outcome`, backoff
//! - [`receiver`]: an embedded strict remote-write receiver, for `demo`, `receive` and the tests
//! - [`scrape`]: timer, GET, limits, series cache, staleness
//! - [`exposition`]: bytes to entries, zero-copy
//! - [`relabel`]: Prometheus relabel_config and presets: compile, apply
//! - [`wire`]: remote-write messages, symbols, snappy
//! - [`queue`]: segments, recovery, cursors, retention; bytes only
//! - [`telemetry`]: our own counters and logs
//! - [`sandbox`]: capabilities, files and ports given up at the start
//! - [`model`]: labels, staleness marker, metric types, secrets
//! - [`proto`]: generated messages
#![forbid(unsafe_code)]

pub mod app;
pub mod cli;
pub mod collector;
pub mod config;
pub mod demo;
pub mod exposition;
pub mod model;
pub mod plugin;
#[allow(missing_docs, reason = "generated from proto/")]
pub mod proto;
pub mod queue;
pub mod receiver;
pub mod relabel;
pub mod remote;
pub mod sandbox;
pub mod scrape;
pub mod telemetry;
pub mod wire;
