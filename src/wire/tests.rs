//! prost is the oracle: what our encoders write, its derived types must read, and write back byte for byte.

use proptest::prelude::*;
use prost::Message;

use super::decode::{decode_v1, decode_v2};
use super::v1::RequestBuilder;
use super::{Counts, Limits, RecordEncoder, Scrape, field};
use crate::model::{Description, Exemplar, Labels, METRIC_NAME, MetricType, SampleRef, stale_marker};
use crate::proto;

mod generated;
mod histograms;
mod metadata;
mod names;
mod recurring;
mod selection;

const WIDE: Limits = Limits { max_samples: 2_000, max_bytes: 1 << 20 };
const MAX: usize = 64 << 20;

#[derive(Clone, Debug)]
struct TestSeries {
    labels: Labels,
    metric_type: MetricType,
    help: String,
    unit: String,
}

fn describe<'a>(all: &'a [TestSeries]) -> impl Fn(u32) -> Description<'a> {
    |slot| {
        let series = &all[slot as usize];
        Description {
            labels: &series.labels,
            metric_type: series.metric_type,
            help: &series.help,
            unit: &series.unit,
        }
    }
}

fn series(number: usize) -> TestSeries {
    let n = number.to_string();
    let labels = Labels::from_iter([(METRIC_NAME, "m_total"), ("job", "docker"), ("n", n.as_str())]);
    TestSeries { labels, metric_type: MetricType::Counter, help: "counts".into(), unit: String::new() }
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        Just(0.0),
        Just(-0.0),
        Just(f64::INFINITY),
        Just(stale_marker()),
        (0..100_i32).prop_map(f64::from)
    ]
}

fn samples(count: u32, timestamp: i64) -> Vec<SampleRef> {
    (0..count)
        .map(|slot| SampleRef { slot, generation: 0, value: f64::from(slot), timestamp, start: 0 })
        .collect()
}

fn beside<'a>(samples: &'a [SampleRef], exemplars: &'a [Exemplar]) -> Scrape<'a> {
    Scrape { samples, exemplars, histograms: &[] }
}

fn encode(encoder: &mut RecordEncoder, samples: &[SampleRef], all: &[TestSeries]) -> Vec<(Counts, Vec<u8>)> {
    let mut records = Vec::new();
    encoder.encode(samples, describe(all), |counts, payload| records.push((counts, payload.to_vec())));
    records
}

/// `(labels, value bits, timestamp)` of each entry, in order, checked for the rules of 2.07 to 2.09.
fn read_v2(payload: &[u8]) -> Vec<(Labels, u64, i64)> {
    let request = decode_v2(payload, MAX).unwrap();
    assert_eq!(request.symbols[0], "");
    let mut distinct = request.symbols.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), request.symbols.len(), "a symbol stands twice");
    request
        .timeseries
        .iter()
        .map(|series| {
            assert_eq!(series.labels_refs.len() % 2, 0);
            let symbol = |reference: u32| request.symbols[reference as usize].as_str();
            let labels =
                series.labels_refs.chunks(2).map(|pair| (symbol(pair[0]), symbol(pair[1]))).collect();
            assert_eq!(series.samples.len(), 1);
            (labels, series.samples[0].value.to_bits(), series.samples[0].timestamp)
        })
        .collect()
}

fn read_v1(body: &[u8]) -> Vec<(Labels, u64, i64)> {
    let request = decode_v1(body, MAX).unwrap();
    request
        .timeseries
        .iter()
        .map(|series| {
            let labels = series.labels.iter().map(|l| (l.name.as_str(), l.value.as_str())).collect();
            assert_eq!(series.samples.len(), 1);
            (labels, series.samples[0].value.to_bits(), series.samples[0].timestamp)
        })
        .collect()
}

fn expected(samples: &[SampleRef], all: &[TestSeries]) -> Vec<(Labels, u64, i64)> {
    let entry = |s: &SampleRef| (all[s.slot as usize].labels.clone(), s.value.to_bits(), s.timestamp);
    samples.iter().map(entry).collect()
}

