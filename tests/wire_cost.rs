//! What a scrape costs on the wire as 2.0, beside our own 1.0. The bytes are the same on every machine.

#[path = "../benches/support/body.rs"]
mod body;

use std::time::Instant;

use docker_remote_write::model::Labels;
use docker_remote_write::scrape::{Ingest, Rules};
use docker_remote_write::wire::{Limits, RecordEncoder, v1, v2};

/// Payloads and their samples, cut as the collector cuts.
fn records() -> Vec<(Vec<u8>, u32)> {
    let rules = Rules {
        target_labels: Labels::from_iter([("instance", "host.example.org"), ("job", "docker")]),
        external_labels: Labels::from_iter([("cluster", "production")]),
        synthetic_series: true,
        ..Rules::default()
    };
    let mut ingest = Ingest::new(rules);
    ingest.scrape(Ok(&body::exposition(10_000, 0)), 1_790_000_000_000, Instant::now());
    let mut records = Vec::new();
    RecordEncoder::new(Limits { max_samples: 2_000, max_bytes: 1 << 20 }).encode(
        ingest.samples(),
        |slot| ingest.describe(slot),
        |counts, payload| records.push((payload.to_vec(), counts.samples)),
    );
    records
}

/// Bytes of all bodies, compressed, in requests of so many samples.
fn bytes(
    max_samples: u32,
    mut push: impl FnMut(&[u8], u32, u32, &Limits) -> u32,
    mut ship: impl FnMut() -> usize,
) -> usize {
    let limits = Limits { max_samples, max_bytes: 64 << 20 };
    let mut bytes = 0;
    for (payload, samples) in records() {
        let mut entry = 0;
        while entry < samples {
            entry = push(&payload, entry, samples, &limits);
            if entry < samples {
                bytes += ship();
            }
        }
    }
    bytes + ship()
}

fn both(max_samples: u32) -> (usize, usize) {
    use std::cell::RefCell;
    let one = RefCell::new(v1::RequestBuilder::new());
    let two = RefCell::new(v2::RequestBuilder::new());
    let v1 = bytes(
        max_samples,
        |payload, entry, _, limits| one.borrow_mut().push(payload, entry, limits).unwrap(),
        || {
            let mut builder = one.borrow_mut();
            let bytes = builder.finish().len();
            builder.clear();
            bytes
        },
    );
    let v2 = bytes(
        max_samples,
        |payload, entry, samples, limits| {
            two.borrow_mut().push_trusted(payload, entry, samples, limits).unwrap()
        },
        || {
            let mut builder = two.borrow_mut();
            let bytes = builder.finish().len();
            builder.clear();
            bytes
        },
    );
    (v1, v2)
}

#[test]
fn a_scrape_of_10_000_series_is_at_most_three_quarters_of_1_0_as_2_0() {
    for (max_samples, most) in [(2_000, 0.75), (10_000, 0.68)] {
        let (v1, v2) = both(max_samples);
        let ratio = v2 as f64 / v1 as f64;
        println!("{max_samples} samples a request: 1.0 {v1} bytes, 2.0 {v2} bytes, ratio {ratio:.3}");
        assert!(ratio <= most, "{max_samples} samples a request: {v2} of {v1} bytes are {ratio:.3}");
    }
}
