//! Less is free than shall be: records stay in memory, and go to disk by themselves when there is room.

use super::*;

const MIB: u64 = 1 << 20;

/// Below the floor of 512 MiB, without an error of the file system.
fn below(count: u64) -> Faults {
    Faults { below_floor: count, ..Faults::default() }
}

#[tokio::test]
async fn below_the_floor_records_stay_in_memory_and_return_to_disk_with_the_next_append() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    queue.append(meta(10), payload(1, 100));
    written(&queue);
    home.sabotage.leave_free(512 * MIB);
    for seed in 2..=20 {
        queue.append(meta(10), payload(seed, 100));
    }
    eventually("they are held back", || queue.stats().faults.below_floor >= 1);
    assert_eq!((queue.stats().waiting_records, queue.stats().disk_ok), (19, false));
    assert_eq!(queue.stats().faults, below(queue.stats().faults.below_floor), "nothing has failed");
    assert_eq!(read_all(&queue).await.len(), 20);
    let before = queue.stats().faults.below_floor;
    // More than the floor, but not enough to return.
    home.sabotage.leave_free(560 * MIB);
    queue.append(meta(10), payload(21, 100));
    eventually("it was tried again", || queue.stats().faults.below_floor > before);
    home.sabotage.leave_free(577 * MIB);
    queue.append(meta(10), payload(22, 100));
    written(&queue);
    assert!(queue.stats().disk_ok);
    drop(queue);
    let records = read_all(&home.open(&["a"])).await;
    assert_eq!(
        records.iter().map(|record| record.sequence).collect::<Vec<_>>(),
        (1..=22).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn room_that_comes_back_is_noticed_without_an_append() {
    let mut home = Home::new();
    home.timing.retry = Duration::from_millis(5);
    let queue = home.open(&["a"]);
    home.sabotage.leave_free(MIB);
    queue.append(meta(10), payload(1, 100));
    eventually("it was looked at twice", || queue.stats().faults.below_floor >= 2);
    assert_eq!(home.files("segment-").len(), 0);
    home.sabotage.heal();
    written(&queue);
}

#[tokio::test]
async fn below_the_floor_a_full_ring_drops_its_oldest_and_the_disk_keeps_what_it_has() {
    let mut home = Home::new();
    home.max_memory_bytes = 10 * 228;
    let queue = home.open(&["a"]);
    for seed in 1..=5 {
        queue.append(meta(10), payload(seed, 100));
        written(&queue);
    }
    home.sabotage.leave_free(MIB);
    for seed in 6..=30 {
        queue.append(meta(10), payload(seed, 100));
    }
    eventually("they are held back", || queue.stats().faults.below_floor >= 1);
    let kept: Vec<u64> = read_all(&queue).await.iter().map(|record| record.sequence).collect();
    // Which of the ring go depends on which were just being looked at; what is on disk and the newest stay.
    assert_eq!((kept.len(), &kept[..5], kept[14]), (15, &[1, 2, 3, 4, 5][..], 30));
    assert_eq!((queue.ledger(0).overflowed, queue.ledger(0).pending), (150, 150));
    assert_closes(&queue, 0);
}

#[tokio::test]
async fn below_the_floor_cursors_are_written_and_segments_removed() {
    let mut home = Home::new();
    home.max_disk_bytes = 16 << 10;
    let queue = home.open(&["a"]);
    for seed in 1..=10 {
        queue.append(meta(1), payload(seed, 1000));
    }
    written(&queue);
    home.sabotage.leave_free(MIB);
    queue.append(meta(1), payload(11, 1000));
    eventually("it is held back", || queue.stats().faults.below_floor >= 1);
    queue.settle(0, at(11, 0), Fate::Delivered);
    eventually("only the newest is left", || home.files("segment-").len() == 1);
    drop(queue);
    assert_eq!(home.open(&["a"]).cursor(0), at(11, 0));
}

#[tokio::test]
async fn a_close_below_the_floor_writes_what_is_in_memory() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    home.sabotage.leave_free(MIB);
    queue.append(meta(10), payload(1, 100));
    eventually("it is held back", || queue.stats().faults.below_floor >= 1);
    queue.close().await;
    assert_eq!((queue.ledger(0).lost_at_exit, queue.ledger(0).pending), (0, 10));
    assert_eq!(home.open(&["a"]).ledger(0).recovered, 10);
}

#[tokio::test]
async fn the_file_system_is_asked_for_what_is_free() {
    let home = Home::new();
    let mut config = home.config();
    config.min_free_disk = Some(u64::MAX);
    let queue = Queue::open(&config, &names(&["a"])).unwrap();
    queue.append(meta(10), payload(1, 100));
    eventually("no disk has that much", || queue.stats().faults.below_floor >= 1);
    assert_eq!(home.files("segment-").len(), 0);
}
