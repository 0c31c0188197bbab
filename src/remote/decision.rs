//! What an answer means: one pure function of its status, its headers, the little of its text that may steer, and what is
//! known of the endpoint and the request. Receivers section 5 is the table; each of its rows has a test.

use std::time::SystemTime;

use super::Config;
use super::backoff::retry_after;
use super::outcome::{Cause, Failure, Outcome, Reason};
use super::protocol::Switch;
use super::refusal::{self, Blame, Words};

/// So many 429 in a row for one request, without a Retry-After: it may be larger than the burst that the receiver allows, and
/// then it never gets through (Cortex).
const REFUSED_FOR_SIZE: u32 = 3;

/// So many 500 in a row for a single sample, while others get through: it is set aside.
const STUCK_ALONE: u32 = 3;

/// An answer's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// `Retry-After`, as it came.
    pub(super) retry_after: Option<String>,
    /// Whether any of the three `X-Prometheus-Remote-Write-*-Written` is there. The numbers in them prove nothing: Cortex says 0
    /// while it stores.
    pub(super) has_written: bool,
    /// What those of samples and of native histograms say together; `None` without the one of samples.
    pub(super) written: Option<u64>,
}

/// The settings that have a say in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// `REMOTE_WRITE_RETRY_ON_HTTP_429`.
    pub(super) retry_on_http_429: bool,
    /// `REMOTE_WRITE_HOLD_ON_AUTH_ERROR`.
    pub(super) hold_on_auth_error: bool,
}

impl Policy {
    pub(super) fn of(config: &Config) -> Self {
        Self { retry_on_http_429: config.retry_on_http_429, hold_on_auth_error: config.hold_on_auth_error }
    }
}

/// The message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2 {
        /// A 2.0 message to this endpoint was answered with `*-Written` headers before.
        proven: bool,
    },
}

/// How the endpoint answers other requests, as far as it was asked since this one fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    Unknown,
    Succeed,
    Fail,
}

/// What is known of the endpoint and of the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) policy: Policy,
    pub(super) message: Message,
    pub(super) switch: Switch,
    /// Samples in the request.
    pub(super) samples: u32,
    /// Answers in a row to this very request with this status, this one included.
    pub(super) repeats: u32,
    /// How many 500 in a row a request gets before [`Outcome::Probe`], and between two of them.
    pub(super) patience: u32,
    pub(super) others: Others,
    /// A search among samples that get 500 is on.
    pub(super) searching_500: bool,
}

/// What an answer means (remote-write 1.14, 1.15, 2.17, 2.18; receivers section 5).
///
/// `text` is the beginning of the answer's body; `now` is what a date in `Retry-After` is compared with.
pub(super) fn decide(reply: &Reply, text: &str, known: &Known, now: SystemTime) -> Outcome {
    let status = reply.status;
    match status {
        // To 2.0 without any of the headers: nobody has looked at the message, nothing of it is stored.
        200..=299 if matches!(known.message, Message::V2 { .. }) && !reply.has_written => {
            other_message(status, known)
        }
        200..=299 => Outcome::Delivered,
        // Followed, a 301 would turn the POST into a GET and its 200 into silent loss; so a redirect is a wrong URL,
        // and a wrong URL is no reason to drop anything, whatever the policy for 4xx.
        300..=399 => Outcome::Hold { status },
        404 | 405 | 406 | 501 if may_not_know(reply, known) => Outcome::FallBack,
        400 => bad_request(reply, Words::of(text), known),
        401 | 403 | 404 | 405 => wrong_settings(status, known.policy),
        409 => Outcome::Reject { status, cause: Cause::PartlyStored },
        413 => too_large(status, known),
        415 => match (known.message, known.switch) {
            (Message::V1, Switch::Pinned) => Outcome::Reject { status, cause: Cause::Refused },
            (Message::V1 | Message::V2 { .. }, _) => other_message(status, known),
        },
        // A gateway of 1.0 that cannot read it may say so in many ways.
        402 | 407 | 408 | 410..=412 | 414 | 416..=428 | 430..=499 if may_not_know(reply, known) => {
            Outcome::FallBack
        }
        429 => too_many(reply, Words::of(text), known, now),
        402 | 406..=408 | 410..=412 | 414 | 416..=428 | 430..=499 => {
            Outcome::Reject { status, cause: Cause::Refused }
        }
        500 => server_error(reply, known, now),
        501..=599 => retry(reply, now),
        // 101 and numbers that HTTP does not have: says nothing about the samples, so they are kept.
        0..=199 | 600..=u16::MAX => Outcome::Retry { reason: Reason::Status(status), after: None },
    }
}

