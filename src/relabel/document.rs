//! The YAML list as it is written: every field with its place, and whether it was there.

use serde::{Deserialize, Deserializer};
use serde_saphyr::{Error, Spanned};

use super::CompileError;

/// One rule as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    #[serde(default, deserialize_with = "given")]
    pub(super) source_labels: Field<Vec<Spanned<String>>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) separator: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) target_label: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) regex: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) modulus: Field<u64>,
    #[serde(default, deserialize_with = "given")]
    pub(super) replacement: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) action: Field<String>,
}

/// Outer `None`: the field is not there, so its default holds. Inner `None`: it is there with null, which is its type's zero, as in
/// Prometheus: `separator:` joins with nothing.
pub(super) type Field<T> = Option<Spanned<Option<T>>>;

fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Field<T>, D::Error> {
    Spanned::deserialize(deserializer).map(Some)
}

/// A rule and its place; `None` for null.
pub(super) type Placed = Spanned<Option<RawRule>>;

/// # Errors
/// The first thing that is no YAML, or no list of rules.
pub(super) fn read(yaml: &str) -> Result<Vec<Placed>, CompileError> {
    let options = serde_saphyr::options! { with_snippet: false };
    let rules: Option<Vec<Placed>> = serde_saphyr::from_str_with_options(yaml, options).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
        CompileError { line, column, reason: reason(&error) }
    })?;
    Ok(rules.unwrap_or_default())
}

/// The crate's words, without the place, which is told once; where they speak to programmers, ours.
fn reason(error: &Error) -> String {
    match error {
        Error::MultipleDocuments { .. } => "a second document begins".to_owned(),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the field {key} was there before"),
        Error::DuplicateMappingKey { key: None, .. } => "the field was there before".to_owned(),
        Error::NullIntoString { .. } => "a text is missing".to_owned(),
        Error::Unexpected { expected: "sequence start", .. } => {
            "a list is expected here (the rules alone, without a key such as `metric_relabel_configs:` before them)"
                .to_owned()
        }
        Error::Unexpected { expected: "mapping start", .. } => "a rule is a map of fields".to_owned(),
        Error::Unexpected { expected: "string scalar", .. } => {
            "a text is expected here (quote text that begins with { or [)".to_owned()
        }
        Error::InvalidScalar { ty: "u64", .. } => "a whole number is expected here".to_owned(),
        // Not ours to list: the enum is open.
        other => {
            let text = other.to_string();
            let end = text.rfind(" at line ").unwrap_or(text.len());
            text[..end].to_owned()
        }
    }
}
