use std::cmp::Ordering;
use std::fmt;

/// The label that holds the metric's name.
pub const METRIC_NAME: &str = "__name__";

/// A label set: sorted by name in byte order, no name twice, no empty value (remote-write 1.11, 1.12).
///
/// All texts stand in one string: a set of four labels takes 170 bytes of memory, and took 460 with a string for each. A target's series
/// are most of what the process holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels {
    /// Name, value, name, value.
    text: String,
    /// Where each of them ends. 32 bits will do: a body of 4 GiB is no exposition.
    ends: Vec<u32>,
}

impl Labels {
    /// No labels.
    #[must_use]
    pub const fn new() -> Self {
        Self { text: String::new(), ends: Vec::new() }
    }

    /// The value of a label, `None` where there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).ok().map(|at| self.pair(at).1)
    }

    /// Sets a label, in its place; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) {
        let (at, taken) = match self.find(name) {
            Ok(at) => (at, 1),
            Err(at) => (at, 0),
        };
        let texts: &[&str] = if value.is_empty() { &[] } else { &[name, value] };
        self.replace(at, taken, texts);
    }

    /// The labels in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        (0..self.len()).map(|at| self.pair(at))
    }

    /// How many labels there are, the metric's name included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len() / 2
    }

    /// Whether there is no label at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from.midpoint(to);
            match self.pair(middle).0.cmp(name) {
                Ordering::Less => from = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => to = middle,
            }
        }
        Err(from)
    }

    fn pair(&self, at: usize) -> (&str, &str) {
        let (start, middle, end) = (self.start(2 * at), self.start(2 * at + 1), self.start(2 * at + 2));
        (&self.text[start..middle], &self.text[middle..end])
    }

    /// Where the text of this number begins: where the one before it ends.
    fn start(&self, number: usize) -> usize {
        number.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }

    /// Puts `texts` in the place of `taken` labels from the one at `at` on.
    fn replace(&mut self, at: usize, taken: usize, texts: &[&str]) {
        let range = self.start(2 * at)..self.start(2 * (at + taken));
        let (before, removed) = (range.start, range.len());
        self.text.replace_range(range, &texts.concat());
        let added = self.text.len() - (self.ends.last().map_or(0, |end| *end as usize) - removed);
        for end in &mut self.ends[2 * (at + taken)..] {
            *end = offset(*end as usize - removed + added);
        }
        let mut end = before;
        let new = texts.iter().map(|text| {
            end += text.len();
            offset(end)
        });
        self.ends.splice(2 * at..2 * (at + taken), new);
    }
}

fn offset(bytes: usize) -> u32 {
    match u32::try_from(bytes) {
        Ok(offset) => offset,
        Err(_) => unreachable!("a label set of {bytes} bytes"),
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Label by label, by name and then by value.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

/// Sorts; of a name that comes twice the last one stays; empty values are left out.
impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut pairs: Vec<(N, V)> = pairs.into_iter().collect();
        // Set one by one, names in descending order would each move all that is there. Stable: the last of a name stays the last.
        pairs.sort_by(|(one, _), (other, _)| one.as_ref().cmp(other.as_ref()));
        let bytes = pairs.iter().map(|(name, value)| name.as_ref().len() + value.as_ref().len()).sum();
        let mut labels =
            Self { text: String::with_capacity(bytes), ends: Vec::with_capacity(2 * pairs.len()) };
        for same in pairs.chunk_by(|(one, _), (other, _)| one.as_ref() == other.as_ref()) {
            if let Some((name, value)) = same.last()
                && !value.as_ref().is_empty()
            {
                for text in [name.as_ref(), value.as_ref()] {
                    labels.text.push_str(text);
                    labels.ends.push(offset(labels.text.len()));
                }
            }
        }
        labels.text.shrink_to_fit();
        labels.ends.shrink_to_fit();
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
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Names that come twice or more, and empty names and values among them.
        #[test]
        fn a_set_is_what_its_labels_set_one_after_another_make(
            pairs in vec(("[A-C_]{0,2}", "[xy]{0,2}"), 0..40),
        ) {
            let mut set = Labels::new();
            pairs.iter().for_each(|(name, value)| set.set(name, value));
            let all: Labels = pairs.iter().map(|(name, value)| (name, value)).collect();
            prop_assert_eq!(&all, &set);
            prop_assert_eq!(all.text.capacity(), all.text.len());
        }
    }

    #[test]
    fn of_a_name_that_comes_twice_the_last_one_stays_even_if_it_is_empty() {
        let all = [("b", "1"), ("a", "2"), ("b", "3"), ("a", ""), ("c", ""), ("c", "4")];
        assert_eq!(Labels::from_iter(all).iter().collect::<Vec<_>>(), [("b", "3"), ("c", "4")]);
    }

    #[test]
    fn rw_1_12_upper_case_sorts_before_the_metric_name_and_lower_case_after_it() {
        let labels = Labels::from_iter([("a", "1"), (METRIC_NAME, "m"), ("A", "2")]);
        let names: Vec<_> = labels.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["A", METRIC_NAME, "a"]);
    }

    #[test]
    fn rw_1_11_an_empty_value_removes_the_label() {
        let mut labels = Labels::from_iter([("a", "1"), ("b", "")]);
        assert_eq!(labels.len(), 1);
        labels.set("a", "");
        assert!(labels.is_empty());
    }

    #[test]
    fn labels_are_set_in_any_place_and_the_others_stay() {
        let mut labels = Labels::from_iter([("b", "22"), ("d", "4444")]);
        for (name, value) in
            [("c", "333"), ("a", "1"), ("e", "55555"), ("c", "long again"), ("b", ""), ("d", "4")]
        {
            labels.set(name, value);
        }
        let all: Vec<_> = labels.iter().collect();
        assert_eq!(all, [("a", "1"), ("c", "long again"), ("d", "4"), ("e", "55555")]);
        assert_eq!((labels.get("d"), labels.get("b"), labels.len()), (Some("4"), None, 4));
        assert_eq!(labels, Labels::from_iter([("e", "55555"), ("d", "4"), ("c", "long again"), ("a", "1")]));
    }

    #[test]
    fn sets_are_ordered_label_by_label() {
        let of = |pairs: &[(&'static str, &'static str)]| pairs.iter().copied().collect::<Labels>();
        // The texts in a row would say otherwise.
        assert!(of(&[("a", "bc")]) < of(&[("ab", "c")]));
        assert_ne!(of(&[("a", "bc")]), of(&[("ab", "c")]));
        assert!(of(&[("a", "1")]) < of(&[("a", "1"), ("b", "1")]));
        assert!(of(&[("a", "2")]) > of(&[("a", "1"), ("b", "1")]));
    }

    #[test]
    fn display_is_promql() {
        let labels = Labels::from_iter([(METRIC_NAME, "m"), ("a", "x\"y"), ("b", "2")]);
        assert_eq!(labels.to_string(), r#"m{a="x\"y",b="2"}"#);
        assert_eq!(Labels::from_iter([(METRIC_NAME, "m")]).to_string(), "m");
    }
}
