//! The ledger of the whole program, collector to receivers, against a model that knows the fate of every sample: random stories of
//! scrapes, answers, restarts, kills and spoilt disks, with a look at everything after every step.
//!
//! `LEDGER_SEED=7 LEDGER_STEPS=2000 cargo test --test main ledger` tells one story. All decisions depend on the seed; the timestamps
//! and, at a kill, how far the queue's thread has come do not, so a story that failed at a kill may need some repeats.
#![allow(
    clippy::print_stdout,
    reason = "the test harness shows it where a story has failed, or with --nocapture"
)]

mod dice;
mod disk;
mod endpoint;
mod key;
mod life;
mod model;
mod program;
mod story;
mod target;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use story::Story;

/// The endpoints' names.
const NAMES: [&str; model::ENDPOINTS] = ["first", "second"];
/// Long enough for a loaded machine; a story that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

const SEEDS: [u64; 4] = [1, 2, 3, 4];
const STEPS: u32 = 800;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn every_sample_has_one_place_at_every_step_over_restarts_kills_and_spoilt_disks() {
    let drawn = docker_remote_write::model::now_ms().cast_unsigned();
    let seeds = number("LEDGER_SEED").map_or_else(|| [&SEEDS[..], &[drawn]].concat(), |seed| vec![seed]);
    let steps = number("LEDGER_STEPS").map_or(STEPS, |steps| u32::try_from(steps).unwrap());
    let mut tally = BTreeMap::new();
    for seed in seeds {
        let start = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let told = runtime.block_on(Story::tell(seed, steps));
        println!("LEDGER_SEED={seed} LEDGER_STEPS={steps}: {:?}", start.elapsed());
        for (what, times) in told {
            *tally.entry(what).or_insert(0) += times;
        }
    }
    println!("{tally:#?}");
}
