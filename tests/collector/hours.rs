//! Six hours without a receiver, from the target's socket to the receiver's count, on a clock that the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use docker_remote_write::model::{Clock, now_ms};
use docker_remote_write::receiver::{Options, Receiver};
use docker_remote_write::remote::{self, Code, Config as RemoteConfig, Failure};
use docker_remote_write::scrape::Schedule;
use tokio::time::{Instant, advance};

use super::stopped_clock::{StoppedClock, until};
use super::*;
use crate::support::endpoint;
use crate::support::refused::Refused;

const HOURS: Duration = Duration::from_secs(6 * 3600);
const INTERVAL: Duration = Duration::from_secs(15);
const SERIES: u64 = 20;
/// For 200,000 samples from a disk through an unoptimised build, on a machine that does other things meanwhile.
const PATIENCE: Duration = Duration::from_secs(240);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// `up` and its four companions.
const SYNTHETIC: u64 = 5;

/// Serves the number of the scrape as the value of every series; nothing between scrapes 100 and 110, as an engine that restarts.
fn serve_numbered(path: &Path) -> Arc<AtomicU64> {
    let listener = UnixListener::bind(path).unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
            let answer = if FAILING.contains(&number) {
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec()
            } else {
                ok(&(0..SERIES).map(|id| format!("numbered{{id=\"{id}\"}} {number}\n")).collect::<String>())
            };
            answer_one(stream, answer, Then::Close).await;
        }
    });
    asked
}

const FAILING: std::ops::RangeInclusive<u64> = 100..=110;

fn on_disk(dir: &Path) -> Queue {
    let storage = Storage::Disk(dir.join("queue"));
    let config =
        QueueConfig { storage, max_disk_bytes: 64 << 20, min_free_disk: None, max_memory_bytes: 1 << 20 };
    Queue::open(&config, &["default".to_owned()]).unwrap()
}

#[tokio::test(start_paused = true)]
async fn six_hours_of_scrapes_without_a_receiver_arrive_in_order_and_once() {
    let clock_stands = StoppedClock::new();
    let dir = tempfile::tempdir().unwrap();
    let queue = on_disk(dir.path());
    let socket = dir.path().join("metrics.sock");
    let asked = serve_numbered(&socket);

    let bench = Bench::new();
    let mut config = bench.config();
    let schedule = Schedule::new(INTERVAL, &config.scrape.phase);
    // Six hours ago, so that it ends about now: the receiver and the last gate have a clock of their own.
    // Half a second before a tick: less than one step of the clock below.
    let began = Instant::now();
    let ago = now_ms() - i64::try_from(HOURS.as_millis()).unwrap() - 60_000;
    let epoch = schedule.next_after(ago) - 500;
    let clock = Clock::new(move || epoch + i64::try_from(began.elapsed().as_millis()).unwrap());
    config.scrape.address = Address::Unix { socket, path: "/metrics".into() };
    config.scrape.interval = INTERVAL;
    config.scrape.timeout = Duration::from_secs(10);
    let (control, commands) = collector::control();
    let metrics = bench.metrics.clone();
    let collector = Collector::new(&config, None, Links::default(), &queue, metrics.clone()).unwrap();
    let cancel = CancellationToken::new();
    let _ended = cancel.clone().drop_guard();
    let scrapes_end = cancel.child_token();
    let collecting = tokio::spawn(collector.with_clock(clock.clone()).run(commands, scrapes_end.clone()));

    let endpoint = Refused::new();
    let remote = RemoteConfig {
        name: "default".to_owned(),
        min_backoff: Duration::from_millis(500),
        max_backoff: MAX_BACKOFF,
        ..endpoint::config(&format!("http://{}/api/v1/write", endpoint.address))
    };
    let sender = remote::spawn(remote, 0, queue.clone(), cancel.clone());

    control.start();
    // Before the clock moves: a collector that is asked later looks for its first tick from there.
    until("the collector waits for its first tick", || metrics.snapshot().running).await;
    let scrapes = HOURS.as_secs() / INTERVAL.as_secs();
    let mut tick = schedule.next_after(clock.now_ms());
    for scrape in 1..=scrapes {
        let before = queue.ledger(0).appended;
        while clock.now_ms() <= tick {
            // The sender's timers fire in between.
            let step = (tick + 1 - clock.now_ms()).clamp(1, 1_000);
            advance(Duration::from_millis(step.unsigned_abs())).await;
            tokio::task::yield_now().await;
        }
        until("a scrape is queued", || queue.ledger(0).appended > before).await;
        assert_eq!(asked.load(Ordering::SeqCst), scrape);
        tick += 15_000;
    }
    let ledger = queue.ledger(0);
    let failed = FAILING.count() as u64;
    // With the first failure all series end; ten more bring `up` and its companions alone.
    let expected = scrapes * SYNTHETIC + (scrapes - failed) * SERIES + SERIES;
    assert_eq!((ledger.appended, ledger.pending, ledger.overflowed), (expected, expected, 0));
    let refused = sender.metrics.snapshot().requests.get(&Code::Failure(Failure::Refused)).copied();
    assert!(refused > Some(1_000), "{refused:?} attempts in six hours");

    // On a clock that runs the next tick would come.
    scrapes_end.cancel();
    collecting.await.unwrap();
    let receiver = Receiver::new(Options::default());
    let (serving, stop) = (receiver.clone(), cancel.clone());
    tokio::spawn(async move { serving.serve(endpoint.listen(), stop).await });
    // Past the delay of the last refusal, a tenth of which may be jitter.
    advance(MAX_BACKOFF * 2).await;
    drop(clock_stands);
    tokio::time::resume();
    receiver.wait_until(|state| state.store.samples() >= expected, PATIENCE).await.unwrap();
    receiver.read(|state| {
        assert_eq!(state.violation_count, 0, "{:?}", state.violations);
        assert_eq!((state.store.samples(), state.duplicates), (expected, 0));
        for (labels, samples) in state.store.select(&[("__name__", "numbered")]) {
            let numbers: Vec<f64> = samples
                .iter()
                .filter(|sample| !sample.is_stale_marker())
                .map(|sample| sample.value())
                .collect();
            let wanted: Vec<f64> = (1..=1440_u32)
                .filter(|scrape| !FAILING.contains(&u64::from(*scrape)))
                .map(f64::from)
                .collect();
            assert_eq!(numbers, wanted, "{labels:?}");
            let steps = samples.windows(2).map(|pair| pair[1].timestamp - pair[0].timestamp);
            let gaps = steps.filter(|step| *step != 15_000).count();
            assert_eq!(gaps, 1, "but for the ten scrapes that failed behind the marker, no tick is missed");
        }
    });
    until("the ledger knows", || queue.ledger(0).pending == 0).await;
    assert_eq!(queue.ledger(0).delivered, expected);
}
