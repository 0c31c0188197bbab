use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use tracing::{debug, info, warn};

use super::connection::{Connection, Redial, Resolver};
use super::decision::Reply;
use super::episode::Episode;
use super::files::{FileError, Files, Material};
use super::metrics::EndpointMetrics;
use super::outcome::Failure;
use super::protocol::Version;
use super::request::{self, HeaderError};
use super::text::{one_line, redacted, shown_location, shown_url};
use super::tls::{self, TlsError};
use super::{Auth, Config};
use crate::model::now_ms;

/// How much of an answer's text is looked at, in bytes. More than is shown, so that a secret which the server echoes is
/// recognised before the cut.
const TEXT_READ: usize = 4 << 10;

/// How much of an answer is read so that its connection can be used again; a longer one costs the connection.
const DRAINED: usize = 64 << 10;

/// How long an answer may take to end after its head, for the same reason.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Any of them says that the receiver knows remote-write 2.0 (receivers section 5).
const WRITTEN: [&str; 3] = [
    "x-prometheus-remote-write-samples-written",
    "x-prometheus-remote-write-histograms-written",
    "x-prometheus-remote-write-exemplars-written",
];

/// An endpoint that cannot be used as its settings stand.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Certificates and keys.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A custom header.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

/// Tries the settings of an endpoint without sending anything. Blocking: reads its files.
///
/// # Errors
/// What [`super::spawn`]'s sender would say, and repeat, instead of sending.
pub fn check(config: &Config) -> Result<(), SetupError> {
    tls::install_crypto_provider();
    Ready::build(config, Material::read(config)?, None).map(|_| ())
}

/// Everything that is made from the settings and their files.
struct Ready {
    material: Material,
    headers: HeaderMap,
    http: reqwest::Client,
}

impl Ready {
    fn build(config: &Config, material: Material, resolver: Option<&Resolver>) -> Result<Self, SetupError> {
        let http = tls::client(config, &material, resolver)?;
        let headers = request::headers(config, &material, &http)?;
        Ok(Self { material, headers, http })
    }
}

/// Posts the requests of one endpoint.
pub(super) struct Client {
    config: Arc<Config>,
    metrics: Arc<EndpointMetrics>,
    /// The URL as it may be shown.
    pub(super) url: String,
    files: Files,
    ready: Option<Ready>,
    connection: Connection,
    /// Instead of the system's name resolution.
    resolver: Option<Resolver>,
    reload_trouble: Episode,
}

/// An answer's head; its text can be read after everything is decided.
pub(super) struct Answer {
    pub(super) reply: Reply,
    /// As it may be shown.
    pub(super) location: Option<String>,
    response: reqwest::Response,
}

/// An attempt without an answer.
pub(super) struct NoAnswer {
    pub(super) failure: Failure,
    /// One line, without credentials.
    pub(super) text: String,
}

impl Client {
    pub(super) fn new(
        config: Arc<Config>,
        metrics: Arc<EndpointMetrics>,
        resolver: Option<Resolver>,
    ) -> Self {
        tls::install_crypto_provider();
        let url = shown_url(&config.url);
        let files = Files::new(Arc::clone(&config));
        let connection = Connection::new(config.max_connection_age);
        let reload_trouble = Episode::default();
        Self { config, metrics, url, files, ready: None, connection, resolver, reload_trouble }
    }

    /// Posts a body and waits for the answer's head. `resend` counts from 1; 0 is the first attempt.
    pub(super) async fn post(
        &mut self,
        body: &Bytes,
        version: Version,
        resend: u64,
    ) -> Result<Answer, NoAnswer> {
        let unusable =
            |error: SetupError| NoAnswer { failure: Failure::Setup, text: one_line(&error.to_string()) };
        self.reload().await.map_err(unusable)?;
        self.redial_if_due();
        let Some(ready) = &self.ready else {
            return Err(NoAnswer { failure: Failure::Setup, text: "the program is stopping".to_owned() });
        };
        let request = ready
            .http
            .post(self.config.url.clone())
            .headers(request::spoken(&ready.headers, version))
            .body(body.clone());
        let request = request::numbered(request, resend);
        match request.send().await {
            Ok(response) => {
                self.connection.answered(response.status().as_u16());
                let clean = |text: &str| {
                    let secrets = request::secrets(&self.config, &ready.material, &ready.headers);
                    redacted(text, secrets)
                };
                Ok(Answer::of(response, &self.config, clean))
            }
            Err(error) => {
                let failure = classify(&error);
                self.connection.unanswered(failure, error.is_connect());
                Err(NoAnswer { failure, text: self.shown(&words(error.without_url())) })
            }
        }
    }

    /// Whether the request that had no answer met a stale connection: it goes again at once, and does not count as failed.
    pub(super) fn was_stale(&self) -> bool {
        self.connection.due() == Some(Redial::Stale)
    }

    /// Gives up the connection if there is a reason to. A new client has none yet, so the next request looks the address up and dials;
    /// the old client's idle connections end with it. Building one takes 5 ms unoptimised, for the bundled roots; 22 us where
    /// the endpoint is http://.
    fn redial_if_due(&mut self) {
        let (Some(reason), Some(ready)) = (self.connection.due(), &mut self.ready) else { return };
        // The same settings and files made a client before; if they did not now, the old client would still do.
        if let Ok(http) = tls::client(&self.config, &ready.material, self.resolver.as_ref()) {
            ready.http = http;
        }
        self.connection.renewed();
        self.metrics.redialled(reason);
        debug!(endpoint = %self.config.name, reason = reason.word(), "the connection is given up for a new one");
    }

