//! Delimited `io.prometheus.client.MetricFamily` messages (remote-write 4.27), over borrowed bytes. Series are spelled as the text format
//! spells them, in its order: buckets or quantiles, sum, count.

mod error;
mod histograms;
mod metric;
mod native;
mod part;
mod spell;
mod wire;

use std::borrow::Cow;
use std::ops::Range;

pub use error::{HistogramReason, MessageError, MessageReason, Sign};
use histograms::Form;
pub use histograms::HistogramForms;

use super::classic::ClassicHistogram;
use super::error::printable;
use super::exemplar::{Exemplar, ExemplarLabels, Pair};
use super::float::push_go_float;
use super::openmetrics::is_unit_of;
use super::parser::Entry;
use super::series::Series;
use crate::model::{Histogram, MetricType, NORMAL_NAN_BITS};
use error::MessageFault;
use metric::{FoundExemplar, Metric};
use part::{Part, after};
pub(super) use spell::spell_series;
use spell::{Bound, Spelling};
use wire::Fields;

/// Room for one metric, kept from body to body: in steady state nothing is allocated.
#[derive(Debug, Default)]
pub struct ProtobufScratch {
    metric: Metric,
    spelling: Spelling,
    classic: ClassicHistogram,
    converted: Histogram,
}

/// Reads one exposition in delimited protobuf, entry by entry: [`next`](Self::next) goes on, the other methods tell of where it stands.
#[derive(Debug)]
pub struct ProtobufParser<'a, 's> {
    body: &'a [u8],
    scratch: &'s mut ProtobufScratch,
    /// The messages that are left.
    messages: Fields<'a>,
    /// The number of the current one, from 1.
    message: u32,
    /// Offset of the current message or metric.
    offset: usize,
    normalize: bool,
    forms: HistogramForms,
    only: Option<&'s [&'s str]>,
    family: Option<Family<'a>>,
    current: Current,
}

#[derive(Clone, Copy, Debug)]
struct Family<'a> {
    name: &'a str,
    help: &'a str,
    unit: &'a str,
    metric_type: MetricType,
    /// The fields that are left; the metrics among them are to be read.
    fields: Fields<'a>,
}

/// What the parser stands at.
#[derive(Clone, Copy, Debug)]
enum Current {
    /// Nothing yet, or no more.
    Nothing,
    Help,
    Type,
    Unit,
    /// A part of the metric, and its value.
    Sample(Part, f64),
    /// The metric as a native histogram.
    Histogram(Form),
}

impl<'a, 's> ProtobufParser<'a, 's> {
    /// Starts at the first byte. `normalize`: `SCRAPE_NORMALIZE_LE`, for gauge histograms alone, whose `le` text spells as it likes.
    pub fn new(body: &'a [u8], scratch: &'s mut ProtobufScratch, normalize: bool) -> Self {
        let messages = Fields::new(body, 0..body.len());
        Self {
            body,
            scratch,
            messages,
            message: 0,
            offset: 0,
            normalize,
            forms: HistogramForms::default(),
            only: None,
            family: None,
            current: Current::Nothing,
        }
    }

    /// Goes to the next entry; `None` at the end, and always after an error.
    ///
    /// # Errors
    /// The first thing that Prometheus would refuse, and any group: the exposition as a whole is no good.
    #[allow(clippy::should_implement_trait, reason = "what it lends out borrows from it")]
    pub fn next(&mut self) -> Option<Result<(), MessageError>> {
        match self.advance() {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(MessageFault { at, reason }) => {
                self.messages = Fields::new(self.body, 0..0);
                (self.family, self.current) = (None, Current::Nothing);
                Some(Err(MessageError { message: self.message, offset: at, reason }))
            }
        }
    }

    /// Reads native histograms, too, or instead of classic ones.
    #[must_use]
    pub fn with_histograms(mut self, forms: HistogramForms) -> Self {
        self.forms = forms;
        self
    }

