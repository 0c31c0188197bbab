//! A real exposition, broken at every byte: no panic, and either whole or nothing.

use std::time::Instant;

use docker_remote_write::exposition::{Entry, Parser};
use docker_remote_write::model::{Histogram, Side};
use docker_remote_write::scrape::{Format, HistogramForms, Ingest, Rules, ScrapeError};

use super::native::{body, exemplars, floats, integers};

const CAPTURE: &[u8] = include_bytes!("../fixtures/captures/01-one-container-running.prom");
/// What a byte becomes: nothing, the end of the body, and bytes with a meaning of their own.
const BREAKS: [Option<u8>; 7] = [None, Some(0), Some(b'"'), Some(b'\n'), Some(b'{'), Some(0xff), Some(b' ')];

fn ingest() -> Ingest {
    Ingest::new(Rules { histograms: HistogramForms::BOTH, synthetic_series: true, ..Rules::default() })
}

/// The entries of a body, until its end or its first fault.
fn entries(body: &[u8]) -> (usize, bool) {
    let mut parser = Parser::new(body);
    let mut samples = 0;
    while let Some(entry) = parser.next() {
        match entry {
            Ok(Entry::Series(series)) => match series.exposed() {
                Ok(_) => samples += 1,
                Err(_) => return (samples, false),
            },
            Ok(
                Entry::Histogram(_)
                | Entry::Type { .. }
                | Entry::Help { .. }
                | Entry::Unit { .. }
                | Entry::Comment,
            ) => {}
            Err(_) => return (samples, false),
        }
    }
    (samples, true)
}

/// The capture's lines, each with the `# TYPE` in force before it.
fn lines() -> Vec<(&'static [u8], &'static [u8])> {
    let mut in_force: &[u8] = b"";
    let lines = CAPTURE.split_inclusive(|byte| *byte == b'\n');
    lines
        .map(|line| {
            let before = in_force;
            if line.starts_with(b"# TYPE ") {
                in_force = line;
            }
            (before, line)
        })
        .collect()
}

/// A break reaches no further than its line and the next, so each is tried with its neighbours alone: the whole body would take an hour.
#[test]
fn a_real_exposition_that_is_broken_at_any_byte_gives_what_stands_before_and_no_panic() {
    let lines = lines();
    assert!(lines.len() > 500, "{} lines", lines.len());
    let (mut whole, mut failed) = (0, 0);
    let mut body = Vec::new();
    for (number, (in_force, line)) in lines.iter().enumerate() {
        let next = lines.get(number + 1).map_or(&b""[..], |(_, next)| next);
        for at in 0..line.len() {
            for broken in BREAKS {
                body.clear();
                body.extend_from_slice(in_force);
                body.extend_from_slice(b"before 1\n");
                let start = body.len();
                body.extend_from_slice(line);
                body.extend_from_slice(next);
                match broken {
                    Some(byte) => body[start + at] = byte,
                    None => body.truncate(start + at),
                }
                let (samples, is_whole) = entries(&body);
                assert!(
                    (1..=4).contains(&samples),
                    "{samples} samples: {:?}",
                    String::from_utf8_lossy(&body)
                );
                *(if is_whole { &mut whole } else { &mut failed }) += 1;
            }
        }
    }
    assert!(whole > 1_000 && failed > 10_000, "{whole} whole, {failed} failed");
}

/// The same through a cache that knows the lines as they were, more coarsely.
#[test]
fn a_scrape_that_is_broken_at_any_byte_is_taken_whole_or_not_at_all() {
    const STEP: usize = 293;
    let mut ingest = ingest();
    let mut timestamp = 0;
    let mut body = CAPTURE.to_vec();
    let (mut whole, mut failed) = (0, 0);
    for at in (0..CAPTURE.len()).step_by(STEP) {
        for broken in [None, Some(b'"'), Some(0xff)] {
            body.clear();
            body.extend_from_slice(CAPTURE);
            match broken {
                Some(byte) => body[at] = byte,
                None => body.truncate(at),
            }
            timestamp += 1_000;
            let report = ingest.scrape(Ok(&body), timestamp, Instant::now());
            let (samples, is_whole) = entries(&body);
            assert_eq!(report.failure.is_none(), is_whole, "{at} {broken:?}: {:?}", report.failure);
            let markers = usize::try_from(report.markers).unwrap();
            let handed_on = ingest.samples().len() - markers - 5;
            let twice = usize::try_from(report.discarded.total()).unwrap();
            let expected = if is_whole { samples - twice } else { 0 };
            assert_eq!(handed_on, expected, "{at} {broken:?}");
            *(if is_whole { &mut whole } else { &mut failed }) += 1;
        }
    }
    assert!(whole > 10 && failed > 100, "{whole} whole, {failed} failed");
}

/// Whether there are as many counts as its spans say.
fn is_consistent(histogram: &Histogram) -> bool {
    fn side<N>(side: &Side<N>) -> bool {
        let lengths: u64 = side.spans.iter().map(|span| u64::from(span.length)).sum();
        lengths == side.counts.len() as u64
    }
    match histogram {
        Histogram::Integer(buckets) => side(&buckets.negative) && side(&buckets.positive),
        Histogram::Float(buckets) => side(&buckets.negative) && side(&buckets.positive),
    }
}

#[test]
fn native_histograms_that_are_broken_at_any_byte_are_taken_whole_or_not_at_all() {
    let sound =
        [body(2, 0, &integers([3, 0, 1 << 40, 1])), body(1, 1, &floats(3)), body(1, 2, &exemplars(40, 0))]
            .concat();
    let mut ingest = ingest();
    let (mut timestamp, mut whole, mut failed) = (0, 0, 0);
    for at in 0..sound.len() {
        let bit = |bit: u8| Some(sound[at] ^ 1 << bit);
        let breaks = [None, Some(0), Some(0x7f), Some(0x80), Some(0xff)].into_iter().chain((0..8).map(bit));
        for broken in breaks {
            let mut body = sound.clone();
            match broken {
                Some(byte) => body[at] = byte,
                None => body.truncate(at),
            }
            timestamp += 1_000;
            let report = ingest.scrape_as(Ok((Format::Protobuf, &body)), timestamp, Instant::now());
            assert!(!matches!(report.failure, Some(ScrapeError::Panicked)), "{at} {broken:?}");
            assert!(ingest.histograms().iter().all(|histogram| is_consistent(&histogram.histogram)));
            let markers = usize::try_from(report.markers).unwrap();
            let handed_on = ingest.samples().len() - markers - 5;
            let all = report.post_relabel - report.discarded.total();
            let expected = if report.failure.is_none() { usize::try_from(all).unwrap() } else { 0 };
            assert_eq!(handed_on, expected, "{at} {broken:?}");
            *(if report.failure.is_none() { &mut whole } else { &mut failed }) += 1;
        }
    }
    assert!(whole > 100 && failed > 1_000, "{whole} whole, {failed} failed");
    ingest.scrape_as(Ok((Format::Protobuf, &sound)), timestamp + 1_000, Instant::now());
    assert_eq!(ingest.histograms().iter().filter(|histogram| !histogram.histogram.is_stale()).count(), 4);
}
