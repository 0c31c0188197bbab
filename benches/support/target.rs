//! A target whose values tell which scrape they belong to.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::body;

/// Serves until the process ends.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    served: AtomicU64,
    asked: AtomicU64,
}

/// What is different about an answer.
#[allow(dead_code, reason = "each bench has its own faults")]
pub(crate) enum Twist {
    None,
    /// More lines at its end.
    Lines(String),
    /// Another line at its end, which nobody can read. The number of the scrape comes again.
    Garbage,
    /// Another status, no body. The number of the scrape comes again.
    Status(u16),
    /// It ends in the middle. The number of the scrape comes again.
    Cut,
}

/// The twist of each answer, by how many were given before it.
pub(crate) type Twists = fn(u64) -> Twist;

impl Target {
    pub(crate) fn start(series: usize, twists: Twists) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let lines = Arc::new(Lines::new(series));
        let counter = Arc::clone(&counts);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (lines, counts) = (Arc::clone(&lines), Arc::clone(&counter));
                // A scraper that goes away is its own affair.
                thread::spawn(move || serve(&stream, &lines, &counts, twists));
            }
        });
        Ok(Self { address, counts })
    }

    /// The number of the last scrape that was written to its end.
    pub(crate) fn served(&self) -> u64 {
        self.counts.served.load(Ordering::SeqCst)
    }
}

/// The exposition without its values.
struct Lines(Vec<String>);

impl Lines {
    fn new(series: usize) -> Self {
        let body = String::from_utf8_lossy(&body::exposition(series, 0)).into_owned();
        let cut = |line: &str| match line.rsplit_once(' ') {
            Some((start, _)) if !line.starts_with('#') => format!("{start} "),
            Some(_) | None => line.to_owned(),
        };
        Self(body.lines().map(cut).collect())
    }

    fn exposition(&self, scrape: u64) -> Vec<u8> {
        let number = scrape.to_string();
        let mut body = Vec::with_capacity(self.0.iter().map(|line| line.len() + 8).sum());
        for line in &self.0 {
            body.extend_from_slice(line.as_bytes());
            if !line.starts_with('#') {
                body.extend_from_slice(number.as_bytes());
            }
            body.push(b'\n');
        }
        body
    }
}

fn serve(stream: &TcpStream, lines: &Lines, counts: &Counts, twists: Twists) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line != "\r\n" {
            continue;
        }
        // One scraper with one scrape at a time: nobody else takes this number.
        let scrape = counts.served.load(Ordering::SeqCst) + 1;
        let twist = twists(counts.asked.fetch_add(1, Ordering::SeqCst));
        let mut body = lines.exposition(scrape);
        let (mut status, mut promised) = (200, 0);
        match &twist {
            Twist::None => {}
            Twist::Lines(more) => body.extend_from_slice(more.as_bytes()),
            Twist::Garbage => body.extend_from_slice(b"engine_part{ 1\n"),
            Twist::Status(other) => {
                status = *other;
                body.clear();
            }
            Twist::Cut => {
                promised = body.len();
                body.truncate(promised / 2);
            }
        }
        let mut writer = stream;
        write!(
            writer,
            "HTTP/1.1 {status} x\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n",
            promised.max(body.len())
        )?;
        writer.write_all(&body)?;
        match twist {
            Twist::None | Twist::Lines(_) => counts.served.store(scrape, Ordering::SeqCst),
            Twist::Garbage | Twist::Status(_) => {}
            Twist::Cut => return Ok(()),
        }
    }
}
