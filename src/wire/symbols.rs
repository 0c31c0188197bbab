//! The symbol table of a 2.0 message: each distinct string once, element 0 empty (remote-write 2.08), kept in encoded form.

use std::collections::HashMap;

use super::field;

/// Field number of `Request.symbols`.
const SYMBOLS: u32 = 4;

/// Grows by interning; its bytes are the front of every message that uses it.
#[derive(Debug)]
pub(super) struct SymbolTable {
    index: HashMap<Box<str>, u32>,
    encoded: Vec<u8>,
}

impl SymbolTable {
    pub(super) fn new() -> Self {
        let mut table = Self { index: HashMap::new(), encoded: Vec::new() };
        table.intern("");
        table
    }

    /// The reference of `symbol`, which is added if it is new.
    pub(super) fn intern(&mut self, symbol: &str) -> u32 {
        if let Some(reference) = self.index.get(symbol) {
            return *reference;
        }
        let reference = u32::try_from(self.index.len()).unwrap_or(u32::MAX);
        self.index.insert(symbol.into(), reference);
        field::put_bytes(SYMBOLS, symbol.as_bytes(), &mut self.encoded);
        reference
    }

    /// The table as fields of the message.
    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// How much is in the table, for [`SymbolTable::roll_back`].
    pub(super) fn mark(&self) -> Mark {
        Mark { symbols: self.index.len(), bytes: self.encoded.len() }
    }

    /// Takes out what was added after `mark`.
    pub(super) fn roll_back(&mut self, mark: Mark) {
        if self.index.len() > mark.symbols {
            self.index.retain(|_, reference| (*reference as usize) < mark.symbols);
            self.encoded.truncate(mark.bytes);
        }
    }
}

/// A state of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    symbols: usize,
    bytes: usize,
}
