//! The endpoints' side of a story: what they answer, and what that means.

use bytes::Bytes;
use docker_remote_write::model::now_ms;
use docker_remote_write::receiver::{Protocol, Violation};
use docker_remote_write::remote::ProtobufMessage;

use super::super::endpoint::{Arrival, Reply};
use super::super::model::{Fate, Part, samples};
use super::{Failed, Held, Story};

/// How an endpoint is disposed to answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mood {
    Healthy,
    Flaky,
    Down,
    Refusing,
}

/// What is done about a request: the answer, and whether the receiver has stored it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) reply: Reply,
    stores: bool,
    pub(super) word: &'static str,
}

/// What a verdict means to a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Delivered,
    Rejected,
    /// The same request comes again.
    Again,
    /// Its samples come again, in other requests.
    Anew,
}

impl Story {
    pub(super) fn verdict(&mut self, endpoint: usize) -> Verdict {
        let verdict = |reply, stores, word| Verdict { reply, stores, word };
        let good = verdict(Reply::Status(204), true, "answer 204");
        let unavailable = verdict(Reply::Status(503), false, "answer 503");
        let slow_down = verdict(Reply::Status(429), false, "answer 429, Retry-After 0");
        let who = verdict(Reply::Status(401), false, "answer 401");
        let reset = verdict(Reply::Reset, false, "reset");
        let close = verdict(Reply::Close, false, "closed without an answer");
        let among: &[(usize, Verdict)] = match self.moods[endpoint] {
            Mood::Healthy => &[
                (12, good),
                (2, verdict(Reply::Status(200), true, "answer 200")),
                (1, verdict(Reply::Torn(200), true, "answer 200, cut off")),
                (1, unavailable),
            ],
            Mood::Flaky => &[
                (5, good),
                (1, unavailable),
                (1, verdict(Reply::Status(502), false, "answer 502")),
                (1, slow_down),
                (1, who),
                (1, verdict(Reply::Status(307), false, "answer 307")),
                (1, verdict(Reply::Torn(503), false, "answer 503, cut off")),
                (1, reset),
                (1, close),
                (1, verdict(Reply::Close, true, "stored, then closed")),
                (1, verdict(Reply::Reset, true, "stored, then reset")),
                (1, verdict(Reply::Scrap, true, "stored, answer cut off")),
            ],
            Mood::Down => &[(6, unavailable), (2, reset), (2, close), (1, slow_down), (2, who)],
            Mood::Refusing => &[
                // 500 for ever begins a search among other requests: tests/remote/poison_random.rs.
                (2, verdict(Reply::Status(409), false, "answer 409")),
                (1, verdict(Reply::Status(400), true, "stored, answer 400")),
                (1, verdict(Reply::Unread(400), false, "answer 400 without counts")),
                (1, verdict(Reply::Status(413), false, "answer 413")),
                (1, verdict(Reply::Unread(415), false, "answer 415")),
                (1, verdict(Reply::Status(422), false, "answer 422")),
                (2, good),
            ],
        };
        self.dice.weighted(among)
    }

    /// What this life's receiver says instead to what it has been asked. A verdict that would depend on what the sender has learned is
    /// none of a story: tests/remote/negotiation_random.rs.
    pub(super) fn fitting(&mut self, endpoint: usize, verdict: Verdict) -> Verdict {
        let Some(Held { arrival, parts }) = &self.held[endpoint] else { return verdict };
        let (protocol, is_single) = (arrival.protocol, samples(parts) == 1);
        let other = |reply, word| Verdict { reply, stores: false, word };
        let is_answer = !matches!(verdict.reply, Reply::Scrap | Reply::Close | Reply::Reset);
        let is_old = self.life().knobs.is_old(endpoint) && protocol == Protocol::V2;
        if is_old && !is_answer {
            // It has stored nothing of what it has not read.
            return Verdict { stores: false, word: "no answer to 2.0, not stored", ..verdict };
        }
        if is_old
            && !matches!(verdict.reply, Reply::Status(307 | 401 | 413 | 429 | 500..) | Reply::Torn(500..))
        {
            return self.dice.pick(&[
                other(Reply::Unread(415), "answer 415 to 2.0"),
                other(Reply::Unread(204), "answer 204 to 2.0, not stored"),
                other(Reply::Unread(if is_single { 415 } else { 400 }), "answer 400 or 415 to 2.0"),
            ]);
        }
        match (verdict.reply, protocol) {
            // A sample that is refused alone is poison: tests/remote/poison_random.rs.
            (Reply::Unread(400) | Reply::Status(413), _) if is_single => {
                other(Reply::Status(409), "answer 409")
            }
            (Reply::Status(400), Protocol::V1) => other(Reply::Status(409), "answer 409"),
            _ => verdict,
        }
    }

