use std::fmt;
use std::io;
use std::time::Duration;

use super::label_limits::LabelExcess;
use crate::exposition::{MessageError, MessageReason, ParseError, Place};
use crate::relabel::NotStorable;

/// Why a scrape failed. All of them mean the same to the series: nothing of this scrape is kept, `up` is 0.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// The target does not take a connection.
    #[error("connect to {target}: {source}")]
    Connect {
        /// The socket's path or the URL.
        target: String,
        /// With its errno where there is one.
        source: io::Error,
    },
    /// The exchange broke off.
    #[error("scrape {target}: {reason}")]
    Exchange {
        /// The socket's path or the URL.
        target: String,
        /// What the HTTP client says.
        reason: String,
    },
    /// `SCRAPE_TIMEOUT` is over.
    #[error("scrape {target}: no complete answer within {limit:?}")]
    Timeout {
        /// The socket's path or the URL.
        target: String,
        /// The limit.
        limit: Duration,
    },
    /// Only 200 is a success (remote-write 4.09).
    #[error("scrape {target}: status {status}")]
    Status {
        /// The socket's path or the URL.
        target: String,
        /// What came.
        status: u16,
    },
    /// No format that anybody knows (remote-write 4.10).
    #[error(
        "scrape {target}: content type {content_type:?} is no format of Prometheus or OpenMetrics; see SCRAPE_FALLBACK_PROTOCOL"
    )]
    ContentType {
        /// The socket's path or the URL.
        target: String,
        /// What came; empty where there was none.
        content_type: String,
    },
    /// `SCRAPE_BODY_SIZE_LIMIT` is reached (remote-write 4.12).
    #[error("scrape {target}: the body reaches {limit} bytes, the limit of SCRAPE_BODY_SIZE_LIMIT")]
    BodySize {
        /// The socket's path or the URL.
        target: String,
        /// Bytes.
        limit: u64,
    },
    /// One bad line fails the whole scrape.
    #[error("exposition {0}")]
    Parse(#[from] ParseError),
    /// One bad message does so too.
    #[error("exposition {0}")]
    Message(#[from] MessageError),
    /// `METRIC_RELABEL_CONFIGS` made of a line what is no series (remote-write 4.16).
    #[error(
        "exposition line {}, column {}: {reason} (METRIC_RELABEL_CONFIGS): {}",
        place.line, place.column, place.excerpt
    )]
    Relabelled {
        /// Of the line.
        place: Place,
        /// What is wrong with what the rules have left.
        reason: NotStorable,
    },
    /// The same for a series of a protobuf exposition.
    #[error("exposition message {message}, byte {offset}: {reason} (METRIC_RELABEL_CONFIGS): {series}")]
    RelabelledMessage {
        /// The `MetricFamily` message, from 1.
        message: u32,
        /// The metric's byte within the body.
        offset: usize,
        /// What is wrong with what the rules have left.
        reason: NotStorable,
        /// The series as exposed.
        series: String,
    },
    /// The reader has a bug that this body has found.
    #[error("reading the exposition panicked: a bug of docker-remote-write, whose place is in the log")]
    Panicked,
    /// A text that no receiver takes.
    #[error("exposition line {line}: a series, a HELP text or a family's name of more than {limit} bytes")]
    TooLong {
        /// The line, from 1.
        line: u32,
        /// Bytes.
        limit: usize,
    },
    /// What would have to be remembered.
    #[error(
        "{samples} samples in, the body and its series take more than {limit} bytes of memory; a larger SCRAPE_BODY_SIZE_LIMIT allows more"
    )]
    Memory {
        /// Samples until then.
        samples: u64,
        /// The limit.
        limit: u64,
    },
    /// One of the limits of labels is exceeded (remote-write 4.13).
    #[error("exposition {site}: a series has {excess}: {series}")]
    LabelLimit {
        /// Where it is.
        site: Site,
        /// The series, as far as it is shown.
        series: String,
        /// What it has too much of.
        excess: LabelExcess,
    },
    /// `SCRAPE_SAMPLE_LIMIT` is exceeded (remote-write 4.13).
    #[error("{samples} samples, more than the {limit} of SCRAPE_SAMPLE_LIMIT")]
    SampleLimit {
        /// Samples of the exposition.
        samples: u64,
        /// The limit.
        limit: u64,
    },
}

/// Where the series is that an error is about.
#[derive(Clone, Debug)]
pub enum Site {
    /// In a line of text; of several lines one is told.
    Line(Place),
    /// In a protobuf exposition, which has messages and no lines: the message, from 1, and the byte within the body.
    Message(u32, usize),
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(Place { line, column, .. }) => write!(f, "line {line}, column {column}"),
            Self::Message(message, offset) => write!(f, "message {message}, byte {offset}"),
        }
    }
}

impl ScrapeError {
    /// What is wrong with a series that no line says as it was read, told of where it stands.
    pub(super) fn told_of(self, site: Site) -> Self {
        match (self, site) {
            (Self::Parse(ParseError { reason, .. }), Site::Line(Place { line, column, excerpt })) => {
                Self::Parse(ParseError { line, column, reason, excerpt })
            }
            (Self::Parse(ParseError { reason, excerpt, .. }), Site::Message(message, offset)) => {
                let reason = MessageReason::Series { reason, excerpt };
                Self::Message(MessageError { message, offset, reason })
            }
            (Self::Relabelled { place: _, reason }, Site::Line(place)) => Self::Relabelled { place, reason },
            (Self::Relabelled { place, reason }, Site::Message(message, offset)) => {
                Self::RelabelledMessage { message, offset, reason, series: place.excerpt }
            }
            (Self::LabelLimit { site: _, series, excess }, site) => Self::LabelLimit { site, series, excess },
            (
                other @ (Self::Connect { .. }
                | Self::Exchange { .. }
                | Self::Timeout { .. }
                | Self::Status { .. }
                | Self::ContentType { .. }
                | Self::BodySize { .. }
                | Self::Message(_)
                | Self::Panicked
                | Self::RelabelledMessage { .. }
                | Self::TooLong { .. }
                | Self::Memory { .. }
                | Self::SampleLimit { .. }),
                Site::Line(_) | Site::Message(..),
            ) => other,
        }
    }
}
