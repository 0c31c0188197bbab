//! Scrapes, restarts and kills with a real queue on disk, seen by a receiver (remote-write 3.07).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::Source;
use crate::model::{Labels, is_stale_marker};
use crate::queue::{Config, Fate, Position, Queue, Storage};
use crate::scrape::{Format, Rules, ScrapeError};
use crate::wire::decode::decode_v2;

#[derive(Clone, Debug)]
enum Event {
    Scrape(BTreeSet<u8>),
    Failure,
    Stop,
    /// The receiver takes all that is on disk.
    Deliver,
    /// The queue is closed, and opened again.
    Restart,
    /// Nothing is closed; these bytes are what was being written into the journal.
    Kill(Vec<u8>),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => prop::collection::btree_set(0..8_u8, 0..8).prop_map(Event::Scrape),
        1 => Just(Event::Failure),
        1 => Just(Event::Stop),
        3 => Just(Event::Deliver),
        1 => Just(Event::Restart),
        2 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Event::Kill),
    ];
    prop::collection::vec(event, 1..25)
}

/// Of each series, its samples by time: whether it is a marker.
type Receiver = BTreeMap<Labels, BTreeMap<i64, bool>>;

struct Process {
    queue: Queue,
    source: Source,
}

impl Process {
    fn start(dir: &std::path::Path) -> Self {
        let storage = Storage::Disk(dir.to_owned());
        let config =
            Config { storage, max_disk_bytes: 64 << 20, min_free_disk: None, max_memory_bytes: 1 << 20 };
        let queue = Queue::open(&config, &["a".to_owned()]).unwrap();
        let rules = Rules {
            target_labels: Labels::from_iter([("job", "docker")]),
            synthetic_series: true,
            ..Rules::default()
        };
        let source = Source::new(rules, &queue, "series");
        Self { queue, source }
    }

    fn open(&self) -> BTreeSet<Labels> {
        self.source.ingest.open_series().map(|(labels, _)| labels.clone()).collect()
    }

    async fn deliver(&self, receiver: &mut Receiver) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.queue.stats().waiting_records > 0 {
            assert!(Instant::now() < deadline, "the disk takes nothing");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut from = self.queue.cursor(0).sequence;
        while let Some(record) = self.queue.read(from).await.unwrap() {
            from = record.sequence + 1;
            let request = decode_v2(&record.payload, 1 << 20).unwrap();
            let symbol = |at: u32| request.symbols[at as usize].as_str();
            for series in &request.timeseries {
                let labels: Labels =
                    series.labels_refs.chunks(2).map(|pair| (symbol(pair[0]), symbol(pair[1]))).collect();
                let sample = series.samples[0];
                receiver.entry(labels).or_default().insert(sample.timestamp, is_stale_marker(sample.value));
            }
        }
        self.queue.settle(0, Position { sequence: from, entry: 0 }, Fate::Delivered);
    }
}

fn alive(receiver: &Receiver) -> BTreeSet<Labels> {
    let living = receiver.iter().filter(|(_, samples)| samples.last_key_value().is_some_and(|last| !last.1));
    living.map(|(labels, _)| labels.clone()).collect()
}

fn check(receiver: &Receiver) {
    for (labels, samples) in receiver {
        let mut ended = true;
        for (at, marker) in samples {
            assert!(!(ended && *marker), "{labels} ends at {at}, and had ended or not begun: {samples:?}");
            ended = *marker;
        }
    }
}

async fn tell(events: Vec<Event>) {
    let dir = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::new();
    let mut process = Process::start(dir.path());
    let mut exposed = None;
    for (at, event) in (1..).zip(events) {
        match event {
            Event::Scrape(series) => {
                let body: String = series.iter().map(|n| format!("m{{n=\"{n}\"}} 1\n")).collect();
                process.source.scrape(Ok((Format::Text, body.as_bytes())), at * 1_000, Instant::now());
                exposed = Some(series.len() + 5);
            }
            Event::Failure => {
                let error = ScrapeError::Status { target: "t".into(), status: 500 };
                process.source.scrape(Err(error), at * 1_000, Instant::now());
                exposed = None;
            }
            Event::Stop => {
                process.source.end_all(at * 1_000);
                exposed = Some(0);
            }
            Event::Deliver => {
                process.deliver(&mut receiver).await;
                check(&receiver);
                assert_eq!(alive(&receiver), process.open());
                assert!(exposed.is_none_or(|exposed| exposed == process.open().len()));
            }
            Event::Restart => {
                let open = process.open();
                process.queue.close().await;
                drop(process);
                process = Process::start(dir.path());
                assert_eq!(process.open(), open);
                exposed = None;
            }
            Event::Kill(torn) => {
                drop(process);
                // The thread lets go of the directory when it has; a new process would wait for the lock as this does.
                let journal = dir.path().join("journal-series");
                process = {
                    drop(Process::start(dir.path()));
                    if !torn.is_empty() && journal.exists() {
                        let mut file = std::fs::OpenOptions::new().append(true).open(&journal).unwrap();
                        file.write_all(&torn).unwrap();
                    }
                    Process::start(dir.path())
                };
                exposed = None;
                process.deliver(&mut receiver).await;
                assert_eq!(alive(&receiver), process.open(), "what is kept is what was queued");
            }
        }
    }
    process.source.scrape(Ok((Format::Text, b"m{n=\"0\"} 1\n")), 1_000_000, Instant::now());
    process.deliver(&mut receiver).await;
    check(&receiver);
    assert_eq!(alive(&receiver).len(), 6, "every series that vanished has ended");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn rw_3_07_over_restarts_and_kills_a_receiver_sees_every_vanished_series_end_once(events in events()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(tell(events));
    }
}
