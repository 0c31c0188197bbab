//! `prometheus.WriteRequest` (remote-write 1.0) from stored records: labels spelled out, one sample in each `TimeSeries`.
//!
//! Samples keep the order of the queue, so those of one series stay in timestamp order (remote-write 1.13) however many records are
//! merged into a request.

pub(super) mod names;

use super::extras::Extras;
use super::field::Value;
use super::selection::{Selection, Unsent};
use super::shapes::{Known, Shapes};
use super::snappy::{self, Compressor};
use super::view::{self, Symbols};
use super::{DecodeError, Limits, MAX_RECORD_BYTES, field};
use names::Speller;

pub(super) const TIMESERIES: u32 = 1;

/// Builds one request after the other in the same buffers.
#[derive(Debug, Default)]
pub struct RequestBuilder {
    selection: Selection,
    message: Vec<u8>,
    samples: u32,
    record: Vec<u8>,
    symbols: Symbols,
    pub(super) shapes: Shapes,
    speller: Speller,
    left_out: Vec<(u32, Unsent)>,
    labels: Vec<u8>,
    extras: Extras,
    compressor: Compressor,
}

impl RequestBuilder {
    /// An empty request, for an endpoint that is sent everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty request, for an endpoint that is sent this much.
    #[must_use]
    pub fn of(selection: Selection) -> Self {
        Self { selection, ..Self::default() }
    }

    /// Begins the next request.
    pub fn clear(&mut self) {
        self.message.clear();
        self.samples = 0;
    }

    /// Adds samples of a stored record from `entry` on, as many as fit `limits`; at least one if the request is empty and there is any that
    /// may be sent. Returns the entry behind the last one that was taken or left out.
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
        self.left_out.clear();
        let taken = self.transcode(record, entry, limits);
        if taken.is_err() {
            self.message.truncate(before.0);
            self.samples = before.1;
            self.left_out.clear();
        }
        taken
    }

    /// The entries of the record pushed last that are not in the request although it goes on behind them, ascending, and why.
    #[must_use]
    pub fn left_out(&self) -> &[(u32, Unsent)] {
        &self.left_out
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
        loop {
            if number >= entry && !full && self.samples > 0 && !self.speller.is_watchful() {
                let most = limits.max_samples.saturating_sub(self.samples);
                let Self { shapes, message, .. } = self;
                let copied = shapes.copy(&mut known, &mut rest, most, limits.max_bytes, message);
                number += copied;
                next += copied;
                self.samples += copied;
            }
            let Some(field) = field::next(&mut rest)? else { break };
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
            let put = match self.shapes.recall(&mut known, series) {
                Some(hit) => {
                    let sample = hit.sample.as_slice();
                    let at = || timestamp_of(sample);
                    match self.speller.refuses(hit.labels, hit.spelling, at, &self.message) {
                        Some(unsent) => Err(unsent),
                        None => Ok(put_series(hit.labels, sample, room, &mut self.message)),
                    }
                }
                None => {
                    if !read {
                        self.symbols.read(record)?;
                        read = true;
                    }
                    self.spell_out(record, &mut known, series, room)?
                }
            };
            match put {
                Ok(fits) => {
                    self.samples += u32::from(fits);
                    next += u32::from(fits);
                    full = !fits;
                }
                Err(unsent) => {
                    self.left_out.push((next, unsent));
                    next += 1;
                }
            }
        }
        self.shapes.finish(&known);
        Ok(next)
    }

    /// Appends a series that was not met before, or that is no plain sample, if it fits; the symbols have been read.
    fn spell_out(
        &mut self,
        record: &[u8],
        known: &mut Known,
        series: &[u8],
        room: usize,
    ) -> Result<Result<bool, Unsent>, DecodeError> {
        let Self { selection, symbols, labels, speller, message, .. } = self;
        let parsed = view::read_series(series)?;
        let (highest, spelling) = speller.spell(selection.names, record, symbols, parsed.refs, labels)?;
        // What is more than a sample is new each time.
        if parsed.is_plain {
            self.shapes.learn(known, series, (labels, spelling), highest);
        }
        let unsent = selection.refuses(parsed.histogram);
        if let Some(unsent) =
            unsent.or_else(|| speller.refuses(labels, spelling, || parsed.timestamp(), message))
        {
            return Ok(Err(unsent));
        }
        let sample = field::sample_field(parsed.sample.value, parsed.sample.timestamp);
        let data = match parsed.is_plain {
            true => sample.as_slice(),
            false => self.extras.write(record, symbols, series, &parsed, selection.exemplars)?,
        };
        Ok(Ok(put_series(labels, data, room, message)))
    }
}

/// Of a sample's field, ms since the epoch.
fn timestamp_of(mut sample: &[u8]) -> i64 {
    match field::next(&mut sample) {
        Ok(Some((_, Value::Bytes(sample)))) => view::read_sample(sample).map_or(0, |sample| sample.timestamp),
        // Not met: the field has been recognised.
        Ok(_) | Err(_) => 0,
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
