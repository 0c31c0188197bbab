//! Answers in any order, with restarts in between, against a model that says of each answer what it means for the samples it is given to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use docker_remote_write::queue::Ledger;
use docker_remote_write::remote::{Config, Learned, Tuning, Version};
use proptest::prelude::*;

use super::negotiation::{assert_headers, auto, read, written};
use super::{append_scrape, queue, start_with, young};
use crate::support::scripted::{DEADLINE, Judge, NOTHING, Step, serve, status};

const RECORDS: usize = 7;
const SAMPLES: usize = 2 * RECORDS;

/// Eight samples in a row that are refused alone, and the sender gives them up in groups (search.rs): no matter of this test.
const MOST_GIVEN_UP: usize = 7;

/// Which messages a receiver understands.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Both,
    /// 2.0 gets this status, without a Written header.
    V1(u16),
    /// 1.0 gets 415.
    V2,
}

/// What becomes of the samples of a request that is understood.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// Stored; to 2.0, so many fewer are said to be written.
    Taken { short: u64 },
    /// 202: another replica has them. To 2.0 with a Written of 0.
    Elsewhere,
    /// Half of them are stored. To 2.0 a 400 with a Written header; a 1.0 receiver takes them back.
    PartlyTaken,
    /// 400 without a Written header; nothing is stored.
    Refused,
    /// This status; nothing is stored.
    Says(u16),
    /// The same with a Written of 0, to 2.0.
    SaysWritten(u16),
    /// No answer; nothing is stored.
    Closes,
    /// Stored, and then this status.
    TakenSays(u16),
    /// Stored, and then no answer.
    TakenCloses,
}

/// An answer's head; `None` in its place where the connection ends without one.
#[derive(Clone, Copy, Debug)]
struct Head {
    code: u16,
    written: Option<u64>,
}

/// What the answers so far have told of the messages that are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Nothing,
    Takes1,
    Takes2,
    /// 1.0, which it took before, was refused; 2.0 comes next.
    Refuses1,
    /// What 2.0 got may have meant the message; the same samples come as 1.0.
    MayRefuse2,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Booked {
    Delivered,
    Rejected,
}

