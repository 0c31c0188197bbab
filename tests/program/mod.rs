//! The real binary, as a person or dockerd starts it: its faces, its exit codes, what it survives.

mod early_ends;
mod endpoints;
mod histograms;
mod kills;
mod outages;
mod queue_dir;
mod relabelling;
mod restart;
mod sandbox;
mod self_heal;
mod settings;
mod survival;
mod telemetry;

use crate::support::program::{DEADLINE, Program, World, with};
