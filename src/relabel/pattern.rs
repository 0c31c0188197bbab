//! A regular expression that must match the whole of its input, and templates that are filled from its groups.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::re2;

/// Anchored at both ends; `.` matches line ends too, as in Prometheus 3.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// # Errors
    /// What is wrong, as the end of a sentence that begins with the pattern.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        // Wrapped as text, as Prometheus does it: `a|b` is anchored as a whole, and `^a$` stays what it is.
        let translated = re2::translate(&format!("^(?s:{text})$"))?;
        Regex::new(&translated).map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => format!("needs more than {limit} bytes when compiled"),
            // The crate draws the translated pattern and a mark under it; its last line is the reason.
            other => {
                let text = other.to_string();
                let reason = text.rsplit_once("error: ").map_or(text.as_str(), |(_, reason)| reason);
                format!("is not a regular expression: {}", reason.trim())
            }
        })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    pub(super) fn captures<'t>(&self, text: &'t str) -> Option<Captures<'t>> {
        self.0.captures(text)
    }

    fn group(&self, name: &str) -> Option<usize> {
        // As in Go, `01` is a name and no number.
        let number = name == "0" || !name.starts_with('0');
        let index = name.parse().ok().filter(|_| number && name.bytes().all(|byte| byte.is_ascii_digit()));
        index
            .filter(|index| *index < self.0.captures_len())
            .or_else(|| self.0.capture_names().position(|group| group == Some(name)))
    }
}

/// Text with `$1`, `${1}`, `$name` and `${name}` in it; `$$` is a dollar, and so is a `$` that begins none of these.
///
/// As in Go, `$1x` is the group named `1x`, and a group that does not exist, or took no part in the match, is empty.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Group(usize),
}

impl Template {
    pub(super) fn parse(text: &str, pattern: &Pattern) -> Self {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            if let Some(next) = after.strip_prefix('$') {
                plain.push('$');
                rest = next;
            } else if let Some((name, next)) = variable(after) {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.extend(pattern.group(name).map(Part::Group));
                rest = next;
            } else {
                plain.push('$');
                rest = after;
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Self(parts)
    }

    pub(super) fn fill(&self, captures: &Captures<'_>) -> String {
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Group(index) => captures.get(*index).map_or("", |group| group.as_str()),
            })
            .collect()
    }
}

/// What Go takes for the name of a group: its letters and decimal digits, which are fewer than [`char::is_alphanumeric`] has (`$1²` is `$1` and `²`).
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "a constant, and a test compiles it")]
    Regex::new(r"^[\p{L}\p{Nd}_]+").unwrap()
});

/// `name` or `{name}` at the start of the text, and what follows it.
fn variable(text: &str) -> Option<(&str, &str)> {
    let (text, braced) = text.strip_prefix('{').map_or((text, false), |inside| (inside, true));
    let (name, rest) = text.split_at(NAME.find(text)?.end());
    let rest = if braced { rest.strip_prefix('}')? } else { rest };
    Some((name, rest))
}
