//! What scrapes cost without a fault, and what faults cost: this program, Debian's `prometheus` in agent mode and its `vmagent` side by side,
//! 10,000 series scraped every second:
//! `make bench-faults`, or `cargo bench --bench faults [-- part-of-a-scenario ... | --series N]`.
//!
//! Each program has a target and a sink of its own. Every value of a scrape is the number of that scrape, so the sink knows of each sample
//! whether it came, how often, and in which order. A program that is not installed is left out, and that is said.
#![allow(clippy::print_stdout, reason = "the output is the point")]

#[path = "../support/body.rs"]
mod body;
mod contender;
#[path = "../support/cpu.rs"]
mod cpu;
#[path = "../support/http.rs"]
mod http;
#[path = "../support/process.rs"]
mod process;
mod scenario;
#[path = "../support/sink.rs"]
mod sink;
#[path = "../support/target.rs"]
mod target;

use std::io;
use std::thread;

use contender::Contender;
use scenario::{Scenario, run};

const SERIES: usize = 10_000;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return Ok(());
    }
    let mut series = SERIES;
    let mut wanted = Vec::new();
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        if argument == "--series" {
            series = rest.next().and_then(|count| count.parse().ok()).unwrap_or(SERIES);
        } else {
            wanted.push(argument);
        }
    }
    let contenders: Vec<_> = Contender::ALL.into_iter().filter(Contender::is_installed).collect();
    println!("{series} series every second; a scrape is {series} samples");
    println!();
    println!(
        "| fault | program | scrapes | lost samples | duplicated | out of order | drained in | CPU of a scrape | peak RSS |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for scenario in Scenario::ALL {
        if !wanted.is_empty() && !wanted.iter().any(|part| scenario.name().contains(part.as_str())) {
            continue;
        }
        // Side by side, so that all of them meet the same noise of the machine.
        let rows: Vec<io::Result<String>> = thread::scope(|scope| {
            let running: Vec<_> = contenders
                .iter()
                .map(|contender| scope.spawn(move || run(*contender, scenario, series)))
                .collect();
            let ended = running.into_iter().map(|run| run.join());
            ended.map(|row| row.unwrap_or_else(|_| Err(io::Error::other("the run panicked")))).collect()
        });
        for (contender, row) in contenders.iter().zip(rows) {
            match row {
                Ok(row) => println!("{row}"),
                Err(error) => println!("| {} | {} | failed: {error} |", scenario.name(), contender.name()),
            }
        }
    }
    Ok(())
}
