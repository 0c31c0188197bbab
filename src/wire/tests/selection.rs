//! What an endpoint is not sent by its settings, and what 1.0 has no place for.

use prost::Message;

use super::super::{Names, Selection, Unsent, v1, v2};
use super::*;
use crate::model::Escaping;
use crate::proto::v2::{Exemplar, Histogram, Request, Sample, TimeSeries, histogram::Count};

const EVERYTHING: Selection =
    Selection { exemplars: true, native_histograms: true, names: Names::Escaped(Escaping::Underscores) };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Plain,
    WithExemplar,
    /// Of this schema.
    Native(i32),
}
use Entry::{Native, Plain, WithExemplar};

/// A record with these entries; the n-th is called `m<n>` and is of the time 1000 + n.
fn record(entries: &[Entry]) -> Request {
    let mut symbols = ["", METRIC_NAME, "trace_id", "t"].map(str::to_owned).to_vec();
    let mut timeseries = Vec::new();
    for (number, entry) in (0_u32..).zip(entries) {
        symbols.push(format!("m{number}"));
        let timestamp = 1000 + i64::from(number);
        let mut series = TimeSeries { labels_refs: vec![1, 4 + number], ..TimeSeries::default() };
        let sample = Sample { value: 1.0, timestamp, start_timestamp: 0 };
        match entry {
            Plain => series.samples = vec![sample],
            WithExemplar => {
                series.samples = vec![sample];
                series.exemplars = vec![Exemplar { labels_refs: vec![2, 3], value: 0.5, timestamp }];
            }
            Native(schema) => {
                let count = Some(Count::CountInt(3));
                series.histograms =
                    vec![Histogram { count, schema: *schema, timestamp, ..Histogram::default() }];
            }
        }
        timeseries.push(series);
    }
    Request { symbols, timeseries }
}

fn pack(request: &Request) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()
}

/// Timestamp, exemplars and histograms of each series of a 1.0 body.
fn seen_v1(body: &[u8]) -> Vec<(i64, usize, usize)> {
    let request = decode_v1(body, MAX).unwrap();
    let seen = request.timeseries.iter().map(|series| {
        let at =
            series.samples.first().map_or_else(|| series.histograms[0].timestamp, |sample| sample.timestamp);
        (at, series.exemplars.len(), series.histograms.len())
    });
    seen.collect()
}

/// The same of a 2.0 body.
fn seen_v2(body: &[u8]) -> Vec<(i64, usize, usize)> {
    let request = decode_v2(body, MAX).unwrap();
    let seen = request.timeseries.iter().map(|series| {
        let at =
            series.samples.first().map_or_else(|| series.histograms[0].timestamp, |sample| sample.timestamp);
        (at, series.exemplars.len(), series.histograms.len())
    });
    seen.collect()
}

#[test]
fn rw_2_24_custom_bounds_are_left_out_of_1_0_and_stay_in_2_0() {
    let payload = pack(&record(&[Plain, Native(-53), Native(3), Native(-53), Plain]));
    let mut builder = v1::RequestBuilder::of(EVERYTHING);
    for _ in 0..2 {
        builder.clear();
        assert_eq!(builder.push(&payload, 0, &WIDE).unwrap(), 5);
        assert_eq!(builder.left_out(), [(1, Unsent::CustomBuckets), (3, Unsent::CustomBuckets)]);
        assert_eq!(builder.samples(), 3);
        assert_eq!(seen_v1(builder.finish()), [(1000, 0, 0), (1002, 0, 1), (1004, 0, 0)]);
    }
    let mut builder = v2::RequestBuilder::of(EVERYTHING);
    assert_eq!(builder.push_trusted(&payload, 0, 5, &WIDE).unwrap(), 5);
    assert!(builder.left_out().is_empty());
    assert_eq!(builder.finish(), payload);
}

