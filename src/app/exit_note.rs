//! When this process's predecessors ended by themselves, so that no reason for that becomes a loop: a note for each reason, in `state` of `QUEUE_DIR`. It is
//! read while the rooms are built and written on the blocking pool, never on the main thread.

use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use tokio::task::JoinHandle;

use super::note;
use crate::collector::LastExit;
use crate::queue::Storage;

/// A frozen disk must not hold up anything; and a process that cannot end cleanly should not end.
const NOTE_LIMIT: Duration = Duration::from_secs(2);

/// The note of the last exit for one reason.
#[derive(Debug)]
pub(super) struct ExitNote {
    /// With the queue in memory there is nowhere to keep it.
    path: Option<PathBuf>,
    last: LastExit,
    /// Still waiting for the disk.
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl ExitNote {
    /// Blocks while the disk does.
    pub(super) fn read(storage: &Storage, name: &str) -> Self {
        let path = note::path(storage, name);
        let last = match path.as_ref().map(fs::read_to_string) {
            Some(Ok(note)) => LastExit::parse(&note),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => LastExit::Never,
            Some(Err(_)) | None => LastExit::Unknown,
        };
        Self { path, last, writing: None }
    }

    pub(super) fn last(&self) -> LastExit {
        self.last
    }

    /// One write at a time: a frozen disk keeps one thread, not one for each attempt.
    pub(super) async fn write(&mut self, exit: LastExit) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let path = path.clone();
        let writing = self
            .writing
            .get_or_insert_with(|| tokio::task::spawn_blocking(move || note::write(&path, &exit.note())));
        let Ok(written) = tokio::time::timeout(NOTE_LIMIT, writing).await else {
            return Err(io::ErrorKind::TimedOut.into());
        };
        self.writing = None;
        written.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::FIRST_PAUSE;

    #[tokio::test]
    async fn a_note_outlives_the_process_that_wrote_it() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::Disk(dir.path().join("queue"));
        let mut note = ExitNote::read(&storage, "an-exit");
        assert_eq!(note.last(), LastExit::Never);
        let exit = LastExit::At { ms: 1_700_000_000_000, pause: FIRST_PAUSE * 2 };
        note.write(exit).await.unwrap();
        assert_eq!(ExitNote::read(&storage, "an-exit").last(), exit);
    }

    #[tokio::test]
    async fn where_no_note_can_be_kept_the_last_exit_is_unknown_and_writing_says_why() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "no directory").unwrap();
        let mut note = ExitNote::read(&Storage::Disk(dir.path().join("file/queue")), "an-exit");
        assert_eq!(note.last(), LastExit::Unknown);
        assert!(note.write(LastExit::Never.then(1, FIRST_PAUSE)).await.is_err());
        let mut in_memory = ExitNote::read(&Storage::Memory, "an-exit");
        assert_eq!(in_memory.last(), LastExit::Unknown);
        in_memory.write(LastExit::Never.then(1, FIRST_PAUSE)).await.unwrap();
    }
}
