use std::fmt::{self, Write};

use super::clock::Rfc3339;
use super::options::{Format, Level};

/// The longest line, its line end included, in bytes. dockerd's reader gives up for good at 64 KiB (docker-plugin 9).
pub const MAX_LINE_BYTES: usize = 8 * 1024;

/// Kept free for what follows a cut value: the mark, the quotes, `truncated`, the end of the line.
const RESERVE: usize = 64;
const CONTENT_BYTES: usize = MAX_LINE_BYTES - RESERVE;

/// Stands where a value was cut.
const CUT: char = '…';

/// Keys that every line has; a field of the same name gets an underscore.
const OWN_KEYS: [&str; 5] = ["time", "level", "room", "msg", "truncated"];

/// One line on its way. Whatever a value contains, the result is one line of at most [`MAX_LINE_BYTES`].
#[derive(Debug)]
pub(super) struct Line {
    text: String,
    format: Format,
    cut: bool,
}

/// A line with its line end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) text: String,
    pub(super) truncated: bool,
}

impl Line {
    /// `at` is in ms since the epoch. The caller adds a message first, then fields.
    pub(super) fn new(format: Format, at: i64, level: Level, room: &str) -> Self {
        let mut line = Self { text: String::with_capacity(256), format, cut: false };
        if format == Format::Json {
            line.text.push('{');
        }
        line.value("time", format_args!("{}", Rfc3339(at)));
        line.value("level", format_args!("{level}"));
        line.value("room", format_args!("{room}"));
        line
    }

    /// What happened: the event's own words, quoted in either format.
    pub(super) fn message(&mut self, text: fmt::Arguments<'_>) {
        if self.key("msg").is_some() {
            self.quoted(text);
        }
    }

    /// A field whose value is text.
    pub(super) fn field(&mut self, name: &str, text: fmt::Arguments<'_>) {
        if OWN_KEYS.contains(&name) {
            self.value(&format!("{name}_"), text);
        } else {
            self.value(name, text);
        }
    }

    /// A field whose value is a finite number or a truth value: bare in either format, and never cut.
    pub(super) fn plain(&mut self, name: &str, value: fmt::Arguments<'_>) {
        let value = value.to_string();
        if self.text.len() + name.len() + value.len() + 5 > CONTENT_BYTES {
            self.cut = true;
        } else if self.key(name).is_some() {
            self.text.push_str(&value);
        }
    }

    /// Ends the line.
    pub(super) fn finish(mut self) -> Finished {
        match (self.format, self.cut) {
            (Format::Logfmt, false) => self.text.push('\n'),
            (Format::Logfmt, true) => self.text.push_str(" truncated=true\n"),
            (Format::Json, false) => self.text.push_str("}\n"),
            (Format::Json, true) => self.text.push_str(",\"truncated\":true}\n"),
        }
        Finished { text: self.text, truncated: self.cut }
    }

    fn value(&mut self, name: &str, text: fmt::Arguments<'_>) {
        let Some(start) = self.key(name) else { return };
        match self.format {
            Format::Json => self.quoted(text),
            Format::Logfmt => {
                let plain = self.escape(text);
                if !plain || self.text.len() == start {
                    self.text.insert(start, '"');
                    self.text.push('"');
                }
            }
        }
    }

    fn quoted(&mut self, text: fmt::Arguments<'_>) {
        self.text.push('"');
        self.escape(text);
        self.text.push('"');
    }

    /// Writes the key if there is room for it; returns where its value begins.
    fn key(&mut self, name: &str) -> Option<usize> {
        if self.cut || self.text.len() + name.len() + 5 > CONTENT_BYTES {
            self.cut = true;
            return None;
        }
        let separator = match self.format {
            Format::Logfmt if self.text.is_empty() => "",
            Format::Logfmt => " ",
            Format::Json if self.text.len() == 1 => "\"",
            Format::Json => ",\"",
        };
        self.text.push_str(separator);
        let unfit = |c: char| !c.is_ascii_graphic() || matches!(c, '"' | '=' | '\\');
        self.text.extend(name.chars().map(|c| if unfit(c) { '_' } else { c }));
        self.text.push_str(match self.format {
            Format::Logfmt => "=",
            Format::Json => "\":",
        });
        Some(self.text.len())
    }

    /// Appends the value, escaped; returns whether it needs no quotes in logfmt.
    fn escape(&mut self, text: fmt::Arguments<'_>) -> bool {
        let mut escape = Escape { text: &mut self.text, plain: true, full: false };
        // An error is our own "full", or a foreign Display's, whose text ends where it stopped.
        let _ = escape.write_fmt(text);
        let (plain, full) = (escape.plain, escape.full);
        if full {
            self.text.push(CUT);
            self.cut = true;
        }
        plain && !full
    }
}

