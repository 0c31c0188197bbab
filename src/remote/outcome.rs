use std::fmt;
use std::time::{Duration, SystemTime};

use super::Config;
use super::backoff::retry_after;

/// What an attempt means for the samples it carried. Decided from the status and its headers alone: a receiver's text is for
/// people (remote-write 1.09).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx: the receiver has them; the cursor moves on.
    Delivered,
    /// Nobody knows, or not now: the same bytes again, later.
    Retry {
        /// What went wrong.
        reason: Reason,
        /// The server's `Retry-After`, which overrides the own delay.
        after: Option<Duration>,
    },
    /// The settings are wrong, not the samples: nothing is dropped, the oldest batch is tried again from time to time.
    Hold {
        /// 3xx, 401, 403, 404 or 405.
        status: u16,
    },
    /// The receiver will never take them: dropped and counted.
    Reject {
        /// 4xx.
        status: u16,
    },
}

/// Why an attempt is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The server said so.
    Status(u16),
    /// There was no answer.
    Failure(Failure),
}

/// How an attempt ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// A file of the settings (secret, certificate) cannot be read or used; nothing was sent.
    Setup,
    /// The host's name has no address.
    Dns,
    /// Nobody listens there.
    Refused,
    /// The TLS handshake failed: certificate, version, client certificate.
    Tls,
    /// `REMOTE_WRITE_TIMEOUT` was over.
    Timeout,
    /// The connection ended before the answer was there.
    Closed,
    /// Anything else; the log has its text.
    Other,
}

impl Failure {
    /// One word, for the label `code` of the request counter.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Failure(failure) => f.write_str(failure.word()),
        }
    }
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

impl Outcome {
    /// What an answer's status means (remote-write 1.14, 1.15; receivers section 5).
    ///
    /// `after` is the `Retry-After` header as it came; `now` is what a date in it is compared with.
    pub(super) fn of_status(status: u16, after: Option<&str>, policy: Policy, now: SystemTime) -> Self {
        let retry = |after: Option<&str>| Self::Retry {
            reason: Reason::Status(status),
            after: after.and_then(|header| retry_after(header, now)),
        };
        match status {
            200..=299 => Self::Delivered,
            // Followed, a 301 would turn the POST into a GET and its 200 into silent loss; so a redirect is a wrong URL,
            // and a wrong URL is no reason to drop anything, whatever the policy for 4xx.
            300..=399 => Self::Hold { status },
            401 | 403 | 404 | 405 if policy.hold_on_auth_error => Self::Hold { status },
            429 if policy.retry_on_http_429 => retry(after),
            400..=499 => Self::Reject { status },
            500..=599 => retry(after),
            // 101 and numbers that HTTP does not have: says nothing about the samples, so they are kept.
            0..=199 | 600..=u16::MAX => retry(None),
        }
    }

    /// No answer: the samples may or may not have arrived, so the same bytes go again.
    pub(super) const fn of_failure(failure: Failure) -> Self {
        Self::Retry { reason: Reason::Failure(failure), after: None }
    }
}

/// What a person should look at when an endpoint is held.
pub(super) const fn advice(status: u16) -> &'static str {
    match status {
        300..=399 => "set REMOTE_WRITE_URL to the address that takes the data: redirects are never followed",
        401 => "check REMOTE_WRITE_BASIC_AUTH_*, REMOTE_WRITE_BEARER_TOKEN and REMOTE_WRITE_TENANT_ID",
        403 => "check that this user, token or tenant may write",
        404 => "check the path of REMOTE_WRITE_URL, and that the receiver takes remote-write at all",
        405 => "check the path of REMOTE_WRITE_URL: it takes no POST",
        _ => "check the settings of this endpoint",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Policy = Policy { retry_on_http_429: true, hold_on_auth_error: true };
    const LETTER: Policy = Policy { retry_on_http_429: false, hold_on_auth_error: false };

    fn decide(status: u16, policy: Policy) -> Outcome {
        Outcome::of_status(status, None, policy, SystemTime::UNIX_EPOCH)
    }

    fn retry(status: u16) -> Outcome {
        Outcome::Retry { reason: Reason::Status(status), after: None }
    }

    #[test]
    fn every_2xx_is_delivered() {
        for status in 200..300 {
            assert_eq!(decide(status, KIND), Outcome::Delivered);
            assert_eq!(decide(status, LETTER), Outcome::Delivered);
        }
    }

    #[test]
    fn every_5xx_is_retried_rw_1_14() {
        for status in 500..600 {
            assert_eq!(decide(status, KIND), retry(status));
            assert_eq!(decide(status, LETTER), retry(status));
        }
    }

    #[test]
    fn a_429_is_retried_or_final_as_the_setting_says_rw_1_14() {
        assert_eq!(decide(429, KIND), retry(429));
        assert_eq!(decide(429, LETTER), Outcome::Reject { status: 429 });
    }

    #[test]
    fn wrong_settings_hold_the_endpoint_or_are_final_as_the_setting_says() {
        for status in [401, 403, 404, 405] {
            assert_eq!(decide(status, KIND), Outcome::Hold { status });
            assert_eq!(decide(status, LETTER), Outcome::Reject { status });
        }
    }

    #[test]
    fn every_other_4xx_is_final_rw_1_14() {
        for status in (400..500).filter(|status| ![401, 403, 404, 405, 429].contains(status)) {
            assert_eq!(decide(status, KIND), Outcome::Reject { status });
            assert_eq!(decide(status, LETTER), Outcome::Reject { status });
        }
    }

    #[test]
    fn a_redirect_holds_whatever_the_settings_rw_1_15() {
        for status in 300..400 {
            assert_eq!(decide(status, KIND), Outcome::Hold { status });
            assert_eq!(decide(status, LETTER), Outcome::Hold { status });
        }
    }

    #[test]
    fn a_status_that_says_nothing_is_retried() {
        for status in [0, 100, 101, 199, 600, 999, u16::MAX] {
            assert_eq!(decide(status, KIND), retry(status));
        }
    }

    #[test]
    fn retry_after_counts_for_429_and_5xx_only_rw_2_17() {
        let after = |status| Outcome::of_status(status, Some("7"), KIND, SystemTime::UNIX_EPOCH);
        for status in [429, 500, 503] {
            let after_7_s = Some(Duration::from_secs(7));
            assert_eq!(after(status), Outcome::Retry { reason: Reason::Status(status), after: after_7_s });
        }
        assert_eq!(after(401), Outcome::Hold { status: 401 });
        assert_eq!(after(307), Outcome::Hold { status: 307 });
        assert_eq!(after(400), Outcome::Reject { status: 400 });
    }

    #[test]
    fn every_failure_is_retried_rw_1_15() {
        for failure in [Failure::Dns, Failure::Refused, Failure::Tls, Failure::Timeout, Failure::Closed] {
            let reason = Reason::Failure(failure);
            assert_eq!(Outcome::of_failure(failure), Outcome::Retry { reason, after: None });
        }
    }
}
