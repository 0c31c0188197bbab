use proptest::prelude::*;

use super::super::format::{self, RECORD_HEADER, SEGMENT_HEADER};
use super::super::segment;
use super::*;

/// A segment and where its records end.
fn segment_of(sizes: &[usize]) -> (Vec<u8>, Vec<Record>, Vec<usize>) {
    let mut bytes = format::segment_header().to_vec();
    let mut records = Vec::new();
    let mut ends = Vec::new();
    for (sequence, size) in (1..).zip(sizes) {
        let record = Record {
            sequence,
            meta: meta(sequence as u32 % 7),
            payload: payload(sequence, *size),
            form: Form::Packed,
        };
        bytes.extend_from_slice(&format::record_header(&record).unwrap());
        bytes.extend_from_slice(&record.payload);
        ends.push(bytes.len());
        records.push(record);
    }
    (bytes, records, ends)
}

/// Opens a queue over these bytes, reads everything, appends a record, and reads everything again after a restart.
fn recovered(bytes: &[u8]) -> (Vec<Record>, Damage, Vec<Record>) {
    let home = Home::new();
    std::fs::write(home.path().join(segment::file_name(1)), bytes).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let queue = home.open(&["a"]);
        let damage = queue.stats().damage;
        let first = read_all(&queue).await;
        let samples: u64 = first.iter().map(|record| u64::from(record.meta.samples)).sum();
        assert_eq!(queue.ledger(0).recovered, samples);
        queue.append(meta(9), payload(999, 40));
        written(&queue);
        drop(queue);
        let second = read_all(&home.open(&["a"])).await;
        (first, damage, second)
    })
}

fn assert_appended(first: &[Record], second: &[Record], largest_seen: u64) {
    assert_eq!(second.len(), first.len() + 1, "what was readable stays, and an append works");
    assert_eq!(&second[..first.len()], first);
    let new = second.last().unwrap();
    assert_eq!(new.payload, payload(999, 40));
    assert!(new.sequence > largest_seen);
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0usize..300, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_segment_cut_at_any_byte_keeps_every_whole_record(sizes in sizes(), at in any::<prop::sample::Index>()) {
        let (bytes, records, ends) = segment_of(&sizes);
        let cut = at.index(bytes.len() + 1);
        let whole = ends.iter().take_while(|end| **end <= cut).count();
        let (first, damage, second) = recovered(&bytes[..cut]);
        prop_assert_eq!(&first, &records[..whole]);
        let edge = if whole == 0 { SEGMENT_HEADER } else { ends[whole - 1] };
        let torn = cut.saturating_sub(edge);
        prop_assert_eq!(damage.torn_bytes, torn as u64);
        prop_assert_eq!(damage.torn_tails, u64::from(torn > 0));
        prop_assert_eq!(damage.damaged_records, 0);
        assert_appended(&first, &second, whole as u64);
    }

    #[test]
    fn a_flipped_byte_costs_the_record_it_is_in_and_no_other(sizes in sizes(), at in any::<prop::sample::Index>(), mask in 1u8..) {
        let (mut bytes, mut records, ends) = segment_of(&sizes);
        let flipped = at.index(bytes.len());
        bytes[flipped] ^= mask;
        let largest_seen = records.last().unwrap().sequence - 1;
        if flipped >= SEGMENT_HEADER {
            records.remove(ends.iter().take_while(|end| **end <= flipped).count());
        }
        let (first, damage, second) = recovered(&bytes);
        prop_assert_eq!(&first, &records);
        prop_assert_eq!(damage.damaged_records + damage.torn_tails, 1);
        prop_assert!(damage.damaged_bytes + damage.torn_bytes >= SEGMENT_HEADER as u64);
        assert_appended(&first, &second, largest_seen);
    }

    #[test]
    fn any_bytes_at_all_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000), with_header in any::<bool>()) {
        let mut file = if with_header { format::segment_header().to_vec() } else { Vec::new() };
        file.extend_from_slice(&bytes);
        let (first, _, second) = recovered(&file);
        prop_assert!(first.is_empty());
        assert_appended(&first, &second, 1);
    }
}

