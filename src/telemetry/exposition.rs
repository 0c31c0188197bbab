//! Our own counters in the text format that we read elsewhere: `# HELP`, `# TYPE`, one line for each sample.

use std::fmt::{Display, Write as _};

/// Type word of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// `_bucket`, `_sum`, `_count`.
    Histogram,
}

/// Appends families to a text.
#[derive(Debug)]
pub struct Exposition<'t> {
    text: &'t mut String,
}

/// One family being written.
#[derive(Debug)]
pub struct Family<'t> {
    text: &'t mut String,
    name: &'static str,
}

impl<'t> Exposition<'t> {
    /// Appends to `text`.
    pub fn new(text: &'t mut String) -> Self {
        Self { text }
    }

    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        push(self.text, format_args!("# HELP {name} {help}\n# TYPE {name} {word}\n"));
        Family { text: self.text, name }
    }

    /// A family of one series without labels.
    pub fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }
}

impl Family<'_> {
    /// One sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.part("", labels, value)
    }

    /// One sample of a histogram's part (`_bucket`, `_sum`, `_count`).
    pub fn part(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let mut separator = '{';
        for (name, value) in labels {
            self.text.push(separator);
            self.text.push_str(name);
            self.text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
            separator = ',';
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        push(self.text, format_args!(" {value}\n"));
        self
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_the_text_format_wants_them() {
        let mut text = String::new();
        let mut exposition = Exposition::new(&mut text);
        exposition.single("a_total", Kind::Counter, "counts", 3);
        exposition.family("b", Kind::Gauge, "b").sample(&[("x", "1\\2\"3\n"), ("y", "")], 0.5);
        assert_eq!(
            text,
            "# HELP a_total counts\n# TYPE a_total counter\na_total 3\n# HELP b b\n# TYPE b gauge\nb{x=\"1\\\\2\\\"3\\n\",y=\"\"} 0.5\n"
        );
    }
}
