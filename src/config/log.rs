//! `LOG_*`.

use super::Mode;
use super::reader::Reader;
use super::strings::Strings;

/// `LOG_LEVEL` and `LOG_FORMAT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// The least important lines that are logged.
    pub level: LogLevel,
    /// The form of a line.
    pub format: LogFormat,
}

/// `LOG_LEVEL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What happens.
    #[default]
    Info,
    /// What may need somebody.
    Warn,
    /// What needs somebody.
    Error,
}

/// `LOG_FORMAT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `key=value`
    #[default]
    Logfmt,
    /// One object for each line.
    Json,
}

/// `LOG_LEVEL` and `LOG_FORMAT` alone, so that problems with the settings can be logged as asked for. What cannot be read is
/// the default here, and a problem of [`super::Config::from_env`].
#[must_use]
pub fn log_from_env(env: &impl Strings) -> LogConfig {
    read(&mut Reader::new(env, Mode::Run)).unwrap_or_default()
}

/// `None` only beside a problem.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<LogConfig> {
    let levels = [
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("warn", LogLevel::Warn),
        ("error", LogLevel::Error),
    ];
    let level = reader.choice("LOG_LEVEL", &levels, &[]);
    let formats = [("logfmt", LogFormat::Logfmt), ("json", LogFormat::Json)];
    let format = reader.choice("LOG_FORMAT", &formats, &[]);
    Some(LogConfig { level: level?, format: format? })
}
