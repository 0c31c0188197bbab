use super::super::field::{self, Value};
use super::super::selection::{Part, Selection, Unsent};
use super::super::view::Symbols;
use super::super::{DecodeError, Limits};
use super::mover::Mover;
use super::table::Table;

const TIMESERIES: u32 = 5;

/// A message that grows record by record.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// The record that is being added, decompressed.
    pub(super) record: Vec<u8>,
    symbols: Symbols,
    table: Table,
    /// The series, as fields of the message.
    series: Vec<u8>,
    samples: u32,
    mover: Mover,
    message: Vec<u8>,
    pub(super) selection: Selection,
    /// A series without what is not sent.
    stripped: Vec<u8>,
    /// Entries of the record added last that are not sent.
    pub(super) left_out: Vec<(u32, Unsent)>,
}

impl Merged {
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.series.clear();
        self.samples = 0;
    }

    pub(super) fn samples(&self) -> u32 {
        self.samples
    }

    /// Bytes of the message.
    pub(super) fn len(&self) -> usize {
        self.table.encoded().len() + self.series.len()
    }

    pub(super) fn message(&mut self) -> &[u8] {
        self.message.clear();
        self.message.extend_from_slice(self.table.encoded());
        self.message.extend_from_slice(&self.series);
        &self.message
    }

    /// Begins with all of `record`, its table included.
    ///
    /// # Errors
    /// When the record is damaged; the message is then empty.
    pub(super) fn adopt(&mut self) -> Result<(), DecodeError> {
        self.clear();
        if !self.table.adopt_again(&self.record) {
            self.symbols.read(&self.record)?;
            let (bytes, count) = self.symbols.front();
            // A table that is not all in front is written anew.
            if count == self.symbols.count() {
                self.table.adopt(&self.record[..bytes]);
            }
        }
        let no_limits = Limits { max_samples: u32::MAX, max_bytes: usize::MAX };
        let taken = self.push(0, &no_limits);
        if taken.is_err() {
            self.clear();
        }
        taken.map(|_| ())
    }

    /// Adds the entries of `record` from `entry` on that fit `limits`; at least one, if there is none yet and any may be sent. Returns the
    /// entry behind the last one that was taken or left out.
    ///
    /// # Errors
    /// When the record is damaged; the message is then as it was before.
    pub(super) fn push(&mut self, entry: u32, limits: &Limits) -> Result<u32, DecodeError> {
        let before = (self.table.mark(), self.series.len(), self.samples);
        let record = std::mem::take(&mut self.record);
        self.left_out.clear();
        let taken = self.add(&record, entry, limits);
        self.record = record;
        if taken.is_err() {
            self.left_out.clear();
            self.table.roll_back(before.0);
            self.series.truncate(before.1);
            self.samples = before.2;
        }
        taken
    }

    fn add(&mut self, record: &[u8], entry: u32, limits: &Limits) -> Result<u32, DecodeError> {
        if self.table.is_empty() {
            self.table.begin();
        }
        // Under the same table the same references mean the same.
        let same = self.table.begins(record);
        if same.is_none() {
            self.symbols.read(record)?;
            self.mover.begin(self.symbols.count());
        }
        let mut rest = &record[same.unwrap_or(0)..];
        let (mut number, mut next, mut full) = (0, entry, false);
        while let Some(found) = field::next(&mut rest)? {
            let (TIMESERIES, Value::Bytes(series)) = found else {
                if same.is_some() {
                    return Err(DecodeError::UnexpectedField(found.0));
                }
                continue;
            };
            number += 1;
            // The rest is looked at all the same: a damaged record is refused as a whole.
            full = full || (self.samples >= limits.max_samples && self.samples > 0);
            if number <= entry || full {
                continue;
            }
            let series = match self.selection.part(series, &mut self.stripped)? {
                Part::Whole(series) | Part::Stripped(series) => series,
                Part::LeftOut(unsent) => {
                    self.left_out.push((next, unsent));
                    next += 1;
                    continue;
                }
            };
            let room = if self.samples == 0 { usize::MAX } else { limits.max_bytes };
            let before = (self.table.mark(), self.series.len());
            if same.is_some() {
                field::put_bytes(TIMESERIES, series, &mut self.series);
            } else {
                let moved = self.mover.series(record, &self.symbols, &mut self.table, series)?;
                field::put_bytes(TIMESERIES, moved, &mut self.series);
            }
            if self.len() > room {
                self.mover.forget(before.0);
                self.table.roll_back(before.0);
                self.series.truncate(before.1);
                full = true;
                continue;
            }
            self.samples += 1;
            next += 1;
        }
        Ok(next)
    }
}
