use std::sync::Arc;

use bytes::Bytes;

use super::builder::Builder;
use super::outcome::Cause;
use super::protocol::Version;
use super::sieve::{Sieve, Sifted};
use crate::queue::{Position, Record, RecordMeta};
use crate::wire::{DecodeError, Limits, Selection};

/// Consecutive samples of one record that a request answers for.
#[derive(Clone, Debug)]
pub(super) struct Part {
    record: Record,
    /// The first sample that is in it.
    from: u32,
    /// The first sample that is not in it any more.
    to: u32,
    /// The rest of the record, where the sieve has kept some of it out.
    sifted: Option<Arc<Sifted>>,
    /// Its samples that are not sent, ascending, and why.
    left_out: Vec<(u32, Cause)>,
}

impl Part {
    /// Samples from its first to its last, whether they are sent or not.
    fn span(&self) -> u32 {
        self.to - self.from
    }

    /// Its samples that are not sent, and why.
    fn left_out(&self) -> impl Iterator<Item = (u32, Cause)> + '_ {
        self.left_out.iter().copied().filter(|(entry, _)| (self.from..self.to).contains(entry))
    }

    /// Its samples that are sent.
    fn sent(&self) -> impl Iterator<Item = u32> + '_ {
        let mut left_out = self.left_out().peekable();
        (self.from..self.to).filter(move |entry| left_out.next_if(|(out, _)| out == entry).is_none())
    }

    fn at(&self, entry: u32) -> Position {
        Position { sequence: self.record.sequence, entry }
    }

    /// The position behind it.
    fn end(&self) -> Position {
        if self.to >= self.record.meta.samples { behind(&self.record) } else { self.at(self.to) }
    }
}

/// The position behind a whole record.
pub(super) fn behind(record: &Record) -> Position {
    Position { sequence: record.sequence + 1, entry: 0 }
}

/// One request and the samples in it. Its bytes stay the same however often it is sent: a receiver that took it without us
/// knowing sees the same samples again, not other ones among them (receivers section 5, "never double").
#[derive(Clone, Debug)]
pub(super) struct Batch {
    parts: Vec<Part>,
    /// A snappy block, ready to be posted.
    pub(super) body: Bytes,
    /// Of its message.
    pub(super) version: Version,
    /// Samples in it. None if all that it answers for is left out: then there is nothing to post.
    pub(super) samples: u32,
    /// Bytes of the message before compression.
    pub(super) message_bytes: usize,
}

impl Batch {
    /// The position behind its last sample.
    pub(super) fn end(&self) -> Position {
        self.parts.last().map(Part::end).unwrap_or_default()
    }

    /// The newest timestamp of its oldest record, ms since the epoch.
    pub(super) fn first_timestamp(&self) -> i64 {
        self.parts.first().map_or(i64::MIN, |part| part.record.meta.max_timestamp)
    }

    /// The newest timestamp of its records, ms since the epoch.
    pub(super) fn max_timestamp(&self) -> i64 {
        self.parts.iter().map(|part| part.record.meta.max_timestamp).max().unwrap_or(i64::MIN)
    }

    /// The way of the cursor over its samples: up to each position they share a fate, that of the request, or that of a
    /// sample which was left out.
    pub(super) fn steps(&self) -> impl Iterator<Item = (Position, Option<Cause>)> + '_ {
        self.parts.iter().flat_map(|part| {
            let out = part.left_out();
            out.flat_map(|(entry, cause)| [(part.at(entry), None), (part.at(entry + 1), Some(cause))])
                .chain([(part.end(), None)])
        })
    }

    /// The records that it has samples of, oldest first.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.parts.iter().map(|part| &part.record)
    }

    /// The samples in the request, each with its record.
    pub(super) fn sent(&self) -> impl Iterator<Item = (&Record, u32)> + '_ {
        self.parts.iter().flat_map(|part| part.sent().map(|entry| (&part.record, entry)))
    }
}

/// What of a batch is still to be sent.
#[derive(Debug)]
pub(super) struct Remainder {
    /// Everything before this position is too old now.
    pub(super) expired_to: Option<Position>,
    /// The batch to send next: the same one, a smaller one, or none.
    pub(super) batch: Option<Batch>,
}

/// Whether more fits into the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// The record is in; more may follow it.
    Left,
    /// Not all of the record is in.
    Full,
}

/// A record that is not what its header says. Never seen on a record whose CRC is right.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undecodable {
    #[error(transparent)]
    Payload(#[from] DecodeError),
    #[error("its header counts {promised} samples, its payload ends at {found}")]
    Short { promised: u32, found: u32 },
}

/// Puts records together to batches.
#[derive(Debug)]
pub(super) struct Assembler {
    builder: Builder,
    limits: Limits,
    parts: Vec<Part>,
    pub(super) sieve: Sieve,
}

impl Assembler {
    pub(super) fn new(sieve: Sieve, selection: Selection) -> Self {
        let limits = Limits { max_samples: 0, max_bytes: 0 };
        Self { builder: Builder::new(selection), limits, parts: Vec::new(), sieve }
    }

    /// Whether anything is to be sent so far.
    pub(super) fn has_samples(&self) -> bool {
        !self.builder.is_empty()
    }

    /// Whether no sample more may be in the request: what came next would be walked through for nothing.
    pub(super) fn is_full(&self) -> bool {
        self.builder.samples() >= self.limits.max_samples
    }

    /// Starts a batch of at most this size.
    pub(super) fn begin(&mut self, limits: Limits, version: Version) {
        self.builder.begin(version);
        self.parts.clear();
        self.sieve.begin();
        self.limits = limits;
    }