#[test]
fn native_histograms_that_are_switched_off_are_left_out_of_both() {
    let off = Selection { native_histograms: false, ..EVERYTHING };
    let payload = pack(&record(&[Native(-53), Plain, Native(3), WithExemplar]));
    let left_out = [(0, Unsent::NativeHistogram), (2, Unsent::NativeHistogram)];
    let mut first = v1::RequestBuilder::of(off);
    assert_eq!(first.push(&payload, 0, &WIDE).unwrap(), 4);
    assert_eq!(first.left_out(), left_out);
    assert_eq!(seen_v1(first.finish()), [(1001, 0, 0), (1003, 1, 0)]);
    let mut second = v2::RequestBuilder::of(off);
    assert_eq!(second.push_trusted(&payload, 0, 4, &WIDE).unwrap(), 4);
    assert_eq!(second.left_out(), left_out);
    assert_eq!(seen_v2(second.finish()), [(1001, 0, 0), (1003, 1, 0)]);
    // From the middle on, and up to a limit: what is left out takes no room.
    second.clear();
    assert_eq!(second.push_trusted(&payload, 1, 4, &Limits { max_samples: 1, ..WIDE }).unwrap(), 2);
    assert!(second.left_out().is_empty());
    second.clear();
    assert_eq!(second.push_trusted(&payload, 2, 4, &Limits { max_samples: 1, ..WIDE }).unwrap(), 4);
    assert_eq!(second.left_out(), [(2, Unsent::NativeHistogram)]);
}

#[test]
fn a_record_of_nothing_else_is_left_out_as_a_whole() {
    let off = Selection { native_histograms: false, ..EVERYTHING };
    let payload = pack(&record(&[Native(1), Native(2)]));
    let mut first = v1::RequestBuilder::of(off);
    assert_eq!(first.push(&payload, 0, &WIDE).unwrap(), 2);
    assert!(first.is_empty() && first.left_out().len() == 2);
    let mut second = v2::RequestBuilder::of(off);
    assert_eq!(second.push_trusted(&payload, 0, 2, &WIDE).unwrap(), 2);
    assert!(second.is_empty() && second.left_out().len() == 2);
}

#[test]
fn rw_2_15_exemplars_that_are_switched_off_are_in_neither_and_their_samples_are_in_both() {
    let off = Selection { exemplars: false, ..EVERYTHING };
    let payload = pack(&record(&[WithExemplar, Plain, Native(3), WithExemplar]));
    let all = [(1000, 0, 0), (1001, 0, 0), (1002, 0, 1), (1003, 0, 0)];
    let mut first = v1::RequestBuilder::of(off);
    assert_eq!(first.push(&payload, 0, &WIDE).unwrap(), 4);
    assert_eq!(seen_v1(first.finish()), all);
    let mut second = v2::RequestBuilder::of(off);
    assert_eq!(second.push_trusted(&payload, 0, 4, &WIDE).unwrap(), 4);
    assert_eq!(seen_v2(second.finish()), all);
    assert!(first.left_out().is_empty() && second.left_out().is_empty());
}

#[test]
fn a_record_that_holds_nothing_to_be_left_out_goes_untouched() {
    let neither = Selection { exemplars: false, native_histograms: false, ..EVERYTHING };
    let plain = record(&[Plain, Plain]);
    // A spelling that no encoder of blocks would choose: all literal.
    let message = plain.encode_to_vec();
    let length = u8::try_from(message.len()).unwrap();
    assert!((61..128).contains(&length));
    let payload = [&[length, 60 << 2, length - 1], message.as_slice()].concat();
    let mut builder = v2::RequestBuilder::of(neither);
    assert_eq!(builder.push_trusted(&payload, 0, 2, &WIDE).unwrap(), 2);
    assert_eq!(builder.finish(), payload);
    // Merged with one that does hold some, it is still whole.
    let second = pack(&record(&[Native(3), WithExemplar]));
    assert_eq!(builder.push_trusted(&second, 0, 2, &WIDE).unwrap(), 2);
    assert_eq!(builder.left_out(), [(0, Unsent::NativeHistogram)]);
    assert_eq!(seen_v2(builder.finish()), [(1000, 0, 0), (1001, 0, 0), (1001, 0, 0)]);
}
