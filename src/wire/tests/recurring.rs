//! What a builder remembers of records changes what a request costs, and never its bytes: one that has just been made is the oracle.

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::model::Escaping;
use crate::proto::v2::{Request, Sample, TimeSeries};
use crate::wire::{Names, Selection};

/// The answer (of several damages another one may be found first) and the request's bytes, begun with `entry`.
fn pushed(
    builder: &mut RequestBuilder,
    payload: &[u8],
    entry: u32,
    limits: &Limits,
) -> (Option<u32>, Vec<u8>) {
    builder.clear();
    let answer = builder.push(payload, entry, limits).ok();
    (answer, builder.finish().to_vec())
}

#[track_caller]
fn assert_as_if_new(builder: &mut RequestBuilder, payload: &[u8], entry: u32, limits: &Limits) {
    assert_same(builder, &mut RequestBuilder::new(), payload, entry, limits);
}

#[track_caller]
fn assert_same(
    builder: &mut RequestBuilder,
    new: &mut RequestBuilder,
    payload: &[u8],
    entry: u32,
    limits: &Limits,
) {
    let new = pushed(new, payload, entry, limits);
    assert_eq!(pushed(builder, payload, entry, limits), new);
}

fn message(payload: &[u8]) -> Vec<u8> {
    snap::raw::Decoder::new().decompress_vec(payload).unwrap()
}

fn block(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).unwrap()
}

/// How many series of the record are remembered.
fn recalled(builder: &mut RequestBuilder, payload: &[u8]) -> usize {
    let message = message(payload);
    let Some((mut known, start)) = builder.shapes.recognise(&message, 0) else { return 0 };
    let mut rest = &message[start..];
    let mut recalled = 0;
    while let Some((5, field::Value::Bytes(series))) = field::next(&mut rest).unwrap() {
        recalled += usize::from(builder.shapes.recall(&mut known, series).is_some());
    }
    recalled
}

#[test]
fn a_record_that_recurs_is_remembered_whole_whatever_its_values() {
    let all: Vec<_> = (0..50).map(series).collect();
    let (mut encoder, mut builder) = (RecordEncoder::new(WIDE), RequestBuilder::new());
    let first = encode(&mut encoder, &samples(50, 1_700_000_000_000), &all).remove(0).1;
    assert_eq!(recalled(&mut builder, &first), 0);
    builder.push(&first, 0, &WIDE).unwrap();
    for (value, timestamp) in [
        (0.0, 1_700_000_015_000),
        (-0.0, 0),
        (1.5, -1),
        (stale_marker(), i64::MAX),
        (f64::INFINITY, i64::MIN),
    ] {
        let mut samples = samples(50, timestamp);
        samples.iter_mut().for_each(|sample| sample.value = value);
        let next = encode(&mut encoder, &samples, &all).remove(0).1;
        assert_eq!(recalled(&mut builder, &next), 50, "{value} at {timestamp}");
        assert_as_if_new(&mut builder, &next, 0, &WIDE);
    }
}

/// How many series of the record are copied without a look at each.
fn copied(builder: &mut RequestBuilder, payload: &[u8]) -> u32 {
    let message = message(payload);
    let Some((mut known, start)) = builder.shapes.recognise(&message, 0) else { return 0 };
    builder.shapes.copy(&mut known, &mut &message[start..], u32::MAX, usize::MAX, &mut Vec::new())
}

#[test]
fn series_whose_samples_grow_and_shrink_are_copied_from_the_next_record_on() {
    let all: Vec<_> = (0..50).map(series).collect();
    let (mut encoder, mut builder) = (RecordEncoder::new(WIDE), RequestBuilder::new());
    for (round, (value, start)) in (0..).zip([(1.0, 0), (0.0, 0), (3.0, 0), (3.0, 7), (0.0, 0)]) {
        for again in 0..2 {
            let mut samples = samples(50, 1_700_000_000_000 + 2 * round + again);
            samples.iter_mut().skip(20).for_each(|sample| (sample.value, sample.start) = (value, start));
            samples[0].value = 1.0;
            let payload = encode(&mut encoder, &samples, &all).remove(0).1;
            let expected = match (round, again) {
                (0, 0) => 0,
                (_, 0) => 20,
                (_, _) => 50,
            };
            assert_eq!(copied(&mut builder, &payload), expected, "round {round}, {again}");
            assert_as_if_new(&mut builder, &payload, 0, &WIDE);
        }
    }
}

