use std::io::{self, BufRead, BufReader, PipeReader, Read, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;
use tracing::subscriber::with_default;
use tracing::{debug, error, info, warn};
use tracing_subscriber::layer::SubscriberExt;

use super::*;

/// Long enough for any machine; what is waited for comes at once.
const DEADLINE: Duration = Duration::from_secs(20);

const LOGFMT: LogConfig = LogConfig { level: Level::Info, format: Format::Logfmt };
const JSON: LogConfig = LogConfig { level: Level::Debug, format: Format::Json };

/// An output that can be read while it is written to.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Vec<u8>>>);

impl Write for Shelf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shelf {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Runs `events` with a log of its own; returns what was written.
fn written(config: LogConfig, events: impl FnOnce()) -> (String, Counters) {
    let shelf = Shelf::default();
    let (layer, writer) = start(config, shelf.clone()).unwrap();
    with_default(tracing_subscriber::registry().with(layer), events);
    assert!(writer.flush(DEADLINE), "the log writer did not come to an end");
    (shelf.text(), writer.counters())
}

/// A log whose output is a pipe.
fn pipe() -> (PipeReader, LogLayer, LogWriter) {
    let (reader, output) = io::pipe().unwrap();
    let (layer, writer) = start(LOGFMT, output).unwrap();
    (reader, layer, writer)
}

#[test]
fn an_event_is_one_line_with_its_room_its_words_and_its_fields() {
    let name = "default";
    let (text, counters) = written(LOGFMT, || {
        info!(endpoint = %name, attempt = 3_u64, delay = 0.5, held = true, "request failed");
    });
    let (time, rest) = text.split_once(' ').unwrap();
    assert!(time.starts_with("time=20") && time.ends_with('Z') && time.len() == 29, "{time}");
    assert_eq!(
        rest,
        "level=info room=telemetry msg=\"request failed\" endpoint=default attempt=3 delay=0.5 held=true\n"
    );
    assert_eq!(counters, Counters { lines_written: 1, ..Counters::default() });
}

#[test]
fn json_is_the_same_line_as_an_object_with_typed_values() {
    let (text, _) = written(JSON, || {
        warn!(n = -1_i64, ratio = f64::NAN, text = "two\nlines", list = ?[1, 2], "said \"no\"");
    });
    assert_eq!(text.lines().count(), 1);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["level"], "warn");
    assert_eq!(value["room"], "telemetry");
    assert_eq!(value["msg"], "said \"no\"");
    assert_eq!(value["n"], -1);
    assert_eq!(value["ratio"], "NaN");
    assert_eq!(value["text"], "two\nlines");
    assert_eq!(value["list"], "[1, 2]");
}

#[test]
fn the_level_filters_ours_and_other_crates_begin_at_warn() {
    let events = || {
        debug!("debug");
        info!("info");
        warn!("warn");
        error!("error");
        info!(target: "hyper_util::client", "foreign info");
        warn!(target: "hyper_util::client", "foreign warn");
    };
    let words = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("msg=").nth(1).unwrap().trim_matches('"').to_owned()).collect()
    };
    let at = |level| words(&written(LogConfig { level, format: Format::Logfmt }, events).0);
    assert_eq!(at(Level::Debug), ["debug", "info", "warn", "error", "foreign warn"]);
    assert_eq!(at(Level::Info), ["info", "warn", "error", "foreign warn"]);
    assert_eq!(at(Level::Warn), ["warn", "error", "foreign warn"]);
    assert_eq!(at(Level::Error), ["error"]);
}

#[test]
fn a_field_of_a_megabyte_is_cut_to_eight_kib_and_counted() {
    let long = "line\n".repeat(1 << 18);
    for config in [LOGFMT, JSON] {
        let (text, counters) = written(config, || info!(answer = %long, "the server's words"));
        assert!(text.len() <= MAX_LINE_BYTES, "{}", text.len());
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text.contains("the server's words"));
        assert_eq!((counters.lines_written, counters.lines_truncated), (1, 1));
    }
    let (text, counters) = written(JSON, || info!("{long}"));
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["truncated"], true);
    assert_eq!(counters.lines_truncated, 1);
}

