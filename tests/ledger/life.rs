//! One process of a story, but for the process: collector, queue and senders as `app` puts them together, with short times.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use docker_remote_write::collector::{self, Collector, CollectorMetrics, Control, Links, SelfExposition};
use docker_remote_write::model::Labels;
use docker_remote_write::queue::{Config as QueueConfig, Ledger, Position, Queue, Storage};
use docker_remote_write::remote::{Config as RemoteConfig, ProtobufMessage, Sender, Tuning, spawn_with};
use docker_remote_write::scrape::{
    Address, Config as ScrapeConfig, Escaping, HistogramForms, LabelLimits, LabelTemplates, Protocol,
    Relabelling,
};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::dice::Dice;
use super::endpoint::{self, Arrival};
use super::model::ENDPOINTS;
use super::target::{SAMPLE_LIMIT, Target};
use super::{DEADLINE, NAMES};

/// Small enough to overflow within some scrapes of an outage.
const SMALL_CAPS: [u64; 2] = [24 << 10, 64 << 10];
const LARGE_CAP: u64 = 32 << 20;
const LARGE_RING: u64 = 4 << 20;
/// Some steps long.
const AGE_LIMIT: Duration = Duration::from_millis(40);
/// Lines of our own exposition.
const OWN: &str = "own_scrapes_total 1\nown_level 2\n";
const OWN_LINES: u64 = 2;

/// The settings of one life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knobs {
    pub(super) in_memory: bool,
    pub(super) max_disk_bytes: u64,
    max_memory_bytes: u64,
    max_samples_per_send: u32,
    /// Of the second endpoint.
    pub(super) age_limit: Option<Duration>,
    pub(super) has_sample_limit: bool,
    stale_markers_on_stop: bool,
    pub(super) retry_on_http_429: bool,
    pub(super) hold_on_auth_error: bool,
    /// Of each endpoint.
    pub(super) messages: [ProtobufMessage; ENDPOINTS],
    /// Where the message is found out: this endpoint takes 1.0 alone.
    is_old: [bool; ENDPOINTS],
}

impl Knobs {
    pub(super) fn draw(dice: &mut Dice, in_memory: bool) -> Self {
        // Where samples expire nothing overflows, so that each loss has one reason.
        let age_limit = dice.one_in(5).then_some(AGE_LIMIT);
        let small = dice.one_in(2) && age_limit.is_none();
        let max_disk_bytes = if small { dice.pick(&SMALL_CAPS) } else { LARGE_CAP };
        let small_ring = if in_memory { dice.pick(&SMALL_CAPS) } else { dice.pick(&[1, 8 << 10]) };
        let large_ring = dice.one_in(2) || age_limit.is_some();
        Self {
            in_memory,
            max_disk_bytes,
            max_memory_bytes: if large_ring { LARGE_RING } else { small_ring },
            max_samples_per_send: dice.pick(&[25, 100, 500, 5_000]),
            age_limit,
            has_sample_limit: dice.one_in(2),
            stale_markers_on_stop: !dice.one_in(3),
            retry_on_http_429: !dice.one_in(3),
            hold_on_auth_error: !dice.one_in(3),
            messages: [(); ENDPOINTS].map(|()| {
                dice.weighted(&[
                    (2, ProtobufMessage::Auto),
                    (1, ProtobufMessage::V1),
                    (1, ProtobufMessage::V2),
                ])
            }),
            is_old: [(); ENDPOINTS].map(|()| dice.one_in(2)),
        }
    }

    /// Whether this endpoint does not read 2.0.
    pub(super) fn is_old(&self, endpoint: usize) -> bool {
        self.messages[endpoint] == ProtobufMessage::Auto && self.is_old[endpoint]
    }

    pub(super) fn limit_of(&self, endpoint: usize) -> Option<Duration> {
        self.age_limit.filter(|_| endpoint == 1)
    }

    /// Whether the ring may have to drop what has not been written yet.
    pub(super) fn has_small_ring(&self) -> bool {
        self.max_memory_bytes < LARGE_RING
    }

    /// Whether the disk's cap can be reached at all.
    pub(super) fn is_tight(&self) -> bool {
        self.max_disk_bytes < LARGE_CAP
    }
}

pub(super) struct Life {
    pub(super) knobs: Knobs,
    pub(super) queue: Queue,
    pub(super) control: Control,
    pub(super) metrics: CollectorMetrics,
    own_scrapes: Arc<AtomicU64>,
    pub(super) target: Target,
    pub(super) running: bool,
    pub(super) arrivals: mpsc::UnboundedReceiver<Arrival>,
    collecting: JoinHandle<()>,
    senders: Vec<Sender>,
    collection: CancellationToken,
    sending: CancellationToken,
    _servers: JoinSet<()>,
}

/// What a process knew when it ended.
pub(super) struct Last {
    pub(super) ledgers: [Ledger; ENDPOINTS],
    pub(super) cursors: [Position; ENDPOINTS],
}

