use std::collections::HashMap;

use super::super::field::{self, SYMBOL_KEY, Value};

const SYMBOLS: u32 = 4;

/// The symbols of a message: each once, the first one empty (remote-write 2.08).
#[derive(Debug, Default)]
pub(super) struct Table {
    /// As fields of the message; begins with `base`.
    encoded: Vec<u8>,
    count: u32,
    /// What it began with. Kept from message to message, and its index with it: it is nearly always the same.
    base: Vec<u8>,
    base_count: u32,
    index: HashMap<Box<[u8]>, u32>,
    /// Those behind the base.
    added: Vec<Box<[u8]>>,
}

/// A state of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) symbols: u32,
    bytes: usize,
}

impl Table {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    pub(super) fn clear(&mut self) {
        for symbol in self.added.drain(..) {
            self.index.remove(&symbol);
        }
        self.encoded.clear();
        self.count = 0;
    }

    /// Begins an empty table with nothing but the empty symbol.
    pub(super) fn begin(&mut self) {
        self.adopt(&[SYMBOL_KEY, 0]);
    }

    /// Begins an empty table with `front`, the symbols of a record; it stays empty if they are not each once and the first one empty.
    pub(super) fn adopt(&mut self, front: &[u8]) {
        self.base.clear();
        self.base_count = 0;
        self.index.clear();
        let mut rest = front;
        let mut count = 0;
        while let Ok(Some((SYMBOLS, Value::Bytes(symbol)))) = field::next(&mut rest) {
            if symbol.is_empty() != (count == 0) || self.index.insert(symbol.into(), count).is_some() {
                self.index.clear();
                return;
            }
            count += 1;
        }
        self.base.extend_from_slice(front);
        self.base_count = count;
        self.start();
    }

    /// Begins an empty table with the symbols of `record`, if the last one that was adopted had the same; whether it did.
    pub(super) fn adopt_again(&mut self, record: &[u8]) -> bool {
        let same = self.begins(record).is_some();
        if same {
            self.start();
        }
        same
    }

    /// Where the series of `record` begin, if its symbols are those that this table began with.
    pub(super) fn begins(&self, record: &[u8]) -> Option<usize> {
        let rest = record.strip_prefix(self.base.as_slice())?;
        (self.base_count > 0 && rest.first() != Some(&SYMBOL_KEY)).then_some(self.base.len())
    }

    fn start(&mut self) {
        self.encoded.extend_from_slice(&self.base);
        self.count = self.base_count;
    }

    /// The reference of `symbol`, which is added if it is new.
    pub(super) fn intern(&mut self, symbol: &[u8]) -> u32 {
        if let Some(reference) = self.index.get(symbol) {
            return *reference;
        }
        let reference = self.count;
        self.index.insert(symbol.into(), reference);
        self.added.push(symbol.into());
        field::put_bytes(SYMBOLS, symbol, &mut self.encoded);
        self.count += 1;
        reference
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { symbols: self.count, bytes: self.encoded.len() }
    }

    /// Takes out what was added after `mark`.
    pub(super) fn roll_back(&mut self, mark: Mark) {
        let kept = mark.symbols.saturating_sub(self.base_count) as usize;
        for symbol in self.added.drain(kept.min(self.added.len())..) {
            self.index.remove(&symbol);
        }
        self.encoded.truncate(mark.bytes);
        self.count = mark.symbols;
    }
}
