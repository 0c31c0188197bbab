//! Days of work in half an hour: 600 series and 200 that come and go, scraped every 50 ms, with a receiver and a target that fail in every way
//! they can and a process that is ended and killed: `make soak`, or `cargo bench --bench soak [-- --minutes N]`.
//!
//! The forwarder is a process of its own (this program once more), so that its memory, descriptors and threads are nobody else's. Settings do not
//! allow 50 ms; everything else is as by default.
#![allow(clippy::print_stdout, reason = "the output is the point")]

#[path = "../support/body.rs"]
mod body;
mod forwarder;
#[path = "../support/http.rs"]
mod http;
mod life;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/sink.rs"]
mod sink;
mod story;
#[path = "../support/target.rs"]
mod target;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

const MINUTES: u64 = 30;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--test", ..] => ExitCode::SUCCESS,
        [forwarder::ARGUMENT] => forwarder::run(),
        ["--minutes", minutes] => match minutes.parse() {
            Ok(minutes) => soak(minutes),
            Err(error) => fail(&io::Error::other(format!("--minutes {minutes}: {error}"))),
        },
        _ => soak(MINUTES),
    }
}

fn soak(minutes: u64) -> ExitCode {
    match story::run(Duration::from_secs(60 * minutes)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &io::Error) -> ExitCode {
    println!("soak: {error}");
    ExitCode::FAILURE
}
