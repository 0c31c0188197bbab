//! `LOG_*`, and what else has to be known before all settings are.

use super::Mode;
use super::reader::Reader;
use super::strings::Strings;
use crate::telemetry::log::{Format, Level, LogConfig};

/// `LOG_LEVEL` and `LOG_FORMAT` alone, so that problems with the settings can be logged as asked for. What cannot be read is
/// the default here, and a problem of [`super::Config::from_env`].
#[must_use]
pub fn log_from_env(env: &impl Strings) -> LogConfig {
    read(&mut Reader::new(env, Mode::Run)).unwrap_or_default()
}

/// `SANDBOX` alone: it is needed before the other settings are looked at. What cannot be read is `on` here, and a problem of
/// [`super::Config::from_env`].
#[must_use]
pub fn sandbox_from_env(env: &impl Strings) -> bool {
    Reader::new(env, Mode::Run).boolean("SANDBOX").unwrap_or(true)
}

/// `None` only beside a problem.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<LogConfig> {
    let levels =
        [("debug", Level::Debug), ("info", Level::Info), ("warn", Level::Warn), ("error", Level::Error)];
    let level = reader.choice("LOG_LEVEL", &levels, &[]);
    let formats = [("logfmt", Format::Logfmt), ("json", Format::Json)];
    let format = reader.choice("LOG_FORMAT", &formats, &[]);
    Some(LogConfig { level: level?, format: format? })
}
