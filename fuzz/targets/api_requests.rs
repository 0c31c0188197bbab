//! The socket that dockerd calls: bytes of any peer to the real server, on its own thread.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use docker_remote_write::collector::{Commands, control};
use docker_remote_write::plugin::{ApiThread, Fault, SOCKET_NAME, serve};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Outcome, Target, panics};

pub(crate) const TARGET: Target = Target {
    name: "api_requests",
    run,
    words: &[
        b"POST ",
        b"GET ",
        b"CONNECT ",
        b"/Plugin.Activate",
        b"/MetricsCollector.StartMetrics",
        b"/MetricsCollector.StopMetrics",
        b" HTTP/1.1\r\n",
        b" HTTP/1.0\r\n",
        b"Host: \r\n",
        b"Content-Length: ",
        b"Content-Length: 0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"Connection: upgrade\r\nUpgrade: h2c\r\n",
        b"\r\n\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"18446744073709551615",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\n",
        b"\0",
        b"\xff",
    ],
    fixtures: &[],
    longest: 32 << 10,
    memory: (4 << 20, 256),
};

const THREAD: &str = "plugin-api";

/// Nothing here takes a millisecond: the collector is always done, and a body that breaks off ends at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// As dockerd sends it.
const SOUND: &[u8] = b"POST /MetricsCollector.StartMetrics HTTP/1.1\r\nHost: \r\nContent-Length: 0\r\n\r\n";

struct Server {
    directory: TempDir,
    cancel: CancellationToken,
    thread: Option<ApiThread>,
    commands: Commands,
}

impl Server {
    fn start() -> Self {
        panics::watch();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (control, commands) = control();
        commands.done.send_replace(u64::MAX);
        let cancel = CancellationToken::new();
        let thread = serve(&directory.path().join(SOCKET_NAME), control, Fault::default(), cancel.clone());
        Self { directory, cancel, thread: Some(thread.expect("the API's thread")), commands }
    }

    /// Everything that comes back for these bytes, to the end of the connection; the peer closes its own side behind them.
    fn ask(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = UnixStream::connect(self.directory.path().join(SOCKET_NAME)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
        // The server may have seen enough before the end.
        let sent = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        if let Err(error) = sent {
            assert!(is_closed(error.kind()), "{error}");
        }
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert!(is_closed(error.kind()), "neither answered nor closed: {error}"),
        }
        answer
    }
}

fn is_closed(kind: ErrorKind) -> bool {
    [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset, ErrorKind::NotConnected].contains(&kind)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join();
        }
    }
}

thread_local! {
    static SERVER: Server = Server::start();
}

/// # Panics
/// If the server panics, keeps a peer waiting, says what is no HTTP, or does not answer the next one.
pub(crate) fn run(bytes: &[u8]) -> Outcome {
    SERVER.with(|server| {
        let answer = server.ask(bytes);
        let outcome = assert_http(&answer);
        let starts = server.commands.wanted.borrow().starts;
        let next = server.ask(SOUND);
        assert!(
            next.starts_with(b"HTTP/1.1 200 OK\r\n") && next.ends_with(b"\r\n\r\n{\"Err\":\"\"}"),
            "the next call is answered {:?}",
            String::from_utf8_lossy(&next)
        );
        assert_eq!(server.commands.wanted.borrow().starts, starts + 1, "a call takes effect once");
        panics::assert_none(THREAD);
        outcome.with(starts > 0)
    })
}

/// Answers, one behind the other, each with its body.
fn assert_http(mut rest: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut answers = 0_u32;
    while !rest.is_empty() {
        let shown = || String::from_utf8_lossy(rest).into_owned();
        let end =
            rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("{}", shown()));
        let head = std::str::from_utf8(&rest[..end]).unwrap_or_else(|_| panic!("{}", shown()));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default();
        let code = status.strip_prefix("HTTP/1.1 ").or_else(|| status.strip_prefix("HTTP/1.0 "));
        let code = code.and_then(|text| text.get(..3)).and_then(|text| text.parse::<u16>().ok());
        let code = code.unwrap_or_else(|| panic!("{}", shown()));
        assert!([100, 200, 400, 404, 405, 413, 414, 431, 501, 505].contains(&code), "{}", shown());
        let length = lines.find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
        });
        rest = &rest[end + 4..];
        // What answers a HEAD has a length and no body; it may be the last or be followed by another answer.
        let body = length.unwrap_or(0);
        if rest.len() >= body && !rest.starts_with(b"HTTP/1.") {
            rest = &rest[body..];
        }
        answers += 1;
        outcome = if answers <= 3 { outcome.with(code) } else { outcome };
    }
    outcome.with_count(u64::from(answers))
}
