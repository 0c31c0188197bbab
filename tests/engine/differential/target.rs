//! An http target that reads from a script: each scraper sees step k at its k-th scrape, whenever that is.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use docker_remote_write::proto::client::MetricFamily;
use prost::Message;

/// The Content-Type of delimited messages.
pub(super) const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// What one scrape meets.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Status 200 and this exposition, as text 0.0.4.
    Body(Vec<u8>),
    /// Status 200, this Content-Type (none if empty) and exposition.
    Typed(&'static str, Vec<u8>),
    /// Status 200 and these messages, one behind the other, each with its length before it.
    Protobuf(Vec<MetricFamily>),
    /// As `Protobuf`, but not the same for both: what we can be told to do and 2.42 cannot.
    Apart { prometheus: Vec<MetricFamily>, ours: Vec<MetricFamily> },
    /// Another status, with an exposition that nobody may read.
    Status(u16),
    /// The connection ends without an answer.
    HangUp,
    /// The connection ends before the body does.
    CutShort(Vec<u8>),
}

impl Step {
    /// A body of text.
    pub(super) fn text(body: impl Into<String>) -> Step {
        Step::Body(body.into().into_bytes())
    }

    /// What this side meets.
    fn to(self, side: Side) -> Step {
        match (self, side) {
            (Step::Protobuf(families), _)
            | (Step::Apart { prometheus: families, ours: _ }, Side::Prometheus)
            | (Step::Apart { prometheus: _, ours: families }, Side::Ours) => {
                let body = families.iter().flat_map(Message::encode_length_delimited_to_vec).collect();
                Step::Typed(PROTOBUF, body)
            }
            (step, Side::Prometheus | Side::Ours) => step,
        }
    }
}

/// Who scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Prometheus,
    Ours,
}

impl Side {
    const ALL: [Side; 2] = [Side::Prometheus, Side::Ours];

    fn name(self) -> &'static str {
        match self {
            Side::Prometheus => "prometheus",
            Side::Ours => "ours",
        }
    }
}

/// All targets on one port, a path for each side and job. Its thread ends with the test program.
pub(super) struct Targets {
    port: u16,
    scrapes: Arc<Mutex<HashMap<String, usize>>>,
}

impl Targets {
    /// Serves `scripts` (job and steps); behind the last step comes an empty exposition for ever.
    pub(super) fn serve(scripts: &[(&str, &[Step])]) -> Targets {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let port = listener.local_addr().expect("it is bound").port();
        let mut steps: HashMap<String, Arc<[Step]>> = HashMap::new();
        for (job, script) in scripts {
            for side in Side::ALL {
                steps.insert(path(side, job), script.iter().map(|step| step.clone().to(side)).collect());
            }
        }
        let scrapes: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let counts = Arc::clone(&scrapes);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (steps, counts) = (steps.clone(), Arc::clone(&counts));
                std::thread::spawn(move || answer(&stream, &steps, &counts));
            }
        });
        Targets { port, scrapes }
    }

    /// Where a side finds a job: host and port, and path.
    pub(super) fn address(&self, side: Side, job: &str) -> (String, String) {
        (format!("127.0.0.1:{}", self.port), path(side, job))
    }

    /// How often a side has scraped a job.
    pub(super) fn scrapes(&self, side: Side, job: &str) -> usize {
        let scrapes = self.scrapes.lock().unwrap_or_else(PoisonError::into_inner);
        scrapes.get(&path(side, job)).copied().unwrap_or_default()
    }
}

fn path(side: Side, job: &str) -> String {
    format!("/{}/{job}", side.name())
}

/// One request, one answer: no connection is kept, so nothing is ever repeated by a client behind our back.
fn answer(
    mut stream: &TcpStream,
    steps: &HashMap<String, Arc<[Step]>>,
    counts: &Mutex<HashMap<String, usize>>,
) {
    let mut lines = BufReader::new(stream).lines();
    let Some(Ok(request)) = lines.next() else { return };
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let Some(path) = request.split(' ').nth(1) else { return };
    let Some(script) = steps.get(path) else { return };
    let scrape = {
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(path.to_owned()).or_default();
        *count += 1;
        *count - 1
    };
    let step = script.get(scrape).cloned().unwrap_or(Step::Body(Vec::new()));
    let text = "text/plain; version=0.0.4; charset=utf-8";
    let (status, content_type, body, length) = match step {
        Step::Body(body) => (200, text, body.clone(), body.len()),
        Step::Typed(content_type, body) => (200, content_type, body.clone(), body.len()),
        Step::Protobuf(_) | Step::Apart { .. } => unreachable!("each side has its own bytes of it"),
        Step::Status(status) => (status, text, b"wrong_status 1\n".to_vec(), 15),
        Step::HangUp => return,
        Step::CutShort(body) => (200, text, body.clone(), body.len() + 100),
    };
    let mut head = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {length}\r\nConnection: close\r\n");
    if !content_type.is_empty() {
        head += &format!("Content-Type: {content_type}\r\n");
    }
    let mut answer = (head + "\r\n").into_bytes();
    answer.extend_from_slice(&body);
    // A scraper that went away sees its own error.
    let _ = stream.write_all(&answer);
}
