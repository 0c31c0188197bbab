//! The face `receive`: prints what a sender sends.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Answered, DEFAULT_PATH, Options, Receiver, Request, Sample, Series};
use crate::model::Labels;

/// Violations printed of one request.
const SHOWN_VIOLATIONS: usize = 10;
/// Samples remembered of each series, to see order and resends; requests, to see a retry after a final answer.
const REMEMBERED_SAMPLES: usize = 1000;
const REMEMBERED_REQUESTS: usize = 100;

/// Arguments of `receive`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Address to listen on
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9201")]
    pub listen: SocketAddr,
    /// The path that senders must use
    #[arg(long, value_name = "PATH", default_value = DEFAULT_PATH)]
    pub path: String,
    /// Print every sample, native histograms included
    #[arg(long)]
    pub samples: bool,
    /// Answer 4xx to a request that breaks a rule of the specification (without this it is printed and taken)
    #[arg(long)]
    pub strict: bool,
}

/// Listens and prints until SIGINT or SIGTERM, or until standard output is closed.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start: {error}")),
    };
    runtime.block_on(async {
        let listener = match TcpListener::bind(args.listen).await {
            Ok(listener) => listener,
            Err(error) => return failed(&format!("cannot listen on {}: {error}", args.listen)),
        };
        let stop = CancellationToken::new();
        let ended = tokio::spawn(stop_on_signal(stop.clone()));
        let served = receive(args, listener, Box::new(io::stdout()), stop).await;
        ended.abort();
        match served {
            // A reader that has seen enough (`| head`) is no failure.
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => failed(&format!("cannot write to standard output: {error}")),
        }
    })
}

/// Serves on `listener` until `stop`, printing to `out`.
///
/// # Errors
/// `out` failed; serving ends then.
async fn receive(
    args: &Args,
    listener: TcpListener,
    out: Box<dyn Write + Send>,
    stop: CancellationToken,
) -> io::Result<()> {
    let printer = Arc::new(Mutex::new(Printer { out, samples: args.samples, result: Ok(()) }));
    let print = |f: &dyn Fn(&mut Printer) -> io::Result<()>| {
        let mut printer = printer.lock().unwrap_or_else(PoisonError::into_inner);
        let written = f(&mut printer).and_then(|()| printer.out.flush());
        if printer.result.is_ok() {
            printer.result = written;
        }
        printer.result.is_ok()
    };
    let address = listener.local_addr()?;
    print(&|printer| {
        writeln!(
            printer.out,
            "listening on http://{address}{} (remote-write 1.0 and 2.0); Ctrl-C ends",
            args.path
        )
    });
    let observed = Arc::clone(&printer);
    let stop_writing = stop.clone();
    let receiver = Receiver::new(Options {
        path: args.path.clone(),
        refuse: args.strict,
        keep_samples: REMEMBERED_SAMPLES,
        keep_requests: REMEMBERED_REQUESTS,
        observer: Some(Arc::new(move |request, series| {
            let mut printer = observed.lock().unwrap_or_else(PoisonError::into_inner);
            if printer.result.is_ok() {
                printer.result = printer.request(request, series);
            }
            if printer.result.is_err() {
                stop_writing.cancel();
            }
        })),
        ..Options::default()
    });
    receiver.serve(listener, stop).await;
    print(&|printer| {
        receiver.read(|state| {
            writeln!(
                printer.out,
                "{} requests, {} samples of {} series stored, {} resent, {} violations",
                state.request_count,
                state.store.samples(),
                state.store.series(),
                state.duplicates,
                state.violation_count
            )
        })
    });
    let mut printer = printer.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut printer.result, Ok(()))
}

async fn stop_on_signal(stop: CancellationToken) {
    // Without handlers the signals end the process, which is what they ask for.
    if let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    }
}

fn failed(what: &str) -> ExitCode {
    // Nobody is left to tell when standard error is closed too.
    let _ = writeln!(io::stderr(), "receive: {what}");
    ExitCode::FAILURE
}

struct Printer {
    out: Box<dyn Write + Send>,
    samples: bool,
    /// The first failure to write.
    result: io::Result<()>,
}

impl Printer {
    fn request(&mut self, request: &Request, series: &[Series]) -> io::Result<()> {
        writeln!(self.out, "{}", Line(request))?;
        for violation in request.violations.iter().take(SHOWN_VIOLATIONS) {
            writeln!(self.out, "  violation {violation}")?;
        }
        if request.violations.len() > SHOWN_VIOLATIONS {
            writeln!(self.out, "  and {} more", request.violations.len() - SHOWN_VIOLATIONS)?;
        }
        if self.samples {
            for one in series {
                let labels: Labels = one.labels.iter().map(|(name, value)| (name, value)).collect();
                for sample in &one.samples {
                    writeln!(self.out, "  {labels} {} @{}", Value(*sample), sample.timestamp)?;
                }
                for histogram in &one.histograms {
                    writeln!(self.out, "  {labels} {histogram} @{}", histogram.timestamp())?;
                }
            }
        }
        self.out.flush()
    }
}

