//! Which message an endpoint is sent: a pure state machine over what its answers mean (receivers section 5; remote-write 2.18, 2.20).
//!
//! An answer that nobody can misread (415, or a 2xx to 2.0 without any Written header) decides at once. An ambiguous one (400, 404, 405,
//! 406, 501, or 500 for long, before 2.0 is proven) has the same samples go as 1.0 once, and only a 2xx to that decides.

use std::fmt;

use super::decision::{Message, Reply};
use super::outcome::{Outcome, Reason};

/// What was learned is asked for anew after this time: receivers are upgraded.
const ASK_AGAIN_MS: i64 = 24 * 60 * 60 * 1000;

/// `REMOTE_WRITE_PROTOBUF_MESSAGE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProtobufMessage {
    /// 2.0, and 1.0 where that is not taken.
    #[default]
    Auto,
    /// 1.0, whatever is answered.
    V1,
    /// 2.0, whatever is answered.
    V2,
}

/// A version of remote-write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

impl Version {
    /// The message's full name, as protobuf and the settings spell it.
    #[must_use]
    pub const fn message_name(self) -> &'static str {
        match self {
            Self::V1 => "prometheus.WriteRequest",
            Self::V2 => "io.prometheus.write.v2.Request",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "1.0",
            Self::V2 => "2.0",
        })
    }
}

/// What an endpoint has shown that it takes; kept over restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Learned {
    /// Nothing yet.
    #[default]
    Nothing,
    /// 1.0 and not 2.0.
    V1 {
        /// When 2.0 was refused, ms since the epoch.
        since: i64,
    },
    /// 2.0.
    V2,
}

/// Whether the other message may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    /// The setting says which it is.
    Pinned,
    /// It was refused just before.
    Spent,
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pinned(Version),
    /// Nobody knows: 2.0 is asked for.
    Asking {
        /// 1.0 was answered with 415 just before.
        v1_refused: bool,
    },
    /// 2.0 was answered ambiguously; the same goes as 1.0.
    Trying,
    V1 {
        since: i64,
    },
    V2,
}

/// The state of one endpoint.
#[derive(Debug)]
pub(super) struct Negotiation(State);

impl Negotiation {
    pub(super) fn new(setting: ProtobufMessage, learned: Learned) -> Self {
        Self(match (setting, learned) {
            (ProtobufMessage::V1, _) => State::Pinned(Version::V1),
            (ProtobufMessage::V2, _) => State::Pinned(Version::V2),
            (ProtobufMessage::Auto, Learned::Nothing) => State::Asking { v1_refused: false },
            (ProtobufMessage::Auto, Learned::V1 { since }) => State::V1 { since },
            (ProtobufMessage::Auto, Learned::V2) => State::V2,
        })
    }

    /// The version of the next request, at `now` (ms since the epoch).
    pub(super) fn version(&mut self, now: i64) -> Version {
        if let State::V1 { since } = self.0
            && !(0..ASK_AGAIN_MS).contains(&now.saturating_sub(since))
        {
            self.0 = State::Asking { v1_refused: false };
        }
        match self.0 {
            State::Pinned(version) => version,
            State::Asking { v1_refused: _ } | State::V2 => Version::V2,
            State::Trying | State::V1 { since: _ } => Version::V1,
        }
    }

    /// What a request of this version is to [`super::decision`].
    pub(super) fn message(&self, version: Version) -> Message {
        match version {
            Version::V1 => Message::V1,
            Version::V2 => Message::V2 { proven: matches!(self.0, State::V2 | State::Pinned(_)) },
        }
    }

    pub(super) fn switch(&self) -> Switch {
        match self.0 {
            State::Pinned(_) => Switch::Pinned,
            State::Asking { v1_refused: true } | State::Trying => Switch::Spent,
            State::Asking { v1_refused: false } | State::V1 { since: _ } | State::V2 => Switch::Open,
        }
    }

