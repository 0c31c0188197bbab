//! Maps: `key=value,key="value, quoted"`, or JSON or YAML when the text begins with `{` or spans lines. Pure.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use thiserror::Error;

/// Why a text is no map. Never holds a part of the text: the map may be one of secrets.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum MapError {
    /// An entry without `=`.
    #[error("entry {0} has no `=`")]
    NoEquals(usize),
    /// Nothing before the `=`.
    #[error("entry {0} has no key")]
    NoKey(usize),
    /// A value that begins with a quote and never ends.
    #[error("the quote of entry {0} is not closed")]
    Unclosed(usize),
    /// A closing quote that neither a comma nor the end follows.
    #[error("entry {0} goes on after its closing quote (a comma is missing?)")]
    AfterQuote(usize),
    /// The same key again.
    #[error("entry {0} has the key of entry {1}")]
    Duplicate(usize, usize),
    /// Not JSON or YAML, or not a flat map of texts.
    #[error("no JSON or YAML map: line {line}, column {column}: {reason}")]
    Document {
        /// 1-based.
        line: u64,
        /// 1-based.
        column: u64,
        /// What is wrong there.
        reason: &'static str,
    },
}

/// The entries, in their order; keys are neither empty nor repeated.
pub(super) fn parse_map(text: &str) -> Result<Vec<(String, String)>, MapError> {
    let trimmed = text.trim();
    let spans_lines = text.trim_end().contains('\n');
    let entries =
        if trimmed.starts_with('{') || spans_lines { parse_document(text)? } else { parse_pairs(trimmed)? };
    for (at, (key, _)) in entries.iter().enumerate() {
        if key.is_empty() {
            return Err(MapError::NoKey(at + 1));
        }
        if let Some(first) = entries[..at].iter().position(|(earlier, _)| earlier == key) {
            return Err(MapError::Duplicate(at + 1, first + 1));
        }
    }
    Ok(entries)
}

fn parse_pairs(text: &str) -> Result<Vec<(String, String)>, MapError> {
    let mut entries = Vec::new();
    let mut rest = text;
    loop {
        let number = entries.len() + 1;
        let comma = rest.find(',').unwrap_or(rest.len());
        let equals = rest[..comma].find('=').ok_or(MapError::NoEquals(number))?;
        let key = rest[..equals].trim();
        let value = rest[equals + 1..].trim_start();
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => parse_quoted(quoted, number)?,
            None => {
                let (value, after) = value.split_at(value.find(',').unwrap_or(value.len()));
                (value.trim_end().to_owned(), after)
            }
        };
        entries.push((key.to_owned(), value));
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(entries),
        }
    }
}

/// What stands before the closing quote (`\"` and `\\` are the escapes), and what follows it from the comma on.
fn parse_quoted(text: &str, number: usize) -> Result<(String, &str), MapError> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let after = text[at + 1..].trim_start();
                let ends = after.is_empty() || after.starts_with(',');
                return if ends { Ok((value, after)) } else { Err(MapError::AfterQuote(number)) };
            }
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                Some((_, other)) => value.extend(['\\', other]),
                None => return Err(MapError::Unclosed(number)),
            },
            other => value.push(other),
        }
    }
    Err(MapError::Unclosed(number))
}

fn parse_document(text: &str) -> Result<Vec<(String, String)>, MapError> {
    // The crate's own messages can quote the text, which may be secret: a place and a reason of ours replace them.
    let options = serde_saphyr::options! { with_snippet: false };
    let document: Document = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location();
        MapError::Document {
            line: place.map_or(1, |place| place.line()),
            column: place.map_or(1, |place| place.column()),
            reason: reason(&error),
        }
    })?;
    Ok(document.0)
}

fn reason(error: &serde_saphyr::Error) -> &'static str {
    use serde_saphyr::Error;
    match error {
        Error::DuplicateMappingKey { .. } => "the key was there before",
        Error::NullIntoString { .. } => "a value is missing (write \"\" for an empty one)",
        Error::Eof { .. } => "the text ends too early",
        Error::MultipleDocuments { .. } => "a second document begins",
        Error::Unexpected { .. }
        | Error::SerdeInvalidType { .. }
        | Error::TaggedScalarCannotDeserializeIntoString { .. } => {
            "only `key: text` pairs may stand here (quote text that begins with { or [)"
        }
        Error::UnknownAnchor { .. } => "unknown anchor (quote text that begins with `*`)",
        // Not ours to list: the enum is open. Broken syntax is what remains.
        _ => "syntax error (quote text that contains any of {}[],:#&*!|>'\"%@)",
    }
}

