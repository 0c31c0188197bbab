//! Metadata belongs to the family (remote-write 4.30): what `# TYPE`, `# HELP` and `# UNIT` say, and which family a sample's name belongs to.

use std::collections::HashMap;

use crate::exposition::belongs_to_family;
use crate::model::MetricType;

use super::footprint;

/// What the names of a family's series may end with.
const PARTS: [&str; 7] = ["_bucket", "_sum", "_count", "_total", "_info", "_gsum", "_gcount"];

/// More of a HELP text than this many bytes is not sent: Cortex answers 400 to it, though it stores the samples (receivers 4).
pub(super) const MAX_HELP: usize = 1024;

/// One family's metadata.
#[derive(Debug)]
struct Family {
    metric_type: MetricType,
    help: String,
    unit: String,
    /// [`Families::epoch`] when any of them changed last: no two states of any families share it.
    version: u64,
    /// The last scrape that had a line of it.
    seen: u64,
}

/// All families that a target has shown.
#[derive(Debug, Default)]
pub(super) struct Families {
    index: HashMap<String, u32>,
    all: Vec<Family>,
    /// Grows whenever any family changes.
    epoch: u64,
    scrape: u64,
    /// Of all of them.
    weight: usize,
    truncated: Truncated,
    headers: Headers,
}

/// So many bytes of lines are remembered as they stood; an engine has 10 KiB. Those behind are read each time.
const MAX_HEADERS: usize = 256 << 10;

/// The `# HELP` and `# TYPE` lines of the last scrape in their order: the next one mostly has the same.
#[derive(Debug, Default)]
struct Headers {
    /// One after the other, with their line breaks.
    text: Vec<u8>,
    all: Vec<Header>,
    /// The next one that is expected.
    at: usize,
    /// The family of the line that was read last.
    last: u32,
}

#[derive(Clone, Copy, Debug)]
struct Header {
    /// Where it ends in [`Headers::text`].
    end: usize,
    /// The family that it made of this one: while that has not changed, it says nothing new.
    family: FamilyRef,
    /// What a `# TYPE` line says.
    in_force: Option<MetricType>,
}

impl Headers {
    fn line(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).and_then(|before| self.all.get(before)).map_or(0, |before| before.end);
        self.all.get(at).map_or(&[], |header| &self.text[start..header.end])
    }

    /// In the place of the expected one and all behind it, unless it is that one.
    fn put(&mut self, line: &[u8], family: FamilyRef, in_force: Option<MetricType>) {
        if self.line(self.at) != line {
            let start = self.at.checked_sub(1).map_or(0, |before| self.all[before].end);
            if start + line.len() > MAX_HEADERS {
                return;
            }
            self.text.truncate(start);
            self.text.extend_from_slice(line);
            self.all.truncate(self.at);
        }
        let end = self.text.len();
        match self.all.get_mut(self.at) {
            Some(header) => header.family = family,
            None => self.all.push(Header { end, family, in_force }),
        }
        self.at += 1;
    }
}

/// HELP texts that were cut to [`MAX_HELP`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truncated {
    /// How many; each once, until it changes.
    pub texts: u64,
    /// The family of the first, for the log.
    pub first: Option<String>,
}

/// The family of a series as it was when its metadata was last handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FamilyRef {
    number: u32,
    version: u64,
}

impl Families {
    /// Begins a scrape. Families that ten scrapes have not shown are forgotten, as Prometheus forgets them, though only once there are
    /// more than a few hundred of them: an engine has 80 in all.
    pub(super) fn begin(&mut self) {
        const SLACK: usize = 1_000;
        const SCRAPES: u64 = 10;
        self.scrape += 1;
        self.headers.at = 0;
        let oldest = self.scrape.saturating_sub(SCRAPES);
        if self.all.len() > SLACK && self.all.iter().filter(|family| family.seen < oldest).count() > SLACK / 2
        {
            self.forget_before(oldest);
        }
    }

    /// How many bytes all this takes, as an estimate (see [`footprint`]).
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// The line that is expected next, with its line break, if it says nothing new; and the type that is in force behind it, if that is what
    /// it says. Empty where there is none.
    pub(super) fn expected(&self) -> (&[u8], Option<MetricType>) {
        match self.headers.all.get(self.headers.at) {
            Some(header) if self.reference(header.family.number) == header.family => {
                (self.headers.line(self.headers.at), header.in_force)
            }
            Some(_) | None => (&[], None),
        }
    }

