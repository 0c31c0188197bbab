//! `io.prometheus.write.v2.Request` (remote-write 2.0) from stored records: one that fills a request alone goes as it is, byte for byte;
//! several are merged under one symbol table.
//!
//! The first whole record of a request gives its table. A record behind it is appended as it is where its table begins like that one
//! (which it does from scrape to scrape); otherwise its references are written anew, those of exemplars and metadata included, and
//! everything else of a series is copied. Samples keep the order of the queue (remote-write 2.11).

mod merged;
mod mover;
mod table;

use super::selection::{Selection, Unsent};
use super::snappy::{self, Compressor};
use super::{DecodeError, Limits, MAX_RECORD_BYTES};
use merged::Merged;

/// An empty message with the symbol that every table begins with, as a body: takes no sample along, and is answered with the headers
/// `*-Written` by whoever knows 2.0 (receivers section 5).
pub const EMPTY_REQUEST: [u8; 4] = [2, 4, 0x22, 0];

/// Builds one request after the other in the same buffers.
#[derive(Debug, Default)]
pub struct RequestBuilder {
    /// The payload of the only record so far, not looked into.
    whole: Vec<u8>,
    /// Its bytes before compression, and its samples; `None` once it is part of `merged`.
    alone: Option<Alone>,
    merged: Merged,
    compressor: Compressor,
}

#[derive(Clone, Copy, Debug)]
struct Alone {
    samples: u32,
    bytes: usize,
}

impl RequestBuilder {
    /// An empty request, for an endpoint that is sent everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty request, for an endpoint that is sent this much; names are sent as they are.
    #[must_use]
    pub fn of(selection: Selection) -> Self {
        let mut builder = Self::default();
        builder.merged.selection = selection;
        builder
    }

    /// Begins the next request.
    pub fn clear(&mut self) {
        self.alone = None;
        self.merged.clear();
    }

    /// Adds a record of this program's own encoder that holds `samples` entries: untouched, if the request is empty, the record fits `limits`
    /// and all of it is sent. Otherwise, and for its result, as [`RequestBuilder::push`].
    ///
    /// # Errors
    /// When the payload is damaged, as far as it had to be read; the request is then as it was before the call.
    pub fn push_trusted(
        &mut self,
        payload: &[u8],
        entry: u32,
        samples: u32,
        limits: &Limits,
    ) -> Result<u32, DecodeError> {
        let bytes = snap::raw::decompress_len(payload)?;
        let fits = entry == 0 && samples <= limits.max_samples && bytes <= limits.max_bytes;
        if self.is_empty() && fits && self.is_sent_whole(payload)? {
            self.merged.left_out.clear();
            self.whole.clear();
            self.whole.extend_from_slice(payload);
            self.alone = Some(Alone { samples, bytes });
            return Ok(samples);
        }
        self.push(payload, entry, limits)
    }

    /// Adds samples of a stored record from `entry` on, as many as fit `limits`; at least one if the request is empty and there is any that
    /// is sent. Returns the entry behind the last one that was taken or left out.
    ///
    /// # Errors
    /// When the payload is damaged; the request is then as it was before the call.
    pub fn push(&mut self, payload: &[u8], entry: u32, limits: &Limits) -> Result<u32, DecodeError> {
        if let Some(alone) = self.alone {
            if alone.samples >= limits.max_samples {
                self.merged.left_out.clear();
                return Ok(entry);
            }
            snappy::decompress_into(&self.whole, MAX_RECORD_BYTES, &mut self.merged.record)?;
            self.merged.adopt()?;
            self.alone = None;
        }
        snappy::decompress_into(payload, MAX_RECORD_BYTES, &mut self.merged.record)?;
        self.merged.push(entry, limits)
    }

    fn is_sent_whole(&mut self, payload: &[u8]) -> Result<bool, DecodeError> {
        let Merged { selection, record, .. } = &mut self.merged;
        if selection.is_everything() {
            return Ok(true);
        }
        snappy::decompress_into(payload, MAX_RECORD_BYTES, record)?;
        Ok(!selection.concerns(record)?)
    }

    /// The entries of the record pushed last that are not in the request although it goes on behind them, ascending, and why.
    #[must_use]
    pub fn left_out(&self) -> &[(u32, Unsent)] {
        &self.merged.left_out
    }

    /// Samples in the request, staleness markers included.
    #[must_use]
    pub fn samples(&self) -> u32 {
        self.alone.map_or(self.merged.samples(), |alone| alone.samples)
    }

    /// Whether the request has no sample yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples() == 0
    }

    /// Bytes of the message before compression.
    #[must_use]
    pub fn message_len(&self) -> usize {
        self.alone.map_or(self.merged.len(), |alone| alone.bytes)
    }

    /// The body: the message as a snappy block.
    pub fn finish(&mut self) -> &[u8] {
        if self.alone.is_some() {
            return &self.whole;
        }
        self.compressor.compress(self.merged.message())
    }
}

#[cfg(test)]
mod tests;