/// A flat map, repeated keys and order kept.
struct Document(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Document;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Document(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(expected: &[(&str, &str)]) -> Result<Vec<(String, String)>, MapError> {
        Ok(expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn pairs_have_commas_between_them_and_quotes_where_a_comma_is_meant() {
        let cases: [(&str, &[(&str, &str)]); 9] = [
            ("k=v", &[("k", "v")]),
            ("k=v,k2=\"v,2\"", &[("k", "v"), ("k2", "v,2")]),
            (" a = 1 , b = \" 2 \" ", &[("a", "1"), ("b", " 2 ")]),
            ("a=b=c==", &[("a", "b=c==")]),
            ("a=", &[("a", "")]),
            ("a=,b=\"\"", &[("a", ""), ("b", "")]),
            (r#"a="x\"y\\z\n""#, &[("a", r#"x"y\z\n"#)]),
            ("a=it\"s", &[("a", "it\"s")]),
            ("a=ü,b={{hostname}}", &[("a", "ü"), ("b", "{{hostname}}")]),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_map(text), pairs(expected), "{text}");
        }
    }

    #[test]
    fn json_and_yaml_maps_are_read_as_text() {
        let cases: [(&str, &[(&str, &str)]); 6] = [
            (r#"{"a":"1","b":"x,\"y"}"#, &[("a", "1"), ("b", "x,\"y")]),
            ("{a: 1, b: true, c: 1.50}", &[("a", "1"), ("b", "true"), ("c", "1.50")]),
            ("a: 1\nb: 'two words'\n", &[("a", "1"), ("b", "two words")]),
            ("\n  a: x\n", &[("a", "x")]),
            ("{}", &[]),
            ("a: \"\"\nb: \"{{hostname}}\"\n# end\n", &[("a", ""), ("b", "{{hostname}}")]),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_map(text), pairs(expected), "{text}");
        }
    }

    #[test]
    fn broken_pairs_name_the_entry() {
        let cases = [
            ("k", MapError::NoEquals(1)),
            ("a=1,b", MapError::NoEquals(2)),
            ("a=1,", MapError::NoEquals(2)),
            ("a=1,,b=2", MapError::NoEquals(2)),
            ("=1", MapError::NoKey(1)),
            ("a=\"1", MapError::Unclosed(1)),
            ("a=\"1\\", MapError::Unclosed(1)),
            ("a=1,b=\"2\"3", MapError::AfterQuote(2)),
            ("a=1,b=2,a=3", MapError::Duplicate(3, 1)),
        ];
        for (text, error) in cases {
            assert_eq!(parse_map(text), Err(error), "{text}");
        }
    }

    #[test]
    fn broken_documents_name_line_and_column() {
        let cases = [
            ("{a: 1", 1),
            ("a: 1\nb\n", 2),
            ("a: 1\na: 2\n", 2),
            ("a: 1\nb:\n  c: 2\n", 3),
            ("a: 1\nb:\n", 2),
            ("- a\n- b\n", 1),
            ("{a: {{hostname}}}", 1),
            ("a: *x\nb: 1\n", 1),
            ("a: 1\n---\nb: 1\n", 2),
        ];
        for (text, expected) in cases {
            match parse_map(text) {
                Err(MapError::Document { line, column, .. }) => {
                    assert!(line >= expected && column >= 1, "{text:?}: line {line}, column {column}");
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn no_error_shows_a_part_of_the_text() {
        for text in [
            "MARK",
            "a=\"MARK",
            "a=\"MARK\"MARK",
            "{a: MARK",
            "{a: MARK: b}",
            "a: MARK\nb: *MARK\n",
            "a: !MARK {}\nb: 1",
            "a: 1\nMARK\n",
            "MARK: 1\nMARK: 2\n",
            "a: \"\\MARK\"\n\n",
            "- MARK\n- b",
            "a: &MARK\n  MARK: 1\n",
        ] {
            let error = parse_map(text).expect_err(text);
            assert!(!format!("{error} {error:?}").contains("MARK"), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn quoted_values_come_back_whole(values in prop::collection::vec("[^\\r\\n{]{0,12}", 1..5)) {
            let text: Vec<_> = values.iter().enumerate().map(|(at, value)| {
                format!("k{at}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
            }).collect();
            let read = parse_map(&text.join(",")).unwrap();
            let read: Vec<_> = read.into_iter().map(|(_, value)| value).collect();
            prop_assert_eq!(read, values);
        }

        #[test]
        fn no_text_panics(text in "[a-c={}\\[\\]:,\"\\\\\\n *&!-]{0,24}") {
            let _ = parse_map(&text);
        }
    }
}
