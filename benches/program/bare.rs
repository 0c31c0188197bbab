//! The loop that does nothing but the work, blocking and single-threaded: GET over the unix socket, split lines, compare each with what it
//! was, std's float parser, 1.0 messages of 2,000 samples from labels encoded once, raw snappy, a POST of each over one connection, read the
//! answer. No time-outs, no queue, no staleness, no checks.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::world::Place;
use crate::{cpu, http};

/// Of one request, as the program's default.
const MAX_SAMPLES: usize = 2000;

/// What is kept from turn to turn.
pub(crate) struct Bare {
    socket: PathBuf,
    turns: u64,
    sink: TcpStream,
    remembered: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    message: Vec<u8>,
    block: Vec<u8>,
    request: Vec<u8>,
    encoder: snap::raw::Encoder,
}

impl Bare {
    pub(crate) fn new(place: &Place) -> io::Result<Self> {
        Self::between(place.socket(), place.sink)
    }

    pub(crate) fn between(socket: PathBuf, sink: SocketAddr) -> io::Result<Self> {
        let sink = TcpStream::connect(sink)?;
        sink.set_nodelay(true)?;
        Ok(Self {
            socket,
            turns: 0,
            sink,
            remembered: Vec::new(),
            body: Vec::new(),
            message: Vec::new(),
            block: Vec::new(),
            request: Vec::new(),
            encoder: snap::raw::Encoder::new(),
        })
    }

    /// CPU time of one turn, the mean of so many without a pause.
    pub(crate) fn hot(&mut self, turns: u32) -> io::Result<Duration> {
        self.turn()?;
        let before = cpu::of_this_thread()?;
        for _ in 0..turns {
            self.turn()?;
        }
        Ok((cpu::of_this_thread()? - before) / turns)
    }

    pub(crate) fn turn(&mut self) -> io::Result<()> {
        self.turns += 1;
        let mut target = UnixStream::connect(&self.socket)?;
        target.write_all(b"GET /metrics HTTP/1.1\r\nHost: docker\r\nAccept: text/plain\r\n\r\n")?;
        self.body.clear();
        target.read_to_end(&mut self.body)?;
        let start = memchr::memmem::find(&self.body, b"\r\n\r\n").map_or(0, |at| at + 4);
        let (mut from, mut at) = (start, 0);
        while from < self.body.len() {
            (from, at) = self.encode(from, at, 1_790_000_000_000 + self.turns * 15_000);
            self.post()?;
        }
        Ok(())
    }

    fn post(&mut self) -> io::Result<()> {
        self.block.resize(snap::raw::max_compress_len(self.message.len()), 0);
        let length = self.encoder.compress(&self.message, &mut self.block).map_err(io::Error::other)?;
        self.request.clear();
        // One write: a stream sends each piece of a format string by itself.
        write!(
            self.request,
            "POST /api/v1/write HTTP/1.1\r\nHost: sink\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {length}\r\n\r\n"
        )?;
        self.request.extend_from_slice(&self.block[..length]);
        self.sink.write_all(&self.request)?;
        http::head(&mut BufReader::new(&self.sink)).map(drop)
    }

    /// One request from there on, whose first series has this number. Returns where the next one begins, with which number.
    fn encode(&mut self, start: usize, first: usize, timestamp: u64) -> (usize, usize) {
        self.message.clear();
        let (mut rest, mut at) = (&self.body[start..], first);
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            if line.first() == Some(&b'#') {
                continue;
            }
            if at == first + MAX_SAMPLES {
                return (self.body.len() - rest.len() - line.len() - 1, at);
            }
            let split = memchr::memrchr(b' ', line).unwrap_or_default();
            let (raw, value) = (&line[..split], &line[split + 1..]);
            if self.remembered.get(at).is_none_or(|(known, _)| known != raw) {
                self.remembered.truncate(at);
                self.remembered.push((raw.to_vec(), labels(raw)));
            }
            let value = std::str::from_utf8(value).ok().and_then(|value| value.parse::<f64>().ok());
            let labels = &self.remembered[at].1;
            let sample_len = 1 + 8 + 1 + varint_len(timestamp);
            put_varint(10, &mut self.message);
            put_varint((labels.len() + 2 + sample_len) as u64, &mut self.message);
            self.message.extend_from_slice(labels);
            self.message.extend_from_slice(&[18, u8::try_from(sample_len).unwrap_or(u8::MAX), 9]);
            self.message.extend_from_slice(&value.unwrap_or(f64::NAN).to_le_bytes());
            self.message.push(16);
            put_varint(timestamp, &mut self.message);
            at += 1;
        }
        (self.body.len(), at)
    }
}

/// The labels that the program would send, as fields of a 1.0 `TimeSeries`; enough for the expositions of this benchmark.
fn labels(raw: &[u8]) -> Vec<u8> {
    let raw = String::from_utf8_lossy(raw).into_owned();
    let (name, pairs) = raw.split_once('{').unwrap_or((&raw, ""));
    let pairs = pairs.trim_end_matches('}').split(',').filter_map(|pair| pair.split_once('='));
    let mut labels = vec![("__name__", name), ("instance", "host"), ("job", "docker")];
    labels.extend(pairs.map(|(name, value)| (name, value.trim_matches('"'))));
    labels.sort_unstable();
    let mut out = Vec::new();
    for (name, value) in labels {
        let len = 2 + name.len() + 1 + varint_len(value.len() as u64) + value.len();
        put_varint(10, &mut out);
        put_varint(len as u64, &mut out);
        for (tag, text) in [(10, name), (18, value)] {
            put_varint(tag, &mut out);
            put_varint(text.len() as u64, &mut out);
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

fn varint_len(value: u64) -> usize {
    prost::encoding::encoded_len_varint(value)
}

fn put_varint(value: u64, out: &mut Vec<u8>) {
    prost::encoding::encode_varint(value, out);
}
