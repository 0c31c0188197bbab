//! A receiver of remote-write 1.0 that counts every sample of the target.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use docker_remote_write::proto::v1::TimeSeries;
use docker_remote_write::wire::decode::decode_v1;

/// Serves until the process ends.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    mood: Mutex<Mood>,
    arrived: Mutex<Arrived>,
}

/// What is done with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(dead_code, reason = "each bench has its own faults")]
pub(crate) enum Mood {
    /// Counted and answered 204.
    #[default]
    Taking,
    /// Answered 503.
    Unavailable,
    /// The connection is closed without an answer.
    Closing,
    /// Counted, and the connection closed without an answer: it comes a second time.
    Forgetting,
    /// Counted and answered 204 after this time.
    Slow(Duration),
}

/// Everything that was answered 204.
#[derive(Default)]
struct Arrived {
    series: HashMap<u64, Seen>,
    duplicated: u64,
    out_of_order: u64,
    /// When the newest sample of each scrape came.
    arrivals: Vec<Option<Instant>>,
}

#[derive(Default)]
struct Seen {
    newest: i64,
    /// How often the sample of each scrape came.
    scrapes: Vec<u8>,
}

/// What came of scrapes 1 to `to`.
pub(crate) struct Count {
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) out_of_order: u64,
    /// When the last of them came.
    pub(crate) last: Option<Instant>,
}

impl Sink {
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let sink = Self { address, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A connection that breaks is the sender's affair.
                thread::spawn(move || shared.serve(&stream));
            }
        });
        Ok(sink)
    }

    /// From now on requests meet this.
    pub(crate) fn set(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    pub(crate) fn count(&self, series: usize, to: u64) -> Count {
        let arrived = self.shared.lock();
        let scrapes = usize::try_from(to).unwrap_or(usize::MAX);
        let came: usize = arrived
            .series
            .values()
            .map(|seen| seen.scrapes.iter().skip(1).take(scrapes).filter(|times| **times > 0).count())
            .sum();
        let wanted = series as u64 * to;
        Count {
            lost: wanted.saturating_sub(came as u64),
            duplicated: arrived.duplicated,
            out_of_order: arrived.out_of_order,
            last: arrived.arrivals.iter().skip(1).take(scrapes).flatten().max().copied(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::with_capacity(1 << 16, stream);
        let mut body = Vec::new();
        let mut writer = stream;
        loop {
            let length = crate::http::head(&mut reader)?;
            body.clear();
            if (&mut reader).take(length).read_to_end(&mut body)? as u64 != length {
                return Ok(());
            }
            let mood = *self.mood.lock().unwrap_or_else(PoisonError::into_inner);
            match mood {
                Mood::Taking | Mood::Forgetting => {}
                Mood::Unavailable => {
                    writer.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")?;
                    continue;
                }
                Mood::Closing => return Ok(()),
                Mood::Slow(pause) => thread::sleep(pause),
            }
            let request = decode_v1(&body, 1 << 30).map_err(io::Error::other)?;
            let mut arrived = self.lock();
            request.timeseries.iter().for_each(|series| arrived.take(series));
            drop(arrived);
            if mood == Mood::Forgetting {
                return Ok(());
            }
            writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
        }
    }
}

impl Arrived {
    fn take(&mut self, series: &TimeSeries) {
        let name = series.labels.iter().find(|label| label.name == "__name__");
        // The target's own series only: `up` and the like are not numbered.
        if !name.is_some_and(|label| label.value.starts_with("engine_part_")) {
            return;
        }
        let mut hasher = DefaultHasher::new();
        series.labels.iter().for_each(|label| (&label.name, &label.value).hash(&mut hasher));
        let seen = self.series.entry(hasher.finish()).or_default();
        for sample in &series.samples {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "scrapes are small whole numbers"
            )]
            let scrape = sample.value as usize;
            if sample.value.is_nan() || scrape == 0 {
                continue;
            }
            if seen.scrapes.len() <= scrape {
                seen.scrapes.resize(scrape + 1, 0);
            }
            seen.scrapes[scrape] = seen.scrapes[scrape].saturating_add(1);
            if seen.scrapes[scrape] > 1 {
                self.duplicated += 1;
                continue;
            }
            self.out_of_order += u64::from(sample.timestamp < seen.newest);
            seen.newest = seen.newest.max(sample.timestamp);
            if self.arrivals.len() <= scrape {
                self.arrivals.resize(scrape + 1, None);
            }
            self.arrivals[scrape] = Some(Instant::now());
        }
    }
}
