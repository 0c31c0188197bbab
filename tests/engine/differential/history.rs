//! What a Prometheus has stored, bit by bit: its remote-read API hands out staleness markers and NaNs as they are.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;

use docker_remote_write::model::STALE_MARKER_BITS;
use docker_remote_write::proto::v1;
use prost::Message;

/// The request of remote-read: 1 queries.
#[derive(Clone, PartialEq, Message)]
struct ReadRequest {
    #[prost(message, repeated, tag = "1")]
    queries: Vec<Query>,
}

#[derive(Clone, PartialEq, Message)]
struct Query {
    #[prost(int64, tag = "1")]
    start_ms: i64,
    #[prost(int64, tag = "2")]
    end_ms: i64,
    #[prost(message, repeated, tag = "3")]
    matchers: Vec<Matcher>,
}

/// Type 0 is equality, 3 a regex that must not match.
#[derive(Clone, PartialEq, Message)]
struct Matcher {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    value: String,
}

/// The answer: one result for each query. A result has the fields of a write request.
#[derive(Clone, PartialEq, Message)]
struct ReadResponse {
    #[prost(message, repeated, tag = "1")]
    results: Vec<v1::WriteRequest>,
}

/// A label set, sorted.
pub(super) type LabelSet = BTreeMap<String, String>;

/// Bits of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Bits(pub(super) u64);

impl Bits {
    pub(super) const MARKER: Bits = Bits(STALE_MARKER_BITS);

    pub(super) fn is_marker(self) -> bool {
        self == Bits::MARKER
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_marker() {
            return f.write_str("marker");
        }
        write!(f, "{:?}/{:#x}", f64::from_bits(self.0), self.0)
    }
}

/// Where a sample stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum At {
    /// At the k-th scrape, counted from 0: the two sides' clocks differ, their scripts do not.
    Scrape(usize),
    /// At a timestamp that the target gave, ms since the epoch.
    Own(i64),
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Scrape(scrape) => write!(f, "scrape {scrape}"),
            At::Own(at) => write!(f, "own {at}"),
        }
    }
}

/// All samples of one series.
pub(super) type Samples = BTreeMap<At, Bits>;

/// All series of one job.
pub(super) type History = BTreeMap<LabelSet, Samples>;

/// Everything of a job that its first `steps` scrapes brought. `None` while they are not all there, shown by the samples of `up`.
///
/// # Panics
/// If the API does not answer with remote-read's protobuf.
pub(super) fn of_job(port: u16, job: &str, from_ms: i64, to_ms: i64, steps: usize) -> Option<History> {
    let target = ("instance", format!("host-{job}"));
    let read = |name: &str, value: String| {
        let matcher = Matcher { kind: 0, name: name.to_owned(), value };
        read(
            port,
            &ReadRequest {
                queries: vec![Query { start_ms: from_ms, end_ms: to_ms, matchers: vec![matcher] }],
            },
        )
    };
    // HONOR_LABELS lets a target's series leave its instance; the label `of` is on all that a script serves to such a job.
    let mut series = read(target.0, target.1);
    for more in read("of", job.to_owned()) {
        if !series.iter().any(|known| known.labels == more.labels) {
            series.push(more);
        }
    }
    let up = series.iter().find(|series| {
        let label = |name: &str| {
            series.labels.iter().find(|label| label.name == name).map(|label| label.value.as_str())
        };
        label("__name__") == Some("up") && label("job") == Some(job) && series.labels.len() == 3
    })?;
    let scrapes: BTreeMap<i64, usize> =
        up.samples.iter().enumerate().map(|(scrape, sample)| (sample.timestamp, scrape)).collect();
    if scrapes.len() <= steps {
        return None;
    }
    let mut history = History::new();
    for one in series {
        let labels = one.labels.into_iter().map(|label| (label.name, label.value)).collect();
        let samples: Samples = one
            .samples
            .into_iter()
            .filter_map(|sample| {
                let at = match scrapes.get(&sample.timestamp) {
                    Some(scrape) if *scrape >= steps => return None,
                    Some(scrape) => At::Scrape(*scrape),
                    None => At::Own(sample.timestamp),
                };
                Some((at, Bits(sample.value.to_bits())))
            })
            .collect();
        if !samples.is_empty() {
            history.insert(labels, samples);
        }
    }
    Some(history)
}

fn read(port: u16, request: &ReadRequest) -> Vec<v1::TimeSeries> {
    let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).expect("it is short");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the receiver runs");
    let head = format!(
        "POST /api/v1/read HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
         X-Prometheus-Remote-Read-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut answer = Vec::new();
    let sent = stream.write_all(&[head.as_bytes(), &body].concat());
    sent.and_then(|()| stream.read_to_end(&mut answer)).expect("the receiver answers");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head ends") + 4;
    let (head, body) = answer.split_at(end);
    assert!(head.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&answer));
    let message = snap::raw::Decoder::new().decompress_vec(body).expect("remote-read answers with snappy");
    let answer = ReadResponse::decode(message.as_slice()).expect("remote-read answers with protobuf");
    answer.results.into_iter().flat_map(|result| result.timeseries).collect()
}
