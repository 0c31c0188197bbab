//! What each step of a sample's way costs, beside a floor that no implementation gets under: `cargo bench --bench cost [-- part-of-a-name]`.
//!
//! divan's tables come first; then, for those who want one number, the best of many runs of each step and of its floor, and their ratio.
//! Asserts nothing: figures and how they were measured are in docs/performance.md.
#![allow(clippy::print_stdout, reason = "the output is the point")]

#[path = "../support/body.rs"]
mod body;
mod cases;
#[path = "../support/pipe.rs"]
mod pipe;

use std::any::Any;
use std::time::{Duration, Instant};

use divan::Bencher;

/// An engine; a large one with Swarm and many networks; far beyond.
const SIZES: [usize; 3] = [600, 10_000, 100_000];

/// Everything is prepared; each call is one run. What it returns is dropped outside the measured time.
type Run = Box<dyn FnMut() -> Option<Box<dyn Any>>>;

/// One step and its floor, for a number of series.
struct Case {
    name: &'static str,
    floor_name: &'static str,
    ours: fn(usize) -> Run,
    floor: fn(usize) -> Run,
}

/// A divan group for each case; the table of ratios knows all of them.
macro_rules! cases {
    ($($name:ident $floor_name:literal),* $(,)?) => {
        const CASES: &[Case] = &[$(Case {
            name: stringify!($name),
            floor_name: $floor_name,
            ours: cases::$name::ours,
            floor: cases::$name::floor,
        }),*];

        $(mod $name {
            #[divan::bench(args = super::SIZES, sample_size = 1, max_time = 1)]
            fn ours(bencher: divan::Bencher<'_, '_>, series: usize) {
                super::time(bencher, crate::cases::$name::ours(series));
            }

            #[divan::bench(args = super::SIZES, sample_size = 1, max_time = 1)]
            fn floor(bencher: divan::Bencher<'_, '_>, series: usize) {
                super::time(bencher, crate::cases::$name::floor(series));
            }
        })*
    };
}

cases! {
    parse "memchr of line breaks",
    parse_as_guessed "memchr of line breaks",
    ingest_hit "split lines, std's float parser",
    ingest_miss "each line into a hash map",
    protobuf "prost's derived types",
    encode_2_0 "raw snappy of the same messages",
    transcode_1_0 "raw snappy, both ways",
    snappy "raw snappy",
    body_to_queue "memcpy of the body",
    queue_append "memcpy of the payloads",
    queue_read_memory "memcpy of the payloads",
    queue_read_disk "read the segment files, crc32",
    queue_recover "read the segment files, crc32",
}

fn time(bencher: Bencher<'_, '_>, run: Run) {
    bencher.bench_local(run);
}

fn main() {
    divan::main();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    println!("best of many runs, and the floor's");
    for case in CASES {
        if wanted.is_empty() || wanted.iter().any(|part| case.name.contains(part.as_str())) {
            report(case);
        }
    }
}

fn report(case: &Case) {
    println!("{} / {}", case.name, case.floor_name);
    for series in SIZES {
        let (ours, floor) = best((case.ours)(series), (case.floor)(series));
        let each = ours.as_nanos() / series as u128;
        let ratio = ours.as_secs_f64() / floor.as_secs_f64();
        println!(
            "  {series:>7} series {ours:>10.1?} {floor:>10.1?}  ratio {ratio:>5.1}  {each:>5} ns a sample"
        );
    }
}

/// Taken in turns, so that a noisy neighbour meets both.
fn best(mut ours: Run, mut floor: Run) -> (Duration, Duration) {
    const PATIENCE: Duration = Duration::from_secs(1);
    const LEAST: u32 = 5;
    let mut best = (Duration::MAX, Duration::MAX);
    let begin = Instant::now();
    let mut rounds = 0;
    while rounds < LEAST || begin.elapsed() < PATIENCE {
        best.0 = best.0.min(once(&mut ours));
        best.1 = best.1.min(once(&mut floor));
        rounds += 1;
    }
    best
}

fn once(run: &mut Run) -> Duration {
    let start = Instant::now();
    let kept = run();
    let elapsed = start.elapsed();
    drop(kept);
    elapsed
}
