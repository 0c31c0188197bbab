use std::collections::{BTreeMap, VecDeque};

use hyper::header::{AUTHORIZATION, HeaderMap};

use super::answer::{Answer, Script};
use super::decode::Metadata;
use super::protocol::{Foreign, Protocol, Speaks};
use super::store::{Admission, Point, Points, Store};
use super::violation::Violation;
use crate::model::Labels;

/// Violations kept of all requests together; a broken sender makes thousands, and the first ones tell.
const KEPT_VIOLATIONS: usize = 1000;

/// Families whose metadata is kept.
const KEPT_FAMILIES: usize = 10_000;

/// How a request was answered in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// With this status.
    Status(u16),
    /// Not at all: the connection was left hanging.
    Hang,
    /// Not at all: the connection was closed.
    Closed,
    /// With half an answer.
    Half,
}

/// One request of the log.
#[derive(Clone, Debug)]
pub struct Request {
    /// When its body was complete, ms since the epoch.
    pub at: i64,
    /// As it came. `Authorization` prints as `Sensitive`.
    pub headers: HeaderMap,
    /// Length of the body, bytes.
    pub body_bytes: usize,
    /// Length of the message before compression, bytes; 0 where it could not be told.
    pub message_bytes: usize,
    /// Its message, by its content type.
    pub protocol: Protocol,
    /// Series entries of the message.
    pub series: usize,
    /// Entries of metadata of the message; only 1.0 has any.
    pub metadata: u64,
    /// How many of the samples are native histograms.
    pub histograms: u64,
    /// Exemplars of the message; they are counted and not kept.
    pub exemplars: u64,
    /// Samples of the message, native histograms and staleness markers included: as a sender's ledger counts them.
    pub samples: u64,
    /// How many of the samples are staleness markers.
    pub markers: u64,
    /// Smallest and largest timestamp of the message, ms since the epoch; `None` without samples.
    pub times: Option<(i64, i64)>,
    /// Samples that were stored.
    pub stored: u64,
    /// Samples that had been stored before, bit for bit. Counted only where the request was accepted.
    pub duplicates: u64,
    /// What a normal answer says was written; `None` without the headers (remote-write 2.19).
    pub written: Option<Written>,
    /// What it broke.
    pub violations: Vec<Violation>,
    /// How it was answered.
    pub answered: Answered,
    /// CRC of the body: equal for the same bytes.
    pub body_crc: u32,
}

/// What the headers of an answer say of a 2.0 request, resent samples included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// `X-Prometheus-Remote-Write-Samples-Written`: native histograms are not in it.
    pub samples: u64,
    /// `X-Prometheus-Remote-Write-Histograms-Written`.
    pub histograms: u64,
}

impl Request {
    /// A header as text; `None` where there is none or it is no text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Everything that arrived.
#[derive(Clone, Debug)]
pub struct State {
    /// What was accepted.
    pub store: Store,
    /// What was said of families in 1.0 last, by name; at most 10,000 of them.
    pub metadata: BTreeMap<String, Metadata>,
    /// The newest requests, oldest first.
    pub requests: VecDeque<Request>,
    /// Requests ever.
    pub request_count: u64,
    /// Requests ever that were answered 2xx.
    pub accepted_count: u64,
    /// The first violations (at most 1000).
    pub violations: Vec<Violation>,
    /// Violations ever.
    pub violation_count: u64,
    /// Resent samples ever, see [`Request::duplicates`].
    pub duplicates: u64,
    pub(super) script: Script,
    pub(super) speaks: Speaks,
    keep_requests: usize,
}

/// A request that has been read and looked at by itself, before anybody knows what to answer.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) headers: HeaderMap,
    pub(super) body_bytes: usize,
    pub(super) body_crc: u32,
    pub(super) message_bytes: usize,
    pub(super) protocol: Protocol,
    pub(super) series: Vec<(Labels, Points)>,
    pub(super) metadata: Vec<Metadata>,
    pub(super) exemplars: u64,
    pub(super) violations: Vec<Violation>,
}

impl State {
    pub(super) fn new(keep_samples: usize, keep_requests: usize) -> Self {
        Self {
            store: Store::new(keep_samples),
            metadata: BTreeMap::new(),
            requests: VecDeque::new(),
            request_count: 0,
            accepted_count: 0,
            violations: Vec::new(),
            violation_count: 0,
            duplicates: 0,
            script: Script::default(),
            speaks: Speaks::default(),
            keep_requests,
        }
    }

    /// The samples of all series that have these labels, native histograms included, counted.
    #[must_use]
    pub fn count(&self, matchers: &[(&str, &str)]) -> usize {
        self.store.count(matchers)
    }

    /// The newest request.
    #[must_use]
    pub fn last_request(&self) -> Option<&Request> {
        self.requests.back()
    }

