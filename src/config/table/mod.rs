//! The one table of settings: it drives parsing, the `settings` command, both manifests and the README.

mod render;
mod settings;
mod shapes;

use std::fmt;
use std::time::Duration;

use super::values::{show_duration, show_size};

pub use render::{render_markdown, render_text};
pub use settings::SETTINGS;

/// One setting: the name of an environment variable and everything that is said about it anywhere.
#[derive(Clone, Debug)]
pub struct Setting {
    /// `[A-Z0-9_]` only: dockerd takes what follows a dot for a field's name.
    pub name: &'static str,
    /// Where it stands in the table.
    pub group: Group,
    /// What is allowed.
    pub kind: Kind,
    /// What an empty value means.
    pub default: Default,
    /// Whether the value is kept out of every message.
    pub secret: bool,
    /// A value that is allowed.
    pub example: &'static str,
    /// One or two sentences.
    pub doc: &'static str,
}

impl Setting {
    /// The default as the table shows it.
    #[must_use]
    pub fn shown_default(&self) -> &'static str {
        match self.default {
            Default::Value(text) | Default::Told(text) => text,
            Default::Unset => "-",
        }
    }
}

/// What an empty value means. Defaults live in the binary, never in a manifest: `docker plugin upgrade` keeps the old
/// manifest's values (docker-plugin 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// This text, parsed like any other value.
    Value(&'static str),
    /// It depends; the text tells on what.
    Told(&'static str),
    /// Nothing at all.
    Unset,
}

/// The headings of the table, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Where samples are sent.
    Endpoint,
    /// Who we are to the endpoint.
    Authentication,
    /// `https://` only.
    Tls,
    /// Requests and retries.
    Sending,
    /// What is kept while the endpoint is away.
    Queue,
    /// Where samples come from.
    Scrape,
    /// What is written on every series.
    Labels,
    /// The process itself.
    Process,
}

impl Group {
    /// Every group, in the table's order.
    pub const ALL: [Self; 8] = [
        Self::Endpoint,
        Self::Authentication,
        Self::Tls,
        Self::Sending,
        Self::Queue,
        Self::Scrape,
        Self::Labels,
        Self::Process,
    ];

    /// The heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Endpoint => "Endpoint",
            Self::Authentication => "Authentication",
            Self::Tls => "TLS",
            Self::Sending => "Sending",
            Self::Queue => "Queue",
            Self::Scrape => "Scrape",
            Self::Labels => "Labels",
            Self::Process => "Process",
        }
    }
}

/// An inclusive range, with or without 0 as "off".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits<T> {
    /// Whether 0 is allowed although it is below `min`.
    pub zero: bool,
    /// The smallest value.
    pub min: T,
    /// The largest value.
    pub max: T,
}

impl<T: PartialOrd + std::default::Default> Limits<T> {
    /// Whether a value lies in the range or is the 0 that is allowed.
    pub fn contains(&self, value: &T) -> bool {
        (self.zero && *value == T::default()) || (*value >= self.min && *value <= self.max)
    }
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true`, `no`, `1`, ...
    Boolean,
    /// As Prometheus writes durations.
    Duration(Limits<Duration>),
    /// Bytes.
    Size(Limits<u64>),
    /// A whole number.
    Count(Limits<u64>),
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Keys and values.
    Map,
    /// The path of a file or directory.
    Path,
    /// PEM text.
    Pem,
    /// Anything else; the text tells what is allowed.
    Text(&'static str),
}

const MAP: &str = "key=value pairs with commas between them (double quotes around a value with a comma), or a JSON or YAML map";

impl fmt::Display for Kind {
    /// What is allowed, for the end of a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let off = |zero: bool| if zero { "0 or " } else { "" };
        match self {
            Self::Boolean => f.write_str("true, false, 1, 0, yes, no, on or off"),
            Self::Duration(Limits { zero, min, max }) => {
                let (min, max) = (show_duration(*min), show_duration(*max));
                write!(f, "{}a duration from {min} to {max}", off(*zero))
            }
            Self::Size(Limits { zero, min, max }) => {
                write!(f, "{}a size from {} to {}", off(*zero), show_size(*min), show_size(*max))
            }
            Self::Count(Limits { zero, min, max }) => {
                write!(f, "{}a whole number from {min} to {max}", off(*zero))
            }
            Self::Choice([]) => f.write_str("nothing"),
            Self::Choice([only]) => f.write_str(only),
            Self::Choice([first @ .., last]) => write!(f, "{} or {last}", first.join(", ")),
            Self::Map => f.write_str(MAP),
            Self::Path => f.write_str("a path"),
            Self::Pem => f.write_str("PEM text with its line ends"),
            Self::Text(allowed) => f.write_str(allowed),
        }
    }
}

/// The setting of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}
