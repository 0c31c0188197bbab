//! Debian's Prometheus, which rolls a whole request back: our sender finds what it refuses, and the rest is stored. No engine needed.

use std::time::Duration;

use docker_remote_write::proto::v2;
use docker_remote_write::queue::{Config as QueueConfig, Ledger, Queue, RecordMeta, Storage};
use docker_remote_write::remote::{Cause, Config, Sender, Snapshot, spawn};
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use crate::endpoint::config;
use crate::support::{Kind, PATIENCE, Receiver, now_ms};

type Labels = Vec<(&'static str, String)>;

/// A sender to a real Prometheus, with a queue in memory.
struct Pushing {
    queue: Queue,
    sender: Sender,
    cancel: CancellationToken,
}

impl Drop for Pushing {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Pushing {
    fn to(receiver: &Receiver, queue: Queue) -> Pushing {
        let config = Config {
            min_backoff: Duration::from_millis(20),
            max_backoff: Duration::from_millis(100),
            ..config(&receiver.push_url())
        };
        let cancel = CancellationToken::new();
        let sender = spawn(config, 0, queue.clone(), cancel.clone());
        Pushing { queue, sender, cancel }
    }

    async fn done(&self) -> (Ledger, Snapshot) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.queue.ledger(0).pending > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let in_time = waited.await.is_ok();
        let (ledger, metrics) = (self.queue.ledger(0), self.sender.metrics.snapshot());
        assert!(in_time, "{ledger:#?} {metrics:#?}");
        (ledger, metrics)
    }
}

fn queue() -> Queue {
    let storage = Storage::Memory;
    let config =
        QueueConfig { storage, max_disk_bytes: 64 << 20, min_free_disk: None, max_memory_bytes: 64 << 20 };
    Queue::open(&config, &["real".to_owned()]).expect("a queue in memory opens")
}

fn series(count: usize) -> Vec<Labels> {
    (0..count).map(|n| vec![("__name__", "poison_test".to_owned()), ("n", format!("{n:04}"))]).collect()
}

/// One scrape as one record.
fn append(queue: &Queue, series: &[Labels], timestamp: i64) {
    let mut record = v2::Request { symbols: vec![String::new()], timeseries: Vec::new() };
    for labels in series {
        let mut labels_refs = Vec::new();
        for symbol in labels.iter().flat_map(|(name, value)| [*name, value.as_str()]) {
            labels_refs.push(u32::try_from(record.symbols.len()).expect("few symbols"));
            record.symbols.push(symbol.to_owned());
        }
        let samples = vec![v2::Sample { value: 1.0, timestamp, start_timestamp: 0 }];
        record.timeseries.push(v2::TimeSeries { labels_refs, samples, ..v2::TimeSeries::default() });
    }
    let samples = u32::try_from(series.len()).expect("few series");
    let meta = RecordMeta { samples, markers: 0, min_timestamp: timestamp, max_timestamp: timestamp };
    let payload = snap::raw::Encoder::new().compress_vec(&record.encode_to_vec()).expect("snappy");
    queue.append(meta, payload.into());
}

/// How many samples of the test's series are stored.
fn stored(receiver: &Receiver) -> usize {
    receiver.stored("poison_test").iter().map(|series| series.points.len()).sum()
}

fn on_a_runtime(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

#[test]
fn one_late_sample_among_1000_costs_itself_alone() {
    let receiver = Receiver::start(Kind::Prometheus);
    on_a_runtime(async {
        let (series, now) = (series(1000), now_ms() - 10_000);
        let earlier = queue();
        append(&earlier, &series[500..501], now + 1);
        Pushing::to(&receiver, earlier).done().await;

        let queue = queue();
        append(&queue, &series, now);
        append(&queue, &series, now + 1000);
        let (ledger, metrics) = Pushing::to(&receiver, queue).done().await;
        assert_eq!((ledger.delivered, ledger.rejected), (1999, 1));
        assert_eq!(metrics.rejected.get(&Cause::Poison), Some(&1));
        let requests: u64 = metrics.requests.values().sum();
        assert!(requests <= 22, "{requests} requests");
        assert_eq!(stored(&receiver), 2000);
        let late = receiver.stored_one("poison_test{n=\"0500\"}");
        assert_eq!(late.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [now + 1, now + 1000]);
    });
}

#[test]
fn what_a_killed_sender_had_delivered_is_counted_as_refused_and_stops_nothing() {
    let receiver = Receiver::start(Kind::Prometheus);
    on_a_runtime(async {
        let (series, now) = (series(600), now_ms() - 10_000);
        let first = queue();
        append(&first, &series, now);
        append(&first, &series, now + 1000);
        Pushing::to(&receiver, first).done().await;
        // The next process knows nothing of this, and has one scrape more.
        let second = queue();
        for scrape in 0..3 {
            append(&second, &series, now + 1000 * scrape);
        }
        let (ledger, metrics) = Pushing::to(&receiver, second).done().await;
        // The oldest scrape is out of order now, the one after it a repetition.
        assert_eq!((ledger.delivered, ledger.rejected), (1200, 600));
        let requests: u64 = metrics.requests.values().sum();
        assert!(requests <= 50, "{requests} requests");
        assert_eq!(stored(&receiver), 1800);
    });
}

/// Prometheus before 3 answers 500 to a label name that comes twice, for ever.
#[test]
fn a_series_that_prometheus_answers_500_to_does_not_stop_the_others() {
    let receiver = Receiver::start(Kind::Prometheus);
    on_a_runtime(async {
        let (mut series, now) = (series(100), now_ms() - 10_000);
        series[41].push(("n", "again".to_owned()));
        let queue = queue();
        // Appended behind the start: what this process queues is not looked at without a reason.
        let pushing = Pushing::to(&receiver, queue.clone());
        append(&queue, &series, now);
        append(&queue, &series, now + 1000);
        let (ledger, metrics) = pushing.done().await;
        assert_eq!((ledger.delivered, ledger.rejected), (198, 2), "{metrics:#?}");
        assert_eq!(stored(&receiver), 198);
    });
}
