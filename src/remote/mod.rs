//! One sender for each endpoint: builds requests from queued records, posts them, decides what an answer means, and finds the
//! samples for whose sake a request is refused.
//!
//! `worker` is the loop and `answered` what it does with an answer; `decision` (with `refusal`, `outcome`) says what the answer
//! means; `protocol` which message an endpoint is sent; `search`, `quarantine` and `size` remember what was refused, `doubt` tells whether all native histograms are; `sieve` keeps out of a request (`batch`) what must not
//! be in it; `filling` says how long a request waits to be full; `metadata` goes between requests of 1.0; `client` posts.
//!
//! Knows nothing of scraping or of Docker.

mod answered;
mod backoff;
mod batch;
mod builder;
mod client;
mod connection;
mod decision;
mod doubt;
mod episode;
mod files;
mod filling;
mod metadata;
mod metrics;
mod outcome;
mod pace;
mod protocol;
mod quarantine;
mod refusal;
mod report;
mod request;
mod search;
mod sender;
mod sieve;
mod size;
mod text;
mod tls;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Secret, SecretSource};
use crate::wire::Selection;

pub use client::{SetupError, check};
pub use connection::{Redial, Resolver};
pub use files::FileError;
pub use metadata::{MetadataConfig, MetadataOutcome};
pub use metrics::{Code, DURATION_BUCKETS, EndpointMetrics, Histogram, Snapshot};
pub use outcome::{Blame, Cause, Failure, Outcome, Reason};
pub use protocol::{Learned, ProtobufMessage, Version};
pub use sender::{Sender, Tuning, spawn, spawn_with};
pub use tls::{TlsError, install_crypto_provider};

pub use crate::wire::Names;

/// One endpoint, as the settings describe it.
#[derive(Clone, Debug)]
pub struct Config {
    /// `REMOTE_WRITE_NAME`: names the cursor, the logs and the metrics of this endpoint.
    pub name: String,
    /// `REMOTE_WRITE_URL`, used exactly as given; user info has moved to [`Auth::Basic`].
    pub url: reqwest::Url,
    /// `REMOTE_WRITE_PROTOBUF_MESSAGE`.
    pub message: ProtobufMessage,
    /// `REMOTE_WRITE_TIMEOUT`: for one request, from connect to the end of the answer.
    pub timeout: Duration,
    /// `REMOTE_WRITE_HEADERS` and `REMOTE_WRITE_TENANT_ID`; values may be secrets.
    pub headers: Vec<(String, Secret)>,
    /// At most one family.
    pub auth: Auth,
    /// `REMOTE_WRITE_TLS_*`.
    pub tls: Tls,
    /// `REMOTE_WRITE_MAX_SAMPLES_PER_SEND`.
    pub max_samples_per_send: u32,
    /// `REMOTE_WRITE_MAX_BYTES_PER_SEND`: of the message before compression.
    pub max_bytes_per_send: u64,
    /// `REMOTE_WRITE_BATCH_SEND_DEADLINE`: how long samples wait for others to fill their request; zero does not wait.
    pub batch_send_deadline: Duration,
    /// `REMOTE_WRITE_SEND_EXEMPLARS`.
    pub send_exemplars: bool,
    /// `REMOTE_WRITE_SEND_NATIVE_HISTOGRAMS`.
    pub send_native_histograms: bool,
    /// `REMOTE_WRITE_METRIC_NAME_ESCAPING_SCHEME`: for 1.0.
    pub names: Names,
    /// `REMOTE_WRITE_METADATA_*`: for 1.0; `None` sends none.
    pub metadata: Option<MetadataConfig>,
    /// `REMOTE_WRITE_MIN_BACKOFF`.
    pub min_backoff: Duration,
    /// `REMOTE_WRITE_MAX_BACKOFF`.
    pub max_backoff: Duration,
    /// `REMOTE_WRITE_RATE_LIMIT`: bytes of request bodies a second while more than the newest scrape is pending; `None` is no limit.
    pub rate_limit: Option<u64>,
    /// `REMOTE_WRITE_MAX_CONNECTION_AGE`: an older connection is given up for a new one; `None` keeps it.
    pub max_connection_age: Option<Duration>,
    /// `REMOTE_WRITE_RETRY_ON_HTTP_429`.
    pub retry_on_http_429: bool,
    /// `REMOTE_WRITE_HOLD_ON_AUTH_ERROR`.
    pub hold_on_auth_error: bool,
    /// `REMOTE_WRITE_SAMPLE_AGE_LIMIT`; `None` keeps samples however old they are.
    pub sample_age_limit: Option<Duration>,
    /// `CONFIG_RELOAD_INTERVAL`: how often files (secrets, certificates) are looked at; `None` never again.
    pub reload_interval: Option<Duration>,
}

impl Config {
    /// What of a record this endpoint is sent.
    fn selection(&self) -> Selection {
        Selection {
            exemplars: self.send_exemplars,
            native_histograms: self.send_native_histograms,
            names: self.names,
        }
    }
}

/// Who we say we are.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Nobody.
    None,
    /// `REMOTE_WRITE_BASIC_AUTH_*`, or the URL's user info.
    Basic {
        /// The user's name.
        username: String,
        /// The password, if any.
        password: Option<SecretSource>,
    },
    /// `REMOTE_WRITE_BEARER_TOKEN`.
    Bearer(SecretSource),
}

/// PEM text, given in the setting or in a file.
#[derive(Clone, Debug)]
pub enum Pem {
    /// The text itself.
    Inline(Secret),
    /// A path, read again when it changes.
    File(PathBuf),
}

/// TLS settings of one endpoint.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Added to the bundled roots.
    pub ca: Option<Pem>,
    /// Client certificate and its key go together.
    pub identity: Option<(Pem, Pem)>,
    /// Takes any certificate; warned about loudly.
    pub insecure_skip_verify: bool,
    /// `TLS_MIN_VERSION`.
    pub min_version: TlsVersion,
}

/// The oldest TLS version that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2
    #[default]
    Tls12,
    /// 1.3
    Tls13,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The defaults of the settings, for one endpoint.
    pub(super) fn config(url: &str) -> Config {
        Config {
            name: "default".to_owned(),
            url: url.parse().unwrap(),
            message: ProtobufMessage::V1,
            timeout: Duration::from_secs(30),
            headers: Vec::new(),
            auth: Auth::None,
            tls: Tls::default(),
            max_samples_per_send: 2000,
            max_bytes_per_send: 3 << 20,
            batch_send_deadline: Duration::ZERO,
            send_exemplars: true,
            send_native_histograms: true,
            names: Names::Escaped(crate::model::Escaping::Underscores),
            metadata: None,
            min_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(5),
            rate_limit: None,
            max_connection_age: Some(Duration::from_secs(300)),
            retry_on_http_429: true,
            hold_on_auth_error: true,
            sample_age_limit: None,
            reload_interval: Some(Duration::from_secs(30)),
        }
    }
}
