use std::hash::{DefaultHasher, Hash, Hasher};

/// What an input came to, boiled down to a number: kinds of errors, orders of magnitude. Two inputs of the same sort have the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Outcome(u64);

impl Outcome {
    /// Adds something that there are not many of: a kind, a flag.
    pub(crate) fn with(self, what: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.0, what).hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Adds a number as its order of magnitude.
    pub(crate) fn with_count(self, count: u64) -> Self {
        self.with(u64::BITS - count.leading_zeros())
    }
}
