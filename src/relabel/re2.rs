//! RE2's syntax, as Go's `regexp` reads it, to the syntax of the `regex` crate.
//!
//! Both match in linear time and prefer the same match, but the same text can mean different things: `\d`, `\w`, `\s` and `\b`
//! are ASCII in RE2; `[a[b]`, `[a&&b]` and `\<` are plain characters there; `{` that counts nothing is a brace. So every literal is written
//! anew, escaped, every class is written anew as ranges, and what RE2 refuses is refused.
//!
//! What still differs, each a pattern that one side refuses and none that both read differently:
//! - RE2 limits nested counts to a product of 1,000; the crate limits the compiled size to 10 MiB.
//! - The crate also knows longer names of Unicode properties (`\p{Alphabetic}`).
//! - The crate refuses a group whose name begins with a digit or comes twice, a flag that is given twice, a repetition right after flags
//!   (`a(?i)*`), and code points that are halves of a surrogate pair.

use std::fmt::Write;

/// The largest count that RE2 takes in `{n,m}`.
const MAX_COUNT: u32 = 1000;

/// RE2's names inside `[[:name:]]`; `^` before one negates it.
const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// The same pattern for the `regex` crate.
///
/// # Errors
/// What RE2 would refuse, as the end of a sentence. Errors that both dialects share (an open group) are left to the crate.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut scanner = Scanner { rest: pattern, out: String::with_capacity(pattern.len()) };
    let mut last_operator = None;
    while let Some(character) = scanner.rest.chars().next() {
        let from = scanner.rest;
        let operator = match character {
            '\\' => {
                scanner.escape()?;
                false
            }
            '[' => {
                scanner.class()?;
                false
            }
            '(' => {
                scanner.group()?;
                false
            }
            '*' | '+' | '?' => {
                scanner.copy(1);
                true
            }
            '{' => scanner.count()?,
            '.' | '^' | '$' | '|' | ')' => {
                scanner.copy(1);
                false
            }
            literal => {
                scanner.skip(literal.len_utf8());
                scanner.literal(literal);
                false
            }
        };
        if operator && scanner.rest.starts_with('?') {
            scanner.copy(1);
        }
        last_operator = match (operator, last_operator) {
            (true, Some(before)) => {
                return Err(format!("repeats a repetition: {}", consumed(before, scanner.rest)));
            }
            (true, None) => Some(from),
            (false, _) => None,
        };
    }
    Ok(scanner.out)
}

/// The part of `from` that is no longer in `rest`, its tail.
fn consumed<'a>(from: &'a str, rest: &str) -> &'a str {
    &from[..from.len() - rest.len()]
}

struct Scanner<'a> {
    rest: &'a str,
    out: String,
}

impl<'a> Scanner<'a> {
    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn copy(&mut self, bytes: usize) {
        self.out.push_str(&self.rest[..bytes]);
        self.skip(bytes);
    }

    fn literal(&mut self, character: char) {
        self.out.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
    }

    /// `{n}`, `{n,}` or `{n,m}`; whether it was one, and no mere brace.
    fn count(&mut self) -> Result<bool, String> {
        let Some((least, most, length)) = counts(self.rest) else {
            self.skip(1);
            self.literal('{');
            return Ok(false);
        };
        if least > MAX_COUNT || most.is_some_and(|most| most > MAX_COUNT || most < least) {
            return Err(format!(
                "has a count that is not allowed: {} (up to {MAX_COUNT})",
                &self.rest[..length]
            ));
        }
        self.copy(length);
        Ok(true)
    }

    /// `(`, `(?P<name>`, `(?<name>`, `(?flags)` or `(?flags:`.
    fn group(&mut self) -> Result<(), String> {
        let Some(inside) = self.rest.strip_prefix("(?") else {
            self.copy(1);
            return Ok(());
        };
        if let Some(named) = inside.strip_prefix("P<").or_else(|| inside.strip_prefix('<')) {
            let name = named.split_once('>').map_or("", |(name, _)| name);
            if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
                return Err("has a group whose name is not made of letters, digits and _".to_owned());
            }
            let end = self.rest.len() - named.len() + name.len() + 1;
            self.copy(end);
            return Ok(());
        }
        let length = inside.find([':', ')']).unwrap_or(inside.len());
        let flags = &inside[..length];
        let known = flags.chars().all(|flag| "imsU-".contains(flag));
        if !known || flags.ends_with('-') || flags.matches('-').count() > 1 || length == inside.len() {
            let shown: String = self.rest.chars().take(4).collect();
            return Err(format!("has a group that RE2 does not know: {shown} (flags are i, m, s and U)"));
        }
        match &inside[..=length] {
            ")" => self.skip("(?)".len()),
            _ => self.copy("(?".len() + length + 1),
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), String> {
        if let Some(quoted) = self.rest.strip_prefix(r"\Q") {
            let (text, rest) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            text.chars().for_each(|character| self.literal(character));
            self.rest = rest;
            return Ok(());
        }
        match self.rest.as_bytes().get(1) {
            Some(b'A' | b'z') => self.copy(2),
            Some(b'b' | b'B') => {
                let _ = write!(self.out, "(?-u:{})", &self.rest[..2]);
                self.skip(2);
            }
            _ => {
                if !self.character_class()? {
                    let character = self.escaped_character()?;
                    self.literal(character);
                }
            }
        }
        Ok(())
    }

