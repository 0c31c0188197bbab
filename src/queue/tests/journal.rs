use std::collections::BTreeSet;

use proptest::prelude::*;
use rustix::io::Errno;

use super::super::journal::format::{self, FILE_HEADER};
use super::super::journal::notebook::{Caps, Notebook, Step};
use super::*;

const NAME: &str = "things";

fn changes(added: &[&str], removed: &[&str]) -> Changes {
    let mut changes = Changes::default();
    added.iter().for_each(|entry| changes.add(entry.as_bytes()));
    removed.iter().for_each(|entry| changes.remove(entry.as_bytes()));
    changes
}

fn whole(entries: &[&str]) -> Changes {
    let mut changes = Changes::whole();
    entries.iter().for_each(|entry| changes.add(entry.as_bytes()));
    changes
}

fn recovered(journal: &Journal) -> Vec<String> {
    let entries = journal.take_recovered();
    let mut entries: Vec<_> =
        entries.iter().map(|entry| String::from_utf8(entry.to_vec()).unwrap()).collect();
    entries.sort();
    entries
}

/// What the next process finds.
fn found(home: &Home) -> Vec<String> {
    recovered(&home.open(&["a"]).journal(NAME))
}

fn noted(queue: &Queue) {
    written(queue);
    eventually("the journal is on disk", || queue.shared().lock().journals.next(false).is_none());
}

fn file(home: &Home) -> PathBuf {
    home.path().join("journal-things")
}

#[tokio::test]
async fn what_was_added_and_not_removed_is_there_after_a_close_and_after_a_kill() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    assert!(recovered(&journal).is_empty());
    journal.append(meta(1), payload(1, 10), &changes(&["one", "two", "three"], &[]));
    queue.close().await;
    drop((queue, journal));

    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    assert_eq!(recovered(&journal), ["one", "three", "two"]);
    assert!(recovered(&journal).is_empty(), "given once");
    journal.append(meta(1), payload(2, 10), &changes(&["four"], &["two"]));
    journal.note(&changes(&[], &["one"]));
    noted(&queue);
    drop((queue, journal));
    assert_eq!(found(&home), ["four", "three"]);
    assert_eq!(found(&home), ["four", "three"], "reading changes nothing");
}

/// After a sync that failed the kernel drops the bytes and lets the next sync succeed: only the whole set can be trusted again.
#[tokio::test]
async fn a_journal_whose_sync_has_failed_asks_for_the_whole_set() {
    let mut home = Home::new();
    home.timing.retry = Duration::from_millis(5);
    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    journal.append(meta(1), payload(1, 10), &changes(&["one"], &[]));
    noted(&queue);
    assert!(!journal.wants_whole());
    home.sabotage.fail_syncs(Errno::IO);
    journal.append(meta(1), payload(2, 10), &changes(&["two"], &[]));
    eventually("the whole set is asked for", || journal.wants_whole());
    home.sabotage.heal();
    journal.note(&whole(&["one", "two"]));
    noted(&queue);
    assert!(!journal.wants_whole());
    drop((queue, journal));
    assert_eq!(found(&home), ["one", "two"]);
}

#[tokio::test]
async fn two_journals_know_nothing_of_each_other() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    let (one, other) = (queue.journal("one"), queue.journal("other"));
    other.note(&changes(&["b"], &[]));
    one.note(&changes(&["a"], &[]));
    noted(&queue);
    drop((queue, one, other));
    let queue = home.open(&["a"]);
    assert_eq!(
        (recovered(&queue.journal("one")), recovered(&queue.journal("other"))),
        (vec!["a".into()], vec!["b".into()])
    );
}

#[tokio::test]
async fn changes_are_on_disk_before_their_record_and_do_not_count_without_it() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    journal.append(meta(1), payload(1, 10), &changes(&["kept"], &[]));
    noted(&queue);
    home.sabotage.fail_writes("segment-", Errno::IO, 0);
    journal.append(meta(1), payload(2, 10), &changes(&["lost"], &["kept"]));
    eventually("the record fails", || queue.stats().faults.io > 0);
    let bytes = std::fs::read(file(&home)).unwrap();
    assert_eq!(
        format::scan(&bytes, u64::MAX).entries,
        BTreeSet::from([b"lost".to_vec()]),
        "the changes are there first"
    );
    drop((queue, journal));
    home.sabotage.heal();

    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    assert_eq!(recovered(&journal), ["kept"], "no record says that it went");
    // The next record has the number of the lost one, whose changes must not come back with it.
    assert_eq!(journal.append(meta(1), payload(3, 10), &changes(&["new"], &[])), 2);
    noted(&queue);
    drop((queue, journal));
    assert_eq!(found(&home), ["kept", "new"]);
}

