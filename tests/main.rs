//! Themes of the integration tests: everything that needs nothing but this crate and loopback.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in test functions; their helpers are no less tests"
)]

/// Rooms import downward, files stay small.
mod architecture;
/// Start and Stop, scrapes of a socket, bad targets.
mod collector;
/// The page on conformance says what the names of the tests say.
mod conformance;
/// The faces `demo` and `receive` of the real binary.
mod demo;
/// Targets, endpoints and readers of the log that mean harm, against the real binary.
mod hostile;
/// Every sample has one place, whatever happens: random stories of the whole program.
mod ledger;
/// Both manifests, the README and the table of settings say the same.
mod manifests;
/// The real binary: faces, exit codes, what it survives.
mod program;
/// The queue from outside.
mod queue;
/// Rules, filters and placeholders, from the body to the record.
mod relabelling;
/// What goes to an endpoint, what its answers do, what is said about it.
mod remote;
/// Thousands of random scrapes against a naive model of Prometheus.
mod scrape_model;
/// The cases of the public suites for senders: the real program against a target with a script and the strict receiver.
mod suite;
/// Stand-ins for the other side of a connection.
mod support;
/// Bytes of 2.0 and 1.0 for the same scrape.
mod wire_cost;
