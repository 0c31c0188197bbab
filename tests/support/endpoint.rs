//! The settings of an endpoint, as tests want them.

use std::time::Duration;

use docker_remote_write::model::Escaping;
use docker_remote_write::remote::{Auth, Config, Names, ProtobufMessage, Tls};

/// An endpoint with quick retries; everything else is off, or as by default.
pub(crate) fn config(url: &str) -> Config {
    Config {
        name: "test".to_owned(),
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
        names: Names::Escaped(Escaping::Underscores),
        metadata: None,
        min_backoff: Duration::from_millis(5),
        max_backoff: Duration::from_millis(20),
        rate_limit: None,
        max_connection_age: None,
        retry_on_http_429: true,
        hold_on_auth_error: true,
        sample_age_limit: None,
        reload_interval: None,
    }
}
