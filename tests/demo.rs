//! The real binary's `demo` and `receive`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use docker_remote_write::demo::engine::{Engine, Source};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

/// Issue 2, line 7: the demo ends by itself within 30 s.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

fn demo(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_docker-remote-write"))
        .arg("demo")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The figure of one row of the summary.
fn figure(text: &str, row: &str) -> u64 {
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(row))
        .unwrap_or_else(|| panic!("{row}: {text}"));
    let digits: String = line.chars().take_while(|c| c.is_ascii_digit() || *c == ' ').collect();
    digits.replace(' ', "").parse().unwrap()
}

#[test]
fn the_demo_shows_an_outage_and_ends_clean_within_30_s() {
    let start = Instant::now();
    let output = demo(&[]).wait_with_output().unwrap();
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(start.elapsed() < ENDS_WITHIN, "{:?}", start.elapsed());
    for phase in [
        r#"StartMetrics: 200 {"Err":""}"#,
        "answers 503",
        "refuses connections",
        "the receiver is back",
        "the queue is empty again",
        r#"StopMetrics: 200 {"Err":""}"#,
        "Everything that was served arrived: once, in order, with its value.",
    ] {
        assert!(text.contains(phase), "{phase}: {text}");
    }
    assert!(!text.contains('\x1b'), "standard output is no terminal: {text}");
    assert_eq!(figure(&text, "samples to arrive"), figure(&text, "arrived, bit for bit"));
    assert!(figure(&text, "samples in the served texts") > 4000, "{text}");
    for row in ["lost", "doubled", "out of order", "of another value", "served by nobody", "broken rules"] {
        assert_eq!(figure(&text, row), 0, "{text}");
    }
}

#[test]
fn a_broken_pipe_makes_the_demo_exit_1_and_say_what_differs() {
    // All at once: they mostly wait.
    let breaks = [
        ("drop-record", "lost"),
        ("flip-value", "of another value"),
        ("double", "doubled"),
        ("reorder", "out of order"),
    ];
    let children = breaks.map(|(how, row)| (how, row, demo(&["--break", how])));
    for (how, row, child) in children {
        let output = child.wait_with_output().unwrap();
        let text = text(&output);
        assert_eq!(output.status.code(), Some(1), "{how}: {text}");
        assert!(figure(&text, row) > 0, "{how}: {text}");
        assert!(
            text.contains("\nFAILED: ") && !text.contains("Everything that was served arrived"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn the_demo_can_stand_before_another_engines_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("metrics.sock");
    let engine = Engine::new(Source::Recording(Box::default()));
    let listener = UnixListener::bind(&socket).unwrap();
    let serving = engine.clone();
    tokio::spawn(async move { serving.serve(listener, CancellationToken::new()).await });
    let child = demo(&["--engine", socket.to_str().unwrap()]);
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("engine: the real one behind "), "{}", text(&output));
    assert!(engine.scrapes() > 10);
}

#[test]
fn an_engine_that_cannot_be_reached_is_said_with_its_path() {
    let output = demo(&["--engine", "/nonexistent/metrics.sock"]).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("demo: cannot connect to /nonexistent/metrics.sock: No such file"), "{said}");
}

#[test]
fn receive_prints_each_request_of_another_program_and_ends_with_sigterm() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_docker-remote-write"))
        .args(["receive", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (line, lines) = mpsc::channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        for next in output.lines().map_while(Result::ok) {
            // Whoever failed already does not listen any more.
            let _ = line.send(next);
        }
    });
    let next = || lines.recv_timeout(ENDS_WITHIN).unwrap();
    let listening = next();
    let url = listening.strip_prefix("listening on ").and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(url.ends_with("/api/v1/write"), "{listening}");
    let status = curl_like_post(url);
    assert!(status.starts_with("HTTP/1.1 400 "), "{status}");
    assert!(next().contains("Z 400 0 samples of 0 series in 5 bytes of 1.0 (0 unpacked), "));
    assert!(next().starts_with("  violation 1.02: "));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    reader.join().unwrap();
    assert!(lines.iter().any(|line| line.starts_with("1 requests, 0 samples of 0 series stored")));
}

/// A request that breaks nearly every rule.
fn curl_like_post(url: &str) -> String {
    use std::io::{Read, Write};
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(ENDS_WITHIN)).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
