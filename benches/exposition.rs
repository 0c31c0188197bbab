//! What reading an exposition costs for each sample: `cargo bench --bench exposition`. Prints, asserts nothing.
//!
//! Three ways over the same bytes: `scan` (a first scrape), `guess` (a later one, each series where it was the last time), `labels`
//! (a first scrape, with every label set built).
#![allow(clippy::print_stdout, reason = "the output is the point")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use docker_remote_write::exposition::{Entry, ParseError, Parser};

const RUNS: u32 = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures/00-daemon-idle.prom");
    report("idle engine", &std::fs::read(capture)?)?;
    report("10,000 series", generated()?.as_bytes())?;
    Ok(())
}

fn generated() -> Result<String, std::fmt::Error> {
    let mut body = String::new();
    for series in 0..10_000 {
        let family = series / 100;
        if series % 100 == 0 {
            writeln!(
                body,
                "# HELP engine_metric_{family} Of a generated engine.\n# TYPE engine_metric_{family} gauge"
            )?;
        }
        let value = f64::from(series) * 1.37;
        let labels =
            format!("container=\"c{:04}\",image=\"registry.example/app:{}\"", series % 100, series % 7);
        writeln!(
            body,
            "engine_metric_{family}{{{labels},node=\"n{}\",state=\"running\"}} {value}",
            series % 13
        )?;
    }
    Ok(body)
}

fn report(name: &str, body: &[u8]) -> Result<(), ParseError> {
    let mut raws = Vec::new();
    let mut parser = Parser::new(body);
    while let Some(entry) = parser.next() {
        if let Entry::Series(series) = entry? {
            raws.push(series.raw);
        }
    }
    println!("{name}: {} bytes, {} samples", body.len(), raws.len());
    best("scan", raws.len(), || each(body, &[], false))?;
    best("guess", raws.len(), || each(body, &raws, false))?;
    best("labels", raws.len(), || each(body, &[], true))
}

fn each(body: &[u8], guesses: &[&[u8]], labels: bool) -> Result<(), ParseError> {
    let mut parser = Parser::new(body);
    let mut at = 0;
    while let Some(entry) = parser.next_like(guesses.get(at).copied().unwrap_or_default()) {
        if let Entry::Series(series) = entry? {
            at += 1;
            black_box((series.raw, series.value));
            if labels {
                black_box(series.labels()?);
            }
        }
    }
    Ok(())
}

fn best(what: &str, samples: usize, run: impl Fn() -> Result<(), ParseError>) -> Result<(), ParseError> {
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed());
    }
    let each = best.as_nanos() / samples.max(1) as u128;
    println!("  {what:<7} {best:>10.1?} {each:>6} ns a sample");
    Ok(())
}
