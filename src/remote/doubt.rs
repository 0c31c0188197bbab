//! Native histograms that get 500 one after the other: a receiver for which they are switched off says nothing else to any of them, and one
//! that is ill says it to everything. Other samples tell which.

use super::refusal::Blame;
use super::search::ONE_BY_ONE;
use super::sieve::SeriesId;
use super::worker::{Suspect, Worker};
use crate::queue::Position;

impl Worker {
    /// Sets all native histograms aside if so many of them in a row, and nothing else, got 500 that the next one would be taken for a fault of
    /// the server; if that was their fault before, the first one is enough.
    pub(super) fn doubt_histograms(&mut self) {
        let sieve = &mut self.assembler.sieve;
        let known = sieve.quarantine.knows(SeriesId::HISTOGRAMS);
        let enough = if known { 1 } else { ONE_BY_ONE as usize - 1 };
        if !sieve.without_histograms
            && self.suspects.len() >= enough
            && self.suspects.iter().all(|suspect| suspect.is_histogram)
        {
            sieve.without_histograms = true;
            self.search.others();
        }
    }

    /// Samples behind what was set aside were answered for: it has its last chance. Returns whether nothing is to be booked, since a native
    /// histogram was taken now: it was the server after all, and what was left out for being one goes again with all the rest.
    pub(super) async fn hear_suspects(&mut self, end: Position) -> bool {
        if !self.has_suspects(end) {
            return false;
        }
        self.last_chance(end).await;
        let taken = |suspect: &Suspect| {
            let mut behind = suspect.samples.iter().map(|at| Position { entry: at.entry + 1, ..*at });
            suspect.is_histogram && behind.any(|behind| self.cleared.contains(&behind))
        };
        let again = self.assembler.sieve.without_histograms && self.suspects.iter().any(taken);
        if again {
            self.free_suspects();
            self.cleared.clear();
            self.unsure = self.unsure.max(end);
        }
        again
    }

    /// What was set aside is booked. If that was every native histogram, the next ones are in quarantine together.
    pub(super) fn convict_histograms(&mut self) {
        let sieve = &mut self.assembler.sieve;
        if !std::mem::take(&mut sieve.without_histograms) {
            return;
        }
        let sentence = sieve.quarantine.convict(SeriesId::HISTOGRAMS, Blame::Series);
        if let Some(suspect) = self.suspects.first() {
            self.report.histograms(suspect.status, &suspect.said, sentence);
        }
    }
}