/// Takes formatted text until the line is full, so that a value of a megabyte is never built.
struct Escape<'a> {
    text: &'a mut String,
    plain: bool,
    full: bool,
}

impl Write for Escape<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for c in part.chars() {
            let room = CONTENT_BYTES.saturating_sub(self.text.len());
            // `\u2028` is the longest escape: six bytes.
            if room < 6 {
                self.full = true;
                return Err(fmt::Error);
            }
            self.plain &= c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '=');
            match c {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                // The line and paragraph separators end a line for some readers; the others are a terminal's commands.
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                    write!(self.text, "\\u{:04x}", u32::from(c))?;
                }
                c => self.text.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_787_493_909_007;

    fn example(format: Format) -> Finished {
        let mut line = Line::new(format, AT, Level::Warn, "remote");
        line.message(format_args!("request failed, trying again"));
        line.field("endpoint", format_args!("default"));
        line.field("error", format_args!("said \"no\"\nand left\u{1b}[0m"));
        line.field("url", format_args!("http://h/p?a=b"));
        line.field("empty", format_args!(""));
        line.plain("attempt", format_args!("3"));
        line.plain("held", format_args!("false"));
        line.field("room", format_args!("kitchen"));
        line.finish()
    }

    #[test]
    fn logfmt_golden_line() {
        assert_eq!(
            example(Format::Logfmt).text,
            concat!(
                "time=2026-08-23T14:05:09.007Z level=warn room=remote msg=\"request failed, trying again\" endpoint=default ",
                r#"error="said \"no\"\nand left\u001b[0m" url="http://h/p?a=b" empty="" attempt=3 held=false room_=kitchen"#,
                "\n"
            )
        );
    }

    #[test]
    fn json_golden_line() {
        assert_eq!(
            example(Format::Json).text,
            concat!(
                r#"{"time":"2026-08-23T14:05:09.007Z","level":"warn","room":"remote","msg":"request failed, trying again","#,
                r#""endpoint":"default","error":"said \"no\"\nand left\u001b[0m","url":"http://h/p?a=b","empty":"","#,
                r#""attempt":3,"held":false,"room_":"kitchen"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn any_text_comes_back_from_json_and_is_one_line() {
        let texts = ["", "\0\u{7f}\u{85}\u{2028}\u{2029}", "ünï\r\ncode 🐳", "\\\"\\n", "a\tb"];
        for text in texts {
            let mut line = Line::new(Format::Json, AT, Level::Info, "app");
            line.message(format_args!("{text}"));
            line.field("a key", format_args!("{text}"));
            let Finished { text: written, truncated } = line.finish();
            let value: serde_json::Value = serde_json::from_str(&written).unwrap();
            assert_eq!((value["msg"].as_str(), value["a_key"].as_str()), (Some(text), Some(text)));
            assert_eq!((written.lines().count(), truncated), (1, false));
        }
    }

    #[test]
    fn a_megabyte_is_cut_and_the_line_stays_whole() {
        for fill in ["x", "\n", "\u{2028}", "🐳", "\""] {
            for format in [Format::Logfmt, Format::Json] {
                let mut line = Line::new(format, AT, Level::Info, "app");
                line.message(format_args!("short"));
                line.field("long", format_args!("{}", fill.repeat(1 << 20)));
                line.field("late", format_args!("1"));
                line.plain("count", format_args!("1"));
                let Finished { text, truncated } = line.finish();
                assert!(truncated && text.len() <= MAX_LINE_BYTES && text.len() > MAX_LINE_BYTES - 128);
                assert_eq!(text.matches('\n').count(), 1);
                match format {
                    Format::Logfmt => assert!(text.ends_with("…\" truncated=true\n"), "{text}"),
                    Format::Json => {
                        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                        assert_eq!(value["truncated"], true);
                        assert_eq!(value["late"], serde_json::Value::Null);
                        assert!(value["long"].as_str().unwrap().ends_with(CUT));
                    }
                }
            }
        }
    }

    #[test]
    fn fields_without_end_stop_at_the_limit() {
        for format in [Format::Logfmt, Format::Json] {
            let mut line = Line::new(format, AT, Level::Info, "app");
            line.message(format_args!("many"));
            for n in 0..10_000 {
                line.plain(&format!("number_{n}"), format_args!("{n}"));
            }
            let Finished { text, truncated } = line.finish();
            assert!(truncated && text.len() <= MAX_LINE_BYTES);
            if format == Format::Json {
                serde_json::from_str::<serde_json::Value>(&text).unwrap();
            }
        }
    }
}
