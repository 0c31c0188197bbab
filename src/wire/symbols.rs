//! The symbol table of a 2.0 message: each distinct string once, element 0 empty (remote-write 2.08), kept in encoded form.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

use hashbrown::HashTable;

use super::field;

/// Field number of `Request.symbols`.
const SYMBOLS: u32 = 4;

/// Grows by interning; its bytes are the front of every message that uses it.
///
/// The strings stand in those bytes alone: a map of strings of its own took 100 bytes more for each.
#[derive(Debug)]
pub(super) struct SymbolTable {
    hasher: RandomState,
    /// References, by what they refer to.
    index: HashTable<u32>,
    /// Where each symbol's text is in `encoded`.
    places: Vec<Range<usize>>,
    encoded: Vec<u8>,
}

impl SymbolTable {
    pub(super) fn new() -> Self {
        let mut table = Self {
            hasher: RandomState::new(),
            index: HashTable::new(),
            places: Vec::new(),
            encoded: Vec::new(),
        };
        table.intern("");
        table
    }

    /// The reference of `symbol`, which is added if it is new.
    pub(super) fn intern(&mut self, symbol: &str) -> u32 {
        let Self { hasher, index, places, encoded } = self;
        let hash = hasher.hash_one(symbol.as_bytes());
        let text = |reference: u32| &encoded[places[reference as usize].clone()];
        if let Some(reference) = index.find(hash, |reference| text(*reference) == symbol.as_bytes()) {
            return *reference;
        }
        let reference = u32::try_from(places.len()).unwrap_or(u32::MAX);
        index.insert_unique(hash, reference, |reference| hasher.hash_one(text(*reference)));
        field::put_bytes(SYMBOLS, symbol.as_bytes(), encoded);
        places.push(encoded.len() - symbol.len()..encoded.len());
        reference
    }

    /// The table as fields of the message.
    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// How much is in the table, for [`SymbolTable::roll_back`].
    pub(super) fn mark(&self) -> Mark {
        Mark { symbols: self.places.len(), bytes: self.encoded.len() }
    }

    /// Takes out what was added after `mark`.
    pub(super) fn roll_back(&mut self, mark: Mark) {
        if self.places.len() > mark.symbols {
            self.index.retain(|reference| (*reference as usize) < mark.symbols);
            self.places.truncate(mark.symbols);
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