#[tokio::test]
async fn changes_count_when_an_endpoint_has_taken_a_record_that_was_never_written() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    home.sabotage.fail_writes("segment-", Errno::IO, 0);
    let sequence = journal.append(meta(1), payload(1, 10), &changes(&["taken"], &[]));
    queue.settle(0, at(sequence + 1, 0), Fate::Delivered);
    noted(&queue);
    drop((queue, journal));
    home.sabotage.heal();
    assert_eq!(found(&home), ["taken"]);
}

#[tokio::test]
async fn without_its_cursor_an_endpoint_may_have_taken_everything() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    let sequence = journal.append(meta(1), payload(1, 10), &changes(&["taken"], &[]));
    queue.settle(0, at(sequence + 1, 0), Fate::Delivered);
    queue.close().await;
    drop((queue, journal));
    let cursor = &home.files("cursor-")[0];
    std::fs::write(cursor, vec![0; 1024]).unwrap();
    assert_eq!(found(&home), ["taken"]);
}

#[tokio::test]
async fn after_a_lost_cursor_no_sequence_comes_again_so_the_start_after_next_takes_nothing_back() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    for seed in 1..=5 {
        let sequence = journal.append(meta(1), payload(seed, 10), &changes(&[&format!("old{seed}")], &[]));
        queue.settle(0, at(sequence + 1, 0), Fate::Delivered);
    }
    queue.close().await;
    drop((queue, journal));
    home.files("segment-").iter().for_each(|segment| std::fs::remove_file(segment).unwrap());
    std::fs::write(&home.files("cursor-")[0], vec![0; 1024]).unwrap();
    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    let sequence = journal.append(meta(1), payload(9, 10), &changes(&["new"], &[]));
    assert!(sequence > 5, "{sequence}");
    queue.settle(0, at(sequence + 1, 0), Fate::Delivered);
    queue.close().await;
    drop((queue, journal));
    assert_eq!(found(&home), ["new", "old1", "old2", "old3", "old4", "old5"]);
}

#[tokio::test]
async fn a_file_of_mostly_history_is_written_anew_when_the_keeper_says_the_whole_set() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    let long = "x".repeat(1_000);
    journal.note(&changes(&["stays"], &[]));
    let mut turns = 0;
    while !journal.wants_whole() {
        journal.note(&changes(&[&long], &[]));
        journal.note(&changes(&[], &[&long]));
        turns += 1;
    }
    assert!((30..40).contains(&turns), "{turns} times 2 kB are 64 KiB");
    noted(&queue);
    let before = file(&home).metadata().unwrap().len();
    journal.note(&whole(&["stays"]));
    journal.note(&changes(&["new"], &[]));
    noted(&queue);
    let after = file(&home).metadata().unwrap().len();
    assert!(before > 60_000 && after < 200, "{before} bytes, then {after}");
    assert!(!journal.wants_whole());
    drop((queue, journal));
    std::fs::write(home.path().join("journal-things.new"), "a rewriting that a kill has cut off").unwrap();
    assert_eq!(found(&home), ["new", "stays"]);
    assert!(!home.path().join("journal-things.new").exists());
}

#[tokio::test]
async fn a_disk_that_refuses_is_tried_again_and_what_waits_is_bounded() {
    let mut home = Home::new();
    home.timing.retry = Duration::from_millis(1);
    home.max_memory_bytes = 10_000;
    home.max_disk_bytes = 160_000;
    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    home.sabotage.fail_writes("journal-", Errno::NOSPC, 5);
    journal.append(meta(1), payload(1, 10), &changes(&["one"], &[]));
    eventually("two tries", || queue.stats().faults.no_space >= 2);
    assert!(queue.stats().disk_ok, "records are well");
    eventually("the record is on disk all the same", || queue.stats().waiting_records == 0);
    home.sabotage.heal();
    noted(&queue);
    assert!(!journal.wants_whole());

    home.sabotage.fail_writes("journal-", Errno::NOSPC, 5);
    let long = "x".repeat(1_000);
    for _ in 0..20 {
        journal.note(&changes(&[&long], &[]));
        journal.note(&changes(&[], &[&long]));
    }
    assert!(journal.wants_whole(), "40 kB are more than may wait");
    journal.note(&changes(&["more"], &[]));
    assert!(journal.wants_whole(), "until the keeper has said the whole set");
    journal.note(&whole(&["one", "more"]));
    assert!(!journal.wants_whole());
    home.sabotage.heal();
    noted(&queue);
    drop((queue, journal));
    assert_eq!(found(&home), ["more", "one"]);
}

