use super::protocol::Version;
use crate::queue::{Form, Pack, Record};
use crate::wire::{DecodeError, Limits, Selection, Unsent, v1, v2};

/// Builds requests of either version.
#[derive(Debug)]
pub(super) struct Builder {
    version: Version,
    v1: v1::RequestBuilder,
    v2: v2::RequestBuilder,
}

impl Builder {
    pub(super) fn new(selection: Selection) -> Self {
        let (v1, v2) = (v1::RequestBuilder::of(selection), v2::RequestBuilder::of(selection));
        Self { version: Version::V1, v1, v2 }
    }

    /// Begins the next request.
    pub(super) fn begin(&mut self, version: Version) {
        self.v1.clear();
        self.v2.clear();
        self.version = version;
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Adds samples of a record from `entry` on, as [`v1::RequestBuilder::push`] does; as 2.0 a whole one goes untouched where it is alone.
    ///
    /// # Errors
    /// When the record is damaged, as far as it had to be read.
    pub(super) fn push_record(
        &mut self,
        record: &Record,
        entry: u32,
        limits: &Limits,
    ) -> Result<u32, DecodeError> {
        let samples = record.meta.samples;
        match (self.version, record.form) {
            (Version::V1, Form::Packed) => self.v1.push(&record.payload, entry, limits),
            (Version::V1, Form::Raw(_)) => self.v1.push_raw(&record.payload, entry, limits),
            (Version::V2, Form::Packed) => self.v2.push_trusted(&record.payload, entry, samples, limits),
            (Version::V2, Form::Raw(Pack(pack))) => {
                self.v2.push_trusted(&pack(&record.payload), entry, samples, limits)
            }
        }
    }

    /// The same with a record of which something was left out.
    ///
    /// # Errors
    /// When the record is damaged.
    pub(super) fn push(&mut self, payload: &[u8], entry: u32, limits: &Limits) -> Result<u32, DecodeError> {
        match self.version {
            Version::V1 => self.v1.push(payload, entry, limits),
            Version::V2 => self.v2.push(payload, entry, limits),
        }
    }

    /// The entries of the record (or what was left of it) pushed last that are not in the request although it goes on behind them.
    pub(super) fn left_out(&self) -> &[(u32, Unsent)] {
        match self.version {
            Version::V1 => self.v1.left_out(),
            Version::V2 => self.v2.left_out(),
        }
    }

    pub(super) fn samples(&self) -> u32 {
        match self.version {
            Version::V1 => self.v1.samples(),
            Version::V2 => self.v2.samples(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.samples() == 0
    }

    pub(super) fn message_len(&self) -> usize {
        match self.version {
            Version::V1 => self.v1.message_len(),
            Version::V2 => self.v2.message_len(),
        }
    }

    pub(super) fn finish(&mut self) -> &[u8] {
        match self.version {
            Version::V1 => self.v1.finish(),
            Version::V2 => self.v2.finish(),
        }
    }
}
