//! One GET of one target: over a unix socket with hyperlocal, or over http. Limits hold while reading.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use hyperlocal::UnixConnector;
use reqwest::Certificate;

use super::content_type::format_of;
use super::error::ScrapeError;
use super::packed::Packed;
use super::{Address, Config, Protocol, protocol};
use crate::exposition::Format;

const AGENT: &str = concat!("docker-remote-write/", env!("CARGO_PKG_VERSION"));
const GZIP: &str = "gzip";
const TIMEOUT_HEADER: &str = "X-Prometheus-Scrape-Timeout-Seconds";

/// Fetches expositions from one target.
#[derive(Debug)]
pub struct TargetClient {
    transport: Transport,
    limits: Limits,
    /// The header `Accept`.
    accept: String,
}

#[derive(Debug)]
enum Transport {
    /// No idle connection is kept: after a restart of the engine the old one would be a dead end, and dialling anew takes 20 us.
    Unix {
        client: Box<Client<UnixConnector, Empty<Bytes>>>,
        socket: PathBuf,
        path: String,
    },
    Http {
        client: reqwest::Client,
        url: reqwest::Url,
    },
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    timeout: Duration,
    body_size: Option<u64>,
    fallback: Option<Format>,
}

impl TargetClient {
    /// A client for the target of `config`.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(config: &Config) -> Result<Self, ScrapeError> {
        let limits = Limits {
            timeout: config.timeout,
            body_size: config.body_size_limit,
            fallback: config.fallback_protocol.map(Protocol::format),
        };
        let transport = match &config.address {
            Address::Unix { socket, path } => Transport::Unix {
                client: Box::new(
                    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(UnixConnector),
                ),
                socket: socket.clone(),
                path: path.clone(),
            },
            Address::Http(url) => Transport::Http {
                client: http_client()
                    .map_err(|error| ScrapeError::exchange(&public(url), &error.without_url()))?,
                url: url.clone(),
            },
        };
        let accept = protocol::accept(&config.protocols, config.escaping);
        Ok(Self { transport, limits, accept })
    }

    /// The target as it may be shown: a socket's path, or a URL without credentials and query.
    #[must_use]
    pub fn target(&self) -> String {
        match &self.transport {
            Transport::Unix { socket, .. } => socket.display().to_string(),
            Transport::Http { url, .. } => public(url),
        }
    }

    /// Reads the whole body into `body`, which is emptied first; its format.
    ///
    /// # Errors
    /// All that makes `up` 0 before a line has been read.
    pub async fn fetch(&self, body: &mut Vec<u8>) -> Result<Format, ScrapeError> {
        body.clear();
        let limit = self.limits.timeout;
        let exchange = async {
            match &self.transport {
                Transport::Unix { client, socket, path } => self.fetch_unix(client, socket, path, body).await,
                Transport::Http { client, url } => self.fetch_http(client, url, body).await,
            }
        };
        tokio::time::timeout(limit, exchange)
            .await
            .unwrap_or_else(|_| Err(ScrapeError::Timeout { target: self.target(), limit }))
    }

    async fn fetch_unix(
        &self,
        client: &Client<UnixConnector, Empty<Bytes>>,
        socket: &std::path::Path,
        path: &str,
        body: &mut Vec<u8>,
    ) -> Result<Format, ScrapeError> {
        let target = self.target();
        let request = Request::builder()
            .method(Method::GET)
            .uri(hyper::Uri::from(hyperlocal::Uri::new(socket, path)))
            .header(HOST, "docker")
            .header(ACCEPT, &self.accept)
            .header(USER_AGENT, AGENT)
            .header(TIMEOUT_HEADER, self.limits.timeout.as_secs_f64().to_string())
            .body(Empty::new())
            .map_err(|error| ScrapeError::exchange(&target, &error))?;
        let answer = client.request(request).await.map_err(|error| failed_request(&target, &error))?;
        let format = self.check_head(&target, answer.status().as_u16(), answer.headers())?;
        // Not asked for: packing costs the engine's host more than a pipe within it (docs/performance.md).
        check_coding(&target, answer.headers(), &[])?;
        let mut incoming = answer.into_body();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| ScrapeError::exchange(&target, &error))?;
            if let Some(data) = frame.data_ref() {
                self.take(&target, data, body)?;
            }
        }
        Ok(format)
    }

    async fn fetch_http(
        &self,
        client: &reqwest::Client,
        url: &reqwest::Url,
        body: &mut Vec<u8>,
    ) -> Result<Format, ScrapeError> {
        let target = self.target();
        let request = client
            .get(url.clone())
            .header(ACCEPT, &self.accept)
            .header(ACCEPT_ENCODING, GZIP)
            .header(USER_AGENT, AGENT)
            .header(TIMEOUT_HEADER, self.limits.timeout.as_secs_f64().to_string());
        let mut answer =
            request.send().await.map_err(|error| failed_request(&target, &error.without_url()))?;
        let format = self.check_head(&target, answer.status().as_u16(), answer.headers())?;
        let packed = check_coding(&target, answer.headers(), &[GZIP])?;
        let mut packed = packed.then(|| Packed::new(self.limits.body_size));
        while let Some(data) =
            answer.chunk().await.map_err(|error| ScrapeError::exchange(&target, &error.without_url()))?
        {
            match &mut packed {
                Some(packed) => packed.unpack(&target, &data, body)?,
                None => self.take(&target, &data, body)?,
            }
        }
        if let Some(packed) = packed {
            packed.finish(&target, body)?;
        }
        Ok(format)
    }

    fn check_head(&self, target: &str, status: u16, headers: &HeaderMap) -> Result<Format, ScrapeError> {
        if status != 200 {
            return Err(ScrapeError::Status { target: target.to_owned(), status });
        }
        let content_type =
            headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        format_of(content_type).or(self.limits.fallback).ok_or_else(|| ScrapeError::ContentType {
            target: target.to_owned(),
            content_type: content_type.to_owned(),
        })
    }

    fn take(&self, target: &str, data: &[u8], body: &mut Vec<u8>) -> Result<(), ScrapeError> {
        match self.limits.body_size {
            Some(limit) if (body.len() + data.len()) as u64 >= limit => {
                Err(ScrapeError::BodySize { target: target.to_owned(), limit })
            }
            Some(_) | None => {
                body.extend_from_slice(data);
                Ok(())
            }
        }
    }
}

