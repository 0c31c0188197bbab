//! What has been learned of the engine, kept for the next process: `state/identity` in `QUEUE_DIR`.
//!
//! Read while the rooms are built, written on the blocking pool, never on the main thread.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tokio::sync::watch;
use tracing::warn;

use crate::queue::Storage;
use crate::scrape::Identity;

/// In a directory that the queue does not look into.
const NOTE: &str = "state/identity";

/// Where the note is; nowhere with the queue in memory.
fn path(storage: &Storage) -> Option<PathBuf> {
    match storage {
        Storage::Disk(dir) => Some(dir.join(NOTE)),
        Storage::Memory => None,
    }
}

/// What an earlier process has learned; nothing where there is no note that can be read. Blocks while the disk does.
pub(super) fn read(storage: &Storage) -> Identity {
    let note = path(storage).and_then(|path| fs::read_to_string(path).ok());
    note.map(|note| Identity::parse(&note)).unwrap_or_default()
}

/// Keeps what is learned, for ever. One write at a time: a frozen disk keeps one thread, and what is learned meanwhile is written after it.
/// May be dropped at any time.
pub(super) async fn keep(
    storage: &Storage,
    mut learned: watch::Receiver<Identity>,
) -> std::convert::Infallible {
    let Some(path) = path(storage) else { return std::future::pending().await };
    while learned.changed().await.is_ok() {
        let (path, note) = (path.clone(), learned.borrow_and_update().note());
        let written = tokio::task::spawn_blocking(move || write(&path, &note)).await;
        if let Err(error) = written.unwrap_or_else(|panicked| Err(io::Error::other(panicked))) {
            warn!(%error, "what the engine says of itself cannot be kept in QUEUE_DIR: after the next start, scrapes wait until it says it again");
        }
    }
    std::future::pending().await
}

/// A kill leaves the old note or the new one.
fn write(path: &Path, note: &str) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(note.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
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
        assert!(write(&path(&storage).unwrap(), "{}").is_err());
        assert_eq!(read(&Storage::Memory), Identity::default());
    }
}
