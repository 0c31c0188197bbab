use std::panic::PanicHookInfo;
use std::thread;
use std::time::Duration;

use super::PROCESS;
use super::line::Line;
use super::options::{Format, Level};
use super::queue::{Lines, THREAD_NAME};
use crate::model::now_ms;

/// How long whoever panics waits for the line about it: the panic may go on to end the process.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// From now on a panic, on whatever thread, is one log line with its place, its words and the thread's name, given at most 200 ms to leave. What
/// becomes of the thread is its owner's business. Before [`init`](super::init), and where the panic itself is in the way of the line, it is printed
/// to stderr as it always was.
pub fn install_panic_hook() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !PROCESS.get().is_some_and(|lines| report(lines, info)) {
            usual(info);
        }
    }));
}

/// Whether the line is in the queue. The panicking thread still holds its locks, so this may take none that it has to wait for: the queue's own may be
/// among them.
fn report(lines: &Lines, info: &PanicHookInfo<'_>) -> bool {
    // The writer cannot wait for itself.
    let limit = if thread::current().name() == Some(THREAD_NAME) { Duration::ZERO } else { LAST_WORDS };
    lines.push_within(line(lines.format(), info).finish(), limit)
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
