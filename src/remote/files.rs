use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Auth, Config, Pem};
use crate::model::{Secret, SecretSource};
use crate::sandbox::{Wanted, why_refused};

/// No secret, key or CA bundle is larger; reading an endless file ends here.
const MAX_BYTES: u64 = 4 << 20;

/// How long a request waits for a disk or network file system that does not answer, before it goes on with what is known.
const PATIENCE: Duration = Duration::from_secs(5);

/// A file of the settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened or read.
    #[error("cannot read the {what} from {}: {source}{why}", path.display())]
    Read {
        /// What it is for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
        /// What owner, mode or the sandbox have to do with it; may be empty.
        why: String,
    },
    /// It was read, and is no such thing.
    #[error("cannot use the {what} from {}: {problem}", path.display())]
    Content {
        /// What it is for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why; never any of the content.
        problem: &'static str,
    },
    /// The file system does not answer.
    #[error(
        "the files of this endpoint could not be read within {PATIENCE:?}: the file system does not answer"
    )]
    Slow,
    /// The reading task ended by itself: the program is being shut down.
    #[error("the files of this endpoint were not read to the end: the program is stopping")]
    Aborted,
}

/// What may live in files, as it was at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Material {
    /// The password or the bearer token.
    pub(super) secret: Option<Secret>,
    /// PEM text of further roots.
    pub(super) ca: Option<Secret>,
    /// PEM text of the client certificate and of its key.
    pub(super) identity: Option<(Secret, Secret)>,
}

impl Material {
    /// Reads everything, blocking.
    pub(super) fn read(config: &Config) -> Result<Self, FileError> {
        let secret = match &config.auth {
            Auth::None | Auth::Basic { password: None, .. } => None,
            Auth::Basic { password: Some(source), .. } => Some(secret("password", source)?),
            Auth::Bearer(source) => Some(secret("bearer token", source)?),
        };
        let ca = config.tls.ca.as_ref().map(|ca| pem("CA certificates", ca)).transpose()?;
        let identity = match &config.tls.identity {
            None => None,
            Some((certificate, key)) => {
                Some((pem("client certificate", certificate)?, pem("client key", key)?))
            }
        };
        Ok(Self { secret, ca, identity })
    }
}

/// Whether any of it lives in a file.
fn uses_files(config: &Config) -> bool {
    let secret = match &config.auth {
        Auth::None => false,
        Auth::Basic { password, .. } => matches!(password, Some(SecretSource::File(_))),
        Auth::Bearer(source) => matches!(source, SecretSource::File(_)),
    };
    let in_file = |pem: &Pem| matches!(pem, Pem::File(_));
    let identity = config.tls.identity.as_ref();
    secret
        || config.tls.ca.as_ref().is_some_and(in_file)
        || identity.is_some_and(|(c, k)| in_file(c) || in_file(k))
}

fn secret(what: &'static str, source: &SecretSource) -> Result<Secret, FileError> {
    let path = match source {
        SecretSource::Inline(secret) => return Ok(secret.clone()),
        SecretSource::File(path) => path,
    };
    let unusable = |problem| FileError::Content { what, path: path.clone(), problem };
    let text = String::from_utf8(read(what, path)?).map_err(|_| unusable("it is not UTF-8"))?;
    let value = text.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        return Err(unusable("it is empty"));
    }
    if value.contains(|character: char| character.is_control()) {
        return Err(unusable(
            "it holds a line break or another control character, which a header cannot carry",
        ));
    }
    Ok(Secret::new(value))
}

fn pem(what: &'static str, source: &Pem) -> Result<Secret, FileError> {
    match source {
        Pem::Inline(text) => Ok(text.clone()),
        // Around the blocks, PEM files carry comments in any encoding.
        Pem::File(path) => Ok(Secret::new(String::from_utf8_lossy(&read(what, path)?))),
    }
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |source| {
        let why = why_refused(path, Wanted::Read, &source);
        FileError::Read { what, path: path.to_owned(), source, why }
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FileError::Content { what, path: path.to_owned(), problem: "it is larger than 4 MiB" });
    }
    Ok(bytes)
}

/// Looks at the files again from time to time, on the blocking pool.
///
/// Whole contents are compared, not times or inode numbers: that holds for a file written in place, a rename, and the
/// symlink swap of mounted secrets alike, and the files are small.
#[derive(Debug)]
pub(super) struct Files {
    config: Arc<Config>,
    /// When the last look began.
    looked: Option<Instant>,
    /// [`PATIENCE`], but in tests.
    patience: Duration,
    /// A look that has not ended.
    looking: Option<JoinHandle<Result<Material, FileError>>>,
}

