//! A scraped body in delimited protobuf, with native histograms: the parser, scrape after scrape through the cache, and the way to the messages
//! that receivers get.
//!
//! The first byte of an input says how the rest is meant: bit 0 as families whose native histograms are made consistent first, so that
//! mutations get beyond the checks.

use std::borrow::Cow;
use std::hash::Hash;
use std::sync::LazyLock;
use std::time::Instant;

use docker_remote_write::exposition::{
    Entry, Exposed, HistogramForms, MessageError, ParseError, Parser, ProtobufParser, ProtobufScratch,
};
use docker_remote_write::model::{
    Escaping, Exemplar, Histogram, Labels, METRIC_NAME, MetricType, NORMAL_NAN_BITS, is_stale_marker,
};
use docker_remote_write::proto::{client, v2};
use docker_remote_write::scrape::{Format, Ingest, Rules};
use docker_remote_write::wire::decode::{decode_v1, decode_v2};
use docker_remote_write::wire::v1::RequestBuilder;
use docker_remote_write::wire::{Limits, Names, RecordEncoder, Scrape, Selection};
use prost::Message;

use super::native::{assert_sound, repaired, told};
use super::{Outcome, Target};

pub(crate) const TARGET: Target = Target {
    name: "exposition_protobuf",
    run,
    words: &[
        b"\x0a\x01h",
        b"\x12\x04help",
        b"\x18\x04",
        b"\x18\x05",
        b"\x0a\x06\x0a\x01a\x12\x01b",
        b"\x22\x02\x3a\x00",
        b"\x28\x08",
        b"\x28\x07",
        b"\x31\x00\x00\x00\x00\x00\x00\xf0\x3f",
        b"\x38\x01",
        b"\x62\x04\x08\x02\x10\x01",
        b"\x62\x00",
        b"\x62\x08\x08\xfe\xff\xff\xff\x0f\x10\x01",
        b"\x62\x08\x08\xff\xff\xff\xff\x0f\x10\x01",
        b"\x4a\x04\x08\x01\x10\x02",
        b"\x6a\x02\x02\x01",
        b"\x52\x01\x00",
        b"\x68\x02",
        b"\x72\x08\x00\x00\x00\x00\x00\x00\xe0\x3f",
        b"\x5a\x08\x00\x00\x00\x00\x00\x00\xf8\x7f",
        b"\x02\x00\x00\x00\x00\x00\xf0\x7f",
        b"\x21\x00\x00\x00\x00\x00\x00\xe0\x3f",
        b"\x82\x01\x00",
        b"\x82\x01\x0d\x11\x00\x00\x00\x00\x00\x00\xf0\x3f\x1a\x02\x08\x01",
        b"\x1a\x00",
        b"\x7a\x02\x08\x01",
        b"\x30\xe8\x07",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x80\x00",
    ],
    fixtures: &[],
    longest: 4 << 10,
    memory: (8 << 20, 8192),
};

/// When the scrapes begin, ms since the epoch.
const START: i64 = 1_700_000_000_000;
const LIMIT: usize = 8 << 20;
const WIDE: Limits = Limits { max_samples: 2_000, max_bytes: 1 << 20 };
const NARROW: Limits = Limits { max_samples: 3, max_bytes: 300 };

/// Its series share no name with anything in the corpus.
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let histogram = client::Histogram {
        sample_count: Some(3),
        sample_sum: Some(2.5),
        schema: Some(3),
        positive_span: vec![client::BucketSpan { offset: Some(2), length: Some(2) }],
        positive_delta: vec![1, 1],
        ..client::Histogram::default()
    };
    let classic = client::Histogram { sample_count: Some(2), ..client::Histogram::default() };
    let of = |name: &str, histogram: &client::Histogram| {
        let metric = client::Metric { histogram: Some(histogram.clone()), ..client::Metric::default() };
        let family = client::MetricFamily {
            name: Some(name.to_owned()),
            help: Some("Of sound.".to_owned()),
            r#type: Some(client::MetricType::Histogram.into()),
            metric: vec![metric],
            ..client::MetricFamily::default()
        };
        family.encode_length_delimited_to_vec()
    };
    [of("drw_sound_bytes", &histogram), of("drw_sound_level", &classic)].concat()
});
/// A native histogram; a bucket, a sum and a count.
const GOOD_SAMPLES: usize = 4;

