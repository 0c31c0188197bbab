//! What a scrape costs the whole program, in CPU time of all its threads, beside a bare loop that does nothing but the work:
//! `cargo bench --bench program [-- series] [rounds=N]`, or in instructions: `[-- series] instructions [profiles=DIRECTORY]`.
//!
//! Three contenders run at the same time, each every second and each with a target and a sink of its own, so that whatever else the machine
//! does hits all of them alike: the bare loop, and the release binary with its defaults (queue on disk, own series, requests of at most
//! 2,000 samples) to an endpoint that takes 1.0, and to one that takes 2.0. Each round starts them anew, in another order; what counts is
//! the ratio within a round, and of these the middle. Targets and sinks are threads of this process that are not counted.
#![allow(clippy::print_stdout, reason = "the output is the point")]

mod bare;
#[path = "../support/body.rs"]
mod body;
mod count;
#[path = "../support/cpu.rs"]
mod cpu;
#[path = "../support/http.rs"]
mod http;
mod world;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bare::Bare;
use cpu::Meter;
use world::{Message, Place};

const ROUNDS: usize = 5;
const SCRAPES: u64 = 15;
const WARM_UP: u64 = 3;
const INTERVAL: Duration = Duration::from_secs(1);

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return Ok(());
    }
    if count::be_bare_loop(&arguments)? {
        return Ok(());
    }
    let sizes: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let rounds = arguments.iter().find_map(|argument| argument.strip_prefix("rounds=")?.parse().ok());
    let counted = arguments.iter().any(|argument| argument == "instructions");
    let profiles = arguments.iter().find_map(|argument| argument.strip_prefix("profiles=").map(Path::new));
    for series in if sizes.is_empty() { vec![600, 10_000] } else { sizes } {
        if counted {
            count::compare(series, profiles)?;
            continue;
        }
        compare(series, rounds.unwrap_or(ROUNDS))?;
    }
    Ok(())
}

/// CPU time of one scrape of each contender, at the same time.
#[derive(Clone, Copy)]
struct Round {
    bare: f64,
    v1: f64,
    v2: f64,
}

fn compare(series: usize, rounds: usize) -> io::Result<()> {
    let hot = Bare::new(&Place::new(series, Message::V1)?)?.hot(200)?;
    println!("{series} series; CPU time of one scrape, ms; the bare loop without a pause: {:.2}", ms(hot));
    println!("  round   bare loop    program   as 2.0   ratio   as 2.0   2.0 to 1.0   load");
    let mut all = Vec::new();
    let mut peak = String::new();
    for number in 0..rounds {
        let (round, memory) = measure(series, number)?;
        peak = peak.max(memory);
        row(&(number + 1).to_string(), round, &load());
        all.push(round);
    }
    let spread = |of: fn(&Round) -> f64| {
        let mut values: Vec<f64> = all.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        (values[0], values[values.len() / 2], values[values.len() - 1])
    };
    for (what, of) in [
        ("the program to the bare loop", (|round| round.v1 / round.bare) as fn(&Round) -> f64),
        ("the program as 2.0 to the bare loop", |round| round.v2 / round.bare),
        ("2.0 to 1.0", |round| round.v2 / round.v1),
    ] {
        let (lowest, middle, highest) = spread(of);
        println!("  {what}: middle {middle:.2} ({lowest:.2} to {highest:.2})");
    }
    println!("  the program's largest memory: {peak}");
    Ok(())
}

fn row(name: &str, round: Round, load: &str) {
    let Round { bare, v1, v2 } = round;
    println!(
        "  {name:>5} {bare:>11.2} {v1:>10.2} {v2:>8.2} {:>7.2} {:>8.2} {:>12.2}   {load}",
        v1 / bare,
        v2 / bare,
        v2 / v1
    );
}

fn measure(series: usize, number: usize) -> io::Result<(Round, String)> {
    let places = [
        Place::new(series, Message::V1)?,
        Place::new(series, Message::V1)?,
        Place::new(series, Message::V2)?,
    ];
    let mut running = [None, None, None];
    for at in (0..places.len()).map(|at| (at + number) % places.len()) {
        let contender = if at == 0 { Contender::bare(&places[at]) } else { Contender::program(&places[at]) };
        running[at] = Some(contender?);
        thread::sleep(INTERVAL / 7);
    }
    let spent = thread::scope(|scope| {
        let of = |contender: &Option<Contender>, place| match contender {
            Some(contender) => contender.spent(place),
            None => unreachable!("all of them were started"),
        };
        let threads: Vec<_> = (running.iter().zip(&places))
            .map(|(contender, place)| scope.spawn(move || of(contender, place)))
            .collect();
        (threads.into_iter())
            .map(|thread| thread.join().map_err(|_| io::Error::other("a measuring thread has panicked"))?)
            .collect::<io::Result<Vec<_>>>()
    })?;
    let peak = running[1].as_ref().map(Contender::peak).transpose()?.unwrap_or_default();
    Ok((Round { bare: ms(spent[0]), v1: ms(spent[1]), v2: ms(spent[2]) }, peak))
}

/// Ends with this value.
enum Contender {
    Bare { stop: Arc<AtomicBool>, task: PathBuf },
    Program(Child),
}

impl Contender {
    fn bare(place: &Place) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut bare = Bare::new(place)?;
        let (told, (tell, task)) = (Arc::clone(&stop), mpsc::channel());
        thread::spawn(move || -> io::Result<()> {
            let _ = tell.send(fs::canonicalize("/proc/thread-self"));
            while !told.load(Ordering::SeqCst) {
                bare.turn()?;
                thread::sleep(INTERVAL);
            }
            Ok(())
        });
        let task = task.recv().map_err(io::Error::other)??;
        Ok(Self::Bare { stop, task })
    }

    fn program(place: &Place) -> io::Result<Self> {
        let mut command = program(place, &[]);
        Ok(Self::Program(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?))
    }

    /// CPU time of one scrape: the mean of [`SCRAPES`] behind the first ones.
    fn spent(&self, place: &Place) -> io::Result<Duration> {
        let mut meter = match self {
            Self::Bare { task, .. } => Meter::of_thread(task.clone()),
            Self::Program(child) => Meter::of_process(child.id()),
        };
        place.wait_for(WARM_UP, || Ok(()))?;
        let before = meter.read()?;
        place.wait_for(WARM_UP + SCRAPES, || meter.read().map(drop))?;
        Ok((meter.read()? - before) / u32::try_from(SCRAPES).unwrap_or(u32::MAX))
    }

    fn peak(&self) -> io::Result<String> {
        let Self::Program(child) = self else { return Ok(String::new()) };
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown");
        Ok(peak.trim().to_owned())
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        match self {
            Self::Bare { stop, .. } => stop.store(true, Ordering::SeqCst),
            Self::Program(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// The program between these two ends, as far as it goes with its defaults; `under`: what runs it, with its arguments.
fn program(place: &Place, under: &[String]) -> Command {
    let binary = env!("CARGO_BIN_EXE_docker-remote-write").to_owned();
    let words = [under, &[binary, "run".to_owned()]].concat();
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .env_clear()
        .env("REMOTE_WRITE_URL", format!("http://{}/api/v1/write", place.sink))
        .env("SCRAPE_URL", format!("unix://{}", place.socket().display()))
        .env("SCRAPE_INTERVAL", "1s")
        .env("QUEUE_DIR", place.dir.path().join("queue"))
        .env("INSTANCE", "host");
    command
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Of the last minute.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}