/// One request in one line.
struct Line<'a>(&'a Request);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = self.0;
        let ms = request.at.rem_euclid(86_400_000);
        let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{hours:02}:{minutes:02}:{seconds:02}.{:03}Z ", ms % 1000)?;
        match request.answered {
            Answered::Status(status) => write!(f, "{status}")?,
            Answered::Hang | Answered::Closed | Answered::Half => write!(f, "no answer")?,
        }
        if request.metadata > 0 {
            write!(f, " metadata of {} families", request.metadata)?;
        }
        if request.metadata == 0 || request.series > 0 {
            // Our sender does not mix them.
            let comma = if request.metadata > 0 { "," } else { "" };
            write!(f, "{comma} {} samples of {} series", request.samples, request.series)?;
        }
        write!(
            f,
            " in {} bytes of {} ({} unpacked)",
            request.body_bytes, request.protocol, request.message_bytes
        )?;
        if request.histograms > 0 {
            write!(f, ", {} histograms", request.histograms)?;
        }
        if request.exemplars > 0 {
            write!(f, ", {} exemplars", request.exemplars)?;
        }
        if request.markers > 0 {
            write!(f, ", {} staleness markers", request.markers)?;
        }
        if request.duplicates > 0 {
            write!(f, ", {} resent", request.duplicates)?;
        }
        if !request.violations.is_empty() {
            write!(f, ", {} violations", request.violations.len())?;
        }
        write!(f, ", from {}", request.header("user-agent").unwrap_or("an unnamed sender"))
    }
}

/// A value as an exposition spells it; the staleness marker by name.
struct Value(Sample);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.value();
        if self.0.is_stale_marker() {
            f.write_str("stale")
        } else if value.is_infinite() {
            f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
        } else {
            write!(f, "{value}")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::super::hand::{body, nested, series, varint};
    use super::*;
    use crate::model::{METRIC_NAME, stale_marker};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Write::write(&mut *self.0.lock().unwrap(), bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A reader that has gone away.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn args(samples: bool) -> Args {
        Args { listen: ([127, 0, 0, 1], 0).into(), path: DEFAULT_PATH.to_owned(), samples, strict: false }
    }

    fn request() -> Vec<u8> {
        let samples = [
            (1_790_000_000_000, 0.5),
            (1_790_000_000_001, f64::NEG_INFINITY),
            (1_790_000_000_002, stale_marker()),
        ];
        // Three observations: one around zero, two in (1,2].
        let (sum, threshold, at) = (6.1_f64.to_le_bytes(), 1_f64.to_le_bytes(), varint(1_790_000_000_000));
        let scalars = [b"\x08\x03\x19", &sum[..], b"\x29", &threshold, b"\x30\x01\x78", &at].concat();
        let native = [scalars, nested(11, b"\x08\x02\x10\x01"), nested(12, b"\x04")].concat();
        let body = body(&[
            series(&[(METRIC_NAME, "up"), ("job", "docker")], &samples),
            [series(&[(METRIC_NAME, "took")], &[]), nested(4, &native)].concat(),
        ]);
        let head = format!(
            "POST {DEFAULT_PATH} HTTP/1.1\r\nHost: x\r\nContent-Encoding: snappy\r\n\
             Content-Type: application/x-protobuf\r\nUser-Agent: vmagent\r\n\
             X-Prometheus-Remote-Write-Version: 0.1.0\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.into_bytes(), body].concat()
    }

    /// Sends one request to the command, and ends it.
    async fn one_request(args: &Args, out: Box<dyn Write + Send>) -> io::Result<()> {
        let listener = TcpListener::bind(args.listen).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let send = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(&request()).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
            stop.cancel();
        };
        let both = async { tokio::join!(receive(args, listener, out, stop.clone()), send).0 };
        tokio::time::timeout(Duration::from_secs(20), both).await.unwrap()
    }

    #[tokio::test]
    async fn one_line_for_each_request_then_its_violations_and_samples() {
        let page = Page::default();
        one_request(&args(true), Box::new(page.clone())).await.unwrap();
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("listening on http://127.0.0.1:"), "{text}");
        assert!(lines[1].contains("Z 204 4 samples of 2 series in "), "{text}");
        let end = "unpacked), 1 histograms, 1 staleness markers, 1 violations, from vmagent";
        assert!(lines[1].ends_with(end), "{text}");
        assert!(lines[2].starts_with("  violation 1.03: "), "{text}");
        assert_eq!(
            lines[3..],
            [
                r#"  up{job="docker"} 0.5 @1790000000000"#,
                r#"  up{job="docker"} -Inf @1790000000001"#,
                r#"  up{job="docker"} stale @1790000000002"#,
                "  took {count:3, sum:6.1, schema:0, [-1,1]:1, (1,2]:2} @1790000000000",
                "1 requests, 4 samples of 2 series stored, 0 resent, 1 violations",
            ]
        );
    }

    #[test]
    fn rw_1_07_metadata_has_a_line_of_its_own_kind() {
        let request = Request { metadata: 80, series: 0, samples: 0, markers: 0, ..logged() };
        let line = Line(&request).to_string();
        assert!(
            line.contains("Z 204 metadata of 80 families in 12 bytes of 1.0 (34 unpacked), from "),
            "{line}"
        );
        let mixed = Request { metadata: 2, ..logged() };
        let line = Line(&mixed).to_string();
        assert!(line.contains(" metadata of 2 families, 1 samples of 1 series in "), "{line}");
    }

    fn logged() -> Request {
        Request {
            at: 0,
            headers: hyper::HeaderMap::new(),
            body_bytes: 12,
            message_bytes: 34,
            protocol: crate::receiver::Protocol::V1,
            series: 1,
            metadata: 0,
            histograms: 0,
            exemplars: 0,
            samples: 1,
            markers: 0,
            times: None,
            stored: 1,
            duplicates: 0,
            written: None,
            violations: Vec::new(),
            answered: Answered::Status(204),
            body_crc: 0,
        }
    }

    #[tokio::test]
    async fn samples_are_printed_only_when_asked_for() {
        let page = Page::default();
        one_request(&args(false), Box::new(page.clone())).await.unwrap();
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("up{"), "{text}");
    }

    #[tokio::test]
    async fn a_closed_standard_output_ends_the_command() {
        let error = one_request(&args(true), Box::new(Closed)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
