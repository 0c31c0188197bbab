//! What one target may make us remember, as an estimate in bytes: the program stays small whatever it is sent.
//!
//! The weights are measured, from the cached line to the sender's request: a series of one short name takes 0.8 kB, one of a name of 22
//! bytes and four labels 1.3 kB, each byte of a label of 100 KiB stands a dozen times in memory while its series come and go.

use crate::model::{HistogramSize, Labels};

/// Holds 40,000 series of short names that stay, or 23,000 of four labels, and half as many where all are new each time. The process then peaks below 64 MiB (tests/hostile), 10 to 20 of which are the program itself.
const LEAST: u64 = 30 << 20;

/// What a scrape may take, in bytes: its body, and what is remembered of it and of the scrape before. `body_size_limit` is
/// `SCRAPE_BODY_SIZE_LIMIT`; `None` is no limit.
pub(super) fn limit(body_size_limit: Option<u64>) -> Option<u64> {
    // 16 MiB of text and a little more for its series; a larger limit of the body means larger targets.
    body_size_limit.map(|limit| LEAST.max(limit.saturating_add(limit / 8 * 7)))
}

/// A cached line.
pub(super) fn of_line(raw: &[u8]) -> usize {
    const FIXED: usize = 120;
    FIXED + 2 * raw.len()
}

/// A series, from its slot to the sender's request.
pub(super) fn of_series(labels: &Labels) -> usize {
    const FIXED: usize = 500;
    labels.iter().map(|(name, value)| of_text(name) + of_text(value)).sum::<usize>() + FIXED
}

/// A label's name or value. Short ones are mostly those of other series, too, and stand once in a record.
fn of_text(text: &str) -> usize {
    const FIXED: usize = 10;
    const SHORT: usize = 200;
    let short = text.len().min(SHORT);
    FIXED + 2 * short + 12 * (text.len() - short)
}

/// A native histogram: as it is read, in the record of this scrape and of the one before, and in the requests of its endpoints. Measured at
/// 22 bytes for a bucket whose delta has one byte, 59 for one of floats, 80 for a span and a bucket in turn.
pub(super) fn of_histogram(size: HistogramSize) -> usize {
    const FIXED: usize = 500;
    const SPAN: usize = 44;
    const COUNT: usize = 24;
    const COPIES: usize = 5;
    FIXED + SPAN * size.spans + COUNT * size.counts + COPIES * size.bytes
}

/// An exemplar that is handed on: nothing else bounds how many a native histogram has. Measured at 320 bytes without labels, at 1,100 with
/// 128 characters of them that no other has.
pub(super) fn of_exemplar(labels: &Labels) -> usize {
    const FIXED: usize = 350;
    const COPIES: usize = 6;
    FIXED + COPIES * labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

/// What HELP and TYPE say of a family.
pub(super) fn of_family(name: &str, help: &str) -> usize {
    const FIXED: usize = 300;
    const COPIES: usize = 8;
    FIXED + 2 * name.len() + COPIES * help.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_grows_with_that_of_the_body_and_goes_with_it() {
        assert_eq!(limit(Some(1)), Some(LEAST));
        assert_eq!(limit(Some(16 << 20)), Some(30 << 20));
        assert_eq!(limit(Some(64 << 20)), Some(120 << 20));
        assert_eq!(limit(Some(u64::MAX)), Some(u64::MAX));
        assert_eq!(limit(None), None);
    }
}
