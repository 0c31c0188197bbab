//! Metadata belongs to the family (remote-write 4.30): what `# TYPE` and `# HELP` say, and which family a sample's name belongs to.

use std::collections::HashMap;

use crate::exposition::belongs_to_family;
use crate::model::MetricType;

/// One family's metadata; the version changes whenever type or help do.
#[derive(Debug)]
struct Family {
    metric_type: MetricType,
    help: String,
    version: u32,
}

/// All families that a target has shown.
#[derive(Debug, Default)]
pub(super) struct Families {
    index: HashMap<String, u32>,
    all: Vec<Family>,
    /// Changes whenever any family does.
    epoch: u64,
}

/// The family of a series as it was when its metadata was last handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FamilyRef {
    number: u32,
    version: u32,
}

impl Families {
    pub(super) fn set_type(&mut self, name: &str, metric_type: MetricType) {
        let family = self.entry(name);
        if family.metric_type != metric_type {
            family.metric_type = metric_type;
            family.version = family.version.wrapping_add(1);
            self.epoch += 1;
        }
    }

    /// The last of repeated HELP lines stands (remote-write 4.22).
    pub(super) fn set_help(&mut self, name: &str, help: &str) {
        let family = self.entry(name);
        if family.help != help {
            help.clone_into(&mut family.help);
            family.version = family.version.wrapping_add(1);
            self.epoch += 1;
        }
    }

    /// The family of a sample's name: its own, or for the parts of a histogram or summary the one without the suffix.
    pub(super) fn of_metric(&self, metric: &str) -> Option<FamilyRef> {
        let own = self.index.get(metric).copied();
        let number = own.or_else(|| {
            ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| {
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

    pub(super) fn metadata(&self, family: FamilyRef) -> (MetricType, &str) {
        let family = &self.all[family.number as usize];
        (family.metric_type, &family.help)
    }

    fn reference(&self, number: u32) -> FamilyRef {
        FamilyRef { number, version: self.all[number as usize].version }
    }

    fn entry(&mut self, name: &str) -> &mut Family {
        let number = match self.index.get(name) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
                self.index.insert(name.to_owned(), number);
                self.epoch += 1;
                self.all.push(Family { metric_type: MetricType::Unknown, help: String::new(), version: 0 });
                number
            }
        };
        &mut self.all[number as usize]
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