impl Files {
    pub(super) fn new(config: Arc<Config>) -> Self {
        Self { config, looked: None, patience: PATIENCE, looking: None }
    }

    /// What the files hold now; `None` if it is not time for a look, or the look takes its time. `urgent`: nothing has been
    /// read yet, so look now and wait for it. Safe to abandon: the next call goes on with the same look.
    pub(super) async fn look(&mut self, urgent: bool) -> Option<Result<Material, FileError>> {
        let patience = match self.looking {
            Some(_) if urgent => self.patience,
            // Said once; from now on nobody waits for it.
            Some(_) => Duration::ZERO,
            None if urgent || self.due() => {
                let config = Arc::clone(&self.config);
                self.looked = Some(Instant::now());
                self.looking = Some(tokio::task::spawn_blocking(move || Material::read(&config)));
                self.patience
            }
            None => return None,
        };
        match tokio::time::timeout(patience, self.looking.as_mut()?).await {
            Err(_) if patience.is_zero() => None,
            Err(_) => Some(Err(FileError::Slow)),
            Ok(ended) => {
                self.looking = None;
                Some(ended.unwrap_or(Err(FileError::Aborted)))
            }
        }
    }

    fn due(&self) -> bool {
        let Some(interval) = self.config.reload_interval else { return false };
        uses_files(&self.config) && self.looked.is_none_or(|looked| looked.elapsed() >= interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::tests::config;
    use std::os::unix::fs::symlink;

    fn bearer(path: &Path, reload: Option<Duration>) -> Arc<Config> {
        let auth = Auth::Bearer(SecretSource::File(path.to_owned()));
        Arc::new(Config { auth, reload_interval: reload, ..config("http://127.0.0.1:1/") })
    }

    fn token(looked: Option<Result<Material, FileError>>) -> String {
        looked.unwrap().unwrap().secret.unwrap().expose().to_owned()
    }

    #[test]
    fn line_ends_behind_a_secret_are_not_part_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, " hunter2 \r\n\n").unwrap();
        assert_eq!(Material::read(&bearer(&path, None)).unwrap().secret.unwrap().expose(), " hunter2 ");
    }

    #[test]
    fn an_unusable_file_names_its_path_and_never_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let shown = path.display();
        let said = || Material::read(&bearer(&path, None)).unwrap_err().to_string();
        assert!(said().starts_with(&format!("cannot read the bearer token from {shown}: No such file")));
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(said(), format!("cannot use the bearer token from {shown}: it is empty"));
        std::fs::write(&path, b"hunter2\xff").unwrap();
        assert_eq!(said(), format!("cannot use the bearer token from {shown}: it is not UTF-8"));
        std::fs::write(&path, "hunter2\nhunter3").unwrap();
        assert!(said().contains("a line break") && !said().contains("hunter"), "{}", said());
        std::fs::File::create(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(said().ends_with("it is larger than 4 MiB"), "{}", said());
    }

    #[tokio::test]
    async fn a_swapped_symlink_is_seen_at_the_next_look() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for version in ["1", "2"] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("token"), format!("secret{version}")).unwrap();
        }
        symlink("1", at("data")).unwrap();
        let mut files = Files::new(bearer(&at("data").join("token"), Some(Duration::ZERO)));
        assert_eq!(token(files.look(true).await), "secret1");
        symlink("2", at("new")).unwrap();
        std::fs::rename(at("new"), at("data")).unwrap();
        assert_eq!(token(files.look(false).await), "secret2");
    }

    #[tokio::test]
    async fn files_are_not_looked_at_before_the_interval_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "secret").unwrap();
        for interval in [None, Some(Duration::from_secs(3600))] {
            let mut files = Files::new(bearer(&path, interval));
            assert!(files.look(true).await.is_some());
            assert!(files.look(false).await.is_none());
        }
    }

    #[tokio::test]
    async fn settings_without_files_are_looked_at_once() {
        let config = Config { reload_interval: Some(Duration::ZERO), ..config("http://127.0.0.1:1/") };
        let mut files = Files::new(Arc::new(config));
        assert!(files.look(true).await.is_some());
        assert!(files.look(false).await.is_none());
    }

    #[tokio::test]
    async fn a_file_system_that_does_not_answer_is_waited_for_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        // Opening a pipe waits until someone writes into it.
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let mut files = Files::new(bearer(&path, Some(Duration::ZERO)));
        files.patience = Duration::from_millis(20);
        assert!(matches!(files.look(true).await, Some(Err(FileError::Slow))));
        assert!(files.look(false).await.is_none());
        let writer = std::thread::spawn(move || std::fs::write(path, "late"));
        files.patience = Duration::from_secs(20);
        assert_eq!(token(files.look(true).await), "late");
        writer.join().unwrap().unwrap();
    }
}
