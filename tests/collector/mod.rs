//! Start and Stop, scrapes of a socket, and what bad targets come to: the collector with a queue in memory, read back record by record.

mod bad_targets;
mod fetching;
mod formats;
mod hanging;
mod hours;
mod naming;
mod start_stop;
mod stopped_clock;
mod together;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docker_remote_write::collector::{self, Collector, CollectorMetrics, Commands, Control, Links};
use docker_remote_write::model::{Labels, METRIC_NAME, is_stale_marker};
use docker_remote_write::queue::{Config as QueueConfig, Queue, Storage};
use docker_remote_write::scrape::{
    Address, Config as ScrapeConfig, Escaping, HistogramForms, LabelLimits, LabelTemplates, Protocol,
    Relabelling,
};
use docker_remote_write::wire::decode::decode_v2;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Long enough for a loaded machine; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// One queued sample.
#[derive(Clone, Debug, PartialEq)]
struct Stored {
    labels: Labels,
    value: f64,
    timestamp: i64,
}

impl Stored {
    fn name(&self) -> &str {
        self.labels.get(METRIC_NAME).unwrap_or_default()
    }

    fn is_marker(&self) -> bool {
        is_stale_marker(self.value)
    }
}

/// A collector at work on one socket.
struct Bench {
    dir: tempfile::TempDir,
    queue: Queue,
    control: Control,
    metrics: CollectorMetrics,
    cancel: CancellationToken,
    collecting: Option<JoinHandle<()>>,
    commands: Option<Commands>,
    next: u64,
    seen: Vec<Stored>,
}

impl Bench {
    fn new() -> Self {
        let storage = Storage::Memory;
        let config =
            QueueConfig { storage, max_disk_bytes: 1 << 20, min_free_disk: None, max_memory_bytes: 16 << 20 };
        let queue = Queue::open(&config, &["default".to_owned()]).unwrap();
        let (control, commands) = collector::control();
        Self {
            dir: tempfile::tempdir().unwrap(),
            next: queue.cursor(0).sequence,
            queue,
            control,
            metrics: CollectorMetrics::default(),
            cancel: CancellationToken::new(),
            collecting: None,
            commands: Some(commands),
            seen: Vec::new(),
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("metrics.sock")
    }

    fn config(&self) -> collector::Config {
        collector::Config {
            scrape: ScrapeConfig {
                address: Address::Unix { socket: self.socket(), path: "/metrics".into() },
                interval: Duration::from_millis(500),
                timeout: Duration::from_millis(500),
                body_size_limit: Some(64 << 10),
                sample_limit: None,
                protocols: vec![Protocol::PrometheusText0],
                fallback_protocol: Some(Protocol::PrometheusText0),
                escaping: Escaping::AllowUtf8,
                created_timestamps: false,
                exemplars: true,
                histograms: HistogramForms::CLASSIC,
                label_limits: LabelLimits::default(),
                extra_metrics: false,
                track_timestamps_staleness: false,
                normalize_le: true,
                honor_labels: false,
                honor_timestamps: true,
                labels: LabelTemplates {
                    target: vec![("job".into(), "docker".into()), ("instance".into(), "host".into())],
                    external: Vec::new(),
                },
                phase: Labels::from_iter([("job", "docker"), ("instance", "host")]),
                relabelling: Relabelling::default(),
                rules_file: None,
            },
            stale_markers_on_stop: true,
        }
    }

    fn collect(&mut self, config: &collector::Config) {
        self.collect_with(config, Links::default());
    }

    fn collect_with(&mut self, config: &collector::Config, links: Links) {
        let collector = Collector::new(config, None, links, &self.queue, self.metrics.clone()).unwrap();
        let commands = self.commands.take().unwrap();
        self.collecting = Some(tokio::spawn(collector.run(commands, self.cancel.clone())));
    }

    /// Reads the queue until `enough` of what was read so far, or the deadline fails the test.
    async fn until(&mut self, what: &str, enough: impl Fn(&[Stored]) -> bool) -> Vec<Stored> {
        let waiting = async {
            let mut end = self.queue.end();
            loop {
                while let Some(record) = self.queue.read(self.next).await.unwrap() {
                    self.next = record.sequence + 1;
                    let request = decode_v2(&record.payload, 1 << 20).unwrap();
                    let symbol = |reference: u32| request.symbols[reference as usize].as_str();
                    self.seen.extend(request.timeseries.iter().map(|series| {
                        let (value, timestamp) = match (&series.samples[..], &series.histograms[..]) {
                            ([sample, ..], _) => (sample.value, sample.timestamp),
                            ([], [histogram, ..]) => (histogram.sum, histogram.timestamp),
                            ([], []) => panic!("a series without a sample: {series:?}"),
                        };
                        Stored {
                            labels: series
                                .labels_refs
                                .chunks(2)
                                .map(|pair| (symbol(pair[0]), symbol(pair[1])))
                                .collect(),
                            value,
                            timestamp,
                        }
                    }));
                }
                if enough(&self.seen) {
                    return self.seen.clone();
                }
                end.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(DEADLINE, waiting).await {
            Ok(seen) => seen,
            Err(_) => panic!("never came: {what}; queued so far: {:?}", self.seen),
        }
    }

    async fn end(mut self) {
        self.cancel.cancel();
        self.collecting.take().unwrap().await.unwrap();
    }
}

/// Every series is in order, whatever happened.
fn assert_ordered(samples: &[Stored]) {
    let mut last: BTreeMap<&Labels, i64> = BTreeMap::new();
    for sample in samples {
        let before = last.insert(&sample.labels, sample.timestamp);
        assert!(
            before < Some(sample.timestamp),
            "{} at {} after {before:?}",
            sample.labels,
            sample.timestamp
        );
    }
}

fn ups(samples: &[Stored], value: f64) -> usize {
    samples.iter().filter(|sample| sample.name() == "up" && sample.value.to_bits() == value.to_bits()).count()
}

/// A target that answers every connection with the same bytes, and then closes, or keeps silent for ever.
#[derive(Clone, Copy)]
enum Then {
    Close,
    Silence,
    /// The same bytes again and again.
    Endless(&'static [u8]),
}

fn serve(path: &Path, answer: Vec<u8>, then: Then) -> JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer_one(stream, answer.clone(), then));
        }
    })
}

async fn answer_one(mut stream: UnixStream, answer: Vec<u8>, then: Then) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    if stream.write_all(&answer).await.is_err() {
        return;
    }
    match then {
        Then::Close => {}
        Then::Silence => std::future::pending::<()>().await,
        Then::Endless(more) => while stream.write_all(more).await.is_ok() {},
    }
}

/// A whole answer with this body.
fn ok(body: &str) -> Vec<u8> {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nConnection: close\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
