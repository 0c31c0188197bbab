use std::fmt::{self, Debug, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::line::{Line, MAX_LINE_BYTES};
use super::options::{Level, LogConfig};
use super::queue::Lines;
use super::storm::Key;
use crate::model::now_ms;

/// The crate's own targets begin with its name.
const CRATE: &str = env!("CARGO_CRATE_NAME");
/// The field that tracing puts an event's words into.
const MESSAGE: &str = "message";

/// Turns tracing events into queued lines. Spans are not used and cost nothing.
#[derive(Debug)]
pub struct LogLayer {
    level: Level,
    lines: Arc<Lines>,
}

impl LogLayer {
    pub(super) fn new(config: LogConfig, lines: Arc<Lines>) -> Self {
        Self { level: config.level, lines }
    }

    fn write(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let level = Level::from(metadata.level());
        let room = Origin::of(metadata.target()).name();
        let mut message = Message(String::new());
        event.record(&mut message);
        let key = Key { callsite: metadata.callsite(), message: message.0.clone() };
        if self.lines.admit(key, level, room) {
            let mut line = Line::new(self.lines.format(), now_ms(), level, room);
            line.message(format_args!("{}", message.0));
            event.record(&mut Fields(&mut line));
            self.lines.push(line.finish());
        }
    }

    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        let least = match Origin::of(metadata.target()) {
            Origin::Ours(_) => self.level,
            // hyper, reqwest, rustls: their everyday life is nobody's business here.
            Origin::Foreign(_) => self.level.max(Level::Warn),
        };
        metadata.is_event() && Level::from(metadata.level()) >= least
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.takes(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.takes(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.level {
            Level::Debug => LevelFilter::TRACE,
            Level::Info => LevelFilter::INFO,
            Level::Warn => LevelFilter::WARN,
            Level::Error => LevelFilter::ERROR,
        })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Values format themselves, foreign ones too; what is worth a line must not end whoever says it. Nothing of a line outlives its panic.
        if catch_unwind(AssertUnwindSafe(|| self.write(event))).is_err() {
            let metadata = event.metadata();
            let mut line = Line::new(self.lines.format(), now_ms(), Level::Error, "telemetry");
            line.message(format_args!("a line of the log is lost: its values panicked"));
            line.field("level", format_args!("{}", Level::from(metadata.level())));
            line.field("from", format_args!("{}", metadata.name()));
            self.lines.push(line.finish());
        }
    }
}

/// Who logs.
#[derive(Debug, PartialEq, Eq)]
enum Origin<'a> {
    /// One of our rooms.
    Ours(&'a str),
    /// Another crate.
    Foreign(&'a str),
}

impl<'a> Origin<'a> {
    fn of(target: &'a str) -> Self {
        let mut path = target.split("::");
        let head = path.next().unwrap_or_default();
        if head == CRATE { Self::Ours(path.next().unwrap_or("main")) } else { Self::Foreign(head) }
    }

    fn name(self) -> &'a str {
        match self {
            Self::Ours(name) | Self::Foreign(name) => name,
        }
    }
}

/// Collects the event's words, no more of them than a line can hold.
struct Message(String);

impl Write for Message {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = MAX_LINE_BYTES.saturating_sub(self.0.len());
        let fits = (0..=room.min(part.len())).rev().find(|end| part.is_char_boundary(*end)).unwrap_or(0);
        self.0.push_str(&part[..fits]);
        if fits < part.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == MESSAGE {
            // An error means that the line is full; the line says so itself.
            let _ = write!(self, "{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// Adds everything but the message.
struct Fields<'a>(&'a mut Line);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != MESSAGE {
            self.0.field(field.name(), format_args!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.0.plain(field.name(), format_args!("{value}"));
        } else {
            self.0.field(field.name(), format_args!("{value}"));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.plain(field.name(), format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.plain(field.name(), format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.plain(field.name(), format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_names_its_room_or_its_crate() {
        assert_eq!(Origin::of("docker_remote_write::remote::sender"), Origin::Ours("remote"));
        assert_eq!(Origin::of("docker_remote_write"), Origin::Ours("main"));
        assert_eq!(Origin::of("hyper_util::client::legacy"), Origin::Foreign("hyper_util"));
        assert_eq!(Origin::of("docker_remote_writer"), Origin::Foreign("docker_remote_writer"));
    }
}