    /// Adds the samples of a record from `from` on, as far as they fit and may be sent at `now` (ms since the epoch).
    ///
    /// # Errors
    /// When the record is damaged; what was added before stays.
    pub(super) fn add(&mut self, record: Record, from: u32, now: i64) -> Result<Room, Undecodable> {
        let earlier = self.parts.iter().map(|part| (&part.record, part.from));
        let sifted = self.sieve.sift(&record, from, earlier, now)?;
        self.add_within(record, from, sifted.map(Arc::new), self.limits)
    }

    fn add_within(
        &mut self,
        record: Record,
        from: u32,
        sifted: Option<Arc<Sifted>>,
        limits: Limits,
    ) -> Result<Room, Undecodable> {
        let promised = record.meta.samples;
        let was_empty = self.builder.is_empty();
        let to = match &sifted {
            None => self.builder.push_record(&record, from, &limits)?.min(promised),
            Some(sifted) => self.push_sifted(sifted, promised, from, &limits)?,
        };
        if to == from {
            // An empty request takes at least one sample, so there is none.
            return if was_empty {
                Err(Undecodable::Short { promised, found: from })
            } else {
                Ok(Room::Full)
            };
        }
        // Samples that are left out take no room, and are done with at once; those set aside wait for others behind them.
        let done = self.builder.is_empty() && !self.sieve.has_aside();
        let left_out = self.left_out(&record, sifted.as_deref());
        self.parts.push(Part { record, from, to, sifted, left_out });
        Ok(if to < promised || done { Room::Full } else { Room::Left })
    }

    /// As [`Builder::push`], with entries counted as in the whole record.
    fn push_sifted(
        &mut self,
        sifted: &Sifted,
        promised: u32,
        from: u32,
        limits: &Limits,
    ) -> Result<u32, DecodeError> {
        let out = || sifted.left_out.iter().map(|(entry, _)| *entry);
        let count = |entries: usize| u32::try_from(entries).unwrap_or(u32::MAX);
        let kept = promised.saturating_sub(count(out().count()));
        let first = from.saturating_sub(count(out().filter(|entry| *entry < from).count()));
        if first >= kept {
            return Ok(promised);
        }
        let taken = self.builder.push(&sifted.payload, first, limits)?;
        if taken >= kept {
            return Ok(promised);
        }
        // The entry behind the last one taken: those left out in front of it come along.
        Ok(in_record(taken, sifted))
    }

    /// What of the record added last is not sent, by the sieve and by the endpoint's settings.
    fn left_out(&mut self, record: &Record, sifted: Option<&Sifted>) -> Vec<(u32, Cause)> {
        let mut all = sifted.map(|sifted| sifted.left_out.clone()).unwrap_or_default();
        for (entry, unsent) in self.builder.left_out() {
            let entry = sifted.map_or(*entry, |sifted| in_record(*entry, sifted));
            let cause = Cause::from(*unsent);
            self.sieve.example(cause, record, entry);
            all.push((entry, cause));
        }
        all.sort_unstable_by_key(|(entry, _)| *entry);
        all
    }

    /// The batch of everything added; `None` if nothing was. The next one starts empty.
    pub(super) fn finish(&mut self) -> Option<Batch> {
        let parts = std::mem::take(&mut self.parts);
        let (samples, message_bytes) = (self.builder.samples(), self.builder.message_len());
        let batch = (!parts.is_empty()).then(|| Batch {
            parts,
            body: Bytes::copy_from_slice(self.builder.finish()),
            version: self.builder.version(),
            samples,
            message_bytes,
        });
        self.builder.begin(self.builder.version());
        batch
    }

    /// Takes out of a batch, before it is sent again, what the queue has dropped meanwhile (`cursor` has passed it) and what
    /// is too old now. Never adds anything; a batch of which nothing went keeps its bytes.
    pub(super) fn remains(
        &mut self,
        mut batch: Batch,
        cursor: Position,
        expired: impl Fn(&RecordMeta) -> bool,
    ) -> Remainder {
        let span = |parts: &[Part]| (parts.len(), parts.iter().map(Part::span).sum::<u32>());
        let untouched = span(&batch.parts);
        batch.parts.retain(|part| part.end() > cursor);
        if let Some(first) = batch.parts.first_mut()
            && first.record.sequence == cursor.sequence
        {
            first.from = first.from.max(cursor.entry);
        }
        let old = batch.parts.iter().take_while(|part| expired(&part.record.meta)).count();
        let expired_to = batch.parts.drain(..old).last().map(|part| part.end());
        // Old records behind younger ones leave the request too; they expire when the cursor gets there.
        let young = batch.parts.iter().take_while(|part| !expired(&part.record.meta)).count();
        batch.parts.truncate(young);
        if span(&batch.parts) == untouched {
            return Remainder { expired_to, batch: Some(batch) };
        }
        Remainder { expired_to, batch: self.rebuild(batch.parts, batch.version) }
    }

    /// The same samples fit again, and no others: their number is the limit.
    fn rebuild(&mut self, parts: Vec<Part>, version: Version) -> Option<Batch> {
        let samples = parts.iter().map(|part| part.sent().count()).sum::<usize>();
        let samples = u32::try_from(samples).unwrap_or(u32::MAX);
        self.begin(Limits { max_samples: samples, ..self.limits }, version);
        for part in parts {
            // It was decoded before; if it cannot be now, what is missing is read from the queue again, and found out there.
            match self.add_within(part.record, part.from, part.sifted, self.limits) {
                Ok(Room::Left) => {}
                Ok(Room::Full) | Err(_) => break,
            }
        }
        self.finish()
    }
}

/// The number in the record of an entry of what was left of it.
fn in_record(entry: u32, sifted: &Sifted) -> u32 {
    sifted.left_out.iter().fold(entry, |entry, (out, _)| if *out <= entry { entry + 1 } else { entry })
}

#[cfg(test)]
mod tests;
