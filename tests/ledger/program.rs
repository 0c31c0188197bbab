//! The same with the real binary, as far as it shows from outside: kills, SIGTERM, answers that fail or get lost, spoilt segments. Its
//! ledger is read from its own series at the receiver.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use docker_remote_write::model::now_ms;
use docker_remote_write::queue::Position;
use docker_remote_write::receiver::{Answer, Answered, State};

use super::dice::Dice;
use super::disk::{self, Cursor, Damage, Disk};
use super::key::{Key, key};
use super::number;
use crate::support::program::{DEADLINE, World};

/// About 1.5 s each.
const ROUNDS: u64 = 20;
const SETTINGS: [(&str, &str); 4] = [
    ("REMOTE_WRITE_MIN_BACKOFF", "1ms"),
    ("REMOTE_WRITE_MAX_BACKOFF", "20ms"),
    ("REMOTE_WRITE_MAX_SAMPLES_PER_SEND", "1000"),
    ("SHUTDOWN_DRAIN_TIMEOUT", "500ms"),
];

/// One process, as it is remembered.
struct Round {
    began: i64,
    ended: i64,
    /// Samples that were pending on disk before it began.
    recovered: u64,
    /// Scrapes that the engine has answered.
    served: usize,
    /// What was pending on disk at its end, whatever happened to the disk then.
    left: Vec<Key>,
    /// What of that the next process can find.
    found: Vec<Key>,
    /// Records that the disk lost after it.
    lost: usize,
    how: String,
}

fn answer(dice: &mut Dice) -> Answer {
    match dice.below(8) {
        0..3 => Answer::Normal,
        3 => Answer::status(503),
        4 => Answer::retry_after(429, "0"),
        5 => Answer::Close,
        6 => Answer::StoreThenClose,
        _ => Answer::Hang,
    }
}

fn word(answer: &Answer) -> String {
    match answer {
        Answer::Status(reply) | Answer::StorePart { reply, .. } => reply.status.to_string(),
        Answer::Normal | Answer::Hang | Answer::Close | Answer::CloseMidAnswer | Answer::StoreThenClose => {
            format!("{answer:?}")
        }
    }
}

/// The samples on disk that the endpoint has not taken.
fn pending(queue: &Path) -> Vec<Key> {
    let disk = Disk::read(queue);
    let oldest = disk.records.keys().next().copied().unwrap_or(u64::MAX);
    let cursor = match disk::cursor(queue, "default") {
        // The only endpoint starts at the oldest record.
        Cursor::Missing | Cursor::Unreadable => Position { sequence: oldest, entry: 0 },
        Cursor::At(position) => position,
    };
    let left = disk.records.range(cursor.sequence..).flat_map(|(sequence, record)| {
        let taken = if *sequence == cursor.sequence { cursor.entry } else { 0 };
        record.samples.iter().skip(taken as usize)
    });
    left.copied().collect()
}

async fn round(world: &World, dice: &mut Dice) -> Round {
    let queue = world.path("queue");
    let recovered = pending(&queue).len() as u64;
    let (first, then) = (answer(dice), answer(dice));
    let (times, scrapes) = (dice.pick(&[1, 2, 5]), dice.pick(&[0, 1, 1, 2, 2, 3]));
    let mut how = format!("{times} x {}, then {}, {scrapes} scrapes, ", word(&first), word(&then));
    world.receiver.answer(then);
    world.receiver.answer_next(times, first);
    let (began, before) = (now_ms(), world.engine.scrapes());
    let mut program = world.run(&SETTINGS);
    if scrapes == 0 {
        tokio::time::sleep(Duration::from_millis(dice.below(300) as u64)).await;
    } else {
        assert!(world.engine.wait_for(before + scrapes, DEADLINE).await);
        tokio::time::sleep(Duration::from_millis(dice.pick(&[0, 1, 5, 50]))).await;
    }
    match dice.below(4) {
        0..2 => {
            how.push_str("kill");
            program.killed();
        }
        2 => {
            how.push_str("SIGTERM");
            // Before its log has begun it has not asked for the signal yet.
            program.says("sending to this endpoint").await;
            assert!(program.terminated().await.0.success());
        }
        _ => {
            how.push_str("SIGTERM and kill");
            program.interrupt();
            tokio::time::sleep(Duration::from_millis(dice.below(20) as u64)).await;
            program.killed();
        }
    }
    let (ended, left) = (now_ms(), pending(&queue));
    let mut lost = 0;
    if queue.join("lock").exists() && dice.one_in(3) {
        let lock = disk::lock(&queue);
        let before = Disk::read(&queue).records.len();
        let damage = dice.pick(&[Damage::TornTail, Damage::ZeroTail, Damage::GarbageTail, Damage::Flip]);
        damage.inflict(&queue, dice);
        lost = before - Disk::read(&queue).records.len();
        how.push_str(", ");
        how.push_str(damage.word());
        drop(lock);
    }
    let found = pending(&queue);
    Round { began, ended, recovered, served: world.engine.scrapes() - before, left, found, lost, how }
}

