//! The file of `METRIC_RELABEL_CONFIGS`: read on the blocking pool, looked at again for a change, handed on when it is good.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::model::now_ms;
use crate::relabel::{CompileError, NameFilter, Rules};
use crate::sandbox::{Wanted, why_refused};
use crate::scrape::Relabelling;

/// More than any list of rules; reading an endless file ends here.
const MAX_BYTES: u64 = 4 << 20;
/// How long a file system may take before somebody is told.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a file that has never been good is looked at, where `CONFIG_RELOAD_INTERVAL` is off.
const UNTIL_FIRST: Duration = Duration::from_secs(30);

/// Why the file gives no rules.
#[derive(Debug, thiserror::Error)]
pub enum RulesFileError {
    /// It cannot be opened or read.
    #[error("METRIC_RELABEL_CONFIGS: cannot read {}: {source}{why}", path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
        /// What owner, mode or the sandbox have to do with it; may be empty.
        why: String,
    },
    /// It was read, and is no list of rules.
    #[error("METRIC_RELABEL_CONFIGS: cannot use {}: {problems}", path.display())]
    Content {
        /// Where.
        path: PathBuf,
        /// All of them, each with its line and column.
        problems: String,
    },
}

/// What the looks at the file came to, for our own series.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    bad: AtomicBool,
    errors: AtomicU64,
    /// ms since the epoch; 0 before the first.
    taken_over: AtomicI64,
}

impl Reloads {
    /// Whether the last look succeeded.
    pub(super) fn ok(&self) -> bool {
        !self.bad.load(Ordering::Relaxed)
    }

