//! What is asked for: formats in their order, and how names that need quotes are to come (remote-write 4.08, 4.24).

use crate::exposition::Format;
use crate::model::Escaping;

/// A format that a target can be asked for, under Prometheus's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Delimited `io.prometheus.client.MetricFamily`.
    PrometheusProto,
    /// OpenMetrics 1.0.0.
    OpenMetricsText1,
    /// OpenMetrics 0.0.1.
    OpenMetricsText0,
    /// The text format 1.0.0, with names in quotes.
    PrometheusText1,
    /// The text format 0.0.4.
    PrometheusText0,
}

impl Protocol {
    /// All of them, in Prometheus's order.
    pub const ALL: [Self; 5] = [
        Self::PrometheusProto,
        Self::OpenMetricsText1,
        Self::OpenMetricsText0,
        Self::PrometheusText1,
        Self::PrometheusText0,
    ];

    /// The name in the settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrometheusProto => "PrometheusProto",
            Self::OpenMetricsText1 => "OpenMetricsText1.0.0",
            Self::OpenMetricsText0 => "OpenMetricsText0.0.1",
            Self::PrometheusText1 => "PrometheusText1.0.0",
            Self::PrometheusText0 => "PrometheusText0.0.4",
        }
    }

    /// How it is read.
    #[must_use]
    pub const fn format(self) -> Format {
        match self {
            Self::PrometheusProto => Format::Protobuf,
            Self::OpenMetricsText1 | Self::OpenMetricsText0 => Format::OpenMetrics,
            Self::PrometheusText1 | Self::PrometheusText0 => Format::Text,
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::OpenMetricsText1 => "application/openmetrics-text;version=1.0.0",
            Self::OpenMetricsText0 => "application/openmetrics-text;version=0.0.1",
            Self::PrometheusText1 => "text/plain;version=1.0.0",
            Self::PrometheusText0 => "text/plain;version=0.0.4",
        }
    }

    /// Whether it knows names in quotes, so that the target has to be told what to do with them.
    const fn is_escaping(self) -> bool {
        match self {
            Self::OpenMetricsText1 | Self::PrometheusText1 => true,
            Self::PrometheusProto | Self::OpenMetricsText0 | Self::PrometheusText0 => false,
        }
    }
}

/// The header `Accept`: what comes first weighs most, and anything at all is better than nothing.
pub(super) fn accept(protocols: &[Protocol], escaping: Escaping) -> String {
    let mut header = String::new();
    let mut weight = Protocol::ALL.len() + 1;
    for protocol in protocols {
        header += protocol.media_type();
        if protocol.is_escaping() {
            header = header + ";escaping=" + escaping.name();
        }
        header += &format!(";q=0.{weight},");
        weight -= 1;
    }
    header + &format!("*/*;q=0.{weight}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rw_4_08_the_accept_header_is_prometheuss_own() {
        let default = [
            Protocol::OpenMetricsText1,
            Protocol::OpenMetricsText0,
            Protocol::PrometheusText1,
            Protocol::PrometheusText0,
        ];
        assert_eq!(
            accept(&default, Escaping::AllowUtf8),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert_eq!(
            accept(&[Protocol::PrometheusText0], Escaping::Dots),
            "text/plain;version=0.0.4;q=0.6,*/*;q=0.5"
        );
        assert_eq!(
            accept(&[Protocol::PrometheusProto, Protocol::PrometheusText1], Escaping::Underscores),
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
             text/plain;version=1.0.0;escaping=underscores;q=0.5,*/*;q=0.4"
        );
        assert!(
            accept(&Protocol::ALL, Escaping::Values).ends_with("text/plain;version=0.0.4;q=0.2,*/*;q=0.1")
        );
    }
}
