//! What a scrape costs the whole program, in CPU time of all its threads, beside a bare loop that does nothing but the work:
//! `cargo bench --bench program [-- series]`.
//!
//! The bare loop, blocking and single-threaded: GET over the unix socket, split lines, compare each with what it was, std's float parser,
//! 1.0 messages of 2,000 samples from labels encoded once, raw snappy, a POST of each, read the answer. No time-outs, no queue, no
//! staleness, no checks. The program is the release binary with its defaults (queue on disk, own series, requests of the same 2,000
//! samples), scraping every second, once to a sink that takes 1.0 and once to one that takes 2.0. All meet the same target, and sinks that
//! are threads of this process and are not counted.
#![allow(clippy::print_stdout, reason = "the output is the point")]

#[path = "support/body.rs"]
mod body;
#[path = "support/http.rs"]
mod http;

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SCRAPES: u64 = 15;
const WARM_UP: u64 = 3;
/// Of one request, as the program's default.
const MAX_SAMPLES: usize = 2000;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return Ok(());
    }
    let sizes: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    for series in if sizes.is_empty() { vec![600, 10_000] } else { sizes } {
        compare(series)?;
    }
    Ok(())
}

fn compare(series: usize) -> io::Result<()> {
    let world = World::new(series)?;
    let mut bare = Bare::new(&world)?;
    let hot = bare.cost(200, Duration::ZERO)?;
    let paced = bare.cost(SCRAPES, Duration::from_secs(1))?;
    let (v1, peak) = program(&world, world.sink)?;
    let (v2, _) = program(&world, world.sink_v2)?;
    println!("{series} series, {} bytes; CPU time of one scrape", world.bytes);
    println!("  bare loop, without a pause   {:>8.2} ms", hot.as_secs_f64() * 1e3);
    println!("  bare loop, every second      {:>8.2} ms", paced.as_secs_f64() * 1e3);
    println!("  the program, every second    {:>8.2} ms", v1.as_secs_f64() * 1e3);
    println!("  the program, as 2.0          {:>8.2} ms", v2.as_secs_f64() * 1e3);
    println!(
        "  ratio                        {:>8.2}    (to the loop without a pause {:.2})",
        v1.as_secs_f64() / paced.as_secs_f64(),
        v1.as_secs_f64() / hot.as_secs_f64()
    );
    println!("  the program's largest memory {:>8}", peak);
    Ok(())
}

/// A target and a sink.
struct World {
    dir: tempfile::TempDir,
    sink: SocketAddr,
    sink_v2: SocketAddr,
    scrapes: Arc<AtomicU64>,
    bytes: usize,
}

impl World {
    fn new(series: usize) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let bodies = [body::exposition(series, 0), body::exposition(series, 1)];
        let bytes = bodies[0].len();
        let answers = bodies.map(|body| {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            [head.into_bytes(), body].concat()
        });
        let scrapes = Arc::new(AtomicU64::new(0));
        let target = UnixListener::bind(dir.path().join("metrics.sock"))?;
        let served = Arc::clone(&scrapes);
        // These threads end with the process.
        std::thread::spawn(move || {
            for stream in target.incoming().flatten() {
                let at = served.fetch_add(1, Ordering::SeqCst);
                // A scraper that goes away is its own affair.
                let _ = serve(stream, &answers[usize::from(at % 2 == 1)]);
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let sink = listener.local_addr()?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || swallow(&stream, TAKES_1_0));
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let sink_v2 = listener.local_addr()?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || swallow(&stream, TAKES_2_0));
            }
        });
        Ok(Self { dir, sink, sink_v2, scrapes, bytes })
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("metrics.sock")
    }
}

fn serve(stream: UnixStream, answer: &[u8]) -> io::Result<()> {
    let mut reader = BufReader::new(&stream);
    http::head(&mut reader)?;
    (&stream).write_all(answer)
}

const TAKES_1_0: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
/// The program asks for no more than that there is such a header.
const TAKES_2_0: &[u8] =
    b"HTTP/1.1 204 No Content\r\nX-Prometheus-Remote-Write-Samples-Written: 2000\r\n\r\n";