#[tokio::test]
async fn nobody_waits_for_a_journal_on_a_frozen_disk() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    home.sabotage.freeze();
    journal.append(meta(1), payload(1, 10), &changes(&["one"], &[]));
    eventually("the thread hangs", || home.sabotage.hanging());
    journal.append(meta(1), payload(2, 10), &changes(&["two"], &[]));
    journal.note(&changes(&["three"], &[]));
    assert!(!journal.wants_whole());
    assert_eq!(read_all(&queue).await.len(), 2);
    home.sabotage.thaw();
    noted(&queue);
    drop((queue, journal));
    assert_eq!(found(&home), ["one", "three", "two"]);
}

#[tokio::test]
async fn with_a_queue_in_memory_nothing_is_kept() {
    let queue = in_memory(1 << 20, &["a"]);
    let journal = queue.journal(NAME);
    assert!(recovered(&journal).is_empty());
    assert_eq!(journal.append(meta(1), payload(1, 10), &changes(&["one"], &[])), 1);
    journal.note(&changes(&["two"], &[]));
    assert!(!journal.wants_whole());
}

#[tokio::test]
async fn a_journals_bytes_count_against_the_cap() {
    let mut home = Home::new();
    home.max_disk_bytes = 80_000;
    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    journal.note(&changes(&["x".repeat(9_000).as_str()], &[]));
    for seed in 1..=30 {
        journal.append(meta(1), payload(seed, 4_000), &Changes::default());
        noted(&queue);
    }
    let stats = queue.stats();
    assert_eq!(stats.journal_bytes, file(&home).metadata().unwrap().len());
    assert!(stats.journal_bytes > 9_000 && stats.disk_bytes + stats.journal_bytes <= 80_000, "{stats:?}");
    assert!(stats.overflowed_records > 0);
}

#[tokio::test]
async fn a_journal_from_a_time_with_a_larger_cap_takes_no_record_with_it_and_is_written_anew() {
    let mut home = Home::new();
    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    let long = "x".repeat(1_000);
    for seed in 1..=40 {
        journal.append(meta(1), payload(seed, 100), &changes(&[&long], &[]));
        journal.note(&changes(&[], &[&long]));
    }
    noted(&queue);
    drop((queue, journal));
    home.max_disk_bytes = 40_000;
    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    let stats = queue.stats();
    assert_eq!((stats.overflowed_records, queue.ledger(0).pending), (0, 40), "{stats:?}");
    assert!(stats.journal_bytes > 40_000 && journal.wants_whole());
    journal.note(&whole(&["stays"]));
    noted(&queue);
    assert!(queue.stats().journal_bytes < 200);
    assert_eq!(queue.ledger(0).pending, 40);
}

#[tokio::test]
async fn an_unknown_or_unreadable_journal_begins_anew() {
    let home = Home::new();
    let mut bytes = format::file_header();
    bytes[8] = 9;
    let crc = crc32fast::hash(&bytes[..12]);
    bytes[12..].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(file(&home), bytes).unwrap();
    let queue = home.open(&["a"]);
    let journal = queue.journal(NAME);
    assert_eq!(queue.stats().damage.damaged_journal_places, 1);
    assert!(recovered(&journal).is_empty() && journal.wants_whole());
    journal.note(&whole(&["one"]));
    noted(&queue);
    drop((queue, journal));
    assert_eq!(found(&home), ["one"]);
}

#[test]
fn a_set_that_is_too_large_is_said_once_removed_and_kept_again_when_it_is_small() {
    let mut notebook = Notebook::new(NAME, Caps::new(80_000, 1 << 20));
    let entries: Vec<String> = (0..30).map(|n| format!("{n:0>1000}")).collect();
    let mut said = 0;
    for (number, entry) in (1..).zip(&entries) {
        said += usize::from(notebook.note(&changes(&[entry], &[]), number).is_some());
    }
    assert_eq!(said, 1);
    assert!(matches!(notebook.next(), Some((_, Step::Remove))) && !notebook.wants_whole());
    for entry in &entries[4..] {
        assert!(notebook.note(&changes(&[], &[entry]), 99).is_none());
    }
    assert!(notebook.wants_whole(), "4 kB are below half of 10 kB");
}

