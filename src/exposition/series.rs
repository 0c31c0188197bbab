use std::borrow::Cow;

use super::error::{Fault, ParseError, Place, Reason, printable};
use super::escape::unescape_quoted;
use super::float::normalized_float;
use super::scan::{Cursor, NAME, Term};
use crate::model::{Labels, METRIC_NAME, MetricType};

/// One sample line, as it stands in the exposition. Cheap to copy; names and labels are unescaped only when asked for.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// The exact bytes from the first byte of the metric name, or the opening brace where the name is quoted inside, to the closing
    /// brace, or to the end of the name where there are no braces. Blanks within belong to it, blanks around it do not.
    ///
    /// Equal bytes are equal series, so this and [`in_force`](Self::in_force) together (which decides the spelling of `le` and
    /// `quantile`) are a sound cache key; one series may have several keys. Valid UTF-8.
    pub raw: &'a [u8],
    /// The sample's value; every NaN has the bits of the normal NaN (remote-write 4.17).
    pub value: f64,
    /// Milliseconds since the epoch, if the line says so.
    pub timestamp: Option<i64>,
    /// The type that the last `# TYPE` line gave, whichever family it named. Whether it is this series' own type is for
    /// [`belongs_to_family`](super::belongs_to_family) to say.
    pub in_force: MetricType,
    pub(super) body: &'a [u8],
    /// Offset of `raw` into the body.
    pub(super) at: usize,
}

impl<'a> Series<'a> {
    /// The metric's name.
    ///
    /// # Errors
    /// An empty name (`{""} 1`).
    pub fn name(&self) -> Result<Cow<'a, str>, ParseError> {
        self.find_name().map_err(|fault| fault.locate(self.body))
    }

    /// Where the line begins: counts lines, so for messages only.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::of(self.body, self.at)
    }

    /// The labels as exposed, with their empty values and in their order, the metric's name first: the slow path, once for each
    /// series.
    ///
    /// # Errors
    /// A name that is empty or comes twice, `__name__` included; the scrape fails (remote-write 4.16).
    pub fn exposed(&self) -> Result<Exposed<'a>, ParseError> {
        self.collect().map_err(|fault| fault.locate(self.body))
    }

    /// As [`exposed`](Self::exposed), but names other than the metric's may come more than once; see [`Exposed::repeated`].
    ///
    /// # Errors
    /// A name that is empty, or a second name of the metric.
    pub fn as_written(&self) -> Result<Exposed<'a>, ParseError> {
        let written = self.written().map_err(|fault| fault.locate(self.body))?;
        let twice = written.0.iter().filter(|(name, _, _)| name == METRIC_NAME).nth(1);
        match twice {
            Some((name, _, at)) => Err(duplicate(name, *at).locate(self.body)),
            None => Ok(written.pairs()),
        }
    }

    /// The labels as exposed, sorted, without those whose value is empty, in the spelling of the exposition.
    ///
    /// # Errors
    /// As [`exposed`](Self::exposed).
    pub fn labels(&self) -> Result<Labels, ParseError> {
        Ok(self.exposed()?.to_labels())
    }

    /// The bare name, if there is one, and a cursor behind the opening brace, if there is one.
    fn parts(&self) -> (Option<&'a str>, Option<Cursor<'a>>) {
        let mut cursor = Cursor { body: &self.body[..self.at + self.raw.len()], at: self.at };
        let name = std::str::from_utf8(cursor.take(NAME)).ok().filter(|name| !name.is_empty());
        cursor.skip_blanks();
        let open = cursor.peek() == Some(b'{');
        cursor.at += usize::from(open);
        (name, open.then_some(cursor))
    }

    /// As [`name`](Self::name), for those that look at every line and tell nobody what is wrong: locating a fault counts all lines before it.
    pub(super) fn find_name(&self) -> Result<Cow<'a, str>, Fault> {
        let (name, mut braces) = self.parts();
        if let Some(name) = name {
            return Ok(Cow::Borrowed(name));
        }
        while let Some(cursor) = &mut braces
            && let Some(term) = cursor.term()?
        {
            match term {
                Term::MetricName { at, name: [] } => {
                    return Err(Fault::new(at, Reason::MissingName));
                }
                Term::MetricName { at, name } => return text(at, name),
                Term::Label { .. } => {}
            }
        }
        Err(Fault::new(self.at, Reason::MissingName))
    }

    /// As [`exposed`](Self::exposed), for the same.
    pub(super) fn collect(&self) -> Result<Exposed<'a>, Fault> {
        let written = self.written()?;
        let all = &written.0;
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|at| &all[*at].0);
        match order.windows(2).find(|two| all[two[0]].0 == all[two[1]].0) {
            Some(two) => Err(duplicate(&all[two[1]].0, all[two[1]].2)),
            None => Ok(written.pairs()),
        }
    }

    fn written(&self) -> Result<Written<'a>, Fault> {
        let mut all = vec![(Cow::Borrowed(METRIC_NAME), self.find_name()?, self.at)];
        let (_, mut braces) = self.parts();
        while let Some(cursor) = &mut braces
            && let Some(term) = cursor.term()?
        {
            match term {
                Term::MetricName { .. } => {}
                Term::Label { at, name: [], .. } => {
                    return Err(Fault::new(at, Reason::EmptyLabelName));
                }
                Term::Label { at, name, value } => {
                    all.push((text(at, name)?, text(at, value)?, at));
                }
            }
        }
        Ok(Written(all))
    }
}

