//! A target that takes every request and answers none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use docker_remote_write::model::Clock;
use docker_remote_write::scrape::Schedule;
use tokio::time::{Instant, advance};

use super::stopped_clock::{StoppedClock, until};
use super::*;

const INTERVAL: Duration = Duration::from_secs(5);
const SCRAPES: usize = 4;

/// Counts what it is asked.
fn serve_nothing(path: &Path) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(path).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(answer_one(stream, Vec::new(), Then::Silence));
        }
    });
    asked
}

#[tokio::test(start_paused = true)]
async fn rw_4_14_a_target_that_hangs_until_the_next_tick_is_scraped_at_every_tick() {
    let clock_stands = StoppedClock::new();
    let mut bench = Bench::new();
    let asked = serve_nothing(&bench.socket());
    let mut config = bench.config();
    config.scrape.interval = INTERVAL;
    // As by default, where the interval is 10 s or less.
    config.scrape.timeout = INTERVAL;
    let schedule = Schedule::new(INTERVAL, &config.scrape.phase);
    let first = schedule.next_after(1_700_000_000_000);
    let began = Instant::now();
    let clock = Clock::new(move || first - 500 + i64::try_from(began.elapsed().as_millis()).unwrap());
    let metrics = bench.metrics.clone();
    let collector = Collector::new(&config, None, Links::default(), &bench.queue, metrics.clone()).unwrap();
    let commands = bench.commands.take().unwrap();
    bench.collecting = Some(tokio::spawn(collector.with_clock(clock).run(commands, bench.cancel.clone())));
    bench.control.start();
    until("the collector waits for its first tick", || metrics.snapshot().running).await;

    // One more for a timer that is rounded up.
    advance(Duration::from_millis(501)).await;
    for scrape in 1..=SCRAPES {
        // The clock stands: behind the scrape before, this one begins at once.
        until(&format!("scrape {scrape}"), || asked.load(Ordering::SeqCst) == scrape).await;
        advance(INTERVAL).await;
        while metrics.snapshot().scrapes_failed < scrape as u64 {
            advance(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(metrics.snapshot().ticks_missed, 0);

    drop(clock_stands);
    tokio::time::resume();
    let samples = bench.until("what the scrapes came to", |seen| ups(seen, 0.0) >= SCRAPES).await;
    assert_ordered(&samples);
    let step = i64::try_from(INTERVAL.as_millis()).unwrap();
    let ups = samples.iter().filter(|sample| sample.name() == "up");
    let intervals: Vec<i64> = ups.map(|up| (up.timestamp - first).div_euclid(step)).take(SCRAPES).collect();
    assert_eq!(intervals, [0, 1, 2, 3], "one sample in each interval: {samples:?}");
    bench.end().await;
}
