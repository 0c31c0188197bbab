//! The API as dockerd and worse peers see it: raw bytes over the real socket.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::collector::{Commands, Wanted, control};

/// Long enough for any machine; what is waited for comes in milliseconds.
const DEADLINE: Duration = Duration::from_secs(20);

/// What dockerd 20.10.24 sends, byte for byte: an empty `Host`, no body (docker-plugin 4).
fn call(path: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 0\r\n\
         Accept: application/vnd.docker.plugins.v1.2+json\r\n\r\n"
    )
}

const START: &str = "/MetricsCollector.StartMetrics";
const STOP: &str = "/MetricsCollector.StopMetrics";

/// A running API; the test is the collector.
struct Plugin {
    path: PathBuf,
    cancel: CancellationToken,
    thread: Option<ApiThread>,
    fault: Fault,
    commands: Commands,
    _directory: TempDir,
}

impl Plugin {
    fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    fn start_in(directory: TempDir) -> Self {
        let path = directory.path().join(SOCKET_NAME);
        let (control, commands) = control();
        let (cancel, fault) = (CancellationToken::new(), Fault::default());
        let thread = Some(serve(&path, control, fault.clone(), cancel.clone()).unwrap());
        Self { path, cancel, thread, fault, commands, _directory: directory }
    }

