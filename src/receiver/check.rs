//! The rules that one request can break by itself; pure.

use std::collections::HashSet;

use http_body_util::LengthLimitError;
use hyper::header::{HeaderMap, HeaderName, USER_AGENT};
use hyper::{Method, Uri};

use super::decode::{Metadata, Series};
use super::fault;
use super::histogram::Histogram;
use super::protocol::Protocol;
use super::violation::Violation;
use crate::model::{Labels, METRIC_NAME, MetricType, NORMAL_NAN_BITS, STALE_MARKER_BITS};

/// Rule, header, its only right value: remote-write 1.02.
const REQUIRED: [(&str, &str, &str); 3] = [
    ("1.02", "content-encoding", "snappy"),
    ("1.02", "content-type", "application/x-protobuf"),
    ("1.02", "x-prometheus-remote-write-version", "0.1.0"),
];

/// The same for 2.0. Thanos reads the message as 1.0 unless the content type and the version are these to the byte.
const REQUIRED_V2: [(&str, &str, &str); 3] = [
    ("2.02", "content-encoding", "snappy"),
    ("2.03", "content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
    ("2.04", "x-prometheus-remote-write-version", "2.0.0"),
];

/// Remote-write 1.04: what no setting of a sender may override, so what must not come twice.
const RESERVED: [&str; 8] = [
    "content-encoding",
    "content-type",
    "x-prometheus-remote-write-version",
    "user-agent",
    "host",
    "content-length",
    "authorization",
    "connection",
];

/// 2000-01-01 and 2200-01-01 in milliseconds: seconds of today lie far before, microseconds far behind.
const SANE_TIME: std::ops::Range<i64> = 946_684_800_000..7_258_118_400_000;

/// Method, path and headers (1.01 to 1.04, 2.02 to 2.05).
pub(super) fn head(method: &Method, uri: &Uri, headers: &HeaderMap, path: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    if method != Method::POST {
        violations.push(Violation::Method(method.to_string()));
    }
    let found = uri.path_and_query().map_or("", |path| path.as_str());
    if found != path {
        violations.push(Violation::Path { found: found.to_owned(), wanted: path.to_owned() });
    }
    let required = match Protocol::of(headers) {
        Protocol::V1 => REQUIRED,
        Protocol::V2 => REQUIRED_V2,
    };
    for (rule, name, wanted) in required {
        let found = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        if found.as_deref() != Some(wanted) {
            violations.push(Violation::Header { rule, name, found, wanted });
        }
    }
    let agent = headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    if !agent.as_deref().is_some_and(names_a_version) {
        violations.push(Violation::UserAgent(agent));
    }
    for name in RESERVED {
        let times = headers.get_all(HeaderName::from_static(name)).iter().count();
        if times > 1 {
            violations.push(Violation::RepeatedHeader { name, times });
        }
    }
    violations
}

/// `name/version`, as RFC 9110 has it.
fn names_a_version(agent: &str) -> bool {
    let product = agent.split(' ').next().unwrap_or_default();
    product.split_once('/').is_some_and(|(name, version)| !name.is_empty() && !version.is_empty())
}

/// Why a body did not arrive.
pub(super) fn body_error(error: &(dyn std::error::Error + 'static), limit: usize) -> Violation {
    if error.is::<LengthLimitError>() {
        return Violation::Body(format!("longer than {limit} bytes"));
    }
    Violation::Body(error.to_string())
}

/// Labels, samples and native histograms of one series (1.08, 1.10 to 1.12, 1.17, 2.16, 2.23); order in time is for the store.
pub(super) fn series(series: &Series, labels: &Labels, violations: &mut Vec<Violation>) {
    if labels.get(METRIC_NAME).is_none() {
        violations.push(Violation::NoMetricName(labels.clone()));
    }
    for pair in series.labels.windows(2) {
        let (earlier, later) = (&pair[0].0, &pair[1].0);
        match earlier.as_bytes().cmp(later.as_bytes()) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => violations.push(Violation::RepeatedLabel(later.clone())),
            std::cmp::Ordering::Greater => {
                violations.push(Violation::Unsorted { earlier: earlier.clone(), later: later.clone() });
            }
        }
    }
    for (name, value) in &series.labels {
        label(name, value, violations);
    }
    for sample in &series.samples {
        value(labels, sample.timestamp, sample.value(), violations);
    }
    for one in &series.histograms {
        histogram(one, labels, violations);
    }
}

fn histogram(histogram: &Histogram, labels: &Labels, violations: &mut Vec<Violation>) {
    let timestamp = histogram.timestamp();
    value(labels, timestamp, histogram.message.sum, violations);
    for fault in fault::faults(histogram) {
        violations.push(Violation::Histogram { series: labels.clone(), timestamp, fault });
    }
    if histogram.is_stale_marker() && fault::has_observations(histogram) {
        violations.push(Violation::StaleHistogram { series: labels.clone(), timestamp });
    }
}

/// A sample's value or a histogram's sum, and its time.
fn value(labels: &Labels, timestamp: i64, value: f64, violations: &mut Vec<Violation>) {
    if !SANE_TIME.contains(&timestamp) {
        violations.push(Violation::Timestamp { series: labels.clone(), timestamp });
    }
    let bits = value.to_bits();
    if value.is_nan() && bits != STALE_MARKER_BITS && bits != NORMAL_NAN_BITS {
        violations.push(Violation::Nan { series: labels.clone(), timestamp, bits });
    }
}

/// Metadata of 1.0 (1.07).
pub(super) fn metadata(metadata: &[Metadata], violations: &mut Vec<Violation>) {
    const LARGEST_TYPE: i32 = MetricType::StateSet as i32;
    let mut seen = HashSet::new();
    for Metadata { metric_type, family, .. } in metadata {
        if !is_name(family, true) {
            violations.push(Violation::FamilyName(family.clone()));
        }
        if !(0..=LARGEST_TYPE).contains(metric_type) {
            violations.push(Violation::MetricType { family: family.clone(), metric_type: *metric_type });
        }
        if !seen.insert(family) {
            violations.push(Violation::RepeatedFamily(family.clone()));
        }
    }
}

fn label(name: &str, value: &str, violations: &mut Vec<Violation>) {
    if name.is_empty() {
        violations.push(Violation::EmptyLabelName(value.to_owned()));
    } else if !is_name(name, false) {
        violations.push(Violation::LabelName(name.to_owned()));
    } else if name.starts_with("__") && name != METRIC_NAME {
        violations.push(Violation::ReservedLabel(name.to_owned()));
    }
    if value.is_empty() {
        violations.push(Violation::EmptyLabelValue(name.to_owned()));
    } else if name == METRIC_NAME && !is_name(value, true) {
        violations.push(Violation::MetricName(value.to_owned()));
    }
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`, and `:` everywhere where `colons` are allowed.
fn is_name(text: &str, colons: bool) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || (colons && byte == b':');
    let mut bytes = text.bytes();
    bytes.next().is_some_and(letter) && bytes.all(|byte| letter(byte) || byte.is_ascii_digit())
}
