//! The queue's recovery: a sound directory is damaged by the input as a script, then opened by the queue itself, used, and opened again.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use docker_remote_write::queue::{Config, Damage, Queue, RecordMeta, Storage};
use tempfile::TempDir;

use super::queue_image::{Appended, Image};
use super::{Outcome, Target, panics};

pub(crate) const TARGET: Target = Target {
    name: "queue_recovery",
    run,
    words: &[
        b"\x00\x02\x10\x00",
        b"\x01\x02\x10\x00\x04\xffRWr",
        b"\x02\x03\x60\x00",
        b"\x03\x04\x00\x00\x04\xffRWr",
        b"\x04\x00",
        b"\x05\x03\x00\x00\x03",
        b"\x05\x03\x00\x00\x05\x02",
        b"\x06\x03\x00\x00\x01\x01\xff",
        b"\x06\x04\x00\x00\x02\x00\xa0",
        b"\x06\x02\x00\x00\x00\x02\xa0",
        b"\x08\x00\x00\x00\x09\xff\xff\x00",
        b"\x08\x00\x00\x00\x09\x0c\x01\x01",
        b"\x09\x02\x00\x00\xff\x00\x06+\x01\x00\x00\x00x",
        b"\x09\x02\x00\x00\x04\x01\x00",
        b"\x0a\x03\x10\x00\x50\x00\x04\x10\x00",
        b"\x0b\x03\x10\x00\x20\x00",
        b"\xff\xff\xff\xff",
    ],
    fixtures: &[],
    longest: 512,
    memory: (4 << 20, 64 << 10),
};

const THREAD: &str = "queue";

/// What each test of a life appends.
const NEW: RecordMeta = RecordMeta { samples: 3, markers: 1, min_timestamp: 5, max_timestamp: 6 };

thread_local! {
    static HOME: TempDir = {
        panics::watch();
        // Where a sync costs nothing: what is looked for is not in the file system.
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        directory.expect("a temporary directory")
    };
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
}

/// # Panics
/// If the queue gives out what was not appended, loses its ledger, or does not come to rest.
pub(crate) fn run(script: &[u8]) -> Outcome {
    let mut image = Image::sound();
    image.damage(script);
    HOME.with(|home| RUNTIME.with(|runtime| runtime.block_on(lives(home.path(), &image, script.is_empty()))))
}

/// Everything that a life of the queue tells.
#[derive(Debug, PartialEq, Eq)]
struct Life {
    records: Vec<Appended>,
    set: Vec<Vec<u8>>,
    pending: [u64; 2],
    damage: Damage,
}

async fn lives(home: &Path, image: &Image, sound: bool) -> Outcome {
    let directory = home.join("queue");
    lay_out(&directory, image);

    let (queue, first) = begin(&directory).await;
    for record in &first.records {
        // The CRC of nothing is zero: a forged length makes a whole record of a header with zeros at its end.
        if image.forged && record.payload.is_empty() {
            continue;
        }
        let appended = image.appended.iter().any(|appended| {
            let same = (appended.sequence, appended.samples) == (record.sequence, record.samples);
            appended.payload == record.payload && (same || image.forged)
        });
        assert!(appended, "{record:?} was never appended");
    }
    assert!(image.forged || first.set.iter().all(|entry| image.set.contains(entry)), "{:?}", first.set);
    if sound {
        // Records 1 and 2 are behind both cursors. Record n has n % 5 samples; the cursors stand at 3, entry 2, and at 9.
        assert_eq!((first.records.len(), first.set.len(), first.damage), (10, 3, Damage::default()));
        assert_eq!(first.pending, [18, 7]);
    }
    let payload = Bytes::from_static(b"appended after the damage");
    let sequence = queue.append(NEW, payload.clone());
    assert!(first.records.iter().all(|known| known.sequence < sequence), "{sequence} was there before");
    let read = queue.read(sequence).await.expect("the file system is sound").expect("the new record");
    assert_eq!((read.sequence, read.meta, &read.payload), (sequence, NEW, &payload));
    assert_closed(&queue);
    queue.close().await;
    drop(queue);

    let (queue, second) = begin(&directory).await;
    let mut expected = first.records.clone();
    expected.push(Appended { sequence, samples: NEW.samples, payload: payload.to_vec() });
    assert_eq!(second.records, expected, "what could be read stays, and what was appended comes to it");
    assert_eq!(second.pending, first.pending.map(|pending| pending + 3));
    assert_eq!(second.set, first.set);
    assert_eq!(
        (second.damage.torn_tails, second.damage.journal_torn_bytes),
        (0, 0),
        "torn ends are cut once"
    );
    queue.close().await;
    drop(queue);

    let (queue, third) = begin(&directory).await;
    assert_eq!(third, second, "opening changes nothing more");
    queue.close().await;
    panics::assert_none(THREAD);

    let Damage {
        torn_tails, damaged_records, unreadable_segments, unknown_segments, damaged_cursors, ..
    } = first.damage;
    Outcome::default()
        .with((
            torn_tails.min(3),
            damaged_records.min(4),
            unreadable_segments,
            unknown_segments,
            damaged_cursors,
        ))
        .with((
            first.damage.journal_torn_bytes > 0,
            first.damage.damaged_journal_places.min(2),
            first.set.len().min(5),
        ))
        .with(first.records.len())
}

fn lay_out(directory: &PathBuf, image: &Image) {
    match fs::remove_dir_all(directory) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
    }
    fs::create_dir(directory).expect("a directory");
    for (name, bytes) in &image.files {
        fs::write(directory.join(name), bytes).expect("a file");
    }
}

async fn begin(directory: &Path) -> (Queue, Life) {
    let config = Config {
        storage: Storage::Disk(directory.to_owned()),
        max_disk_bytes: 64 << 20,
        min_free_disk: Some(0),
        max_memory_bytes: 1 << 20,
    };
    let names = ["a".to_owned(), "b".to_owned()];
    let queue = Queue::open(&config, &names).expect("damaged contents are no error");
    let mut set: Vec<Vec<u8>> =
        queue.journal("series").take_recovered().iter().map(|entry| entry.to_vec()).collect();
    set.sort();
    let mut records: Vec<Appended> = Vec::new();
    let mut from = 0;
    while let Some(record) = queue.read(from).await.expect("the file system is sound") {
        assert!(record.sequence >= from, "sequences ascend");
        from = record.sequence + 1;
        let (sequence, samples, payload) = (record.sequence, record.meta.samples, record.payload.to_vec());
        records.push(Appended { sequence, samples, payload });
    }
    assert_closed(&queue);
    let pending = [0, 1].map(|endpoint| queue.ledger(endpoint).pending);
    for (endpoint, pending) in pending.iter().enumerate() {
        let cursor = queue.cursor(endpoint);
        let behind = records.iter().filter(|record| record.sequence >= cursor.sequence);
        let samples: u64 = behind.map(|record| u64::from(record.samples)).sum();
        let inside = records.iter().any(|record| record.sequence == cursor.sequence);
        assert!(inside || cursor.entry == 0, "a cursor stands in a record that is not there");
        assert_eq!(*pending, samples - u64::from(cursor.entry), "what is pending is what can be read");
    }
    let damage = queue.stats().damage;
    (queue, Life { records, set, pending, damage })
}

fn assert_closed(queue: &Queue) {
    for endpoint in 0..2 {
        let ledger = queue.ledger(endpoint);
        let out =
            ledger.delivered + ledger.rejected + ledger.expired + ledger.overflowed + ledger.lost_at_exit;
        assert_eq!(ledger.appended + ledger.recovered, out + ledger.pending, "{ledger:?}");
    }
}
