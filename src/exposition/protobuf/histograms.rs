//! A metric as a native histogram.

use super::error::{MessageError, MessageReason};
use super::metric::Metric;
use super::{Current, ProtobufParser, ProtobufScratch, normal};
use crate::exposition::error::printable;
use crate::exposition::exemplar::Exemplar;
use crate::model::{Histogram, MetricType};

/// What is read of histograms. Without any of these it is the series of the classic ones (remote-write 4.28).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistogramForms {
    /// `SCRAPE_NATIVE_HISTOGRAMS`: the native part instead of the classic one, where there is any (remote-write 4.27).
    pub native: bool,
    /// `CONVERT_CLASSIC_HISTOGRAMS_TO_NHCB`: classic histograms as native ones with custom bounds.
    pub converted: bool,
    /// `ALWAYS_SCRAPE_CLASSIC_HISTOGRAMS`: and the classic series beside either.
    pub classic_too: bool,
}

impl HistogramForms {
    /// The series of classic histograms alone.
    pub const CLASSIC: Self = Self { native: false, converted: false, classic_too: false };
    /// Native histograms, and classic ones where there are none.
    pub const NATIVE: Self = Self { native: true, ..Self::CLASSIC };
    /// Native histograms, and classic ones.
    pub const BOTH: Self = Self { classic_too: true, ..Self::NATIVE };
    /// Classic histograms, converted.
    pub const CONVERTED: Self = Self { converted: true, ..Self::CLASSIC };
}

/// Which histogram a metric comes to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// Its native part.
    Native,
    /// Its classic part, converted.
    Converted,
}

impl ProtobufParser<'_, '_> {
    /// Writes the native histogram that the parser stands at; without empty buckets, as Prometheus stores it.
    ///
    /// # Errors
    /// What Prometheus would refuse (remote-write 2.23): the exposition as a whole is no good.
    pub fn histogram(&self, histogram: &mut Histogram) -> Result<(), MessageError> {
        if let Current::Histogram(Form::Converted) = self.current {
            self.scratch.converted.clone_into(histogram);
            return Ok(());
        }
        let Metric { histogram: whole, native, .. } = &self.scratch.metric;
        let family = self.family.as_ref().map(|family| family.metric_type);
        let is_gauge = family == Some(MetricType::GaugeHistogram);
        native.write(whole, is_gauge, histogram).map_err(|reason| {
            let series = printable(&self.scratch.spelling.series);
            let reason = MessageReason::Histogram(series, reason);
            MessageError { message: self.message, offset: self.offset, reason }
        })
    }

    /// The exemplars of the native histogram that the parser stands at: its own, or those of its classic buckets if it has none or is made
    /// of them.
    pub fn histogram_exemplars(&self) -> impl Iterator<Item = Exemplar<'_>> {
        let Metric { histogram, native, .. } = &self.scratch.metric;
        let is_converted = matches!(self.current, Current::Histogram(Form::Converted));
        let own: &[_] = if is_converted { &[] } else { &native.exemplars };
        let classic = || histogram.parts.iter().filter_map(|part| part.exemplar.as_ref());
        let of_buckets = own.is_empty().then(classic);
        own.iter().chain(of_buckets.into_iter().flatten()).map(|found| self.found(found))
    }

    /// The histogram that the metric comes to, if it comes to one. What cannot be converted stays classic.
    pub(super) fn form(&mut self, metric_type: MetricType) -> Option<Form> {
        let ProtobufScratch { metric, classic, converted, .. } = &mut *self.scratch;
        let may_be_native = match metric_type {
            MetricType::Histogram | MetricType::GaugeHistogram => self.forms.native,
            MetricType::Unknown
            | MetricType::Counter
            | MetricType::Gauge
            | MetricType::Summary
            | MetricType::Info
            | MetricType::StateSet => return None,
        };
        if may_be_native && metric.native.is_there() {
            return Some(Form::Native);
        }
        if !self.forms.converted || metric_type == MetricType::GaugeHistogram {
            return None;
        }
        classic.clear();
        for part in metric.histogram.parts.iter().filter(|part| !part.bound.is_nan()) {
            classic.push(part.bound, part.cumulative());
        }
        (classic.count, classic.sum) = (Some(metric.histogram.count()), normal(metric.histogram.sum));
        classic.convert(converted).is_ok().then_some(Form::Converted)
    }

    /// Whether classic series are read behind the histogram.
    pub(super) fn is_classic_too(&self, form: Form) -> bool {
        self.forms.classic_too
            && match form {
                Form::Native => !self.scratch.metric.histogram.parts.is_empty(),
                Form::Converted => true,
            }
    }
}
