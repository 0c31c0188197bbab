use super::fault::HistogramFault;
use crate::model::Labels;

/// A broken rule of the remote-write specifications. Each text begins with the rule's ID; where 2.0 repeats a rule of 1.0, with that of 1.0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Anything but POST.
    #[error("1.01: the method is {0}, not POST")]
    Method(String),
    /// Not the configured path, to the letter.
    #[error("1.01: the path is {found:?}, not {wanted:?}")]
    Path {
        /// Path and query as they came.
        found: String,
        /// The configured one.
        wanted: String,
    },
    /// A required header that is missing or has another value.
    #[error("{rule}: header {name} is {found:?}, not {wanted:?}")]
    Header {
        /// Of the message that the content type names.
        rule: &'static str,
        /// Lower case.
        name: &'static str,
        /// `None` where there is none.
        found: Option<String>,
        /// The only right value.
        wanted: &'static str,
    },
    /// The sender does not say its name and version.
    #[error("1.03: user-agent {0:?} does not hold a name and a version (name/version)")]
    UserAgent(Option<String>),
    /// A reserved header that comes more than once: somebody overrode it.
    #[error("1.04: reserved header {name} comes {times} times")]
    RepeatedHeader {
        /// Lower case.
        name: &'static str,
        /// How often.
        times: usize,
    },
    /// The snappy stream identifier of the framed format.
    #[error("1.05: the body is framed snappy, not the block format")]
    FramedSnappy,
    /// Not snappy at all, or longer than the receiver takes.
    #[error("1.05: the body is refused: {0}")]
    Snappy(String),
    /// The body did not arrive completely.
    #[error("1.01: the body could not be read: {0}")]
    Body(String),
    /// Not a message of this type.
    #[error("1.06: no prometheus.WriteRequest: {0}")]
    Message(String),
    /// Not a message of this type.
    #[error("2.06: no io.prometheus.write.v2.Request: {0}")]
    MessageV2(String),
    /// References of labels that do not go in pairs.
    #[error("2.07: an odd number of label references in series {0}")]
    OddReferences(usize),
    /// No label references at all.
    #[error("2.07: series {0} has no label references")]
    NoReferences(usize),
    /// No symbol table.
    #[error("2.08: there are no symbols")]
    NoSymbols,
    /// Another first symbol than the empty one.
    #[error("2.08: the first symbol is {0:?}, not the empty string")]
    FirstSymbol(String),
    /// A string that stands in the table twice.
    #[error("2.08: symbol {0:?} comes twice")]
    RepeatedSymbol(String),
    /// A reference beyond the table.
    #[error("2.08: reference {reference} is outside the {symbols} symbols")]
    Reference {
        /// As it came.
        reference: u32,
        /// How many symbols there are.
        symbols: usize,
    },
    /// Neither a sample nor a histogram.
    #[error("2.09: {0} has neither a sample nor a histogram")]
    NoData(Labels),
    /// Both.
    #[error("{rule}: {series} has samples and histograms")]
    MixedData {
        /// Of the message.
        rule: &'static str,
        /// The series.
        series: Labels,
    },
    /// An exemplar without its time.
    #[error("2.15: an exemplar of {0} has no timestamp")]
    ExemplarTime(Labels),
    /// A field that the message does not have, or has with another wire type, or a single field that comes twice.
    #[error("{rule}: {message} has field {field} with wire type {wire_type}, which is {problem}")]
    Field {
        /// Of the message.
        rule: &'static str,
        /// The message's name.
        message: &'static str,
        /// The field's number.
        field: u32,
        /// As protobuf numbers them.
        wire_type: u8,
        /// `unknown` or `repeated`; the second one of a oneof is repeated too.
        problem: &'static str,
    },
    /// Not milliseconds since the epoch: outside the years 2000 to 2199, as seconds, microseconds and nanoseconds are.
    #[error("1.08: timestamp {timestamp} of {series} is no time in milliseconds")]
    Timestamp {
        /// The series.
        series: Labels,
        /// As it came.
        timestamp: i64,
    },
    /// A series without `__name__`.
    #[error("1.10: a series without __name__: {0}")]
    NoMetricName(Labels),
    /// Labels that do not ascend by name in byte order.
    #[error("1.11: label {later:?} comes after {earlier:?}")]
    Unsorted {
        /// The label before.
        earlier: String,
        /// The label that should have come first.
        later: String,
    },
    /// One name twice in one series.
    #[error("1.11: label {0:?} comes twice in one series")]
    RepeatedLabel(String),
    /// A label without name.
    #[error("1.11: a label with an empty name, value {0:?}")]
    EmptyLabelName(String),
    /// A label without value.
    #[error("1.11: label {0:?} has an empty value")]
    EmptyLabelValue(String),
    /// Not `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    #[error("1.12: {0:?} is no metric name")]
    MetricName(String),
    /// Not `[a-zA-Z_][a-zA-Z0-9_]*`.
    #[error("1.12: {0:?} is no label name")]
    LabelName(String),
    /// A label other than `__name__` that begins with two underscores.
    #[error("1.12: label {0:?} is reserved (__*)")]
    ReservedLabel(String),
    /// Metadata of a family without a name, or with one that no metric can have.
    #[error("1.07: metadata of {0:?}, which is no metric name")]
    FamilyName(String),
    /// Metadata with a type that 1.0 does not have.
    #[error("1.07: the metadata of {family:?} has the unknown type {metric_type}")]
    MetricType {
        /// The family.
        family: String,
        /// As it came.
        metric_type: i32,
    },
    /// A family twice in one request.
    #[error("1.07: the metadata of {0:?} comes twice in one request")]
    RepeatedFamily(String),
    /// A native histogram with bounds of its own in a message of 1.0.
    #[error("2.24: {0} is a native histogram with custom bounds, which 1.0 does not have")]
    CustomBounds(Labels),
    /// An older timestamp than the series has already, and not a resend.
    #[error("1.13: out of order: {series} at {timestamp} after {newest}")]
    OutOfOrder {
        /// The series.
        series: Labels,
        /// As it came.
        timestamp: i64,
        /// The newest timestamp of the series before.
        newest: i64,
    },
    /// A timestamp that the series has already, with another value.
    #[error(
        "1.13: {series} at {timestamp} has two values: bits {stored:#018x} came first, then {found:#018x}"
    )]
    OtherValue {
        /// The series.
        series: Labels,
        /// The timestamp that came twice.
        timestamp: i64,
        /// Bits of the value that came first.
        stored: u64,
        /// Bits of the value that came now.
        found: u64,
    },
    /// A timestamp that the series has already, with another value, and a native histogram is among the two.
    #[error("1.13: {series} at {timestamp} has two values: {stored} came first, then {found}")]
    OtherHistogram {
        /// The series.
        series: Labels,
        /// The timestamp that came twice.
        timestamp: i64,
        /// Bits of a value, or count and sum of a histogram: its buckets may differ too.
        stored: String,
        /// What came now.
        found: String,
    },
    /// One sample twice in one request, so it cannot be a resend.
    #[error("1.13: {series} at {timestamp} comes twice in one request")]
    Doubled {
        /// The series.
        series: Labels,
        /// The timestamp that came twice.
        timestamp: i64,
    },
    /// The same bytes again after a final answer.
    #[error("1.14: the same request again after the final answer {0}")]
    RetriedAfterFinal(u16),
    /// A native histogram that contradicts itself, so that Prometheus refuses it.
    #[error("2.23: the native histogram {series} at {timestamp} has {fault}")]
    Histogram {
        /// The series.
        series: Labels,
        /// As it came.
        timestamp: i64,
        /// What is wrong with it.
        fault: HistogramFault,
    },
    /// A native histogram that is a staleness marker, and has counts or buckets.
    #[error("2.16: the native histogram {series} at {timestamp} is a staleness marker, and has observations")]
    StaleHistogram {
        /// The series.
        series: Labels,
        /// As it came.
        timestamp: i64,
    },
    /// A NaN that is neither the staleness marker nor the one that Prometheus stores.
    #[error("1.17: the value or sum of {series} at {timestamp} is a NaN with the bits {bits:#018x}")]
    Nan {
        /// The series.
        series: Labels,
        /// Of the sample.
        timestamp: i64,
        /// As they came.
        bits: u64,
    },
}

