//! A metric as a native histogram.

use super::ProtobufParser;
use super::error::{MessageError, MessageReason};
use super::metric::Metric;
use crate::exposition::error::printable;
use crate::exposition::exemplar::Exemplar;
use crate::model::{Histogram, MetricType};

/// What is read of a histogram that has classic buckets and native ones (remote-write 4.27, 4.28).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistogramForms {
    /// The classic buckets alone.
    #[default]
    Classic,
    /// The native ones where there are any, otherwise the classic ones.
    Native,
    /// Both: `ALWAYS_SCRAPE_CLASSIC_HISTOGRAMS`.
    Both,
}

impl ProtobufParser<'_, '_> {
    /// Writes the native histogram that the parser stands at; without empty buckets, as Prometheus stores it.
    ///
    /// # Errors
    /// What Prometheus would refuse (remote-write 2.23): the exposition as a whole is no good.
    pub fn histogram(&self, histogram: &mut Histogram) -> Result<(), MessageError> {
        let Metric { histogram: whole, native, .. } = &self.scratch.metric;
        let family = self.family.as_ref().map(|family| family.metric_type);
        let is_gauge = family == Some(MetricType::GaugeHistogram);
        native.write(whole, is_gauge, histogram).map_err(|reason| {
            let series = printable(&self.scratch.spelling.series);
            let reason = MessageReason::Histogram(series, reason);
            MessageError { message: self.message, offset: self.offset, reason }
        })
    }

    /// The exemplars of the native histogram that the parser stands at: its own, or those of its classic buckets if it has none.
    pub fn histogram_exemplars(&self) -> impl Iterator<Item = Exemplar<'_>> {
        let Metric { histogram, native, .. } = &self.scratch.metric;
        let classic = || histogram.parts.iter().filter_map(|part| part.exemplar.as_ref());
        let of_buckets = native.exemplars.is_empty().then(classic);
        native.exemplars.iter().chain(of_buckets.into_iter().flatten()).map(|found| self.found(found))
    }

    /// Whether classic buckets are read behind the native histogram.
    pub(super) fn is_classic_too(&self) -> bool {
        self.forms == HistogramForms::Both && !self.scratch.metric.histogram.parts.is_empty()
    }
}