impl fmt::Debug for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { began, recovered, served, left, lost, how, .. } = self;
        let left = left.len();
        write!(f, "{began}: {recovered} recovered, {how}, {served} served, {left} left, {lost} records lost")
    }
}

/// Our own series by the time of their scrape.
fn own(state: &State) -> BTreeMap<i64, BTreeMap<String, u64>> {
    let mut own: BTreeMap<i64, BTreeMap<String, u64>> = BTreeMap::new();
    for (labels, samples) in state.store.select(&[("job", "docker-remote-write")]) {
        let name = labels.get("__name__").unwrap();
        let Some(name) = name.strip_prefix("docker_remote_write_samples_") else { continue };
        let name = format!("{name} {}", labels.get("reason").unwrap_or_default());
        for sample in samples.iter().filter(|sample| !sample.is_stale_marker()) {
            own.entry(sample.timestamp)
                .or_default()
                .insert(name.trim_end().to_owned(), sample.value() as u64);
        }
    }
    own
}

/// What each of our own scrapes says of the ledger.
const LEDGER: [&str; 10] = [
    "scraped_total",
    "recovered_total",
    "delivered_total",
    "pending",
    "dropped_total rejected",
    "dropped_total expired",
    "dropped_total overflowed",
    "dropped_total filtered",
    "dropped_total discarded",
    "dropped_total lost_at_exit",
];

/// Whether a part of a scrape may be missing: a request ends in the middle of it, and the rest was in a record that the disk lost, or is the
/// last scrape of a process whose end cut it short.
fn may_be_cut(timestamp: i64, own: &BTreeMap<i64, BTreeMap<String, u64>>, rounds: &[Round]) -> bool {
    let mut later = rounds.iter().filter(|round| round.ended >= timestamp);
    let is_last = later.clone().next().is_some_and(|round| {
        round.how.contains("kill") && own.range(timestamp + 1..=round.ended).next().is_none()
    });
    is_last || later.any(|round| round.lost > 0)
}

fn check_ledgers(state: &State, rounds: &[Round]) -> usize {
    let own = own(state);
    let mut whole = 0;
    for (timestamp, ledger) in &own {
        let round = rounds.iter().find(|round| (round.began..=round.ended).contains(timestamp)).unwrap();
        if !LEDGER.iter().all(|name| ledger.contains_key(*name)) {
            assert!(may_be_cut(*timestamp, &own, rounds), "a part is missing: {round:?} {ledger:?}");
            continue;
        }
        whole += 1;
        let dropped =
            ledger.iter().filter(|(name, _)| name.starts_with("dropped_total")).map(|(_, count)| count);
        assert_eq!(
            ledger["scraped_total"] + ledger["recovered_total"],
            ledger["delivered_total"] + ledger["pending"] + dropped.sum::<u64>(),
            "{round:?} {ledger:?}"
        );
        assert_eq!(ledger["recovered_total"], round.recovered, "{round:?} {ledger:?}");
        for word in ["rejected", "expired", "overflowed", "lost_at_exit"] {
            assert_eq!(ledger[&format!("dropped_total {word}")], 0, "{round:?} {ledger:?}");
        }
    }
    whole
}