impl Violation {
    /// The status that says it best.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Method(_) => 405,
            Self::Path { .. } => 404,
            Self::Header { .. } => 415,
            Self::UserAgent(_)
            | Self::RepeatedHeader { .. }
            | Self::FramedSnappy
            | Self::Snappy(_)
            | Self::Body(_)
            | Self::Message(_)
            | Self::MessageV2(_)
            | Self::OddReferences(_)
            | Self::NoReferences(_)
            | Self::NoSymbols
            | Self::FirstSymbol(_)
            | Self::RepeatedSymbol(_)
            | Self::Reference { .. }
            | Self::NoData(_)
            | Self::MixedData { .. }
            | Self::ExemplarTime(_)
            | Self::Field { .. }
            | Self::Timestamp { .. }
            | Self::NoMetricName(_)
            | Self::Unsorted { .. }
            | Self::RepeatedLabel(_)
            | Self::EmptyLabelName(_)
            | Self::EmptyLabelValue(_)
            | Self::MetricName(_)
            | Self::LabelName(_)
            | Self::ReservedLabel(_)
            | Self::FamilyName(_)
            | Self::MetricType { .. }
            | Self::RepeatedFamily(_)
            | Self::CustomBounds(_)
            | Self::OutOfOrder { .. }
            | Self::OtherValue { .. }
            | Self::OtherHistogram { .. }
            | Self::Histogram { .. }
            | Self::StaleHistogram { .. }
            | Self::Doubled { .. }
            | Self::RetriedAfterFinal(_)
            | Self::Nan { .. } => 400,
        }
    }

    /// Whether nothing can be stored from such a request, however lenient the receiver is.
    #[must_use]
    pub const fn is_unreadable(&self) -> bool {
        match self {
            Self::Method(_)
            | Self::Path { .. }
            | Self::FramedSnappy
            | Self::Snappy(_)
            | Self::Body(_)
            | Self::Message(_)
            | Self::MessageV2(_)
            | Self::OddReferences(_)
            | Self::Reference { .. }
            | Self::Field { .. } => true,
            Self::Header { .. }
            | Self::NoReferences(_)
            | Self::NoSymbols
            | Self::FirstSymbol(_)
            | Self::RepeatedSymbol(_)
            | Self::NoData(_)
            | Self::MixedData { .. }
            | Self::ExemplarTime(_)
            | Self::UserAgent(_)
            | Self::RepeatedHeader { .. }
            | Self::Timestamp { .. }
            | Self::NoMetricName(_)
            | Self::Unsorted { .. }
            | Self::RepeatedLabel(_)
            | Self::EmptyLabelName(_)
            | Self::EmptyLabelValue(_)
            | Self::MetricName(_)
            | Self::LabelName(_)
            | Self::ReservedLabel(_)
            | Self::FamilyName(_)
            | Self::MetricType { .. }
            | Self::RepeatedFamily(_)
            | Self::CustomBounds(_)
            | Self::OutOfOrder { .. }
            | Self::OtherValue { .. }
            | Self::OtherHistogram { .. }
            | Self::Histogram { .. }
            | Self::StaleHistogram { .. }
            | Self::Doubled { .. }
            | Self::RetriedAfterFinal(_)
            | Self::Nan { .. } => false,
        }
    }
}
