use std::panic::PanicHookInfo;
use std::thread;
use std::time::Duration;

use super::PROCESS;
use super::line::Line;
use super::options::{Format, Level};
use super::queue::{Lines, THREAD_NAME};
use crate::model::now_ms;

/// How long a dying process waits for its last line.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// From now on a panic is one log line with its place and its words, given at most 200 ms to leave. Release builds then abort, and dockerd starts
/// the plugin anew (docker-plugin 6). Before [`init`](super::init) a panic is printed as it always was.
pub fn install_panic_hook() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| match PROCESS.get() {
        // The writer cannot wait for itself.
        Some(lines) if thread::current().name() != Some(THREAD_NAME) => report(lines, info),
        Some(_) | None => usual(info),
    }));
}

fn report(lines: &Lines, info: &PanicHookInfo<'_>) {
    lines.push(line(lines.format(), info).finish());
    lines.flush(LAST_WORDS);
}

fn line(format: Format, info: &PanicHookInfo<'_>) -> Line {
    let mut line = Line::new(format, now_ms(), Level::Error, "main");
    let payload = info.payload();
    let words = payload.downcast_ref::<&str>().copied();
    let words = words.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    line.message(format_args!("panicked: {}", words.unwrap_or("without words")));
    if let Some(place) = info.location() {
        line.field("place", format_args!("{place}"));
    }
    line.field("thread", format_args!("{}", thread::current().name().unwrap_or("unnamed")));
    line
}
