//! The samples that a metric comes to, in their order.

use super::metric::{Distribution, Metric};
use crate::model::MetricType;

/// A sample's place in its metric.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// A quantile or a bucket by its place; behind the last bucket the one of infinity.
    Bound(usize),
    Sum,
    /// The last one, and the only one of a counter, a gauge or an untyped metric.
    Last,
}

/// The part that comes first.
pub(super) fn first(metric_type: MetricType, metric: &Metric) -> Part {
    match metric_type {
        MetricType::Summary if metric.summary.parts.is_empty() => Part::Sum,
        MetricType::Summary | MetricType::Histogram | MetricType::GaugeHistogram => Part::Bound(0),
        MetricType::Unknown
        | MetricType::Counter
        | MetricType::Gauge
        | MetricType::Info
        | MetricType::StateSet => Part::Last,
    }
}

/// The part behind one that is not the last.
pub(super) fn after(part: Part, metric_type: MetricType, metric: &Metric) -> Part {
    match part {
        Part::Bound(place) if has_bound_behind(place, metric_type, metric) => Part::Bound(place + 1),
        Part::Bound(_) => Part::Sum,
        Part::Sum | Part::Last => Part::Last,
    }
}

/// Whether there is a bound behind `place`: a histogram's last one is infinity, written or not.
fn has_bound_behind(place: usize, metric_type: MetricType, metric: &Metric) -> bool {
    let is_infinity = |Distribution { parts, .. }: &Distribution| {
        parts.get(place).is_none_or(|part| part.bound == f64::INFINITY)
    };
    match metric_type {
        MetricType::Summary => place + 1 < metric.summary.parts.len(),
        MetricType::Histogram | MetricType::GaugeHistogram => !is_infinity(&metric.histogram),
        MetricType::Unknown
        | MetricType::Counter
        | MetricType::Gauge
        | MetricType::Info
        | MetricType::StateSet => false,
    }
}
