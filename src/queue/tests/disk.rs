use rustix::io::Errno;

use super::*;

/// Everything settled and appended so far works without the queue's thread.
async fn assert_others_go_on(queue: &Queue) {
    let sequence = queue.append(meta(10), payload(77, 100));
    let record = queue.read(sequence).await.unwrap().unwrap();
    assert_eq!(record.payload, payload(77, 100));
    let pending = queue.ledger(0).pending;
    assert_eq!(queue.settle(0, at(sequence + 1, 0), Fate::Delivered), pending);
    assert_eq!(queue.ledger(0).pending, 0);
    assert_closes(queue, 0);
}

#[tokio::test]
async fn a_frozen_file_system_stops_nobody() {
    let home = Home::new();
    let queue = home.open(&["a", "dead"]);
    written(&queue);
    home.sabotage.freeze();
    queue.append(meta(10), payload(1, 100));
    eventually("the thread hangs", || home.sabotage.hanging());
    for seed in 2..=50 {
        queue.append(meta(10), payload(seed, 100));
    }
    assert_eq!(read_all(&queue).await.len(), 50);
    assert_others_go_on(&queue).await;
    assert_eq!(queue.stats().waiting_records, 51);
    home.sabotage.thaw();
    written(&queue);
    assert_eq!(queue.stats().waiting_records, 0);
    drop(queue);
    assert_eq!(home.open(&["a", "dead"]).ledger(1).recovered, 510);
}

#[tokio::test]
async fn an_append_that_is_not_on_disk_in_time_is_counted_once_and_the_disk_is_not_ok_until_it_is() {
    let mut home = Home::new();
    home.timing.stall = Duration::ZERO;
    let queue = home.open(&["a"]);
    written(&queue);
    home.sabotage.freeze();
    queue.append(meta(10), payload(1, 100));
    queue.append(meta(10), payload(2, 100));
    assert_eq!(queue.stats().stalled_appends, 2);
    assert_eq!(queue.stats().stalled_appends, 2);
    assert!(!queue.stats().disk_ok);
    home.sabotage.thaw();
    written(&queue);
    assert!(queue.stats().disk_ok);
    assert_eq!(queue.ledger(0).pending, 20);
}

#[tokio::test]
async fn a_frozen_disk_and_a_full_ring_drop_the_oldest_and_count_them() {
    let mut home = Home::new();
    home.max_memory_bytes = 10 * 228;
    let queue = home.open(&["a", "b"]);
    queue.append(meta(10), payload(1, 100));
    written(&queue);
    home.sabotage.freeze();
    queue.append(meta(10), payload(2, 100));
    eventually("the thread hangs", || home.sabotage.hanging());
    for seed in 3..=30 {
        queue.append(meta(10), payload(seed, 100));
    }
    assert_eq!(queue.ledger(0).overflowed, 190);
    assert_eq!(queue.cursor(0), at(1, 0), "the first record is on disk and still to be taken");
    queue.settle(1, at(25, 0), Fate::Delivered);
    assert_eq!(queue.ledger(1).delivered, 50);
    home.sabotage.thaw();
    written(&queue);
    let kept: Vec<u64> = read_all(&queue).await.iter().map(|record| record.sequence).collect();
    assert_eq!(kept, [1, 2].into_iter().chain(22..=30).collect::<Vec<u64>>());
    assert_closes(&queue, 0);
    assert_closes(&queue, 1);
    // The record that was being written was not dropped meanwhile, and none that was comes back.
    queue.close().await;
    assert_eq!(home.open(&["a", "b"]).ledger(0).recovered, queue.ledger(0).pending);
}

#[tokio::test]
async fn write_errors_are_counted_by_kind_and_nothing_is_lost() {
    for (errno, expected) in [
        (Errno::NOSPC, Faults { no_space: 1, ..Faults::default() }),
        (Errno::DQUOT, Faults { no_space: 1, ..Faults::default() }),
        (Errno::IO, Faults { io: 1, ..Faults::default() }),
        (Errno::ROFS, Faults { read_only: 1, ..Faults::default() }),
        (Errno::ACCESS, Faults { other: 1, ..Faults::default() }),
    ] {
        // A file header, a record header or a payload may be what is cut off, at its beginning or in the middle.
        for (before, after) in [(0, 0), (0, 9), (1, 0), (1, 30), (1, 60)] {
            let home = Home::new();
            let queue = home.open(&["a"]);
            for seed in 1..=before {
                queue.append(meta(10), payload(seed, 100));
            }
            written(&queue);
            home.sabotage.fail_writes("segment-", errno, after);
            queue.append(meta(10), payload(before + 1, 100));
            eventually("the write fails", || queue.stats().faults == expected);
            assert!(!queue.stats().disk_ok);
            assert_eq!(read_all(&queue).await.len() as u64, before + 1);
            home.sabotage.heal();
            // The next append is what tries again: the timer of this test never does.
            queue.append(meta(10), payload(before + 2, 100));
            written(&queue);
            assert!(queue.stats().disk_ok);
            drop(queue);

            let queue = home.open(&["a"]);
            assert_eq!(queue.stats().damage, Damage::default(), "the half record was cut off");
            let records = read_all(&queue).await;
            assert_eq!(records.len() as u64, before + 2);
            assert!(records.iter().all(|record| record.payload == payload(record.sequence, 100)));
        }
    }
}