#[test]
fn samples_with_start_timestamps_are_remembered_like_others_rw_2_12() {
    let all: Vec<_> = (0..50).map(series).collect();
    let (mut encoder, mut builder) = (RecordEncoder::new(WIDE), RequestBuilder::new());
    let starts = [1_700_000_000_000, 0, 1, 127, 128, -1, i64::MAX, i64::MIN, 24, 3 << 7 | 24];
    for (round, timestamp) in (0..).zip([1_i64, 0, -1, 1_700_000_015_000, 24, i64::MIN, 1 << 62]) {
        let mut samples = samples(50, timestamp);
        for (at, sample) in samples.iter_mut().enumerate() {
            sample.start = starts[(at + round) % starts.len()];
            sample.value = if at % 3 == 0 { 0.0 } else { f64::from_bits(0x1818_1818_1818_1818) };
        }
        let payload = encode(&mut encoder, &samples, &all).remove(0).1;
        assert_eq!(recalled(&mut builder, &payload), if round == 0 { 0 } else { 50 }, "{timestamp}");
        assert_as_if_new(&mut builder, &payload, 0, &WIDE);
        assert_eq!(read_v1(builder.finish()), expected(&samples, &all));
    }
}

#[test]
fn a_record_that_is_first_met_in_its_middle_is_learned_whole_in_the_end() {
    let all: Vec<_> = (0..100).map(series).collect();
    let (mut encoder, mut builder) = (RecordEncoder::new(WIDE), RequestBuilder::new());
    for timestamp in 1..5 {
        let payload = encode(&mut encoder, &samples(100, timestamp), &all).remove(0).1;
        let entry = if timestamp == 1 { 60 } else { 0 };
        assert_as_if_new(&mut builder, &payload, entry, &WIDE);
    }
    let payload = encode(&mut encoder, &samples(100, 9), &all).remove(0).1;
    assert_eq!(recalled(&mut builder, &payload), 100);
}

#[test]
fn series_that_go_and_come_leave_the_others_remembered() {
    let all: Vec<_> = (0..100).map(series).collect();
    let (mut encoder, mut builder) = (RecordEncoder::new(WIDE), RequestBuilder::new());
    let payload = encode(&mut encoder, &samples(90, 1), &all).remove(0).1;
    builder.push(&payload, 0, &WIDE).unwrap();
    // Ten in the middle have gone, two have come: the table has grown.
    let now: Vec<_> = samples(92, 2).into_iter().filter(|sample| !(40..50).contains(&sample.slot)).collect();
    let payload = encode(&mut encoder, &now, &all).remove(0).1;
    assert_as_if_new(&mut builder, &payload, 0, &WIDE);
    assert_eq!(recalled(&mut builder, &payload), 82);
    // More than can be looked for: learned anew after one record that was not.
    let few: Vec<_> = samples(92, 3).into_iter().filter(|sample| sample.slot % 40 < 10).collect();
    for round in 0..2 {
        let payload = encode(&mut encoder, &few, &all).remove(0).1;
        assert_as_if_new(&mut builder, &payload, 0, &WIDE);
        let _ = round;
    }
    let payload = encode(&mut encoder, &few, &all).remove(0).1;
    assert_eq!(recalled(&mut builder, &payload), few.len());
}

/// A record with these symbols whose series all have the same references.
fn with_symbols(symbols: &[&str], refs: &[u32]) -> Vec<u8> {
    let series = TimeSeries {
        labels_refs: refs.to_vec(),
        samples: vec![Sample { value: 1.0, timestamp: 1, start_timestamp: 0 }],
        ..TimeSeries::default()
    };
    let symbols = symbols.iter().map(|symbol| (*symbol).to_owned()).collect();
    block(&Request { symbols, timeseries: vec![series; 3] }.encode_to_vec())
}

#[test]
fn the_same_references_under_another_table_are_never_mixed_up() {
    let tables: [&[&str]; 6] = [
        &["", "__name__", "up"],
        &["", "__name__", "uq"],
        &["", "__name__", "up", "more"],
        &["", "__name__"],
        &["", "__name__", "up", "else"],
        &["", "__nome__", "up"],
    ];
    let mut builder = RequestBuilder::new();
    for round in 0..20 {
        for step in 0..tables.len() {
            let symbols = tables[(step * (1 + round % 5)) % tables.len()];
            let refs: &[u32] = if (round + step) % 3 == 0 { &[1, 3] } else { &[1, 2] };
            assert_as_if_new(&mut builder, &with_symbols(symbols, refs), 0, &WIDE);
        }
    }
}

#[test]
fn symbols_behind_the_series_count_for_their_own_record_alone() {
    let late = |symbol: &str| {
        let mut bytes = message(&with_symbols(&["", "__name__"], &[1, 2]));
        let symbols = vec![symbol.to_owned()];
        bytes.extend(Request { symbols, timeseries: Vec::new() }.encode_to_vec());
        block(&bytes)
    };
    let mut builder = RequestBuilder::new();
    for _ in 0..3 {
        for payload in [late("up"), late("down"), with_symbols(&["", "__name__"], &[1, 2])] {
            assert_as_if_new(&mut builder, &payload, 0, &WIDE);
        }
    }
    builder.clear();
    builder.push(&late("down"), 0, &WIDE).unwrap();
    assert_eq!(read_v1(builder.finish())[0].0.get(METRIC_NAME), Some("down"));
}