#[test]
fn a_reader_that_does_not_read_costs_lines_but_never_blocks_a_caller() {
    let (reader, layer, writer) = pipe();
    let filler = "x".repeat(4000);
    // 4 MB: far more than a pipe's 64 KiB and the queue's 256 KiB together. That this loop ends is the test.
    with_default(tracing_subscriber::registry().with(layer), || {
        for n in 0..1000 {
            info!(filler = %filler, "line {n}");
        }
    });
    assert!(!writer.flush(Duration::ZERO), "nobody has read");
    let dropped = writer.counters().lines_dropped;
    assert!(dropped > 500, "{dropped}");

    let mut lines = BufReader::new(reader).lines();
    let notice = lines.by_ref().find(|line| line.as_ref().unwrap().contains("log lines dropped"));
    assert!(notice.unwrap().unwrap().contains(&format!("{dropped} log lines dropped")));
    assert!(writer.flush(DEADLINE));
    assert_eq!(writer.counters().lines_written, 1000 - dropped + 1);
    drop(writer);
    assert_eq!(lines.count(), 0, "the thread has ended and closed its output");
}

#[test]
fn a_closed_pipe_is_counted_and_nothing_else() {
    let (reader, layer, writer) = pipe();
    drop(reader);
    with_default(tracing_subscriber::registry().with(layer), || {
        info!("one");
        info!("two");
    });
    assert!(writer.flush(DEADLINE));
    assert_eq!(writer.counters(), Counters { write_errors: 2, ..Counters::default() });
}

#[test]
fn after_a_line_that_was_cut_by_the_output_the_next_begins_on_its_own() {
    /// Takes five bytes, then fails once, then takes everything.
    struct Faulty(Shelf, usize);
    impl Write for Faulty {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            match self.1 {
                1 => self.0.write(&bytes[..5]),
                2 => Err(io::Error::from(io::ErrorKind::StorageFull)),
                3 => Err(io::Error::from(io::ErrorKind::WouldBlock)),
                4 => Err(io::Error::from(io::ErrorKind::Interrupted)),
                _ => self.0.write(bytes),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let shelf = Shelf::default();
    let (layer, writer) = start(LOGFMT, Faulty(shelf.clone(), 0)).unwrap();
    with_default(tracing_subscriber::registry().with(layer), || {
        info!("lost");
        info!("kept");
    });
    assert!(writer.flush(DEADLINE));
    let text = shelf.text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "time=");
    assert!(lines[1].starts_with("time=") && lines[1].contains("msg=\"kept\""), "{text}");
    assert_eq!((writer.counters().lines_written, writer.counters().write_errors), (1, 1));
}

#[test]
fn a_storm_is_ten_lines_and_a_count() {
    let (text, counters) = written(LOGFMT, || {
        for attempt in 0..1000 {
            warn!(attempt, "connection refused");
        }
        warn!("something else");
    });
    assert_eq!(text.matches("msg=\"connection refused\"").count(), 10);
    assert_eq!(text.matches("msg=\"something else\"").count(), 1);
    assert!(text.contains("repeats=990 message=\"connection refused\""), "{text}");
    assert_eq!(counters, Counters { lines_written: 12, lines_suppressed: 990, ..Counters::default() });
}

#[test]
fn the_process_logs_to_stdout_and_a_panic_leaves_its_place_and_its_words() {
    const NAME: &str =
        "telemetry::log::tests::the_process_logs_to_stdout_and_a_panic_leaves_its_place_and_its_words";
    const CHILD: &str = "DOCKER_REMOTE_WRITE_TEST_PANICS";
    if std::env::var_os(CHILD).is_some() {
        let _writer = init(LOGFMT, stdout().unwrap()).unwrap();
        assert!(matches!(init(LOGFMT, io::sink()), Err(LogError::Taken)));
        install_panic_hook();
        info!("before");
        let unlucky = std::thread::Builder::new().name("unlucky".to_owned());
        // No flush here: the hook alone brings the line out before the process is gone.
        let _ = unlucky.spawn(|| panic!("nobody\nexpects")).unwrap().join();
        std::process::exit(3);
    }
    // The log and the hook are the whole process's, so this test runs itself again in a process of its own.
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8(child.stdout).unwrap();
    assert_eq!(child.status.code(), Some(3), "{text}");
    let lines: Vec<_> = text.lines().filter(|line| line.contains("time=")).collect();
    assert!(lines[0].ends_with("level=info room=telemetry msg=\"before\""), "{text}");
    assert!(lines[1].contains(r#"level=error room=main msg="panicked: nobody\nexpects" place="#), "{text}");
    assert!(
        lines[1].contains("src/telemetry/log/tests.rs:") && lines[1].ends_with("thread=unlucky"),
        "{text}"
    );
    assert_eq!(lines.len(), 2, "{text}");
}

/// A value that cannot be shown.
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("no words for it")
    }
}

#[test]
fn a_value_that_panics_costs_its_line_and_not_whoever_says_it() {
    let (text, counters) = written(LOGFMT, || {
        info!(value = %Unspeakable, "never seen");
        info!("went on");
    });
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[0].contains("a line of the log is lost") && lines[0].contains("src/telemetry/log/tests.rs"),
        "{text}"
    );
    assert!(lines[1].ends_with("msg=\"went on\""), "{text}");
    assert_eq!(counters.lines_written, 2);
}

