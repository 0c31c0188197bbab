use std::os::unix::fs::PermissionsExt;

use super::*;

fn open_at(path: &Path) -> Result<Queue, OpenError> {
    let config = Config {
        storage: Storage::Disk(path.to_owned()),
        max_disk_bytes: 1 << 20,
        min_free_disk: None,
        max_memory_bytes: 1 << 20,
    };
    Queue::open(&config, &names(&["a"]))
}

#[tokio::test]
async fn a_missing_directory_is_created_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    let queue = open_at(&path).unwrap();
    queue.append(meta(1), payload(1, 10));
    written(&queue);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    for file in std::fs::read_dir(&path).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named_with_the_errno_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    // /proc takes no directories, from nobody.
    for path in [file.clone(), file.join("below"), PathBuf::from("/proc/self/queue")] {
        let error = open_at(&path).err().unwrap();
        assert!(matches!(error, OpenError::Create { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(path.to_str().unwrap()) && text.contains("os error"), "{text}");
        assert!(text.contains("QUEUE_STORAGE=memory"), "{text}");
    }
}

#[test]
fn a_directory_that_takes_no_lock_file_is_named_with_the_errno() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("lock")).unwrap();
    let error = open_at(dir.path()).err().unwrap();
    assert!(matches!(error, OpenError::LockFile { .. }), "{error}");
    assert!(error.to_string().contains("os error 21"), "{error}");
}

#[tokio::test]
async fn a_directory_in_use_is_waited_for_and_then_refused() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open_at(dir.path()).unwrap();
    let error = Directory::open(dir.path(), Duration::from_millis(50)).err().unwrap();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("second instance"), "{error}");
    queue.close().await;
    open_at(dir.path()).unwrap();
}

#[test]
fn a_directory_whose_owner_is_on_its_way_out_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    drop(open_at(dir.path()).unwrap());
    open_at(dir.path()).unwrap();
}

#[tokio::test]
async fn a_close_writes_and_syncs_everything_and_the_next_process_has_it_all() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    for seed in 1..=20 {
        queue.append(meta(10), payload(seed, 5000));
    }
    queue.settle(0, at(3, 5), Fate::Delivered);
    queue.close().await;
    assert!(home.sabotage.syncs() >= 2, "a segment and a cursor");
    assert_eq!(queue.ledger(0).lost_at_exit, 0);
    assert_eq!(queue.ledger(0).pending, 175);
    queue.close().await;

    let queue = home.open(&["a"]);
    assert_eq!(queue.cursor(0), at(3, 5));
    assert_eq!(queue.ledger(0), Ledger { recovered: 175, pending: 175, ..Ledger::default() });
    let records = read_all(&queue).await;
    assert_eq!(
        records.iter().map(|record| record.sequence).collect::<Vec<_>>(),
        (3..=20).collect::<Vec<_>>()
    );
    for record in records {
        assert_eq!(record.payload, payload(record.sequence, 5000));
        assert_eq!(record.meta, meta(10));
    }
}

#[tokio::test]
async fn after_a_kill_everything_written_is_there_and_at_most_the_last_settle_is_repeated() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    for seed in 1..=20 {
        queue.append(meta(10), payload(seed, 500));
    }
    written(&queue);
    queue.settle(0, at(5, 0), Fate::Delivered);
    written(&queue);
    home.sabotage.freeze();
    queue.settle(0, at(8, 0), Fate::Delivered);
    // What a kill leaves at this moment: the copy is what the next process finds.
    let copy = Home::new();
    for file in home.files("") {
        std::fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
    }
    home.sabotage.thaw();
    let next = copy.open(&["a"]);
    assert_eq!(next.cursor(0), at(5, 0));
    assert_eq!(read_all(&next).await.len(), 16);
    assert_eq!(next.append(meta(1), payload(1, 1)), 21);
}

#[tokio::test]
async fn restarts_go_on_in_the_same_segment() {
    let home = Home::new();
    for round in 1..=5 {
        let queue = home.open(&["a"]);
        assert_eq!(queue.append(meta(1), payload(round, 100)), round);
        written(&queue);
    }
    assert_eq!(home.files("segment-").len(), 1);
    assert_eq!(read_all(&home.open(&["a"])).await.len(), 5);
}

