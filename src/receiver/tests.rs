//! The receiver against hand-made requests over loopback.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::hand::{Pair, body, pack, series};
use super::*;
use crate::model::{METRIC_NAME, STALE_MARKER_BITS};

mod faults;
mod histograms;

pub(super) const NOW: i64 = 1_790_000_000_000;
const LIMIT: Duration = Duration::from_secs(20);

pub(super) fn up(samples: &[(i64, f64)]) -> Vec<u8> {
    body(&[series(&[(METRIC_NAME, "up"), ("job", "docker")], samples)])
}

pub(super) fn head(lines: &[&str]) -> String {
    let mut head = String::from("POST /api/v1/write HTTP/1.1\r\nHost: receiver\r\n");
    for line in lines {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head
}

pub(super) fn good_head() -> String {
    head(&[
        "Content-Encoding: snappy",
        "Content-Type: application/x-protobuf",
        "X-Prometheus-Remote-Write-Version: 0.1.0",
        "User-Agent: docker-remote-write/0.1.0",
    ])
}

/// The receiver under test with its server.
pub(super) struct Rig {
    pub(super) receiver: Receiver,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Rig {
    pub(super) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(super) async fn with(options: Options) -> Self {
        Self::serve(Receiver::new(options), "127.0.0.1:0".parse().unwrap()).await
    }

    async fn serve(receiver: Receiver, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let task = tokio::spawn({
            let (receiver, stop) = (receiver.clone(), stop.clone());
            async move { receiver.serve(listener, stop).await }
        });
        Self { receiver, address, stop, task }
    }

    pub(super) async fn end(self) -> Receiver {
        self.stop.cancel();
        tokio::time::timeout(LIMIT, self.task).await.unwrap().unwrap();
        self.receiver
    }

    /// Sends one request on a connection of its own; everything that comes back until the server closes.
    pub(super) async fn send(&self, head: &str, body: &[u8]) -> String {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let head = format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body).await.unwrap();
            let mut answer = Vec::new();
            // A reset is an answer too: an empty one.
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8(answer).unwrap()
        };
        tokio::time::timeout(LIMIT, exchange).await.unwrap()
    }

    pub(super) async fn post(&self, body: &[u8]) -> u16 {
        status(&self.send(&good_head(), body).await)
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.receiver.read(|state| state.violations.iter().map(ToString::to_string).collect())
    }
}

pub(super) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).map_or(0, |status| status.parse().unwrap())
}

#[tokio::test]
async fn a_right_request_is_stored_and_answered_204_without_body() {
    let rig = Rig::new().await;
    let answer =
        rig.send(&good_head(), &up(&[(NOW, 1.0), (NOW + 1000, f64::from_bits(STALE_MARKER_BITS))])).await;
    assert!(answer.starts_with("HTTP/1.1 204 No Content\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    let state = rig.end().await.snapshot();
    let stored: Vec<_> = state.store.select(&[(METRIC_NAME, "up"), ("job", "docker")]).collect();
    let samples = [
        Sample { timestamp: NOW, bits: 1.0_f64.to_bits() },
        Sample { timestamp: NOW + 1000, bits: STALE_MARKER_BITS },
    ];
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].1, samples);
    let request = state.last_request().unwrap();
    assert_eq!((request.samples, request.markers, request.stored, request.series), (2, 1, 2, 1));
    assert_eq!(request.times, Some((NOW, NOW + 1000)));
    assert_eq!(request.header("user-agent"), Some("docker-remote-write/0.1.0"));
    assert_eq!((state.violation_count, state.request_count, state.duplicates), (0, 1, 0));
}

