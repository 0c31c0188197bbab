/// The formats of an exposition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// The text format of Prometheus, 0.0.4 or 1.0.0: [`Parser`](super::Parser).
    #[default]
    Text,
    /// OpenMetrics text, 1.0.0 or 0.0.1: [`OpenMetricsParser`](super::OpenMetricsParser).
    OpenMetrics,
    /// Delimited `io.prometheus.client.MetricFamily` messages: [`ProtobufParser`](super::ProtobufParser).
    Protobuf,
}
