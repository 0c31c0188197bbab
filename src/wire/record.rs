//! One scrape as `io.prometheus.write.v2.Request` messages, snappy-compressed: the payloads of queued records.
//!
//! A scrape is cut into records of at most [`Limits`], each with symbols of its own. The n-th record of a scrape holds nearly the same
//! series as the n-th record of the scrape before, so each n keeps a symbol table, and each series keeps its label references encoded for
//! the table that it last went into: in steady state a sample costs one copy of those bytes and 20 bytes of value and timestamp.

use std::mem;

use super::Limits;
use super::field;
use super::snappy::Compressor;
use super::symbols::SymbolTable;
use crate::model::{Description, MetricType, SampleRef, is_stale_marker};

const TIMESERIES: u32 = 5;
const LABELS_REFS: u32 = 1;
const SAMPLES: u32 = 2;
const METADATA: u32 = 5;

/// What is in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Samples, staleness markers included.
    pub samples: u32,
    /// Staleness markers.
    pub markers: u32,
    /// Smallest timestamp, ms since the epoch.
    pub min_timestamp: i64,
    /// Largest timestamp, ms since the epoch.
    pub max_timestamp: i64,
}

/// A series' label references and metadata as fields of `TimeSeries`.
#[derive(Debug, Default)]
struct Block {
    generation: u32,
    table: u32,
    epoch: u32,
    /// Where the sample goes: behind the label references, before the metadata, as prost orders them.
    split: usize,
    bytes: Vec<u8>,
}

/// The symbols of the n-th record of each scrape.
#[derive(Debug)]
struct Table {
    symbols: SymbolTable,
    epoch: u32,
    /// Symbols at the end of the first record of this epoch; what comes on top may be garbage of vanished series.
    baseline: usize,
}

impl Table {
    fn new(epoch: u32) -> Self {
        Self { symbols: SymbolTable::new(), epoch, baseline: 0 }
    }

    /// A table that has doubled since its start is mostly garbage: begin anew (every series is encoded once more).
    fn renew_if_bloated(&mut self) {
        const SLACK: usize = 256;
        if self.baseline > 0 && self.symbols.len() > 2 * self.baseline + SLACK {
            self.renew();
        }
    }

    /// Whether there may be symbols that no series needs any more.
    fn has_garbage(&self) -> bool {
        self.baseline > 0 && self.symbols.len() > self.baseline
    }

    fn renew(&mut self) {
        *self = Self::new(self.epoch.wrapping_add(1));
    }
}

/// Turns scrapes into record payloads; one for each source of series, as it remembers them by slot.
#[derive(Debug)]
pub struct RecordEncoder {
    limits: Limits,
    tables: Vec<Table>,
    blocks: Vec<Block>,
    series: Vec<u8>,
    message: Vec<u8>,
    refs: Vec<u8>,
    compressor: Compressor,
}

impl RecordEncoder {
    /// An encoder that cuts at `limits` (a single larger sample still gets a record of its own).
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            tables: Vec::new(),
            blocks: Vec::new(),
            series: Vec::new(),
            message: Vec::new(),
            refs: Vec::new(),
            compressor: Compressor::default(),
        }
    }

    /// Encodes `samples` in their order and hands each finished record to `emit`.
    pub fn encode<'d>(
        &mut self,
        samples: &[SampleRef],
        describe: impl Fn(u32) -> Description<'d>,
        mut emit: impl FnMut(Counts, &[u8]),
    ) {
        let mut rest = samples;
        let mut at = 0;
        while !rest.is_empty() {
            if self.tables.len() == at {
                self.tables.push(Table::new(0));
            }
            self.tables[at].renew_if_bloated();
            let mut counts = self.fill(at, rest, &describe);
            let cut = counts.samples < self.limits.max_samples && (counts.samples as usize) < rest.len();
            if cut && self.tables[at].has_garbage() {
                // Symbols of vanished series took the room of samples.
                self.tables[at].renew();
                counts = self.fill(at, rest, &describe);
            }
            let table = &mut self.tables[at];
            if table.baseline == 0 {
                table.baseline = table.symbols.len();
            }
            self.message.clear();
            self.message.extend_from_slice(table.symbols.encoded());
            self.message.extend_from_slice(&self.series);
            emit(counts, self.compressor.compress(&self.message));
            rest = &rest[counts.samples as usize..];
            at += 1;
        }
    }

    /// Writes as many of `samples` as fit into one record; at least one.
    fn fill<'d>(
        &mut self,
        at: usize,
        samples: &[SampleRef],
        describe: &impl Fn(u32) -> Description<'d>,
    ) -> Counts {
        let mut counts = Counts { samples: 0, markers: 0, min_timestamp: i64::MAX, max_timestamp: i64::MIN };
        self.series.clear();
        for sample in samples {
            let before = self.series.len();
            self.put_series(at, sample, describe);
            let bytes = self.tables[at].symbols.encoded().len() + self.series.len();
            if counts.samples > 0 && bytes > self.limits.max_bytes {
                self.series.truncate(before);
                break;
            }
            counts.samples += 1;
            counts.markers += u32::from(is_stale_marker(sample.value));
            counts.min_timestamp = counts.min_timestamp.min(sample.timestamp);
            counts.max_timestamp = counts.max_timestamp.max(sample.timestamp);
            if counts.samples == self.limits.max_samples {
                break;
            }
        }
        counts
    }

    fn put_series<'d>(&mut self, at: usize, sample: &SampleRef, describe: &impl Fn(u32) -> Description<'d>) {
        let slot = sample.slot as usize;
        if self.blocks.len() <= slot {
            self.blocks.resize_with(slot + 1, Block::default);
        }
        let table = &mut self.tables[at];
        let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
        let block = &mut self.blocks[slot];
        if (block.generation, block.table, block.epoch) != (sample.generation, number, table.epoch) {
            block.bytes.clear();
            encode_block(block, &mut table.symbols, &mut self.refs, describe(sample.slot));
            (block.generation, block.table, block.epoch) = (sample.generation, number, table.epoch);
        }
        let sample_len = field::sample_len(sample.value, sample.timestamp);
        let sample_field = 1 + field::varint_len(sample_len as u64) + sample_len;
        field::put_len(TIMESERIES, block.bytes.len() + sample_field, &mut self.series);
        self.series.extend_from_slice(&block.bytes[..block.split]);
        field::put_len(SAMPLES, sample_len, &mut self.series);
        field::put_sample(sample.value, sample.timestamp, &mut self.series);
        self.series.extend_from_slice(&block.bytes[block.split..]);
    }
}

fn encode_block(block: &mut Block, symbols: &mut SymbolTable, refs: &mut Vec<u8>, what: Description<'_>) {
    refs.clear();
    for (name, value) in what.labels.iter() {
        field::put_varint(symbols.intern(name), refs);
        field::put_varint(symbols.intern(value), refs);
    }
    field::put_bytes(LABELS_REFS, refs, &mut block.bytes);
    block.split = block.bytes.len();

    let mut metadata = mem::take(refs);
    metadata.clear();
    if what.metric_type != MetricType::Unknown {
        field::put_u32(1, what.metric_type as u32, &mut metadata);
    }
    if !what.help.is_empty() {
        field::put_u32(3, symbols.intern(what.help), &mut metadata);
    }
    if !metadata.is_empty() {
        field::put_bytes(METADATA, &metadata, &mut block.bytes);
    }
    *refs = metadata;
}
