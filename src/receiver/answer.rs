use std::collections::VecDeque;

use bytes::Bytes;

/// How a request is answered. Every request is read to its end and checked, whatever the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Checked, stored, 204; or 4xx with the violations.
    Normal,
    /// Not stored; this status, whatever was sent.
    Status(Reply),
    /// Not stored; no answer for as long as the client or the server stays.
    Hang,
    /// Not stored; the connection is closed without an answer.
    Close,
    /// Not stored; a head that promises a body (status 200), half of it, and the end of the connection.
    CloseMidAnswer,
    /// Of these many series stored, from the first on, as normal; then this answer, whatever was sent.
    StorePart {
        /// `usize::MAX` is all.
        series: usize,
        /// As with [`Answer::Status`].
        reply: Reply,
    },
    /// Stored as normal, but the connection is closed without an answer: the sender must send it again.
    StoreThenClose,
}

/// One HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Beside Content-Length and Date.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// A status with a short text.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let body = Bytes::from(format!("scripted answer {status}\n"));
        Self::Status(Reply { status, headers: Vec::new(), body })
    }

    /// A status with the three headers that say how much of a 2.0 request was written; none of it was.
    #[must_use]
    pub fn written(status: u16, samples: u64) -> Self {
        Self::Status(Reply::written(status, samples))
    }

    /// A status that says when to come back (`Retry-After`, seconds or an HTTP date).
    #[must_use]
    pub fn retry_after(status: u16, retry_after: &str) -> Self {
        let headers = vec![("Retry-After".to_owned(), retry_after.to_owned())];
        Self::Status(Reply { status, headers, body: Bytes::from_static(b"scripted answer\n") })
    }
}

impl Reply {
    /// A status with the three headers that say how much of a 2.0 request was written (remote-write 2.19).
    #[must_use]
    pub fn written(status: u16, samples: u64) -> Self {
        let body =
            if status == 204 { Bytes::new() } else { Bytes::from(format!("scripted answer {status}\n")) };
        Self { status, headers: written(samples, 0, 0), body }
    }
}

/// `X-Prometheus-Remote-Write-*-Written`.
pub(super) fn written(samples: u64, histograms: u64, exemplars: u64) -> Vec<(String, String)> {
    let header = |what, count: u64| (format!("X-Prometheus-Remote-Write-{what}-Written"), count.to_string());
    vec![header("Samples", samples), header("Histograms", histograms), header("Exemplars", exemplars)]
}

/// The answers to come: some for a counted number of requests, and one for all after them.
#[derive(Clone, Debug)]
pub(super) struct Script {
    next: VecDeque<(u32, Answer)>,
    then: Answer,
}

impl Default for Script {
    fn default() -> Self {
        Self { next: VecDeque::new(), then: Answer::Normal }
    }
}

impl Script {
    pub(super) fn set(&mut self, answer: Answer) {
        self.next.clear();
        self.then = answer;
    }

    pub(super) fn push(&mut self, count: u32, answer: Answer) {
        if count > 0 {
            self.next.push_back((count, answer));
        }
    }

    /// The answer to the request that is here now.
    pub(super) fn take(&mut self) -> Answer {
        let Some((left, answer)) = self.next.front_mut() else { return self.then.clone() };
        let answer = answer.clone();
        *left -= 1;
        if *left == 0 {
            self.next.pop_front();
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_answers_come_first_and_end() {
        let mut script = Script::default();
        script.push(2, Answer::status(503));
        script.push(0, Answer::Hang);
        script.push(1, Answer::Close);
        let taken: Vec<_> = (0..4).map(|_| script.take()).collect();
        assert_eq!(taken, [Answer::status(503), Answer::status(503), Answer::Close, Answer::Normal]);
    }

    #[test]
    fn a_set_answer_stays_and_ends_the_counted_ones() {
        let mut script = Script::default();
        script.push(9, Answer::Close);
        script.set(Answer::Hang);
        assert_eq!([script.take(), script.take()], [Answer::Hang, Answer::Hang]);
    }
}
