//! What a Prometheus has stored, bit by bit: its remote-read API hands out staleness markers and NaNs as they are; of native histograms, see `onward`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;

use docker_remote_write::model::{HistogramKind, STALE_MARKER_BITS, SampleKind};
use docker_remote_write::proto::v1;
use prost::Message;
use prost::encoding::decode_varint;

use super::native;
use super::onward::{Log, Onward};

/// The request of remote-read. Without accepted types the answer is of samples.
#[derive(Clone, PartialEq, Message)]
struct ReadRequest {
    #[prost(message, repeated, tag = "1")]
    queries: Vec<Query>,
    #[prost(int32, repeated, tag = "2")]
    accepted_response_types: Vec<i32>,
}

/// Chunks as they are stored, in frames of a length, a checksum and a message.
const STREAMED_CHUNKS: i32 = 1;

/// Bytes.
const CHECKSUM: usize = 4;

#[derive(Clone, PartialEq, Message)]
struct ChunkedResponse {
    #[prost(message, repeated, tag = "1")]
    series: Vec<ChunkedSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct ChunkedSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<v1::Label>,
    #[prost(message, repeated, tag = "2")]
    chunks: Vec<Chunk>,
}

#[derive(Clone, PartialEq, Message)]
struct Chunk {
    #[prost(int32, tag = "3")]
    encoding: i32,
    #[prost(bytes = "vec", tag = "4")]
    data: Vec<u8>,
}

/// Encodings of chunks.
const XOR: i32 = 1;
const HISTOGRAM: i32 = 2;
const FLOAT_HISTOGRAM: i32 = 3;

/// Samples for each encoding.
type Counts = BTreeMap<i32, u16>;

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

/// What is stored at one moment.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Stored {
    /// The bits of a float.
    Float(u64),
    /// The message of a native histogram without its timestamp: as bytes, for the bits of its floats.
    Histogram(Vec<u8>),
    /// What ends a series of this kind. Prometheus's own storage keeps nothing but that of a stale histogram.
    Marker(SampleKind),
}

impl Stored {
    pub(super) const ZERO: Stored = Stored::Float(0);

    pub(super) fn float(value: f64) -> Stored {
        match value.to_bits() {
            STALE_MARKER_BITS => Stored::Marker(SampleKind::Float),
            bits => Stored::Float(bits),
        }
    }

    pub(super) fn histogram(message: v1::Histogram) -> Stored {
        let stored = Stored::Histogram(v1::Histogram { timestamp: 0, ..message }.encode_to_vec());
        if message.sum.to_bits() == STALE_MARKER_BITS { Stored::Marker(stored.kind()) } else { stored }
    }

    /// Of a float: everything else is no number.
    pub(super) fn as_f64(&self) -> f64 {
        match self {
            Stored::Float(bits) => f64::from_bits(*bits),
            Stored::Histogram(_) | Stored::Marker(_) => f64::NAN,
        }
    }

    /// Of the chunk that holds it.
    fn encoding(&self) -> i32 {
        match self.kind() {
            SampleKind::Float => XOR,
            SampleKind::Histogram(HistogramKind::Integer | HistogramKind::CustomInteger) => HISTOGRAM,
            SampleKind::Histogram(HistogramKind::Float | HistogramKind::CustomFloat) => FLOAT_HISTOGRAM,
        }
    }

    pub(super) fn is_marker(&self) -> bool {
        matches!(self, Stored::Marker(_))
    }

    pub(super) fn kind(&self) -> SampleKind {
        match self {
            Stored::Float(_) => SampleKind::Float,
            Stored::Histogram(message) => SampleKind::Histogram(match decoded(message).count {
                Some(v1::histogram::Count::CountFloat(_)) => HistogramKind::Float,
                Some(v1::histogram::Count::CountInt(_)) | None => HistogramKind::Integer,
            }),
            Stored::Marker(kind) => *kind,
        }
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stored::Float(bits) => write!(f, "{:?}/{bits:#x}", f64::from_bits(*bits)),
            Stored::Histogram(message) => {
                let histogram = decoded(message);
                write!(f, "{histogram:?} with a sum of {:#x}", histogram.sum.to_bits())
            }
            Stored::Marker(kind) => write!(f, "marker of {kind:?}"),
        }
    }
}

fn decoded(message: &[u8]) -> v1::Histogram {
    v1::Histogram::decode(message).expect("it was encoded here")
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

/// All series by their timestamps, ms since the epoch.
type Series = BTreeMap<LabelSet, BTreeMap<i64, Stored>>;

/// All samples of one series.
pub(super) type Samples = BTreeMap<At, Stored>;

/// All series of one job.
pub(super) type History = BTreeMap<LabelSet, Samples>;

/// A Prometheus that is asked what it has.
pub(super) struct Storage<'a> {
    /// Of its API.
    pub(super) port: u16,
    /// Where it sends on what it writes.
    pub(super) onward: &'a Onward,
}

