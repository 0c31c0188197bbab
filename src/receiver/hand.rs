//! Requests written by hand, byte by byte, so that no encoder of this crate vouches for itself in the receiver's tests.

pub(crate) type Pair<'a> = (&'a str, &'a str);

/// One `TimeSeries`; labels and samples in exactly this order.
pub(crate) fn series(labels: &[Pair<'_>], samples: &[(i64, f64)]) -> Vec<u8> {
    let mut series = Vec::new();
    for (name, value) in labels {
        let label = [nested(1, name.as_bytes()), nested(2, value.as_bytes())].concat();
        series.extend(nested(1, &label));
    }
    for (timestamp, value) in samples {
        let mut sample = vec![1 << 3 | 1];
        sample.extend(value.to_le_bytes());
        sample.push(2 << 3);
        sample.extend(varint(timestamp.cast_unsigned()));
        series.extend(nested(2, &sample));
    }
    series
}

/// A whole body: `WriteRequest`, snappy block.
pub(crate) fn body(series: &[Vec<u8>]) -> Vec<u8> {
    pack(&series.iter().flat_map(|series| nested(1, series)).collect::<Vec<_>>())
}

/// A 2.0 sample of this value.
pub(crate) fn sample_v2(timestamp: i64, value: f64) -> Vec<u8> {
    let mut sample = vec![1 << 3 | 1];
    sample.extend(value.to_le_bytes());
    sample.push(2 << 3);
    sample.extend(varint(timestamp.cast_unsigned()));
    nested(2, &sample)
}

/// A 2.0 `TimeSeries`: label references, and whatever else is in it.
pub(crate) fn series_v2(refs: &[u8], rest: &[u8]) -> Vec<u8> {
    [nested(1, refs), rest.to_vec()].concat()
}

/// A whole body of 2.0.
pub(crate) fn body_v2(symbols: &[&str], series: &[Vec<u8>]) -> Vec<u8> {
    let symbols = symbols.iter().flat_map(|symbol| nested(4, symbol.as_bytes()));
    let series = series.iter().flat_map(|series| nested(5, series));
    pack(&symbols.chain(series).collect::<Vec<_>>())
}

/// Any bytes as a snappy block.
pub(crate) fn pack(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).unwrap()
}

/// A length-delimited field.
pub(crate) fn nested(field: u8, inner: &[u8]) -> Vec<u8> {
    [&[field << 3 | 2][..], &varint(inner.len() as u64), inner].concat()
}

/// A number of at most 64 bits, seven in each byte.
pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
