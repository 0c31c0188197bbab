use std::fmt;
use std::time::Duration;

pub use super::refusal::Blame;
use crate::wire::Unsent;

/// What an attempt means for the samples it carried ([`super::decision`] decides).
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
        /// 3xx, 401, 403, 404, 405, or a 400 that says the same.
        status: u16,
    },
    /// The answer is final: dropped and counted.
    Reject {
        /// 4xx.
        status: u16,
        /// What is counted.
        cause: Cause,
    },
    /// Nothing of it is stored, and some of it is at fault: smaller requests find out which samples, in their order.
    Search {
        /// 400, or 500 again and again.
        status: u16,
        /// Who is at fault.
        blame: Blame,
    },
    /// Is it this request, or the server? An empty request tells.
    Probe {
        /// 500.
        status: u16,
    },
    /// Too large: the same samples in smaller requests, and no larger ones from now on.
    Split {
        /// 413, 400 or 429.
        status: u16,
    },
    /// The receiver does not take this message, and has stored nothing: the same samples as the other one.
    FallBack,
}

/// Why samples were booked as rejected: the reasons of one counter, whose sum is the ledger's `rejected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A final answer to a whole request, or to a group of samples that was not worth more requests.
    Refused,
    /// A final answer of a receiver that has stored what was good in the request, without saying how much.
    PartlyStored,
    /// Refused alone, after the request around it was refused for its sake.
    Poison,
    /// Its series was refused before, and is not sent for a while.
    Quarantined,
    /// Refused as too large, alone.
    TooLarge,
    /// In a record that cannot be decoded.
    Undecodable,
    /// A label name comes twice.
    DuplicateLabel,
    /// A label without a name.
    EmptyLabelName,
    /// No metric name.
    NoMetricName,
    /// A label that is not UTF-8.
    InvalidUtf8,
    /// More than ten minutes ahead of the clock.
    TooFarAhead,
    /// Not later than the sample of the same series before it in the request.
    OutOfOrder,
    /// A native histogram, and the settings of the endpoint say to send none.
    NativeHistogram,
    /// A native histogram with custom bounds, which 1.0 cannot carry.
    CustomBuckets,
    /// A name that is no classic one, and the settings of the endpoint say to drop it as 1.0.
    Utf8Name,
    /// Two label names of the series became one by escaping.
    LabelClash,
    /// By escaping it became another series that has a sample at the same time.
    SeriesClash,
}

impl Cause {
    /// One word, for the label `reason`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::PartlyStored => "partly_stored",
            Self::Poison => "poison",
            Self::Quarantined => "quarantined",
            Self::TooLarge => "too_large",
            Self::Undecodable => "undecodable",
            Self::DuplicateLabel => "duplicate_label",
            Self::EmptyLabelName => "empty_label_name",
            Self::NoMetricName => "no_metric_name",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TooFarAhead => "too_far_ahead",
            Self::OutOfOrder => "out_of_order",
            Self::NativeHistogram => "native_histograms_off",
            Self::CustomBuckets => "nhcb_in_1_0",
            Self::Utf8Name => "utf8_name",
            Self::LabelClash => "label_clash",
            Self::SeriesClash => "series_clash",
        }
    }
}

impl From<Unsent> for Cause {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::NativeHistogram => Self::NativeHistogram,
            Unsent::CustomBuckets => Self::CustomBuckets,
            Unsent::Utf8Name => Self::Utf8Name,
            Unsent::LabelClash => Self::LabelClash,
            Unsent::SeriesClash => Self::SeriesClash,
        }
    }
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

/// What a person should look at when an endpoint is held.
pub(super) const fn advice(status: u16) -> &'static str {
    match status {
        300..=399 => "set REMOTE_WRITE_URL to the address that takes the data: redirects are never followed",
        200..=299 => {
            "it took 2.0 for 1.0 and stored nothing: set REMOTE_WRITE_PROTOBUF_MESSAGE to auto or 1.0"
        }
        415 => "it takes no such message: set REMOTE_WRITE_PROTOBUF_MESSAGE to auto",
        401 => "check REMOTE_WRITE_BASIC_AUTH_*, REMOTE_WRITE_BEARER_TOKEN and REMOTE_WRITE_TENANT_ID",
        403 => "check that this user, token or tenant may write",
        400 => "check the path of REMOTE_WRITE_URL: the receiver serves no such path",
        404 => "check the path of REMOTE_WRITE_URL, and that the receiver takes remote-write at all",
        405 => "check the path of REMOTE_WRITE_URL: it takes no POST",
        _ => "check the settings of this endpoint",
    }
}
