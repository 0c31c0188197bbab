//! Remote-write messages: bodies that a receiver meets, and records of the queue on their way into a request.
//!
//! The first byte of an input says how the rest is meant: bit 0 as the snappy block itself instead of what is in it, bits 1 to 3 as the entry
//! from which on a record is sent, bit 4 whether the request has room for three samples only.

use std::borrow::Cow;
use std::sync::LazyLock;

use docker_remote_write::model::{
    Description, Escaping, Labels, METRIC_NAME, MetricType, SampleRef, stale_marker,
};
use docker_remote_write::proto::v2::Request;
use docker_remote_write::wire::decode::{decode_v1, decode_v2};
use docker_remote_write::wire::excerpt::Excerpt;
use docker_remote_write::wire::v1::RequestBuilder;
use docker_remote_write::wire::view::{SeriesIter, Symbols};
use docker_remote_write::wire::{Limits, Names, RecordEncoder, Selection};
use prost::Message;

use super::{Outcome, Target};

pub(crate) const TARGET: Target = Target {
    name: "wire_decode",
    run,
    words: &[
        b"\x22\x00",
        b"\x22\x08__name__",
        b"\x2a\x14\x0a\x02\x01\x02\x12\x0e\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x80\x01",
        b"\x0a\x10\x0a\x0e\x0a\x08__name__\x12\x02up",
        b"\x0a\x02\x01\x02",
        b"\x12\x0b\x09",
        b"\x2a\x04\x08\x01\x18\x03",
        b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x10\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02",
        b"\xff\xff\xff\xff\x0f",
        b"\x80\x80\x80\x80\x10",
        b"\x80\x00",
        b"\x02\x00\x00\x00\x00\x00\xf0\x7f",
        b"\xff",
        b"\x0b",
        b"\x0c",
        b"\x0d\x01\x02\x03\x04",
        b"\xfe\xff\x03",
    ],
    fixtures: &[],
    longest: 8 << 10,
    memory: (2 << 20, 1024),
};

const LIMIT: usize = 1 << 20;
const WIDE: Limits = Limits { max_samples: 2_000, max_bytes: 1 << 20 };
const NARROW: Limits = Limits { max_samples: 3, max_bytes: 120 };

/// The record that a builder has met before the fuzzed one.
static KNOWN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let series: Vec<Labels> = ["a", "b", "c", "d", "e"]
        .iter()
        .map(|value| Labels::from_iter([(METRIC_NAME, "engine_up"), ("job", "docker"), ("name", value)]))
        .collect();
    let describe = |slot: u32| Description {
        labels: &series[slot as usize],
        metric_type: MetricType::Gauge,
        help: "Is it up.",
        unit: "",
    };
    let sample = |slot: u32| {
        let value = if slot == 3 { stale_marker() } else { f64::from(slot) };
        SampleRef { slot, generation: 0, value, timestamp: 1_700_000_000_000 + i64::from(slot), start: 0 }
    };
    let samples: Vec<SampleRef> = (0..5).map(sample).collect();
    let mut payload = Vec::new();
    RecordEncoder::new(WIDE).encode(&samples, describe, |_, record| payload = record.to_vec());
    payload
});

