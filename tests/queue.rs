//! The queue from outside, through its public handle.

use bytes::Bytes;
use docker_remote_write::queue::{Config, Queue, RecordMeta, Storage};

#[tokio::test]
async fn what_is_on_disk_can_be_read_again_and_again() {
    const RECORDS: usize = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::Disk(dir.path().to_owned());
    let config =
        Config { storage, max_disk_bytes: 64 << 20, min_free_disk: None, max_memory_bytes: 64 << 20 };
    let names = ["default".to_owned()];
    let meta = RecordMeta { samples: 1, markers: 0, min_timestamp: 1, max_timestamp: 1 };
    let queue = Queue::open(&config, &names).unwrap();
    for _ in 0..RECORDS {
        queue.append(meta, Bytes::from(vec![7; 10_000]));
    }
    queue.close().await;
    drop(queue);

    let queue = Queue::open(&config, &names).unwrap();
    for round in 0..3 {
        let (mut from, mut read) = (0, 0);
        while let Some(record) = queue.read(from).await.unwrap() {
            from = record.sequence + 1;
            read += 1;
        }
        assert_eq!(read, RECORDS, "round {round}");
    }
}