/// Whether the body comes packed, in one of the codings that were asked for.
fn check_coding(target: &str, headers: &HeaderMap, asked_for: &[&str]) -> Result<bool, ScrapeError> {
    match headers.get(CONTENT_ENCODING) {
        None => Ok(false),
        Some(coding) if coding == "identity" => Ok(false),
        Some(coding) if asked_for.iter().any(|asked| coding == asked) => Ok(true),
        Some(coding) => {
            let reason = format!("content encoding {coding:?} was not asked for");
            Err(ScrapeError::Exchange { target: target.to_owned(), reason })
        }
    }
}

/// With the bundled roots alone: the platform's verifier refuses to build where there are no certificates, and a plugin's root file system has none.
fn http_client() -> reqwest::Result<reqwest::Client> {
    let roots: Result<Vec<_>, _> =
        webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|root| Certificate::from_der(root)).collect();
    reqwest::Client::builder().tls_certs_only(roots?).no_proxy().build()
}

impl ScrapeError {
    fn exchange(target: &str, error: &dyn StdError) -> Self {
        Self::Exchange { target: target.to_owned(), reason: chain(error) }
    }
}

/// A connection that was never made is told apart from one that broke: its errno says what to mend.
fn failed_request(target: &str, error: &(dyn StdError + 'static)) -> ScrapeError {
    let connect = match error.downcast_ref::<legacy::Error>() {
        Some(error) => error.is_connect(),
        None => error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect),
    };
    let os_error = || {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
                return Some(io::Error::from_raw_os_error(io));
            }
            cause = error.source();
        }
        None
    };
    match os_error().filter(|_| connect) {
        Some(source) => ScrapeError::Connect { target: target.to_owned(), source },
        None => ScrapeError::exchange(target, error),
    }
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn public(url: &reqwest::Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    // Both fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_query_of_a_url_are_not_shown() {
        let url = reqwest::Url::parse("http://user:secret@host:9323/metrics?token=secret").unwrap();
        assert_eq!(public(&url), "http://host:9323/metrics");
    }
}