    /// An answer (`None` where there was none) to a request of this version, and what it meant. Returns what is learned by it, if that is
    /// new.
    pub(super) fn answered(
        &mut self,
        version: Version,
        reply: Option<&Reply>,
        outcome: &Outcome,
        now: i64,
    ) -> Option<Learned> {
        let before = self.0;
        let has_written = reply.is_some_and(|reply| reply.has_written);
        let is_plain = reply.is_some_and(|reply| matches!(reply.status, 200..=299 | 415));
        self.0 = match (before, version, outcome) {
            (State::Pinned(_), _, _) => before,
            (_, Version::V2, Outcome::FallBack) if is_plain => State::V1 { since: now },
            (_, Version::V2, Outcome::FallBack) => State::Trying,
            (_, Version::V1, Outcome::FallBack) => State::Asking { v1_refused: true },
            (_, Version::V2, _) if has_written => State::V2,
            (State::Trying, Version::V1, Outcome::Delivered) => State::V1 { since: now },
            // May be a sample's fault, which is found by the search that so many of them lead to: that begins once only.
            (State::Trying, Version::V1, Outcome::Retry { reason: Reason::Status(500), .. }) => State::Trying,
            // Says nothing about the message: 2.0 is asked for again.
            (State::Trying, _, Outcome::Retry { .. } | Outcome::Hold { .. }) => {
                State::Asking { v1_refused: false }
            }
            (State::Asking { v1_refused: true }, _, Outcome::Hold { .. }) => {
                State::Asking { v1_refused: false }
            }
            (
                State::Asking { .. } | State::Trying | State::V1 { .. } | State::V2,
                Version::V1 | Version::V2,
                Outcome::Delivered
                | Outcome::Retry { .. }
                | Outcome::Hold { .. }
                | Outcome::Reject { .. }
                | Outcome::Search { .. }
                | Outcome::Probe { .. }
                | Outcome::Split { .. },
            ) => before,
        };
        match self.0 {
            State::V1 { since } if self.0 != before => Some(Learned::V1 { since }),
            State::V2 if self.0 != before => Some(Learned::V2),
            State::Pinned(_) | State::Asking { .. } | State::Trying | State::V1 { .. } | State::V2 => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::outcome::{Cause, Failure};

    const NOW: i64 = 1_790_000_000_000;
    const RETRY: Outcome = Outcome::Retry { reason: Reason::Failure(Failure::Timeout), after: None };

    fn reply(status: u16, has_written: bool) -> Reply {
        Reply { status, has_written, ..Reply::default() }
    }

    fn new() -> Negotiation {
        Negotiation::new(ProtobufMessage::Auto, Learned::Nothing)
    }

    /// An answer to whatever is sent next; what is learned and what follows.
    fn step(
        one: &mut Negotiation,
        status: u16,
        written: bool,
        outcome: &Outcome,
    ) -> (Option<Learned>, Version) {
        let version = one.version(NOW);
        let learned = one.answered(version, Some(&reply(status, written)), outcome, NOW);
        (learned, one.version(NOW))
    }

    #[test]
    fn rw_2_20_plain_answers_decide_at_once() {
        let v1 = Some(Learned::V1 { since: NOW });
        for status in [415, 200, 204] {
            assert_eq!(step(&mut new(), status, false, &Outcome::FallBack), (v1, Version::V1));
        }
        let mut proven = new();
        assert_eq!(step(&mut proven, 204, true, &Outcome::Delivered), (Some(Learned::V2), Version::V2));
        assert_eq!(step(&mut proven, 204, true, &Outcome::Delivered), (None, Version::V2));
        // A receiver that was replaced by an older one.
        assert_eq!(step(&mut proven, 204, false, &Outcome::FallBack), (v1, Version::V1));
    }

    #[test]
    fn rw_2_18_an_ambiguous_answer_is_decided_by_a_2xx_to_1_0_alone() {
        let mut one = new();
        assert_eq!(step(&mut one, 400, false, &Outcome::FallBack), (None, Version::V1));
        assert_eq!(one.switch(), Switch::Spent);
        // Busy, wrong path, no answer: back to 2.0.
        assert_eq!(step(&mut one, 503, false, &RETRY), (None, Version::V2));
        step(&mut one, 404, false, &Outcome::FallBack);
        assert_eq!(step(&mut one, 404, false, &Outcome::Hold { status: 404 }), (None, Version::V2));
        step(&mut one, 400, false, &Outcome::FallBack);
        one.answered(Version::V1, None, &RETRY, NOW);
        assert_eq!(one.version(NOW), Version::V2);
        // What is refused for its samples goes on as 1.0.
        step(&mut one, 400, false, &Outcome::FallBack);
        let refused = Outcome::Reject { status: 400, cause: Cause::Refused };
        assert_eq!(step(&mut one, 400, false, &refused), (None, Version::V1));
        let v1 = Some(Learned::V1 { since: NOW });
        assert_eq!(step(&mut one, 204, false, &Outcome::Delivered), (v1, Version::V1));
    }

    #[test]
    fn a_500_to_1_0_is_tried_as_1_0_until_it_is_known_whose_fault_it_is() {
        let again = Outcome::Retry { reason: Reason::Status(500), after: None };
        let mut one = new();
        assert_eq!(step(&mut one, 500, false, &Outcome::FallBack), (None, Version::V1));
        for _ in 0..5 {
            assert_eq!(step(&mut one, 500, false, &again), (None, Version::V1));
        }
        assert_eq!(step(&mut one, 500, false, &Outcome::Probe { status: 500 }), (None, Version::V1));
        assert_eq!(step(&mut one, 503, false, &RETRY), (None, Version::V2));
    }

    #[test]
    fn written_headers_prove_2_0_whatever_the_status() {
        let partly = Outcome::Reject { status: 400, cause: Cause::PartlyStored };
        assert_eq!(step(&mut new(), 400, true, &partly), (Some(Learned::V2), Version::V2));
        assert_eq!(step(&mut new(), 503, true, &RETRY), (Some(Learned::V2), Version::V2));
    }

    #[test]
    fn what_is_remembered_holds_for_a_day() {
        let mut one = Negotiation::new(ProtobufMessage::Auto, Learned::V1 { since: NOW });
        assert_eq!(one.version(NOW), Version::V1);
        assert_eq!(one.version(NOW + ASK_AGAIN_MS - 1), Version::V1);
        assert_eq!(one.version(NOW + ASK_AGAIN_MS), Version::V2);
        // A clock that was set back.
        let mut early = Negotiation::new(ProtobufMessage::Auto, Learned::V1 { since: NOW });
        assert_eq!(early.version(NOW - 1), Version::V2);
        let mut proven = Negotiation::new(ProtobufMessage::Auto, Learned::V2);
        assert_eq!(proven.message(Version::V2), Message::V2 { proven: true });
        assert_eq!(proven.version(i64::MAX), Version::V2);
    }

    #[test]
    fn a_receiver_of_2_0_alone_is_found_and_one_of_neither_is_no_endless_loop() {
        let mut one = Negotiation::new(ProtobufMessage::Auto, Learned::V1 { since: NOW });
        assert_eq!(step(&mut one, 415, false, &Outcome::FallBack), (None, Version::V2));
        assert_eq!(one.switch(), Switch::Spent);
        assert_eq!(step(&mut one, 415, false, &Outcome::Hold { status: 415 }), (None, Version::V2));
        assert_eq!(one.switch(), Switch::Open);
        assert_eq!(step(&mut one, 204, true, &Outcome::Delivered), (Some(Learned::V2), Version::V2));
    }

    #[test]
    fn a_pinned_endpoint_never_changes() {
        for (setting, version) in [(ProtobufMessage::V1, Version::V1), (ProtobufMessage::V2, Version::V2)] {
            let mut one = Negotiation::new(setting, Learned::V1 { since: 0 });
            for outcome in [Outcome::FallBack, Outcome::Delivered, RETRY] {
                assert_eq!(step(&mut one, 204, false, &outcome), (None, version));
            }
            assert_eq!(one.switch(), Switch::Pinned);
        }
    }
}
