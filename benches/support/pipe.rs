//! The way of a scrape from its body to the queue, put together as the collector does it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use docker_remote_write::model::Labels;
use docker_remote_write::queue::{
    Changes, Config, Fate, Form, Journal, Pack, Position, Queue, RecordMeta, Storage,
};
use docker_remote_write::scrape::{ChangeKind, Format, Ingest, Rules};
use docker_remote_write::wire::snappy;
use docker_remote_write::wire::{Counts, Limits, RecordEncoder, Scrape};

/// As the collector cuts.
pub(crate) const RECORD_LIMITS: Limits = Limits { max_samples: 2_000, max_bytes: 1 << 20 };

/// When a scrape takes place, ms since the epoch: every 15 s.
pub(crate) fn time_of(scrape: u64) -> i64 {
    1_790_000_000_000 + 15_000 * i64::try_from(scrape).unwrap_or_default()
}

/// The default rules, with all that costs something switched on.
pub(crate) fn rules() -> Rules {
    Rules {
        target_labels: Labels::from_iter([("instance", "host.example.org"), ("job", "docker")]),
        external_labels: Labels::from_iter([("cluster", "production")]),
        sample_limit: Some(200_000),
        synthetic_series: true,
        ..Rules::default()
    }
}

/// A queue's settings: the defaults.
pub(crate) fn queue_config(storage: Storage) -> Config {
    Config { storage, max_disk_bytes: 256 << 20, min_free_disk: None, max_memory_bytes: 16 << 20 }
}

/// What the queue asks about a record.
pub(crate) fn meta(counts: Counts) -> RecordMeta {
    RecordMeta {
        samples: counts.samples,
        markers: counts.markers,
        min_timestamp: counts.min_timestamp,
        max_timestamp: counts.max_timestamp,
    }
}

/// From a body to appended records.
pub(crate) struct Pipe {
    ingest: Ingest,
    encoder: RecordEncoder,
    queue: Queue,
    journal: Journal,
    changes: Changes,
    entry: String,
    scrapes: u64,
}

impl Pipe {
    /// With a queue on disk.
    pub(crate) fn on_disk(dir: &Path) -> Self {
        Self::with_rules(dir, rules())
    }

    /// The same, with these rules.
    pub(crate) fn with_rules(dir: &Path, rules: Rules) -> Self {
        let config = queue_config(Storage::Disk(dir.to_owned()));
        let queue = Queue::open(&config, &["main".to_owned()]).expect("a directory of our own");
        let (ingest, encoder) = (Ingest::new(rules), RecordEncoder::new(RECORD_LIMITS));
        let journal = queue.journal("series");
        let changes = Changes::default();
        Self { ingest, encoder, queue, journal, changes, entry: String::new(), scrapes: 0 }
    }

    /// One scrape, queued and settled as delivered; how many records it made.
    pub(crate) fn scrape(&mut self, body: &[u8]) -> u64 {
        self.scrape_in(Format::Text, body)
    }

    /// The same, of a body in this format.
    pub(crate) fn scrape_in(&mut self, format: Format, body: &[u8]) -> u64 {
        self.scrapes += 1;
        self.ingest.scrape_as(Ok((format, body)), time_of(self.scrapes), Instant::now());
        let Self { ingest, encoder, queue, journal, changes, entry, scrapes: _ } = self;
        let ingest = &*ingest;
        let mut records = 0;
        let mut last = 0;
        // All with the first record; the collector gives each its own.
        changes.clear();
        for change in ingest.changes() {
            entry.clear();
            // Writing into a String does not fail.
            let _ = write!(entry, "{}", ingest.describe(change.slot).labels);
            match change.kind {
                ChangeKind::Opened => changes.add(entry.as_bytes()),
                ChangeKind::Ended => changes.remove(entry.as_bytes()),
            }
        }
        encoder.encode_raw(
            &Scrape {
                samples: ingest.samples(),
                exemplars: ingest.exemplars(),
                histograms: ingest.histograms(),
            },
            |slot| ingest.describe(slot),
            |counts, record| {
                let form = Form::Raw(Pack(snappy::pack));
                last = journal.append_as(form, meta(counts), Bytes::from(record), changes);
                changes.clear();
                records += 1;
            },
        );
        queue.settle(0, Position { sequence: last + 1, entry: 0 }, Fate::Delivered);
        records
    }
}