    /// Looks that failed.
    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// When new content was taken over last, ms since the epoch.
    pub(super) fn taken_over(&self) -> Option<i64> {
        Some(self.taken_over.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    fn failed(&self) {
        self.bad.store(true, Ordering::Relaxed);
        self.errors.fetch_add(1, Ordering::Relaxed);
    }
}

/// The file and what was last made of it.
#[derive(Debug)]
pub(super) struct RulesFile {
    path: PathBuf,
    names: NameFilter,
    interval: Option<Duration>,
    /// The content that was looked at last, and what is wrong with it. Contents are compared, not times: they are small, and symlinks are
    /// swapped.
    content: Option<(String, Result<(), String>)>,
    /// What was said of it last, so that it is said once.
    said: Option<String>,
    rules: watch::Sender<Option<Relabelling>>,
    reloads: Arc<Reloads>,
}

impl RulesFile {
    /// Nothing is read yet.
    pub(super) fn new(path: PathBuf, names: NameFilter, interval: Option<Duration>) -> Self {
        let (rules, _) = watch::channel(None);
        Self { path, names, interval, content: None, said: None, rules, reloads: Arc::default() }
    }

    /// Rules as they come; `None` until the file has been good once.
    pub(super) fn rules(&self) -> watch::Receiver<Option<Relabelling>> {
        self.rules.subscribe()
    }

    pub(super) fn reloads(&self) -> Arc<Reloads> {
        Arc::clone(&self.reloads)
    }

    /// The first look; blocks while the disk does.
    ///
    /// # Errors
    /// When there are no rules in it.
    pub(super) fn load(&mut self) -> Result<(), RulesFileError> {
        let looked = read(&self.path).and_then(|content| self.take(content));
        if let Err(error) = &looked {
            self.reloads.failed();
            self.said = Some(error.to_string());
        }
        looked
    }

    /// Looks from time to time, for ever. May be dropped at any time.
    pub(super) async fn watch(mut self) -> std::convert::Infallible {
        loop {
            let known = self.rules.borrow().is_some();
            match (self.interval, known) {
                (Some(interval), _) => tokio::time::sleep(interval).await,
                (None, false) => tokio::time::sleep(UNTIL_FIRST).await,
                (None, true) => std::future::pending().await,
            }
            let looked = self.look().await;
            match looked.and_then(|content| self.take(content)) {
                Ok(()) => {
                    self.reloads.bad.store(false, Ordering::Relaxed);
                    self.said = None;
                }
                Err(error) => self.complain(&error),
            }
        }
    }

    /// One look at a time: a frozen disk keeps one thread, not one for each look.
    async fn look(&self) -> Result<String, RulesFileError> {
        let path = self.path.clone();
        let mut looking = tokio::task::spawn_blocking(move || read(&path));
        let looked = match tokio::time::timeout(PATIENCE, &mut looking).await {
            Ok(looked) => looked,
            Err(_) => {
                warn!(path = %self.path.display(), "the file of METRIC_RELABEL_CONFIGS is being read for more than {PATIENCE:?}: the file system does not answer; the rules before stay in force");
                looking.await
            }
        };
        let failed = |error| RulesFileError::Read {
            path: self.path.clone(),
            source: io::Error::other(error),
            why: String::new(),
        };
        looked.unwrap_or_else(|error| Err(failed(error)))
    }

    /// Hands on rules where the content is another than before; what was compiled once is not compiled again.
    fn take(&mut self, content: String) -> Result<(), RulesFileError> {
        let problems = |problems| RulesFileError::Content { path: self.path.clone(), problems };
        if let Some((known, verdict)) = &self.content
            && *known == content
        {
            return verdict.clone().map_err(problems);
        }
        let verdict = match Rules::compile(&content) {
            Ok(rules) => {
                info!(path = %self.path.display(), "the rules of METRIC_RELABEL_CONFIGS are read, and in force from the next scrape on");
                self.rules
                    .send_replace(Some(Relabelling { names: self.names.clone(), rules: Arc::new(rules) }));
                self.reloads.taken_over.store(now_ms(), Ordering::Relaxed);
                Ok(())
            }
            Err(errors) => {
                let all: Vec<_> = errors.iter().map(CompileError::to_string).collect();
                Err(all.join("; "))
            }
        };
        let taken = verdict.clone().map_err(problems);
        self.content = Some((content, verdict));
        taken
    }

    fn complain(&mut self, error: &RulesFileError) {
        self.reloads.failed();
        let text = error.to_string();
        if self.said.as_ref() != Some(&text) {
            let what_next = match self.rules.borrow().is_some() {
                true => "the rules before stay in force",
                false => "nothing is taken in until there are rules",
            };
            error!(%error, what_next, "no new rules");
            self.said = Some(text);
        }
    }
}

fn read(path: &Path) -> Result<String, RulesFileError> {
    let failed = |source| {
        let why = why_refused(path, Wanted::Read, &source);
        RulesFileError::Read { path: path.to_owned(), source, why }
    };
    let mut content = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut content).map_err(failed)?;
    if content.len() as u64 > MAX_BYTES {
        return Err(failed(io::Error::other("it is larger than 4 MiB")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DROP_A: &str = "- {source_labels: [__name__], regex: a, action: drop}\n";

    struct Bench {
        dir: tempfile::TempDir,
        rules: watch::Receiver<Option<Relabelling>>,
        reloads: Arc<Reloads>,
    }

    impl Bench {
        fn write(&self, content: &str) {
            std::fs::write(self.dir.path().join("rules.yml"), content).unwrap();
        }

        async fn until(&self, enough: impl Fn(&Reloads) -> bool) {
            let waiting = async {
                while !enough(&self.reloads) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap();
        }
    }

    fn bench(content: Option<&str>) -> (Bench, RulesFile) {
        let dir = tempfile::tempdir().unwrap();
        let every = Some(Duration::from_millis(5));
        let file = RulesFile::new(dir.path().join("rules.yml"), NameFilter::default(), every);
        let bench = Bench { dir, rules: file.rules(), reloads: file.reloads() };
        if let Some(content) = content {
            bench.write(content);
        }
        (bench, file)
    }

    #[tokio::test]
    async fn a_bad_new_file_keeps_the_old_rules_and_a_good_one_replaces_them() {
        let (mut bench, mut file) = bench(Some(DROP_A));
        file.load().unwrap();
        assert!(!bench.rules.borrow_and_update().as_ref().unwrap().rules.is_empty());
        let watching = tokio::spawn(file.watch());
        bench.write("- {action: dorp}\n");
        bench.until(|reloads| reloads.errors() > 1).await;
        assert!(!bench.reloads.ok() && !bench.rules.has_changed().unwrap());
        bench.write("");
        tokio::time::timeout(Duration::from_secs(20), bench.rules.changed()).await.unwrap().unwrap();
        assert!(bench.rules.borrow_and_update().as_ref().unwrap().rules.is_empty());
        bench.until(Reloads::ok).await;
        watching.abort();
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_yet_is_waited_for() {
        let (mut bench, mut file) = bench(None);
        let error = file.load().unwrap_err().to_string();
        assert!(error.starts_with("METRIC_RELABEL_CONFIGS: cannot read /") && error.contains("No such file"));
        assert!(bench.rules.borrow_and_update().is_none() && bench.reloads.taken_over().is_none());
        let watching = tokio::spawn(file.watch());
        bench.write(DROP_A);
        tokio::time::timeout(Duration::from_secs(20), bench.rules.changed()).await.unwrap().unwrap();
        assert!(bench.rules.borrow().is_some() && bench.reloads.taken_over().is_some());
        watching.abort();
    }

    #[test]
    fn every_problem_is_told_with_its_line_and_column() {
        let (_bench, mut file) = bench(Some("- {action: dorp}\n- {regex: '('}\n"));
        let error = file.load().unwrap_err().to_string();
        assert!(
            error.contains("line 1, column 12: unknown action") && error.contains("; line 2, "),
            "{error}"
        );
    }

    #[test]
    fn what_is_endless_or_no_text_is_refused() {
        let (bench, mut file) = bench(None);
        std::fs::File::create(bench.dir.path().join("rules.yml")).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(file.load().unwrap_err().to_string().ends_with("it is larger than 4 MiB"));
        std::fs::write(bench.dir.path().join("rules.yml"), b"\xff").unwrap();
        assert!(file.load().is_err());
    }
}