/// Panics at the first line that it is given.
struct Trap(Shelf, bool);

impl Write for Trap {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(std::mem::replace(&mut self.1, true), "the first line is a trap");
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_of_the_writer_costs_the_line_that_it_was_at() {
    let shelf = Shelf::default();
    let (layer, writer) = start(LOGFMT, Trap(shelf.clone(), false)).unwrap();
    with_default(tracing_subscriber::registry().with(layer), || {
        info!("first");
        info!("second");
    });
    assert!(writer.flush(DEADLINE));
    assert!(!shelf.text().contains("first") && shelf.text().contains("second"), "{}", shelf.text());
    assert_eq!(writer.counters(), Counters { lines_written: 1, write_errors: 1, ..Counters::default() });
}

#[test]
fn a_panic_is_not_waited_for_where_its_own_thread_holds_the_queue_or_nobody_reads() {
    let lines = queue::Lines::new(Format::Logfmt);
    let line = || {
        let mut line = line::Line::new(Format::Logfmt, 0, Level::Error, "main");
        line.message(format_args!("panicked"));
        line.finish()
    };
    let (limit, start) = (Duration::from_millis(20), std::time::Instant::now());
    lines.while_locked(|| assert!(!lines.push_within(line(), limit), "there is no way to the queue"));
    // There is no writer at all.
    assert!(lines.push_within(line(), limit), "it is in the queue, for whoever comes");
    assert!(start.elapsed() < DEADLINE, "both came to an end");
}

#[test]
fn lines_stay_in_order_and_many_threads_lose_none() {
    let shelf = Shelf::default();
    let (layer, writer) = start(LOGFMT, shelf.clone()).unwrap();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(layer));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let dispatch = &dispatch;
            scope.spawn(move || {
                tracing::dispatcher::with_default(dispatch, || {
                    for n in 0..100 {
                        info!("line {n} of {thread}");
                    }
                });
            });
        }
    });
    assert!(writer.flush(DEADLINE));
    let text = shelf.text();
    for thread in 0..4 {
        let ours = text.lines().filter(|line| line.contains(&format!("of {thread}\"")));
        for (n, line) in ours.enumerate() {
            assert!(line.contains(&format!("\"line {n} of ")), "{line}");
        }
    }
    assert_eq!(writer.counters(), Counters { lines_written: 400, ..Counters::default() });
}

#[test]
fn a_flush_waits_no_longer_than_it_is_told() {
    /// Blocks in its first write until the gate opens.
    struct Gate(Arc<(Mutex<bool>, Condvar)>);
    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (open, bell) = &*self.0;
            drop(bell.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let (layer, writer) = start(LOGFMT, Gate(Arc::clone(&gate))).unwrap();
    with_default(tracing_subscriber::registry().with(layer), || info!("stuck"));
    assert!(!writer.flush(Duration::from_millis(10)));
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    assert!(writer.flush(DEADLINE));
}

#[test]
fn the_last_handle_ends_the_thread_after_the_last_line() {
    let (mut reader, layer, writer) = pipe();
    with_default(tracing_subscriber::registry().with(layer), || info!("last words"));
    drop(writer.clone());
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("msg=\"last words\"\n"), "{text}");
}
