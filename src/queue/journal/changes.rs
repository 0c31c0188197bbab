//! What the keeper of a set says about it.

/// An entry's kind and its length stand before it.
const FRAME: u64 = 5;

/// Additions and removals, in their order; or the whole set anew. To be cleared and used again.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    bytes: Vec<u8>,
    whole: bool,
    added: u64,
    removed: u64,
}

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::queue) enum Change<'a> {
    Added(&'a [u8]),
    Removed(&'a [u8]),
}

impl Changes {
    /// Begins the whole set: what is added now replaces everything before.
    #[must_use]
    pub fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }

    /// Forgets all changes.
    pub fn clear(&mut self) {
        *self = Self { bytes: std::mem::take(&mut self.bytes), ..Self::default() };
        self.bytes.clear();
    }

    /// The entry is in the set now. It must not have been.
    pub fn add(&mut self, entry: &[u8]) {
        self.added += self.push(b'+', entry);
    }

    /// The entry is in the set no more. It must have been.
    pub fn remove(&mut self, entry: &[u8]) {
        self.removed += self.push(b'-', entry);
    }

    /// Nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.whole && self.bytes.is_empty()
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    pub(in crate::queue) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes that the set takes, from what it took before.
    pub(super) fn live_after(&self, live: u64) -> u64 {
        let before = if self.whole { 0 } else { live };
        (before + self.added).saturating_sub(self.removed)
    }

    fn push(&mut self, kind: u8, entry: &[u8]) -> u64 {
        let length = u32::try_from(entry.len()).unwrap_or(u32::MAX);
        let entry = &entry[..length as usize];
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(entry);
        cost(entry)
    }
}

/// Bytes that an entry takes in a file.
pub(super) fn cost(entry: &[u8]) -> u64 {
    FRAME + entry.len() as u64
}

/// Reads what [`Changes`] wrote; ends at the first thing that it cannot have written.
pub(super) fn read(mut bytes: &[u8]) -> impl Iterator<Item = Change<'_>> {
    std::iter::from_fn(move || {
        let (kind, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (entry, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        bytes = rest;
        match kind {
            b'+' => Some(Change::Added(entry)),
            b'-' => Some(Change::Removed(entry)),
            _ => None,
        }
    })
}