impl Storage<'_> {
    /// Everything of a job that its first `steps` scrapes brought. `None` while they are not all there, shown by the samples of `up`.
    ///
    /// # Panics
    /// If the API does not answer with remote-read's protobuf.
    pub(super) fn of_job(&self, job: &str, from_ms: i64, to_ms: i64, steps: usize) -> Option<History> {
        let instance = format!("host-{job}");
        let query = |name: &str, value: &str| {
            let matcher = Matcher { kind: 0, name: name.to_owned(), value: value.to_owned() };
            Query { start_ms: from_ms, end_ms: to_ms, matchers: vec![matcher] }
        };
        // HONOR_LABELS lets a target's series leave its instance; the label `of` is on all that a script serves to such a job.
        let mut series = read(self.port, query("instance", &instance));
        series.extend(read(self.port, query("of", job)));
        let mut found = Series::new();
        for one in series {
            let samples =
                one.samples.into_iter().map(|sample| (sample.timestamp, Stored::float(sample.value)));
            found.insert(label_set(one.labels), samples.collect());
        }
        let up = up_of(job);
        let scrapes: Vec<i64> = found.get(&up)?.keys().copied().collect();
        if native::is_instance(&instance) {
            // What ends behind the last scrape is stored when there is one more behind that.
            let until = *scrapes.get(steps + 1)?;
            found = stored_of(self.onward.of_instance(&instance, &up, until)?, &up);
            self.check_stored(query("instance", &instance), &found);
        }
        placed(found, &scrapes, steps)
    }

    /// What was written into the log is what is stored: as many floats, integer histograms and float histograms, markers included.
    fn check_stored(&self, query: Query, log: &Series) {
        let request = ReadRequest { queries: vec![query], accepted_response_types: vec![STREAMED_CHUNKS] };
        let mut stored: BTreeMap<LabelSet, Counts> = BTreeMap::new();
        let answer = ask(self.port, &request);
        let mut frames = answer.as_slice();
        while !frames.is_empty() {
            let length = decode_varint(&mut frames).expect("a frame has a length");
            let (frame, behind) = frames.split_at(CHECKSUM + usize::try_from(length).expect("it is short"));
            frames = behind;
            let frame = ChunkedResponse::decode(&frame[CHECKSUM..]).expect("remote-read streams protobuf");
            for series in frame.series {
                let counts = stored.entry(label_set(series.labels)).or_default();
                for chunk in series.chunks {
                    // Every encoding begins with the number of samples.
                    *counts.entry(chunk.encoding).or_default() +=
                        u16::from_be_bytes([chunk.data[0], chunk.data[1]]);
                }
            }
        }
        let is_histogram =
            |samples: &BTreeMap<i64, Stored>| samples.values().any(|one| one.encoding() != XOR);
        for (labels, samples) in log.iter().filter(|(_, samples)| is_histogram(samples)) {
            let mut expected = Counts::new();
            samples.values().for_each(|one| *expected.entry(one.encoding()).or_default() += 1);
            assert_eq!(stored.get(labels), Some(&expected), "{labels:?}: {samples:?}");
        }
    }
}

/// The same of what a sender has sent on.
pub(super) fn sent(onward: &Onward, job: &str, steps: usize) -> Option<History> {
    let up = up_of(job);
    let series = first_of_each(onward.of_instance(&format!("host-{job}"), &up, 0)?, |_, _| true);
    let scrapes: Vec<i64> = series.get(&up)?.keys().copied().collect();
    scrapes.get(steps + 1)?;
    placed(series, &scrapes, steps)
}

fn up_of(job: &str) -> LabelSet {
    let up = [("__name__", "up"), ("instance", &*format!("host-{job}")), ("job", job)];
    up.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// By the numbers of the scrapes; `None` if there is none behind the last one, which shows that this one is complete.
fn placed(series: Series, scrapes: &[i64], steps: usize) -> Option<History> {
    scrapes.get(steps)?;
    let at = |timestamp: i64| match scrapes.binary_search(&timestamp) {
        Ok(scrape) if scrape >= steps => None,
        Ok(scrape) => Some(At::Scrape(scrape)),
        Err(_) => Some(At::Own(timestamp)),
    };
    let placed = series.into_iter().map(|(labels, samples)| {
        let samples = samples.into_iter().filter_map(|(timestamp, stored)| Some((at(timestamp)?, stored)));
        (labels, samples.collect::<Samples>())
    });
    Some(placed.filter(|(_, samples)| !samples.is_empty()).collect())
}

/// What of a log is stored: of two samples of one moment the first; and 2.42 writes the float histograms of a scrape that it takes back, but does not
/// store them.
fn stored_of(log: Log, up: &LabelSet) -> Series {
    let failed: Vec<i64> =
        log.get(up).into_iter().flatten().filter(|(_, up)| *up == Stored::ZERO).map(|(at, _)| *at).collect();
    let is_taken_back = |at: i64, stored: &Stored| {
        stored.encoding() == FLOAT_HISTOGRAM && !stored.is_marker() && failed.contains(&at)
    };
    first_of_each(log, |at, stored| !is_taken_back(at, stored))
}

/// The first sample of each moment that is wanted.
fn first_of_each(log: Log, is_wanted: impl Fn(i64, &Stored) -> bool) -> Series {
    let first = |samples: Vec<(i64, Stored)>| {
        let mut first = BTreeMap::new();
        for (at, stored) in samples {
            if is_wanted(at, &stored) {
                first.entry(at).or_insert(stored);
            }
        }
        first
    };
    log.into_iter().map(|(labels, samples)| (labels, first(samples))).collect()
}

fn label_set(labels: Vec<v1::Label>) -> LabelSet {
    labels.into_iter().map(|label| (label.name, label.value)).collect()
}

fn read(port: u16, query: Query) -> Vec<v1::TimeSeries> {
    let body = ask(port, &ReadRequest { queries: vec![query], accepted_response_types: Vec::new() });
    let message = snap::raw::Decoder::new().decompress_vec(&body).expect("remote-read answers with snappy");
    let answer = ReadResponse::decode(message.as_slice()).expect("remote-read answers with protobuf");
    answer.results.into_iter().flat_map(|result| result.timeseries).collect()
}

/// Returns the body of the answer.
fn ask(port: u16, request: &ReadRequest) -> Vec<u8> {
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
    let body = answer.split_off(end);
    assert!(answer.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&answer));
    body
}
