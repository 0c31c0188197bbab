//! Which records may stay raw, and what changes when one is packed.

use std::time::{Duration, Instant};

use super::{Book, Record};

impl Book {
    /// Whether a record that comes now may stay as it is: all endpoints keep up, so it will hardly ever be written.
    pub(in crate::queue) fn takes_raw(&self, bytes: usize, now: Instant, linger: Duration) -> bool {
        let in_time = self.write_due(linger).is_none_or(|due| due > now) && !self.is_behind();
        in_time && self.durable && self.ring.raw_bytes() + bytes as u64 <= self.max_memory_bytes / 8
    }

    /// A record is smaller now than it was.
    pub(in crate::queue) fn repack(&mut self, record: Record) {
        if let Some(entry) = self.index.get_mut(record.sequence) {
            entry.length = u32::try_from(record.payload.len()).unwrap_or(u32::MAX);
        }
        self.ring.replace(record);
        self.relieve();
    }
}