/// # Panics
/// If the parser breaks a promise, a scrape depends on those before it, or a histogram is another one on the wire.
pub(crate) fn run(input: &[u8]) -> Outcome {
    let Some((mode, rest)) = input.split_first() else { return Outcome::default() };
    let body = if mode & 1 == 1 { Cow::Owned(repaired(rest)) } else { Cow::Borrowed(rest) };
    let mut scratch = ProtobufScratch::default();
    let mut outcome = Outcome::default();
    for forms in [HistogramForms::NATIVE, HistogramForms::BOTH, HistogramForms::CLASSIC] {
        let fresh = read(&body, forms, &mut ProtobufScratch::default());
        let again = read(&body, forms, &mut scratch);
        // NaN is not equal to itself.
        assert!(format!("{fresh:?}") == format!("{again:?}"), "room that was used changes nothing");
        let (seen, error) = fresh;
        let histograms = seen.iter().filter_map(|seen| seen.histogram.as_ref());
        if forms == HistogramForms::CLASSIC {
            assert_eq!(histograms.count(), 0);
            continue;
        }
        if seen.len() <= 6 {
            outcome = seen.iter().fold(outcome, |outcome, seen| outcome.with(seen.kind()));
        }
        outcome = histograms.fold(outcome, |outcome, histogram| {
            outcome
                .with(std::mem::discriminant(histogram))
                .with_count(histogram.size().counts as u64)
                .with(histogram.size().spans.min(4))
        });
        let outcome_of = |error: &MessageError| {
            let reason = error.reason.to_string();
            reason.chars().filter(|c| c.is_ascii_alphabetic()).take(24).collect::<String>()
        };
        outcome = outcome.with(error.as_ref().map(outcome_of)).with_count(seen.len() as u64);
    }
    outcome.with_count(scrapes(&body))
}

/// One entry, with all that can be asked of it.
#[derive(Debug)]
struct Seen {
    raw: Vec<u8>,
    bits: u64,
    timestamp: Option<i64>,
    start: Option<i64>,
    histogram: Option<Histogram>,
    exemplars: usize,
    texts: Vec<String>,
    exposed: Option<Result<Labels, ParseError>>,
}

impl Seen {
    fn kind(&self) -> impl Hash {
        let sound = self.exposed.as_ref().map(Result::is_ok);
        let times = (self.timestamp.is_some(), self.start.is_some());
        let is_nan = f64::from_bits(self.bits).is_nan();
        (self.raw.is_empty(), self.texts.len(), times, is_nan, self.exemplars.min(4), sound)
    }
}

fn read(
    body: &[u8],
    forms: HistogramForms,
    scratch: &mut ProtobufScratch,
) -> (Vec<Seen>, Option<MessageError>) {
    let mut seen = Vec::new();
    let mut parser = ProtobufParser::new(body, scratch, true).with_histograms(forms);
    loop {
        match parser.next() {
            None => return (seen, None),
            Some(Err(error)) => {
                assert_error(&error, body);
                assert!(parser.next().is_none() && parser.entry().is_none(), "nothing behind an error");
                return (seen, Some(error));
            }
            Some(Ok(())) => {}
        }
        let (message, offset) = parser.place();
        assert!(message >= 1 && offset <= body.len());
        let start = parser.start_timestamp();
        let told = |raw: &[u8]| Seen {
            raw: raw.to_vec(),
            bits: 0,
            timestamp: None,
            start,
            histogram: None,
            exemplars: 0,
            texts: Vec::new(),
            exposed: None,
        };
        let text =
            |texts: &[&str]| Seen { texts: texts.iter().map(ToString::to_string).collect(), ..told(b"") };
        let entry = parser.entry().expect("it stands at one");
        seen.push(match &entry {
            Entry::Comment => unreachable!("protobuf has no comments"),
            Entry::Help { family, help } => text(&[family, help]),
            Entry::Type { family, metric_type } => text(&[family, &format!("{metric_type:?}")]),
            Entry::Unit { family, unit } => text(&[family, unit]),
            Entry::Series(series) | Entry::Histogram(series) => {
                assert!(!series.raw.is_empty() && std::str::from_utf8(series.raw).is_ok());
                assert!(!series.value.is_nan() || series.value.to_bits() == NORMAL_NAN_BITS);
                let exposed = series.exposed().map(|exposed| exposed.to_labels());
                assert_text(series.raw, exposed.as_ref().ok());
                let (histogram, exemplars) = match &entry {
                    Entry::Histogram(_) => {
                        let mut histogram = Histogram::default();
                        if let Err(error) = parser.histogram(&mut histogram) {
                            assert_error(&error, body);
                            return (seen, Some(error));
                        }
                        assert_sound(&histogram);
                        assert_eq!(histogram.sum().to_bits(), series.value.to_bits());
                        let exemplars = parser.histogram_exemplars();
                        (Some(histogram), exemplars.map(|exemplar| exemplar.labels().len() + 1).sum())
                    }
                    _ => (None, parser.exemplar().map_or(0, |exemplar| exemplar.labels().len() + 1)),
                };
                let (bits, timestamp) = (series.value.to_bits(), series.timestamp);
                Seen { bits, timestamp, histogram, exemplars, exposed: Some(exposed), ..told(series.raw) }
            }
        });
    }
}

