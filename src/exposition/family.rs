use crate::model::MetricType;

/// Whether a series of this name belongs to a metric family, so that the family's type and help are the series' own
/// (remote-write 4.30). `# TYPE` sticks until the next one, so a series may well follow a family that it is no part of.
///
/// The suffix is checked against the type: `x_bucket` belongs to the histogram `x`, never to the gauge `x`.
#[must_use]
pub fn belongs_to_family(name: &str, family: &str, metric_type: MetricType) -> bool {
    let suffixes: &[&str] = match metric_type {
        // OpenMetrics calls the family `x` and the series `x_total`; the text format calls both `x_total`.
        MetricType::Counter => &["_total"],
        MetricType::Histogram => &["_bucket", "_sum", "_count"],
        // `_gsum` and `_gcount` in OpenMetrics; what comes as protobuf is named like a histogram's.
        MetricType::GaugeHistogram => &["_bucket", "_gsum", "_gcount", "_sum", "_count"],
        MetricType::Summary => &["_sum", "_count"],
        MetricType::Info => &["_info"],
        MetricType::Unknown | MetricType::Gauge | MetricType::StateSet => &[],
    };
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || suffixes.contains(&rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rw_4_30_the_suffix_must_fit_the_type() {
        let cases = [
            ("x", "x", MetricType::Gauge, true),
            ("x_total", "x_total", MetricType::Counter, true),
            ("x_total", "x", MetricType::Counter, true),
            ("x", "x_total", MetricType::Counter, false),
            ("x_bucket", "x", MetricType::Histogram, true),
            ("x_sum", "x", MetricType::Histogram, true),
            ("x_count", "x", MetricType::Histogram, true),
            ("x_created", "x", MetricType::Histogram, false),
            ("x", "x", MetricType::Summary, true),
            ("x_sum", "x", MetricType::Summary, true),
            ("x_bucket", "x", MetricType::Summary, false),
            ("x_count", "x", MetricType::Gauge, false),
            ("x_count", "x", MetricType::Unknown, false),
            ("x_gsum", "x", MetricType::GaugeHistogram, true),
            ("x_info", "x", MetricType::Info, true),
            ("x_y", "x", MetricType::Histogram, false),
            ("y", "x", MetricType::Gauge, false),
        ];
        for (name, family, metric_type, belongs) in cases {
            assert_eq!(
                belongs_to_family(name, family, metric_type),
                belongs,
                "{name} of {metric_type:?} {family}"
            );
        }
    }
}
