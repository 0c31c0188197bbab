//! Which format a Content-Type names. The whole header has to be well-formed before its media type counts (remote-write 4.10), as Go's mime
//! package has it for Prometheus; the parameters, the version among them, are then not looked at (remote-write 4.11).

use crate::exposition::Format;

/// What a Content-Type says; `None` where it is missing, malformed, or nothing that Prometheus knows. Whether it was asked for does not
/// matter.
pub(super) fn format_of(content_type: &str) -> Option<Format> {
    let (media_type, parameters) = match content_type.find(';') {
        Some(at) => content_type.split_at(at),
        None => (content_type, ""),
    };
    if !well_formed(parameters) {
        return None;
    }
    match media_type.trim().to_ascii_lowercase().as_str() {
        "text/plain" => Some(Format::Text),
        "application/openmetrics-text" => Some(Format::OpenMetrics),
        "application/vnd.google.protobuf" => Some(Format::Protobuf),
        _ => None,
    }
}

/// `; name=value` any number of times, no name with two values; a semicolon at the end is forgiven.
fn well_formed(parameters: &str) -> bool {
    let mut seen: Vec<(String, &str)> = Vec::new();
    let mut rest = parameters.trim();
    while !rest.is_empty() && rest != ";" {
        let Some((name, value, behind)) = parameter(rest) else { return false };
        let name = name.to_ascii_lowercase();
        if seen.iter().any(|(known, other)| *known == name && *other != value) {
            return false;
        }
        seen.push((name, value));
        rest = behind.trim_start();
    }
    true
}

/// Name, value and what is behind them.
fn parameter(text: &str) -> Option<(&str, &str, &str)> {
    let text = text.strip_prefix(';')?.trim_start();
    let (name, text) = token(text)?;
    let text = text.trim_start().strip_prefix('=')?.trim_start();
    let (value, text) = if text.starts_with('"') { quoted(text) } else { token(text) }?;
    Some((name, value, text))
}

fn token(text: &str) -> Option<(&str, &str)> {
    let in_token = |byte: u8| byte.is_ascii_graphic() && !br#"()<>@,;:\"/[]?="#.contains(&byte);
    let length = text.bytes().position(|byte| !in_token(byte)).unwrap_or(text.len());
    (length > 0).then(|| text.split_at(length))
}

/// With its quotes.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        end
    })?;
    Some(text.split_at(end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rw_4_11_the_media_type_alone_chooses_the_parser() {
        for text in [
            "text/plain; version=0.0.4; charset=utf-8",
            "TEXT/plain;version=9",
            "text/plain",
            " text/plain ; a = b ; ",
            "text/plain; a=\"; b\\\"\"; a=\"; b\\\"\"",
        ] {
            assert_eq!(format_of(text), Some(Format::Text), "{text}");
        }
        let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(format_of(openmetrics), Some(Format::OpenMetrics));
        assert_eq!(format_of("application/vnd.google.protobuf"), Some(Format::Protobuf));
        assert_eq!(format_of("text/html"), None);
        assert_eq!(format_of(""), None);
    }

    #[test]
    fn rw_4_10_what_is_malformed_anywhere_names_no_format() {
        for parameters in [
            ";a",
            ";=b",
            ";a=",
            ";a=b c",
            ";a=b,c",
            ";;",
            "; ;a=b",
            ";a=\"b",
            ";a=\"b\\\"",
            ";a=\"b\"c",
            ";a=b;A=c",
            ";a/b=c",
        ] {
            for media_type in ["text/plain", "application/openmetrics-text"] {
                let text = format!("{media_type}{parameters}");
                assert_eq!(format_of(&text), None, "{text}");
            }
        }
    }
}