/// What an answer to a request of so many samples means: `None` if all of them have to come again; and what is known then.
fn meaning(known: Known, version: Version, samples: usize, head: Option<Head>) -> (Option<Booked>, Known) {
    use Known::{MayRefuse2, Nothing, Refuses1, Takes1, Takes2};
    let Some(Head { code, written }) = head else { return (None, known) };
    let alone = (samples == 1).then_some(Booked::Rejected);
    match (version, code) {
        // Whoever counts what is written has read 2.0: its 2xx and its 400 are final, whatever the number.
        (Version::V2, 200..=299) if written.is_some() => (Some(Booked::Delivered), Takes2),
        (Version::V2, 400) if written.is_some() => (Some(Booked::Rejected), Takes2),
        (Version::V2, _) if written.is_some() => (None, Takes2),
        // Nobody has looked at it. If neither message is taken, everything begins anew.
        (Version::V2, 200..=299 | 415) if known == Refuses1 => (None, Nothing),
        (Version::V2, 200..=299 | 415) => (None, Takes1),
        // The message or the samples? As long as nothing is known, 1.0 tells.
        (Version::V2, 400 | 404 | 405 | 406 | 501) if known == Nothing => (None, MayRefuse2),
        (Version::V1, 200..=299) => {
            (Some(Booked::Delivered), if known == MayRefuse2 { Takes1 } else { known })
        }
        (Version::V1, 415) => (None, if known == Takes1 { Refuses1 } else { Nothing }),
        // One of its samples is bad, and nothing is stored: smaller requests find it.
        (_, 400) => (alone, known),
        (_, 406) => (Some(Booked::Rejected), known),
        // The path, or the server: nothing is said of the samples.
        (_, 404 | 405) => (None, if matches!(known, Refuses1 | MayRefuse2) { Nothing } else { known }),
        (_, 500) => (None, known),
        (_, 429 | 501..=599) => (None, if known == MayRefuse2 { Nothing } else { known }),
        _ => panic!("no such answer: {code}"),
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    /// By a receiver, or by the other replica.
    stored: usize,
    /// So many of those were answered as a failure, or not at all.
    unheard: usize,
    booked: Option<Booked>,
}

/// What the last request has changed: a restart may leave its answer unread.
#[derive(Debug, Default)]
struct Last {
    booked: Vec<usize>,
    unconfirmed: u64,
}

/// The receivers and what they have seen.
#[derive(Debug)]
struct World {
    /// Taken from the end; behind it everything is taken.
    script: Vec<(Kind, Fate)>,
    /// Of the sender. A request of an earlier one, still on its way when that ended, is lost on the way.
    life: usize,
    samples: [Sample; SAMPLES],
    known: Known,
    /// What the sender may hand on to its next life: as of the last answer but one, and of the last one.
    lasting: [Known; 2],
    last: Last,
    given_up: usize,
    unconfirmed: u64,
    /// What should not have happened.
    wrong: Vec<String>,
}

impl World {
    fn open(&self) -> impl Iterator<Item = usize> {
        (0..SAMPLES).filter(|at| self.samples[*at].booked.is_none())
    }

    fn booked(&self, how: Booked) -> u64 {
        self.samples.iter().filter(|sample| sample.booked == Some(how)).count() as u64
    }

    /// The oldest samples that are open, in the message that is due, and none of the others.
    fn arrived(&mut self, version: Version, samples: &[usize]) {
        let oldest: Vec<usize> = self.open().take(samples.len()).collect();
        if samples != oldest {
            self.wrong.push(format!("{samples:?} came where {oldest:?} was due"));
        }
        let is_due = match self.known {
            Known::Nothing | Known::Takes2 | Known::Refuses1 => version == Version::V2,
            Known::Takes1 => version == Version::V1,
            // An ended connection has the sender ask anew, unless it takes it for a stale one.
            Known::MayRefuse2 => true,
        };
        if !is_due {
            self.wrong.push(format!("{version} came, and known is: {:?}", self.known));
        }
        if (self.known, version) == (Known::MayRefuse2, Version::V2) {
            self.known = Known::Nothing;
        }
    }

    fn judge(&mut self, version: Version, samples: &[usize]) -> Step {
        self.arrived(version, samples);
        let (kind, fate) = self.script.pop().unwrap_or((Kind::Both, Fate::Taken { short: 0 }));
        let count = samples.len() as u64;
        let head = |code, written| Some(Head { code, written });
        let (stored, mut head) = match (kind, version, fate) {
            (_, _, Fate::Says(code)) => (0, head(code, None)),
            (_, _, Fate::Closes) => (0, None),
            (Kind::V1(code), Version::V2, _) => (0, head(code, None)),
            (Kind::V2, Version::V1, _) => (0, head(415, None)),
            (_, Version::V1, Fate::PartlyTaken) | (_, _, Fate::Refused) => (0, head(400, None)),
            (_, Version::V2, Fate::PartlyTaken) => (count / 2, head(400, Some(count / 2))),
            (_, Version::V2, Fate::Taken { short }) => (count, head(204, Some(count.saturating_sub(short)))),
            (_, Version::V1, Fate::Taken { short: _ }) => (count, head(204, None)),
            (_, Version::V2, Fate::Elsewhere) => (count, head(202, Some(0))),
            (_, Version::V1, Fate::Elsewhere) => (count, head(202, None)),
            (_, Version::V2, Fate::SaysWritten(code)) => (0, head(code, Some(0))),
            (_, Version::V1, Fate::SaysWritten(code)) => (0, head(code, None)),
            (_, _, Fate::TakenSays(code)) => (count, head(code, None)),
            (_, _, Fate::TakenCloses) => (count, None),
        };
        if self.given_up == MOST_GIVEN_UP && head.is_some_and(|head| head.code == 400) {
            head = Some(Head { code: 503, written: None });
        }
        let (booked, known) = meaning(self.known, version, samples.len(), head);
        self.given_up = match booked {
            Some(Booked::Delivered) => 0,
            Some(Booked::Rejected) => self.given_up + 1,
            None => self.given_up,
        };
        for (number, at) in samples.iter().enumerate() {
            let sample = &mut self.samples[*at];
            let is_stored = (number as u64) < stored;
            sample.stored += usize::from(is_stored);
            sample.unheard += usize::from(is_stored && booked.is_none());
            sample.booked = booked;
        }
        let fewer = match (booked, head) {
            (Some(Booked::Delivered), Some(Head { written: Some(written), .. })) => count - written,
            _ => 0,
        };
        self.unconfirmed += fewer;
        let booked = if booked.is_some() { samples.to_vec() } else { Vec::new() };
        self.last = Last { booked, unconfirmed: fewer };
        self.known = known;
        let lasts = matches!(known, Known::Takes1 | Known::Takes2);
        self.lasting = [self.lasting[1], if lasts { known } else { self.lasting[1] }];
        match head {
            None => Step::Close,
            Some(Head { code, written: Some(count) }) => written(code, count).into(),
            Some(Head { code, written: None }) => status(code).into(),
        }
    }

    /// A sender has ended, with this in its books and this to hand on. Only the answer to its last request may be unread, and then all of
    /// those samples come again, and may be stored twice.
    fn ended(&mut self, ledger: &Ledger, learned: Learned) {
        let settled = ledger.appended - ledger.pending;
        let answered = self.booked(Booked::Delivered) + self.booked(Booked::Rejected);
        let last = std::mem::take(&mut self.last);
        if settled + last.booked.len() as u64 == answered {
            for at in &last.booked {
                let sample = &mut self.samples[*at];
                sample.booked = None;
                sample.unheard = sample.stored;
            }
            self.unconfirmed -= last.unconfirmed;
        } else if settled != answered {
            self.wrong.push(format!("{answered} samples were answered for, {settled} are booked"));
        }
        self.known = match learned {
            Learned::Nothing => Known::Nothing,
            Learned::V1 { since: _ } => Known::Takes1,
            Learned::V2 => Known::Takes2,
        };
        if !self.lasting.contains(&self.known) {
            self.wrong.push(format!("{learned:?} is handed on instead of {:?}", self.lasting));
        }
        self.lasting = [self.known; 2];
        self.life += 1;
    }
}

fn judge(world: &Arc<Mutex<World>>, life: usize, first: i64) -> Judge {
    let world = Arc::clone(world);
    Arc::new(move |body: &Bytes| {
        let mut world = world.lock().unwrap();
        if world.life != life {
            return Step::Close;
        }
        let (version, timestamps) = read(body);
        let samples: Vec<usize> =
            timestamps.iter().map(|timestamp| usize::try_from(timestamp - first).unwrap()).collect();
        world.judge(version, &samples)
    })
}

/// The end of a sender: after so many requests and then so many turns of the runtime.
#[derive(Clone, Copy, Debug)]
struct Restart {
    requests: usize,
    turns: usize,
}

#[derive(Clone, Debug)]
struct Case {
    script: Vec<(Kind, Fate)>,
    restarts: Vec<Restart>,
    max_samples: u32,
}

fn fate() -> impl Strategy<Value = Fate> {
    let failure = || prop::sample::select(vec![500, 502, 503, 504]);
    prop_oneof![
        8 => (0_u64..3).prop_map(|short| Fate::Taken { short }),
        2 => Just(Fate::Elsewhere),
        1 => Just(Fate::PartlyTaken),
        1 => Just(Fate::Refused),
        2 => Just(Fate::Says(429)),
        2 => failure().prop_map(Fate::Says),
        1 => failure().prop_map(Fate::SaysWritten),
        1 => prop::sample::select(vec![404, 405]).prop_map(Fate::Says),
        2 => Just(Fate::Closes),
        2 => failure().prop_map(Fate::TakenSays),
        2 => Just(Fate::TakenCloses),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let old = prop::sample::select(vec![415, 204, 400, 404, 405, 406, 501]).prop_map(Kind::V1);
    let kind = prop_oneof![2 => Just(Kind::Both), 3 => old, 1 => Just(Kind::V2)];
    let runs = prop::collection::vec((kind, prop::collection::vec(fate(), 1..5)), 0..7);
    let restart = (1_usize..7, 0_usize..12).prop_map(|(requests, turns)| Restart { requests, turns });
    (runs, prop::collection::vec(restart, 0..3), 1_u32..=4).prop_map(|(runs, restarts, max_samples)| {
        let runs = runs.into_iter().flat_map(|(kind, fates)| fates.into_iter().map(move |fate| (kind, fate)));
        let mut script: Vec<_> = runs.collect();
        // 500 again and again begins a search among the samples: poison_random.rs.
        for at in 1..script.len() {
            script[at].1 = without_second_500(script[at - 1].1, script[at].1);
        }
        Case { script, restarts, max_samples }
    })
}

fn without_second_500(earlier: Fate, later: Fate) -> Fate {
    let is_500 = |fate| matches!(fate, Fate::Says(500) | Fate::SaysWritten(500) | Fate::TakenSays(500));
    match later {
        Fate::Says(500) if is_500(earlier) => Fate::Says(503),
        Fate::SaysWritten(500) if is_500(earlier) => Fate::SaysWritten(503),
        Fate::TakenSays(500) if is_500(earlier) => Fate::TakenSays(503),
        _ => later,
    }
}

async fn check(case: Case) {
    let Case { script, restarts, max_samples } = case;
    let world = Arc::new(Mutex::new(World {
        script,
        life: 0,
        samples: [Sample::default(); SAMPLES],
        known: Known::Nothing,
        lasting: [Known::Nothing; 2],
        last: Last::default(),
        given_up: 0,
        unconfirmed: 0,
        wrong: Vec::new(),
    }));
    let queue = queue();
    let first = young();
    for record in 0..RECORDS {
        // Each sample has a series of its own: what one that is refused means for its series is no matter of this test.
        let sample = |at: usize| (format!("m{at}"), first + i64::try_from(at).unwrap());
        let ((a, at_a), (b, at_b)) = (sample(2 * record), sample(2 * record + 1));
        append_scrape(&queue, &[(&a, at_a), (&b, at_b)]);
    }
    let (mut learned, mut unconfirmed) = (Learned::Nothing, 0);
    let (short, long) = (Duration::from_millis(1), Duration::from_millis(2));
    for (life, restart) in restarts.into_iter().map(Some).chain([None]).enumerate() {
        let server = serve(NOTHING).await;
        server.otherwise(Step::Judge(judge(&world, life, first)));
        let config = Config {
            max_samples_per_send: max_samples,
            min_backoff: short,
            max_backoff: long,
            ..auto(&server)
        };
        let tuning = Tuning { learned, min_hold: short, max_hold: long, ..Tuning::default() };
        let mut running = start_with(config, &queue, tuning);
        match restart {
            None => running.until_done().await,
            Some(Restart { requests, turns }) => {
                tokio::select! {
                    biased;
                    _ = server.saw(requests) => {}
                    () = running.until_done() => {}
                }
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
        }
        running.cancel.cancel();
        tokio::time::timeout(DEADLINE, &mut running.sender.task).await.unwrap().unwrap();
        learned = *running.sender.learned.borrow();
        world.lock().unwrap().ended(&queue.ledger(0), learned);
        unconfirmed += running.sender.metrics.snapshot().samples_unconfirmed;
        server.seen().iter().for_each(assert_headers);
    }
    let world = world.lock().unwrap();
    assert!(world.wrong.is_empty(), "{:#?}", world.wrong);
    for (at, sample) in world.samples.iter().enumerate() {
        let Sample { stored, unheard, booked } = *sample;
        assert!(booked == Some(Booked::Rejected) || stored > 0, "sample {at} is lost: {sample:?}");
        assert!(stored <= unheard + 1, "sample {at} is doubled: {sample:?}");
    }
    let (delivered, rejected) = (world.booked(Booked::Delivered), world.booked(Booked::Rejected));
    let ledger = queue.ledger(0);
    assert_eq!((ledger.delivered, ledger.rejected, ledger.pending), (delivered, rejected, 0));
    assert_eq!((delivered + rejected, ledger.appended), (SAMPLES as u64, SAMPLES as u64));
    assert_eq!(unconfirmed, world.unconfirmed);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 1000, ..ProptestConfig::default() })]

    /// Nothing is lost, nothing comes again that was answered for, and so nothing is stored twice but what was stored and answered as a
    /// failure; a restart adds the request that was open, if one was.
    #[test]
    fn in_any_order_of_answers_nothing_is_lost_or_doubled(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(case));
    }
}
