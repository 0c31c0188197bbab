//! One endpoint's cursor and its side of the ledger.

use super::{Fate, Ledger, Position};

#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) name: String,
    /// The next sample it takes.
    pub(super) cursor: Position,
    /// What its cursor file says; `None` when there is no usable file.
    pub(super) persisted: Option<Position>,
    pub(super) ledger: Ledger,
}

impl Account {
    pub(super) fn new(name: &str, cursor: Position, persisted: Option<Position>) -> Self {
        Self { name: name.to_owned(), cursor, persisted, ledger: Ledger::default() }
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.persisted != Some(self.cursor)
    }

    /// Moves the cursor forward over `samples` samples.
    pub(super) fn settle(&mut self, to: Position, fate: Fate, samples: u64) {
        self.cursor = to;
        self.ledger.pending -= samples;
        match fate {
            Fate::Delivered => self.ledger.delivered += samples,
            Fate::Rejected => self.ledger.rejected += samples,
            Fate::Expired => self.ledger.expired += samples,
        }
    }

    /// A record with `samples` samples goes: takes those that are pending here out of `pending` and returns how many.
    /// A cursor that stands in the record moves behind it; one before it stays, there may be older records.
    pub(super) fn step_over(&mut self, sequence: u64, samples: u32) -> u64 {
        let taken = match self.cursor.sequence.cmp(&sequence) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => self.cursor.entry.min(samples),
            std::cmp::Ordering::Greater => samples,
        };
        if self.cursor.sequence == sequence {
            self.cursor = Position { sequence: sequence + 1, entry: 0 };
        }
        let lost = u64::from(samples - taken);
        self.ledger.pending -= lost;
        lost
    }
}