    /// What an answer says, as one line without credentials. Reads no more than it must for the next request.
    pub(super) async fn text(&self, answer: Answer) -> String {
        let mut text = Vec::new();
        let mut response = answer.response;
        let read = async {
            let mut drained = 0;
            while let Ok(Some(chunk)) = response.chunk().await {
                let room = TEXT_READ - text.len();
                text.extend_from_slice(&chunk[..chunk.len().min(room)]);
                drained += chunk.len();
                if drained > DRAINED {
                    break;
                }
            }
        };
        // Too slow or endless: what came is what is shown. The status has decided already.
        let _ = tokio::time::timeout(DRAIN_TIME, read).await;
        self.shown(&String::from_utf8_lossy(&text))
    }

    /// Looks at the files if it is time to. Returns whether anything is new.
    ///
    /// # Errors
    /// Only while nothing usable has ever been read: after that, the last good content stays in use.
    pub(super) async fn reload(&mut self) -> Result<bool, SetupError> {
        let first = self.ready.is_none();
        let Some(looked) = self.files.look(first).await else { return Ok(false) };
        let built = match looked {
            Ok(material) if self.ready.as_ref().is_some_and(|ready| ready.material == material) => {
                self.metrics.reload_unchanged();
                self.reload_trouble.over();
                return Ok(false);
            }
            Ok(material) => Ready::build(&self.config, material, self.resolver.as_ref()),
            Err(error) => Err(error.into()),
        };
        let endpoint = &self.config.name;
        match built {
            Ok(ready) => {
                self.ready = Some(ready);
                self.connection.renewed();
                self.metrics.reloaded(now_ms());
                self.reload_trouble.over();
                if !first {
                    info!(%endpoint, "the secrets or certificates of this endpoint have changed; the new ones are used from now on");
                }
                Ok(!first)
            }
            Err(error) if first => {
                self.metrics.reload_failed();
                Err(error)
            }
            Err(error) => {
                self.metrics.reload_failed();
                if self.reload_trouble.failed(false).is_some() {
                    warn!(%endpoint, %error, "the endpoint's files were looked at again, and are of no use; the old content stays in use");
                }
                Ok(false)
            }
        }
    }

    fn shown(&self, text: &str) -> String {
        match &self.ready {
            Some(ready) => {
                let secrets = request::secrets(&self.config, &ready.material, &ready.headers);
                one_line(&redacted(text, secrets))
            }
            None => one_line(text),
        }
    }
}

impl Answer {
    fn of(response: reqwest::Response, config: &Config, clean: impl Fn(&str) -> String) -> Self {
        let header = |name: HeaderName| {
            response.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let status = response.status().as_u16();
        let number = |name| response.headers().get(name)?.to_str().ok()?.parse::<u64>().ok();
        // A native histogram is a sample to us; a receiver that has none of them need not say so.
        let [samples, histograms, _] = WRITTEN.map(number);
        let written = samples.map(|samples| samples.saturating_add(histograms.unwrap_or_default()));
        let has_written = WRITTEN.iter().any(|name| response.headers().contains_key(*name));
        Self {
            reply: Reply { status, retry_after: header(RETRY_AFTER), has_written, written },
            location: header(LOCATION).map(|location| shown_location(&clean(&location), &config.url)),
            response,
        }
    }
}

/// What kind of failure it was. By the chain of causes: a missing client certificate, for one, shows on the first read, when
/// reqwest does not call it a connect error any more (crates section 4).
fn classify(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Timeout;
    }
    if error.is_dns() {
        return Failure::Dns;
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut found = Failure::Other;
    while let Some(error) = cause {
        if error.is::<rustls::Error>() {
            return Failure::Tls;
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_canceled() || error.is_closed())
        {
            found = Failure::Closed;
        }
        let io = error.downcast_ref::<io::Error>();
        if let Some(io) = io {
            found = match io.kind() {
                io::ErrorKind::ConnectionRefused => Failure::Refused,
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof => Failure::Closed,
                _ => found,
            };
        }
        // An io::Error's `source` steps over the error that it wraps.
        let wrapped = io.and_then(io::Error::get_ref).map(|error| error as &(dyn Error + 'static));
        cause = wrapped.or_else(|| error.source());
    }
    found
}

/// The chain of causes as one text, each said once.
fn words(error: reqwest::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !words.last().is_some_and(|last| last.contains(&said)) {
            words.push(said);
        }
        cause = error.source();
    }
    if words.is_empty() { error.to_string() } else { words.join(": ") }
}

/// Whether the settings hold something that should be said once at start.
pub(super) fn warn_about(config: &Config) {
    let endpoint = &config.name;
    if config.tls.insecure_skip_verify {
        warn!(%endpoint, "REMOTE_WRITE_TLS_INSECURE_SKIP_VERIFY is on: whoever can redirect the traffic can read and forge it, credentials included");
    }
    let has_secret = !matches!(config.auth, Auth::None | Auth::Basic { password: None, .. });
    if has_secret && config.url.scheme() == "http" {
        warn!(%endpoint, "the credentials of this endpoint travel unencrypted: its URL is http");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SecretSource;
    use crate::remote::tests::config;

    #[test]
    fn settings_are_checked_without_a_request() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let auth = Auth::Bearer(SecretSource::File(path.clone()));
        let config = Config { auth, ..config("https://127.0.0.1:1/") };
        assert!(matches!(check(&config), Err(SetupError::File(_))));
        std::fs::write(&path, "secret").unwrap();
        check(&config).unwrap();
    }
}
