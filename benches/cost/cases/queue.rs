//! The queue's steps: append, read from memory and from disk, recover.

use std::path::Path;

use docker_remote_write::queue::{Fate, Position, Queue, Storage};

use super::{Bytes, Run, black_box, copy_payloads, records};
use crate::pipe::queue_config;

/// A queue with the records of one scrape on disk, and what it needs to live.
struct Stored {
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Stored {
    fn new(series: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory for temporary files");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let stored = Self { dir, runtime };
        let queue = stored.open();
        for (meta, payload) in records(series) {
            queue.append(meta, payload);
        }
        stored.runtime.block_on(queue.close());
        stored
    }

    fn open(&self) -> Queue {
        open(self.dir.path())
    }
}

fn open(dir: &Path) -> Queue {
    let config = queue_config(Storage::Disk(dir.to_owned()));
    Queue::open(&config, &["main".to_owned()]).expect("a directory of our own")
}

fn segments(dir: &Path) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files
        .filter(|file| file.file_name().to_string_lossy().starts_with("segment-"))
        .filter_map(|file| std::fs::read(file.path()).ok())
        .collect()
}

/// Reads every record from the first one on; returns how many.
async fn read_all(queue: &Queue) -> usize {
    let (mut next, mut records) = (0, 0);
    while let Ok(Some(record)) = queue.read(next).await {
        next = record.sequence + 1;
        records += 1;
        black_box(record);
    }
    records
}

pub(crate) mod queue_append {
    use super::*;

    pub(crate) fn ours(series: usize) -> Run {
        let dir = tempfile::tempdir().expect("a directory for temporary files");
        let queue = open(dir.path());
        let records = records(series);
        Box::new(move || {
            let _keeps_the_directory = &dir;
            let mut last = 0;
            for (meta, payload) in &records {
                last = queue.append(*meta, Bytes::copy_from_slice(payload));
            }
            // The queue must not fill up from run to run.
            queue.settle(0, Position { sequence: last + 1, entry: 0 }, Fate::Delivered);
            None
        })
    }

    pub(crate) fn floor(series: usize) -> Run {
        copy_payloads(series)
    }
}

pub(crate) mod queue_read_memory {
    use super::*;

    pub(crate) fn ours(series: usize) -> Run {
        let queue = Queue::open(&queue_config(Storage::Memory), &["main".to_owned()]).expect("memory");
        for (meta, payload) in records(series) {
            queue.append(meta, payload);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Box::new(move || {
            black_box(runtime.block_on(read_all(&queue)));
            None
        })
    }

    pub(crate) fn floor(series: usize) -> Run {
        copy_payloads(series)
    }
}

pub(crate) mod queue_read_disk {
    use super::*;

    /// Recovered records are on disk only, and stay there until they are settled.
    pub(crate) fn ours(series: usize) -> Run {
        let stored = Stored::new(series);
        let queue = stored.open();
        Box::new(move || {
            let _keeps_the_directory = &stored.dir;
            black_box(stored.runtime.block_on(read_all(&queue)));
            None
        })
    }

    pub(crate) fn floor(series: usize) -> Run {
        read_segments(series)
    }
}

/// What recovery and reading must do at least; the page cache holds the files.
fn read_segments(series: usize) -> Run {
    let stored = Stored::new(series);
    Box::new(move || {
        for segment in segments(stored.dir.path()) {
            black_box(crc32fast::hash(&segment));
        }
        None
    })
}

pub(crate) mod queue_recover {
    use super::*;

    /// Lets go of the directory before the next run.
    struct Opened(Queue, std::rc::Rc<Stored>);

    impl Drop for Opened {
        fn drop(&mut self) {
            self.1.runtime.block_on(self.0.close());
        }
    }

    pub(crate) fn ours(series: usize) -> Run {
        let stored = std::rc::Rc::new(Stored::new(series));
        Box::new(move || Some(Box::new(Opened(stored.open(), std::rc::Rc::clone(&stored)))))
    }

    pub(crate) fn floor(series: usize) -> Run {
        read_segments(series)
    }
}
