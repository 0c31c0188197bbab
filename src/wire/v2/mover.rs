use super::super::DecodeError;
use super::super::field::{self, Value};
use super::super::view::Symbols;
use super::table::{Mark, Table};

const LABELS_REFS: u32 = 1;
const EXEMPLARS: u32 = 4;
const METADATA: u32 = 5;

/// Writes the series of a record with the references of the message: those of labels, of exemplars' labels, of help and unit. Samples,
/// start timestamps and native histograms have none, and are copied.
#[derive(Debug, Default)]
pub(super) struct Mover {
    /// From the record's references to those of the message, as far as they were met.
    moved: Vec<Option<u32>>,
    series: Vec<u8>,
    part: Vec<u8>,
    refs: Vec<u8>,
}

/// What is being moved, from where to where.
struct Way<'a> {
    moved: &'a mut [Option<u32>],
    record: &'a [u8],
    symbols: &'a Symbols,
    table: &'a mut Table,
}

impl Mover {
    /// Begins with a record of so many symbols.
    pub(super) fn begin(&mut self, symbols: u32) {
        self.moved.clear();
        self.moved.resize(symbols as usize, None);
    }

    /// Forgets what the message will not have after it was taken back to `mark`.
    pub(super) fn forget(&mut self, mark: Mark) {
        self.moved.iter_mut().for_each(|to| *to = to.filter(|to| *to < mark.symbols));
    }

    /// One `TimeSeries`.
    ///
    /// # Errors
    /// When it is damaged.
    pub(super) fn series(
        &mut self,
        record: &[u8],
        symbols: &Symbols,
        table: &mut Table,
        mut series: &[u8],
    ) -> Result<&[u8], DecodeError> {
        let Self { moved, series: out, part, refs } = self;
        let mut way = Way { moved, record, symbols, table };
        out.clear();
        let mut before = series;
        while let Some((number, value)) = field::next(&mut series)? {
            let raw = &before[..before.len() - series.len()];
            before = series;
            match (number, value) {
                (LABELS_REFS, Value::Bytes(from)) => {
                    way.refs(from, refs)?;
                    field::put_bytes(LABELS_REFS, refs, out);
                }
                (EXEMPLARS, Value::Bytes(exemplar)) => {
                    way.exemplar(exemplar, refs, part)?;
                    field::put_bytes(EXEMPLARS, part, out);
                }
                (METADATA, Value::Bytes(metadata)) => {
                    way.metadata(metadata, part)?;
                    field::put_bytes(METADATA, part, out);
                }
                (_, Value::Bytes(_) | Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32) => {
                    out.extend_from_slice(raw);
                }
            }
        }
        Ok(out)
    }
}

impl Way<'_> {
    fn reference(&mut self, from: u64) -> Result<u32, DecodeError> {
        let from = u32::try_from(from).unwrap_or(u32::MAX);
        if let Some(Some(to)) = self.moved.get(from as usize) {
            return Ok(*to);
        }
        let to = self.table.intern(self.symbols.get(self.record, from)?);
        self.moved[from as usize] = Some(to);
        Ok(to)
    }

    fn refs(&mut self, mut from: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        out.clear();
        while !from.is_empty() {
            let reference = self.reference(field::varint(&mut from)?)?;
            field::put_varint(reference, out);
        }
        Ok(())
    }

    fn exemplar(
        &mut self,
        mut exemplar: &[u8],
        refs: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        out.clear();
        let mut before = exemplar;
        while let Some((number, value)) = field::next(&mut exemplar)? {
            let raw = &before[..before.len() - exemplar.len()];
            before = exemplar;
            match (number, value) {
                (LABELS_REFS, Value::Bytes(from)) => {
                    self.refs(from, refs)?;
                    field::put_bytes(LABELS_REFS, refs, out);
                }
                (_, Value::Bytes(_) | Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32) => {
                    out.extend_from_slice(raw);
                }
            }
        }
        Ok(())
    }

    /// Help and unit are references; the type is not.
    fn metadata(&mut self, mut metadata: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        const HELP: u32 = 3;
        const UNIT: u32 = 4;
        out.clear();
        let mut before = metadata;
        while let Some((number, value)) = field::next(&mut metadata)? {
            let raw = &before[..before.len() - metadata.len()];
            before = metadata;
            match (number, value) {
                (HELP | UNIT, Value::Varint(from)) => field::put_u32(number, self.reference(from)?, out),
                (_, Value::Bytes(_) | Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32) => {
                    out.extend_from_slice(raw);
                }
            }
        }
        Ok(())
    }
}