#[tokio::test]
async fn rw_1_01_to_1_04_every_broken_rule_of_the_head_is_named_and_nothing_is_stored() {
    const ENCODING: &str = "Content-Encoding: snappy";
    const TYPE: &str = "Content-Type: application/x-protobuf";
    const VERSION: &str = "X-Prometheus-Remote-Write-Version: 0.1.0";
    const AGENT: &str = "User-Agent: a/1";
    let good = head(&[ENCODING, TYPE, VERSION, AGENT]);
    for (id, wanted, head) in [
        ("1.01", 405, good.replace("POST", "PUT")),
        ("1.01", 404, good.replace("/api/v1/write", "/api/v1/write/")),
        ("1.01", 404, good.replace("/api/v1/write", "/api/v1/write?x=1")),
        ("1.02", 415, head(&[TYPE, VERSION, AGENT])),
        ("1.02", 415, head(&[ENCODING, VERSION, AGENT])),
        ("1.02", 415, head(&[ENCODING, TYPE, AGENT])),
        ("1.02", 415, good.replace("0.1.0", "2.0.0")),
        ("1.02", 415, good.replace("x-protobuf", "x-protobuf;proto=prometheus.WriteRequest")),
        ("1.03", 400, head(&[ENCODING, TYPE, VERSION])),
        ("1.03", 400, good.replace("a/1", "vmagent")),
        ("1.03", 400, good.replace("a/1", "vmagent/")),
        ("1.04", 400, head(&[ENCODING, TYPE, VERSION, AGENT, VERSION])),
        ("1.04", 400, head(&[ENCODING, TYPE, VERSION, AGENT, AGENT])),
    ] {
        let rig = Rig::new().await;
        let answer = rig.send(&head, &up(&[(NOW, 1.0)])).await;
        assert_eq!(status(&answer), wanted, "{head}");
        let violations = rig.violations();
        assert!(violations.len() == 1 && violations[0].starts_with(id), "{head} {violations:?}");
        assert!(answer.contains(&violations[0]), "{answer}");
        assert_eq!(rig.receiver.read(|state| state.store.samples()), 0);
        rig.end().await;
    }
}

