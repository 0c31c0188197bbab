//! Which message each endpoint takes, kept for the next process: `state/protocols` in `QUEUE_DIR`, a line for each endpoint: its name, a
//! checksum of its URL (another URL is another receiver), the version, and since when (ms since the epoch).
//!
//! Read while the rooms are built, written on the blocking pool, never on the main thread.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::{fs, io};

use tokio::sync::watch;
use tracing::warn;

use super::note;
use crate::queue::Storage;
use crate::remote::{Config, Learned};

const NOTE: &str = "protocols";

/// What an earlier process has learned of each endpoint, in their order. Blocks while the disk does.
pub(super) fn read(storage: &Storage, endpoints: &[Config]) -> Vec<Learned> {
    let note = note::path(storage, NOTE).and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    endpoints.iter().map(|endpoint| find(&note, endpoint)).collect()
}

fn find(note: &str, endpoint: &Config) -> Learned {
    let key = key(endpoint);
    let line = note.lines().find_map(|line| line.strip_prefix(key.as_str()));
    match line.map(|line| line.split(' ').collect::<Vec<_>>()).as_deref() {
        Some(["", "1.0", since]) => since.parse().map_or(Learned::Nothing, |since| Learned::V1 { since }),
        Some(["", "2.0"]) => Learned::V2,
        Some(_) | None => Learned::Nothing,
    }
}

/// Names have no blanks. The URL may hold a secret in its query.
fn key(endpoint: &Config) -> String {
    let mut hasher = DefaultHasher::new();
    endpoint.url.as_str().hash(&mut hasher);
    format!("{} {:016x}", endpoint.name, hasher.finish())
}

fn write(endpoints: &[Config], learned: &[Learned]) -> String {
    let mut note = String::new();
    for (endpoint, learned) in endpoints.iter().zip(learned) {
        match learned {
            Learned::Nothing => {}
            Learned::V1 { since } => note.push_str(&format!("{} 1.0 {since}\n", key(endpoint))),
            Learned::V2 => note.push_str(&format!("{} 2.0\n", key(endpoint))),
        }
    }
    note
}

/// Keeps what is learned, for ever; one write at a time. May be dropped at any time.
pub(super) async fn keep(
    storage: &Storage,
    endpoints: &[Config],
    mut learned: Vec<watch::Receiver<Learned>>,
) -> std::convert::Infallible {
    let Some(path) = note::path(storage, NOTE) else { return std::future::pending().await };
    loop {
        any_changed(&mut learned).await;
        let now: Vec<Learned> = learned.iter_mut().map(|one| *one.borrow_and_update()).collect();
        let (path, note) = (path.clone(), write(endpoints, &now));
        let written = tokio::task::spawn_blocking(move || note::write(&path, &note)).await;
        if let Err(error) = written.unwrap_or_else(|panicked| Err(io::Error::other(panicked))) {
            warn!(%error, "which message each endpoint takes cannot be kept in QUEUE_DIR: the next start asks anew");
        }
    }
}

async fn any_changed(learned: &mut [watch::Receiver<Learned>]) {
    let mut changes: Vec<_> = learned
        .iter_mut()
        .map(|one| {
            Box::pin(async move {
                if one.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            })
        })
        .collect();
    std::future::poll_fn(|context| {
        let ready = changes.iter_mut().any(|change| change.as_mut().poll(context).is_ready());
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config as Settings, Mode};
    use std::collections::BTreeMap;

    fn endpoints(url: &str) -> Vec<Config> {
        let settings = [("REMOTE_WRITE_URL", url), ("QUEUE_STORAGE", "memory")];
        let settings: BTreeMap<String, String> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::from_env(Mode::Run, &settings).unwrap().config.endpoints
    }

    #[tokio::test]
    async fn what_is_learned_outlives_the_process_but_not_the_url() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::Disk(dir.path().join("queue"));
        let ours = endpoints("http://a/w?token=hunter2");
        assert_eq!(read(&storage, &ours), [Learned::Nothing]);
        for wanted in [Learned::V1 { since: 1_790_000_000_000 }, Learned::V2] {
            let (learn, learned) = watch::channel(Learned::Nothing);
            let kept = {
                let (storage, ours) = (storage.clone(), ours.clone());
                tokio::spawn(async move { keep(&storage, &ours, vec![learned]).await })
            };
            learn.send_replace(wanted);
            let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
            while read(&storage, &ours) != [wanted] {
                assert!(tokio::time::Instant::now() < deadline, "never written");
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            kept.abort();
            assert_eq!(read(&storage, &endpoints("http://b/w")), [Learned::Nothing]);
        }
        let note = fs::read_to_string(note::path(&storage, NOTE).unwrap()).unwrap();
        assert!(!note.contains("hunter2"));
    }

    #[test]
    fn a_note_that_cannot_be_understood_is_no_knowledge() {
        let ours = endpoints("http://a/w");
        for line in ["", "x", " 1.0", " 1.0 soon", " 3.0", "1.0 5"] {
            assert_eq!(find(&format!("{}{line}\n", key(&ours[0])), &ours[0]), Learned::Nothing, "{line}");
        }
        assert_eq!(read(&Storage::Memory, &ours), [Learned::Nothing]);
    }
}
