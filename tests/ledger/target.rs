//! The engine's side: a metrics socket that answers when the story says so, with series that come and go.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use docker_remote_write::model::now_ms;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::DEADLINE;
use super::dice::Dice;

/// `SCRAPE_SAMPLE_LIMIT` of lives that have one; good bodies stay below it.
pub(super) const SAMPLE_LIMIT: usize = 90;
const SERIES: usize = 60;

/// What a scrape is answered.
#[derive(Clone, Debug)]
pub(super) struct Exposition {
    bytes: Vec<u8>,
    /// Sample lines, if it is a good one.
    pub(super) lines: Option<u64>,
    pub(super) word: &'static str,
}

/// The series of the engine, which outlives the program.
#[derive(Debug)]
pub(super) struct Engine {
    alive: Vec<bool>,
    count: u64,
    /// A series with timestamps of its own, while it comes with every scrape. A process does not remember it for longer, and going back
    /// in time is then the target's doing.
    timed: Option<u64>,
}

impl Engine {
    pub(super) fn new() -> Self {
        Self { alive: vec![false; SERIES], count: 0, timed: None }
    }

    /// For a process that has never scraped.
    pub(super) fn forget_timed(&mut self) {
        self.timed = None;
    }

    pub(super) fn good(&mut self, dice: &mut Dice) -> Exposition {
        let (body, lines) = self.body(dice);
        Exposition { bytes: answer(200, &body, body.len()), lines: Some(lines), word: "good scrape" }
    }

    pub(super) fn bad(&mut self, dice: &mut Dice, limited: bool) -> Exposition {
        let (mut body, _) = self.body(dice);
        self.forget_timed();
        let bad = |word, bytes| Exposition { bytes, lines: None, word };
        match dice.below(if limited { 5 } else { 4 }) {
            0 => bad("scrape answered 500", answer(500, "no\n", 3)),
            1 => {
                body.push_str("this is {no line\n");
                bad("scrape with a bad line", answer(200, &body, body.len()))
            }
            2 => bad("scrape cut off", answer(200, &body, body.len() + 7)),
            3 => bad("scrape not answered", Vec::new()),
            _ => {
                (0..=SAMPLE_LIMIT).for_each(|line| writeln!(body, "many{{line=\"{line}\"}} 1").unwrap());
                bad("scrape over the sample limit", answer(200, &body, body.len()))
            }
        }
    }

    /// Values are numbered, so that no two samples are the same.
    fn body(&mut self, dice: &mut Dice) -> (String, u64) {
        let mut body = String::from("# TYPE m counter\n");
        let mut lines = 0;
        let timed = self.timed.unwrap_or(self.count);
        self.timed = (!dice.one_in(3)).then_some(timed);
        let mut line = |body: &mut String, series: &str, timestamp: Option<i64>| {
            self.count += 1;
            lines += 1;
            match timestamp {
                Some(timestamp) => writeln!(body, "{series} {} {timestamp}", self.count).unwrap(),
                None => writeln!(body, "{series} {}", self.count).unwrap(),
            }
        };
        for (number, alive) in self.alive.iter_mut().enumerate() {
            *alive ^= dice.one_in(8);
            if *alive {
                line(&mut body, &format!("m{{container=\"c{number}\",unit=\"bytes\"}}"), None);
            }
        }
        if dice.one_in(5) {
            // Twice in one scrape.
            line(&mut body, "twice", None);
            line(&mut body, "twice", None);
        }
        if self.timed.is_some() {
            // Sometimes older than before, sometimes more than ten minutes ahead.
            let ahead = dice.pick(&[-3_600_000, -1_000, 0, 0, 0, 300_000, 3_600_000]);
            line(&mut body, &format!("timed{{run=\"{timed}\"}}"), Some(now_ms() + ahead));
        }
        if dice.one_in(9) {
            line(&mut body, "up", None);
        }
        (body, lines)
    }
}

fn answer(status: u16, body: &str, length: usize) -> Vec<u8> {
    let head = "Content-Type: text/plain; version=0.0.4\r\nConnection: close";
    format!("HTTP/1.1 {status} x\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// The socket of one life.
#[derive(Debug)]
pub(super) struct Target {
    listener: UnixListener,
    /// The scrape that waits for its answer.
    asked: Option<UnixStream>,
}

impl Target {
    pub(super) fn bind(socket: &Path) -> Self {
        Self { listener: UnixListener::bind(socket).unwrap(), asked: None }
    }

    /// Waits until a scrape has begun; the one before has then been dealt with, down to its records.
    pub(super) async fn scrape_begins(&mut self) {
        if self.asked.is_some() {
            return;
        }
        let asked = async {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let read = stream.read_buf(&mut head).await.unwrap();
                assert_ne!(read, 0, "a scrape that ends before it was asked: {head:?}");
            }
            stream
        };
        self.asked = Some(tokio::time::timeout(DEADLINE, asked).await.expect("no scrape begins"));
    }

    /// Whoever asked has gone.
    pub(super) fn forget(&mut self) {
        self.asked = None;
    }

    pub(super) async fn answer(&mut self, exposition: &Exposition) {
        self.answer_if_awaited(exposition).await.unwrap();
    }

    /// Whoever asked may have given up.
    pub(super) async fn answer_if_awaited(&mut self, exposition: &Exposition) -> io::Result<()> {
        let mut stream = self.asked.take().unwrap();
        stream.write_all(&exposition.bytes).await?;
        stream.shutdown().await
    }
}