#[tokio::test]
async fn rw_1_05_1_06_1_08_1_10_to_1_13_and_1_17_every_broken_rule_of_the_body_is_named_and_nothing_is_stored()
 {
    let labelled = |labels: &[Pair<'_>]| body(&[series(labels, &[(NOW, 1.0)])]);
    let mut framed = b"\xff\x06\x00\x00sNaPpY".to_vec();
    framed.extend_from_slice(&up(&[(NOW, 1.0)]));
    let unknown_field = pack(b"\x10\x01");
    let cut = &up(&[(NOW, 1.0)])[..10];
    for (id, body) in [
        ("1.05", framed),
        ("1.05", cut.to_vec()),
        ("1.05", vec![]),
        ("1.06", unknown_field),
        ("1.06", pack(b"\x0a\x7f")),
        ("1.06", pack(b"\x0a\x05\x0a\x03\x0a\x01\xff")),
        ("1.08", up(&[(NOW / 1000, 1.0)])),
        ("1.08", up(&[(NOW * 1000, 1.0)])),
        ("1.08", up(&[(0, 1.0)])),
        ("1.10", labelled(&[("job", "docker")])),
        ("1.11", labelled(&[("job", "docker"), (METRIC_NAME, "up")])),
        ("1.11", labelled(&[(METRIC_NAME, "up"), ("A", "1")])),
        ("1.11", labelled(&[(METRIC_NAME, "up"), ("job", "a"), ("job", "b")])),
        ("1.11", labelled(&[("", "x"), (METRIC_NAME, "up")])),
        ("1.11", labelled(&[(METRIC_NAME, "up"), ("job", "")])),
        ("1.12", labelled(&[(METRIC_NAME, "up.x")])),
        ("1.12", labelled(&[(METRIC_NAME, "9up")])),
        ("1.12", labelled(&[(METRIC_NAME, "up"), ("a.b", "x")])),
        ("1.12", labelled(&[(METRIC_NAME, "up"), ("a:b", "x")])),
        ("1.12", labelled(&[(METRIC_NAME, "up"), ("__tmp", "x")])),
        ("1.13", up(&[(NOW + 1, 1.0), (NOW, 1.0)])),
        ("1.13", up(&[(NOW, 1.0), (NOW, 1.0)])),
        ("1.13", up(&[(NOW, 1.0), (NOW, 2.0)])),
        ("1.17", up(&[(NOW, f64::from_bits(0x7ff8_0000_0000_0000))])),
        ("1.17", up(&[(NOW, f64::from_bits(0x7ff0_0000_0000_0001))])),
    ] {
        let rig = Rig::new().await;
        assert_eq!(rig.post(&body).await, 400, "{id} {body:?}");
        let violations = rig.violations();
        assert!(violations.len() == 1 && violations[0].starts_with(id), "wanted {id}, found {violations:?}");
        assert_eq!(rig.receiver.read(|state| state.store.samples()), 0);
        rig.end().await;
    }
}

#[tokio::test]
async fn upper_case_before_the_metric_name_and_every_documented_nan_are_right() {
    let rig = Rig::new().await;
    let labels = [("A", "1"), (METRIC_NAME, "job:up"), ("_a", "é"), ("a", "\n")];
    let nan = f64::from_bits(crate::model::NORMAL_NAN_BITS);
    let samples = [(NOW, nan), (NOW + 1, f64::INFINITY), (NOW + 2, -0.0)];
    assert_eq!(rig.post(&body(&[series(&labels, &samples)])).await, 204);
    assert_eq!(rig.violations(), Vec::<String>::new());
    rig.end().await;
}

#[tokio::test]
async fn rw_1_13_order_holds_across_requests() {
    let rig = Rig::new().await;
    assert_eq!(rig.post(&up(&[(NOW, 1.0), (NOW + 1000, 1.0)])).await, 204);
    assert_eq!(rig.post(&up(&[(NOW + 500, 1.0)])).await, 400);
    assert_eq!(rig.post(&up(&[(NOW + 1000, 0.0)])).await, 400);
    assert_eq!(rig.post(&up(&[(NOW + 2000, 1.0), (NOW + 1000, 1.0)])).await, 400);
    let violations = rig.violations();
    assert_eq!(violations.len(), 3, "{violations:?}");
    assert!(violations[0].starts_with("1.13: out of order: up{job=\"docker\"} at 1790000000500 after"));
    assert!(violations[1].contains("two values"), "{violations:?}");
    assert!(violations[2].contains("out of order"), "{violations:?}");
    assert_eq!(rig.end().await.read(|state| state.store.samples()), 2);
}

#[tokio::test]
async fn an_exact_resend_is_counted_and_no_violation() {
    let rig = Rig::new().await;
    for body in [up(&[(NOW, 1.0)]), up(&[(NOW, 1.0)]), up(&[(NOW, 1.0), (NOW + 1, 2.0)]), up(&[(NOW, 1.0)])] {
        assert_eq!(rig.post(&body).await, 204);
    }
    let state = rig.end().await.snapshot();
    assert_eq!((state.duplicates, state.store.samples(), state.violation_count), (3, 2, 0));
}

#[tokio::test]
async fn rw_1_14_the_same_bytes_after_a_final_answer_are_a_violation() {
    for (first, again) in [(400, true), (413, true), (429, false), (401, false), (503, false)] {
        let rig = Rig::new().await;
        rig.receiver.answer_next(1, Answer::status(first));
        assert_eq!(rig.post(&up(&[(NOW, 1.0)])).await, first);
        rig.post(&up(&[(NOW, 1.0)])).await;
        assert_eq!(rig.violations().iter().any(|text| text.starts_with("1.14")), again, "{first}");
        rig.end().await;
    }
}

#[tokio::test]
async fn scripted_answers_store_only_what_they_say() {
    let rig = Rig::new().await;
    rig.receiver.answer_next(1, Answer::retry_after(503, "7"));
    rig.receiver.answer_next(1, Answer::Close);
    rig.receiver.answer_next(1, Answer::CloseMidAnswer);
    let body = up(&[(NOW, 1.0)]);
    let answer = rig.send(&good_head(), &body).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 7\r\n"), "{answer}");
    assert_eq!(rig.send(&good_head(), &body).await, "");
    let half = rig.send(&good_head(), &body).await;
    assert!(half.contains("content-length: 64\r\n") && half.ends_with(&".".repeat(32)), "{half}");
    assert_eq!(rig.receiver.read(|state| (state.store.samples(), state.request_count)), (0, 3));

    rig.receiver.answer_next(1, Answer::StoreThenClose);
    assert_eq!(rig.send(&good_head(), &body).await, "");
    assert_eq!(rig.receiver.read(|state| state.store.samples()), 1);
    assert_eq!(rig.post(&body).await, 204);
    let state = rig.end().await.snapshot();
    assert_eq!((state.duplicates, state.violation_count), (1, 0));
}

#[tokio::test]
async fn a_hanging_answer_ends_with_the_server() {
    let rig = Rig::new().await;
    rig.receiver.answer(Answer::Hang);
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    let body = up(&[(NOW, 1.0)]);
    let head = format!("{}Content-Length: {}\r\n\r\n", good_head(), body.len());
    stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    rig.receiver.wait_until(|state| state.request_count == 1, LIMIT).await.unwrap();
    let receiver = rig.end().await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.is_empty());
    assert_eq!(receiver.read(|state| state.last_request().unwrap().answered), Answered::Hang);
}

