//! Names that 1.0 does not have.

use super::super::v1::names::Spelling;
use super::super::{Names, Selection, Unsent};
use super::*;
use crate::model::Escaping;

fn builder(names: Names) -> RequestBuilder {
    RequestBuilder::of(Selection { names, ..Selection::default() })
}

fn named(pairs: &[(&str, &str)]) -> TestSeries {
    TestSeries { labels: pairs.iter().copied().collect(), ..series(0) }
}

/// Each series of a request as its labels stand in it, and its timestamp.
fn spelled(builder: &mut RequestBuilder) -> Vec<(Vec<(String, String)>, i64)> {
    let request = decode_v1(builder.finish(), MAX).unwrap();
    let spelled = request.timeseries.into_iter().map(|series| {
        let labels = series.labels.into_iter().map(|label| (label.name, label.value)).collect();
        (labels, series.samples[0].timestamp)
    });
    spelled.collect()
}

fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn rw_4_24_names_are_escaped_for_1_0_by_the_scheme_and_classic_ones_stay() {
    let all = [named(&[(METRIC_NAME, "engine.pull_seconds"), ("a_b", "x.y"), ("http.status", "2")])];
    let payload = encode(&mut RecordEncoder::new(WIDE), &samples(1, 5), &all).remove(0).1;
    for (scheme, metric, label) in [
        (Escaping::AllowUtf8, "engine.pull_seconds", "http.status"),
        (Escaping::Underscores, "engine_pull_seconds", "http_status"),
        (Escaping::Dots, "engine_dot_pull__seconds", "http_dot_status"),
        (Escaping::Values, "U__engine_2e_pull__seconds", "U__http_2e_status"),
    ] {
        let mut builder = builder(Names::Escaped(scheme));
        // What is remembered of the series is spelled the same way.
        for _ in 0..2 {
            builder.clear();
            assert_eq!(builder.push(&payload, 0, &WIDE).unwrap(), 1);
            assert!(builder.left_out().is_empty());
            let mut expected = labels(&[(METRIC_NAME, metric), ("a_b", "x.y"), (label, "2")]);
            expected.sort();
            assert_eq!(spelled(&mut builder), [(expected, 5)]);
        }
    }
    let mut dropping = builder(Names::Dropped);
    for _ in 0..2 {
        dropping.clear();
        assert_eq!(dropping.push(&payload, 0, &WIDE).unwrap(), 1);
        assert_eq!((dropping.samples(), dropping.left_out()), (0, &[(0, Unsent::Utf8Name)][..]));
    }
}

#[test]
fn rw_1_11_labels_are_sorted_by_the_names_that_they_get() {
    // `ä` is behind `z` and `_` before it.
    let all = [named(&[(METRIC_NAME, "m"), ("z", "1"), ("\u{e4}", "2"), ("Z.a", "3"), ("ZA", "4")])];
    let payload = encode(&mut RecordEncoder::new(WIDE), &samples(1, 5), &all).remove(0).1;
    let mut builder = builder(Names::Escaped(Escaping::Underscores));
    builder.push(&payload, 0, &WIDE).unwrap();
    let expected = labels(&[("ZA", "4"), ("Z_a", "3"), ("_", "2"), (METRIC_NAME, "m"), ("z", "1")]);
    assert_eq!(spelled(&mut builder), [(expected, 5)]);
}

#[test]
fn rw_1_11_a_series_of_which_two_label_names_become_one_is_left_out() {
    let all = [series(0), named(&[(METRIC_NAME, "m"), ("a.b", "1"), ("a_b", "2")]), series(2)];
    let payload = encode(&mut RecordEncoder::new(WIDE), &samples(3, 5), &all).remove(0).1;
    let mut builder = builder(Names::Escaped(Escaping::Underscores));
    for _ in 0..2 {
        builder.clear();
        assert_eq!(builder.push(&payload, 0, &WIDE).unwrap(), 3);
        assert_eq!((builder.samples(), builder.left_out()), (2, &[(1, Unsent::LabelClash)][..]));
    }
}