    pub(super) fn meaning(&self, endpoint: usize, verdict: Verdict) -> Meaning {
        let knobs = &self.life.as_ref().unwrap().knobs;
        match verdict.reply {
            Reply::Unread(415) if knobs.messages[endpoint] == ProtobufMessage::V1 => Meaning::Rejected,
            // To 2.0 with what is written: final, whatever of it is stored.
            Reply::Status(400) => Meaning::Rejected,
            // Smaller, or in the other message.
            Reply::Unread(_) | Reply::Status(413) => Meaning::Anew,
            Reply::Status(200..300) | Reply::Torn(200..300) => Meaning::Delivered,
            Reply::Status(401) if !knobs.hold_on_auth_error => Meaning::Rejected,
            Reply::Status(429) if !knobs.retry_on_http_429 => Meaning::Rejected,
            Reply::Status(409 | 422) => Meaning::Rejected,
            Reply::Status(_) | Reply::Torn(_) | Reply::Scrap | Reply::Close | Reply::Reset => Meaning::Again,
        }
    }

    /// Answers what the endpoint has been asked, if it has been asked.
    pub(super) fn answer(&mut self, endpoint: usize) -> bool {
        let verdict = self.verdict(endpoint);
        self.answer_with(endpoint, verdict)
    }

    pub(super) fn answer_with(&mut self, endpoint: usize, verdict: Verdict) -> bool {
        let verdict = self.fitting(endpoint, verdict);
        let Some((parts, meaning)) = self.reply(endpoint, verdict) else { return false };
        self.note(verdict.word);
        self.explain(&(endpoint, &parts));
        match meaning {
            Meaning::Delivered => self.model.settle(endpoint, &parts, Fate::Delivered),
            Meaning::Rejected => self.model.settle(endpoint, &parts, Fate::Rejected),
            Meaning::Again | Meaning::Anew => {}
        }
        true
    }

    /// The receiver's part of an answer.
    pub(super) fn reply(&mut self, endpoint: usize, verdict: Verdict) -> Option<(Vec<Part>, Meaning)> {
        let held = self.held[endpoint].take()?;
        let meaning = self.meaning(endpoint, verdict);
        if verdict.stores {
            self.store(endpoint, &held, meaning == Meaning::Delivered);
        }
        let Arrival { protocol, body, reply, .. } = held.arrival;
        self.failed[endpoint] =
            (meaning == Meaning::Again).then(|| Failed { parts: held.parts.clone(), protocol, body });
        reply.send(verdict.reply).unwrap();
        Some((held.parts, meaning))
    }

    pub(super) fn store(&mut self, endpoint: usize, held: &Held, answered: bool) {
        let late = self.model.store(endpoint, &held.parts, answered);
        self.late[endpoint] += late;
        let strict = &self.strict[endpoint];
        strict.accept_as(held.arrival.protocol, Bytes::copy_from_slice(&held.arrival.body));
        let violations = strict.read(|state| state.last_request().unwrap().violations.clone());
        let is_late = |violation: &Violation| matches!(violation, Violation::OutOfOrder { .. });
        assert!(violations.iter().all(is_late), "endpoint {endpoint}: {violations:?}");
        assert_eq!(violations.len() as u64, late, "endpoint {endpoint}: {violations:?}");
    }

    pub(super) async fn drain(&mut self, endpoint: usize) {
        let good = Verdict { reply: Reply::Status(204), stores: true, word: "answer 204" };
        self.note("drain");
        while self.answer_with(endpoint, good) {
            self.rest(now_ms()).await;
        }
    }
}