#[test]
fn rw_2_14_a_record_carries_labels_value_timestamp_type_help_and_unit() {
    let all = [TestSeries { unit: "bytes".into(), ..series(0) }];
    let records = encode(&mut RecordEncoder::new(WIDE), &samples(1, 1_700_000_000_000), &all);
    let request = decode_v2(&records[0].1, MAX).unwrap();
    let metadata = request.timeseries[0].metadata.unwrap();
    assert_eq!(metadata.r#type, proto::v2::metadata::MetricType::Counter as i32);
    assert_eq!(request.symbols[metadata.help_ref as usize], "counts");
    assert_eq!(request.symbols[metadata.unit_ref as usize], "bytes");
    assert_eq!(read_v2(&records[0].1), expected(&samples(1, 1_700_000_000_000), &all));
}

#[test]
fn rw_2_12_a_start_timestamp_goes_with_its_sample_and_1_0_does_without() {
    let all: Vec<_> = (0..3).map(series).collect();
    let mut encoder = RecordEncoder::new(WIDE);
    for scrape in 1..4 {
        let mut samples = samples(3, scrape);
        (samples[0].start, samples[1].start) = (1_700_000_000_000, if scrape == 3 { 0 } else { -1 });
        let payload = encode(&mut encoder, &samples, &all).remove(0).1;
        let request = decode_v2(&payload, MAX).unwrap();
        let starts: Vec<_> =
            request.timeseries.iter().map(|series| series.samples[0].start_timestamp).collect();
        assert_eq!(starts, samples.iter().map(|sample| sample.start).collect::<Vec<_>>());
        assert_eq!(read_v2(&payload), expected(&samples, &all));
        let mut builder = RequestBuilder::new();
        assert_eq!(builder.push(&payload, 0, &WIDE).unwrap(), 3);
        assert_eq!(read_v1(builder.finish()), expected(&samples, &all));
    }
}

/// Sample, labels, value bits, timestamp of each exemplar of a record.
fn exemplars_of(payload: &[u8]) -> Vec<(usize, Labels, u64, i64)> {
    let request = decode_v2(payload, MAX).unwrap();
    let symbol = |reference: u32| request.symbols[reference as usize].as_str();
    let mut all = Vec::new();
    for (at, series) in request.timeseries.iter().enumerate() {
        all.extend(series.exemplars.iter().map(|exemplar| {
            let labels =
                exemplar.labels_refs.chunks(2).map(|pair| (symbol(pair[0]), symbol(pair[1]))).collect();
            (at, labels, exemplar.value.to_bits(), exemplar.timestamp)
        }));
    }
    all
}

#[test]
fn rw_2_15_exemplars_go_with_their_samples_once_and_leave_no_symbols_behind() {
    let all: Vec<_> = (0..5).map(series).collect();
    let limits = Limits { max_samples: 3, max_bytes: 1 << 20 };
    let mut encoder = RecordEncoder::new(limits);
    let exemplar = |sample: usize, trace: &str, timestamp| Exemplar {
        sample,
        labels: Labels::from_iter([("trace_id", trace)]),
        value: -0.0,
        timestamp,
    };
    let told = |at: usize, trace: &str, timestamp: i64| {
        (at, Labels::from_iter([("trace_id", trace)]), (-0.0_f64).to_bits(), timestamp)
    };
    let mut tables = Vec::new();
    for scrape in 1..6_i64 {
        let trace = format!("trace {scrape}");
        let mut exemplars =
            vec![exemplar(1, &trace, scrape), exemplar(1, "second", 0), exemplar(4, &trace, -1)];
        exemplars.push(Exemplar { labels: Labels::new(), ..exemplar(4, "", 7) });
        if scrape % 2 == 0 {
            exemplars.clear();
        }
        let samples = samples(5, scrape);
        let mut payloads = Vec::new();
        encoder.encode_packed(&beside(&samples, &exemplars), describe(&all), |_, payload| {
            payloads.push(payload.to_vec())
        });
        let read: Vec<_> = payloads.iter().flat_map(|payload| read_v2(payload)).collect();
        assert_eq!(read, expected(&samples, &all));
        if scrape % 2 == 0 {
            assert!(payloads.iter().all(|payload| exemplars_of(payload).is_empty()));
            tables.push(decode_v2(&payloads[0], MAX).unwrap().symbols);
        } else {
            let first = [told(1, &trace, scrape), told(1, "second", 0)];
            assert_eq!(exemplars_of(&payloads[0]), first);
            let second = [told(1, &trace, -1), (1, Labels::new(), (-0.0_f64).to_bits(), 7)];
            assert_eq!(exemplars_of(&payloads[1]), second);
        }
        let mut builder = RequestBuilder::new();
        builder.push(&payloads[0], 0, &WIDE).unwrap();
        assert_eq!(read_v1(builder.finish()), expected(&samples[..3], &all));
    }
    assert!(!tables[1].iter().any(|symbol| symbol == "trace 3"), "{:?}", tables[1]);
}

#[test]
fn a_record_that_is_full_in_the_middle_of_exemplars_goes_on_with_the_next() {
    let all: Vec<_> = (0..20).map(series).collect();
    for max_bytes in (100..700).step_by(7) {
        let mut encoder = RecordEncoder::new(Limits { max_samples: 100, max_bytes });
        for scrape in 1..4 {
            let samples = samples(20, scrape);
            let exemplar = |sample| Exemplar {
                sample,
                labels: Labels::from_iter([("trace_id", format!("{scrape} {sample}"))]),
                value: 1.0,
                timestamp: scrape,
            };
            let exemplars: Vec<_> = (0..20).filter(|sample| sample % 3 != 1).map(exemplar).collect();
            let mut read = Vec::new();
            let mut traces = Vec::new();
            encoder.encode_packed(&beside(&samples, &exemplars), describe(&all), |_, payload| {
                traces.extend(
                    exemplars_of(payload).into_iter().map(|(at, labels, ..)| (at + read.len(), labels)),
                );
                read.extend(read_v2(payload));
            });
            assert_eq!(read, expected(&samples, &all));
            let expected: Vec<_> = exemplars.iter().map(|e| (e.sample, e.labels.clone())).collect();
            assert_eq!(traces, expected, "{max_bytes} bytes");
        }
    }
}

#[test]
fn a_scrape_is_cut_at_the_sample_limit_and_each_record_stands_alone() {
    let all: Vec<_> = (0..10).map(series).collect();
    let mut encoder = RecordEncoder::new(Limits { max_samples: 4, max_bytes: 1 << 20 });
    for timestamp in [1, 2, 3] {
        let records = encode(&mut encoder, &samples(10, timestamp), &all);
        assert_eq!(records.iter().map(|(counts, _)| counts.samples).collect::<Vec<_>>(), [4, 4, 2]);
        let read: Vec<_> = records.iter().flat_map(|(_, payload)| read_v2(payload)).collect();
        assert_eq!(read, expected(&samples(10, timestamp), &all));
    }
}

#[test]
fn a_scrape_that_shrinks_and_grows_again_keeps_no_table_and_knows_its_series() {
    let all: Vec<_> = (0..10).map(series).collect();
    let mut encoder = RecordEncoder::new(Limits { max_samples: 4, max_bytes: 1 << 20 });
    for (timestamp, count) in [(1, 10), (2, 3), (3, 10), (4, 7), (5, 10)] {
        let records = encode(&mut encoder, &samples(count, timestamp), &all);
        assert_eq!(encoder.tables(), records.len());
        let read: Vec<_> = records.iter().flat_map(|(_, payload)| read_v2(payload)).collect();
        assert_eq!(read, expected(&samples(count, timestamp), &all));
    }
}

#[test]
fn a_scrape_is_cut_at_the_byte_limit_but_a_single_large_sample_still_goes() {
    let all: Vec<_> = (0..20).map(series).collect();
    let mut encoder = RecordEncoder::new(Limits { max_samples: 100, max_bytes: 200 });
    let records = encode(&mut encoder, &samples(20, 5), &all);
    assert!(records.len() > 1);
    for (_, payload) in &records {
        assert!(snap::raw::decompress_len(payload).unwrap() <= 200);
    }
    let mut encoder = RecordEncoder::new(Limits { max_samples: 100, max_bytes: 1 });
    assert_eq!(encode(&mut encoder, &samples(3, 5), &all).len(), 3);
}

#[test]
fn counts_tell_samples_markers_and_the_span_of_timestamps() {
    let all = [series(0), series(1)];
    let mut two = samples(2, 10);
    two[1] = SampleRef { value: stale_marker(), timestamp: 7, ..two[1] };
    let records = encode(&mut RecordEncoder::new(WIDE), &two, &all);
    assert_eq!(records[0].0, Counts { samples: 2, markers: 1, min_timestamp: 7, max_timestamp: 10 });
}

#[test]
fn a_reused_slot_with_a_new_generation_is_encoded_anew() {
    let mut encoder = RecordEncoder::new(WIDE);
    encode(&mut encoder, &samples(1, 1), &[series(0)]);
    let renewed = [SampleRef { slot: 0, generation: 1, value: 1.0, timestamp: 2, start: 0 }];
    let records = encode(&mut encoder, &renewed, &[series(9)]);
    assert_eq!(read_v2(&records[0].1)[0].0.get("n"), Some("9"));
}

#[test]
fn symbols_of_vanished_series_do_not_pile_up() {
    let mut encoder = RecordEncoder::new(WIDE);
    let mut largest = 0;
    for generation in 0..200_u32 {
        let all: Vec<_> = (0..50).map(|n| series(generation as usize * 50 + n)).collect();
        let fresh: Vec<_> =
            samples(50, 1).into_iter().map(|sample| SampleRef { generation, ..sample }).collect();
        let records = encode(&mut encoder, &fresh, &all);
        assert_eq!(read_v2(&records[0].1), expected(&fresh, &all));
        largest = largest.max(decode_v2(&records[0].1, MAX).unwrap().symbols.len());
    }
    assert!(largest < 1_000, "{largest} symbols for 50 series");
}

/// `series(number)` with one more label of `len` bytes.
fn wide_series(number: usize, len: usize) -> TestSeries {
    let mut series = series(number);
    series.labels.set("wide", &format!("{number:0len$}"));
    series
}

#[test]
fn a_sample_that_does_not_fit_leaves_nothing_in_the_record() {
    let mut all: Vec<_> = (0..10).map(series).collect();
    all[5] = wide_series(5, 2_000);
    let mut encoder = RecordEncoder::new(Limits { max_samples: 100, max_bytes: 1_000 });
    for timestamp in 1..50 {
        let records = encode(&mut encoder, &samples(10, timestamp), &all);
        assert_eq!(records.iter().map(|(counts, _)| counts.samples).collect::<Vec<_>>(), [5, 1, 4]);
        assert!(snap::raw::decompress_len(&records[0].1).unwrap() < 1_000);
        assert!(snap::raw::decompress_len(&records[2].1).unwrap() < 1_000);
    }
}

#[test]
fn long_symbols_of_vanished_series_neither_pile_up_nor_split_records() {
    let mut encoder = RecordEncoder::new(Limits { max_samples: 100, max_bytes: 20_000 });
    for generation in 0..200_u32 {
        let all: Vec<_> = (0..9).map(series).chain([wide_series(generation as usize, 5_000)]).collect();
        let mut samples = samples(10, 1);
        samples[9].generation = generation;
        let records = encode(&mut encoder, &samples, &all);
        assert_eq!(records.len(), 1, "scrape {generation}");
        assert_eq!(read_v2(&records[0].1), expected(&samples, &all));
    }
    let mut encoder = RecordEncoder::new(WIDE);
    for generation in 0..200_u32 {
        let all = [series(0), wide_series(generation as usize, 5_000)];
        let mut samples = samples(2, 1);
        samples[1].generation = generation;
        let len = snap::raw::decompress_len(&encode(&mut encoder, &samples, &all)[0].1).unwrap();
        assert!(len < 20_000, "{len} bytes for two series of 5 kB");
    }
}

#[test]
fn requests_merge_records_and_stop_at_their_limits() {
    let all: Vec<_> = (0..10).map(series).collect();
    let mut encoder = RecordEncoder::new(WIDE);
    let first = encode(&mut encoder, &samples(10, 1), &all).remove(0).1;
    let second = encode(&mut encoder, &samples(10, 2), &all).remove(0).1;
    let limits = Limits { max_samples: 15, max_bytes: 1 << 20 };
    let mut builder = RequestBuilder::new();
    assert_eq!(builder.push(&first, 0, &limits).unwrap(), 10);
    assert_eq!(builder.push(&second, 0, &limits).unwrap(), 5);
    assert_eq!(builder.samples(), 15);
    let mut read = read_v1(builder.finish());
    builder.clear();
    assert_eq!(builder.push(&second, 5, &limits).unwrap(), 10);
    read.extend(read_v1(builder.finish()));
    let both: Vec<_> = samples(10, 1).into_iter().chain(samples(10, 2)).collect();
    assert_eq!(read, expected(&both, &all));
}

#[test]
fn a_request_takes_one_sample_even_if_that_is_beyond_the_byte_limit() {
    let payload = encode(&mut RecordEncoder::new(WIDE), &samples(2, 1), &[series(0), series(1)]).remove(0).1;
    let mut builder = RequestBuilder::new();
    assert_eq!(builder.push(&payload, 0, &Limits { max_samples: 10, max_bytes: 1 }).unwrap(), 1);
}

#[test]
fn a_damaged_payload_leaves_the_request_as_it_was() {
    let payload = encode(&mut RecordEncoder::new(WIDE), &samples(2, 1), &[series(0), series(1)]).remove(0).1;
    let mut message = snap::raw::Decoder::new().decompress_vec(&payload).unwrap();
    message.truncate(message.len() - 3);
    let damaged = snap::raw::Encoder::new().compress_vec(&message).unwrap();
    let mut builder = RequestBuilder::new();
    builder.push(&payload, 0, &WIDE).unwrap();
    let before = builder.finish().to_vec();
    assert!(builder.push(&damaged, 0, &WIDE).is_err());
    assert_eq!(builder.finish(), before);
    assert_eq!(builder.samples(), 2);
}

#[test]
fn a_block_that_claims_too_much_is_refused_before_memory_is_taken() {
    let claims_4_gib = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(decode_v1(&claims_4_gib, MAX).is_err());
}

#[test]
fn symbols_of_vanished_series_do_not_crowd_out_the_samples() {
    let labelled = |number: usize| {
        let value = format!("{number:0>100}");
        let labels = Labels::from_iter([(METRIC_NAME, "m"), ("n", value.as_str())]);
        TestSeries { labels, metric_type: MetricType::Gauge, help: String::new(), unit: String::new() }
    };
    let limits = Limits { max_samples: 2_000, max_bytes: 16_000 };
    let mut encoder = RecordEncoder::new(limits);
    let mut all: Vec<_> = (0..100).map(labelled).collect();
    assert_eq!(encode(&mut encoder, &samples(100, 1), &all).len(), 1);
    // Every series gives way to another one of the same size, so one record is enough again.
    for round in 1..=4 {
        all = (0..100).map(|number| labelled(round * 100 + number)).collect();
        let mut samples = samples(100, 1);
        samples.iter_mut().for_each(|sample| sample.generation = u32::try_from(round).unwrap());
        let records = encode(&mut encoder, &samples, &all);
        assert_eq!(records.len(), 1, "round {round}");
        let message = decode_v2(&records[0].1, MAX).unwrap().encoded_len();
        assert!(message <= limits.max_bytes, "round {round}: {message} bytes");
    }
}