#[test]
fn memory_is_bounded_and_what_is_not_met_any_more_is_forgotten() {
    let mut builder = RequestBuilder::new();
    let value = "v".repeat(1_000);
    for round in 0..60 {
        let name = format!("name_{round}");
        let all: Vec<_> = (0..200)
            .map(|number| {
                let labels = [(METRIC_NAME, name.as_str()), ("n", &number.to_string()), ("wide", &value)];
                TestSeries {
                    labels: Labels::from_iter(labels),
                    metric_type: MetricType::Gauge,
                    help: String::new(),
                    unit: String::new(),
                }
            })
            .collect();
        let payload = encode(&mut RecordEncoder::new(WIDE), &samples(200, 1), &all).remove(0).1;
        for _ in 0..2 {
            assert_as_if_new(&mut builder, &payload, 0, &WIDE);
        }
        assert!(builder.shapes.held() <= 4 << 20, "{} bytes", builder.shapes.held());
    }
    assert!(builder.shapes.held() > 3 << 20);
    let small = with_symbols(&["", "__name__", "up"], &[1, 2]);
    for _ in 0..300 {
        assert_as_if_new(&mut builder, &small, 0, &WIDE);
    }
    assert!(builder.shapes.held() < 1_000, "{} bytes", builder.shapes.held());
    assert_eq!(recalled(&mut builder, &small), 3);
}

/// One scrape of one of the sources, sent in some way.
#[derive(Clone, Debug)]
struct Step {
    source: usize,
    /// Series that are left out: from here, so many.
    gap: (u32, u32),
    /// Slots that have another series than before.
    renewed: u32,
    value: f64,
    timestamp: i64,
    entry: u32,
    max_samples: u32,
    max_bytes: usize,
    /// Bytes of a message that are something else, on top of the sound one.
    damage: Option<(prop::sample::Index, u8)>,
}

fn any_step() -> impl Strategy<Value = Step> {
    let limits = (prop_oneof![Just(0), 0..40_u32], 1..60_u32, prop_oneof![Just(1 << 20), 1..4_000_usize]);
    let damage = prop::option::of((any::<prop::sample::Index>(), any::<u8>()));
    let gap = (0..40_u32, prop_oneof![Just(0), 0..30_u32]);
    (0..3_usize, gap, prop_oneof![Just(0), 0..6_u32], any_value(), any::<i64>(), limits, damage).prop_map(
        |(source, gap, renewed, value, timestamp, (entry, max_samples, max_bytes), damage)| Step {
            source,
            gap,
            renewed,
            value,
            timestamp,
            entry,
            max_samples,
            max_bytes,
            damage,
        },
    )
}

/// Damage may make one name of another, and that one may be escaped to the first: which of the two is sent depends on the requests before, as it
/// must (`super::names`). So this one escapes nothing.
fn as_they_are() -> RequestBuilder {
    RequestBuilder::of(Selection { names: Names::Escaped(Escaping::AllowUtf8), ..Selection::default() })
}

proptest! {
    /// 256 histories of 1 to 25 scrapes of three sources, interleaved, cut, damaged, with series that come and go.
    #[test]
    fn a_builder_with_a_past_writes_what_a_new_one_writes(steps in prop::collection::vec(any_step(), 1..25)) {
        let cut = Limits { max_samples: 25, max_bytes: 1 << 20 };
        let mut sources: Vec<_> =
            (0..3).map(|_| (RecordEncoder::new(cut), (0..40).map(series).collect::<Vec<_>>(), vec![0; 40])).collect();
        let mut builder = as_they_are();
        let mut fresh = 1_000;
        for step in steps {
            let (encoder, all, generations) = &mut sources[step.source];
            for slot in 0..step.renewed as usize {
                fresh += 1;
                all[slot * 5] = series(fresh);
                generations[slot * 5] += 1;
            }
            let gap = step.gap.0..step.gap.0 + step.gap.1;
            let samples: Vec<_> = samples(40, step.timestamp)
                .into_iter()
                .filter(|sample| !gap.contains(&sample.slot))
                .map(|sample| SampleRef {
                    value: if sample.slot % 3 == 0 { step.value } else { sample.value },
                    generation: generations[sample.slot as usize],
                    start: if sample.slot % 4 == 0 { step.timestamp } else { 0 },
                    ..sample
                })
                .collect();
            let limits = Limits { max_samples: step.max_samples, max_bytes: step.max_bytes };
            for (_, payload) in encode(encoder, &samples, all) {
                assert_same(&mut builder, &mut as_they_are(), &payload, step.entry, &limits);
                if let Some((at, byte)) = &step.damage {
                    let mut damaged = message(&payload);
                    let at = at.index(damaged.len());
                    damaged[at] = *byte;
                    assert_same(&mut builder, &mut as_they_are(), &block(&damaged), step.entry, &limits);
                    damaged.truncate(at);
                    assert_same(&mut builder, &mut as_they_are(), &block(&damaged), step.entry, &limits);
                }
            }
        }
        prop_assert!(builder.shapes.held() <= 4 << 20);
    }
}
