//! How the lives of a story begin and end, and what happens to the disk in between.

use std::fmt::Write as _;

use docker_remote_write::queue::{Ledger, Position};
use docker_remote_write::receiver::Protocol;

use super::super::disk::{self, Cursor, Damage, Disk};
use super::super::life::{Knobs, Last, Life};
use super::super::model::{ENDPOINTS, Fate, Part, Restarted};
use super::answers::Meaning;
use super::audit::assert_closes;
use super::{AHEAD, Held, SYNTHETIC, Story};

impl Story {
    pub(super) async fn begin(
        &mut self,
        disk: &Disk,
        rewinds: [bool; ENDPOINTS],
        safe: [Position; ENDPOINTS],
    ) {
        tokio::time::sleep(AHEAD).await;
        let knobs = Knobs::draw(&mut self.dice, self.in_memory);
        let life = Life::begin(self.dir.path(), self.lives, knobs).await;
        let end = *life.queue.end().borrow();
        let used = disk.records.keys().next_back().copied().unwrap_or_default();
        assert!(end > used, "the next record would be {end} and {used} is on disk");
        let restarted = self.model.restart(disk, end, rewinds, safe);
        self.count(&restarted);
        self.lives += 1;
        self.engine.forget_timed();
        (self.known_end, self.overflowed_records) = (end, 0);
        (self.lines, self.scrapes) = (0, (0, 0));
        (self.held, self.failed) = ([None, None], [None, None]);
        life.control.start();
        self.life = Some(life);
        self.life().running = true;
    }

    pub(super) fn count(&mut self, restarted: &Restarted) {
        let Restarted { killed, overflowed, damaged, repeated } = *restarted;
        for (what, samples) in [
            ("samples lost in memory by kills", killed),
            ("samples overflowed while a process died", overflowed),
            ("samples lost by damage", damaged),
            ("samples queued again by kills and damage", repeated),
        ] {
            *self.tally.entry(what).or_default() += samples;
        }
        if let Some(line) = self.tail.last_mut() {
            write!(line, " {restarted:?}").unwrap();
        }
    }

    pub(super) async fn restart_cleanly(&mut self) {
        self.note("clean restart");
        self.swallow_some();
        let last = self.life.take().unwrap().end().await;
        if self.in_memory {
            let lost = self.model.lose_all(Fate::LostAtExit);
            *self.tally.entry("samples lost at exit").or_default() += lost;
        }
        assert_eq!(last.ledgers, self.model.ledgers, "at the end");
        let safe = self.model.cursors;
        self.next_life(safe, false, 0).await;
    }

    /// What was asked and is never answered may have been stored all the same.
    pub(super) fn swallow_some(&mut self) {
        for endpoint in 0..ENDPOINTS {
            let swallows = self.dice.one_in(3);
            let is_old = self.life().knobs.is_old(endpoint);
            let reads = |held: &Held| !is_old || held.arrival.protocol == Protocol::V1;
            if let Some(held) = self.held[endpoint].take().filter(|held| swallows && reads(held)) {
                self.store(endpoint, &held, false);
                *self.tally.entry("stored, then the process ended").or_default() += 1;
            }
        }
    }

