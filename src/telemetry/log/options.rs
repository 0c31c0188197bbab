use std::fmt;
use std::str::FromStr;

/// `LOG_LEVEL`: the least important lines that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For who looks for a bug.
    Debug,
    /// What the program does, a few lines an hour.
    #[default]
    Info,
    /// Something is not as it should be; it goes on by itself.
    Warn,
    /// Somebody has to act.
    Error,
}

/// `LOG_FORMAT`: how a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `time=... level=info room=remote msg="..." key=value`
    #[default]
    Logfmt,
    /// One JSON object with the same keys.
    Json,
}

/// The settings of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// `LOG_LEVEL`
    pub level: Level,
    /// `LOG_FORMAT`
    pub format: Format,
}

/// The text is none of the allowed words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of {allowed}")]
pub struct UnknownWord {
    /// The words, as a sentence shows them.
    pub allowed: &'static str,
}

impl Level {
    /// As the line shows it and as `LOG_LEVEL` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl Format {
    /// As `LOG_FORMAT` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logfmt => "logfmt",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Upper and lower case are the same.
impl FromStr for Level {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Debug, Self::Info, Self::Warn, Self::Error]
            .into_iter()
            .find(|level| text.eq_ignore_ascii_case(level.name()))
            .ok_or(UnknownWord { allowed: "debug, info, warn, error" })
    }
}

/// Upper and lower case are the same.
impl FromStr for Format {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Logfmt, Self::Json]
            .into_iter()
            .find(|format| text.eq_ignore_ascii_case(format.name()))
            .ok_or(UnknownWord { allowed: "logfmt, json" })
    }
}

/// There is no setting for `TRACE`; such an event counts as `debug`.
impl From<&tracing::Level> for Level {
    fn from(level: &tracing::Level) -> Self {
        match *level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Info,
            tracing::Level::DEBUG | tracing::Level::TRACE => Self::Debug,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_case_and_an_unknown_one_is_told_what_is_allowed() {
        assert_eq!("WARN".parse(), Ok(Level::Warn));
        assert_eq!("Json".parse(), Ok(Format::Json));
        let level = "loud".parse::<Level>().unwrap_err();
        assert_eq!(level.to_string(), "not one of debug, info, warn, error");
        let format = "".parse::<Format>().unwrap_err();
        assert_eq!(format.to_string(), "not one of logfmt, json");
    }
}