/// Names, values, and where they stand.
struct Written<'a>(Vec<(Cow<'a, str>, Cow<'a, str>, usize)>);

impl<'a> Written<'a> {
    fn pairs(self) -> Exposed<'a> {
        Exposed(self.0.into_iter().map(|(name, value, _)| (name, value)).collect())
    }
}

fn duplicate(name: &str, at: usize) -> Fault {
    Fault::new(at, Reason::DuplicateLabel(printable(name.as_bytes())))
}

fn text(at: usize, bytes: &[u8]) -> Result<Cow<'_, str>, Fault> {
    std::str::from_utf8(bytes).map(unescape_quoted).map_err(|_| Fault::new(at, Reason::NotUtf8))
}

/// Which value of a name that comes more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occurrence {
    /// The first in the line.
    First,
    /// The first that is empty.
    FirstEmpty,
}

/// What a series line says of its labels: every name once, none empty, values perhaps empty. An empty value means that the label is
/// not there, but `honor_labels` has to know that it was exposed (remote-write 4.06).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Exposed<'_> {
    /// Name and value, in the order of the line, `__name__` first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// The exposed value of a label, `Some("")` where it is exposed empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(exposed, _)| *exposed == name).map(|(_, value)| value)
    }

    /// Names that come more than once, which only [`Series::as_written`] lets through.
    #[must_use]
    pub fn repeated(&self) -> Vec<String> {
        let mut names: Vec<&str> = self.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        let mut repeated: Vec<String> =
            names.windows(2).filter(|two| two[0] == two[1]).map(|two| two[0].to_owned()).collect();
        repeated.dedup();
        repeated
    }

    /// Leaves the first value of this name, or the first one that is empty; `None` where there is none.
    pub fn reduce(&mut self, name: &str, to: Occurrence) -> Option<()> {
        let fits = |value: &str| match to {
            Occurrence::First => true,
            Occurrence::FirstEmpty => value.is_empty(),
        };
        let kept = self.0.iter().position(|(exposed, value)| exposed == name && fits(value))?;
        let mut at = 0;
        self.0.retain(|(exposed, _)| {
            let keep = exposed != name || at == kept;
            at += 1;
            keep
        });
        Some(())
    }

    /// Spells `le` and `quantile` as Prometheus 3 does (remote-write 4.19), if the type in force is one that has them: the type
    /// alone decides, not whether the series belongs to its family. Values that are no numbers stay as they are.
    pub fn normalize(&mut self, in_force: MetricType) {
        let bound = match in_force {
            MetricType::Histogram => "le",
            MetricType::Summary => "quantile",
            MetricType::Unknown
            | MetricType::Counter
            | MetricType::Gauge
            | MetricType::GaugeHistogram
            | MetricType::Info
            | MetricType::StateSet => return,
        };
        for (name, value) in &mut self.0 {
            if name == bound
                && let Some(spelled) = normalized_float(value)
            {
                *value = Cow::Owned(spelled);
            }
        }
    }

    /// Sorted, without empty values.
    #[must_use]
    pub fn to_labels(&self) -> Labels {
        self.iter().collect()
    }
}
