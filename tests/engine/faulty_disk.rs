//! EIO, and read-only and back, on a file system that the kernel serves to the real binary: what the disk refuses is delivered from memory, all of
//! it is counted, and the queue returns to the disk by itself, as a `kill -9` after that shows.

use std::collections::BTreeMap;

use docker_remote_write::model::now_ms;
use docker_remote_write::receiver::{Answer, State};
use fuser::Errno;

use crate::program::{Books, DEADLINE, World};
use crate::support::FaultyDisk;

/// Our own counters by the time of their scrape, the first process's before the second's.
fn own(state: &State) -> BTreeMap<i64, BTreeMap<String, u64>> {
    let mut rounds: BTreeMap<i64, BTreeMap<String, u64>> = BTreeMap::new();
    for (labels, samples) in state.store.select(&[("job", "docker-remote-write")]) {
        let name = labels.get("__name__").and_then(|name| name.strip_prefix("docker_remote_write_"));
        let Some(name) = name else { continue };
        let detail = ["reason", "errno"].iter().find_map(|label| labels.get(label)).unwrap_or_default();
        for sample in samples.iter().filter(|sample| !sample.is_stale_marker()) {
            let round = rounds.entry(sample.timestamp).or_default();
            round.insert(format!("{name} {detail}").trim_end().to_owned(), sample.value() as u64);
        }
    }
    rounds
}

/// The counters of every scrape have arrived, and each round of them is a closed ledger without a loss. What was scraped less than a second before
/// the kill may have come without its counters: they are a record of their own, and the kill falls between the two.
fn assert_ledgers_close(state: &State, killed_at: i64) {
    let rounds = own(state);
    for (at, round) in &rounds {
        let came = round["samples_scraped_total"] + round["samples_recovered_total"];
        assert_eq!(came, round["samples_delivered_total"] + round["samples_pending"], "{at}: {round:?}");
        let dropped = round.iter().filter(|(name, _)| name.starts_with("samples_dropped_total"));
        assert_eq!(dropped.map(|(_, count)| count).sum::<u64>(), 0, "{at}: {round:?}");
    }
    let ups = state.store.select(&[("__name__", "up"), ("job", "docker")]);
    let without = ups.flat_map(|(_, samples)| samples).filter(|up| !rounds.contains_key(&up.timestamp));
    for up in without {
        let before_the_kill = killed_at - up.timestamp;
        assert!((0..1000).contains(&before_the_kill), "no counters {before_the_kill} ms before the kill");
    }
}

/// The receiver is away twice. In between it takes what the failing disk has refused; while it is away for the second time the disk is mended.
async fn everything_arrives(refuse: impl FnOnce(&FaultyDisk), label: &str, words: &str, back: &str) {
    let world = World::new().await;
    let disk = FaultyDisk::mount(&world.path("queue"));
    world.receiver.answer(Answer::status(503));
    let mut program = world.run(&[]);
    assert!(world.engine.wait_for(2, DEADLINE).await);

    refuse(&disk);
    program.says(words).await;
    let during = world.engine.scrapes();
    assert!(world.engine.wait_for(during + 2, DEADLINE).await, "scraping goes on");
    let served = world.engine.scrapes();
    world.receiver.answer(Answer::Normal);
    world.until_ups(served).await;
    let counter = format!("queue_faults_total {label}");
    let counted = |state: &State| own(state).values().map(|round| round[&counter]).max().unwrap_or(0);
    world.receiver.wait_until(|state| counted(state) > 0, DEADLINE).await.expect("the counter arrives");
    world.receiver.read(|state| {
        assert!(counted(state) <= disk.refused(), "{} counted, {} refused", counted(state), disk.refused());
        let memory = own(state).values().any(|round| round["queue_waiting_records"] > 0);
        assert!(memory, "nothing ever waited in memory");
        for other in ["ENOSPC", "EIO", "EROFS", "other"].into_iter().filter(|other| *other != label) {
            let other = format!("queue_faults_total {other}");
            assert!(own(state).values().all(|round| round[&other] == 0), "{other} is not what the disk said");
        }
    });

    world.receiver.answer(Answer::status(503));
    let before = world.engine.scrapes();
    assert!(world.engine.wait_for(before + 2, DEADLINE).await);
    disk.heal();
    program.says("back on disk: writing records works again").await;
    program.says(back).await;
    let after = world.engine.scrapes();
    // When the first of these is asked for, the two of above are queued; when the third one is, that is a second ago.
    assert!(world.engine.wait_for(after + 3, DEADLINE).await);
    let killed_at = now_ms();
    let safe = world.scraped(0, killed_at - 1000);
    program.killed();
    // What the process before has delivered.
    let first = world.receiver.read(|state| state.store.samples());
    assert!(world.missing(&safe).len() >= 2, "what is to survive has not arrived yet");

    world.receiver.answer(Answer::Normal);
    let program = world.run(&[]);
    world.until_arrived(&safe).await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    let books = Books::of("default", &said);
    books.assert_closed();
    assert_eq!((books.pending, books.dropped), (0, 0), "{said}");
    world.assert_strict();
    world.receiver.read(|state| {
        assert_eq!((state.store.samples(), state.duplicates), (first + books.delivered, 0), "{books:?}");
        assert_ledgers_close(state, killed_at);
    });
}

async fn every_change_answers_eio() {
    everything_arrives(
        |disk| disk.refuse(Errno::EIO),
        "EIO",
        "Input/output error",
        "back on disk: writing cursors",
    )
    .await;
}

/// Writes succeed, syncs do not, and the bytes between them are gone.
async fn every_sync_answers_eio() {
    everything_arrives(
        |disk| disk.refuse_syncs(Errno::EIO),
        "EIO",
        "Input/output error",
        "back on disk: writing records",
    )
    .await;
}

async fn read_only_and_back() {
    everything_arrives(
        |disk| disk.refuse(Errno::EROFS),
        "EROFS",
        "Read-only file system",
        "back on disk: writing cursors",
    )
    .await;
}

/// Side by side: nearly all the time they wait for the next second.
#[tokio::test]
async fn disks_that_answer_eio_or_turn_read_only_lose_nothing_and_when_they_heal_the_queue_returns_to_them() {
    tokio::join!(every_change_answers_eio(), every_sync_answers_eio(), read_only_and_back());
}
