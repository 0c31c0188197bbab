//! Native histograms in records and requests (remote-write 2.09, 2.16, 2.23).

use super::*;
use crate::model::{Buckets, Histogram, HistogramKind, HistogramSample, STALE_MARKER_BITS, Side};
use crate::wire::v2;

fn integer(seed: u64) -> Histogram {
    Histogram::Integer(Buckets {
        schema: 8,
        count: 3 * seed + 5,
        sum: -0.0,
        zero_threshold: 1e-128,
        zero_count: seed,
        negative: Side::of([(-3, seed), (-2, 5)]),
        positive: Side::of([(i64::from(i32::MAX) - 1, seed)]),
        custom_bounds: vec![],
        is_gauge: seed.is_multiple_of(2),
    })
}

fn float() -> Histogram {
    Histogram::Float(Buckets {
        schema: -4,
        count: 0.5,
        sum: f64::INFINITY,
        zero_threshold: 0.0,
        zero_count: 0.25,
        negative: Side::default(),
        positive: Side::of([(0, 0.125), (1, 0.0625), (9, 1e300)]),
        custom_bounds: vec![],
        is_gauge: false,
    })
}

const KINDS: [HistogramKind; 4] =
    [HistogramKind::Integer, HistogramKind::Float, HistogramKind::CustomInteger, HistogramKind::CustomFloat];

fn has_custom_bounds(sample: &HistogramSample) -> bool {
    matches!(sample.histogram.kind(), HistogramKind::CustomInteger | HistogramKind::CustomFloat)
}

fn custom() -> Histogram {
    Histogram::Integer(Buckets {
        schema: -53,
        count: 3,
        sum: 7.0,
        positive: Side::of([(0, 1), (2, 2)]),
        custom_bounds: vec![-1.0, 0.0, 2.5],
        ..Buckets::default()
    })
}

/// What the proto types of `proto/` say of it: spelled field by field, as the specification has them.
fn told(histogram: &Histogram, timestamp: i64, start_timestamp: i64) -> proto::v2::Histogram {
    use proto::v2::histogram::{Count, ZeroCount};
    fn spans<N>(side: &Side<N>) -> Vec<proto::v2::BucketSpan> {
        let span =
            |span: &crate::model::Span| proto::v2::BucketSpan { offset: span.offset, length: span.length };
        side.spans.iter().map(span).collect()
    }
    fn deltas(side: &Side<u64>) -> Vec<i64> {
        let mut last = 0;
        let mut delta = |count: &u64| {
            let delta = count.wrapping_sub(last).cast_signed();
            last = *count;
            delta
        };
        side.counts.iter().map(&mut delta).collect()
    }
    fn common<N>(buckets: &Buckets<N>) -> proto::v2::Histogram {
        proto::v2::Histogram {
            sum: buckets.sum,
            schema: buckets.schema,
            zero_threshold: buckets.zero_threshold,
            negative_spans: spans(&buckets.negative),
            positive_spans: spans(&buckets.positive),
            custom_values: buckets.custom_bounds.clone(),
            reset_hint: if buckets.is_gauge { 3 } else { 0 },
            ..Default::default()
        }
    }
    match histogram {
        Histogram::Integer(buckets) => proto::v2::Histogram {
            count: Some(Count::CountInt(buckets.count)),
            zero_count: Some(ZeroCount::ZeroCountInt(buckets.zero_count)),
            negative_deltas: deltas(&buckets.negative),
            positive_deltas: deltas(&buckets.positive),
            timestamp,
            start_timestamp,
            ..common(buckets)
        },
        Histogram::Float(buckets) => proto::v2::Histogram {
            count: Some(Count::CountFloat(buckets.count)),
            zero_count: Some(ZeroCount::ZeroCountFloat(buckets.zero_count)),
            negative_counts: buckets.negative.counts.clone(),
            positive_counts: buckets.positive.counts.clone(),
            timestamp,
            start_timestamp,
            ..common(buckets)
        },
    }
}

/// Every third sample is a histogram; each slot changes from one kind to the next from scrape to scrape.
fn scrape(count: u32, timestamp: i64) -> (Vec<SampleRef>, Vec<HistogramSample>) {
    let mut samples = samples(count, timestamp);
    let mut histograms = Vec::new();
    for (sample, at) in samples.iter_mut().zip(0..) {
        let turn = i64::try_from(at).unwrap() + timestamp;
        let histogram = match turn % 7 {
            0 => integer(turn.unsigned_abs()),
            1 => float(),
            2 => custom(),
            3 => Histogram::stale(HistogramKind::Integer),
            4 => Histogram::stale(HistogramKind::CustomFloat),
            _ => continue,
        };
        sample.value = histogram.sum();
        sample.start = turn % 2;
        histograms.push(HistogramSample { sample: at, histogram });
    }
    (samples, histograms)
}

/// The histograms of a record by the number of their sample; checks that each is all the data of its series (2.09).
fn histograms_of(payload: &[u8], first: usize) -> Vec<(usize, proto::v2::Histogram)> {
    let request = decode_v2(payload, MAX).unwrap();
    let mut found = Vec::new();
    for (at, series) in request.timeseries.into_iter().enumerate() {
        assert_eq!(series.samples.len() + series.histograms.len(), 1);
        found.extend(series.histograms.into_iter().map(|histogram| (first + at, histogram)));
    }
    found
}

/// NaN is not equal to itself.
fn bytes(histograms: &[(usize, proto::v2::Histogram)]) -> Vec<(usize, Vec<u8>)> {
    histograms.iter().map(|(at, histogram)| (*at, histogram.encode_to_vec())).collect()
}

