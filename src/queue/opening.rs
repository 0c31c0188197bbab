//! What a directory holds, as far as the book needs it.

use super::account::Account;
use super::index::Entry;
use super::shelf::Segment;
use super::{Damage, RemovedEndpoint};

/// What is known when the book is opened.
#[derive(Debug, Default)]
pub(super) struct Opening {
    pub(super) entries: Vec<Entry>,
    pub(super) segments: Vec<Segment>,
    pub(super) accounts: Vec<Account>,
    /// The sequence of the next record.
    pub(super) next: u64,
    pub(super) journal_bytes: u64,
    pub(super) damage: Damage,
    pub(super) removed: Vec<RemovedEndpoint>,
}
