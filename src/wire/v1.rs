//! `prometheus.WriteRequest` (remote-write 1.0) from stored records: labels spelled out, one sample in each `TimeSeries`.
//!
//! Samples keep the order of the queue, so those of one series stay in timestamp order (remote-write 1.13) however many records are
//! merged into a request.

use super::extras::Extras;
use super::field::Value;
use super::shapes::Shapes;
use super::snappy::{self, Compressor};
use super::view::{self, Symbols};
use super::{DecodeError, Limits, MAX_RECORD_BYTES, field};

const TIMESERIES: u32 = 1;

/// Builds one request after the other in the same buffers.
#[derive(Debug, Default)]
pub struct RequestBuilder {
    message: Vec<u8>,
    samples: u32,
    record: Vec<u8>,
    symbols: Symbols,
    pub(super) shapes: Shapes,
    labels: Vec<u8>,
    extras: Extras,
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
        let mut record = std::mem::take(&mut self.record);
        let unpacked = snappy::decompress_into(payload, MAX_RECORD_BYTES, &mut record);
        let taken = unpacked.and_then(|()| self.push_raw(&record, entry, limits));
        self.record = record;
        taken
    }

    /// As [`RequestBuilder::push`], of a record that is no snappy block yet.
    ///
    /// # Errors
    /// When the message is damaged; the request is then as it was before the call.
    pub fn push_raw(&mut self, record: &[u8], entry: u32, limits: &Limits) -> Result<u32, DecodeError> {
        let before = (self.message.len(), self.samples);
        let taken = self.transcode(record, entry, limits);
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

    fn transcode(&mut self, record: &[u8], entry: u32, limits: &Limits) -> Result<u32, DecodeError> {
        let (mut known, start, mut read) = match self.shapes.recognise(record, entry) {
            Some((known, start)) => (known, start, false),
            None => {
                self.symbols.read(record)?;
                (self.shapes.meet(record, &self.symbols, entry), 0, true)
            }
        };
        let mut rest = &record[start..];
        let (mut number, mut next, mut full) = (0, entry, false);
        while let Some(field) = field::next(&mut rest)? {
            let (5, Value::Bytes(series)) = field else {
                if !read {
                    // Nothing of ours; perhaps more symbols.
                    self.symbols.read(record)?;
                    read = true;
                }
                continue;
            };
            number += 1;
            // The rest is looked at all the same: a damaged record is refused as a whole.
            full = full || (self.samples >= limits.max_samples && self.samples > 0);
            if number <= entry || full {
                continue;
            }
            let room = if self.samples == 0 { usize::MAX } else { limits.max_bytes };
            let fits = match self.shapes.recall(&mut known, series) {
                Some(hit) => put_series(hit.labels, hit.sample.as_slice(), room, &mut self.message),
                None => {
                    if !read {
                        self.symbols.read(record)?;
                        read = true;
                    }
                    let parsed = view::read_series(series)?;
                    let highest = view::spell_labels(record, &self.symbols, parsed.refs, &mut self.labels)?;
                    self.shapes.learn(&mut known, series, &self.labels, highest);
                    let sample = field::sample_field(parsed.sample.value, parsed.sample.timestamp);
                    let data = match parsed.is_plain {
                        true => sample.as_slice(),
                        false => self.extras.write(record, &self.symbols, series, &parsed)?,
                    };
                    put_series(&self.labels, data, room, &mut self.message)
                }
            };
            self.samples += u32::from(fits);
            next += u32::from(fits);
            full = !fits;
        }
        self.shapes.finish(&known);
        Ok(next)
    }
}

/// Appends a `TimeSeries`, unless the message would be longer than `room`; tells whether it is in.
#[inline]
fn put_series(labels: &[u8], sample: &[u8], room: usize, message: &mut Vec<u8>) -> bool {
    let len = labels.len() + sample.len();
    if message.len() + 1 + field::varint_len(len as u64) + len > room {
        return false;
    }
    field::put_len(TIMESERIES, len, message);
    message.extend_from_slice(labels);
    message.extend_from_slice(sample);
    true
}