#[tokio::test]
async fn a_failed_write_is_tried_again_after_a_while_without_an_append() {
    let mut home = Home::new();
    home.timing.retry = Duration::from_millis(5);
    let queue = home.open(&["a"]);
    home.sabotage.fail_writes("segment-", Errno::NOSPC, 20);
    queue.append(meta(10), payload(1, 100));
    eventually("it has failed twice", || queue.stats().faults.no_space >= 2);
    home.sabotage.heal();
    written(&queue);
    assert_eq!(home.files("segment-").len(), 1);
}

#[tokio::test]
async fn where_a_half_record_cannot_be_cut_off_a_new_segment_begins() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    queue.append(meta(10), payload(1, 100));
    written(&queue);
    home.sabotage.fail_writes("segment-", Errno::IO, 30);
    home.sabotage.fail_set_len(Errno::IO);
    queue.append(meta(10), payload(2, 100));
    eventually("the write fails", || queue.stats().faults.io == 1);
    home.sabotage.heal();
    home.sabotage.fail_set_len(Errno::IO);
    queue.append(meta(10), payload(3, 100));
    written(&queue);
    assert_eq!(home.files("segment-").len(), 2);
    assert_eq!(read_all(&queue).await.len(), 3);
    drop(queue);
    home.sabotage.heal();
    let queue = home.open(&["a"]);
    assert_eq!(queue.stats().damage.torn_bytes, 30);
    assert_eq!(read_all(&queue).await.len(), 3);
}

#[tokio::test]
async fn a_cursor_that_cannot_be_written_stops_no_record_and_is_tried_again() {
    let mut home = Home::new();
    home.timing.retry = Duration::from_millis(5);
    let queue = home.open(&["a"]);
    written(&queue);
    home.sabotage.fail_writes("cursor-", Errno::NOSPC, 0);
    queue.append(meta(10), payload(1, 100));
    queue.append(meta(10), payload(2, 100));
    queue.settle(0, at(2, 0), Fate::Delivered);
    eventually("the cursor fails", || queue.stats().faults.no_space >= 1);
    eventually("records are written", || queue.stats().waiting_records == 0);
    assert!(queue.stats().disk_ok);
    home.sabotage.heal();
    written(&queue);
    drop(queue);
    assert_eq!(home.open(&["a"]).cursor(0), at(2, 0));
}

#[tokio::test]
async fn a_segment_that_cannot_be_removed_is_tried_again() {
    let mut home = Home::new();
    home.max_disk_bytes = 16 << 10;
    home.timing.retry = Duration::from_millis(5);
    let queue = home.open(&["a"]);
    for seed in 1..=10 {
        queue.append(meta(1), payload(seed, 1000));
    }
    written(&queue);
    home.sabotage.fail_removes(Errno::IO);
    queue.settle(0, at(11, 0), Fate::Delivered);
    eventually("the removal fails", || queue.stats().faults.io >= 2);
    home.sabotage.heal();
    eventually("only the newest is left", || home.files("segment-").len() == 1);
}

#[tokio::test]
async fn a_read_error_is_reported_and_the_record_stays() {
    let mut home = Home::new();
    home.max_memory_bytes = 1;
    let queue = home.open(&["a"]);
    for seed in 1..=3 {
        queue.append(meta(10), payload(seed, 100));
        written(&queue);
    }
    for errno in [Errno::IO, Errno::NOMEM] {
        home.sabotage.fail_reads("segment-", errno);
        let error = queue.read(1).await.unwrap_err().to_string();
        assert!(error.contains("record 1") && error.contains("segment-"), "{error}");
        home.sabotage.heal();
        assert_eq!(queue.read(1).await.unwrap().unwrap().sequence, 1);
    }
}

