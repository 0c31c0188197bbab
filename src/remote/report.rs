use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::episode::{Episode, SAY_AGAIN, Sum, Tally};
use super::outcome::{Cause, Reason, advice};
use super::protocol::Version;
use super::quarantine::Sentence;
use super::text::rounded;

/// So many series are named within [`SAY_AGAIN`]; the others are summed up.
const NAMED: u64 = 20;

/// The log lines of one endpoint: few of them, however much goes wrong.
#[derive(Debug)]
pub(super) struct Report {
    endpoint: String,
    /// As it may be shown.
    url: String,
    trouble: Episode,
    /// The trouble is wrong settings.
    held: bool,
    unreadable: Episode,
    rejected: Tally,
    expired: Tally,
    /// Since when series are named, and how many were.
    naming: Option<(Instant, u64)>,
    /// What was said of samples that never leave.
    left_out: BTreeSet<Cause>,
    /// Whether somebody who watches the log has been told that it works.
    greeted: bool,
}

impl Report {
    pub(super) fn new(endpoint: String, url: String) -> Self {
        Self {
            endpoint,
            url,
            trouble: Episode::default(),
            held: false,
            unreadable: Episode::default(),
            rejected: Tally::default(),
            expired: Tally::default(),
            naming: None,
            left_out: BTreeSet::new(),
            greeted: false,
        }
    }

    pub(super) fn started(&self, pending: u64) {
        info!(endpoint = %self.endpoint, url = %self.url, pending, "sending to this endpoint");
    }

    /// The first delivery since the start is worth a line: until then nobody knows whether the settings are right.
    pub(super) fn delivered(&mut self, samples: u64) {
        if !std::mem::replace(&mut self.greeted, true) {
            info!(endpoint = %self.endpoint, url = %self.url, samples, "the endpoint takes our samples");
        }
    }

    /// The endpoint is sent another message from now on, or has shown that it takes this one.
    pub(super) fn speaks(&self, version: Version, status: u16, said: &str) {
        let endpoint = &self.endpoint;
        match version {
            Version::V2 => info!(%endpoint, url = %self.url, "the endpoint takes remote-write 2.0"),
            Version::V1 => {
                info!(%endpoint, url = %self.url, status, said, "the endpoint does not take remote-write 2.0; nothing is lost, the same samples go as 1.0, and 2.0 is tried again in a day");
            }
        }
    }

    pub(super) fn retrying(&mut self, reason: Reason, said: &str, pending: u64, wait: Duration) {
        self.held = false;
        let Some(line) = self.trouble.failed(false) else { return };
        let (lasted, retry_in) = (rounded(line.lasted), rounded(wait));
        warn!(endpoint = %self.endpoint, url = %self.url, %reason, said, attempts = line.failures, ?lasted, pending, ?retry_in, "cannot deliver; the samples stay queued and are sent again");
    }

    /// `location` is where a redirect points, as it may be shown.
    pub(super) fn held(
        &mut self,
        status: u16,
        location: Option<&str>,
        said: &str,
        pending: u64,
        wait: Duration,
    ) {
        let worse = !self.held;
        self.held = true;
        let Some(line) = self.trouble.failed(worse) else { return };
        let probe_in = rounded(wait);
        error!(endpoint = %self.endpoint, url = %self.url, status, location, said, check = advice(status), attempts = line.failures, pending, ?probe_in, "endpoint held: its settings look wrong; nothing is dropped, the oldest request is tried again from time to time");
    }

    /// A request was answered for: whatever was wrong is over.
    pub(super) fn answered(&mut self, pending: u64) {
        self.held = false;
        if let Some(line) = self.trouble.over() {
            let lasted = rounded(line.lasted);
            info!(endpoint = %self.endpoint, url = %self.url, attempts = line.failures, ?lasted, pending, "the endpoint answers again; what is pending follows");
        }
        let (rejected, expired) = (self.rejected.due(), self.expired.due());
        self.losses(rejected, expired);
    }

    pub(super) fn rejected(&mut self, status: u16, cause: Cause, said: &str, samples: u64) {
        if let Some(sum) = self.rejected.add(samples) {
            self.say_rejected(sum, Some((status, cause.word(), said)));
        }
    }

    /// A sample was refused alone, after requests with it were refused as a whole. Its series is named once.
    pub(super) fn poison(&mut self, series: &str, status: u16, said: &str, sentence: Sentence) {
        if !sentence.is_new {
            return;
        }
        if !self.may_name() {
            return self.rejected(status, Cause::Poison, said, 1);
        }
        let quarantine = sentence.lasts.map(rounded);
        warn!(endpoint = %self.endpoint, url = %self.url, series, status, said, ?quarantine, "the endpoint refuses whole requests for the sake of this series; its sample is dropped and counted as rejected, the rest is delivered; while the series is in quarantine its samples are counted and not sent");
    }

    /// Every native histogram was refused with 500, and other samples were not.
    pub(super) fn histograms(&self, status: u16, said: &str, sentence: Sentence) {
        if sentence.is_new {
            let quarantine = sentence.lasts.map(rounded);
            warn!(endpoint = %self.endpoint, url = %self.url, status, said, ?quarantine, "the endpoint refuses whole requests for the sake of native histograms, and takes what has none; they are dropped and counted as rejected, and tried again after each quarantine; REMOTE_WRITE_SEND_NATIVE_HISTOGRAMS=false leaves them out for good");
        }
    }

