use crate::queue::Position;

/// So many samples in a row are looked at one by one; behind them groups are given up as a whole, each twice as large as the
/// one before, until something is delivered: a receiver that refuses everything costs few requests.
pub(super) const ONE_BY_ONE: u32 = 8;

/// So many requests look for single samples in one refused request; every [`COARSER`] further ones double the group that is
/// given up as a whole.
const BUDGET: u32 = 512;
const COARSER: u32 = 32;

/// How a request grows again behind a sample that was found.
const GROWTH: u32 = 4;

/// Finds the samples for whose sake a request was refused as a whole, from the front: whatever is delivered or given up is
/// the beginning of what is queued, so one cursor is enough and nothing overtakes its own series.
///
/// A bad one among n samples costs about 2 log2 n requests at most: log2 n to find it, log4 n until requests are large again.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// Behind the last sample of the refused request; `None` when nothing is looked for.
    goal: Option<Position>,
    /// Samples in the next request.
    window: u32,
    /// The first so many samples were refused together; 0 if nothing is known.
    suspect: u32,
    /// Requests so far.
    spent: u32,
    /// Given up in a row, over searches too, since the last delivery.
    streak: u32,
    /// They get 500, and nothing is booked before something else was delivered.
    is_500: bool,
}

/// What to do with samples that were refused together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send fewer of them.
    Smaller,
    /// They are what was looked for.
    GiveUp,
    /// So many get 500, and nothing gets through, that it is the server after all: nothing is given up.
    Abort,
}

/// What the next request may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) samples: u32,
    /// Samples of one record only: groups that are given up end where another scrape begins.
    pub(super) one_record: bool,
}

impl Search {
    /// Whether it is on among samples that get 500.
    pub(super) fn is_500(&self) -> bool {
        self.is_500
    }

    /// What the next request may hold; `None`: as much as ever.
    pub(super) fn window(&self) -> Option<Window> {
        self.goal?;
        Some(Window { samples: self.window.max(1), one_record: self.grain() > 1 })
    }

    /// Ends the search when the cursor is behind the refused request.
    pub(super) fn look(&mut self, cursor: Position) {
        if self.goal.is_some_and(|goal| goal <= cursor) {
            self.end();
        }
    }

    /// The first `sent` samples, up to `end`, were refused together.
    pub(super) fn refused(&mut self, sent: u32, end: Position, is_500: bool) -> Step {
        if self.goal.is_none_or(|goal| goal < end) {
            // Samples behind the first request: theirs is a budget of its own.
            self.goal = Some(end);
            self.spent = 0;
        }
        self.is_500 = is_500;
        self.spent += 1;
        if sent > self.grain() {
            self.suspect = sent;
            self.window = (sent / 2).max(self.grain());
            return Step::Smaller;
        }
        self.streak = self.streak.saturating_add(1);
        self.suspect = 0;
        self.window = self.grain();
        if is_500 && self.streak >= ONE_BY_ONE {
            self.streak = 0;
            self.end();
            return Step::Abort;
        }
        Step::GiveUp
    }

    /// Other samples than those given up in a row are looked at: they have their own chance before it is the server.
    pub(super) fn others(&mut self) {
        self.streak = 0;
    }

    /// The first `sent` samples were delivered.
    pub(super) fn delivered(&mut self, sent: u32) {
        self.streak = 0;
        self.settled(sent);
    }

    /// The first `sent` samples were answered for.
    pub(super) fn settled(&mut self, sent: u32) {
        self.spent += u32::from(self.goal.is_some());
        if self.suspect > sent {
            self.suspect -= sent;
            self.window = (self.suspect / 2).max(self.grain());
        } else {
            self.suspect = 0;
            self.window = self.window.saturating_mul(GROWTH);
        }
    }

    fn end(&mut self) {
        let streak = self.streak;
        *self = Self { streak, ..Self::default() };
    }