/// # Panics
/// If prost and the readers by hand disagree, or a request depends on the records before it.
pub(crate) fn run(input: &[u8]) -> Outcome {
    let Some((mode, rest)) = input.split_first() else { return Outcome::default() };
    let body: Cow<'_, [u8]> = if mode & 1 == 1 { Cow::Borrowed(rest) } else { Cow::Owned(pack(rest)) };
    let entry = u32::from(mode >> 1 & 7);
    let limits = if mode & 0x10 == 0 { WIDE } else { NARROW };

    let message = unpack(&body);
    let v1 = decode_v1(&body, LIMIT);
    let v2 = decode_v2(&body, LIMIT);
    if let Ok(request) = &v1 {
        let again = decode_v1(&pack(&request.encode_to_vec()), LIMIT);
        assert_eq!(again.ok().map(|again| again.encode_to_vec()), Some(request.encode_to_vec()));
    }
    assert!(message.is_some() || (v1.is_err() && v2.is_err()), "there is no message without a snappy block");
    let plain =
        message.as_deref().zip(v2.as_ref().ok()).filter(|(message, request)| is_plain(message, request));
    let sent = transcode(&mut as_it_is(), &body, entry, &limits);
    if let Some((message, request)) = plain {
        assert_viewed(message, request);
        assert_excerpted(&body, request);
        assert_spelled(request, entry, &limits, sent.as_ref());
    }
    let mut excerpt = Excerpt::default();
    let cut = excerpt.read(&body).is_ok();
    if cut {
        let sound =
            excerpt.entries(0).flatten().filter(|(_, entry)| entry.labels().all(|label| label.is_ok()));
        assert!(sound.count() <= rest.len() * 64);
        let copy = excerpt.without(&[0, 2]).to_vec();
        assert!(Excerpt::default().read(&copy).is_ok(), "a copy can be read again");
    }
    assert_independent(&body, entry, &limits, sent.as_ref());
    assert_escaped(&body, entry, &limits, sent.as_ref());
    let samples = sent.as_ref().map(|sent| sent.samples).unwrap_or_default();
    Outcome::default()
        .with((message.is_some(), v1.is_ok(), v2.is_ok(), plain.is_some(), cut))
        .with(sent.as_ref().err())
        .with_count(u64::from(samples))
}

fn pack(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).expect("a message of this size")
}

fn unpack(body: &[u8]) -> Option<Vec<u8>> {
    snap::raw::decompress_len(body).ok().filter(|len| *len <= LIMIT.min(body.len() * 64))?;
    snap::raw::Decoder::new().decompress_vec(body).ok()
}

/// Whether it is written as every encoder writes what the queue holds: one sample in each series, labels in pairs that exist.
fn is_plain(message: &[u8], request: &Request) -> bool {
    let symbols = request.symbols.len();
    request.encode_to_vec() == message
        && request.timeseries.iter().all(|series| {
            series.samples.len() == 1
                && series.labels_refs.len().is_multiple_of(2)
                && series.labels_refs.iter().all(|reference| (*reference as usize) < symbols)
        })
}

fn assert_viewed(message: &[u8], request: &Request) {
    let mut symbols = Symbols::default();
    symbols.read(message).expect("what prost reads");
    let viewed: Vec<_> = SeriesIter::new(message).map(|series| series.expect("what prost reads")).collect();
    assert_eq!(viewed.len(), request.timeseries.len());
    for (viewed, series) in viewed.iter().zip(&request.timeseries) {
        let sample = &series.samples[0];
        assert_eq!(viewed.sample.value.to_bits(), sample.value.to_bits());
        assert_eq!(viewed.sample.timestamp, sample.timestamp);
        let references: Vec<u32> =
            viewed.labels().flat_map(|pair| <[u32; 2]>::from(pair.expect("a pair"))).collect();
        assert_eq!(references, series.labels_refs);
        for reference in references {
            let symbol = symbols.get(message, reference).expect("a symbol");
            assert_eq!(symbol, request.symbols[reference as usize].as_bytes());
        }
    }
}

fn assert_excerpted(body: &[u8], request: &Request) {
    let mut excerpt = Excerpt::default();
    excerpt.read(body).expect("what prost reads");
    let timestamps: Vec<i64> =
        excerpt.entries(0).map(|entry| entry.expect("what prost reads").1.timestamp).collect();
    let expected: Vec<i64> = request.timeseries.iter().map(|series| series.samples[0].timestamp).collect();
    assert_eq!(timestamps, expected);
    let copy = decode_v2(excerpt.without(&[1]), LIMIT).expect("a copy");
    let mut without = request.clone();
    if without.timeseries.len() > 1 {
        without.timeseries.remove(1);
    }
    assert_eq!(copy.encode_to_vec(), without.encode_to_vec());
}

/// Sends names as they are: the oracles do not escape.
fn as_it_is() -> RequestBuilder {
    let names = Names::Escaped(Escaping::AllowUtf8);
    RequestBuilder::of(Selection { names, ..Selection::default() })
}

