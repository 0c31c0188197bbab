use super::*;

fn segment_bytes(home: &Home) -> u64 {
    // The queue's thread may remove one meanwhile.
    home.files("segment-").iter().filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum()
}

#[tokio::test]
async fn segments_stay_below_the_byte_cap_and_what_goes_is_counted_for_each_endpoint() {
    let mut home = Home::new();
    home.max_disk_bytes = 16 << 10;
    home.max_memory_bytes = 1;
    let queue = home.open(&["dead", "alive"]);
    for seed in 1..=100 {
        let sequence = queue.append(meta(10), payload(seed, 500));
        queue.settle(1, at(sequence + 1, 0), Fate::Delivered);
        written(&queue);
        assert!(queue.stats().disk_bytes <= home.max_disk_bytes);
        assert!(segment_bytes(&home) <= home.max_disk_bytes);
        assert_closes(&queue, 0);
    }
    let (dead, alive) = (queue.ledger(0), queue.ledger(1));
    assert_eq!((alive.delivered, alive.overflowed, alive.pending), (1000, 0, 0));
    assert_eq!(dead.overflowed + dead.pending, 1000);
    let kept = read_all(&queue).await;
    assert_eq!(dead.pending, kept.len() as u64 * 10);
    // One segment of eight goes at a time.
    assert!(dead.pending * 548 / 10 > home.max_disk_bytes * 3 / 4, "only what had to go is gone: {dead:?}");
    assert_eq!(kept.last().unwrap().sequence, 100);
    assert_eq!(queue.cursor(0), at(kept[0].sequence, 0));
    assert_eq!(queue.stats().overflowed_records, dead.overflowed / 10);
}

#[tokio::test]
async fn segments_go_when_the_slowest_endpoint_has_taken_them() {
    let mut home = Home::new();
    home.max_disk_bytes = 64 << 10;
    let queue = home.open(&["slow", "fast"]);
    for seed in 1..=50 {
        queue.append(meta(1), payload(seed, 1000));
    }
    written(&queue);
    queue.settle(1, at(51, 0), Fate::Delivered);
    written(&queue);
    let before = home.files("segment-").len();
    assert!(before > 5);
    queue.settle(0, at(26, 0), Fate::Delivered);
    written(&queue);
    eventually("the first half is removed", || home.files("segment-").len() <= before / 2 + 1);
    assert_eq!(read_all(&queue).await.first().unwrap().sequence, 26);
    queue.settle(0, at(51, 0), Fate::Delivered);
    eventually("only the newest is left", || home.files("segment-").len() == 1);
    assert_eq!((queue.stats().records, queue.stats().memory_bytes), (0, 0));
}

#[tokio::test]
async fn settling_what_retention_took_in_the_middle_of_a_request_books_nothing_twice() {
    let queue = in_memory(3 * 200, &["a"]);
    queue.append(meta(10), payload(1, 72));
    queue.append(meta(10), payload(2, 72));
    assert_eq!(queue.settle(0, at(1, 4), Fate::Delivered), 4);
    let in_flight = queue.read(1).await.unwrap().unwrap();
    queue.append(meta(10), payload(3, 72));
    queue.append(meta(10), payload(4, 72));
    assert_eq!((queue.ledger(0).overflowed, queue.cursor(0)), (6, at(2, 0)));
    assert_eq!(queue.settle(0, at(in_flight.sequence, 10), Fate::Delivered), 0);
    assert_eq!(queue.settle(0, at(2, 10), Fate::Delivered), 10);
    assert_eq!(queue.settle(0, at(2, 3), Fate::Rejected), 0, "a cursor never moves back");
    assert_closes(&queue, 0);
    assert_eq!(queue.ledger(0).pending, 20);
}

#[tokio::test]
async fn a_record_that_is_larger_than_the_disk_cap_is_counted_and_does_not_stop_others() {
    let mut home = Home::new();
    home.max_disk_bytes = 4096;
    let queue = home.open(&["a"]);
    queue.append(meta(3), payload(1, 100));
    queue.append(meta(5), payload(2, 5000));
    queue.append(meta(7), payload(3, 100));
    written(&queue);
    assert_eq!(queue.ledger(0).overflowed, 5);
    let kept: Vec<u64> = read_all(&queue).await.iter().map(|record| record.sequence).collect();
    assert_eq!(kept, [1, 3]);
    assert_closes(&queue, 0);
}

#[tokio::test]
async fn a_lower_cap_takes_effect_at_the_next_start() {
    let mut home = Home::new();
    home.max_disk_bytes = 64 << 10;
    let queue = home.open(&["a"]);
    for seed in 1..=50 {
        queue.append(meta(1), payload(seed, 1000));
    }
    queue.close().await;
    home.max_disk_bytes = 32 << 10;
    let queue = home.open(&["a"]);
    eventually("old segments are removed", || segment_bytes(&home) <= 32 << 10);
    assert_eq!(queue.ledger(0).recovered, 50);
    assert_eq!(queue.ledger(0).overflowed + queue.ledger(0).pending, 50);
    assert_closes(&queue, 0);
}

#[tokio::test]
async fn in_memory_the_newest_records_stay_and_the_oldest_are_counted() {
    let queue = in_memory(10 * 228, &["a", "b"]);
    for seed in 1..=30 {
        queue.append(meta(10), payload(seed, 100));
        assert!(queue.stats().memory_bytes <= 10 * 228);
        assert_closes(&queue, 0);
        assert_closes(&queue, 1);
    }
    let kept: Vec<u64> = read_all(&queue).await.iter().map(|record| record.sequence).collect();
    assert_eq!(kept, (21..=30).collect::<Vec<u64>>());
    assert_eq!((queue.ledger(0).overflowed, queue.ledger(0).pending), (200, 100));
}

#[tokio::test]
async fn records_that_all_have_taken_leave_the_memory() {
    let queue = in_memory(1 << 20, &["a", "b"]);
    for seed in 1..=10 {
        queue.append(meta(10), payload(seed, 100));
    }
    queue.settle(0, at(11, 0), Fate::Delivered);
    assert_eq!(queue.stats().records, 10);
    queue.settle(1, at(6, 3), Fate::Expired);
    assert_eq!(queue.stats().records, 5);
    queue.settle(1, at(11, 0), Fate::Rejected);
    assert_eq!((queue.stats().records, queue.stats().memory_bytes), (0, 0));
    assert_eq!(queue.ledger(1), Ledger { appended: 100, expired: 53, rejected: 47, ..Ledger::default() });
}
