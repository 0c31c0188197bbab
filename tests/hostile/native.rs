//! What a target may send as native histograms: few bytes become many buckets, spans or exemplars.

use std::io::Write as _;
use std::iter::repeat_n;
use std::sync::Arc;

use docker_remote_write::proto::client::{
    BucketSpan, Exemplar, Histogram, LabelPair, Metric, MetricFamily, MetricType, Timestamp,
};
use prost::Message as _;
use prost::encoding::{self, WireType};

use super::exposition::{Case, Comes, MEMORY, run};
use super::target::{Conduct, protobuf};
use super::{block_on, measure};

const MIB: usize = 1 << 20;
/// The bytes of a metric that is just short enough.
const LONGEST: usize = (128 << 10) - 100;

fn put(number: u32, message: &[u8], out: &mut Vec<u8>) {
    encoding::encode_key(number, WireType::LengthDelimited, out);
    encoding::encode_varint(message.len() as u64, out);
    out.extend_from_slice(message);
}

/// So many series of this histogram; none of them is in another round.
pub(super) fn body(count: usize, round: usize, histogram: &[u8]) -> Vec<u8> {
    body_of(count, round, |_| histogram.to_vec())
}

/// The same, each with a histogram of its own.
fn body_of(count: usize, round: usize, histogram: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let head = MetricFamily {
        name: Some("docker_thing_seconds".to_owned()),
        help: Some("How long things take.".to_owned()),
        r#type: Some(MetricType::Histogram.into()),
        ..MetricFamily::default()
    };
    let mut family = head.encode_to_vec();
    for number in 0..count {
        let label = LabelPair { name: Some("n".to_owned()), value: Some(format!("{round}-{number}")) };
        let mut metric = Metric { label: vec![label], ..Metric::default() }.encode_to_vec();
        put(7, &histogram(number), &mut metric);
        put(4, &metric, &mut family);
    }
    let mut body = Vec::new();
    encoding::encode_varint(family.len() as u64, &mut body);
    [body, family].concat()
}

/// Integer buckets with these counts, in one span and packed, which prost does not do here.
pub(super) fn integers(counts: impl IntoIterator<Item = i64>) -> Vec<u8> {
    let (mut last, mut sum, mut length) = (0_i64, 0, 0);
    let mut deltas = Vec::new();
    for count in counts {
        let delta = count - last;
        encoding::encode_varint((delta << 1 ^ delta >> 63).cast_unsigned(), &mut deltas);
        (last, sum, length) = (count, sum + count, length + 1);
    }
    let histogram = Histogram {
        sample_count: Some(sum.unsigned_abs()),
        positive_span: vec![BucketSpan { offset: Some(1), length: Some(length) }],
        ..empty()
    };
    let mut message = histogram.encode_to_vec();
    put(13, &deltas, &mut message);
    message
}

pub(super) fn floats(count: u32) -> Vec<u8> {
    let histogram = Histogram {
        sample_count_float: Some(f64::from(count)),
        positive_span: vec![BucketSpan { offset: Some(1), length: Some(count) }],
        ..empty()
    };
    let mut message = histogram.encode_to_vec();
    put(14, &1_f64.to_le_bytes().repeat(count as usize), &mut message);
    message
}

fn empty() -> Histogram {
    Histogram { sample_sum: Some(1.5), schema: Some(8), ..Histogram::default() }
}

/// Without observations, in spans of two bytes each.
fn spans(count: usize) -> Vec<u8> {
    Histogram { positive_span: vec![BucketSpan::default(); count], ..empty() }.encode_to_vec()
}

/// As many exemplars as fit into so many bytes, none of them in another round.
pub(super) fn exemplars(bytes: usize, round: usize) -> Vec<u8> {
    let exemplar = |seconds: i64| Exemplar {
        label: vec![],
        value: None,
        timestamp: Some(Timestamp { seconds: Some(seconds), nanos: None }),
    };
    let first = 20_000 * i64::try_from(round).unwrap();
    let each = exemplar(first + 20_000).encoded_len() + 3;
    let exemplars =
        (1..=i64::try_from(bytes / each).unwrap()).map(|number| exemplar(first + number)).collect();
    let mut message = Histogram { exemplars, ..Histogram::default() }.encode_to_vec();
    message.extend_from_slice(&integers([1]));
    message
}