    /// `\d` and its kind, `\pL` and `\p{Name}`: the same inside brackets and outside. Whether it was one.
    fn character_class(&mut self) -> Result<bool, String> {
        let mut characters = self.rest.chars().skip(1);
        let class = match characters.next() {
            Some('d') => "[0-9]",
            Some('D') => "[^0-9]",
            Some('s') => r"[\t\n\x0c\r ]",
            Some('S') => r"[^\t\n\x0c\r ]",
            Some('w') => "[0-9A-Za-z_]",
            Some('W') => "[^0-9A-Za-z_]",
            Some(letter @ ('p' | 'P')) => {
                let (name, length) = match characters.next() {
                    Some('{') => self.rest[3..].split_once('}').map(|(name, _)| (name, 4 + name.len())),
                    Some(letter) => {
                        let end = 2 + letter.len_utf8();
                        Some((&self.rest[2..end], end))
                    }
                    None => None,
                }
                .ok_or("has an open \\p")?;
                let (name, negated) = match name.strip_prefix('^') {
                    Some(name) => (name, letter == 'p'),
                    None => (name, letter == 'P'),
                };
                if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphabetic()) {
                    return Err(format!("has a class that is not known: {}", &self.rest[..length]));
                }
                let _ = write!(self.out, "\\{}{{{name}}}", if negated { 'P' } else { 'p' });
                self.skip(length);
                return Ok(true);
            }
            _ => return Ok(false),
        };
        self.out.push_str(class);
        self.skip(2);
        Ok(true)
    }

    /// An escape that stands for one character, inside brackets or outside.
    fn escaped_character(&mut self) -> Result<char, String> {
        let from = self.rest;
        let refused = |length: usize| {
            let shown: String = from.chars().take(length).collect();
            format!("has an escape that RE2 does not know: {shown}")
        };
        let escaped = from.chars().nth(1).ok_or("ends with a backslash")?;
        self.skip(1 + escaped.len_utf8());
        match escaped {
            'a' => Ok('\x07'),
            'f' => Ok('\x0c'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\x0b'),
            'x' => {
                let (digits, length) = match self.rest.strip_prefix('{') {
                    Some(inside) => {
                        let digits = inside.split_once('}').map_or("", |(digits, _)| digits);
                        (digits, digits.len() + 2)
                    }
                    None => (self.rest.get(..2).unwrap_or_default(), 2),
                };
                let hexadecimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                let code = u32::from_str_radix(digits, 16).ok().filter(|_| hexadecimal);
                let character = code.and_then(char::from_u32).ok_or_else(|| refused(4))?;
                self.skip(length);
                Ok(character)
            }
            // An octal number; `\1` to `\7` alone would be a backreference, which RE2 has not.
            '0'..='7' => {
                let octal = |byte: &u8| (b'0'..=b'7').contains(byte);
                let more = self.rest.bytes().take(2).take_while(octal).count();
                if escaped != '0' && more == 0 {
                    return Err(refused(2));
                }
                let code = u32::from_str_radix(&from[1..2 + more], 8).ok();
                self.skip(more);
                code.and_then(char::from_u32).ok_or_else(|| refused(4))
            }
            punctuation if punctuation.is_ascii() && !punctuation.is_ascii_alphanumeric() => Ok(punctuation),
            _ => Err(refused(2)),
        }
    }

    /// `[...]`.
    fn class(&mut self) -> Result<(), String> {
        self.copy(1);
        if self.rest.starts_with('^') {
            self.copy(1);
        }
        // `]` is a character where it comes first, `-` everywhere but between two characters.
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            if let Some(name) = self.posix_name() {
                if !POSIX_CLASSES.contains(&name.trim_start_matches('^')) || name.starts_with("^^") {
                    return Err(format!("has a class that is not known: [:{name}:]"));
                }
                self.copy(name.len() + "[::]".len());
            } else if !(self.rest.starts_with('\\') && self.character_class()?) {
                let low = self.class_character()?;
                let range = self.rest.len() > 1 && self.rest.starts_with('-') && !self.rest.starts_with("-]");
                let high = if range {
                    self.skip(1);
                    self.class_character()?
                } else {
                    low
                };
                if high < low {
                    return Err(format!("has a range that goes backwards: {low}-{high}"));
                }
                let _ = write!(self.out, "\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high));
            }
        }
        self.copy(1);
        Ok(())
    }

    fn class_character(&mut self) -> Result<char, String> {
        match self.rest.chars().next() {
            Some('\\') => self.escaped_character(),
            Some(character) => {
                self.skip(character.len_utf8());
                Ok(character)
            }
            None => Err("has an open [".to_owned()),
        }
    }

    /// The name where `[:name:]` follows.
    fn posix_name(&self) -> Option<&'a str> {
        self.rest.strip_prefix("[:")?.split_once(":]").map(|(name, _)| name)
    }
}

/// Least, most and length of a count at the start of `text`.
fn counts(text: &str) -> Option<(u32, Option<u32>, usize)> {
    let inside = text.strip_prefix('{')?;
    let (inside, _) = inside.split_once('}')?;
    let length = inside.len() + "{}".len();
    match inside.split_once(',') {
        None => number(inside).map(|count| (count, Some(count), length)),
        Some((least, "")) => number(least).map(|least| (least, None, length)),
        Some((least, most)) => Some((number(least)?, Some(number(most)?), length)),
    }
}

/// Digits without a leading zero; what is too large for the type is too large anyway.
fn number(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let padded = digits.len() > 1 && digits.starts_with('0');
    (plain && !padded).then(|| digits.parse().unwrap_or(u32::MAX))
}