    /// The line that is expected has come; there must be one.
    pub(super) fn take_expected(&mut self) {
        let header = self.headers.all[self.headers.at];
        self.all[header.family.number as usize].seen = self.scrape;
        self.headers.at += 1;
    }

    /// What was set last was said by this line.
    pub(super) fn said_by(&mut self, line: &[u8], in_force: Option<MetricType>) {
        if line.ends_with(b"\n") {
            let family = self.reference(self.headers.last);
            self.headers.put(line, family, in_force);
        }
    }

    /// Forgets everything. Every series looks its family up again.
    pub(super) fn drop_all(&mut self) {
        *self = Self { epoch: self.epoch + 1, scrape: self.scrape, ..Self::default() };
    }

    pub(super) fn set_type(&mut self, name: &str, metric_type: MetricType) {
        let number = self.entry(name);
        let family = &mut self.all[number as usize];
        if family.metric_type != metric_type {
            family.metric_type = metric_type;
            self.changed(number);
        }
    }

    /// The last of repeated HELP lines stands (remote-write 4.22).
    pub(super) fn set_help(&mut self, name: &str, help: &str) {
        let number = self.entry(name);
        let family = &mut self.all[number as usize];
        let whole = help.len();
        let end = (0..=MAX_HELP.min(whole)).rfind(|end| help.is_char_boundary(*end)).unwrap_or_default();
        let help = &help[..end];
        if family.help != help {
            if help.len() < whole {
                self.truncated.texts += 1;
                self.truncated.first.get_or_insert_with(|| name.to_owned());
            }
            self.weight += footprint::of_family("", help);
            self.weight -= footprint::of_family("", &family.help);
            help.clone_into(&mut family.help);
            self.changed(number);
        }
    }

    /// What was cut since the last call.
    pub(super) fn take_truncated(&mut self) -> Truncated {
        std::mem::take(&mut self.truncated)
    }

    /// The last of repeated UNIT lines stands, as with HELP.
    pub(super) fn set_unit(&mut self, name: &str, unit: &str) {
        let number = self.entry(name);
        let family = &mut self.all[number as usize];
        if family.unit != unit {
            unit.clone_into(&mut family.unit);
            self.changed(number);
        }
    }

    /// The family of a sample's name: its own, or the one without the suffix that its type has.
    pub(super) fn of_metric(&self, metric: &str) -> Option<FamilyRef> {
        let own = self.index.get(metric).copied();
        let number = own.or_else(|| {
            PARTS.into_iter().find_map(|suffix| {
                let family = metric.strip_suffix(suffix)?;
                let number = *self.index.get(family)?;
                let metric_type = self.all[number as usize].metric_type;
                belongs_to_family(metric, family, metric_type).then_some(number)
            })
        })?;
        Some(self.reference(number))
    }

