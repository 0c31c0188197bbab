use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::Resolve;
use tokio::time::Instant;

use super::outcome::Failure;

/// So many failures in a row end a connection: behind a name or a load balancer somebody else may answer better.
const MAX_FAILURES: u32 = 3;

/// Name resolution that replaces the system's; tests move an endpoint with it.
#[derive(Clone)]
pub struct Resolver(pub Arc<dyn Resolve>);

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// Why a connection is given up for a new one, to an address that is looked up anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Redial {
    /// It is older than `REMOTE_WRITE_MAX_CONNECTION_AGE`.
    Age,
    /// Three attempts in a row were not answered with 2xx.
    Failures,
    /// No answer in time: the peer may have vanished without a word. Over HTTP/2 the connection would outlive the request.
    Timeout,
    /// It had answered before and ended under a request: most often the peer closes an idle connection at the moment that we
    /// use it. The request goes again at once, and is not counted as failed.
    Stale,
}

impl Redial {
    /// As it stands in metrics and logs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Failures => "failures",
            Self::Timeout => "timeout",
            Self::Stale => "stale",
        }
    }
}

/// What is known of the connection that is in use; decides when it has to go.
///
/// An HTTP client has no handle for its connections. A new client has none yet, so a connection is given up by building a new
/// client: the old one's idle connections end with it.
#[derive(Debug)]
pub(super) struct Connection {
    /// `None`: no limit.
    max_age: Option<Duration>,
    /// When its client was built.
    since: Instant,
    /// Anything at all has been answered over it.
    answered: bool,
    /// Attempts without 2xx, over old connections too.
    failures: u32,
    /// A reason to dial anew before the next request.
    due: Option<Redial>,
}

impl Connection {
    pub(super) fn new(max_age: Option<Duration>) -> Self {
        Self { max_age, since: Instant::now(), answered: false, failures: 0, due: None }
    }

    /// Why the next request must not use it.
    pub(super) fn due(&self) -> Option<Redial> {
        let is_old = || self.max_age.is_some_and(|max| self.since.elapsed() >= max);
        self.due.or_else(|| is_old().then_some(Redial::Age))
    }

    /// There is a new one. A run of failures goes on.
    pub(super) fn renewed(&mut self) {
        *self = Self { failures: self.failures, ..Self::new(self.max_age) };
    }

    /// An answer came.
    pub(super) fn answered(&mut self, status: u16) {
        self.answered = true;
        if (200..300).contains(&status) {
            self.failures = 0;
        } else {
            self.failed();
        }
    }

    /// No answer came; `connecting`: the failure was before anything could be sent. Where [`Redial::Stale`] is [`due`](Self::due)
    /// then, the same request goes again at once, over a new connection.
    ///
    /// The peer may have taken the request and only its answer was lost: the same bytes follow before anything newer, so a
    /// receiver sees at worst what it has. A connection that had never answered is no stale one, and the next one has not
    /// answered either: so this happens once for each connection that worked.
    pub(super) fn unanswered(&mut self, failure: Failure, connecting: bool) {
        match failure {
            // What else can end an HTTP/2 request under way (GOAWAY, REFUSED_STREAM) has no word of its own.
            Failure::Closed | Failure::Other if self.answered && !connecting => {
                self.due = Some(Redial::Stale);
            }
            Failure::Timeout => {
                self.failed();
                self.due = Some(Redial::Timeout);
            }
            Failure::Closed
            | Failure::Other
            | Failure::Refused
            | Failure::Dns
            | Failure::Tls
            | Failure::Setup => self.failed(),
        }
    }

    fn failed(&mut self) {
        self.failures += 1;
        if self.failures >= MAX_FAILURES {
            self.failures = 0;
            self.due = Some(Redial::Failures);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(300);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_used_until_it_is_old() {
        let mut connection = Connection::new(Some(AGE));
        tokio::time::advance(AGE - Duration::from_millis(1)).await;
        assert_eq!(connection.due(), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(connection.due(), Some(Redial::Age));
        connection.renewed();
        assert_eq!(connection.due(), None);
        let unlimited = Connection::new(None);
        tokio::time::advance(AGE * 1000).await;
        assert_eq!(unlimited.due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn three_failures_in_a_row_end_it_and_a_success_begins_a_new_row() {
        let mut connection = Connection::new(Some(AGE));
        connection.answered(503);
        connection.unanswered(Failure::Refused, false);
        connection.answered(204);
        connection.answered(429);
        connection.answered(503);
        assert_eq!(connection.due(), None);
        connection.answered(503);
        assert_eq!(connection.due(), Some(Redial::Failures));
        connection.renewed();
        connection.unanswered(Failure::Dns, false);
        connection.unanswered(Failure::Dns, false);
        assert_eq!(connection.due(), None);
        connection.unanswered(Failure::Dns, false);
        assert_eq!(connection.due(), Some(Redial::Failures));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_answered_and_ends_is_stale_once() {
        for failure in [Failure::Closed, Failure::Other] {
            let mut connection = Connection::new(Some(AGE));
            connection.unanswered(failure, false);
            assert_eq!(connection.due(), None);
            connection.answered(204);
            connection.unanswered(failure, true);
            assert_eq!(connection.due(), None, "what cannot be dialled was not in use");
            connection.unanswered(failure, false);
            assert_eq!(connection.due(), Some(Redial::Stale));
            connection.renewed();
            connection.unanswered(failure, false);
            assert_ne!(connection.due(), Some(Redial::Stale), "the new one has not answered yet");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_that_ends_is_stale() {
        for failure in [Failure::Timeout, Failure::Refused, Failure::Dns, Failure::Tls, Failure::Setup] {
            let mut connection = Connection::new(Some(AGE));
            connection.answered(204);
            connection.unanswered(failure, false);
            assert_ne!(connection.due(), Some(Redial::Stale), "{failure:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_ends_it_at_once() {
        let mut connection = Connection::new(Some(AGE));
        connection.answered(204);
        connection.unanswered(Failure::Timeout, false);
        assert_eq!(connection.due(), Some(Redial::Timeout));
    }
}
