//! One story: the steps, drawn from the seed, and what is looked at after each.

mod answers;
mod audit;
mod lives;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use docker_remote_write::model::now_ms;
use docker_remote_write::queue::Position;
use docker_remote_write::receiver::{Options, Protocol, Receiver};

use super::DEADLINE;
use super::dice::Dice;
use super::disk::Disk;
use super::endpoint::Arrival;
use super::life::Life;
use super::model::{ENDPOINTS, Model, Part};
use super::target::{Engine, Exposition};
use answers::Mood;

/// Steps that a failure shows.
const TAIL: usize = 25;
/// Stops follow scrapes at once here, so that the markers of a stop stand up to two milliseconds ahead of the clock.
const AHEAD: Duration = Duration::from_millis(3);
/// `up` and its companions, with each scrape that is queued.
const SYNTHETIC: u64 = 5;

#[derive(Clone, Copy, Debug)]
enum Step {
    Scrape,
    FailingScrape,
    /// An endpoint answers what it has been asked.
    Answer,
    /// It takes everything that is queued.
    Drain,
    ChangeOfMood,
    StopOrStart,
    CleanRestart,
    Kill,
    /// In the middle of what an answer sets off.
    KillDuringAnswer,
    /// In the middle of what a scrape sets off.
    KillDuringScrape,
}

struct Held {
    arrival: Arrival,
    parts: Vec<Part>,
}

struct Failed {
    parts: Vec<Part>,
    protocol: Protocol,
    body: Vec<u8>,
}

pub(super) struct Story {
    seed: u64,
    step: u32,
    tail: Vec<String>,
    tally: BTreeMap<&'static str, u64>,
    dice: Dice,
    dir: tempfile::TempDir,
    in_memory: bool,
    lives: u64,
    life: Option<Life>,
    engine: Engine,
    moods: [Mood; ENDPOINTS],
    held: [Option<Held>; ENDPOINTS],
    /// The last request, if it has to come again as it was.
    failed: [Option<Failed>; ENDPOINTS],
    model: Model,
    strict: [Receiver; ENDPOINTS],
    /// Samples that the strict receivers have refused: a spoilt cursor has brought them back, and newer ones were there.
    late: [u64; ENDPOINTS],
    /// Records before it are in the model.
    known_end: u64,
    overflowed_records: u64,
    /// Of this life: sample lines of good scrapes.
    lines: u64,
    /// Of this life: good scrapes, failed ones.
    scrapes: (u64, u64),
}

/// Says where it was when a check has failed.
impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (seed, step) = (self.seed, self.step);
            println!("LEDGER_SEED={seed} failed at step {step}; the last steps:");
            let from = self.tail.len().saturating_sub(TAIL);
            self.tail[from..].iter().for_each(|line| println!("  {line}"));
            if let Some(life) = &self.life {
                let knobs = &life.knobs;
                let ledgers = [0, 1].map(|endpoint| life.queue.ledger(endpoint));
                println!("  {knobs:?}\n  program {ledgers:?}\n  model   {:?}", self.model.ledgers);
            }
        }
    }
}