    fn dial(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// One request on a connection of its own.
    fn ask(&self, request: &str) -> Answer {
        let mut stream = self.dial();
        stream.write_all(request.as_bytes()).unwrap();
        read_answer(&mut stream)
    }

    fn wanted(&self) -> Wanted {
        self.commands.wanted.borrow().wanted
    }

    /// Every generation counts as done.
    fn obey(&self) {
        self.commands.done.send_replace(u64::MAX);
    }

    fn end(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join();
        }
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.end();
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: String,
    headers: Vec<String>,
    body: String,
}

impl Answer {
    fn has(&self, header: &str) -> bool {
        self.headers.iter().any(|line| line == header)
    }
}

/// Reads one answer and leaves the connection open.
fn read_answer(stream: &mut UnixStream) -> Answer {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n").map(str::to_owned);
    let status = lines.next().unwrap();
    let headers: Vec<_> = lines.collect();
    let length = headers.iter().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |text| text.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    Answer { status, headers, body: String::from_utf8(body).unwrap() }
}

#[track_caller]
fn assert_success(answer: &Answer) {
    assert_eq!(answer.status, "HTTP/1.1 200 OK");
    assert!(answer.has("Content-Type: application/vnd.docker.plugins.v1.2+json"), "{answer:?}");
    assert_eq!(answer.body, r#"{"Err":""}"#);
}

#[test]
fn the_answers_are_those_of_dockers_page() {
    let plugin = Plugin::start();
    plugin.obey();
    let activate = plugin.ask(&call("/Plugin.Activate"));
    assert_eq!(activate.status, "HTTP/1.1 200 OK");
    assert!(activate.has("Content-Type: application/vnd.docker.plugins.v1.2+json"));
    assert_eq!(activate.body, r#"{"Implements":["MetricsCollector"]}"#);
    assert_eq!(plugin.wanted(), Wanted::Stopped);
    assert_success(&plugin.ask(&call(START)));
    assert_eq!(plugin.wanted(), Wanted::Running);
    assert_success(&plugin.ask(&call(STOP)));
    assert_eq!(plugin.wanted(), Wanted::Stopped);
}

#[test]
fn an_answers_bytes_are_these_and_no_others() {
    let plugin = Plugin::start();
    let mut stream = plugin.dial();
    stream.write_all(call(START).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (before, rest) = text.split_once("Date: ").unwrap();
    let (_, after) = rest.split_once("\r\n").unwrap();
    assert_eq!(
        format!("{before}{after}"),
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.plugins.v1.2+json\r\nConnection: close\r\n\
         Content-Length: 10\r\n\r\n{\"Err\":\"\"}"
    );
}

#[test]
fn every_version_of_dockerd_and_every_kind_of_body_is_understood() {
    let plugin = Plugin::start();
    let requests = [
        // From 24.0.5 on.
        call(START).replace("Host: ", "Host: plugin.moby.localhost"),
        format!("POST {START} HTTP/1.1\r\nHost: \r\n\r\n"),
        format!("POST {START} HTTP/1.1\r\n\r\n"),
        format!("POST {START} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}"),
        format!(
            "POST {START} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
        ),
        format!("POST {START}?a=b HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("POST http://d{START} HTTP/1.1\r\nHost: d\r\n\r\n"),
    ];
    for (starts, request) in (1..).zip(&requests) {
        assert_success(&plugin.ask(request));
        assert_eq!(plugin.commands.wanted.borrow().starts, starts, "{request}");
    }
    let old = plugin.ask(&format!("POST {START} HTTP/1.0\r\n\r\n"));
    assert_eq!((old.status.as_str(), old.body.as_str()), ("HTTP/1.0 200 OK", r#"{"Err":""}"#));
}

#[test]
fn an_unknown_path_is_404_and_another_method_405_with_the_reason_in_err() {
    let plugin = Plugin::start();
    let unknown = plugin.ask(&call("/VolumeDriver.Create"));
    assert_eq!(unknown.status, "HTTP/1.1 404 Not Found");
    assert_eq!(unknown.body, r#"{"Err":"unknown call: this plugin implements MetricsCollector"}"#);
    let get = plugin.ask(&format!("GET {START} HTTP/1.1\r\nHost: \r\n\r\n"));
    assert_eq!(get.status, "HTTP/1.1 405 Method Not Allowed");
    assert!(get.has("Allow: POST"));
    assert_eq!(get.body, r#"{"Err":"only POST is understood here"}"#);
    assert_eq!(plugin.wanted(), Wanted::Stopped);
}

#[test]
fn a_fault_is_500_with_the_reason_and_the_engine_lives_on() {
    let plugin = Plugin::start();
    plugin.fault.set("REMOTE_WRITE_URL is not set");
    let answer = plugin.ask(&call(START));
    assert_eq!(answer.status, "HTTP/1.1 500 Internal Server Error");
    assert!(answer.has("Content-Type: application/vnd.docker.plugins.v1.2+json"));
    assert_eq!(answer.body, r#"{"Err":"REMOTE_WRITE_URL is not set"}"#);
    plugin.obey();
    assert_success(&plugin.ask(&call(STOP)));
}

#[test]
fn a_panic_over_a_call_costs_its_connection_and_nobody_elses() {
    let plugin = Plugin::start();
    let mut other = plugin.dial();
    other.write_all(call(START).as_bytes()).unwrap();
    assert_success(&read_answer(&mut other));
    let mut unlucky = plugin.dial();
    unlucky.write_all(call("/Panic").as_bytes()).unwrap();
    assert_eq!(unlucky.read(&mut [0; 100]).unwrap(), 0, "closed without an answer: dockerd tries again");
    plugin.obey();
    other.write_all(call(STOP).as_bytes()).unwrap();
    assert_success(&read_answer(&mut other));
    assert_success(&plugin.ask(&call(START)));
}

#[test]
fn a_panic_beside_all_calls_loses_none_that_wait() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(SOCKET_NAME);
    let (control, _commands) = control();
    let cancel = CancellationToken::new();
    let ended = cancel.clone();
    let socket = Socket::bind(&path).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bound = Listening::Unix(socket);
    let listener = bound.listener(&runtime).unwrap();
    let answering = thread::spawn(move || {
        let rounds = std::cell::Cell::new(0);
        keep_answering(&runtime, "api", listener, bound, |listener, bound| {
            rounds.set(rounds.get() + 1);
            assert!(rounds.get() > 2, "the first two rounds panic");
            let api = Api::new(control.clone(), Fault::default());
            LocalSet::new().block_on(&runtime, server::run(listener, bound, "api", api, cancel.clone()));
        });
        rounds.get()
    });
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(call(START).as_bytes()).unwrap();
    assert_success(&read_answer(&mut stream));
    ended.cancel();
    assert_eq!(answering.join().unwrap(), 3);
    assert!(!path.exists());
}

#[test]
fn peers_that_say_nothing_or_nonsense_disturb_nobody() {
    let plugin = Plugin::start();
    // dockerd's probe before StartMetrics: connect, close, not a byte.
    for _ in 0..200 {
        drop(plugin.dial());
    }
    let mut talkers = Vec::new();
    for nonsense in
        [&b"\x16\x03\x01\x02\x00\x01"[..], b"\0\0\0\0", b"hello\r\n\r\n", b"POST ", b"\r\n", &[0xff; 100_000]]
    {
        let mut talker = plugin.dial();
        // It may be thrown out while it still talks.
        let _ = talker.write_all(nonsense);
        talkers.push(talker);
    }
    let half = plugin.dial();
    (&half).write_all(call(START).as_bytes()).unwrap();
    drop(half);
    assert_success(&plugin.ask(&call(START)));
}

#[test]
fn a_sender_that_closes_behind_its_request_still_gets_the_answer() {
    let plugin = Plugin::start();
    let mut stream = plugin.dial();
    stream.write_all(call(START).as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_success(&read_answer(&mut stream));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "then the connection ends");
}

#[test]
fn a_body_that_is_too_long_or_does_not_come_costs_the_connection_not_the_answer() {
    let plugin = Plugin::start();
    let mut long = plugin.dial();
    write!(long, "POST {START} HTTP/1.1\r\nHost: \r\nContent-Length: 10000000\r\n\r\n").unwrap();
    let _ = long.write_all(&vec![b' '; 200_000]);
    let mut absent = plugin.dial();
    write!(absent, "POST {START} HTTP/1.1\r\nHost: \r\nContent-Length: 2\r\n\r\n").unwrap();
    for stream in [&mut long, &mut absent] {
        let answer = read_answer(stream);
        assert_success(&answer);
        assert!(answer.has("Connection: close"), "{answer:?}");
    }
    assert_eq!(plugin.commands.wanted.borrow().starts, 2);
}

#[test]
fn more_connections_than_the_limit_cost_the_ones_idle_longest() {
    let plugin = Plugin::start();
    let mut idle: Vec<_> = (0..64).map(|_| plugin.dial()).collect();
    for stream in &mut idle {
        stream.write_all(call(START).as_bytes()).unwrap();
        assert_success(&read_answer(stream));
    }
    assert_success(&plugin.ask(&call(START)));
    assert_eq!(idle[0].read(&mut [0]).unwrap(), 0, "the oldest was closed");
    let newest = idle.last_mut().unwrap();
    newest.write_all(call(START).as_bytes()).unwrap();
    assert_success(&read_answer(newest));
}

#[test]
fn start_metrics_is_answered_while_the_main_thread_and_its_runtime_are_stuck() {
    let plugin = Plugin::start();
    let (sender, answer) = mpsc::channel();
    let path = plugin.path.clone();
    // The caller is a thread; this test's own thread, which holds the collector's side, does nothing inside a runtime that does nothing.
    let caller = thread::spawn(move || {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(call(START).as_bytes()).unwrap();
        sender.send(read_answer(&mut stream)).unwrap();
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { assert_success(&answer.recv_timeout(DEADLINE).unwrap()) });
    caller.join().unwrap();
}

#[test]
fn stop_metrics_is_answered_though_the_collector_never_is_done() {
    let plugin = Plugin::start();
    assert_success(&plugin.ask(&call(STOP)));
    assert_eq!(*plugin.commands.done.borrow(), 0);
}

#[test]
fn the_default_path_is_the_directory_that_dockerd_mounts_and_the_manifests_name() {
    assert_eq!(Path::new("/run/docker/plugins").join(SOCKET_NAME), Path::new(SOCKET_PATH));
}

#[test]
fn a_stale_socket_is_replaced_and_the_mode_is_0600() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(SOCKET_NAME);
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a dead process leaves its socket behind");
    let plugin = Plugin::start_in(directory);
    assert_eq!(fs::metadata(&plugin.path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_success(&plugin.ask(&call(START)));
}

#[test]
fn a_living_socket_and_a_file_are_left_alone() {
    let plugin = Plugin::start();
    let bind =
        |path: &Path| serve(path, control().0, Fault::default(), CancellationToken::new()).unwrap_err();
    let occupied = bind(&plugin.path).to_string();
    assert!(
        occupied.ends_with("another process answers there") && occupied.contains(SOCKET_NAME),
        "{occupied}"
    );
    assert_success(&plugin.ask(&call(START)));

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("precious");
    fs::write(&file, "data").unwrap();
    assert!(matches!(bind(&file), BindError::NotASocket { .. }));
    assert_eq!(fs::read(&file).unwrap(), b"data");
    assert!(matches!(bind(&file.join("below/a.sock")), BindError::Directory { .. }));
    assert!(matches!(bind(&directory.path().join("x".repeat(200))), BindError::Bind { .. }));
}

#[test]
fn the_directory_is_made_and_the_socket_goes_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run/docker/plugins").join(SOCKET_NAME);
    let cancel = CancellationToken::new();
    let (control, _commands) = control();
    let thread = serve(&path, control, Fault::default(), cancel.clone()).unwrap();
    let mut idle = UnixStream::connect(&path).unwrap();
    idle.write_all(call(START).as_bytes()).unwrap();
    assert_success(&read_answer(&mut idle));
    let mut begun = UnixStream::connect(&path).unwrap();
    begun.write_all(b"POST /Metr").unwrap();
    cancel.cancel();
    thread.join();
    assert!(!path.exists());
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "idle connections are closed");
}

#[test]
fn an_answer_that_is_on_its_way_leaves_before_the_end() {
    let mut plugin = Plugin::start();
    let mut stream = plugin.dial();
    stream.write_all(call(STOP).as_bytes()).unwrap();
    // The call has arrived when the collector sees it; nobody says that it is done, so the answer is still to come.
    let mut wanted = plugin.commands.wanted.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, wanted.changed()).await.unwrap().unwrap() });
    plugin.end();
    assert_success(&read_answer(&mut stream));
}

#[test]
fn only_root_and_our_own_uid_are_answered_whatever_the_sockets_mode() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let plugin = Plugin::start();
    let mode = fs::metadata(&plugin.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // So that it is not the mode that refuses.
    fs::set_permissions(&plugin.path, fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(plugin._directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let as_uid = |uid: u32| {
        let stranger = || {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(uid)).unwrap();
            let mut stream = plugin.dial();
            // Closed at once: the write may find that out, or the read.
            let written = stream.write_all(call(START).as_bytes());
            let mut answer = [0; 12];
            let read = stream.read_exact(&mut answer);
            (written.and(read).is_ok(), answer)
        };
        thread::scope(|scope| scope.spawn(stranger).join().unwrap())
    };
    for _ in 0..100 {
        assert!(!as_uid(54_321).0, "a stranger was answered");
    }
    assert_eq!(plugin.wanted(), Wanted::Stopped);
    assert_eq!(as_uid(0), (true, *b"HTTP/1.1 200"));
    assert_eq!(plugin.wanted(), Wanted::Running);
}
