//! A log that nobody reads, that is closed, or into which an endpoint pours what it likes: bounded, and in nobody's way.

use std::io::{BufRead, BufReader, PipeWriter, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use docker_remote_write::receiver::{Answer, Reply};

use super::target::{Target, noise, ok};
use super::{MOST, until};
use crate::support::program::{World, peak_rss, with};

/// What a pipe of Linux holds unless told otherwise, in bytes.
const PIPE: usize = 64 << 10;

/// Ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `run` with this for stdout.
fn start(world: &World, more: &[(&'static str, &str)], stdout: PipeWriter) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_docker-remote-write"));
    command.arg("run").env_clear().envs(with(world.settings(), more));
    Running(command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::null()).spawn().unwrap())
}

/// Each scrape repeats series whose names fill a line of the log, which names the first.
fn talkative(world: &World) -> String {
    let path = world.path("talkative.sock");
    let body = |number: usize| {
        let line = format!("wide{{label=\"{}\"}} ", noise(20_000, number as u64 + 1));
        format!("{line}1\n{line}2\n")
    };
    Target::listen(&path, Arc::new(move |stream, number| stream.write_all(&ok("", body(number)))));
    format!("unix://{}", path.display())
}

#[tokio::test]
async fn a_stdout_that_nobody_reads_or_that_is_closed_stops_nothing() {
    for closed in [false, true] {
        let world = World::new().await;
        world.receiver.answer(Answer::Status(Reply {
            status: 503,
            headers: Vec::new(),
            body: noise(1 << 20, 8).into(),
        }));
        let url = talkative(&world);
        let fast = [("REMOTE_WRITE_MIN_BACKOFF", "1ms"), ("REMOTE_WRITE_MAX_BACKOFF", "1ms")];
        let (reader, mut stdout) = std::io::pipe().unwrap();
        // Full from the start, or without a reader: no line ever gets through.
        stdout.write_all(&[b'-'; PIPE]).unwrap();
        let reader = Some(reader).filter(|_| !closed);
        let settings = [("SCRAPE_URL", &*url), ("LOG_LEVEL", "debug"), fast[0], fast[1]];
        let mut program = start(&world, &settings, stdout);
        until("a storm of failures", || world.receiver.read(|state| state.request_count) > 500).await;
        world.receiver.answer(Answer::Normal);
        world.until_ups(4).await;
        assert!(program.0.try_wait().unwrap().is_none(), "closed: {closed}");
        let newest = |name: &str, result: Option<&str>| {
            let mut wanted = vec![("__name__", name)];
            wanted.extend(result.map(|result| ("result", result)));
            world.receiver.read(|state| {
                let samples = state.store.select(&wanted).filter_map(|(_, samples)| samples.last());
                samples.map(|sample| sample.value()).sum::<f64>()
            })
        };
        if closed {
            let lost = || newest("docker_remote_write_log_write_errors_total", None) > 0.0;
            until("lines are counted as lost", lost).await;
        }
        assert_eq!(newest("docker_remote_write_log_lines_total", Some("written")).to_bits(), 0);
        let peak = peak_rss(program.0.id());
        assert!(peak < MOST, "{peak}");
        let start = Instant::now();
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&program.0),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        until("the end", || program.0.try_wait().unwrap().is_some()).await;
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        drop(reader);
    }
}

/// What an endpoint says is one line, whatever it says, and no terminal's command.
#[tokio::test]
async fn a_text_of_1_mib_from_an_endpoint_is_one_short_line_and_cannot_forge_another() {
    let forged = "time=2026-01-01T00:00:00.000Z level=error room=app msg=\"forged\"";
    // A character of four bytes at each place where a cut may fall.
    let prefix = format!("no\n{forged}\r\n\u{1b}[2J\u{1b}]0;title\u{7}\0\u{9b}31m\u{2028}{forged}\u{85}");
    for shift in 0..4 {
        let text = format!("{prefix}{}{}", "x".repeat(shift), "\u{1f433}".repeat(1 << 18));
        for format in ["logfmt", "json"] {
            let world = World::new().await;
            let body = text.clone().into();
            world.receiver.answer(Answer::Status(Reply { status: 401, headers: Vec::new(), body }));
            let mut program = world.run(&[("LOG_FORMAT", format), ("LOG_LEVEL", "debug")]);
            program.says("endpoint held").await;
            let (_, said, _) = program.terminated().await;
            assert!(said.lines().all(|line| line.len() <= 8 << 10), "{said}");
            let ours = |line: &str| match format {
                "json" => {
                    serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line["msg"] != "forged")
                }
                _ => {
                    line.starts_with("time=")
                        && line.split_once(" msg=").is_some_and(|(_, rest)| !rest.starts_with("\"forged\""))
                }
            };
            for line in said.lines() {
                assert!(ours(line), "{line}");
            }
            let unsafe_ =
                |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffd}');
            assert!(!said.contains(unsafe_), "{said:?}");
            assert!(said.contains("forged"), "the text was not shown at all: {said}");
        }
    }
}

/// Thousands of failures, each with words of its own.
#[tokio::test]
async fn a_storm_of_distinct_failures_is_a_few_lines_and_little_memory() {
    let world = World::new().await;
    let number = Arc::new(AtomicUsize::new(0));
    let path = world.path("storm.sock");
    // Every scrape fails with words of its own, too.
    let bad = Target::listen(
        &path,
        Arc::new(|stream, number| stream.write_all(&ok("", format!("bad_{number} x{number}\n")))),
    );
    let storm = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = storm.local_addr().unwrap();
    let counted = Arc::clone(&number);
    std::thread::spawn(move || {
        for stream in storm.incoming().flatten() {
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || answer_badly(stream, &counted));
        }
    });
    let (push, scrape) = (format!("http://{address}/w"), format!("unix://{}", path.display()));
    let (reader, stdout) = std::io::pipe().unwrap();
    let program = start(
        &world,
        &[
            ("REMOTE_WRITE_URL", &push),
            ("SCRAPE_URL", &scrape),
            ("REMOTE_WRITE_MIN_BACKOFF", "1ms"),
            ("REMOTE_WRITE_MAX_BACKOFF", "1ms"),
        ],
        stdout,
    );
    let output = BufReader::new(reader);
    let reader = std::thread::spawn(move || output.lines().map_while(Result::ok).collect::<Vec<_>>());
    let start = Instant::now();
    until("a storm", || number.load(SeqCst) > 2_000 && bad.asked() > 5).await;
    let took = start.elapsed().as_secs();
    let peak = peak_rss(program.0.id());
    drop(program);
    let lines = reader.join().unwrap();
    let failures = number.load(SeqCst);
    println!(
        "{failures} failed requests and {} failed scrapes in {took} s: {} lines",
        bad.asked(),
        lines.len()
    );
    // A line for each scrape that fails otherwise, at most; for the endpoint one at its start and one every minute.
    assert!(lines.len() < 30 + bad.asked(), "{} lines: {lines:#?}", lines.len());
    assert!(peak < MOST, "{peak}");
}

/// 503, each time in other words.
fn answer_badly(mut stream: std::net::TcpStream, counted: &AtomicUsize) {
    let mut all = Vec::new();
    let mut piece = [0; 64 << 10];
    loop {
        let Ok(more @ 1..) = stream.read(&mut piece) else { return };
        all.extend_from_slice(&piece[..more]);
        let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
        let length: usize =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        if all.len() < end + 4 + length {
            continue;
        }
        all.clear();
        let text = format!("failure number {}", counted.fetch_add(1, SeqCst));
        let answer = format!("HTTP/1.1 503 No\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