    /// Samples that are given up together.
    fn grain(&self) -> u32 {
        let in_vain = (self.streak + 1).saturating_sub(ONE_BY_ONE);
        let over = self.spent.saturating_sub(BUDGET).div_ceil(COARSER);
        1_u32.checked_shl(in_vain.max(over)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REMOTE_WRITE_MAX_SAMPLES_PER_SEND.
    const MOST: u32 = 2000;

    /// Plays a receiver that refuses a request with any of the `bad` samples in it. Returns the requests, what was delivered
    /// and what was given up.
    fn play(search: &mut Search, samples: u32, bad: &[u32]) -> (u32, Vec<u32>, Vec<u32>) {
        let (mut requests, mut delivered, mut given_up) = (0, Vec::new(), Vec::new());
        let mut cursor = 0;
        while cursor < samples {
            search.look(Position { sequence: 1, entry: cursor });
            let room = search.window().map_or(MOST, |window| window.samples.min(MOST));
            let end = (cursor.saturating_add(room)).min(samples);
            requests += 1;
            let piece = cursor..end;
            if bad.iter().any(|bad| piece.contains(bad)) {
                match search.refused(end - cursor, Position { sequence: 1, entry: end }, false) {
                    Step::Smaller => {}
                    Step::GiveUp => {
                        given_up.extend(piece);
                        cursor = end;
                    }
                    Step::Abort => panic!("only a 500 is a reason to abort"),
                }
            } else {
                search.delivered(end - cursor);
                delivered.extend(piece);
                cursor = end;
            }
        }
        search.look(Position { sequence: 1, entry: cursor });
        (requests, delivered, given_up)
    }

    #[test]
    fn one_bad_sample_is_found_in_about_2_log2_n_requests_wherever_it_is() {
        for bad in [0, 1, 7, 499, 500, 1000, 1998, 1999] {
            let mut search = Search::default();
            let (requests, delivered, given_up) = play(&mut search, 2000, &[bad]);
            assert_eq!(given_up, [bad]);
            assert_eq!(delivered.len(), 1999);
            assert!(delivered.is_sorted());
            assert!(requests <= 22, "{requests} requests for sample {bad}");
            assert!(search.window().is_none());
        }
    }

    #[test]
    fn a_request_that_is_refused_whole_costs_few_requests() {
        let all: Vec<u32> = (0..2000).collect();
        let mut search = Search::default();
        let (requests, _, given_up) = play(&mut search, 2000, &all);
        assert_eq!(given_up.len(), 2000);
        assert!(requests <= 32, "{requests}");
        // The next one costs next to nothing, as long as nothing is delivered.
        assert!(play(&mut search, 2000, &all).0 <= 3);
        play(&mut search, 10, &[]);
        let (_, delivered, given_up) = play(&mut search, 2000, &[3]);
        assert_eq!((delivered.len(), given_up), (1999, vec![3]));
    }

    #[test]
    fn the_budget_bounds_the_requests_and_what_is_good_between_groups_is_delivered() {
        let odd: Vec<u32> = (0..1000).map(|n| 2 * n).collect();
        let (requests, delivered, given_up) = play(&mut Search::default(), 2000, &odd);
        assert!(requests <= BUDGET + 12 * COARSER, "{requests}");
        assert_eq!(delivered.len() + given_up.len(), 2000);
        assert!(delivered.len() >= 100, "{}", delivered.len());
    }

    #[test]
    fn a_backlog_with_a_bad_sample_now_and_then_loses_nothing_else() {
        let bad: Vec<u32> = (0..200).map(|n| 500 * n + 250).collect();
        let (_, delivered, given_up) = play(&mut Search::default(), 100_000, &bad);
        assert_eq!(given_up, bad);
        assert_eq!(delivered.len(), 100_000 - 200);
    }

    #[test]
    fn a_server_that_takes_nothing_makes_the_search_give_nothing_up() {
        let mut search = Search::default();
        let end = |entry| Position { sequence: 1, entry };
        let mut sent = 100;
        while search.refused(sent, end(100), true) == Step::Smaller {
            sent = search.window().unwrap().samples;
        }
        assert!(search.is_500());
        for given_up in 2..=8 {
            let step = search.refused(1, end(100), true);
            assert_eq!(step, if given_up < 8 { Step::GiveUp } else { Step::Abort });
        }
        assert!(search.window().is_none() && !search.is_500());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(512))]

        #[test]
        fn within_the_budget_exactly_the_bad_are_given_up(
            samples in 1_u32..2000,
            bad in proptest::collection::btree_set(0_u32..2000, 0..7),
        ) {
            let bad: Vec<u32> = bad.into_iter().filter(|bad| *bad < samples).collect();
            let (requests, delivered, given_up) = play(&mut Search::default(), samples, &bad);
            proptest::prop_assert_eq!(&given_up, &bad);
            let good: Vec<u32> = (0..samples).filter(|sample| !bad.contains(sample)).collect();
            proptest::prop_assert_eq!(delivered, good);
            let found = u32::try_from(bad.len()).unwrap();
            let log2 = 32 - samples.leading_zeros();
            proptest::prop_assert!(requests <= 1 + found * (2 * log2 + 2), "{} requests", requests);
        }
    }
}