#[tokio::test]
async fn a_record_that_answers_eio_for_too_long_is_skipped_and_counted() {
    let mut home = Home::new();
    home.max_memory_bytes = 1;
    home.timing.unreadable = Duration::ZERO;
    let queue = home.open(&["a"]);
    for seed in 1..=3 {
        queue.append(meta(10), payload(seed, 100));
        written(&queue);
    }
    home.sabotage.fail_reads("segment-", Errno::IO);
    assert_eq!(queue.read(1).await.unwrap().unwrap().sequence, 3, "the last one is still in memory");
    assert_eq!(queue.stats().damage.damaged_records, 2);
    assert_eq!(queue.ledger(0).overflowed, 20);
    assert_closes(&queue, 0);
}

#[tokio::test]
async fn a_segment_that_somebody_deleted_costs_its_records_and_nothing_else() {
    let mut home = Home::new();
    home.max_memory_bytes = 1;
    let queue = home.open(&["a"]);
    for seed in 1..=3 {
        queue.append(meta(10), payload(seed, 100));
        written(&queue);
    }
    std::fs::remove_file(&home.files("segment-")[0]).unwrap();
    assert_eq!(queue.read(1).await.unwrap().unwrap().sequence, 3);
    assert_eq!(queue.stats().damage.damaged_records, 2);
    assert_closes(&queue, 0);
}

/// After a failed sync the kernel takes the bytes for clean, and the next sync succeeds without them.
#[tokio::test]
async fn a_record_whose_sync_fails_is_written_again_into_another_segment() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    queue.append(meta(10), payload(1, 100));
    written(&queue);
    home.sabotage.fail_syncs(Errno::IO);
    queue.append(meta(10), payload(2, 100));
    eventually("the sync fails", || queue.stats().faults.io >= 1);
    assert!(!queue.stats().disk_ok);
    assert_eq!(queue.stats().waiting_records, 1);
    home.sabotage.heal();
    queue.append(meta(10), payload(3, 100));
    written(&queue);
    assert!(queue.stats().disk_ok);
    assert_eq!(home.files("segment-").len(), 2);
    drop(queue);
    let queue = home.open(&["a"]);
    let records = read_all(&queue).await;
    assert_eq!(records.iter().map(|record| record.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(queue.ledger(0).recovered, 30);
    assert_eq!(queue.stats().damage, Damage::default());
}

/// A batch on a disk with room for a part of it.
#[tokio::test]
async fn of_a_batch_what_fits_is_on_disk_and_the_rest_waits() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    queue.append(meta(10), payload(1, 100));
    written(&queue);
    home.sabotage.freeze();
    queue.append(meta(10), payload(2, 100));
    eventually("the thread hangs", || home.sabotage.hanging());
    for seed in 3..=12 {
        queue.append(meta(10), payload(seed, 100));
    }
    // The hanging record and three of the batch behind it: each is a header and a payload.
    home.sabotage.fill_after("segment-", Errno::NOSPC, 7);
    home.sabotage.thaw();
    eventually("the disk is full", || queue.stats().faults.no_space >= 1);
    eventually("the rest waits", || queue.stats().waiting_records == 8);
    assert!(!queue.stats().disk_ok);
    home.sabotage.heal();
    queue.append(meta(10), payload(13, 100));
    written(&queue);
    drop(queue);
    let queue = home.open(&["a"]);
    assert_eq!(queue.stats().damage, Damage::default());
    let records = read_all(&queue).await;
    assert_eq!(
        records.iter().map(|record| record.sequence).collect::<Vec<_>>(),
        (1..=13).collect::<Vec<_>>()
    );
    assert!(records.iter().all(|record| record.payload == payload(record.sequence, 100)));
}

#[tokio::test]
async fn a_failing_sync_is_counted_and_tried_again() {
    let mut home = Home::new();
    home.timing.sync = Duration::from_millis(1);
    home.timing.retry = Duration::from_millis(5);
    let queue = home.open(&["a"]);
    home.sabotage.fail_syncs(Errno::IO);
    queue.append(meta(10), payload(1, 100));
    eventually("it has failed twice", || queue.stats().faults.io >= 2);
    home.sabotage.heal();
    let before = home.sabotage.syncs();
    eventually("it has been tried again", || home.sabotage.syncs() > before);
}

#[tokio::test]
async fn a_close_on_a_full_disk_ends_and_counts_what_could_not_be_kept() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    queue.append(meta(10), payload(1, 100));
    written(&queue);
    home.sabotage.fail_writes("", Errno::NOSPC, 0);
    queue.append(meta(10), payload(2, 100));
    queue.settle(0, at(1, 5), Fate::Delivered);
    queue.close().await;
    let ledger = queue.ledger(0);
    assert_eq!((ledger.pending, ledger.delivered, ledger.lost_at_exit), (5, 5, 10));
    assert_closes(&queue, 0);
    home.sabotage.heal();
    assert_eq!(
        home.open(&["a"]).ledger(0).recovered,
        10,
        "the cursor could not be written: five are repeated"
    );
}