/// Pushes a scrape of each of these series, and tells the timestamps that were sent under each name, and the entries left out.
fn scrape(
    builder: &mut RequestBuilder,
    encoder: &mut RecordEncoder,
    all: &[TestSeries],
    present: &[u32],
    timestamp: i64,
) -> (Vec<(String, f64)>, Vec<u32>) {
    let samples: Vec<_> = present
        .iter()
        .map(|slot| SampleRef { slot: *slot, generation: 0, value: f64::from(*slot), timestamp, start: 0 })
        .collect();
    let payload = encode(encoder, &samples, all).remove(0).1;
    builder.clear();
    assert_eq!(builder.push(&payload, 0, &WIDE).unwrap() as usize, present.len());
    let left_out = builder.left_out().iter().map(|(entry, unsent)| {
        assert_eq!(*unsent, Unsent::SeriesClash);
        present[*entry as usize]
    });
    let left_out = left_out.collect();
    let request = decode_v1(builder.finish(), MAX).unwrap();
    let sent = request.timeseries.iter().map(|series| {
        let name = series.labels.iter().find(|label| label.name == METRIC_NAME).unwrap();
        (name.value.clone(), series.samples[0].value)
    });
    (sent.collect(), left_out)
}

#[test]
fn rw_1_13_of_two_series_that_become_one_the_classic_one_stays() {
    let all =
        [named(&[(METRIC_NAME, "a.b")]), named(&[(METRIC_NAME, "a_b")]), named(&[(METRIC_NAME, "a-b")])];
    let mut builder = builder(Names::Escaped(Escaping::Underscores));
    let mut encoder = RecordEncoder::new(WIDE);
    let mut next = |present: &[u32], at| {
        let first = scrape(&mut builder, &mut encoder, &all, present, at);
        // A request that is built once more is the same.
        assert_eq!(scrape(&mut builder, &mut encoder, &all, present, at), first);
        assert_eq!(first.0.len(), usize::from(!present.is_empty()), "one sample for each time");
        first
    };
    let sent = |slot: u32| vec![("a_b".to_owned(), f64::from(slot))];
    // Nobody knows yet of the classic one behind it.
    assert_eq!(next(&[0, 1], 1), (sent(0), vec![1]));
    assert_eq!(next(&[0, 1], 2), (sent(1), vec![0]));
    assert_eq!(next(&[0, 1], 3), (sent(1), vec![0]));
    // It has gone: one time later the other takes its place.
    assert_eq!(next(&[0, 2, 1], 4), (sent(1), vec![0, 2]));
    let payload = |present: &[u32], at| (present.to_vec(), at);
    let (present, at) = payload(&[0], 5);
    let (gone, left_out) = scrape(&mut builder, &mut encoder, &all, &present, at);
    assert_eq!((gone, left_out), (vec![], vec![0]));
    let mut next = |present: &[u32], at| scrape(&mut builder, &mut encoder, &all, present, at);
    assert_eq!(next(&[0, 2], 6), (sent(0), vec![2]));
    assert_eq!(next(&[2], 7), (sent(2), vec![]));
    // And comes back.
    assert_eq!(next(&[1, 2], 8), (sent(1), vec![2]));
}

#[test]
fn rw_1_13_a_classic_series_in_front_is_found_in_the_request_and_across_requests() {
    let all = [named(&[(METRIC_NAME, "a_b")]), named(&[(METRIC_NAME, "a.b")])];
    let mut builder = builder(Names::Escaped(Escaping::Underscores));
    let mut encoder = RecordEncoder::new(WIDE);
    let payload = encode(&mut encoder, &samples(2, 1), &all).remove(0).1;
    let one = Limits { max_samples: 1, ..WIDE };
    builder.push(&payload, 0, &WIDE).unwrap();
    assert_eq!((builder.samples(), builder.left_out()), (1, &[(1, Unsent::SeriesClash)][..]));
    let payload = encode(&mut encoder, &samples(2, 2), &all).remove(0).1;
    builder.clear();
    assert_eq!(builder.push(&payload, 0, &one).unwrap(), 1);
    builder.clear();
    assert_eq!(builder.push(&payload, 1, &one).unwrap(), 2);
    assert_eq!((builder.samples(), builder.left_out()), (0, &[(1, Unsent::SeriesClash)][..]));
}

#[test]
fn a_series_is_spelled_once_and_then_recalled_with_its_spelling() {
    let all = [series(0), named(&[(METRIC_NAME, "a.b")]), named(&[(METRIC_NAME, "m"), ("x.y", "1")])];
    let mut builder = builder(Names::Escaped(Escaping::Underscores));
    let payload = encode(&mut RecordEncoder::new(WIDE), &samples(3, 1), &all).remove(0).1;
    builder.push(&payload, 0, &WIDE).unwrap();
    let message = snap::raw::Decoder::new().decompress_vec(&payload).unwrap();
    let (mut known, start) = builder.shapes.recognise(&message, 0).unwrap();
    let mut rest = &message[start..];
    let mut classic = Vec::new();
    while let Some((5, field::Value::Bytes(series))) = field::next(&mut rest).unwrap() {
        let hit = builder.shapes.recall(&mut known, series).unwrap();
        classic.push(hit.spelling == Spelling::Classic);
    }
    assert_eq!(classic, [true, false, false]);
}

