use std::fmt;

/// The label that holds the metric's name.
pub const METRIC_NAME: &str = "__name__";

/// One name and value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// Never empty inside [`Labels`].
    pub name: String,
    /// Never empty inside [`Labels`]: an empty value means that the label is not there.
    pub value: String,
}

/// A label set: sorted by name in byte order, no name twice, no empty value (remote-write 1.11, 1.12).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Vec<Label>);

impl Labels {
    /// No labels.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of a label, `None` where there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|label| label.name.as_str().cmp(name)).ok()?;
        Some(&self.0[at].value)
    }

    /// Sets a label, in its place; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.0.binary_search_by(|label| label.name.as_str().cmp(name)) {
            Ok(at) if value.is_empty() => {
                self.0.remove(at);
            }
            Ok(at) => value.clone_into(&mut self.0[at].value),
            Err(_) if value.is_empty() => {}
            Err(at) => self.0.insert(at, Label { name: name.to_owned(), value: value.to_owned() }),
        }
    }

    /// The labels in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|label| (label.name.as_str(), label.value.as_str()))
    }

    /// How many labels there are, the metric's name included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Sorts; of a name that comes twice the last one stays; empty values are left out.
impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut labels = Self::default();
        for (name, value) in pairs {
            labels.set(name.as_ref(), value.as_ref());
        }
        labels
    }
}

/// As PromQL writes it: `name{label="value"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get(METRIC_NAME).unwrap_or_default())?;
        let mut separator = "{";
        for (name, value) in self.iter().filter(|(name, _)| *name != METRIC_NAME) {
            write!(f, "{separator}{name}={value:?}")?;
            separator = ",";
        }
        if separator == "," { f.write_str("}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_case_sorts_before_the_metric_name_and_lower_case_after_it() {
        let labels = Labels::from_iter([("a", "1"), (METRIC_NAME, "m"), ("A", "2")]);
        let names: Vec<_> = labels.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["A", METRIC_NAME, "a"]);
    }

    #[test]
    fn an_empty_value_removes_the_label() {
        let mut labels = Labels::from_iter([("a", "1"), ("b", "")]);
        assert_eq!(labels.len(), 1);
        labels.set("a", "");
        assert!(labels.is_empty());
    }

    #[test]
    fn display_is_promql() {
        let labels = Labels::from_iter([(METRIC_NAME, "m"), ("a", "x\"y"), ("b", "2")]);
        assert_eq!(labels.to_string(), r#"m{a="x\"y",b="2"}"#);
        assert_eq!(Labels::from_iter([(METRIC_NAME, "m")]).to_string(), "m");
    }
}