#[tokio::test]
async fn in_memory_a_close_loses_what_is_pending_and_says_so() {
    let queue = in_memory(1 << 20, &["a", "b"]);
    queue.append(meta(10), payload(1, 100));
    queue.settle(0, at(1, 3), Fate::Delivered);
    queue.close().await;
    assert_eq!(queue.ledger(0), Ledger { appended: 10, delivered: 3, lost_at_exit: 7, ..Ledger::default() });
    assert_eq!(queue.ledger(1), Ledger { appended: 10, lost_at_exit: 10, ..Ledger::default() });
    queue.append(meta(5), payload(2, 100));
    assert_eq!(queue.ledger(1).lost_at_exit, 15);
    assert_eq!(queue.read(0).await.unwrap(), None);
    queue.close().await;
}

#[tokio::test]
async fn a_disk_read_after_the_close_is_refused() {
    let mut home = Home::new();
    home.max_memory_bytes = 1;
    let queue = home.open(&["a"]);
    for seed in 1..=2 {
        queue.append(meta(10), payload(seed, 100));
        written(&queue);
    }
    queue.close().await;
    assert!(matches!(queue.read(1).await, Err(ReadError::Closed)));
    assert_eq!(queue.ledger(0).pending, 20);
}

#[tokio::test]
async fn the_end_moves_with_each_append_and_survives_a_restart() {
    let home = Home::new();
    let queue = home.open(&["a"]);
    let mut end = queue.end();
    assert_eq!(*end.borrow_and_update(), 1);
    queue.append(meta(1), payload(1, 10));
    end.changed().await.unwrap();
    assert_eq!(*end.borrow_and_update(), 2);
    queue.close().await;
    assert_eq!(*home.open(&["a"]).end().borrow(), 2);
}

#[test]
fn an_unknown_endpoint_has_nothing() {
    let queue = in_memory(1 << 20, &["a"]);
    queue.append(meta(1), payload(1, 10));
    assert_eq!(queue.settle(7, at(2, 0), Fate::Delivered), 0);
    assert_eq!((queue.ledger(7), queue.cursor(7)), (Ledger::default(), Position::default()));
}

#[tokio::test]
async fn what_every_endpoint_takes_in_time_is_never_written() {
    let mut home = Home::new();
    home.timing.linger = Duration::from_secs(3600);
    let queue = home.open(&["a", "b"]);
    for seed in 1..=20 {
        let sequence = queue.append(meta(10), payload(seed, 100));
        queue.settle(0, at(sequence + 1, 0), Fate::Delivered);
        queue.settle(1, at(sequence + 1, 0), Fate::Delivered);
    }
    eventually("the cursors are written", || !queue.shared().lock().book.has_dirty_cursor());
    assert_eq!(home.files("segment-").len(), 0);
}

#[tokio::test]
async fn a_record_is_written_when_it_was_not_taken_in_time_and_everything_behind_it_at_once() {
    let mut home = Home::new();
    home.timing.linger = Duration::from_millis(20);
    let queue = home.open(&["a", "dead"]);
    queue.append(meta(10), payload(1, 100));
    eventually("it is on disk", || queue.stats().waiting_records == 0);
    queue.settle(0, at(2, 0), Fate::Delivered);
    let desk = queue.shared().lock();
    let (now, hour) = (Instant::now(), Duration::from_secs(3600));
    assert_eq!(desk.book.write_due(hour), None);
    drop(desk);
    home.sabotage.freeze();
    queue.append(meta(10), payload(2, 100));
    let due = queue.shared().lock().book.write_due(hour);
    assert!(due.is_some_and(|due| due < now + hour), "one endpoint is behind");
    home.sabotage.thaw();
    written(&queue);
}

#[tokio::test]
async fn a_ring_that_fills_up_does_not_wait_for_the_endpoints() {
    let mut home = Home::new();
    home.timing.linger = Duration::from_secs(3600);
    home.max_memory_bytes = 10 * 228;
    let queue = home.open(&["a"]);
    for seed in 1..=5 {
        queue.append(meta(10), payload(seed, 100));
    }
    assert_eq!(queue.stats().waiting_records, 5);
    queue.append(meta(10), payload(6, 100));
    eventually("more than half of the ring waits", || queue.stats().waiting_records == 0);
    assert_eq!(queue.ledger(0).overflowed, 0);
}
