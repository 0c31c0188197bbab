//! Targets, endpoints and readers of the log that mean harm: the real binary stays small, keeps its secrets and goes on.
//!
//! Peaks are `VmHWM` of the binary that the tests are built with, unoptimised unless they are; the optimised one takes 10 MB less.
//! `cargo test --test main hostile:: -- --nocapture` prints the tables.

mod endpoint;
mod exposition;
mod logs;
mod malformed;
mod native;
mod secrets;
mod target;

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What no input may bring the process beyond (vmagent: 71 MiB).
const MOST: u64 = 64 << 20;

/// For what must happen while several processes share two cores, and those two with whatever else the machine does: at a load of 10 a scrape
/// of 10,000 new series takes an unoptimised build tens of seconds.
const PATIENCE: Duration = Duration::from_secs(240);

/// One line of a table.
struct Peak {
    name: &'static str,
    bytes: u64,
}

/// Runs all cases, a few at a time and each on a runtime of its own; prints their peaks and holds them against [`MOST`].
#[allow(clippy::print_stdout, reason = "for a person")]
fn measure<C: Send>(title: &str, cases: Vec<C>, run: impl Fn(C) -> Peak + Sync) {
    const AT_ONCE: usize = 4;
    // Cases that stand together are alike, and the heavy ones shall not run at the same time.
    let rounds = cases.len().div_ceil(AT_ONCE);
    let mut cases: Vec<_> = cases.into_iter().enumerate().collect();
    cases.sort_by_key(|(at, _)| (at % rounds, *at));
    let cases = Mutex::new(cases.into_iter());
    let large = Mutex::new(Vec::new());
    println!("| {title} | peak RSS |\n|---|---|");
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((_, case)) = cases.lock().unwrap().next() else { return };
                    let Peak { name, bytes } = run(case);
                    #[allow(clippy::cast_precision_loss, reason = "for a person")]
                    let mib = bytes as f64 / f64::from(1 << 20);
                    println!("| {name} | {mib:.1} MiB |");
                    if bytes >= MOST {
                        large.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    let large = large.into_inner().unwrap();
    assert!(large.is_empty(), "beyond {} MiB: {large:?}", MOST >> 20);
}

/// On a runtime of the calling thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Waits for a condition.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
