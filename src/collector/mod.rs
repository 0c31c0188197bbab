//! `Stopped <-> Running`: the scrape loop between StartMetrics and StopMetrics, and what a scrape becomes in the queue.

mod control;

pub use control::{Command, Commands, Control, Wanted, control};