fn assert_error(error: &MessageError, body: &[u8]) {
    let text = error.to_string();
    assert!(error.offset <= body.len() && error.message >= 1, "{text}");
    assert!(text.len() < 500 && !text.contains(char::is_control), "{text:?}");
}

/// A series is spelled as the text format spells it.
fn assert_text(raw: &[u8], labels: Option<&Labels>) {
    let Some(labels) = labels else { return };
    let line = [raw, b" 1\n"].concat();
    let mut parser = Parser::new(&line);
    let Some(Ok(Entry::Series(series))) = parser.next() else { panic!("{}", String::from_utf8_lossy(raw)) };
    assert_eq!(series.exposed().map(|exposed: Exposed<'_>| exposed.to_labels()).as_ref(), Ok(labels));
}

/// A sample with everything that is said of its series; no markers, which tell of the scrape before.
type Told = (Labels, MetricType, String, u64, i64, i64, String);

fn scrape(ingest: &mut Ingest, body: &[u8], timestamp: i64) -> (Vec<Told>, Option<String>) {
    let report = ingest.scrape_as(Ok((Format::Protobuf, body)), timestamp, Instant::now());
    assert!(!matches!(report.failure, Some(docker_remote_write::scrape::ScrapeError::Panicked)));
    let mut histograms = ingest.histograms().iter().peekable();
    let mut told = Vec::new();
    for (at, sample) in ingest.samples().iter().enumerate() {
        let histogram = histograms.next_if(|histogram| histogram.sample == at);
        if is_stale_marker(sample.value) {
            continue;
        }
        let what = ingest.describe(sample.slot);
        let (labels, bits) = (what.labels.clone(), sample.value.to_bits());
        let histogram =
            format!("{histogram:?}").split_once("histogram:").unzip().1.unwrap_or_default().to_owned();
        told.push((
            labels,
            what.metric_type,
            what.help.to_owned(),
            bits,
            sample.timestamp,
            sample.start,
            histogram,
        ));
    }
    assert!(histograms.next().is_none(), "each histogram is a sample's");
    assert!(ingest.exemplars().is_sorted_by_key(|exemplar| exemplar.sample));
    assert_sent(ingest);
    (told, report.failure.map(|failure| failure.to_string()))
}

fn ingest(honor_timestamps: bool, histograms: HistogramForms) -> Ingest {
    Ingest::new(Rules {
        target_labels: Labels::from_iter([("instance", "h"), ("job", "docker")]),
        external_labels: Labels::from_iter([("site", "x")]),
        honor_timestamps,
        created_timestamps: true,
        histograms,
        sample_limit: Some(1_000),
        memory_limit: Some(2 << 20),
        ..Rules::default()
    })
}

/// Tells how many samples the body came to.
fn scrapes(body: &[u8]) -> u64 {
    let mut samples = 0;
    for forms in [HistogramForms::NATIVE, HistogramForms::BOTH] {
        let mut fresh = ingest(false, forms);
        let expected = scrape(&mut fresh, body, START + 3_000);
        let sound = scrape(&mut ingest(false, forms), &GOOD, START + 4_000);
        assert_eq!((sound.0.len(), &sound.1), (GOOD_SAMPLES, &None));

        let mut used = ingest(false, forms);
        scrape(&mut used, &GOOD, START + 1_000);
        scrape(&mut used, body, START + 2_000);
        let cached = scrape(&mut used, body, START + 3_000);
        assert_eq!(cached, expected, "what is remembered of a body changes nothing");
        assert_eq!(scrape(&mut used, &GOOD, START + 4_000), sound, "a sound scrape after it");
        assert_eq!(
            used.end_all(START + 5_000),
            GOOD_SAMPLES as u64,
            "only the last scrape's series are open"
        );
        assert_sent(&used);

        let mut own = ingest(true, forms);
        scrape(&mut own, &GOOD, START + 1_000);
        scrape(&mut own, body, START + 2_000);
        scrape(&mut own, body, START + 3_000);
        let after = scrape(&mut own, &GOOD, START + 4_000);
        assert_eq!(after, sound, "a sound scrape after timestamps of its own");
        samples += expected.0.len() as u64;
    }
    samples
}

/// What the scrape came to, as records and as requests of 1.0, is what it was.
fn assert_sent(ingest: &Ingest) {
    let (samples, exemplars, histograms) = (ingest.samples(), ingest.exemplars(), ingest.histograms());
    let scrape = Scrape { samples, exemplars, histograms };
    for limits in [WIDE, NARROW] {
        let mut first = 0;
        RecordEncoder::new(limits).encode_packed(
            &scrape,
            |slot| ingest.describe(slot),
            |counts, payload| {
                let record = decode_v2(payload, LIMIT).expect("a record of ours");
                let mut builder = RequestBuilder::of(Selection {
                    names: Names::Escaped(Escaping::AllowUtf8),
                    ..Selection::default()
                });
                assert_eq!(builder.push(payload, 0, &WIDE).expect("a record of ours"), counts.samples);
                assert!(builder.left_out().is_empty());
                let spelled = decode_v1(builder.finish(), LIMIT).expect("a request of ours");
                assert_eq!(spelled.timeseries.len(), counts.samples as usize);
                assert_eq!(record.timeseries.len(), counts.samples as usize);
                for (at, (series, v1)) in record.timeseries.iter().zip(&spelled.timeseries).enumerate() {
                    let sample = samples[first + at];
                    let symbol = |reference: &u32| record.symbols[*reference as usize].as_str();
                    let labels: Vec<&str> = series.labels_refs.iter().map(symbol).collect();
                    let expected = ingest.describe(sample.slot).labels;
                    assert!(
                        expected.iter().flat_map(|(name, value)| [name, value]).eq(labels.iter().copied())
                    );
                    assert!(expected.get(METRIC_NAME).is_some());
                    let histogram = histograms.iter().find(|histogram| histogram.sample == first + at);
                    let histogram = histogram.map(|it| told(&it.histogram, sample.timestamp));
                    let floats: Vec<_> =
                        series.samples.iter().map(|it| (it.value.to_bits(), it.timestamp)).collect();
                    let plain = [(sample.value.to_bits(), sample.timestamp)];
                    assert_eq!(floats, plain[usize::from(histogram.is_some())..]);
                    let v1_floats: Vec<_> =
                        v1.samples.iter().map(|it| (it.value.to_bits(), it.timestamp)).collect();
                    assert_eq!(v1_floats, floats);
                    // Fields 1 to 16 are the same; 1.0 has no start timestamp. NaN is not equal to itself.
                    let of_1: Vec<_> = v1.histograms.iter().map(Message::encode_to_vec).collect();
                    let expected: Vec<_> = histogram.iter().map(Message::encode_to_vec).collect();
                    assert_eq!(of_1, expected);
                    let with_start =
                        histogram.map(|it| v2::Histogram { start_timestamp: sample.start, ..it });
                    let of_2: Vec<_> = series.histograms.iter().map(Message::encode_to_vec).collect();
                    let expected: Vec<_> = with_start.iter().map(Message::encode_to_vec).collect();
                    assert_eq!(of_2, expected);
                    let beside = exemplars.iter().filter(|exemplar| exemplar.sample == first + at);
                    let told = |exemplar: &Exemplar| (exemplar.value.to_bits(), exemplar.timestamp);
                    let beside: Vec<_> = beside.map(told).collect();
                    let of_2 = series.exemplars.iter().map(|it| (it.value.to_bits(), it.timestamp));
                    assert!(of_2.eq(beside.iter().copied()));
                    let of_1 = v1.exemplars.iter().map(|it| (it.value.to_bits(), it.timestamp));
                    assert!(of_1.eq(beside.iter().copied()));
                }
                first += counts.samples as usize;
            },
        );
        assert_eq!(first, samples.len());
    }
}