/// Nothing of it is stored, and it was the message: the other one, or, where that is refused too or not allowed, nobody's samples are
/// at fault.
const fn other_message(status: u16, known: &Known) -> Outcome {
    match known.switch {
        Switch::Open => Outcome::FallBack,
        Switch::Pinned | Switch::Spent => Outcome::Hold { status },
    }
}

/// A server of 1.0 alone may have said this because of the message.
fn may_not_know(reply: &Reply, known: &Known) -> bool {
    known.message == (Message::V2 { proven: false }) && known.switch == Switch::Open && !reply.has_written
}

/// No answer: the samples may or may not have arrived, so the same bytes go again.
pub(super) const fn of_failure(failure: Failure) -> Outcome {
    Outcome::Retry { reason: Reason::Failure(failure), after: None }
}

fn bad_request(reply: &Reply, words: Words, known: &Known) -> Outcome {
    let status = reply.status;
    let reject = |cause| Outcome::Reject { status, cause };
    match (words, known.message) {
        (Words::WrongPath, _) => wrong_settings(status, known.policy),
        (Words::TooLarge, _) => too_large(status, known),
        // Whatever number they carry: the good part is stored.
        (_, Message::V2 { .. }) if reply.has_written => reject(Cause::PartlyStored),
        (_, Message::V2 { proven: false }) if may_not_know(reply, known) => Outcome::FallBack,
        (Words::Undecodable | Words::SeriesLimit | Words::PartlyStored, _) => reject(refusal::cause(words)),
        (Words::SampleTime | Words::Unknown, Message::V1 | Message::V2 { .. }) => {
            Outcome::Search { status, blame: Blame::of(words) }
        }
    }
}

const fn wrong_settings(status: u16, policy: Policy) -> Outcome {
    if policy.hold_on_auth_error {
        Outcome::Hold { status }
    } else {
        Outcome::Reject { status, cause: Cause::Refused }
    }
}

const fn too_large(status: u16, known: &Known) -> Outcome {
    if known.samples > 1 {
        Outcome::Split { status }
    } else {
        Outcome::Reject { status, cause: Cause::TooLarge }
    }
}

fn too_many(reply: &Reply, words: Words, known: &Known, now: SystemTime) -> Outcome {
    let status = reply.status;
    if !known.policy.retry_on_http_429 {
        return Outcome::Reject { status, cause: Cause::Refused };
    }
    let asks_for_time = reply.retry_after.is_some() || words == Words::SeriesLimit;
    if !asks_for_time && known.samples > 1 && known.repeats >= REFUSED_FOR_SIZE {
        return Outcome::Split { status };
    }
    retry(reply, now)
}

/// 500 is the one 5xx that a single series may cause (Prometheus 2 answers so, for ever, to a label name that comes twice); the
/// others speak of the server. One that says when to come again speaks of the server, too.
fn server_error(reply: &Reply, known: &Known, now: SystemTime) -> Outcome {
    let status = reply.status;
    let search = Outcome::Search { status, blame: Blame::Series };
    if reply.retry_after.is_some() {
        return retry(reply, now);
    }
    if known.searching_500 {
        return if known.samples > 1 || known.repeats >= STUCK_ALONE { search } else { retry(reply, now) };
    }
    if known.repeats < known.patience || !known.repeats.is_multiple_of(known.patience) {
        return retry(reply, now);
    }
    if may_not_know(reply, known) {
        return Outcome::FallBack;
    }
    match known.others {
        Others::Unknown => Outcome::Probe { status },
        Others::Succeed => search,
        Others::Fail => retry(reply, now),
    }
}

fn retry(reply: &Reply, now: SystemTime) -> Outcome {
    let after = reply.retry_after.as_deref().and_then(|header| retry_after(header, now));
    Outcome::Retry { reason: Reason::Status(reply.status), after }
}

#[cfg(test)]
mod tests;
