//! prost is the oracle: records of every kind go in, and come out as they were, whatever they were merged with.

use proptest::prelude::*;
use prost::Message;

use super::super::decode::{decode_v1, decode_v2};
use super::super::{Limits, v1};
use super::*;
use crate::proto::v2::{
    BucketSpan, Exemplar, Histogram, Metadata, Request, Sample, TimeSeries, histogram::Count,
};

const MAX: usize = 64 << 20;
const WIDE: Limits = Limits { max_samples: 2_000, max_bytes: 1 << 20 };

type Pairs = Vec<(String, String)>;

/// A series with its references resolved.
#[derive(Clone, Debug, PartialEq)]
struct Resolved {
    labels: Pairs,
    samples: Vec<(u64, i64, i64)>,
    histograms: Vec<Histogram>,
    exemplars: Vec<(Pairs, u64, i64)>,
    /// Type, help, unit.
    metadata: Option<(i32, String, String)>,
}

fn pack(request: &Request) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()
}

/// What a message holds; checks what 2.07 and 2.08 say of its symbols.
fn resolve(request: &Request) -> Vec<Resolved> {
    assert_eq!(request.symbols[0], "", "the first symbol is empty");
    let mut distinct = request.symbols.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), request.symbols.len(), "a symbol stands twice");
    let symbol = |at: u32| request.symbols[at as usize].clone();
    let labels = |refs: &[u32]| refs.chunks_exact(2).map(|pair| (symbol(pair[0]), symbol(pair[1]))).collect();
    let series = request.timeseries.iter().map(|series| Resolved {
        labels: labels(&series.labels_refs),
        samples: series
            .samples
            .iter()
            .map(|sample| (sample.value.to_bits(), sample.timestamp, sample.start_timestamp))
            .collect(),
        histograms: series.histograms.clone(),
        exemplars: series
            .exemplars
            .iter()
            .map(|exemplar| (labels(&exemplar.labels_refs), exemplar.value.to_bits(), exemplar.timestamp))
            .collect(),
        metadata: series
            .metadata
            .map(|metadata| (metadata.r#type, symbol(metadata.help_ref), symbol(metadata.unit_ref))),
    });
    series.collect()
}

fn body(builder: &mut RequestBuilder) -> Request {
    let body = builder.finish().to_vec();
    let message = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
    assert_eq!(message.len(), builder.message_len());
    let request = decode_v2(&body, MAX).unwrap();
    assert_eq!(request.encode_to_vec(), message, "prost writes the same bytes");
    assert_eq!(request.timeseries.len(), builder.samples() as usize);
    request
}

fn symbols(symbols: &[&str]) -> Vec<String> {
    symbols.iter().map(|symbol| (*symbol).to_owned()).collect()
}

fn sample(timestamp: i64) -> Sample {
    Sample { value: 1.5, timestamp, start_timestamp: 7 }
}

/// Series `name` with metadata, and with an exemplar.
fn record(name: &str, help: &str, trace: &str, timestamps: &[i64]) -> Request {
    let series = |timestamp: &i64| TimeSeries {
        labels_refs: vec![1, 2],
        samples: vec![sample(*timestamp)],
        histograms: Vec::new(),
        exemplars: vec![Exemplar { labels_refs: vec![4, 5], value: 2.0, timestamp: *timestamp }],
        metadata: Some(Metadata { r#type: 1, help_ref: 3, unit_ref: 0 }),
    };
    Request {
        symbols: symbols(&["", "__name__", name, help, "trace_id", trace]),
        timeseries: timestamps.iter().map(series).collect(),
    }
}

/// A histogram with custom buckets, and everything else that is not 0.
fn histogram(timestamp: i64) -> Histogram {
    Histogram {
        sum: 9.5,
        schema: -53,
        zero_threshold: 0.25,
        negative_spans: vec![BucketSpan { offset: -3, length: 2 }],
        negative_deltas: vec![-1, 2],
        negative_counts: vec![0.5],
        positive_spans: vec![BucketSpan { offset: 4, length: 1 }],
        positive_deltas: vec![5],
        positive_counts: vec![1.5],
        reset_hint: 2,
        timestamp,
        custom_values: vec![0.1, 0.2],
        start_timestamp: 77,
        count: Some(Count::CountInt(3)),
        zero_count: None,
    }
}

#[test]
fn a_record_that_fills_a_request_alone_goes_untouched() {
    let payload = pack(&record("a", "help", "t1", &[1, 2, 3]));
    let mut builder = RequestBuilder::new();
    let limits = Limits { max_samples: 3, max_bytes: 1 << 20 };
    assert_eq!(builder.push_trusted(&payload, 0, 3, &limits).unwrap(), 3);
    assert_eq!(builder.push_trusted(&pack(&record("b", "", "", &[4])), 0, 1, &limits).unwrap(), 0);
    assert_eq!(builder.finish(), payload);
    assert_eq!((builder.samples(), builder.is_empty()), (3, false));
    builder.clear();
    assert!(builder.is_empty());
}

#[test]
fn symbols_are_moved_to_one_table_rw_2_08() {
    let (first, second) = (record("a", "help", "t1", &[1]), record("b", "help", "t2", &[2]));
    let mut builder = RequestBuilder::new();
    assert_eq!(builder.push_trusted(&pack(&first), 0, 1, &WIDE).unwrap(), 1);
    assert_eq!(builder.push_trusted(&pack(&second), 0, 1, &WIDE).unwrap(), 1);
    let merged = body(&mut builder);
    assert_eq!(merged.symbols, ["", "__name__", "a", "help", "trace_id", "t1", "b", "t2"]);
    assert_eq!(resolve(&merged), [resolve(&first), resolve(&second)].concat());
}

#[test]
fn a_part_of_a_record_brings_only_its_own_symbols() {
    let mut two = record("a", "help", "t1", &[1]);
    two.symbols.extend(symbols(&["b"]));
    two.timeseries.push(TimeSeries {
        labels_refs: vec![1, 6],
        samples: vec![sample(2)],
        ..TimeSeries::default()
    });
    let mut builder = RequestBuilder::new();
    assert_eq!(builder.push_trusted(&pack(&two), 1, 2, &WIDE).unwrap(), 2);
    let merged = body(&mut builder);
    assert_eq!(merged.symbols, ["", "__name__", "b"]);
    assert_eq!(resolve(&merged), resolve(&two)[1..]);
}

#[test]
fn what_does_not_fit_leaves_no_symbol_behind_and_one_sample_always_fits() {
    let first = record("a", "help", "t1", &[1]);
    let long = record("b", &"x".repeat(500), "t2", &[2]);
    let limits = Limits { max_samples: 10, max_bytes: first.encoded_len() + 100 };
    let mut builder = RequestBuilder::new();
    builder.push(&pack(&first), 0, &limits).unwrap();
    assert_eq!(builder.push(&pack(&long), 0, &limits).unwrap(), 0);
    let after = record("c", "help", "t3", &[3]);
    assert_eq!(builder.push(&pack(&after), 0, &limits).unwrap(), 1);
    let merged = body(&mut builder);
    assert!(!merged.symbols.iter().any(|symbol| symbol == "b" || symbol == "t2"), "{:?}", merged.symbols);
    assert_eq!(resolve(&merged), [resolve(&first), resolve(&after)].concat());
    builder.clear();
    assert_eq!(builder.push_trusted(&pack(&long), 0, 1, &limits).unwrap(), 1);
    assert_eq!(resolve(&body(&mut builder)), resolve(&long));
}

#[test]
fn a_damaged_record_leaves_the_request_as_it_was() {
    let good = record("a", "help", "t1", &[1]);
    let mut outside = record("b", "help", "t2", &[2, 3]);
    outside.timeseries[1].labels_refs[1] = 99;
    let mut exemplar = record("b", "help", "t2", &[2]);
    exemplar.timeseries[0].exemplars[0].labels_refs[1] = 99;
    let mut help = record("b", "help", "t2", &[2]);
    help.timeseries[0].metadata.as_mut().unwrap().help_ref = 99;
    let torn = {
        let mut message = record("b", "help", "t2", &[2]).encode_to_vec();
        message.truncate(message.len() - 1);
        snap::raw::Encoder::new().compress_vec(&message).unwrap()
    };
    for damaged in [pack(&outside), pack(&exemplar), pack(&help), torn, b"no snappy".to_vec()] {
        let mut builder = RequestBuilder::new();
        builder.push(&pack(&good), 0, &WIDE).unwrap();
        assert!(builder.push(&damaged, 0, &WIDE).is_err());
        let left = body(&mut builder);
        assert_eq!((resolve(&left), left.symbols.len()), (resolve(&good), good.symbols.len()));
    }
}

#[test]
fn rw_1_07_and_2_23_exemplars_and_histograms_become_those_of_1_0() {
    let mut record = record("a", "help", "t1", &[10]);
    record.timeseries.push(TimeSeries {
        labels_refs: vec![1, 2],
        // 1.0 does not have those with custom buckets (2.24).
        histograms: vec![Histogram { schema: 3, ..histogram(11) }],
        exemplars: vec![Exemplar { labels_refs: vec![4, 5], value: 3.0, timestamp: 11 }],
        ..TimeSeries::default()
    });
    let mut builder = v1::RequestBuilder::new();
    // Twice: the second time series are recalled, if they may be.
    for _ in 0..2 {
        builder.clear();
        builder.push(&pack(&record), 0, &WIDE).unwrap();
        let request = decode_v1(builder.finish(), MAX).unwrap();
        let message = snap::raw::Decoder::new().decompress_vec(builder.finish()).unwrap();
        assert_eq!(request.encode_to_vec(), message, "prost writes the same bytes");
        let [first, second] = &request.timeseries[..] else { panic!("{request:?}") };
        assert_eq!((first.samples[0].value, first.samples[0].timestamp), (1.5, 10));
        let exemplar = &first.exemplars[0];
        let label = (exemplar.labels[0].name.as_str(), exemplar.labels[0].value.as_str());
        assert_eq!((label, exemplar.value, exemplar.timestamp), (("trace_id", "t1"), 2.0, 10));
        assert!(second.samples.is_empty() && second.exemplars.len() == 1);
        // The same fields under the same numbers, but for the start timestamp.
        let [sent] = &second.histograms[..] else { panic!("{second:?}") };
        let read = Histogram::decode(sent.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read, Histogram { schema: 3, start_timestamp: 0, ..histogram(11) });
    }
}

fn any_text() -> impl Strategy<Value = String> {
    // Few, so that records share some.
    prop::sample::select(vec!["", "a", "b", "c", "help", "é", "a longer one"]).prop_map(str::to_owned)
}

/// prost omits -0.0, so the records of these tests cannot hold it.
fn any_bits() -> impl Strategy<Value = u64> {
    any::<u64>().prop_map(|bits| if bits == (-0.0_f64).to_bits() { 0 } else { bits })
}

fn any_labels() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec((any_text(), any_text()), 0..4)
}

fn any_series() -> impl Strategy<Value = Resolved> {
    let exemplar = (any_labels(), any_bits(), any::<i64>());
    let data = prop_oneof![
        3 => (any_bits(), any::<i64>(), any::<i64>()).prop_map(|sample| (vec![sample], vec![])),
        1 => any::<i64>().prop_map(|timestamp| (vec![], vec![histogram(timestamp)])),
    ];
    let metadata = prop::option::of((0..8_i32, any_text(), any_text()));
    (any_labels(), data, prop::collection::vec(exemplar, 0..3), metadata).prop_map(
        |(labels, (samples, histograms), exemplars, metadata)| Resolved {
            labels,
            samples,
            histograms,
            exemplars,
            metadata,
        },
    )
}

/// As our encoder would write it: each symbol where it is first needed. `seed` puts others in front.
fn request(series: &[Resolved], seed: &[String]) -> Request {
    let mut symbols = vec![String::new()];
    let mut intern = |text: &String| {
        let at = symbols.iter().position(|symbol| symbol == text).unwrap_or_else(|| {
            symbols.push(text.clone());
            symbols.len() - 1
        });
        u32::try_from(at).unwrap()
    };
    seed.iter().for_each(|symbol| {
        intern(symbol);
    });
    let mut refs = |labels: &[(String, String)]| -> Vec<u32> {
        labels.iter().flat_map(|(name, value)| [name, value]).map(&mut intern).collect()
    };
    let mut timeseries = Vec::new();
    for one in series {
        let metadata = one.metadata.as_ref().map(|(r#type, help, unit)| {
            let at = refs(&[(help.clone(), unit.clone())]);
            Metadata { r#type: *r#type, help_ref: at[0], unit_ref: at[1] }
        });
        timeseries.push(TimeSeries {
            labels_refs: refs(&one.labels),
            samples: one
                .samples
                .iter()
                .map(|&(bits, timestamp, start_timestamp)| Sample {
                    value: f64::from_bits(bits),
                    timestamp,
                    start_timestamp,
                })
                .collect(),
            histograms: one.histograms.clone(),
            exemplars: one
                .exemplars
                .iter()
                .map(|(labels, bits, timestamp)| Exemplar {
                    labels_refs: refs(labels),
                    value: f64::from_bits(*bits),
                    timestamp: *timestamp,
                })
                .collect(),
            metadata,
        });
    }
    Request { symbols, timeseries }
}

proptest! {
    /// Whatever is queued arrives, once, in its order, and as it was, however it is cut into requests.
    #[test]
    fn merging_keeps_every_series_in_order(
        records in prop::collection::vec(
            (prop::collection::vec(any_series(), 1..6), prop::collection::vec(any_text(), 0..3), any::<bool>()), 1..6
        ),
        max_samples in 1..12_u32,
        max_bytes in prop_oneof![Just(1 << 20), 50..2_000_usize],
    ) {
        let limits = Limits { max_samples, max_bytes };
        let mut builder = RequestBuilder::new();
        let mut arrived = Vec::new();
        let mut ship = |builder: &mut RequestBuilder| {
            let request = body(builder);
            arrived.extend(resolve(&request));
            assert!(builder.samples() <= max_samples);
            assert!(builder.message_len() <= max_bytes || builder.samples() == 1);
            builder.clear();
        };
        for (series, seed, trusted) in &records {
            let payload = pack(&request(series, seed));
            let count = u32::try_from(series.len()).unwrap();
            let mut entry = 0;
            while entry < count {
                let next = match trusted {
                    true => builder.push_trusted(&payload, entry, count, &limits).unwrap(),
                    false => builder.push(&payload, entry, &limits).unwrap(),
                };
                prop_assert!(next > entry || !builder.is_empty());
                entry = next;
                if entry < count {
                    ship(&mut builder);
                }
            }
        }
        if !builder.is_empty() {
            ship(&mut builder);
        }
        let queued: Vec<_> = records.iter().flat_map(|(series, _, _)| series.clone()).collect();
        prop_assert_eq!(arrived, queued);
    }

    #[test]
    fn arbitrary_messages_are_refused_or_read_but_never_panic(message in prop::collection::vec(any::<u8>(), 0..200)) {
        let payload = snap::raw::Encoder::new().compress_vec(&message).unwrap();
        let mut builder = RequestBuilder::new();
        let _ = builder.push(&payload, 0, &WIDE);
        let _ = builder.push_trusted(&payload, 0, 1, &WIDE);
        let _ = builder.push(&pack(&record("a", "help", "t1", &[1])), 0, &WIDE);
    }
}

#[test]
fn the_empty_request_is_the_empty_symbol_and_nothing_else() {
    let request = decode_v2(&EMPTY_REQUEST, MAX).unwrap();
    assert_eq!(request, Request { symbols: vec![String::new()], timeseries: Vec::new() });
}