    fn may_name(&mut self) -> bool {
        let now = Instant::now();
        match &mut self.naming {
            Some((since, named)) if now - *since < SAY_AGAIN => {
                *named += 1;
                *named <= NAMED
            }
            Some(_) | None => {
                self.naming = Some((now, 1));
                true
            }
        }
    }

    /// A sample was left out of a request. Each cause is said once, with an example; the counters go on.
    pub(super) fn left_out(&mut self, cause: Cause, series: &str) {
        let endpoint = &self.endpoint;
        let by_itself = match cause {
            Cause::NativeHistogram
            | Cause::CustomBuckets
            | Cause::Utf8Name
            | Cause::LabelClash
            | Cause::SeriesClash => {
                if self.left_out.insert(cause) {
                    let (reason, because) = (cause.word(), because(cause));
                    warn!(%endpoint, reason, series, because, "some samples are not sent to this endpoint; they are dropped and counted as rejected; this is said once for each reason");
                }
                false
            }
            Cause::Refused
            | Cause::PartlyStored
            | Cause::Poison
            | Cause::Quarantined
            | Cause::TooLarge
            | Cause::Undecodable => false,
            Cause::DuplicateLabel
            | Cause::EmptyLabelName
            | Cause::NoMetricName
            | Cause::InvalidUtf8
            | Cause::TooFarAhead
            | Cause::OutOfOrder => true,
        };
        if by_itself && self.left_out.insert(cause) {
            let reason = cause.word();
            error!(%endpoint, reason, series, "queued samples are not fit to be sent: receivers would drop them in silence or refuse whole requests; they are dropped and counted as rejected");
        }
    }

    pub(super) fn split(&self, status: u16, said: &str, bytes: usize, limit: usize) {
        warn!(endpoint = %self.endpoint, url = %self.url, status, said, bytes, limit, "the endpoint refuses this request for its size; nothing is dropped, it is sent in smaller pieces, and so are those that follow");
    }

    pub(super) fn expired(&mut self, samples: u64) {
        if let Some(sum) = self.expired.add(samples) {
            self.say_expired(sum);
        }
    }

    pub(super) fn undecodable(&self, sequence: u64, samples: u64, problem: &dyn std::error::Error) {
        error!(endpoint = %self.endpoint, sequence, samples, %problem, "a queued record cannot be decoded; its samples are dropped and counted as rejected");
    }

    pub(super) fn unreadable(&mut self, sequence: u64, error: &dyn std::error::Error, wait: Duration) {
        let Some(line) = self.unreadable.failed(false) else { return };
        let retry_in = rounded(wait);
        error!(endpoint = %self.endpoint, sequence, %error, attempts = line.failures, ?retry_in, "cannot read the queue; nothing is skipped, the same record is read again");
    }

    /// The queue was read. Returns whether it could not be before.
    pub(super) fn readable(&mut self) -> bool {
        let Some(line) = self.unreadable.over() else { return false };
        let lasted = rounded(line.lasted);
        info!(endpoint = %self.endpoint, attempts = line.failures, ?lasted, "the queue can be read again");
        true
    }

    /// The last lines: what was lost and not said yet.
    pub(super) fn finish(&mut self) {
        let (rejected, expired) = (self.rejected.rest(), self.expired.rest());
        self.losses(rejected, expired);
    }

    fn losses(&self, rejected: Option<Sum>, expired: Option<Sum>) {
        if let Some(sum) = rejected {
            self.say_rejected(sum, None);
        }
        if let Some(sum) = expired {
            self.say_expired(sum);
        }
    }

    fn say_rejected(&self, Sum { times, samples }: Sum, last: Option<(u16, &str, &str)>) {
        let status = last.map(|(status, _, _)| status);
        let (reason, said) = last.map(|(_, reason, said)| (reason, said)).unzip();
        warn!(endpoint = %self.endpoint, url = %self.url, status, reason, said, requests = times, samples, "the endpoint refuses these samples for good; they are dropped and counted as rejected");
    }

    fn say_expired(&self, Sum { times, samples }: Sum) {
        warn!(endpoint = %self.endpoint, records = times, samples, "older than REMOTE_WRITE_SAMPLE_AGE_LIMIT; dropped and counted as expired");
    }
}

/// What lies behind a cause that the settings or the message decide.
const fn because(cause: Cause) -> &'static str {
    match cause {
        Cause::NativeHistogram => "REMOTE_WRITE_SEND_NATIVE_HISTOGRAMS is false",
        Cause::CustomBuckets => "remote-write 1.0 cannot carry native histograms with custom bounds",
        Cause::Utf8Name => {
            "remote-write 1.0 has no such names, and REMOTE_WRITE_METRIC_NAME_ESCAPING_SCHEME is drop"
        }
        Cause::LabelClash => "two of its label names are the same once they are escaped for remote-write 1.0",
        Cause::SeriesClash => "once its names are escaped for remote-write 1.0 it is another series",
        Cause::Refused
        | Cause::PartlyStored
        | Cause::Poison
        | Cause::Quarantined
        | Cause::TooLarge
        | Cause::Undecodable
        | Cause::DuplicateLabel
        | Cause::EmptyLabelName
        | Cause::NoMetricName
        | Cause::InvalidUtf8
        | Cause::TooFarAhead
        | Cause::OutOfOrder => "",
    }
}