/// Each scrape that was answered has arrived, but for one that the end of its process cut short, and what the disk lost.
fn check_scrapes(state: &State, rounds: &[Round]) {
    let ups: Vec<i64> = state
        .store
        .select(&[("__name__", "up"), ("job", "docker")])
        .flat_map(|(_, samples)| samples.iter().map(|sample| sample.timestamp))
        .collect();
    let mut missing = 0;
    for round in rounds {
        let arrived = ups.iter().filter(|up| (round.began..=round.ended).contains(up)).count();
        missing += (round.served.saturating_sub(1)).saturating_sub(arrived);
    }
    let lost: usize = rounds.iter().map(|round| round.lost).sum();
    assert!(missing <= lost, "{missing} scrapes are missing, the disk lost {lost} records: {rounds:#?}");
}

/// What was on disk when a process ended is there now, but for what the disk lost later.
fn check_the_rest(state: &State, rounds: &[Round]) -> usize {
    let keys = state.store.iter().flat_map(|(labels, samples)| {
        samples.iter().map(|sample| key(labels.iter(), sample.timestamp, sample.value()))
    });
    let stored: HashSet<Key> = keys.collect();
    let mut lost: HashSet<Key> = HashSet::new();
    for round in rounds {
        let found: HashSet<Key> = round.found.iter().copied().collect();
        lost.extend(round.left.iter().filter(|key| !found.contains(key)));
    }
    for round in rounds {
        let missing = round.left.iter().filter(|key| !stored.contains(key) && !lost.contains(key)).count();
        assert_eq!(missing, 0, "samples that were on disk have never arrived: {round:?}");
    }
    rounds.iter().map(|round| round.found.len()).sum()
}

/// Only what was stored without an answer comes again, and at most one request at each process's end.
fn check_repeats(state: &State, rounds: &[Round]) -> u64 {
    let unanswered = state.requests.iter().filter(|request| request.answered == Answered::Closed);
    let mut allowed: u64 = unanswered.map(|request| request.stored + request.duplicates).sum();
    for round in rounds {
        let mut of_round = state.requests.iter().filter(|request| request.at <= round.ended);
        let last = of_round.rfind(|request| request.stored + request.duplicates > 0);
        allowed += last.map_or(0, |request| request.samples);
    }
    assert!(state.duplicates <= allowed, "{} samples came again, {allowed} had reason to", state.duplicates);
    state.duplicates
}

async fn story(seed: u64, rounds: u64) {
    let mut dice = Dice::new(seed);
    let world = World::new().await;
    let mut told = Vec::new();
    for _ in 0..rounds {
        told.push(round(&world, &mut dice).await);
    }
    let queue = world.path("queue");
    let recovered = pending(&queue).len() as u64;
    world.receiver.answer(Answer::Normal);
    let (began, before) = (now_ms(), world.engine.scrapes());
    let program = world.run(&SETTINGS);
    let fresh = |state: &State| own(state).range(began..).next().is_some();
    let arrived = world.receiver.wait_until(fresh, DEADLINE).await;
    let (status, said, _) = program.terminated().await;
    assert!(arrived.is_ok() && status.success(), "LEDGER_SEED={seed} {told:#?} {said}");
    let (ended, served) = (now_ms(), world.engine.scrapes() - before);
    told.push(Round {
        began,
        ended,
        recovered,
        served,
        left: Vec::new(),
        found: Vec::new(),
        lost: 0,
        how: "to the end".to_owned(),
    });
    assert_eq!(pending(&queue), [], "LEDGER_SEED={seed}");

    // Printed where a check fails.
    told.iter().for_each(|round| println!("LEDGER_SEED={seed} {round:?}"));
    world.assert_strict();
    world.receiver.read(|state| {
        let ledgers = check_ledgers(state, &told);
        check_scrapes(state, &told);
        let repeated = check_repeats(state, &told);
        let (stored, left) = (state.store.samples(), check_the_rest(state, &told));
        println!("LEDGER_SEED={seed}: {stored} samples stored, {left} found on disk by a next process, {repeated} repeats, {ledgers} ledgers");
    });
}

#[tokio::test]
async fn the_real_binary_keeps_its_ledger_over_kills_sigterms_and_faults() {
    let seed = number("LEDGER_SEED").unwrap_or_else(|| now_ms().cast_unsigned());
    println!("LEDGER_SEED={seed}");
    // Two at once: most of their time they wait for the next second.
    tokio::join!(story(1, ROUNDS), story(seed, ROUNDS));
}