/// As [`exemplars`], each with a trace of its own and as many characters as receivers take.
fn traced(bytes: usize, series: usize) -> Vec<u8> {
    let exemplar = |number: usize| {
        let trace = format!("{:0>127}", 20_000 * series + number);
        let seconds = i64::try_from(20_000 * series + number + 1).unwrap();
        Exemplar {
            label: vec![LabelPair { name: Some("t".to_owned()), value: Some(trace) }],
            value: Some(1.0),
            timestamp: Some(Timestamp { seconds: Some(seconds), nanos: None }),
        }
    };
    let each = exemplar(20_000).encoded_len() + 4;
    let exemplars = (0..bytes / each).map(exemplar).collect();
    let mut message = Histogram { exemplars, ..Histogram::default() }.encode_to_vec();
    message.extend_from_slice(&integers([1]));
    message
}

fn case(name: &'static str, comes: Comes, body: impl Fn(usize) -> Vec<u8> + Send + 'static) -> Case {
    let conduct = move || -> Arc<Conduct> {
        let answers: Vec<_> = (0..3).map(|number| protobuf(&body(number))).collect();
        Arc::new(move |stream, number| stream.write_all(&answers[number % answers.len()]))
    };
    let settings = &[("SCRAPE_NATIVE_HISTOGRAMS", "true")];
    Case { name, comes, scrapes: 3, settings, conduct: Box::new(conduct) }
}

fn cases() -> Vec<Case> {
    use Comes::Good;
    const ALL: usize = 15 * MIB / LONGEST;
    let ordinary = || integers((0..160).map(|index| 5 + index % 7));
    vec![
        case("no native histograms at all", Good, |_| body(0, 0, &integers([1]))),
        case("15 MiB of deltas of one byte", MEMORY, |round| {
            body(ALL, round, &integers(repeat_n(1, LONGEST - 50)))
        }),
        case("15 MiB of float counts", MEMORY, |round| body(ALL, round, &floats(16_000))),
        case("3 MiB of float counts", Good, |round| body(24, round, &floats(16_000))),
        case("900 KiB of deltas of one byte", Good, |round| {
            body(7, round, &integers(repeat_n(1, LONGEST - 50)))
        }),
        case("2 MiB of deltas of eight bytes", Good, |round| {
            body(16, round, &integers((0..16_000).map(|index| (index % 2) << 50)))
        }),
        case("15 MiB of empty spans of two bytes", Good, |round| body(ALL, round, &spans(LONGEST / 2))),
        case("15 MiB of empty and full buckets in turn", MEMORY, move |round| {
            body(ALL, round, &integers((0..LONGEST - 50).map(|index| i64::from(index % 2 == 0))))
        }),
        case("600 KiB of empty and full buckets in turn", Good, move |round| {
            body(5, round, &integers((0..LONGEST - 50).map(|index| i64::from(index % 2 == 0))))
        }),
        case("10,000 histograms of 160 buckets, new each time", MEMORY, move |round| {
            body(10_000, round, &ordinary())
        }),
        case("2,000 histograms of 160 buckets, new each time", Good, move |round| {
            body(2_000, round, &ordinary())
        }),
        case("4,000 histograms of 160 buckets, always the same", Good, move |_| body(4_000, 0, &ordinary())),
        case("one metric of just below 128 KiB", Good, |round| {
            body(1, round, &integers(repeat_n(1, LONGEST - 50)))
        }),
        case("15 MiB of exemplars", MEMORY, |round| body(ALL, round, &exemplars(LONGEST, round))),
        case("5 MiB of exemplars of 128 characters, new each time", MEMORY, |round| {
            body_of(40, round, |number| traced(LONGEST, 40 * round + number))
        }),
        case("3 MiB of exemplars of 128 characters, new each time", Good, |round| {
            body_of(24, round, |number| traced(LONGEST, 24 * round + number))
        }),
        case("600 KiB of exemplars, new each time", Good, |round| body(5, round, &exemplars(LONGEST, round))),
    ]
}

#[test]
fn whatever_native_histograms_a_target_sends_the_process_stays_small_and_the_next_good_scrape_arrives() {
    let mut all = cases();
    if let Ok(only) = std::env::var("HOSTILE_CASE") {
        all.retain(|case| case.name.contains(&only));
    }
    measure("native histograms", all, |case| block_on(run(case)));
}
