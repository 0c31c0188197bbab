//! A target that says anything at all, until it is told to be good.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// What it does with one connection, whose request it has read; the number counts from 0.
pub(super) type Conduct = dyn Fn(&mut UnixStream, usize) -> io::Result<()> + Send + Sync;

/// The series of the good exposition.
pub(super) const GOOD: &str = "good_again";

#[derive(Clone)]
pub(super) struct Target {
    good: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Target {
    /// Listens for ever, on a thread of its own.
    pub(super) fn listen(path: &Path, conduct: Arc<Conduct>) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let target = Self { good: Arc::default(), asked: Arc::default() };
        let serving = target.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, target, conduct) = (stream.unwrap(), serving.clone(), Arc::clone(&conduct));
                // The scraper may go away at any moment; that is its right.
                std::thread::spawn(move || target.answer(&mut stream, &*conduct));
            }
        });
        target
    }

    pub(super) fn be_good(&self) {
        self.good.store(true, SeqCst);
    }

    /// How often it has been asked while it was not good.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    fn answer(&self, stream: &mut UnixStream, conduct: &Conduct) -> io::Result<()> {
        let _ = stream.read(&mut [0; 4096])?;
        if self.good.load(SeqCst) {
            return stream.write_all(&ok("", format!("{GOOD} 1\n")));
        }
        let number = self.asked.fetch_add(1, SeqCst);
        conduct(stream, number)
    }
}

/// A whole answer in delimited protobuf.
pub(super) fn protobuf(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
         encoding=delimited\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A whole answer; `headers` with their line ends.
pub(super) fn ok(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [head(&format!("{headers}Content-Length: {}\r\n", body.len())).as_bytes(), body].concat()
}

pub(super) fn head(headers: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n{headers}\r\n"
    )
}

/// Writes the same bytes until the other side is tired of it.
pub(super) fn endlessly(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let many = bytes.repeat(64 * 1024 / bytes.len() + 1);
    loop {
        stream.write_all(&many)?;
    }
}

/// Writes a few bytes now and then.
pub(super) fn drip(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    loop {
        stream.write_all(bytes)?;
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// Text that does not compress, of letters and digits.
pub(super) fn noise(bytes: usize, seed: u64) -> String {
    const DIGITS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789__";
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = Vec::with_capacity(bytes + 8);
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.extend(state.to_le_bytes().map(|byte| DIGITS[usize::from(byte % 64)]));
    }
    text.truncate(bytes);
    String::from_utf8(text).unwrap()
}