impl Story {
    /// Tells a story of so many steps, and returns how often what happened.
    pub(super) async fn tell(seed: u64, steps: u32) -> BTreeMap<&'static str, u64> {
        let mut dice = Dice::new(seed);
        let in_memory = dice.one_in(8);
        let options = || Options { refuse: false, keep_requests: 1, ..Options::default() };
        let mut story = Self {
            seed,
            step: 0,
            tail: Vec::new(),
            tally: BTreeMap::new(),
            dir: tempfile::tempdir().unwrap(),
            in_memory,
            lives: 0,
            life: None,
            engine: Engine::new(),
            moods: [Mood::Healthy; ENDPOINTS],
            held: [None, None],
            failed: [None, None],
            model: Model::default(),
            strict: [Receiver::new(options()), Receiver::new(options())],
            late: [0; ENDPOINTS],
            known_end: 0,
            overflowed_records: 0,
            lines: 0,
            scrapes: (0, 0),
            dice,
        };
        story.begin(&Disk::empty(), [false; ENDPOINTS], [Position::default(); ENDPOINTS]).await;
        story.rest(now_ms()).await;
        for step in 1..=steps {
            story.step = step;
            story.take_step().await;
        }
        story.conclude().await;
        std::mem::take(&mut story.tally)
    }

    fn note(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
        let step = self.step;
        self.tail.push(format!("{step}: {what}"));
    }

    fn explain(&mut self, more: &dyn std::fmt::Debug) {
        write!(self.tail.last_mut().unwrap(), " {more:?}").unwrap();
    }

    fn life(&mut self) -> &mut Life {
        self.life.as_mut().unwrap()
    }

    async fn take_step(&mut self) {
        let since = now_ms();
        let step = self.dice.weighted(&[
            (36, Step::Scrape),
            (6, Step::FailingScrape),
            (38, Step::Answer),
            (2, Step::Drain),
            (6, Step::ChangeOfMood),
            (5, Step::StopOrStart),
            (2, Step::CleanRestart),
            (1, Step::Kill),
            (2, Step::KillDuringAnswer),
            (2, Step::KillDuringScrape),
        ]);
        match step {
            Step::Scrape => self.scrape(false).await,
            Step::FailingScrape => self.scrape(true).await,
            Step::Answer => {
                let endpoint = self.dice.below(ENDPOINTS);
                if !self.answer(endpoint) {
                    self.scrape(false).await;
                }
            }
            Step::Drain => {
                let endpoint = self.dice.below(ENDPOINTS);
                self.drain(endpoint).await;
            }
            Step::ChangeOfMood => {
                let moods = [(4, Mood::Healthy), (3, Mood::Flaky), (2, Mood::Down), (1, Mood::Refusing)];
                let (endpoint, mood) = (self.dice.below(ENDPOINTS), self.dice.weighted(&moods));
                self.moods[endpoint] = mood;
                self.note("change of mood");
                self.explain(&(endpoint, mood));
            }
            Step::StopOrStart => self.stop_or_start().await,
            Step::CleanRestart => self.restart_cleanly().await,
            Step::Kill => {
                self.note("kill at rest");
                self.kill(None).await;
            }
            Step::KillDuringAnswer => {
                let endpoint = self.dice.below(ENDPOINTS);
                let verdict = self.verdict(endpoint);
                let verdict = self.fitting(endpoint, verdict);
                let answered = self.reply(endpoint, verdict);
                self.note("kill during an answer");
                self.explain(&(endpoint, verdict.word, answered.is_some()));
                self.yield_a_while().await;
                self.kill(answered.map(|(parts, meaning)| (endpoint, parts, meaning))).await;
            }
            Step::KillDuringScrape => {
                self.scrape_begins().await;
                let exposition = self.engine.good(&mut self.dice);
                self.note("kill during a scrape");
                self.lines += exposition.lines.unwrap();
                self.life().target.answer(&exposition).await;
                self.yield_a_while().await;
                self.kill(None).await;
            }
        }
        self.rest(since).await;
    }

    async fn yield_a_while(&mut self) {
        for _ in 0..self.dice.pick(&[0, 1, 3, 10, 30, 100]) {
            tokio::task::yield_now().await;
        }
    }

    // === the engine's side ===

    async fn scrape_begins(&mut self) {
        let life = self.life();
        if !life.running {
            tokio::time::sleep(AHEAD).await;
            life.control.start();
            life.running = true;
        }
        life.target.scrape_begins().await;
    }

    async fn scrape(&mut self, fails: bool) {
        self.scrape_begins().await;
        let exposition = self.exposition(fails);
        self.note(exposition.word);
        match exposition.lines {
            Some(lines) => {
                self.lines += lines;
                self.scrapes.0 += 1;
            }
            None => self.scrapes.1 += 1,
        }
        let life = self.life();
        life.target.answer(&exposition).await;
        // When the next one begins, this one is queued.
        life.target.scrape_begins().await;
    }

    fn exposition(&mut self, fails: bool) -> Exposition {
        if fails {
            let limited = self.life().knobs.has_sample_limit;
            self.engine.bad(&mut self.dice, limited)
        } else {
            self.engine.good(&mut self.dice)
        }
    }

    async fn stop_or_start(&mut self) {
        if !self.life().running {
            self.note("start");
            return self.scrape_begins().await;
        }
        self.note("stop");
        let fails = self.dice.one_in(4);
        let exposition = self.exposition(fails);
        self.explain(&exposition.word);
        let life = self.life();
        // The scrape that had begun is given up; the last one is another.
        life.target.forget();
        let generation = life.control.stop();
        life.target.scrape_begins().await;
        // It may be too late for the collector, which waits 400 ms: below is counted what it has made of it.
        let _ = life.target.answer_if_awaited(&exposition).await;
        assert!(life.control.stopped(generation, DEADLINE).await, "never stopped");
        life.running = false;
        let succeeded = life.metrics.snapshot().scrapes_succeeded - self.scrapes.0;
        assert!(succeeded == 0 || !fails);
        self.scrapes.0 += succeeded;
        self.lines += succeeded * exposition.lines.unwrap_or_default();
    }

    async fn conclude(&mut self) {
        for endpoint in 0..ENDPOINTS {
            self.drain(endpoint).await;
        }
        self.model.assert_complete();
        let last = self.life.take().unwrap().end().await;
        assert_eq!(last.ledgers, self.model.ledgers);
        for (what, samples) in [
            ("samples stored by the receivers", self.model.stored.iter().sum()),
            ("of these not booked as delivered", self.model.stored_unbooked.iter().sum()),
            ("lives", self.lives),
            ("steps", u64::from(self.step)),
        ] {
            *self.tally.entry(what).or_default() += samples;
        }
    }
}
