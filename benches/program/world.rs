//! A target and a sink, the other ends of one contender.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::{body, http};

/// Which message the sink says that it takes.
#[derive(Clone, Copy)]
pub(crate) enum Message {
    V1,
    V2,
}

/// Its threads end with this process.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) sink: SocketAddr,
    scrapes: Arc<AtomicU64>,
}

impl Place {
    pub(crate) fn new(series: usize, message: Message) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let answers = [0, 1].map(|scrape| {
            let body = body::exposition(series, scrape);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            [head.into_bytes(), body].concat()
        });
        let scrapes = Arc::new(AtomicU64::new(0));
        let target = UnixListener::bind(dir.path().join("metrics.sock"))?;
        let served = Arc::clone(&scrapes);
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
                std::thread::spawn(move || swallow(&stream, message));
            }
        });
        Ok(Self { dir, sink, scrapes })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("metrics.sock")
    }

    /// Answers so far.
    pub(crate) fn scrapes(&self) -> u64 {
        self.scrapes.load(Ordering::SeqCst)
    }

    /// Waits for so many scrapes since the beginning, and half a second more, in which the last one is delivered; calls `meanwhile` now and
    /// then.
    pub(crate) fn wait_for(
        &self,
        scrapes: u64,
        mut meanwhile: impl FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        const DEADLINE: Duration = Duration::from_secs(120);
        let start = Instant::now();
        while self.scrapes() < scrapes {
            if start.elapsed() > DEADLINE {
                return Err(io::Error::other("a contender does not scrape"));
            }
            std::thread::sleep(Duration::from_millis(50));
            meanwhile()?;
        }
        std::thread::sleep(Duration::from_millis(500));
        Ok(())
    }
}

fn serve(stream: UnixStream, answer: &[u8]) -> io::Result<()> {
    let mut reader = BufReader::new(&stream);
    http::head(&mut reader)?;
    (&stream).write_all(answer)
}

/// Takes requests and answers them all alike, until the connection ends. The program asks of an endpoint of 2.0 no more than that there is
/// such a header.
fn swallow(stream: &TcpStream, message: Message) -> io::Result<()> {
    let answer: &[u8] = match message {
        Message::V1 => b"HTTP/1.1 204 No Content\r\n\r\n",
        Message::V2 => b"HTTP/1.1 204 No Content\r\nX-Prometheus-Remote-Write-Samples-Written: 2000\r\n\r\n",
    };
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    loop {
        let length = http::head(&mut reader)?;
        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
        (&*stream).write_all(answer)?;
    }
}
