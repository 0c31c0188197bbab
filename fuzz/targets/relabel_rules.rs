//! `METRIC_RELABEL_CONFIGS`: a document of rules, a zero byte, then the labels that they are applied to, as `name=value` lines.

use docker_remote_write::model::{Labels, METRIC_NAME};
use docker_remote_write::relabel::{Rules, check_storable};

use super::{Outcome, Target};

pub(crate) const TARGET: Target = Target {
    name: "relabel_rules",
    run,
    words: &[
        b"- action: ",
        b"replace\n",
        b"keep\n",
        b"drop\n",
        b"keepequal\n",
        b"dropequal\n",
        b"hashmod\n",
        b"labelmap\n",
        b"labeldrop\n",
        b"labelkeep\n",
        b"lowercase\n",
        b"uppercase\n",
        b"  source_labels: [__name__, a]\n",
        b"  separator: ",
        b"  target_label: ",
        b"  regex: ",
        b"  modulus: ",
        b"18446744073709551615",
        b"  replacement: ",
        b"${1}",
        b"$1x",
        b"$name",
        b"$$",
        b"(?P<name>.*)",
        b"(?i:a)",
        b"[^a-z]*",
        b"\\pN+",
        b"\\x{10FFFF}",
        b"\\C",
        b"\\Q.\\E",
        b"[[:alpha:]]",
        b"{1,1000}",
        b"(a*)*",
        b"'",
        b"\"",
        b"&a ",
        b"*a",
        b"<<: ",
        b"!!str ",
        b"---\n",
        b"null",
        b"\0",
        b"=\xc4\xb0",
    ],
    fixtures: &[],
    longest: 4 << 10,
    // A pattern may take 10 MiB when it is compiled (the regex crate's limit), and what leads there as much again, several times.
    memory: (96 << 20, 64 << 10),
};

/// # Panics
/// If an error stands outside of the document, or rules make of labels what is no label set, or not always the same.
pub(crate) fn run(input: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(input);
    let (document, labels) = text.split_once('\0').unwrap_or((&text, "__name__=up\na=x"));
    let labels: Labels = labels.lines().take(64).filter_map(|line| line.split_once('=')).collect();
    let rules = match Rules::compile(document) {
        Ok(rules) => rules,
        Err(errors) => {
            assert!(!errors.is_empty());
            // A line of YAML may end with a carriage return alone.
            let lines = document.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() as u64;
            for error in &errors {
                assert!((1..=lines + 1).contains(&error.line) && error.column > 0, "{error}");
                assert!(!error.reason.is_empty());
            }
            let words = |reason: &str| -> String {
                reason.chars().filter(|c| !c.is_ascii_digit()).take(12).collect()
            };
            let last = errors.last().map(|error| words(&error.reason));
            return Outcome::default().with((false, last)).with_count(errors.len() as u64);
        }
    };
    let once = rules.apply(labels.clone());
    assert_eq!(rules.apply(labels.clone()), once, "rules have no memory");
    let again = Rules::compile(document).map(|rules| rules.apply(labels.clone()));
    assert_eq!(again, Ok(once.clone()), "a document has one meaning");
    let Some(left) = once else { return Outcome::default().with((true, rules.is_empty(), "dropped")) };
    assert!(!rules.is_empty() || left == labels, "no rules change nothing");
    let names: Vec<&str> = left.iter().map(|(name, _)| name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    assert!(left.iter().all(|(_, value)| !value.is_empty()));
    let named = left.get(METRIC_NAME).is_some() && left.get("").is_none();
    assert_eq!(check_storable(&left).is_ok(), named);
    Outcome::default().with((true, named, left == labels)).with_count(left.len() as u64)
}