#[tokio::test]
async fn a_stopped_server_refuses_and_comes_back_on_the_same_port_with_what_it_had() {
    // Bound and never listening: the kernel gives the port to nobody else while the server is away.
    let held = TcpSocket::new_v4().unwrap();
    held.set_reuseaddr(true).unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let rig = Rig::serve(Receiver::new(Options::default()), held.local_addr().unwrap()).await;
    // An idle kept-alive connection does not hold the stop up.
    let _idle = TcpStream::connect(rig.address).await.unwrap();
    assert_eq!(rig.post(&up(&[(NOW, 1.0)])).await, 204);
    let address = rig.address;
    let receiver = rig.end().await;
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let rig = Rig::serve(receiver, address).await;
    assert_eq!(rig.post(&up(&[(NOW + 1, 1.0)])).await, 204);
    assert_eq!(rig.end().await.read(|state| state.store.samples()), 2);
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let rig = Rig::new().await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    for n in 0..3 {
        let body = up(&[(NOW + n, 1.0)]);
        let head = format!("{}Content-Length: {}\r\n\r\n", good_head(), body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 204");
        // Up to the blank line: a 204 has no body.
        let mut seen = vec![];
        while !seen.ends_with(b"\r\n\r\n") {
            seen.push(stream.read_u8().await.unwrap());
        }
    }
    assert_eq!(rig.end().await.read(|state| state.store.samples()), 3);
}

#[tokio::test]
async fn a_lenient_receiver_takes_what_it_can_decode_and_names_the_rest() {
    let rig = Rig::with(Options { refuse: false, ..Options::default() }).await;
    let nameless = head(&["Content-Type: application/x-protobuf", "User-Agent: vmagent"]);
    assert_eq!(status(&rig.send(&nameless, &up(&[(NOW, 1.0)])).await), 204);
    assert_eq!(rig.post(b"no snappy").await, 400);
    let state = rig.end().await.snapshot();
    assert_eq!(state.store.samples(), 1);
    assert_eq!(state.violation_count, 4);
}

#[tokio::test]
async fn waiting_for_what_never_comes_ends_in_time() {
    tokio::time::pause();
    let receiver = Receiver::new(Options::default());
    assert_eq!(receiver.wait_until(|_| false, LIMIT).await, Err(TimedOut(LIMIT)));
}

#[tokio::test]
async fn the_authorization_header_can_be_compared_but_is_not_printed() {
    let rig = Rig::new().await;
    let head = format!("{}Authorization: Bearer hunter2\r\n", good_head());
    rig.send(&head, &up(&[(NOW, 1.0)])).await;
    let state = rig.end().await.snapshot();
    assert_eq!(state.last_request().unwrap().header("authorization"), Some("Bearer hunter2"));
    assert!(!format!("{state:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_bounded_receiver_forgets_the_oldest() {
    let rig = Rig::with(Options { keep_samples: 2, keep_requests: 2, ..Options::default() }).await;
    for n in 0..6 {
        assert_eq!(rig.post(&up(&[(NOW + n, 1.0)])).await, 204);
    }
    let state = rig.end().await.snapshot();
    assert_eq!((state.store.samples(), state.request_count, state.requests.len()), (6, 6, 2));
    assert!(state.count(&[(METRIC_NAME, "up")]) <= 4);
}

/// One entry of metadata: type, family, help.
fn entry(metric_type: u8, family: &str, help: &str) -> Vec<u8> {
    let fields =
        [vec![1 << 3, metric_type], hand::nested(2, family.as_bytes()), hand::nested(4, help.as_bytes())]
            .concat();
    hand::nested(3, &fields)
}

#[tokio::test]
async fn rw_1_07_metadata_is_kept_by_family_and_counted() {
    let rig = Rig::new().await;
    let entries =
        [entry(2, "up", "first"), entry(1, "x:c_total", "counts"), entry(0, "unknown", "")].concat();
    assert_eq!(rig.post(&pack(&entries)).await, 204);
    assert_eq!(rig.post(&pack(&entry(2, "up", "then"))).await, 204);
    let state = rig.end().await.snapshot();
    assert_eq!((state.violation_count, state.store.samples()), (0, 0));
    assert_eq!(state.requests.iter().map(|request| request.metadata).collect::<Vec<_>>(), [3, 1]);
    let names: Vec<_> = state.metadata.keys().map(String::as_str).collect();
    assert_eq!(names, ["unknown", "up", "x:c_total"]);
    let up = Metadata { metric_type: 2, family: "up".into(), help: "then".into(), unit: String::new() };
    assert_eq!(state.metadata["up"], up);
}

#[tokio::test]
async fn rw_1_07_metadata_that_no_sender_may_send_is_named_and_not_kept() {
    for entries in [
        entry(2, "", "no name"),
        entry(2, "a.b", "no name of 1.0"),
        entry(8, "up", "no type"),
        [entry(2, "up", "once"), entry(2, "up", "twice")].concat(),
    ] {
        let rig = Rig::new().await;
        assert_eq!(rig.post(&pack(&entries)).await, 400);
        let violations = rig.violations();
        assert!(violations.len() == 1 && violations[0].starts_with("1.07: "), "{violations:?}");
        assert!(rig.end().await.read(|state| state.metadata.is_empty()));
    }
}

#[tokio::test]
async fn the_same_metadata_after_a_refusal_is_the_next_intervals() {
    let rig = Rig::new().await;
    rig.receiver.answer_next(1, Answer::status(400));
    let body = pack(&entry(2, "up", ""));
    assert_eq!((rig.post(&body).await, rig.post(&body).await), (400, 204));
    assert_eq!(rig.violations(), Vec::<String>::new());
    rig.end().await;
}

#[tokio::test]
async fn rw_2_24_a_native_histogram_with_custom_bounds_is_none_of_1_0() {
    // An integer count of 0, the schema -53, and a timestamp.
    let timestamp = hand::varint(NOW.cast_unsigned());
    let histogram = hand::nested(4, &[b"\x08\0\x20\x69\x78", &timestamp[..]].concat());
    let series = [series(&[(METRIC_NAME, "h")], &[]), histogram].concat();
    let rig = Rig::new().await;
    assert_eq!(rig.post(&body(&[series])).await, 400);
    let violations = rig.violations();
    assert!(violations.len() == 1 && violations[0].starts_with("2.24: h "), "{violations:?}");
    rig.end().await;
}