proptest! {
    /// Whatever is scraped, a receiver sees valid sorted names and no series twice at one time.
    #[test]
    fn rw_1_12_what_goes_as_1_0_has_classic_sorted_names_and_no_doubles(
        names in prop::collection::btree_set("[ab._-]{1,3}", 1..12),
        scrapes in prop::collection::vec(prop::collection::btree_set(0..12_u32, 0..12), 1..8),
        max_samples in 1..6_u32,
    ) {
        let all: Vec<_> = names.iter().map(|name| named(&[(METRIC_NAME, name), (&name.replace('a', "ä"), "1")])).collect();
        let mut builder = builder(Names::Escaped(Escaping::Underscores));
        let mut encoder = RecordEncoder::new(WIDE);
        let mut seen = std::collections::HashSet::new();
        for (scrape, at) in scrapes.iter().zip(1_i64..) {
            let samples: Vec<_> = scrape.iter().filter(|slot| (**slot as usize) < all.len()).map(|slot| {
                SampleRef { slot: *slot, generation: 0, value: 1.0, timestamp: at, start: 0 }
            }).collect();
            let Some((_, payload)) = encode(&mut encoder, &samples, &all).pop() else { continue };
            let (mut from, mut left_out) = (0, 0);
            let mut sent = 0;
            while (from as usize) < samples.len() {
                builder.clear();
                from = builder.push(&payload, from, &Limits { max_samples, ..WIDE }).unwrap();
                left_out += builder.left_out().len();
                sent += builder.samples() as usize;
                for (labels, at) in spelled(&mut builder) {
                    prop_assert!(labels.is_sorted());
                    for (name, value) in &labels {
                        prop_assert!(crate::model::NameOf::Label.is_classic(name), "{name}");
                        prop_assert!(name != METRIC_NAME || crate::model::NameOf::Metric.is_classic(value), "{value}");
                    }
                    // Found in the same request even at its first time; the limit of one request is none for the others.
                    prop_assert!(max_samples < 5 || seen.insert((labels, at)));
                }
            }
            prop_assert_eq!(sent + left_out, samples.len());
        }
    }
}

#[test]
fn rw_1_13_a_native_histogram_is_a_sample_too_where_two_series_become_one() {
    use crate::model::{Buckets, Histogram, HistogramSample};
    let all = [named(&[(METRIC_NAME, "a_b")]), named(&[(METRIC_NAME, "a.b")])];
    for (histograms, exemplars) in
        [(vec![0, 1], vec![]), (vec![0, 1], vec![0, 1]), (vec![0], vec![0]), (vec![1], vec![0, 1])]
    {
        let mut builder = builder(Names::Escaped(Escaping::Underscores));
        let mut encoder = RecordEncoder::new(WIDE);
        for timestamp in [1_000, 2_000] {
            let samples = samples(2, timestamp);
            let histogram = |sample: &usize| {
                let sum = samples[*sample].value;
                let histogram = Histogram::Integer(Buckets { sum, ..Buckets::default() });
                HistogramSample { sample: *sample, histogram }
            };
            let exemplar =
                |sample: &usize| Exemplar { sample: *sample, labels: Labels::new(), value: 1.0, timestamp };
            let histograms: Vec<_> = histograms.iter().map(histogram).collect();
            let exemplars: Vec<_> = exemplars.iter().map(exemplar).collect();
            let scrape = Scrape { samples: &samples, exemplars: &exemplars, histograms: &histograms };
            builder.clear();
            encoder.encode_packed(&scrape, describe(&all), |_, payload| {
                assert_eq!(builder.push(payload, 0, &WIDE).unwrap(), 2);
            });
            let told = format!("{histograms:?} {exemplars:?}");
            assert_eq!(builder.left_out(), [(1, Unsent::SeriesClash)], "{told}");
            assert_eq!(decode_v1(builder.finish(), MAX).unwrap().timeseries.len(), 1, "{told}");
        }
    }
}