    /// `answered` is what was answered just now: the process may have seen it or not.
    pub(super) async fn kill(&mut self, answered: Option<(usize, Vec<Part>, Meaning)>) {
        self.swallow_some();
        let (safe, knobs) = (self.model.cursors, self.life().knobs);
        let (last, metrics, own_lines) = self.life.take().unwrap().kill().await;
        let Last { ledgers, cursors } = last;
        if let Some((endpoint, parts, meaning)) = &answered {
            self.look_whether_it_was_seen(*endpoint, parts, *meaning, &ledgers[*endpoint]);
        }
        for endpoint in 0..ENDPOINTS {
            // Beside that answer only two things move a cursor, and no life has both.
            let fate = knobs.limit_of(endpoint).map_or(Fate::Overflowed, |_| Fate::Expired);
            let behind = |sequence: &u64| *sequence < cursors[endpoint].sequence;
            for sequence in self.model.waiting(endpoint).into_iter().filter(behind).collect::<Vec<_>>() {
                self.model.drop_record(endpoint, sequence, fate);
            }
            self.model.follow(endpoint, cursors[endpoint]);
            let (ledger, model) = (&ledgers[endpoint], &self.model.ledgers[endpoint]);
            assert_closes(ledger);
            let settled = |ledger: &Ledger| (ledger.delivered, ledger.rejected);
            assert_eq!(settled(ledger), settled(model), "endpoint {endpoint} at a kill");
            // What has just been appended may have gone the same way at once.
            let fresh = ledger.appended - model.appended;
            let (expired, overflowed) =
                (ledger.expired - model.expired, ledger.overflowed - model.overflowed);
            assert!(
                expired == 0 || fate == Fate::Expired,
                "endpoint {endpoint} at a kill: {expired} expired"
            );
            assert!(expired <= fresh, "endpoint {endpoint} at a kill: {expired} of {fresh} expired");
            let may_overflow = knobs.is_tight() || knobs.has_small_ring();
            assert!(
                overflowed == 0 || may_overflow,
                "endpoint {endpoint} at a kill: {overflowed} overflowed"
            );
        }
        let counted = metrics.snapshot();
        let scrapes = counted.scrapes_succeeded + counted.scrapes_failed;
        // The last body may or may not have come to something.
        let appended = ledgers[0].appended + counted.discarded();
        let known = self.scrapes.0 + self.scrapes.1;
        if scrapes == known {
            assert_eq!(ledgers[0].appended, self.model.ledgers[0].appended, "appended out of nothing");
        } else {
            assert_eq!(scrapes, known + 1);
            assert_eq!(self.lines + SYNTHETIC * scrapes + own_lines + counted.markers, appended, "at a kill");
        }
        let fresh = ledgers[0].appended - self.model.ledgers[0].appended;
        self.next_life(safe, fresh > 0 && knobs.is_tight(), fresh).await;
    }

    pub(super) fn look_whether_it_was_seen(
        &mut self,
        endpoint: usize,
        parts: &[Part],
        meaning: Meaning,
        last: &Ledger,
    ) {
        let model = &self.model.ledgers[endpoint];
        let seen = (last.delivered, last.rejected) != (model.delivered, model.rejected);
        match (meaning, seen) {
            (Meaning::Delivered, true) => self.model.settle(endpoint, parts, Fate::Delivered),
            (Meaning::Rejected, true) => self.model.settle(endpoint, parts, Fate::Rejected),
            (Meaning::Delivered, false) => self.model.forget_answer(endpoint, parts),
            (Meaning::Rejected | Meaning::Again | Meaning::Anew, _) => {}
        }
    }

    /// What is left on disk, what becomes of it there, and the process that finds it. `safe` and `pressed`: [`Model::restart`],
    /// [`Model::compare_with_disk`]; `fresh`: samples appended since the last moment of rest.
    pub(super) async fn next_life(&mut self, safe: [Position; ENDPOINTS], pressed: bool, fresh: u64) {
        if self.in_memory {
            let lost = self.model.lose_all(Fate::Killed);
            *self.tally.entry("samples of memory queues lost in kills").or_default() += lost;
            return self.begin(&Disk::empty(), [true; ENDPOINTS], safe).await;
        }
        let queue = self.dir.path().join("queue");
        let lock = disk::lock(&queue);
        let mut disk = Disk::read(&queue);
        let known = self.model.ledgers[0].appended;
        let passed = if pressed { Fate::Overflowed } else { Fate::Expired };
        let mut restarted = self.model.compare_with_disk(&disk, self.known_end, pressed, passed);
        let written = self.model.ledgers[0].appended - known;
        assert!(written <= fresh, "{written} new samples on disk, {fresh} appended");
        // They were in memory only; the model has never seen them.
        restarted.killed += fresh - written;
        self.count(&restarted);
        for endpoint in 0..ENDPOINTS {
            let Cursor::At(at) = disk.cursors[endpoint] else { panic!("{:?}", disk.cursors) };
            assert!(
                at >= safe[endpoint] && at <= self.model.cursors[endpoint],
                "endpoint {endpoint}: cursor {at:?} on disk, {safe:?} at rest, {:?} at the end",
                self.model.cursors
            );
        }
        let mut rewinds = [false; ENDPOINTS];
        for _ in 0..self.dice.pick(&[0, 0, 1, 1, 2]) {
            let damage = Damage::draw(&mut self.dice);
            self.note(damage.word());
            damage.inflict(&queue, &mut self.dice);
            damage.rewinds().into_iter().for_each(|endpoint| rewinds[endpoint] = true);
            disk = Disk::read(&queue);
        }
        drop(lock);
        self.begin(&disk, rewinds, safe).await;
    }
}
