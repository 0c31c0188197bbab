//! What happens to the forwarder, and the table of what it held meanwhile.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::life::{Forwarder, Holding};
use super::sink::{Mood, Sink};
use super::target::{Target, Twist};

const SERIES: usize = 600;
/// Series that are there for a while; each scrape 3 of them end and 3 others begin.
const COMING_AND_GOING: u64 = 200;
/// The first life is this part of the whole; the rest are short ones.
const FIRST_LIFE: f64 = 0.6;
const SHORT_LIFE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A row of the table for so many looks.
const LOOKS_A_ROW: usize = 60;
const PATIENCE: Duration = Duration::from_secs(60);

/// Ten seconds of each, over and over; every other one is a time of peace.
const MOODS: [Mood; 8] = [
    Mood::Taking,
    Mood::Unavailable,
    Mood::Taking,
    Mood::Closing,
    Mood::Taking,
    Mood::Forgetting,
    Mood::Taking,
    Mood::Slow(Duration::from_millis(100)),
];
const MOOD_LASTS: Duration = Duration::from_secs(10);

/// One scrape in fifty fails; series come and go with all others.
fn twist(asked: u64) -> Twist {
    match asked % 200 {
        50 => Twist::Garbage,
        100 => Twist::Status(500),
        150 => Twist::Cut,
        199 => Twist::None,
        _ => Twist::Lines(coming_and_going(asked)),
    }
}

fn coming_and_going(asked: u64) -> String {
    let first = asked * 3;
    (first..first + COMING_AND_GOING).fold(String::new(), |mut lines, series| {
        // Writing into a String does not fail.
        let _ = writeln!(lines, "soak_coming_and_going{{id=\"{series:020}\"}} {asked}");
        lines
    })
}

/// Runs for about `length`, and prints what the forwarder held, minute by minute.
pub(crate) fn run(length: Duration) -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let queue = dir.path().join("queue");
    let (target, sink) = (Target::start(SERIES, twist)?, Sink::start()?);
    let begun = Instant::now();
    println!(
        "| minute | life | RSS MB, lowest to highest | descriptors | threads | queue's files, highest | scrapes |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut looks = Looks::default();
    let mut life = 1;
    while begun.elapsed() < length {
        let forwarder = Forwarder::start(&queue, target.address, sink.address)?;
        let ends = match life {
            1 => length.mul_f64(FIRST_LIFE),
            _ => (begun.elapsed() + SHORT_LIFE).min(length),
        };
        while begun.elapsed() < ends {
            sleep(LOOK_EVERY);
            let turn = begun.elapsed().as_secs() / MOOD_LASTS.as_secs();
            sink.set(MOODS[usize::try_from(turn).unwrap_or_default() % MOODS.len()]);
            looks.add(forwarder.holding(&queue)?);
            if looks.0.len() == LOOKS_A_ROW {
                println!(
                    "| {} | {life} | {} | {} |",
                    begun.elapsed().as_secs() / 60,
                    looks.row(),
                    target.served()
                );
                looks = Looks::default();
            }
        }
        if life % 2 == 0 {
            forwarder.kill()?
        } else {
            forwarder.terminate()?
        }
        life += 1;
    }
    drain(&queue, &target, &sink)?;
    println!("{} lives in {} s", life, begun.elapsed().as_secs());
    Ok(())
}

/// In peace, everything arrives; what has not is said.
fn drain(queue: &Path, target: &Target, sink: &Sink) -> io::Result<()> {
    let to = target.served();
    sink.set(Mood::Taking);
    let forwarder = Forwarder::start(queue, target.address, sink.address)?;
    let begun = Instant::now();
    let count = loop {
        let count = sink.count(SERIES, to);
        if count.lost == 0 || begun.elapsed() > PATIENCE {
            break count;
        }
        sleep(LOOK_EVERY);
    };
    let holding = forwarder.holding(queue)?;
    forwarder.terminate()?;
    println!();
    println!(
        "of {to} scrapes of {SERIES} series: {} samples not arrived, {} twice, {} out of order; the backlog took {:.1} s; at the end {:.1} MB of memory, {} KiB of queue",
        count.lost,
        count.duplicated,
        count.out_of_order,
        count.last.map(|last| last.saturating_duration_since(begun)).unwrap_or_default().as_secs_f64(),
        mib(holding.rss_kib),
        holding.disk / 1024,
    );
    Ok(())
}

#[derive(Default)]
struct Looks(Vec<Holding>);

impl Looks {
    fn add(&mut self, holding: Holding) {
        self.0.push(holding);
    }

    fn row(&self) -> String {
        let range = |what: fn(&Holding) -> u64| {
            let of_each = || self.0.iter().map(what);
            (of_each().min().unwrap_or_default(), of_each().max().unwrap_or_default())
        };
        let (rss, descriptors) = (range(|holding| holding.rss_kib), range(|holding| holding.descriptors));
        let (threads, disk) = (range(|holding| holding.threads), range(|holding| holding.disk));
        format!(
            "{:.1} to {:.1} | {} to {} | {} to {} | {} KiB",
            mib(rss.0),
            mib(rss.1),
            descriptors.0,
            descriptors.1,
            threads.0,
            threads.1,
            disk.1 / 1024
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
