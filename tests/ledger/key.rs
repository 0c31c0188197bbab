//! A sample by its content, read from records and requests.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use docker_remote_write::receiver::Protocol;
use docker_remote_write::wire::decode::{decode_v1, decode_v2};

const MAX_MESSAGE: usize = 1 << 26;

/// A sample by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// A hash of the labels.
    pub(super) series: u64,
    pub(super) timestamp: i64,
    bits: u64,
}

pub(super) fn key<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>, timestamp: i64, value: f64) -> Key {
    let mut hasher = DefaultHasher::new();
    labels.for_each(|pair| pair.hash(&mut hasher));
    let series = hasher.finish();
    Key { series, timestamp, bits: value.to_bits() }
}

pub(super) fn keys_of_record(payload: &[u8]) -> Vec<Key> {
    let record = decode_v2(payload, MAX_MESSAGE).unwrap();
    let symbol = |at: u32| record.symbols[at as usize].as_str();
    let keys = record.timeseries.iter().flat_map(|series| {
        series.samples.iter().map(move |sample| {
            let labels = series.labels_refs.chunks_exact(2).map(|pair| (symbol(pair[0]), symbol(pair[1])));
            key(labels, sample.timestamp, sample.value)
        })
    });
    keys.collect()
}

/// A message of 2.0 is a record, or is put together like one.
pub(super) fn keys_of_request(protocol: Protocol, body: &[u8]) -> Vec<Key> {
    if protocol == Protocol::V2 {
        return keys_of_record(body);
    }
    let request = decode_v1(body, MAX_MESSAGE).unwrap();
    let keys = request.timeseries.iter().flat_map(|series| {
        series.samples.iter().map(move |sample| {
            let labels = series.labels.iter().map(|label| (label.name.as_str(), label.value.as_str()));
            key(labels, sample.timestamp, sample.value)
        })
    });
    keys.collect()
}
