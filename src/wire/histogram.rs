//! A native histogram as a field of its 2.0 series (remote-write 2.23).

use prost::encoding;

use super::field;
use crate::model::{Buckets, Histogram, Side};

/// Of a 2.0 series.
const HISTOGRAMS: u32 = 3;
/// `RESET_HINT_GAUGE`
const GAUGE: u32 = 3;

/// Buffers for one histogram at a time.
#[derive(Debug, Default)]
pub(super) struct HistogramWriter {
    message: Vec<u8>,
    part: Vec<u8>,
}

/// Where the counts of one kind go: the fields of the whole count, the zero bucket, and the buckets on both sides.
struct Numbers {
    count: u32,
    zero_count: u32,
    negative: u32,
    positive: u32,
}

const INTEGER: Numbers = Numbers { count: 1, zero_count: 6, negative: 9, positive: 12 };
const FLOAT: Numbers = Numbers { count: 2, zero_count: 7, negative: 10, positive: 13 };
const NEGATIVE_SPANS: u32 = 8;
const POSITIVE_SPANS: u32 = 11;

impl HistogramWriter {
    /// Appends the histogram to `out`. `timestamp` and `start` are ms since the epoch; a start of 0 is none (remote-write 2.12).
    pub(super) fn put(&mut self, histogram: &Histogram, timestamp: i64, start: i64, out: &mut Vec<u8>) {
        self.message.clear();
        match histogram {
            Histogram::Integer(buckets) => {
                self.put_head(buckets, &INTEGER, encoding::uint64::encode);
                self.put_side(NEGATIVE_SPANS, INTEGER.negative, &buckets.negative, put_deltas);
                self.put_side(POSITIVE_SPANS, INTEGER.positive, &buckets.positive, put_deltas);
                self.put_tail(buckets, timestamp, start);
            }
            Histogram::Float(buckets) => {
                self.put_head(buckets, &FLOAT, encoding::double::encode);
                self.put_side(NEGATIVE_SPANS, FLOAT.negative, &buckets.negative, put_counts);
                self.put_side(POSITIVE_SPANS, FLOAT.positive, &buckets.positive, put_counts);
                self.put_tail(buckets, timestamp, start);
            }
        }
        field::put_bytes(HISTOGRAMS, &self.message, out);
    }

    /// Both counts are written if they are 0, too: they say which kind it is.
    fn put_head<N>(&mut self, buckets: &Buckets<N>, to: &Numbers, put: impl Fn(u32, &N, &mut Vec<u8>)) {
        let out = &mut self.message;
        put(to.count, &buckets.count, out);
        put_double(3, buckets.sum, out);
        if buckets.schema != 0 {
            encoding::sint32::encode(4, &buckets.schema, out);
        }
        put_double(5, buckets.zero_threshold, out);
        put(to.zero_count, &buckets.zero_count, out);
    }

    fn put_side<N>(&mut self, spans: u32, counts: u32, side: &Side<N>, put: impl Fn(&[N], &mut Vec<u8>)) {
        for span in &side.spans {
            self.part.clear();
            if span.offset != 0 {
                encoding::sint32::encode(1, &span.offset, &mut self.part);
            }
            field::put_u32(2, span.length, &mut self.part);
            field::put_bytes(spans, &self.part, &mut self.message);
        }
        if !side.counts.is_empty() {
            self.part.clear();
            put(&side.counts, &mut self.part);
            field::put_bytes(counts, &self.part, &mut self.message);
        }
    }

    fn put_tail<N>(&mut self, buckets: &Buckets<N>, timestamp: i64, start: i64) {
        let out = &mut self.message;
        if buckets.is_gauge {
            field::put_u32(14, GAUGE, out);
        }
        if timestamp != 0 {
            encoding::int64::encode(15, &timestamp, out);
        }
        if !buckets.custom_bounds.is_empty() {
            encoding::double::encode_packed(16, &buckets.custom_bounds, out);
        }
        if start != 0 {
            encoding::int64::encode(17, &start, out);
        }
    }
}

/// As bits: -0.0 and the staleness marker survive.
fn put_double(field: u32, value: f64, out: &mut Vec<u8>) {
    if value.to_bits() != 0 {
        encoding::double::encode(field, &value, out);
    }
}

/// Each count as its difference from the one before.
fn put_deltas(counts: &[u64], out: &mut Vec<u8>) {
    let mut last = 0;
    for count in counts {
        let delta = count.wrapping_sub(last).cast_signed();
        encoding::encode_varint((delta.cast_unsigned() << 1) ^ (delta >> 63).cast_unsigned(), out);
        last = *count;
    }
}

fn put_counts(counts: &[f64], out: &mut Vec<u8>) {
    out.extend(counts.iter().flat_map(|count| count.to_le_bytes()));
}