#[tokio::test]
async fn a_close_on_a_frozen_disk_can_be_given_up() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    written(&queue);
    home.sabotage.freeze();
    queue.append(meta(10), payload(1, 100));
    let given_up = tokio::time::timeout(Duration::from_millis(20), queue.close()).await;
    assert!(given_up.is_err());
    assert_others_go_on(&queue).await;
    home.sabotage.thaw();
    queue.close().await;
}

#[tokio::test]
async fn a_full_disk_does_not_stop_the_start() {
    let home = Home::new();
    home.sabotage.fail_writes("", Errno::NOSPC, 0);
    let queue = home.open(&["a"]);
    queue.append(meta(10), payload(1, 100));
    eventually("record and cursor fail", || queue.stats().faults.no_space >= 2);
    assert_eq!(read_all(&queue).await.len(), 1);
    home.sabotage.heal();
    queue.append(meta(10), payload(2, 100));
    eventually("both are on disk", || queue.stats().waiting_records == 0);
}

#[tokio::test]
async fn space_that_a_removed_segment_leaves_is_used_at_once() {
    let mut home = Home::new();
    home.max_disk_bytes = 16 << 10;
    let queue = home.open(&["a"]);
    for seed in 1..=10 {
        queue.append(meta(1), payload(seed, 1000));
    }
    written(&queue);
    home.sabotage.fail_writes("segment-", Errno::NOSPC, 0);
    queue.append(meta(1), payload(11, 1000));
    eventually("the disk is full", || !queue.stats().disk_ok);
    home.sabotage.heal();
    // No append follows, and the timer of this test never fires.
    queue.settle(0, at(8, 0), Fate::Delivered);
    eventually("the record is on disk", || queue.stats().waiting_records == 0);
}

#[tokio::test]
async fn a_segment_that_cannot_be_read_at_the_start_is_left_alone() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    for seed in 1..=3 {
        queue.append(meta(10), payload(seed, 100));
    }
    queue.close().await;
    home.sabotage.fail_reads("segment-", Errno::IO);
    let queue = home.open(&["a"]);
    assert_eq!(queue.stats().damage.unreadable_segments, 1);
    assert!(queue.append(meta(10), payload(4, 100)) > 3, "its numbers are not used again");
    home.sabotage.heal();
    queue.close().await;
    let records = read_all(&home.open(&["a"])).await;
    assert_eq!(records.len(), 4, "and read at the next one");
}

#[tokio::test]
async fn a_panic_of_the_thread_is_told_and_costs_nothing_that_is_in_memory() {
    let mut home = Home::new();
    home.timing.retry = Duration::from_millis(5);
    let queue = home.open(&["a"]);
    queue.append(meta(10), payload(1, 100));
    written(&queue);
    for panics in 1..=2 {
        home.sabotage.panic_at_writes(1);
        queue.append(meta(10), payload(1 + panics, 100));
        tokio::time::timeout(DEADLINE, queue.panicked()).await.unwrap();
        written(&queue);
    }
    assert_eq!(read_all(&queue).await.len(), 3);
    // The third comes while the queue is closed, where nothing is tried twice.
    home.sabotage.panic_at_writes(1);
    queue.append(meta(10), payload(4, 100));
    tokio::time::timeout(DEADLINE, queue.close()).await.unwrap();
    assert_closes(&queue, 0);
    let Ledger { pending, lost_at_exit, .. } = queue.ledger(0);
    assert_eq!(pending + lost_at_exit, 40);
    drop(queue);
    assert_eq!(home.open(&["a"]).ledger(0).recovered, pending);
}

#[tokio::test]
async fn a_thread_that_panics_again_and_again_ends_and_nobody_waits_for_it() {
    let mut home = Home::new();
    home.timing.retry = Duration::from_millis(1);
    let queue = home.open(&["a"]);
    home.sabotage.panic_at_writes(usize::MAX);
    queue.append(meta(10), payload(1, 100));
    let mut closed = queue.shared().closed.subscribe();
    tokio::time::timeout(DEADLINE, closed.wait_for(|closed| *closed)).await.unwrap().unwrap();
    tokio::time::timeout(DEADLINE, queue.close()).await.unwrap();
    assert_others_go_on(&queue).await;
}
