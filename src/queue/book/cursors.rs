//! Which cursors are to be written, and which of them at once.

use super::{Account, Book, Position};

impl Book {
    /// Cursors that differ from what was last persisted.
    pub(in crate::queue) fn dirty_cursors(&self) -> Vec<(usize, Position)> {
        let dirty = self.accounts.iter().enumerate().filter(|(_, account)| account.is_dirty());
        dirty.map(|(endpoint, account)| (endpoint, account.cursor)).collect()
    }

    pub(in crate::queue) fn has_dirty_cursor(&self) -> bool {
        self.accounts.iter().any(Account::is_dirty)
    }

    /// Whether a kill at this moment would make a cursor forget something: it stands in its file before a record that may be on disk, or
    /// before one that brought changes of a journal.
    pub(in crate::queue) fn kill_repeats(&self) -> bool {
        let end = self.entrusted.max(self.noted + 1);
        let is_short = |account: &Account| account.persisted.is_none_or(|at| at.sequence < end);
        self.accounts.iter().any(|account| account.is_dirty() && is_short(account))
    }

    /// What its cursor file says; `None` where that is not known any more.
    pub(in crate::queue) fn persisted(&mut self, endpoint: usize, position: Option<Position>) {
        if let Some(account) = self.accounts.get_mut(endpoint) {
            account.persisted = position;
        }
    }
}