    /// Leaves out all families but these.
    fn only(mut self, families: &'s [&'s str]) -> Self {
        self.only = Some(families);
        self
    }

    /// The entry that the parser stands at; `None` before the first and behind the last one.
    #[must_use]
    pub fn entry(&self) -> Option<Entry<'_>> {
        let family = self.family.as_ref()?;
        let name = Cow::Borrowed(family.name);
        Some(match self.current {
            Current::Nothing => return None,
            Current::Help => Entry::Help { family: name, help: Cow::Borrowed(family.help) },
            Current::Type => Entry::Type { family: name, metric_type: family.metric_type },
            Current::Unit => Entry::Unit { family: name, unit: Cow::Borrowed(family.unit) },
            Current::Sample(_, value) => Entry::Series(self.series(value, family.metric_type)),
            // All its labels are the metric's own: none of them is a bound, to be spelled as its type wants it.
            Current::Histogram(_) => {
                Entry::Histogram(self.series(self.scratch.metric.histogram.sum, MetricType::Unknown))
            }
        })
    }

    fn series(&self, value: f64, in_force: MetricType) -> Series<'_> {
        let timestamp = self.scratch.metric.timestamp;
        Series {
            raw: &self.scratch.spelling.series,
            value: normal(value),
            timestamp: (timestamp != 0).then_some(timestamp),
            in_force,
            body: &self.scratch.spelling.series,
            at: 0,
        }
    }

    fn found(&self, found: &FoundExemplar) -> Exemplar<'_> {
        let FoundExemplar { message, value, timestamp } = found;
        let value = normal(*value);
        let labels = ExemplarLabels::Message(&self.body[message.clone()]);
        Exemplar { labels, value, timestamp: *timestamp }
    }

    /// The number of the message that the parser stands in, from 1, and the offset of its metric, or of itself.
    #[must_use]
    pub fn place(&self) -> (u32, usize) {
        (self.message, self.offset)
    }

    /// The exemplar of the sample that the parser stands at.
    #[must_use]
    pub fn exemplar(&self) -> Option<Exemplar<'_>> {
        let Current::Sample(part, _) = self.current else { return None };
        let metric = &self.scratch.metric;
        let found = match (self.family.as_ref()?.metric_type, part) {
            (MetricType::Counter, _) => metric.counter.exemplar.as_ref(),
            (MetricType::Histogram | MetricType::GaugeHistogram, Part::Bound(at)) => {
                metric.histogram.parts.get(at)?.exemplar.as_ref()
            }
            (
                MetricType::Histogram
                | MetricType::GaugeHistogram
                | MetricType::Unknown
                | MetricType::Gauge
                | MetricType::Summary
                | MetricType::Info
                | MetricType::StateSet,
                _,
            ) => None,
        };
        found.map(|found| self.found(found))
    }

    /// When the metric of the sample that the parser stands at was created, ms since the epoch.
    #[must_use]
    pub fn start_timestamp(&self) -> Option<i64> {
        let (Current::Sample(..) | Current::Histogram(_)) = self.current else { return None };
        let metric = &self.scratch.metric;
        match self.family.as_ref()?.metric_type {
            MetricType::Counter => metric.counter.created,
            MetricType::Summary => metric.summary.created,
            MetricType::Histogram | MetricType::GaugeHistogram => metric.histogram.created,
            MetricType::Unknown | MetricType::Gauge | MetricType::Info | MetricType::StateSet => None,
        }
    }

    /// Whether there is a next entry.
    fn advance(&mut self) -> Result<bool, MessageFault> {
        self.current = match (self.current, &self.family) {
            (Current::Help, _) => Current::Type,
            (Current::Type, Some(family)) if !family.unit.is_empty() => Current::Unit,
            (Current::Sample(part, _), Some(family)) if !matches!(part, Part::Last) => {
                let part = after(part, family.metric_type, &self.scratch.metric);
                self.sample(part)
            }
            (Current::Histogram(form), Some(_)) if self.is_classic_too(form) => self.sample(Part::Bound(0)),
            (
                Current::Nothing
                | Current::Type
                | Current::Unit
                | Current::Sample(..)
                | Current::Histogram(_),
                _,
            ) => {
                if self.next_metric()? {
                    self.first()
                } else if self.next_family()? {
                    Current::Help
                } else {
                    Current::Nothing
                }
            }
        };
        Ok(!matches!(self.current, Current::Nothing))
    }

    /// Reads the next metric of the family.
    fn next_metric(&mut self) -> Result<bool, MessageFault> {
        let Some(family) = &mut self.family else { return Ok(false) };
        while let Some(field) = family.fields.next()? {
            if field.number == METRIC {
                self.offset = field.at;
                self.scratch.metric.read(self.body, field.bytes()?)?;
                self.scratch.spelling.begin_metric(self.body, &self.scratch.metric);
                return Ok(true);
            }
        }
        self.family = None;
        Ok(false)
    }

    /// Goes to the next family that has metrics.
    fn next_family(&mut self) -> Result<bool, MessageFault> {
        while !self.messages.is_empty() {
            self.message += 1;
            self.offset = self.messages.at();
            let within = self.messages.delimited()?;
            if let Some(family) = family(self.body, within)?
                && self.only.is_none_or(|only| only.contains(&family.name))
            {
                self.scratch.spelling.begin_family(family.name);
                self.family = Some(family);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first sample of the metric.
    fn first(&mut self) -> Current {
        let Some(Family { name, metric_type, .. }) = self.family else { return Current::Nothing };
        if let Some(form) = self.form(metric_type) {
            self.scratch.spelling.spell(name, "", None);
            return Current::Histogram(form);
        }
        let part = part::first(metric_type, &self.scratch.metric);
        self.sample(part)
    }

    /// Spells the series of this part.
    fn sample(&mut self, part: Part) -> Current {
        let Some(family) = &self.family else { return Current::Nothing };
        let ProtobufScratch { metric, spelling, .. } = &mut *self.scratch;
        let (distribution, label) = match family.metric_type {
            MetricType::Summary => (&metric.summary, "quantile"),
            MetricType::Histogram | MetricType::GaugeHistogram => (&metric.histogram, "le"),
            MetricType::Counter
            | MetricType::Gauge
            | MetricType::Unknown
            | MetricType::Info
            | MetricType::StateSet => {
                spelling.spell(family.name, "", None);
                return Current::Sample(part, metric.single(family.metric_type));
            }
        };
        let value = match part {
            Part::Bound(place) => {
                let found = distribution.parts.get(place);
                let is_summary = family.metric_type == MetricType::Summary;
                let bound = Bound {
                    label,
                    value: found.map_or(f64::INFINITY, |part| part.bound),
                    place,
                    open_metrics: self.normalize && family.metric_type == MetricType::GaugeHistogram,
                };
                spelling.spell(family.name, if is_summary { "" } else { "_bucket" }, Some(bound));
                match found {
                    Some(part) if is_summary => part.value,
                    Some(part) => part.cumulative(),
                    None => distribution.count(),
                }
            }
            Part::Sum => {
                spelling.spell(family.name, "_sum", None);
                distribution.sum
            }
            Part::Last => {
                spelling.spell(family.name, "_count", None);
                distribution.count()
            }
        };
        Current::Sample(part, value)
    }
}

const METRIC: u32 = 4;

/// The head of a family; `None` where it has no metric: Prometheus does not look at it then.
fn family(body: &[u8], within: Range<usize>) -> Result<Option<Family<'_>>, MessageFault> {
    let start = within.start;
    let fields = Fields::new(body, within);
    let (mut name, mut help, mut unit, mut metric_type) = (start..start, start..start, start..start, 0);
    let mut type_at = start;
    let mut metrics = 0_u32;
    let mut head = fields;
    while let Some(field) = head.next()? {
        match field.number {
            1 => name = field.text(body)?,
            2 => help = field.text(body)?,
            3 => (metric_type, type_at) = (field.varint()?.cast_signed(), field.at),
            METRIC => {
                field.bytes()?;
                metrics += 1;
            }
            5 => unit = field.text(body)?,
            _ => {}
        }
    }
    if metrics == 0 {
        return Ok(None);
    }
    [&name, &help, &unit].into_iter().try_for_each(metric::short)?;
    if name.is_empty() {
        return Err(MessageFault { at: start, reason: MessageReason::MissingName });
    }
    #[expect(clippy::cast_possible_truncation, reason = "the rule of protobuf for an enum")]
    let metric_type = match metric_type as i32 {
        0 => MetricType::Counter,
        1 => MetricType::Gauge,
        2 => MetricType::Summary,
        3 => MetricType::Unknown,
        4 => MetricType::Histogram,
        5 => MetricType::GaugeHistogram,
        other => {
            let reason = MessageReason::UnknownType(i64::from(other));
            return Err(MessageFault { at: type_at, reason });
        }
    };
    let unit_of = &body[name.clone()];
    // OpenMetrics leaves `_total` out of a counter's name, this format does not.
    let unit_of = match metric_type {
        MetricType::Counter => unit_of.strip_suffix(b"_total").unwrap_or(unit_of),
        MetricType::Unknown
        | MetricType::Gauge
        | MetricType::Histogram
        | MetricType::GaugeHistogram
        | MetricType::Summary
        | MetricType::Info
        | MetricType::StateSet => unit_of,
    };
    if !is_unit_of(unit_of, &body[unit.clone()]) {
        let reason = MessageReason::UnitIsNoSuffix(printable(&body[unit.clone()]));
        return Err(MessageFault { at: unit.start, reason });
    }
    let text = |range: Range<usize>| std::str::from_utf8(&body[range]).unwrap_or_default();
    Ok(Some(Family { name: text(name), help: text(help), unit: text(unit), metric_type, fields }))
}

/// The samples of some families as text, each on a line of its own, up to the first error.
pub fn protobuf_as_text(body: &[u8], families: &[&str], out: &mut Vec<u8>) {
    let mut scratch = ProtobufScratch::default();
    let mut parser = ProtobufParser::new(body, &mut scratch, true).only(families);
    let mut number = String::new();
    while let Some(Ok(())) = parser.next() {
        if let Some(Entry::Series(series)) = parser.entry() {
            number.clear();
            push_go_float(series.value, &mut number);
            out.extend_from_slice(series.raw);
            out.push(b' ');
            out.extend_from_slice(number.as_bytes());
            out.push(b'\n');
        }
    }
}

/// Every NaN of an exposition is the normal one (remote-write 4.17).
fn normal(value: f64) -> f64 {
    if value.is_nan() { f64::from_bits(NORMAL_NAN_BITS) } else { value }
}

/// The labels of an `Exemplar` message that has been checked.
pub(super) fn label_pairs(message: &[u8]) -> Vec<Pair<'_>> {
    let text = |range: Range<usize>| String::from_utf8_lossy(&message[range]);
    let mut labels = Vec::new();
    let mut fields = Fields::new(message, 0..message.len());
    while let Ok(Some(field)) = fields.next() {
        if field.number == 1
            && let Ok((name, value)) = field.bytes().and_then(|within| metric::label(message, within))
        {
            labels.push((text(name), text(value)));
        }
    }
    labels
}
