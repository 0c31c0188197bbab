//! What the telemetry pages show, read from the rooms' snapshots when somebody asks: counters under short locks, never the disk or the network.

use std::sync::Arc;

use serde::Serialize;

use super::self_metrics::SelfMetrics;
use crate::config::Config;
use crate::model::now_ms;
use crate::plugin::Content;
use crate::queue::Ledger;
use crate::remote::{Snapshot, Version};
use crate::scrape::Address;

/// More of an error than this helps nobody.
const SHOWN_CHARACTERS: usize = 500;

/// The pages' content.
pub(super) struct Status {
    pub(super) shown: Arc<SelfMetrics>,
    pub(super) target: String,
    /// Of each endpoint, in the order of the settings.
    pub(super) urls: Vec<String>,
    pub(super) sandbox: String,
}

#[derive(Serialize)]
struct Page<'a> {
    version: &'static str,
    revision: &'static str,
    uptime_seconds: i64,
    sandbox: &'a str,
    scrape: Scrape<'a>,
    queue: Queue,
    endpoints: Vec<Endpoint<'a>>,
}

#[derive(Serialize)]
struct Scrape<'a> {
    target: &'a str,
    running: bool,
    succeeded: u64,
    failed: u64,
    last_error: Option<String>,
}

#[derive(Serialize)]
struct Queue {
    disk_ok: bool,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    name: &'a str,
    url: &'a str,
    state: &'static str,
    /// The message that it is sent; none before its sender has begun.
    protocol: Option<&'static str>,
    last_error: Option<String>,
    appended: u64,
    recovered: u64,
    delivered: u64,
    /// A part of `delivered`.
    unconfirmed: u64,
    rejected: u64,
    expired: u64,
    overflowed: u64,
    pending: u64,
}

impl Status {
    pub(super) fn new(config: &Config, shown: Arc<SelfMetrics>, sandbox: String) -> Self {
        let target = match &config.scrape.address {
            Address::Unix { socket, .. } => format!("unix://{}", socket.display()),
            Address::Http(url) => without_query(url),
        };
        let urls = config.endpoints.iter().map(|endpoint| without_query(&endpoint.url)).collect();
        Self { shown, target, urls, sandbox }
    }

    fn page(&self) -> Page<'_> {
        let collector = self.shown.collector.snapshot();
        let endpoints = self.shown.endpoints.iter().zip(&self.urls).enumerate();
        let endpoints = endpoints.map(|(number, ((name, metrics), url))| {
            // In this order: what is unconfirmed has been delivered by then.
            let remote = metrics.snapshot();
            endpoint(name, url, self.shown.queue.ledger(number), remote)
        });
        Page {
            version: env!("CARGO_PKG_VERSION"),
            revision: env!("REVISION"),
            uptime_seconds: (now_ms() - self.shown.start_ms) / 1000,
            sandbox: &self.sandbox,
            scrape: Scrape {
                target: &self.target,
                running: collector.running,
                succeeded: collector.scrapes_succeeded,
                failed: collector.scrapes_failed,
                last_error: collector.last_failure.map(cut),
            },
            queue: Queue { disk_ok: self.shown.queue.stats().disk_ok },
            endpoints: endpoints.collect(),
        }
    }
}

impl Content for Status {
    fn metrics(&self) -> String {
        let mut text = String::new();
        self.shown.write(&mut text);
        text
    }

    fn status(&self) -> String {
        let mut json = serde_json::to_string_pretty(&self.page())
            .expect("a struct of strings and numbers is always JSON");
        json.push('\n');
        json
    }

    fn ready(&self) -> Result<(), String> {
        match self.shown.collector.snapshot().running {
            true => Ok(()),
            false => {
                Err("nothing is scraped: StartMetrics has not been called, or StopMetrics has".to_owned())
            }
        }
    }
}

fn endpoint<'a>(name: &'a str, url: &'a str, ledger: Ledger, remote: Snapshot) -> Endpoint<'a> {
    let state = match (remote.held, remote.up) {
        (true, _) => "held",
        (false, true) => "up",
        (false, false) if remote.requests.is_empty() => "starting",
        (false, false) => "backoff",
    };
    Endpoint {
        name,
        url,
        state,
        protocol: remote.version.map(Version::message_name),
        last_error: remote.last_error.map(cut),
        appended: ledger.appended,
        recovered: ledger.recovered,
        delivered: ledger.delivered,
        unconfirmed: remote.samples_unconfirmed,
        rejected: ledger.rejected,
        expired: ledger.expired,
        overflowed: ledger.overflowed,
        pending: ledger.pending,
    }
}

/// Tokens travel in queries, too; user info was taken out when the URL was read.
fn without_query(url: &reqwest::Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