    /// Equal to what it was: no metadata of any family has changed since.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Type, help and unit of a family that [`Families::of_metric`] gave since the last [`Families::begin`].
    pub(super) fn metadata(&self, family: FamilyRef) -> (MetricType, &str, &str) {
        let family = self.all.get(family.number as usize);
        family
            .map_or((MetricType::Unknown, "", ""), |family| (family.metric_type, &family.help, &family.unit))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    fn reference(&self, number: u32) -> FamilyRef {
        FamilyRef { number, version: self.all[number as usize].version }
    }

    fn entry(&mut self, name: &str) -> u32 {
        let number = match self.index.get(name) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
                self.index.insert(name.to_owned(), number);
                self.weight += footprint::of_family(name, "");
                self.all.push(Family {
                    metric_type: MetricType::Unknown,
                    help: String::new(),
                    unit: String::new(),
                    version: 0,
                    seen: 0,
                });
                self.changed(number);
                number
            }
        };
        self.all[number as usize].seen = self.scrape;
        self.headers.last = number;
        number
    }

    fn changed(&mut self, number: u32) {
        self.epoch += 1;
        self.all[number as usize].version = self.epoch;
    }

    /// Numbers change, so every series looks its family up again.
    fn forget_before(&mut self, oldest: u64) {
        self.epoch += 1;
        self.headers = Headers::default();
        let mut kept = 0;
        let numbers: Vec<Option<u32>> = (self.all.iter())
            .map(|family| {
                let number = kept;
                let keep = family.seen >= oldest;
                kept += u32::from(keep);
                keep.then_some(number)
            })
            .collect();
        self.all.retain(|family| family.seen >= oldest);
        self.index.retain(|_, number| match numbers[*number as usize] {
            Some(moved) => {
                *number = moved;
                true
            }
            None => false,
        });
        let families = self.index.iter().map(|(name, number)| (name, &self.all[*number as usize].help));
        self.weight = families.map(|(name, help)| footprint::of_family(name, help)).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_of(families: &Families, metric: &str) -> Option<MetricType> {
        families.of_metric(metric).map(|family| families.metadata(family).0)
    }

    #[test]
    fn rw_4_30_parts_share_the_familys_metadata_only_if_its_type_has_such_parts() {
        let mut families = Families::default();
        families.set_type("h", MetricType::Histogram);
        families.set_type("s", MetricType::Summary);
        families.set_type("c", MetricType::Counter);
        assert_eq!(type_of(&families, "h_bucket"), Some(MetricType::Histogram));
        assert_eq!(type_of(&families, "s_sum"), Some(MetricType::Summary));
        assert_eq!(type_of(&families, "s_bucket"), None);
        assert_eq!(type_of(&families, "c_count"), None);
        assert_eq!(type_of(&families, "unheard_of"), None);
    }

    #[test]
    fn a_family_of_the_full_name_comes_before_one_of_the_stripped_name() {
        let mut families = Families::default();
        families.set_type("h", MetricType::Histogram);
        families.set_type("h_count", MetricType::Gauge);
        assert_eq!(type_of(&families, "h_count"), Some(MetricType::Gauge));
    }

    #[test]
    fn a_long_help_is_cut_at_a_character_and_counted_once() {
        let mut families = Families::default();
        families.set_help("fits", &"x".repeat(MAX_HELP));
        assert_eq!(families.take_truncated(), Truncated::default());
        let long = "é".repeat(MAX_HELP / 2) + "é";
        let odd = format!("x{long}");
        for _ in 0..2 {
            families.set_help("long", &long);
            families.set_help("odd", &odd);
        }
        assert_eq!(families.take_truncated(), Truncated { texts: 2, first: Some("long".to_owned()) });
        let help = |name| families.metadata(families.of_metric(name).unwrap()).1.len();
        assert_eq!((help("fits"), help("long"), help("odd")), (1024, 1024, 1023));
    }

    #[test]
    fn a_line_is_expected_where_it_came_while_it_says_nothing_new() {
        let mut families = Families::default();
        let mut scrape = |lines: &[(&str, &str)]| -> Vec<bool> {
            families.begin();
            let mut read = |(name, help): &(&str, &str)| {
                let line = format!("# HELP {name} {help}\n");
                let expected = families.expected().0 == line.as_bytes();
                if expected {
                    families.take_expected();
                } else {
                    families.set_help(name, help);
                    families.said_by(line.as_bytes(), None);
                }
                let family = families.of_metric(name).unwrap();
                assert_eq!((families.metadata(family).1, families.all[0].seen), (*help, families.scrape));
                expected
            };
            lines.iter().map(&mut read).collect()
        };
        let [one, other, changed] = [("one", "text"), ("other", "text"), ("one", "new")];
        assert_eq!(scrape(&[one, other]), [false, false]);
        assert_eq!(scrape(&[one, other]), [true, true]);
        assert_eq!(scrape(&[changed, other]), [false, false]);
        assert_eq!(scrape(&[one, other]), [false, false]);
        // The last one stands: neither says nothing new.
        for first in [true, false, false] {
            assert_eq!(scrape(&[one, changed, other])[..2], [first, false]);
        }
        assert_eq!(scrape(&[changed, other, one]), [false; 3]);
    }

    #[test]
    fn changed_metadata_shows_as_another_reference() {
        let mut families = Families::default();
        families.set_help("m", "one");
        let before = families.of_metric("m").unwrap();
        families.set_help("m", "one");
        assert_eq!(families.of_metric("m"), Some(before));
        families.set_help("m", "two");
        assert_ne!(families.of_metric("m"), Some(before));
    }
}
