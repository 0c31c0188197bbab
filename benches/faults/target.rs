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
    served: Arc<AtomicU64>,
}

impl Target {
    pub(crate) fn start(series: usize) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let served = Arc::new(AtomicU64::new(0));
        let lines = Arc::new(Lines::new(series));
        let counter = Arc::clone(&served);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (lines, served) = (Arc::clone(&lines), Arc::clone(&counter));
                // A scraper that goes away is its own affair.
                thread::spawn(move || serve(&stream, &lines, &served));
            }
        });
        Ok(Self { address, served })
    }

    /// The number of the last scrape that was written to its end.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::SeqCst)
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

fn serve(stream: &TcpStream, lines: &Lines, served: &AtomicU64) -> io::Result<()> {
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
        let scrape = served.load(Ordering::SeqCst) + 1;
        let body = lines.exposition(scrape);
        let mut writer = stream;
        write!(
            writer,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        writer.write_all(&body)?;
        served.store(scrape, Ordering::SeqCst);
    }
}
