//! The endpoints' side of a story: what they answer, and what that means.

use bytes::Bytes;
use docker_remote_write::model::now_ms;
use docker_remote_write::receiver::Violation;

use super::super::endpoint::Reply;
use super::super::model::{Fate, Part};
use super::{Held, Story};

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
    Again,
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
                // 400 and 500 for ever begin a search: tests/remote/poison_random.rs.
                (2, verdict(Reply::Status(409), false, "answer 409")),
                (1, verdict(Reply::Status(422), false, "answer 422")),
                (2, good),
            ],
        };
        self.dice.weighted(among)
    }

    pub(super) fn meaning(&self, verdict: Verdict) -> Meaning {
        let knobs = &self.life.as_ref().unwrap().knobs;
        match verdict.reply {
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
        let Some((parts, meaning)) = self.reply(endpoint, verdict) else { return false };
        self.note(verdict.word);
        self.explain(&(endpoint, &parts));
        match meaning {
            Meaning::Delivered => self.model.settle(endpoint, &parts, Fate::Delivered),
            Meaning::Rejected => self.model.settle(endpoint, &parts, Fate::Rejected),
            Meaning::Again => {}
        }
        true
    }

    /// The receiver's part of an answer.
    pub(super) fn reply(&mut self, endpoint: usize, verdict: Verdict) -> Option<(Vec<Part>, Meaning)> {
        let held = self.held[endpoint].take()?;
        let meaning = self.meaning(verdict);
        if verdict.stores {
            self.store(endpoint, &held, meaning == Meaning::Delivered);
        }
        self.failed[endpoint] = (meaning == Meaning::Again).then(|| (held.parts.clone(), held.arrival.body));
        held.arrival.reply.send(verdict.reply).unwrap();
        Some((held.parts, meaning))
    }

    pub(super) fn store(&mut self, endpoint: usize, held: &Held, answered: bool) {
        let late = self.model.store(endpoint, &held.parts, answered);
        self.late[endpoint] += late;
        let strict = &self.strict[endpoint];
        strict.accept(Bytes::copy_from_slice(&held.arrival.body));
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
