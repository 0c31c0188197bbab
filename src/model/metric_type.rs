/// What `# TYPE` says about a metric family. The numbers are those of remote-write 2.0's `Metadata.MetricType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MetricType {
    /// No `# TYPE` line, or `untyped`.
    #[default]
    Unknown = 0,
    /// `counter`
    Counter = 1,
    /// `gauge`
    Gauge = 2,
    /// `histogram`
    Histogram = 3,
    /// `gaugehistogram` (OpenMetrics)
    GaugeHistogram = 4,
    /// `summary`
    Summary = 5,
    /// `info` (OpenMetrics)
    Info = 6,
    /// `stateset` (OpenMetrics)
    StateSet = 7,
}
