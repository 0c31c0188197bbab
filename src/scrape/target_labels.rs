//! What a series is called in the end: exposed labels, the target's labels, external labels (remote-write 4.06, 4.07).

use std::collections::BTreeMap;

use crate::model::Labels;

/// Whose value stands when the exposition has a label that the target has too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clash {
    /// The target's; the exposed one is kept as `exported_<name>` (`HONOR_LABELS=false`).
    TargetWins,
    /// The exposed one; exposed as empty it removes the label (`HONOR_LABELS=true`).
    ExposedWins,
}

/// The labels that one target gives to its series.
#[derive(Clone, Debug)]
pub(super) struct TargetLabels {
    target: Labels,
    external: Labels,
    clash: Clash,
}

impl TargetLabels {
    pub(super) fn new(target: &Labels, external: &Labels, honor_labels: bool) -> Self {
        let clash = if honor_labels { Clash::ExposedWins } else { Clash::TargetWins };
        Self { target: target.clone(), external: external.clone(), clash }
    }

    /// The label set of an exposed series, without external labels. `exposed` may hold empty values; no name comes twice.
    pub(super) fn apply<'a>(&self, exposed: impl IntoIterator<Item = (&'a str, &'a str)>) -> Labels {
        let mut merged: BTreeMap<String, String> =
            exposed.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        match self.clash {
            Clash::TargetWins => self.rename_clashes(&mut merged),
            Clash::ExposedWins => {
                for (name, value) in self.target.iter() {
                    merged.entry(name.to_owned()).or_insert_with(|| value.to_owned());
                }
            }
        }
        merged.into_iter().collect()
    }

    /// Whether an exposed label of this name is renamed, unless it is empty.
    pub(super) fn renames(&self, name: &str) -> bool {
        self.clash == Clash::TargetWins && self.target.get(name).is_some()
    }

    /// The label set of a synthetic series such as `up`.
    pub(super) fn synthetic(&self, metric: &str) -> Labels {
        let mut labels = self.target.clone();
        labels.set(crate::model::METRIC_NAME, metric);
        self.with_external(labels)
    }

    /// External labels stand only where the series has no such label (remote-write 4.07).
    pub(super) fn with_external(&self, mut labels: Labels) -> Labels {
        for (name, value) in self.external.iter() {
            if labels.get(name).is_none() {
                labels.set(name, value);
            }
        }
        labels
    }

    fn rename_clashes(&self, merged: &mut BTreeMap<String, String>) {
        let mut clashes = Vec::new();
        for (name, value) in self.target.iter() {
            let exposed = merged.insert(name.to_owned(), value.to_owned());
            clashes.extend(exposed.filter(|exposed| !exposed.is_empty()).map(|exposed| (name, exposed)));
        }
        // Shorter names first, so that `exported_job` of the exposition and a renamed `job` settle as in Prometheus.
        clashes.sort_by_key(|(name, _)| name.len());
        for (name, exposed) in clashes {
            let mut renamed = format!("exported_{name}");
            while merged.get(&renamed).is_some_and(|taken| !taken.is_empty()) {
                renamed.insert_str(0, "exported_");
            }
            merged.insert(renamed, exposed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(honor: bool, exposed: &[(&'static str, &'static str)]) -> String {
        let target = Labels::from_iter([("instance", "host"), ("job", "docker")]);
        let external = Labels::from_iter([("cluster", "prod"), ("job", "never")]);
        let labels = TargetLabels::new(&target, &external, honor);
        let applied = labels.apply([("__name__", "m")].into_iter().chain(exposed.iter().copied()));
        labels.with_external(applied).to_string()
    }

    #[test]
    fn rw_4_06_the_target_wins_and_the_exposed_label_is_renamed_until_the_name_is_free() {
        assert_eq!(
            applied(false, &[("job", "x")]),
            r#"m{cluster="prod",exported_job="x",instance="host",job="docker"}"#
        );
        assert_eq!(
            applied(false, &[("job", "x"), ("exported_job", "y")]),
            r#"m{cluster="prod",exported_exported_job="x",exported_job="y",instance="host",job="docker"}"#
        );
        assert_eq!(
            applied(false, &[("job", "")]),
            r#"m{cluster="prod",instance="host",job="docker"}"#,
            "an exposed empty value is no clash"
        );
    }

    #[test]
    fn rw_4_06_with_honor_labels_the_exposed_value_wins_and_an_empty_one_removes_the_label() {
        assert_eq!(applied(true, &[("job", "x")]), r#"m{cluster="prod",instance="host",job="x"}"#);
        assert_eq!(
            applied(true, &[("instance", "")]),
            r#"m{cluster="prod",job="docker"}"#,
            "the instance=\"\" trick"
        );
    }

    #[test]
    fn rw_4_07_external_labels_stand_only_where_the_series_has_no_such_label() {
        assert_eq!(applied(false, &[("cluster", "own")]), r#"m{cluster="own",instance="host",job="docker"}"#);
    }
}