/// A journal's bytes, what is in the set after each batch, and where each batch ends.
fn story(batches: &[Vec<(bool, u8)>]) -> (Vec<u8>, Vec<BTreeSet<Vec<u8>>>, Vec<usize>) {
    let mut bytes = format::file_header().to_vec();
    let (mut set, mut sets, mut ends) = (BTreeSet::new(), vec![BTreeSet::new()], Vec::new());
    for (sequence, batch) in (1..).zip(batches) {
        let mut said = Changes::default();
        for (add, entry) in batch {
            let entry = vec![*entry; usize::from(*entry) + 1];
            if *add && set.insert(entry.clone()) {
                said.add(&entry);
            } else if !*add && set.remove(&entry) {
                said.remove(&entry);
            }
        }
        bytes.extend(format::batch(sequence, false, said.bytes()).unwrap());
        sets.push(set.clone());
        ends.push(bytes.len());
    }
    (bytes, sets, ends)
}

fn batches() -> impl Strategy<Value = Vec<Vec<(bool, u8)>>> {
    prop::collection::vec(prop::collection::vec((prop::bool::weighted(0.7), 0..30_u8), 0..6), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_journal_cut_at_any_byte_is_what_its_whole_batches_say(batches in batches()) {
        let (bytes, sets, ends) = story(&batches);
        for cut in 0..bytes.len() {
            let scan = format::scan(&bytes[..cut], u64::MAX);
            let complete = ends.iter().take_while(|end| **end <= cut).count();
            prop_assert_eq!(&scan.entries, &sets[complete]);
            let edge = match complete {
                0 if cut < FILE_HEADER => 0,
                0 => FILE_HEADER,
                _ => ends[complete - 1],
            };
            prop_assert_eq!((scan.end, scan.torn_bytes, scan.damaged), (edge as u64, (cut - edge) as u64, 0));
        }
    }

    #[test]
    fn a_flipped_byte_costs_the_changes_of_its_batch_and_no_others(batches in batches(), at in any::<prop::sample::Index>(), mask in 1u8..) {
        let adding: Vec<Vec<(bool, u8)>> =
            batches.iter().map(|batch| batch.iter().map(|(_, entry)| (true, *entry)).collect()).collect();
        let (mut bytes, sets, ends) = story(&adding);
        let flipped = at.index(bytes.len());
        bytes[flipped] ^= mask;
        let scan = format::scan(&bytes, u64::MAX);
        let all = sets.last().unwrap();
        if flipped < FILE_HEADER {
            // A version that is unknown and intact cannot come of one byte.
            prop_assert_eq!((&scan.entries, scan.end, scan.damaged), (all, 0, 1));
        } else {
            let hit = ends.iter().take_while(|end| **end <= flipped).count();
            let lost: BTreeSet<_> = sets[hit + 1].difference(&sets[hit]).cloned().collect();
            let expected: BTreeSet<_> = all.difference(&lost).cloned().collect();
            prop_assert_eq!(scan.entries, expected);
            prop_assert_eq!(scan.damaged + u64::from(scan.torn_bytes > 0), 1);
        }
    }

    #[test]
    fn a_queue_over_any_journal_at_all_opens_and_goes_on(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0..3) {
        let home = Home::new();
        let (mut journal, _, _) = story(&[vec![(true, 3)], vec![(true, 5)]]);
        match kind {
            0 => journal.clear(),
            1 => journal.truncate(FILE_HEADER),
            _ => {}
        }
        journal.extend(bytes);
        std::fs::write(file(&home), journal).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let queue = home.open(&["a"]);
            let journal = queue.journal(NAME);
            let mut set: BTreeSet<_> = journal.take_recovered().into_iter().collect();
            if journal.wants_whole() {
                let mut all = Changes::whole();
                set.iter().for_each(|entry| all.add(entry));
                journal.note(&all);
            }
            journal.append(meta(1), payload(1, 10), &changes(&["new"], &[]));
            set.insert("new".into());
            noted(&queue);
            drop((queue, journal));
            let found: BTreeSet<_> = home.open(&["a"]).journal(NAME).take_recovered().into_iter().collect();
            assert_eq!(found, set);
        });
    }
}
