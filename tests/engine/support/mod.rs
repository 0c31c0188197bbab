//! Starts, asks and ends the real programs. Synchronous on purpose: nothing here may share a runtime with anything.

mod black_holes;
mod engine;
mod faulty;
mod frozen;
mod http;
mod plugin;
mod process;
mod receiver;
mod registry;
mod series;
mod strict;
mod trivial;

use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) use black_holes::BlackHoles;
pub(crate) use engine::Engine;
pub(crate) use faulty::FaultyDisk;
pub(crate) use frozen::FreezableDisk;
pub(crate) use http::{encode, post_like_dockerd};
pub(crate) use plugin::{Manifest, Plugin};
pub(crate) use process::{Process, signal};
pub(crate) use receiver::{Kind, Receiver};
pub(crate) use registry::Registry;
pub(crate) use series::{assert_ledger_closes, assert_no_gaps, phase};
pub(crate) use strict::StrictReceiver;
pub(crate) use trivial::enable_trivial_plugin;

/// Long enough for anything here on two busy cores; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again every 50 ms until there is an answer.
///
/// # Panics
/// After `within`, naming what was waited for.
pub(crate) fn eventually<T>(what: &str, within: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(start.elapsed() < within, "waited {within:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The system's clock in ms since the epoch, as in the samples.
pub(crate) fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(elapsed.as_millis()).expect("ms since 1970 fit 63 bits")
}

/// Waits until the middle of a scrape interval, so that what follows does not cut a running scrape in two. `phase`: where in the interval scrapes lie.
pub(crate) fn between_scrapes(phase: i64) {
    let wait = (phase + 400 - now_ms()).rem_euclid(1000);
    std::thread::sleep(Duration::from_millis(u64::try_from(wait).expect("rem_euclid is not negative")));
}

/// A measured number for people. Goes around libtest's capture, which swallows `println!` of tests that pass.
pub(crate) fn figure(text: &str) {
    say(&format!("figure: {text}"));
}

/// A line on the real standard output.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed standard output is no reason to fail a test.
    let _ = writeln!(out, "{text}");
}
