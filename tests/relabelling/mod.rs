//! From bodies to records with rules, filters and labels that the engine fills; and without any of them.

mod actions;
mod changes;
mod limits;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use docker_remote_write::model::{Labels, SampleRef, is_stale_marker};
use docker_remote_write::proto::v2::TimeSeries;
use docker_remote_write::relabel::{self, NameFilter};
use docker_remote_write::scrape::{Ingest, Relabelling, Report, Rules, ScrapeError};
use docker_remote_write::wire::decode::decode_v2;
use docker_remote_write::wire::{Limits, RecordEncoder};

/// The settings' defaults but for the synthetic series: nobody can foretell how long a scrape takes.
fn defaults() -> Rules {
    Rules {
        target_labels: Labels::from_iter([("job", "docker"), ("instance", "host")]),
        external_labels: Labels::from_iter([("cluster", "prod")]),
        sample_limit: Some(200_000),
        ..Rules::default()
    }
}

/// Rules in YAML.
fn ruled(yaml: &str) -> Relabelling {
    let rules = relabel::Rules::compile(yaml).unwrap_or_else(|errors| panic!("{yaml}: {errors:?}"));
    Relabelling { names: NameFilter::default(), rules: Arc::new(rules) }
}

/// One target, with what it shows as text.
struct Target(Ingest);

impl Target {
    fn new(relabelling: Relabelling) -> Self {
        Self(Ingest::new(Rules { relabelling, ..defaults() }))
    }

    /// One scrape: its samples as `series value`, a marker as `stale`.
    fn scrape(&mut self, timestamp: i64, body: &str) -> (Vec<String>, Report) {
        let report = self.0.scrape(Ok(body.as_bytes()), timestamp, Instant::now());
        (self.samples(), report)
    }

    fn samples(&self) -> Vec<String> {
        let text = |sample: &SampleRef| {
            let labels = self.0.describe(sample.slot).labels;
            let value = if is_stale_marker(sample.value) { "stale".into() } else { sample.value.to_string() };
            format!("{labels} {value}")
        };
        self.0.samples().iter().map(text).collect()
    }
}

/// Bodies of a real engine, in the order of their recording.
fn captures() -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures");
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Number and checksum of all samples, as the records of a target's life say them: each capture, a failure behind the third and the fifth, the
/// end. Which symbols a record has beside those of its series is the encoder's affair.
fn records_of_a_life(mut ingest: Ingest) -> (usize, u32) {
    let mut encoder = RecordEncoder::new(Limits { max_samples: 2_000, max_bytes: 1 << 20 });
    let (mut samples, mut all) = (0, String::new());
    let mut encode = |ingest: &Ingest| {
        encoder.encode(
            ingest.samples(),
            |slot| ingest.describe(slot),
            |_, payload| {
                let record = decode_v2(payload, 64 << 20).unwrap();
                samples += record.timeseries.len();
                record.timeseries.iter().for_each(|series| tell(series, &record.symbols, &mut all));
            },
        );
    };
    let mut timestamp = 1_700_000_000_000;
    for (number, body) in captures().iter().enumerate() {
        timestamp += 15_000;
        ingest.scrape(Ok(body), timestamp, Instant::now());
        encode(&ingest);
        if number == 2 || number == 4 {
            let failure = ScrapeError::Status { target: "t".into(), status: 500 };
            ingest.scrape(Err(failure), timestamp + 5_000, Instant::now());
            encode(&ingest);
        }
    }
    ingest.end_all(timestamp + 15_000);
    encode(&ingest);
    (samples, crc32fast::hash(all.as_bytes()))
}

fn tell(series: &TimeSeries, symbols: &[String], to: &mut String) {
    let texts: Vec<_> = series.labels_refs.iter().map(|symbol| &symbols[*symbol as usize]).collect();
    let metadata = series.metadata.as_ref();
    let metadata = metadata.map(|metadata| (metadata.r#type, &symbols[metadata.help_ref as usize]));
    let samples: Vec<_> =
        series.samples.iter().map(|sample| (sample.value.to_bits(), sample.timestamp)).collect();
    to.push_str(&format!("{texts:?} {metadata:?} {samples:?}\n"));
}

#[test]
fn without_rules_the_records_are_what_they_were_before_there_were_any() {
    // Taken from the program before relabelling was wired to it.
    assert_eq!(records_of_a_life(Ingest::new(defaults())), (9_559, 71_673_398));
}

#[test]
fn rules_that_match_nothing_change_nothing() {
    let nothing = "- {action: keep}\n- {action: labeldrop, regex: never}\n- {source_labels: [never], target_label: x}\n";
    let rules = Rules { relabelling: ruled(nothing), ..defaults() };
    assert_eq!(records_of_a_life(Ingest::new(rules)), records_of_a_life(Ingest::new(defaults())));
}
