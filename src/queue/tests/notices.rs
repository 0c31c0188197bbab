//! What is said, and how often.

use std::io;

use rustix::io::Errno;

use super::super::account::Account;
use super::super::book::Book;
use super::super::health::{Health, Work};
use super::super::notice::Notice;
use super::super::opening::Opening;
use super::*;

fn book(storage: Storage, max_memory_bytes: u64) -> Book {
    let accounts = ["a", "b"].map(|name| Account::new(name, at(1, 0), None)).to_vec();
    let config = Config { storage, max_disk_bytes: 1 << 20, min_free_disk: None, max_memory_bytes };
    Book::open(&config, Opening { accounts, next: 1, ..Opening::default() })
}

#[test]
fn a_full_ring_is_one_line_when_it_begins_and_one_for_each_endpoint_when_it_ends() {
    let mut book = book(Storage::Memory, 10 * 228);
    for seed in 1..=30 {
        book.append(meta(10), payload(seed, 100), Form::Packed, Instant::now());
    }
    let lines = book.take_notices();
    assert!(matches!(lines[..], [Notice::MemoryFull { sequence: 1, .. }]), "{lines:?}");
    book.settle(0, at(31, 0), Fate::Delivered);
    assert!(book.take_notices().is_empty(), "the other endpoint still needs everything");
    book.settle(1, at(31, 0), Fate::Delivered);
    let lines = book.take_notices();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in lines {
        assert!(matches!(line, Notice::MemoryRelieved { records: 20, samples: 200, .. }), "{line:?}");
    }
}

#[test]
fn stalls_are_one_line_until_a_record_is_on_disk() {
    let mut book = book(Storage::Disk(PathBuf::new()), 1 << 20);
    let (start, limit) = (Instant::now(), Duration::from_secs(5));
    for seed in 1..=3 {
        book.append(meta(1), payload(seed, 10), Form::Packed, start);
    }
    book.look_for_stalls(start + Duration::from_millis(4999), limit);
    assert_eq!(book.stats().stalled_appends, 0);
    for _ in 0..2 {
        book.look_for_stalls(start + limit, limit);
    }
    assert_eq!(book.stats().stalled_appends, 3);
    book.segment_made(1);
    book.confirm(1, 16);
    let notice = book.health.worked(Work::Record, start + 2 * limit);
    book.note(notice);
    let lines = book.take_notices();
    assert!(matches!(lines[0], Notice::Stalled { waiting: 3, .. }), "{lines:?}");
    assert!(
        matches!(lines[1], Notice::Recovered { work: Work::Record, after } if after == limit),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 2);
}

#[test]
fn failures_are_said_at_each_change_and_once_at_the_recovery() {
    let mut health = Health::default();
    let (now, retry) = (Instant::now(), Duration::from_secs(5));
    let mut said = |errno: Errno, work| {
        let notice = health.failed(work, &io::Error::from(errno), now, retry);
        assert!(!health.ready(work, now) && health.ready(work, now + retry));
        notice.is_some()
    };
    assert!(said(Errno::NOSPC, Work::Record));
    assert!(!said(Errno::NOSPC, Work::Record));
    assert!(said(Errno::IO, Work::Record));
    assert!(said(Errno::NOSPC, Work::Cursor), "another kind of work is another line");
    assert!(!said(Errno::NOSPC, Work::Cursor));
    assert_eq!((health.faults.no_space, health.faults.io), (4, 1));
    assert!(health.worked(Work::Record, now).is_some());
    assert!(health.worked(Work::Record, now).is_none());
    assert!(health.records_reach_disk());
}
