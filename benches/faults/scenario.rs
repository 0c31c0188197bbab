//! Faults, and what is left of the samples after them.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::contender::{Contender, Running};
use super::sink::{Mood, Sink};
use super::target::{Target, Twist};

/// Everything works for so long before a fault.
const QUIET: Duration = Duration::from_secs(10);
/// Without a further sample of the backlog for so long, the rest is lost.
const PATIENCE: Duration = Duration::from_secs(20);
const DEADLINE: Duration = Duration::from_secs(180);

#[derive(Clone, Copy)]
pub(crate) enum Scenario {
    Quiet,
    Outage,
    KillInOutage,
    TermInStream,
    TermInOutage,
}

impl Scenario {
    pub(crate) const ALL: [Self; 5] =
        [Self::Quiet, Self::Outage, Self::KillInOutage, Self::TermInStream, Self::TermInOutage];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "none, for 60 s",
            Self::Outage => "60 s of 503",
            Self::KillInOutage => "kill -9 after 20 s of a 40 s outage, restart",
            Self::TermInStream => "SIGTERM in mid-stream, restart",
            Self::TermInOutage => "SIGTERM after 20 s of a 40 s outage, restart",
        }
    }
}

/// Runs one program through one fault; the row of the table.
pub(crate) fn run(contender: Contender, scenario: Scenario, series: usize) -> io::Result<String> {
    let dir = tempfile::tempdir()?;
    let (target, sink) = (Target::start(series, |_| Twist::None)?, Sink::start()?);
    let start = || contender.start(dir.path(), target.address, sink.address);
    let mut running = start()?;
    wait(|| sink.count(series, 3).lost == 0 && target.served() >= 3, DEADLINE)?;
    sleep(QUIET);
    let mut peak = 0;
    let mut again = |running: Running, kill: bool| {
        peak = peak.max(running.peak_rss());
        if kill {
            running.kill()?
        } else {
            running.terminate()?
        };
        start()
    };
    let mut cpu = None;
    match scenario {
        Scenario::Quiet => cpu = Some(cpu_of_a_scrape(&running, &target)?),
        Scenario::Outage => {
            sink.set(Mood::Unavailable);
            sleep(Duration::from_secs(60));
        }
        Scenario::KillInOutage | Scenario::TermInOutage => {
            sink.set(Mood::Unavailable);
            sleep(Duration::from_secs(20));
            running = again(running, matches!(scenario, Scenario::KillInOutage))?;
            sleep(Duration::from_secs(20));
        }
        Scenario::TermInStream => {
            // Between two ticks, whatever their phase.
            sleep(Duration::from_millis(370));
            running = again(running, false)?;
            sleep(QUIET);
        }
    }
    let (recovered, backlog) = (Instant::now(), target.served());
    sink.set(Mood::Taking);
    let _ = wait(|| settled(&sink, series, backlog, recovered), DEADLINE);
    let drained = sink.count(series, backlog).last.map(|last| last.saturating_duration_since(recovered));
    let to = target.served();
    // Fresh scrapes are not part of the fault: those up to here get the time that one needs.
    let _ = wait(|| settled(&sink, series, to, Instant::now()), Duration::from_secs(10));
    peak = peak.max(running.peak_rss());
    running.terminate()?;
    let count = sink.count(series, to);
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let in_scrapes = count.lost as f64 / series as f64;
    Ok(format!(
        "| {} | {} | {to} | {} ({in_scrapes:.1} scrapes) | {} | {} | {:.1} s | {} | {:.1} MB |",
        scenario.name(),
        contender.name(),
        count.lost,
        count.duplicated,
        count.out_of_order,
        drained.unwrap_or_default().as_secs_f64(),
        cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{:.1} ms", cpu.as_secs_f64() * 1e3)),
        f64::from(u32::try_from(peak).unwrap_or(u32::MAX)) / 1024.0,
    ))
}

/// The mean over a minute in which nothing happens; whatever the program does besides is part of it.
fn cpu_of_a_scrape(running: &Running, target: &Target) -> io::Result<Duration> {
    let (before, mut meter, start) = (target.served(), running.meter(), Instant::now());
    let spent_before = meter.read()?;
    while start.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(100));
        meter.read()?;
    }
    let scrapes = u32::try_from(target.served() - before).unwrap_or(u32::MAX).max(1);
    Ok((meter.read()? - spent_before) / scrapes)
}

/// Everything up to `to` has come, or nothing of it has come for a while.
fn settled(sink: &Sink, series: usize, to: u64, since: Instant) -> bool {
    let count = sink.count(series, to);
    let last = count.last.map_or(since, |last| last.max(since));
    count.lost == 0 || last.elapsed() > PATIENCE
}

fn wait(mut reached: impl FnMut() -> bool, limit: Duration) -> io::Result<()> {
    let start = Instant::now();
    while !reached() {
        if start.elapsed() > limit {
            return Err(io::Error::other("what was waited for did not come"));
        }
        sleep(Duration::from_millis(100));
    }
    Ok(())
}
