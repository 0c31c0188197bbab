//! The sender against a scripted server: what arrives, what leaves the queue, what is said.

mod connection;
mod delivery;
mod expiry;
mod failures;
mod filling;
mod held;
mod left_out;
mod metadata;
mod negotiation;
mod negotiation_random;
mod no_histograms;
mod outage;
mod pace;
mod poison;
mod poison_random;
mod secrets;
mod shutdown;
mod size;
mod tls;
mod unfit;

use std::time::Duration;

use docker_remote_write::model::now_ms;
use docker_remote_write::proto::v2;
use docker_remote_write::queue::{Config as QueueConfig, Queue, RecordMeta, Storage};
use docker_remote_write::remote::{Cause, Config, Sender, Tuning, spawn_with};
use docker_remote_write::wire::decode::decode_v1;
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use crate::support::endpoint::config;
use crate::support::scripted::{DEADLINE, Seen};

/// A memory queue for one endpoint, its sender, and the token that ends it when dropped.
struct Running {
    queue: Queue,
    sender: Sender,
    cancel: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

fn queue() -> Queue {
    let config = QueueConfig {
        storage: Storage::Memory,
        max_disk_bytes: 64 << 20,
        min_free_disk: None,
        max_memory_bytes: 16 << 20,
    };
    Queue::open(&config, &["test".to_owned()]).unwrap()
}

fn start(config: Config, queue: &Queue) -> Running {
    start_with(config, queue, quick())
}

/// Held endpoints are probed again and again.
fn quick() -> Tuning {
    Tuning { min_hold: Duration::from_millis(5), max_hold: Duration::from_millis(20), ..Tuning::default() }
}

fn start_with(config: Config, queue: &Queue, tuning: Tuning) -> Running {
    let cancel = CancellationToken::new();
    let sender = spawn_with(config, 0, queue.clone(), cancel.clone(), tuning);
    Running { queue: queue.clone(), sender, cancel }
}

/// So much time passes at once, for every timer that is set.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

impl Running {
    /// Waits until something is true of the sender or its queue.
    async fn until(&self, what: &str, is_true: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(DEADLINE, async {
            while !is_true(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        if waited.await.is_err() {
            let (ledger, metrics) = (self.queue.ledger(0), self.sender.metrics.snapshot());
            panic!("never {what}: {ledger:#?} {metrics:#?}");
        }
    }

    /// Waits until nothing is pending.
    async fn until_done(&self) {
        self.until("done", |running| running.queue.ledger(0).pending == 0).await;
    }

    /// Samples that were rejected for this reason.
    fn rejected(&self, cause: Cause) -> u64 {
        self.sender.metrics.snapshot().rejected.get(&cause).copied().unwrap_or_default()
    }

    /// Attempts that ended with this status or word.
    fn requests(&self, code: &str) -> u64 {
        let requests = self.sender.metrics.snapshot().requests;
        requests.iter().filter(|(key, _)| key.to_string() == code).map(|(_, count)| count).sum()
    }
}

/// One record of the series `test_metric`, a sample for each timestamp (ms), its value the same number.
fn append(queue: &Queue, timestamps: &[i64]) -> u64 {
    let series = |&timestamp: &i64| v2::TimeSeries {
        labels_refs: vec![1, 2],
        samples: vec![v2::Sample { value: timestamp as f64, timestamp, start_timestamp: 0 }],
        ..v2::TimeSeries::default()
    };
    let symbols = ["", "__name__", "test_metric"].map(str::to_owned).to_vec();
    let record = v2::Request { symbols, timeseries: timestamps.iter().map(series).collect() };
    let payload = snap::raw::Encoder::new().compress_vec(&record.encode_to_vec()).unwrap();
    append_raw(queue, timestamps, payload)
}

/// One record with a sample of each of these series (`{"__name__": name}`), its value its timestamp (ms).
fn append_scrape(queue: &Queue, samples: &[(&str, i64)]) -> u64 {
    let labelled: Vec<_> =
        samples.iter().map(|(name, timestamp)| (vec![("__name__", *name)], *timestamp)).collect();
    append_labelled(queue, &labelled)
}

/// The same with any labels, fit or not.
fn append_labelled(queue: &Queue, samples: &[(Vec<(&str, &str)>, i64)]) -> u64 {
    let mut symbols = vec![String::new()];
    let mut timeseries = Vec::new();
    for (labels, timestamp) in samples {
        let mut labels_refs = Vec::new();
        for symbol in labels.iter().flat_map(|(name, value)| [name, value]) {
            labels_refs.push(u32::try_from(symbols.len()).unwrap());
            symbols.push((*symbol).to_owned());
        }
        let sample = v2::Sample { value: *timestamp as f64, timestamp: *timestamp, start_timestamp: 0 };
        timeseries.push(v2::TimeSeries { labels_refs, samples: vec![sample], ..v2::TimeSeries::default() });
    }
    let record = v2::Request { symbols, timeseries };
    let payload = snap::raw::Encoder::new().compress_vec(&record.encode_to_vec()).unwrap();
    let timestamps: Vec<_> = samples.iter().map(|(_, timestamp)| *timestamp).collect();
    append_raw(queue, &timestamps, payload)
}

/// A record with this payload, whatever it is.
fn append_raw(queue: &Queue, timestamps: &[i64], payload: Vec<u8>) -> u64 {
    let meta = RecordMeta {
        samples: u32::try_from(timestamps.len()).unwrap(),
        markers: 0,
        min_timestamp: *timestamps.iter().min().unwrap(),
        max_timestamp: *timestamps.iter().max().unwrap(),
    };
    queue.append(meta, payload.into())
}

/// The timestamps in a request, in their order.
fn timestamps(seen: &Seen) -> Vec<i64> {
    let request = decode_v1(&seen.body, 64 << 20).unwrap();
    let samples = request.timeseries.iter().flat_map(|series| &series.samples);
    samples.map(|sample| sample.timestamp).collect()
}

/// A timestamp that no age limit of these tests takes.
fn young() -> i64 {
    now_ms()
}
