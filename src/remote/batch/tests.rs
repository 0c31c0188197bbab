use super::*;
use crate::proto::v2::{Request, Sample, TimeSeries};
use crate::queue::Form;
use crate::remote::sieve::Sieve;
use crate::wire::decode::decode_v1;
use prost::Message as _;

const LIMITS: Limits = Limits { max_samples: 5, max_bytes: 1 << 20 };
const NEVER: fn(&RecordMeta) -> bool = |_| false;

const NOW: i64 = 1000;

fn assembler() -> Assembler {
    let mut assembler = Assembler::new(Sieve::new(0), Selection::default());
    assembler.begin(LIMITS, Version::V1);
    assembler
}

/// Samples with the timestamps `first..first + count`.
fn record(sequence: u64, first: i64, count: u32) -> Record {
    let timestamps = (0..i64::from(count)).map(|entry| first + entry);
    let series = |timestamp| TimeSeries {
        labels_refs: vec![1, 2],
        samples: vec![Sample { value: 1.0, timestamp, start_timestamp: 0 }],
        ..TimeSeries::default()
    };
    let symbols = ["", "__name__", "up"].map(str::to_owned).to_vec();
    let request = Request { symbols, timeseries: timestamps.map(series).collect() };
    let payload = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap();
    let max_timestamp = first + i64::from(count) - 1;
    let meta = RecordMeta { samples: count, markers: 0, min_timestamp: first, max_timestamp };
    Record { sequence, meta, payload: payload.into(), form: Form::Packed }
}

fn timestamps(batch: &Batch) -> Vec<i64> {
    let request = decode_v1(&batch.body, 1 << 20).unwrap();
    request.timeseries.iter().flat_map(|series| &series.samples).map(|sample| sample.timestamp).collect()
}

/// Records 7 (10, 11), 8 (20, 21) and the first sample of 9 (30).
fn three_records() -> (Assembler, Batch) {
    let mut assembler = assembler();
    assert_eq!(assembler.add(record(7, 10, 2), 0, NOW).unwrap(), Room::Left);
    assert_eq!(assembler.add(record(8, 20, 2), 0, NOW).unwrap(), Room::Left);
    assert_eq!(assembler.add(record(9, 30, 3), 0, NOW).unwrap(), Room::Full);
    let batch = assembler.finish().unwrap();
    (assembler, batch)
}

#[test]
fn records_are_merged_in_order_up_to_the_limit() {
    let (_, batch) = three_records();
    assert_eq!(timestamps(&batch), [10, 11, 20, 21, 30]);
    assert_eq!(batch.samples, 5);
    assert_eq!(batch.end(), Position { sequence: 9, entry: 1 });
    assert_eq!(batch.max_timestamp(), 32);
}

#[test]
fn a_batch_goes_on_inside_a_record() {
    let mut assembler = assembler();
    assert_eq!(assembler.add(record(9, 30, 3), 1, NOW).unwrap(), Room::Left);
    let batch = assembler.finish().unwrap();
    assert_eq!(timestamps(&batch), [31, 32]);
    assert_eq!(batch.end(), Position { sequence: 10, entry: 0 });
}

#[test]
fn a_full_request_takes_nothing_of_the_next_record() {
    let mut assembler = assembler();
    assembler.add(record(7, 10, 5), 0, NOW).unwrap();
    assert_eq!(assembler.add(record(8, 20, 1), 0, NOW).unwrap(), Room::Full);
    assert_eq!(assembler.finish().unwrap().end(), Position { sequence: 8, entry: 0 });
}

#[test]
fn nothing_added_is_no_batch() {
    assert!(assembler().finish().is_none());
}

#[test]
fn a_damaged_record_leaves_what_was_added_before() {
    let mut assembler = assembler();
    assembler.add(record(7, 10, 2), 0, NOW).unwrap();
    let damaged = Record { payload: Bytes::from_static(b"\xff\xff"), ..record(8, 20, 2) };
    assert!(matches!(assembler.add(damaged, 0, NOW), Err(Undecodable::Payload(_))));
    assert_eq!(timestamps(&assembler.finish().unwrap()), [10, 11]);
}

#[test]
fn a_record_shorter_than_its_header_says_is_an_error_and_no_endless_loop() {
    let mut short = record(7, 10, 2);
    short.meta.samples = 3;
    let mut assembler = assembler();
    assert_eq!(assembler.add(short.clone(), 0, NOW).unwrap(), Room::Full);
    assert_eq!(assembler.finish().unwrap().end(), Position { sequence: 7, entry: 2 });
    assert!(matches!(assembler.add(short, 2, NOW), Err(Undecodable::Short { promised: 3, found: 2 })));
}

#[test]
fn a_batch_of_which_nothing_went_keeps_its_bytes() {
    let (mut assembler, batch) = three_records();
    let before = batch.body.clone();
    let remainder = assembler.remains(batch, Position { sequence: 7, entry: 0 }, NEVER);
    assert_eq!(remainder.expired_to, None);
    assert_eq!(remainder.batch.unwrap().body, before);
}

#[test]
fn what_expired_while_retrying_goes_and_nothing_newer_comes() {
    let (mut assembler, batch) = three_records();
    let remainder =
        assembler.remains(batch, Position { sequence: 7, entry: 0 }, |meta| meta.max_timestamp < 20);
    assert_eq!(remainder.expired_to, Some(Position { sequence: 8, entry: 0 }));
    let left = remainder.batch.unwrap();
    assert_eq!(timestamps(&left), [20, 21, 30]);
    assert_eq!(left.end(), Position { sequence: 9, entry: 1 });
}

#[test]
fn a_batch_may_expire_as_a_whole() {
    let (mut assembler, batch) = three_records();
    let remainder = assembler.remains(batch, Position { sequence: 7, entry: 0 }, |_| true);
    assert_eq!(remainder.expired_to, Some(Position { sequence: 9, entry: 1 }));
    assert!(remainder.batch.is_none());
}

#[test]
fn old_records_behind_younger_ones_leave_the_request_and_stay_in_the_queue() {
    let (mut assembler, batch) = three_records();
    let remainder =
        assembler.remains(batch, Position { sequence: 7, entry: 0 }, |meta| meta.max_timestamp == 21);
    assert_eq!(remainder.expired_to, None);
    let left = remainder.batch.unwrap();
    assert_eq!(timestamps(&left), [10, 11]);
    assert_eq!(left.end(), Position { sequence: 8, entry: 0 });
}

#[test]
fn what_the_queue_dropped_while_retrying_is_not_sent() {
    let (mut assembler, batch) = three_records();
    let remainder = assembler.remains(batch, Position { sequence: 8, entry: 1 }, NEVER);
    let left = remainder.batch.unwrap();
    assert_eq!(timestamps(&left), [21, 30]);
    let (_, batch) = three_records();
    let remainder = assembler.remains(batch, Position { sequence: 40, entry: 0 }, NEVER);
    assert!(remainder.batch.is_none() && remainder.expired_to.is_none());
}