impl Life {
    /// `number` tells the sockets of different lives apart.
    pub(super) async fn begin(dir: &Path, number: u64, knobs: Knobs) -> Self {
        let storage = if knobs.in_memory { Storage::Memory } else { Storage::Disk(dir.join("queue")) };
        let (max_disk_bytes, max_memory_bytes) = (knobs.max_disk_bytes, knobs.max_memory_bytes);
        let config = QueueConfig { storage, max_disk_bytes, min_free_disk: None, max_memory_bytes };
        let queue = Queue::open(&config, &NAMES.map(str::to_owned)).unwrap();

        let mut servers = JoinSet::new();
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let (collection, sending) = (CancellationToken::new(), CancellationToken::new());
        let tuning = Tuning {
            min_hold: Duration::from_millis(1),
            max_hold: Duration::from_millis(2),
            ..Tuning::default()
        };
        let mut senders = Vec::new();
        for endpoint in 0..ENDPOINTS {
            let port = endpoint::listen(endpoint, arrived.clone(), &mut servers).await;
            let config = remote(endpoint, port, &knobs);
            senders.push(spawn_with(config, endpoint, queue.clone(), sending.clone(), tuning.clone()));
        }

        let socket = dir.join(format!("metrics-{number}.sock"));
        let target = Target::bind(&socket);
        let own_scrapes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&own_scrapes);
        let own = SelfExposition {
            job: "docker-remote-write".to_owned(),
            write: Box::new(move |text| {
                counted.fetch_add(1, Ordering::Relaxed);
                text.push_str(OWN);
            }),
        };
        let scrape = ScrapeConfig {
            address: Address::Unix { socket, path: "/metrics".into() },
            // The target sets the pace: a scrape ends when the story answers it.
            interval: Duration::from_millis(1),
            timeout: DEADLINE,
            body_size_limit: None,
            sample_limit: knobs.has_sample_limit.then_some(SAMPLE_LIMIT as u64),
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
                target: [("job", "docker"), ("instance", "host")]
                    .map(|(name, value)| (name.into(), value.into()))
                    .into(),
                external: vec![("cluster".into(), "test".into())],
            },
            phase: Labels::from_iter([("job", "docker"), ("instance", "host")]),
            relabelling: Relabelling::default(),
            rules_file: None,
        };
        let config = collector::Config { scrape, stale_markers_on_stop: knobs.stale_markers_on_stop };
        let (control, commands) = collector::control();
        let metrics = CollectorMetrics::default();
        let collector =
            Collector::new(&config, Some(own), Links::default(), &queue, metrics.clone()).unwrap();
        let collecting = tokio::spawn(collector.run(commands, collection.clone()));
        Self {
            knobs,
            queue,
            control,
            metrics,
            own_scrapes,
            target,
            running: false,
            arrivals,
            collecting,
            senders,
            collection,
            sending,
            _servers: servers,
        }
    }

    /// Sample lines that our own exposition has had.
    pub(super) fn own_lines(&self) -> u64 {
        self.own_scrapes.load(Ordering::Relaxed) * OWN_LINES
    }

    /// As after SIGTERM, without the drain.
    pub(super) async fn end(self) -> Last {
        self.collection.cancel();
        self.collecting.await.unwrap();
        self.sending.cancel();
        for sender in self.senders {
            sender.task.await.unwrap();
        }
        tokio::time::timeout(DEADLINE, self.queue.close()).await.expect("the queue does not close");
        last(&self.queue)
    }

    /// As after kill -9: everything stops where it is, and the queue is left.
    pub(super) async fn kill(self) -> (Last, CollectorMetrics, u64) {
        self.collecting.abort();
        let _ = self.collecting.await;
        for sender in self.senders {
            sender.task.abort();
            let _ = sender.task.await;
        }
        (last(&self.queue), self.metrics, self.own_scrapes.load(Ordering::Relaxed) * OWN_LINES)
    }
}

fn last(queue: &Queue) -> Last {
    Last {
        ledgers: [0, 1].map(|endpoint| queue.ledger(endpoint)),
        cursors: [0, 1].map(|endpoint| queue.cursor(endpoint)),
    }
}

fn remote(endpoint: usize, port: u16, knobs: &Knobs) -> RemoteConfig {
    RemoteConfig {
        name: NAMES[endpoint].to_owned(),
        message: knobs.messages[endpoint],
        timeout: DEADLINE,
        max_samples_per_send: knobs.max_samples_per_send,
        min_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(2),
        retry_on_http_429: knobs.retry_on_http_429,
        hold_on_auth_error: knobs.hold_on_auth_error,
        sample_age_limit: knobs.limit_of(endpoint),
        ..crate::support::endpoint::config(&format!("http://127.0.0.1:{port}/api/v1/write"))
    }
}
