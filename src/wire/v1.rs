//! `prometheus.WriteRequest` (remote-write 1.0) from stored records: labels spelled out, one sample in each `TimeSeries`.
//!
//! Samples keep the order of the queue, so those of one series stay in timestamp order (remote-write 1.13) however many records are
//! merged into a request.

use super::snappy::{self, Compressor};
use super::view::{Series, SeriesIter, Symbols};
use super::{DecodeError, Limits, field};

const TIMESERIES: u32 = 1;
const LABELS: u32 = 1;
const SAMPLES: u32 = 2;

/// A record holds 2,000 samples and 1 MiB at most, unless a single sample is larger; 64 MiB is far beyond any body limit.
const MAX_RECORD_BYTES: usize = 64 << 20;

/// Builds one request after the other in the same buffers.
#[derive(Debug, Default)]
pub struct RequestBuilder {
    message: Vec<u8>,
    samples: u32,
    record: Vec<u8>,
    symbols: Symbols,
    compressor: Compressor,
}

impl RequestBuilder {
    /// An empty request.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the next request.
    pub fn clear(&mut self) {
        self.message.clear();
        self.samples = 0;
    }

    /// Adds samples of a stored record from `entry` on, as many as fit `limits`; at least one if the request is empty.
    /// Returns the entry behind the last one that was taken.
    ///
    /// # Errors
    /// When the payload is damaged; the request is then as it was before the call.
    pub fn push(&mut self, payload: &[u8], entry: u32, limits: &Limits) -> Result<u32, DecodeError> {
        let before = (self.message.len(), self.samples);
        let taken = self.transcode(payload, entry, limits);
        if taken.is_err() {
            self.message.truncate(before.0);
            self.samples = before.1;
        }
        taken
    }

    /// Samples in the request, staleness markers included.
    #[must_use]
    pub fn samples(&self) -> u32 {
        self.samples
    }

    /// Whether the request has no sample yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// Bytes of the message before compression.
    #[must_use]
    pub fn message_len(&self) -> usize {
        self.message.len()
    }

    /// The body: the message as a snappy block.
    pub fn finish(&mut self) -> &[u8] {
        self.compressor.compress(&self.message)
    }

    fn transcode(&mut self, payload: &[u8], entry: u32, limits: &Limits) -> Result<u32, DecodeError> {
        snappy::decompress_into(payload, MAX_RECORD_BYTES, &mut self.record)?;
        self.symbols.read(&self.record)?;
        let mut next = entry;
        for series in SeriesIter::new(&self.record).skip(entry as usize) {
            let series = series?;
            let len = series_len(&self.record, &self.symbols, &series)?;
            let bytes = self.message.len() + 1 + field::varint_len(len as u64) + len;
            let full = self.samples >= limits.max_samples || bytes > limits.max_bytes;
            if full && self.samples > 0 {
                break;
            }
            field::put_len(TIMESERIES, len, &mut self.message);
            put_series(&self.record, &self.symbols, &series, &mut self.message)?;
            self.samples += 1;
            next += 1;
        }
        Ok(next)
    }
}

fn series_len(record: &[u8], symbols: &Symbols, series: &Series<'_>) -> Result<usize, DecodeError> {
    let mut len = 0;
    for pair in series.labels() {
        let (name, value) = pair?;
        let label = label_len(symbols.get(record, name)?, symbols.get(record, value)?);
        len += 1 + field::varint_len(label as u64) + label;
    }
    let sample = field::sample_len(series.sample.value, series.sample.timestamp);
    Ok(len + 1 + field::varint_len(sample as u64) + sample)
}

fn label_len(name: &[u8], value: &[u8]) -> usize {
    field::bytes_len(name) + field::bytes_len(value)
}

fn put_series(
    record: &[u8],
    symbols: &Symbols,
    series: &Series<'_>,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    for pair in series.labels() {
        let (name, value) = pair?;
        let (name, value) = (symbols.get(record, name)?, symbols.get(record, value)?);
        field::put_len(LABELS, label_len(name, value), out);
        field::put_bytes(1, name, out);
        field::put_bytes(2, value, out);
    }
    let sample = series.sample;
    field::put_len(SAMPLES, field::sample_len(sample.value, sample.timestamp), out);
    field::put_sample(sample.value, sample.timestamp, out);
    Ok(())
}