#[test]
fn a_payload_that_looks_like_a_record_is_not_taken_for_one_when_its_own_record_is_damaged() {
    let inner = Record { sequence: 3, meta: meta(1), payload: payload(3, 10), form: Form::Packed };
    let mut hostile = format::record_header(&inner).unwrap().to_vec();
    hostile.extend_from_slice(&inner.payload);
    hostile.push(0);
    let outer = Record { sequence: 2, meta: meta(5), payload: hostile.into(), form: Form::Packed };
    let mut bytes = format::segment_header().to_vec();
    bytes.extend_from_slice(&format::record_header(&outer).unwrap());
    bytes.extend_from_slice(&outer.payload);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let scan = format::scan(&bytes, 1..100);
    assert_eq!(scan.records, []);
    assert_eq!((scan.damaged_records, scan.damaged_samples, scan.torn_bytes), (1, 5, 0));
}

#[test]
fn a_record_whose_number_belongs_to_another_segment_is_not_taken() {
    let (bytes, _, ends) = segment_of(&[10, 10, 10]);
    let scan = format::scan(&bytes, 1..3);
    assert_eq!(scan.records.len(), 2);
    assert_eq!((scan.end, scan.torn_bytes), (ends[1], RECORD_HEADER + 10));
}

#[tokio::test]
async fn a_segment_of_an_unknown_version_is_left_alone_and_its_numbers_are_not_used() {
    let home = Home::new();
    let mut header = format::segment_header();
    header[8] = 2;
    let crc = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&crc.to_le_bytes());
    let foreign = home.path().join(segment::file_name(7));
    std::fs::write(&foreign, header).unwrap();

    let queue = home.open(&["a"]);
    assert_eq!(queue.stats().damage.unknown_segments, 1);
    assert!(queue.append(meta(1), payload(1, 10)) > 7 + 1_000_000, "whatever numbers are in it");
    written(&queue);
    assert_eq!(std::fs::read(&foreign).unwrap(), header);
}

#[tokio::test]
async fn foreign_files_and_directories_are_left_alone() {
    let home = Home::new();
    std::fs::create_dir(home.path().join("etc")).unwrap();
    std::fs::write(home.path().join("segment-12"), "not ours").unwrap();
    std::fs::write(home.path().join("notes.txt"), "not ours").unwrap();
    let queue = home.open(&["a"]);
    queue.append(meta(1), payload(1, 10));
    queue.close().await;
    assert_eq!(std::fs::read(home.path().join("segment-12")).unwrap(), b"not ours");
    assert!(home.path().join("notes.txt").exists() && home.path().join("etc").exists());
}

#[tokio::test]
async fn a_record_that_is_damaged_after_it_was_written_is_skipped_and_counted_when_it_is_read() {
    let mut home = Home::new();
    home.max_memory_bytes = 1;
    let queue = home.open(&["a"]);
    for seed in 1..=4 {
        queue.append(meta(10), payload(seed, 100));
        written(&queue);
    }
    let segment = &home.files("segment-")[0];
    let mut bytes = std::fs::read(segment).unwrap();
    bytes[SEGMENT_HEADER + RECORD_HEADER + 148 + 5] ^= 0x40;
    std::fs::write(segment, bytes).unwrap();

    let sequences: Vec<u64> = read_all(&queue).await.iter().map(|record| record.sequence).collect();
    assert_eq!(sequences, [1, 3, 4]);
    let damage = queue.stats().damage;
    assert_eq!((damage.damaged_records, damage.damaged_samples), (1, 10));
    assert_eq!((queue.ledger(0).overflowed, queue.ledger(0).pending), (10, 30));
    assert_closes(&queue, 0);
}