    /// Judges a request: takes its answer from the script, checks it against the store, stores what shall be stored, logs it.
    pub(super) fn judge(&mut self, mut arrived: Arrived, refuse: bool, at: i64) -> (Answer, &Request) {
        let answer = self.script.take();
        let entries = arrived.metadata.len() as u64;
        // The same metadata again is the next interval's.
        if let Some(status) = self.refused_before(arrived.body_crc).filter(|_| arrived.metadata.is_empty()) {
            arrived.violations.push(Violation::RetriedAfterFinal(status));
        }
        let foreign = self.speaks.foreign(arrived.protocol);
        let (stores, part) = match (&answer, foreign) {
            (Answer::Normal | Answer::StoreThenClose, None) => (true, usize::MAX),
            (Answer::StorePart { series, .. }, None) => (true, *series),
            (Answer::Normal | Answer::StoreThenClose | Answer::StorePart { .. }, Some(_))
            | (Answer::Status(_) | Answer::Hang | Answer::Close | Answer::CloseMidAnswer, _) => (false, 0),
        };
        let refuses = |violation: &&Violation| refuse || violation.is_unreadable();
        let readable = !arrived.violations.iter().any(|violation| refuses(&violation));
        let mut committed = false;
        let part = &arrived.series[..part.min(arrived.series.len())];
        let looked_at = if stores { part } else { &arrived.series };
        let admission = self.store.admit(looked_at, |admission: &Admission| {
            committed = stores && readable && (!refuse || admission.violations.is_empty());
            committed
        });
        arrived.violations.extend(admission.violations);
        if committed {
            self.learn(std::mem::take(&mut arrived.metadata));
        }
        let refusal = arrived.violations.iter().find(refuses).map(Violation::status);
        let answered = match (&answer, foreign) {
            (Answer::Normal, Some(Foreign::Refused)) => Answered::Status(415),
            (Answer::Normal, Some(Foreign::Swallowed)) => Answered::Status(204),
            (Answer::Normal, None) => Answered::Status(refusal.unwrap_or(204)),
            (Answer::Status(reply) | Answer::StorePart { reply, .. }, _) => Answered::Status(reply.status),
            (Answer::Hang, _) => Answered::Hang,
            (Answer::Close | Answer::StoreThenClose, _) => Answered::Closed,
            (Answer::CloseMidAnswer, _) => Answered::Half,
        };
        let all = || arrived.series.iter().flat_map(|(_, points)| points.iter());
        let times = || all().map(Point::timestamp);
        let request = Request {
            at,
            times: times().min().zip(times().max()),
            body_bytes: arrived.body_bytes,
            body_crc: arrived.body_crc,
            message_bytes: arrived.message_bytes,
            protocol: arrived.protocol,
            series: arrived.series.len(),
            metadata: entries,
            histograms: arrived.series.iter().map(|(_, points)| points.histograms.len() as u64).sum(),
            exemplars: arrived.exemplars,
            samples: all().count() as u64,
            markers: all().filter(|point| point.is_stale_marker()).count() as u64,
            stored: if committed { admission.stored } else { 0 },
            duplicates: if committed { admission.duplicates } else { 0 },
            written: match (arrived.protocol, foreign) {
                (Protocol::V2, None) if committed => Some(Written {
                    samples: admission.stored + admission.duplicates - admission.histograms,
                    histograms: admission.histograms,
                }),
                (Protocol::V2, None) => Some(Written::default()),
                (Protocol::V2, Some(_)) | (Protocol::V1, _) => None,
            },
            headers: hide_secrets(arrived.headers),
            violations: arrived.violations,
            answered,
        };
        (answer, self.log(request))
    }

    fn learn(&mut self, metadata: Vec<Metadata>) {
        for entry in metadata {
            if self.metadata.len() < KEPT_FAMILIES || self.metadata.contains_key(&entry.family) {
                self.metadata.insert(entry.family.clone(), entry);
            }
        }
    }

    /// The final answer that these very bytes had before (remote-write 1.14). 401, 403, 404 and 405 do not count: a sender may
    /// hold its data and ask again, and whoever sees the answer of another receiver cannot tell.
    fn refused_before(&self, body_crc: u32) -> Option<u16> {
        let before = self.requests.iter().rev().find(|request| request.body_crc == body_crc)?;
        match before.answered {
            Answered::Status(401 | 403 | 404 | 405 | 429) => None,
            Answered::Status(status @ 400..500) => Some(status),
            Answered::Status(_) | Answered::Hang | Answered::Closed | Answered::Half => None,
        }
    }

    fn log(&mut self, request: Request) -> &Request {
        self.request_count += 1;
        self.accepted_count += u64::from(matches!(request.answered, Answered::Status(200..=299)));
        self.duplicates += request.duplicates;
        self.violation_count += request.violations.len() as u64;
        let room = KEPT_VIOLATIONS - self.violations.len();
        self.violations.extend(request.violations.iter().take(room).cloned());
        if self.requests.len() >= self.keep_requests.max(1) {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
        let newest = self.requests.len() - 1;
        &self.requests[newest]
    }
}

/// The values stay readable for tests; printing them does not show them.
fn hide_secrets(mut headers: HeaderMap) -> HeaderMap {
    for (name, value) in &mut headers {
        value.set_sensitive(name == AUTHORIZATION);
    }
    headers
}
