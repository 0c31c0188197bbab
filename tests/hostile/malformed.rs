//! A real exposition, broken at every byte: no panic, and either whole or nothing.

use std::time::Instant;

use docker_remote_write::exposition::{Entry, Parser};
use docker_remote_write::model::Labels;
use docker_remote_write::scrape::{Ingest, Relabelling, Rules};

const CAPTURE: &[u8] = include_bytes!("../fixtures/captures/01-one-container-running.prom");
/// What a byte becomes: nothing, the end of the body, and bytes with a meaning of their own.
const BREAKS: [Option<u8>; 7] = [None, Some(0), Some(b'"'), Some(b'\n'), Some(b'{'), Some(0xff), Some(b' ')];

fn ingest() -> Ingest {
    Ingest::new(Rules {
        target_labels: Labels::default(),
        external_labels: Labels::default(),
        honor_labels: false,
        honor_timestamps: true,
        normalize_le: true,
        sample_limit: None,
        memory_limit: None,
        synthetic_series: true,
        relabelling: Relabelling::default(),
    })
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
            Ok(Entry::Type { .. } | Entry::Help { .. } | Entry::Comment) => {}
            Err(_) => return (samples, false),
        }
    }
    (samples, true)
}

#[test]
fn a_real_exposition_that_is_broken_at_any_byte_is_read_whole_or_not_at_all() {
    // Each kind of line is in the first tenth; the whole would take minutes.
    let capture = &CAPTURE[..CAPTURE.len() / 10];
    let mut body = capture.to_vec();
    let (mut whole, mut failed) = (0, 0);
    for at in 0..capture.len() {
        for broken in BREAKS {
            body.clear();
            body.extend_from_slice(capture);
            match broken {
                Some(byte) => body[at] = byte,
                None => body.truncate(at),
            }
            match entries(&body) {
                (_, true) => whole += 1,
                (_, false) => failed += 1,
            }
        }
    }
    assert!(whole > 100 && failed > 1_000, "{whole} whole, {failed} failed");
    // The same through a cache that knows the lines as they were, more coarsely: every body that fails leaves `up` alone.
    let mut ingest = ingest();
    let mut timestamp = 0;
    for at in (0..capture.len()).step_by(7) {
        for broken in [None, Some(b'"'), Some(0xff)] {
            body.clear();
            body.extend_from_slice(capture);
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
        }
    }
}
