//! What has been learned of the engine, kept for the next process: `state/identity` in `QUEUE_DIR`.
//!
//! Read while the rooms are built, written on the blocking pool, never on the main thread.

use std::{fs, io};

use tokio::sync::watch;
use tracing::warn;

use super::note;
use crate::queue::Storage;
use crate::scrape::Identity;

const NOTE: &str = "identity";

/// What an earlier process has learned; nothing where there is no note that can be read. Blocks while the disk does.
pub(super) fn read(storage: &Storage) -> Identity {
    let note = note::path(storage, NOTE).and_then(|path| fs::read_to_string(path).ok());
    note.map(|note| Identity::parse(&note)).unwrap_or_default()
}

/// Keeps what is learned, for ever. One write at a time: a frozen disk keeps one thread, and what is learned meanwhile is written after it.
/// May be dropped at any time.
pub(super) async fn keep(
    storage: &Storage,
    mut learned: watch::Receiver<Identity>,
) -> std::convert::Infallible {
    let Some(path) = note::path(storage, NOTE) else { return std::future::pending().await };
    while learned.changed().await.is_ok() {
        let (path, note) = (path.clone(), learned.borrow_and_update().note());
        let written = tokio::task::spawn_blocking(move || note::write(&path, &note)).await;
        if let Err(error) = written.unwrap_or_else(|panicked| Err(io::Error::other(panicked))) {
            warn!(%error, "what the engine says of itself cannot be kept in QUEUE_DIR: after the next start, scrapes wait until it says it again");
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_learned_outlives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::Disk(dir.path().join("queue"));
        assert_eq!(read(&storage), Identity::default());
        let (learn, learned) = watch::channel(Identity::default());
        let identity = Identity::parse(r#"{"daemon_id":"D","node_id":""}"#);
        assert_ne!(identity, Identity::default());
        let kept = {
            let storage = storage.clone();
            tokio::spawn(async move { keep(&storage, learned).await })
        };
        learn.send_replace(identity.clone());
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        while read(&storage) != identity {
            assert!(tokio::time::Instant::now() < deadline, "never written");
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        kept.abort();
    }

    #[test]
    fn a_note_that_cannot_be_read_or_written_is_no_knowledge_and_no_end() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "no directory").unwrap();
        let storage = Storage::Disk(dir.path().join("file/queue"));
        assert_eq!(read(&storage), Identity::default());
        assert!(note::write(&note::path(&storage, NOTE).unwrap(), "{}").is_err());
        assert_eq!(read(&Storage::Memory), Identity::default());
    }
}