#[test]
fn rw_2_09_and_2_23_native_histograms_are_in_the_record_instead_of_samples() {
    let all: Vec<_> = (0..20).map(series).collect();
    for max_bytes in [150, 400, 1_000, 1 << 20] {
        let mut encoder = RecordEncoder::new(Limits { max_samples: 7, max_bytes });
        for timestamp in 1..9 {
            let (samples, histograms) = scrape(20, timestamp);
            let exemplar = |sample| Exemplar { sample, labels: Labels::new(), value: 1.0, timestamp };
            let exemplars: Vec<_> = (0..20).filter(|sample| sample % 5 == 0).map(exemplar).collect();
            let scrape = Scrape { samples: &samples, exemplars: &exemplars, histograms: &histograms };
            let (mut found, mut exemplars_found, mut markers, mut first) = (vec![], vec![], 0, 0);
            encoder.encode_packed(&scrape, describe(&all), |counts, payload| {
                assert_eq!((counts.min_timestamp, counts.max_timestamp), (timestamp, timestamp));
                found.extend(histograms_of(payload, first));
                exemplars_found.extend(exemplars_of(payload).into_iter().map(|(at, ..)| at + first));
                let request = decode_v2(payload, MAX).unwrap();
                for (series, sample) in request.timeseries.iter().zip(&samples[first..]) {
                    let bits: Vec<_> = series.samples.iter().map(|sample| sample.value.to_bits()).collect();
                    let expected = sample.value.to_bits();
                    assert_eq!(bits, [expected][usize::from(bits.is_empty())..], "of its own kind");
                    assert_eq!(request.symbols[series.labels_refs[5] as usize], sample.slot.to_string());
                }
                markers += counts.markers;
                first += counts.samples as usize;
            });
            assert_eq!(first, 20);
            let expected: Vec<_> = histograms
                .iter()
                .map(|it| (it.sample, told(&it.histogram, timestamp, samples[it.sample].start)))
                .collect();
            assert_eq!(bytes(&found), bytes(&expected), "{max_bytes} bytes");
            assert_eq!(exemplars_found, [0, 5, 10, 15]);
            let stale = histograms.iter().filter(|it| it.histogram.is_stale()).count();
            assert_eq!(markers as usize, stale);
        }
    }
}

#[test]
fn rw_2_16_a_series_of_histograms_ends_with_one_whose_sum_is_the_marker() {
    for kind in KINDS {
        let stale = Histogram::stale(kind);
        assert_eq!((stale.is_stale(), stale.kind()), (true, kind));
        let samples = [SampleRef { slot: 0, generation: 0, value: stale.sum(), timestamp: 5, start: 0 }];
        let histograms = [HistogramSample { sample: 0, histogram: stale }];
        let scrape = Scrape { samples: &samples, exemplars: &[], histograms: &histograms };
        let mut seen = 0;
        RecordEncoder::new(WIDE).encode_packed(&scrape, describe(&[series(0)]), |counts, payload| {
            assert_eq!((counts.samples, counts.markers), (1, 1));
            let found = histograms_of(payload, 0);
            assert_eq!(found[0].1.sum.to_bits(), STALE_MARKER_BITS);
            assert_eq!(found[0].1.schema, if has_custom_bounds(&histograms[0]) { -53 } else { 0 });
            seen += 1;
        });
        assert_eq!(seen, 1);
    }
}

#[test]
fn rw_2_23_and_2_24_a_histogram_reaches_both_messages_as_it_was_but_for_custom_bounds() {
    let all: Vec<_> = (0..20).map(series).collect();
    let mut encoder = RecordEncoder::new(WIDE);
    let (mut v1, mut merged) = (RequestBuilder::new(), v2::RequestBuilder::new());
    for timestamp in 1..9 {
        let (samples, histograms) = scrape(20, timestamp);
        let scrape = Scrape { samples: &samples, exemplars: &[], histograms: &histograms };
        let mut payloads = Vec::new();
        encoder.encode_packed(&scrape, describe(&all), |_, payload| payloads.push(payload.to_vec()));
        v1.clear();
        assert_eq!(v1.push(&payloads[0], 0, &WIDE).unwrap(), 20);
        let sent = decode_v1(v1.finish(), MAX).unwrap();
        let left_out = v1.left_out().iter().map(|(at, _)| *at as usize);
        let customs = histograms.iter().filter(|it| has_custom_bounds(it)).map(|it| it.sample);
        assert!(left_out.eq(customs));
        let of_1_0: Vec<_> = sent.timeseries.iter().flat_map(|series| &series.histograms).collect();
        let expected: Vec<_> = histograms
            .iter()
            .filter(|it| !has_custom_bounds(it))
            // Fields 1 to 16 are the same; 1.0 has no start timestamp.
            .map(|it| told(&it.histogram, timestamp, 0).encode_to_vec())
            .collect();
        assert_eq!(of_1_0.iter().map(|it| it.encode_to_vec()).collect::<Vec<_>>(), expected);

        merged.clear();
        for _ in 0..2 {
            merged.push(&payloads[0], 0, &WIDE).unwrap();
        }
        let found = histograms_of(merged.finish(), 0);
        let told: Vec<_> = [0, 20]
            .iter()
            .flat_map(|first| {
                let told = |it: &HistogramSample| told(&it.histogram, timestamp, samples[it.sample].start);
                histograms.iter().map(move |it| (first + it.sample, told(it)))
            })
            .collect();
        assert_eq!(bytes(&found), bytes(&told));
    }
}
