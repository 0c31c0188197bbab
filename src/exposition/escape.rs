use std::borrow::Cow;

/// Undoes `\\`, `\"` and `\n` of names and label values; any other backslash stays as it is (remote-write 4.20).
pub(super) fn unescape_quoted(text: &str) -> Cow<'_, str> {
    unescape(text, true)
}

/// Undoes `\\` and `\n` of a help text; any other backslash stays as it is (remote-write 4.20).
pub(super) fn unescape_help(text: &str) -> Cow<'_, str> {
    unescape(text, false)
}

fn unescape(text: &str, quotes: bool) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', text.as_bytes()) else {
        return Cow::Borrowed(text);
    };
    let mut plain = String::with_capacity(text.len());
    let (head, mut rest) = text.split_at(first);
    plain.push_str(head);
    while let Some(after) = rest.strip_prefix('\\') {
        let (character, taken) = match after.as_bytes().first() {
            Some(b'\\') => ('\\', 1),
            Some(b'n') => ('\n', 1),
            Some(b'"') if quotes => ('"', 1),
            Some(_) | None => ('\\', 0),
        };
        plain.push(character);
        let after = &after[taken..];
        let (until, next) = after.split_at(memchr::memchr(b'\\', after.as_bytes()).unwrap_or(after.len()));
        plain.push_str(until);
        rest = next;
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rw_4_20_three_escapes_of_label_values_and_the_rest_verbatim() {
        let cases = [
            ("", ""),
            ("plain", "plain"),
            (r"C:\\DIR", r"C:\DIR"),
            (r"a\nb", "a\nb"),
            (r#"\"x\""#, "\"x\""),
            (r"\t\x\é", r"\t\x\é"),
            (r"\\n", r"\n"),
            (r"\\\n", "\\\n"),
            (r"end\", r"end\"),
        ];
        for (escaped, plain) in cases {
            assert_eq!(unescape_quoted(escaped), plain, "{escaped}");
        }
    }

    #[test]
    fn rw_4_20_a_help_text_keeps_an_escaped_quote() {
        assert_eq!(unescape_help(r#"a \"b\" \\ \n c"#), "a \\\"b\\\" \\ \n c");
    }

    #[test]
    fn nothing_is_copied_where_nothing_is_escaped() {
        assert!(matches!(unescape_quoted("x"), Cow::Borrowed("x")));
    }
}
