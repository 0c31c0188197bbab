use proptest::prelude::*;
use rustix::io::Errno;

use super::super::cursor::{USED, file_name};
use super::*;

/// Three records of ten samples, of which endpoint `a` has taken `taken` in two steps, so that both slots are in use.
async fn with_cursor(home: &Home, step: Position, last: Position) {
    let queue = home.open(&["a"]);
    for seed in 1..=3 {
        queue.append(meta(10), payload(seed, 50));
    }
    written(&queue);
    queue.settle(0, step, Fate::Delivered);
    written(&queue);
    queue.settle(0, last, Fate::Delivered);
    written(&queue);
}

#[tokio::test]
async fn a_cursor_survives_a_kill_inside_a_record() {
    let home = Home::new();
    with_cursor(&home, at(2, 0), at(2, 4)).await;
    let queue = home.open(&["a"]);
    assert_eq!(queue.cursor(0), at(2, 4));
    assert_eq!(queue.ledger(0), Ledger { recovered: 16, pending: 16, ..Ledger::default() });
}

#[tokio::test]
async fn a_torn_slot_falls_back_to_the_one_before_it() {
    for (slot, expected) in [(0, at(2, 0)), (1, at(3, 2))] {
        let home = Home::new();
        with_cursor(&home, at(2, 0), at(3, 2)).await;
        let path = home.path().join(file_name("a"));
        let mut bytes = std::fs::read(&path).unwrap();
        // Generations: 1 at the opening, 2 and 3 for the steps; odd ones stand in the second slot.
        let newest_is_odd = 1;
        bytes[USED[newest_is_odd ^ slot].clone()][9..].fill(0);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(home.open(&["a"]).cursor(0), expected);
    }
}

#[tokio::test]
async fn a_cursor_without_a_readable_slot_starts_at_the_oldest_record_and_is_counted() {
    for contents in [&b""[..], &[0; 1024], b"garbage"] {
        let home = Home::new();
        with_cursor(&home, at(2, 0), at(3, 2)).await;
        std::fs::write(home.path().join(file_name("a")), contents).unwrap();
        let queue = home.open(&["a", "b"]);
        assert_eq!(queue.cursor(0), at(1, 0));
        assert_eq!(queue.stats().damage.damaged_cursors, 1);
        assert_eq!(queue.ledger(0).recovered, 30);
        written(&queue);
        drop(queue);
        assert_eq!(home.open(&["a", "b"]).stats().damage.damaged_cursors, 0, "it was mended");
    }
}

/// After a sync that failed the kernel drops the bytes and lets the next sync succeed: as with records, they have to be written again.
#[tokio::test]
async fn a_cursor_whose_sync_has_failed_is_written_again() {
    let mut home = Home::new();
    let short = Duration::from_millis(20);
    home.timing = Timing { retry: short, sync: short, ..home.timing };
    let queue = home.open(&["a"]);
    queue.append(meta(10), payload(1, 50));
    written(&queue);
    queue.settle(0, at(1, 4), Fate::Delivered);
    written(&queue);
    home.sabotage.fail_syncs(Errno::IO);
    queue.settle(0, at(1, 6), Fate::Delivered);
    let another_fails = || {
        let faults = queue.stats().faults.io;
        eventually("a sync fails", || queue.stats().faults.io > faults);
    };
    another_fails();
    let path = home.path().join(file_name("a"));
    std::fs::write(&path, [0; 1024]).unwrap();
    another_fails();
    home.sabotage.heal();
    eventually("the cursor is back", || std::fs::read(&path).unwrap() != [0; 1024]);
    written(&queue);
    drop(queue);
    let queue = home.open(&["a"]);
    assert_eq!((queue.cursor(0), queue.stats().damage.damaged_cursors), (at(1, 6), 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_byte_of_a_cursor_costs_at_most_the_last_step(offset in 0usize..1024, mask in 1u8..) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let home = Home::new();
        runtime.block_on(with_cursor(&home, at(2, 0), at(3, 2)));
        let path = home.path().join(file_name("a"));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[offset] ^= mask;
        std::fs::write(&path, bytes).unwrap();
        let cursor = home.open(&["a"]).cursor(0);
        prop_assert!(cursor == at(3, 2) || cursor == at(2, 0));
        prop_assert!(USED.iter().any(|used| used.contains(&offset)) || cursor == at(3, 2));
    }
}

#[tokio::test]
async fn numbers_are_not_used_again_after_everything_was_taken_and_deleted() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    for seed in 1..=5 {
        queue.append(meta(1), payload(seed, 10));
    }
    queue.settle(0, at(6, 0), Fate::Delivered);
    queue.close().await;
    assert_eq!(home.files("segment-").len(), 0, "nothing is left that a renamed endpoint would send again");
    let queue = home.open(&["a"]);
    assert_eq!(queue.cursor(0), at(6, 0));
    assert_eq!(queue.append(meta(1), payload(6, 10)), 6);
}

#[tokio::test]
async fn a_cursor_inside_a_record_that_is_gone_does_not_swallow_samples_of_a_new_one() {
    let home = Home::new();
    with_cursor(&home, at(3, 0), at(3, 4)).await;
    for segment in home.files("segment-") {
        std::fs::remove_file(segment).unwrap();
    }
    let queue = home.open(&["a"]);
    assert_eq!(queue.cursor(0), at(4, 0));
    assert_eq!(queue.append(meta(10), payload(9, 10)), 4);
    assert_eq!(queue.ledger(0).pending, 10);
}

#[tokio::test]
async fn an_endpoint_that_is_no_longer_configured_loses_its_cursor_and_its_samples_are_counted() {
    let home = Home::new();
    let queue = home.open(&["a", "b"]);
    for seed in 1..=3 {
        queue.append(meta(10), payload(seed, 50));
    }
    queue.settle(0, at(4, 0), Fate::Delivered);
    queue.settle(1, at(1, 7), Fate::Delivered);
    queue.close().await;

    let queue = home.open(&["a"]);
    let removed = RemovedEndpoint { name: "b".to_owned(), samples: 23 };
    assert_eq!(queue.stats().removed_endpoints, [removed]);
    assert!(!home.path().join(file_name("b")).exists());
    assert_eq!(queue.ledger(0).pending, 0);
}

#[tokio::test]
async fn a_new_name_starts_at_the_oldest_record_if_it_is_alone_and_at_the_newest_otherwise() {
    let home = Home::new();
    with_cursor(&home, at(1, 3), at(2, 0)).await;
    assert_eq!(home.open(&["a", "new"]).cursor(1), at(4, 0));
    assert_eq!(home.open(&["renamed"]).cursor(0), at(1, 0));
}

#[tokio::test]
async fn endpoints_keep_their_cursors_when_their_order_changes() {
    let home = Home::new();
    let queue = home.open(&["a", "b"]);
    queue.append(meta(10), payload(1, 50));
    queue.settle(1, at(1, 6), Fate::Rejected);
    queue.close().await;
    let queue = home.open(&["b", "a"]);
    assert_eq!((queue.cursor(0), queue.cursor(1)), (at(1, 6), at(1, 0)));
}
