use std::fmt;

use hyper::header::{CONTENT_TYPE, HeaderMap};

/// The message of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

impl Protocol {
    /// What the content type says, however it is spelled; anything else than 2.0 is 1.0.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
        let is_v2 = content_type
            .is_some_and(|text| String::from_utf8_lossy(&text).contains("io.prometheus.write.v2.request"));
        if is_v2 { Self::V2 } else { Self::V1 }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "1.0",
            Self::V2 => "2.0",
        })
    }
}

/// Which messages a receiver takes, and how it says so (receivers section 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Speaks {
    /// Both, as Prometheus 3 and Mimir.
    #[default]
    Both,
    /// 1.0, and 415 to everything else, as Cortex by default.
    V1,
    /// 1.0, and 204 to everything else, of which nothing is stored: as Prometheus 2 and VictoriaMetrics.
    V1Unaware,
    /// 2.0, and 415 to everything else, as the OpenTelemetry collector.
    V2,
}

/// What a receiver does with a message that it does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    Refused,
    Swallowed,
}

impl Speaks {
    pub(super) const fn foreign(self, protocol: Protocol) -> Option<Foreign> {
        match (self, protocol) {
            (Self::Both, Protocol::V1 | Protocol::V2)
            | (Self::V1 | Self::V1Unaware, Protocol::V1)
            | (Self::V2, Protocol::V2) => None,
            (Self::V1, Protocol::V2) | (Self::V2, Protocol::V1) => Some(Foreign::Refused),
            (Self::V1Unaware, Protocol::V2) => Some(Foreign::Swallowed),
        }
    }
}
