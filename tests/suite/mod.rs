//! The cases of the public suites for remote-write senders, as tests of our own: the real program between a target with a script and the
//! strict receiver, in both messages. `tests/conformance/cases.rs` says which case is which test.

mod answers;
mod labels;
mod message;
mod scrapes;
mod types;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use docker_remote_write::model::Labels;
use docker_remote_write::receiver::{DEFAULT_PATH, Options, Protocol, Receiver};
use docker_remote_write::wire::decode::{decode_v1, decode_v2};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::program::{DEADLINE, Program};
use crate::support::scripted::{Scripted, serve, status};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `REMOTE_WRITE_PROTOBUF_MESSAGE`, both.
const MESSAGES: [&str; 2] = ["1.0", "2.0"];

const MAX: usize = 64 << 20;

/// A target, and a receiver that keeps the bodies of requests as they came.
struct Stage {
    target: Scripted,
    receiver: Receiver,
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<Bytes>>>,
    _stop: DropGuard,
}

/// A sample as it was sent.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    /// In the order of the message.
    labels: Vec<(String, String)>,
    bits: u64,
    timestamp: i64,
    /// 0 in 1.0.
    start: i64,
    exemplars: Vec<(Labels, f64, i64)>,
    /// Type, HELP and unit; none in 1.0.
    metadata: Option<(i32, String, String)>,
}

impl Sent {
    fn name(&self) -> &str {
        self.label("__name__").unwrap_or_default()
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn value(&self) -> f64 {
        f64::from_bits(self.bits)
    }

    fn is_of_the_target(&self) -> bool {
        self.name() != "up" && !self.name().starts_with("scrape_")
    }
}

impl Stage {
    /// The target serves these bodies, the last one again and again.
    async fn of(content_type: &str, bodies: &[&str]) -> Self {
        let answer = |body: &&str| status(200).header("content-type", content_type).text((*body).to_owned());
        let target = serve(bodies.iter().map(answer)).await;
        target.otherwise(answer(bodies.last().unwrap()));
        Self::at(target).await
    }

    async fn text(body: &str) -> Self {
        Self::of(TEXT, &[body]).await
    }

    async fn at(target: Scripted) -> Self {
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        let keep = move |body: Bytes| {
            kept.lock().unwrap().push(body.clone());
            body
        };
        let receiver = Receiver::new(Options { tamper: Some(Arc::new(keep)), ..Options::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (serving, ended) = (receiver.clone(), stop.clone());
        tokio::spawn(async move { serving.serve(listener, ended).await });
        Self { target, receiver, address, bodies, _stop: stop.drop_guard() }
    }

    /// The program, which sends this message.
    fn run(&self, message: &str, more: &[(&'static str, &str)]) -> Program {
        let own = [
            ("REMOTE_WRITE_URL", format!("http://{}{DEFAULT_PATH}", self.address)),
            ("REMOTE_WRITE_PROTOBUF_MESSAGE", message.to_owned()),
            ("SCRAPE_URL", self.target.url("/metrics")),
            ("SCRAPE_INTERVAL", "1s".to_owned()),
            ("QUEUE_STORAGE", "memory".to_owned()),
            ("INSTANCE", "host".to_owned()),
            ("SELF_METRICS", "false".to_owned()),
        ];
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Program::start(&["run"], &own.into_iter().chain(more).collect())
    }

    /// Waits until so many scrapes have arrived, good ones or not, and returns everything that was sent until then.
    async fn arrived(&self, scrapes: usize) -> Vec<Sent> {
        let enough =
            |state: &docker_remote_write::receiver::State| state.count(&[("__name__", "up")]) >= scrapes;
        self.receiver.wait_until(enough, DEADLINE).await.unwrap();
        self.sent()
    }

    /// Everything that was sent so far, resends too.
    fn sent(&self) -> Vec<Sent> {
        let protocols: Vec<_> =
            self.receiver.read(|state| state.requests.iter().map(|request| request.protocol).collect());
        let bodies = self.bodies.lock().unwrap().clone();
        bodies.iter().zip(protocols).flat_map(|(body, protocol)| read(body, protocol)).collect()
    }

    fn bodies(&self) -> Vec<Bytes> {
        self.bodies.lock().unwrap().clone()
    }

    fn assert_strict(&self) {
        self.receiver.read(|state| assert_eq!(state.violation_count, 0, "{:?}", state.violations));
    }
}

fn read(body: &[u8], protocol: Protocol) -> Vec<Sent> {
    match protocol {
        Protocol::V1 => read_v1(body),
        Protocol::V2 => read_v2(body),
    }
}

fn read_v1(body: &[u8]) -> Vec<Sent> {
    let request = decode_v1(body, MAX).unwrap();
    let mut sent = Vec::new();
    for series in request.timeseries {
        let labels: Vec<_> =
            series.labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect();
        let exemplars: Vec<_> = series
            .exemplars
            .iter()
            .map(|exemplar| {
                let labels = exemplar.labels.iter().map(|label| (&label.name, &label.value)).collect();
                (labels, exemplar.value, exemplar.timestamp)
            })
            .collect();
        sent.extend(series.samples.iter().map(|sample| Sent {
            labels: labels.clone(),
            bits: sample.value.to_bits(),
            timestamp: sample.timestamp,
            start: 0,
            exemplars: exemplars.clone(),
            metadata: None,
        }));
    }
    sent
}

fn read_v2(body: &[u8]) -> Vec<Sent> {
    let request = decode_v2(body, MAX).unwrap();
    let symbol = |reference: u32| request.symbols[reference as usize].clone();
    let pairs = |refs: &[u32]| -> Vec<(String, String)> {
        refs.chunks(2).map(|pair| (symbol(pair[0]), symbol(pair[1]))).collect()
    };
    let mut sent = Vec::new();
    for series in &request.timeseries {
        let exemplars: Vec<_> = series
            .exemplars
            .iter()
            .map(|exemplar| {
                let labels = pairs(&exemplar.labels_refs);
                let labels = labels.iter().map(|(name, value)| (name, value)).collect();
                (labels, exemplar.value, exemplar.timestamp)
            })
            .collect();
        let metadata =
            series.metadata.map(|about| (about.r#type, symbol(about.help_ref), symbol(about.unit_ref)));
        sent.extend(series.samples.iter().map(|sample| Sent {
            labels: pairs(&series.labels_refs),
            bits: sample.value.to_bits(),
            timestamp: sample.timestamp,
            start: sample.start_timestamp,
            exemplars: exemplars.clone(),
            metadata: metadata.clone(),
        }));
    }
    sent
}

/// The labels of a series of the target, all of them, as they have to be sent.
fn complete(name: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = [("__name__", name), ("instance", "host"), ("job", "docker")];
    let mut all: Vec<_> =
        own.iter().chain(more).map(|(name, value)| (name.to_string(), value.to_string())).collect();
    all.sort();
    all
}