/// With names escaped, twice in a row: as much of the record is read, and each entry is sent or left out with a reason.
///
/// An entry that is left out makes room for a later one, so the damage behind a full request may be met:
/// then a request with room for the whole record meets the same.
fn assert_escaped(body: &[u8], entry: u32, limits: &Limits, sent_as_it_is: Result<&Sent, &String>) {
    let mut builder = RequestBuilder::new();
    for _ in 0..2 {
        let sent = transcode(&mut builder, body, entry, limits);
        if let (Err(error), Ok(_)) = (&sent, sent_as_it_is) {
            assert_eq!(transcode(&mut as_it_is(), body, entry, &WIDE).as_ref(), Err(error));
            return;
        }
        assert_eq!(sent.is_ok(), sent_as_it_is.is_ok());
        let Ok(sent) = sent else { return };
        let left_out = builder.left_out();
        assert_eq!(sent.next as usize - entry as usize, sent.samples as usize + left_out.len());
        assert!(left_out.iter().is_sorted_by_key(|(entry, _)| entry));
        assert!(left_out.iter().all(|(out, _)| (entry..sent.next).contains(out)));
    }
}

/// What became of a record.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    next: u32,
    samples: u32,
    body: Vec<u8>,
}

/// The error as its kind.
fn transcode(builder: &mut RequestBuilder, body: &[u8], entry: u32, limits: &Limits) -> Result<Sent, String> {
    builder.clear();
    match builder.push(body, entry, limits) {
        Ok(next) => Ok(Sent { next, samples: builder.samples(), body: builder.finish().to_vec() }),
        Err(error) => {
            assert!(
                builder.is_empty() && builder.message_len() == 0,
                "a refused record leaves nothing behind"
            );
            Err(error.to_string().chars().filter(|c| !c.is_ascii_digit()).take(24).collect())
        }
    }
}

fn assert_spelled(request: &Request, entry: u32, limits: &Limits, sent: Result<&Sent, &String>) {
    let sent = sent.expect("what prost reads can be sent");
    let spelled = decode_v1(&sent.body, LIMIT).expect("a request of ours");
    assert_eq!(spelled.timeseries.len(), sent.samples as usize);
    assert_eq!(sent.next, entry + sent.samples);
    let left = request.timeseries.len().saturating_sub(entry as usize);
    let expected = if *limits == WIDE { left.min(2_000) } else { left.min(3) };
    assert!(spelled.timeseries.len() == expected || (*limits == NARROW && (left == 0 || sent.samples > 0)));
    for (spelled, series) in spelled.timeseries.iter().zip(request.timeseries.iter().skip(entry as usize)) {
        assert_eq!(spelled.samples[0].value.to_bits(), series.samples[0].value.to_bits());
        assert_eq!(spelled.samples[0].timestamp, series.samples[0].timestamp);
        let symbol = |reference: u32| request.symbols[reference as usize].as_str();
        let pairs: Vec<_> =
            series.labels_refs.chunks(2).map(|pair| (symbol(pair[0]), symbol(pair[1]))).collect();
        let labels: Vec<_> =
            spelled.labels.iter().map(|label| (label.name.as_str(), label.value.as_str())).collect();
        assert_eq!(labels, pairs);
    }
}

/// A builder remembers the series of the records before; what it writes must not tell.
fn assert_independent(body: &[u8], entry: u32, limits: &Limits, fresh: Result<&Sent, &String>) {
    let known = transcode(&mut as_it_is(), &KNOWN, 0, &WIDE);
    let mut used = as_it_is();
    assert_eq!(transcode(&mut used, &KNOWN, 0, &WIDE), known);
    for _ in 0..2 {
        assert_eq!(transcode(&mut used, body, entry, limits).as_ref(), fresh, "behind a known record");
    }
    assert_eq!(transcode(&mut used, &KNOWN, 0, &WIDE), known, "a known record behind it");
    assert_eq!(transcode(&mut used, body, entry, limits).as_ref(), fresh, "and again");
}