/// Takes requests and answers them all alike, until the connection ends.
fn swallow(stream: &TcpStream, answer: &[u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    loop {
        let length = http::head(&mut reader)?;
        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
        (&*stream).write_all(answer)?;
    }
}

/// The loop that does nothing but the work.
struct Bare {
    socket: PathBuf,
    sink: TcpStream,
    remembered: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    message: Vec<u8>,
    block: Vec<u8>,
    request: Vec<u8>,
    encoder: snap::raw::Encoder,
}

impl Bare {
    fn new(world: &World) -> io::Result<Self> {
        let sink = TcpStream::connect(world.sink)?;
        sink.set_nodelay(true)?;
        Ok(Self {
            socket: world.socket(),
            sink,
            remembered: Vec::new(),
            body: Vec::new(),
            message: Vec::new(),
            block: Vec::new(),
            request: Vec::new(),
            encoder: snap::raw::Encoder::new(),
        })
    }

    /// CPU time of one turn, the mean of `turns`.
    fn cost(&mut self, turns: u64, pause: Duration) -> io::Result<Duration> {
        for turn in 0..WARM_UP {
            self.turn(turn)?;
        }
        let before = cpu_time(Path::new("/proc/thread-self"))?;
        for turn in 0..turns {
            self.turn(turn)?;
            std::thread::sleep(pause);
        }
        let spent = cpu_time(Path::new("/proc/thread-self"))? - before;
        Ok(spent / u32::try_from(turns).unwrap_or(u32::MAX))
    }

    fn turn(&mut self, turn: u64) -> io::Result<()> {
        let mut target = UnixStream::connect(&self.socket)?;
        target.write_all(b"GET /metrics HTTP/1.1\r\nHost: docker\r\nAccept: text/plain\r\n\r\n")?;
        self.body.clear();
        target.read_to_end(&mut self.body)?;
        let start = memchr::memmem::find(&self.body, b"\r\n\r\n").map_or(0, |at| at + 4);
        let (mut from, mut at) = (start, 0);
        while from < self.body.len() {
            (from, at) = self.encode(from, at, 1_790_000_000_000 + turn * 15_000);
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

/// Ends the program with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// CPU time of one scrape of the program, and the most memory that it had.
fn program(world: &World, sink: SocketAddr) -> io::Result<(Duration, String)> {
    let child = Command::new(env!("CARGO_BIN_EXE_docker-remote-write"))
        .arg("run")
        .env_clear()
        .env("REMOTE_WRITE_URL", format!("http://{sink}/api/v1/write"))
        .env("SCRAPE_URL", format!("unix://{}", world.socket().display()))
        .env("SCRAPE_INTERVAL", "1s")
        .env("QUEUE_DIR", world.dir.path().join(format!("queue-{}", sink.port())))
        .env("INSTANCE", "host")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let running = Running(child);
    let process = PathBuf::from(format!("/proc/{}", running.0.id()));
    let first = world.scrapes.load(Ordering::SeqCst);
    world.wait_for(first + WARM_UP)?;
    let before = all_threads(&process)?;
    world.wait_for(first + WARM_UP + SCRAPES)?;
    let spent = all_threads(&process)? - before;
    let status = fs::read_to_string(process.join("status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown");
    Ok((spent / u32::try_from(SCRAPES).unwrap_or(u32::MAX), peak.trim().to_owned()))
}

impl World {
    /// Waits for so many scrapes, and half a second more, in which the last one is delivered.
    fn wait_for(&self, scrapes: u64) -> io::Result<()> {
        const DEADLINE: Duration = Duration::from_secs(120);
        let start = Instant::now();
        while self.scrapes.load(Ordering::SeqCst) < scrapes {
            if start.elapsed() > DEADLINE {
                return Err(io::Error::other("the program does not scrape"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(500));
        Ok(())
    }
}

fn all_threads(process: &Path) -> io::Result<Duration> {
    let mut sum = Duration::ZERO;
    for task in fs::read_dir(process.join("task"))? {
        sum += cpu_time(&task?.path())?;
    }
    Ok(sum)
}

/// The scheduler's own count, in nanoseconds: /proc/<pid>/stat counts in steps of 10 ms.
fn cpu_time(task: &Path) -> io::Result<Duration> {
    let line = fs::read_to_string(task.join("schedstat"))?;
    let nanoseconds = line.split_ascii_whitespace().next().and_then(|field| field.parse().ok());
    nanoseconds.map(Duration::from_nanos).ok_or_else(|| io::Error::other("no schedstat"))
}
