use std::collections::HashSet;
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::corpus::Home;
use super::examine::{Examiner, Fault};
use super::minimise::minimised;
use super::mutate::mutated;
use super::random::Random;
use super::targets::Target;

/// Inputs that are remembered during a run, besides the kept ones.
const REMEMBERED: usize = 4_096;

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) time: Duration,
    pub(crate) executions: u64,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) executions: u64,
    pub(crate) outcomes: usize,
    /// The first thing that was found, with the file of its minimised input.
    pub(crate) found: Option<(Fault, PathBuf)>,
}

/// The whole of one test: `FUZZ_INPUT` alone, or everything that is kept and then, for `FUZZ_TIME`, its mutations from `FUZZ_SEED` on.
pub(crate) fn fuzz(target: &Target) {
    let home = Home::new(target);
    if let Some(path) = env::var_os("FUZZ_INPUT") {
        let input = fs::read(&path).unwrap();
        let result = Examiner::new(target, &home.artifacts()).examine(&input);
        let fault = result.map_err(|fault| fault.what).err();
        assert!(fault.is_none(), "{}", fault.unwrap_or_default());
        return;
    }
    let time = env::var("FUZZ_TIME").ok().filter(|text| !text.is_empty());
    let time =
        time.map(|text| seconds(&text).unwrap_or_else(|| panic!("FUZZ_TIME={text}: write 5s, 10m or 2h")));
    let seed = env::var("FUZZ_SEED").ok().filter(|text| !text.is_empty());
    let seed = seed.map_or_else(now, |text| text.parse().expect("FUZZ_SEED is a number"));
    replay(target, &home);
    let Some(time) = time else { return };
    eprintln!("fuzz: {}: seed {seed}", target.name);
    let begun = Instant::now();
    let report = run(target, &home, seed, Budget { time, executions: u64::MAX });
    let (executions, took) = (report.executions, begun.elapsed().as_secs_f64());
    eprintln!(
        "fuzz: {}: {executions} executions in {took:.1} s ({:.0}/s), {} sorts of outcome, seed {seed}",
        target.name,
        executions as f64 / took,
        report.outcomes,
    );
    if let Some((fault, path)) = report.found {
        panic!("{}\nfound by seed {seed}; the input is {}", fault.what, path.display());
    }
}

/// # Panics
/// With all inputs that show a fault.
fn replay(target: &Target, home: &Home) {
    let mut examiner = Examiner::new(target, &home.artifacts());
    let kept = home.kept(target);
    assert!(!kept.is_empty(), "there is no corpus for {}", target.name);
    let faults = kept.iter().filter_map(|(path, input)| {
        let fault = examiner.examine(input).err()?;
        Some(format!("{}: {}", path.display(), fault.what))
    });
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Mutates until the budget is spent, or something is found.
pub(crate) fn run(target: &Target, home: &Home, seed: u64, budget: Budget) -> Report {
    let begun = Instant::now();
    let mut random = Random::new(seed);
    let mut examiner = Examiner::new(target, &home.artifacts());
    let mut inputs: Vec<Vec<u8>> = home.kept(target).into_iter().map(|(_, input)| input).collect();
    inputs.push(Vec::new());
    let kept = inputs.len();
    let mut outcomes = HashSet::new();
    outcomes.extend(inputs.iter().filter_map(|input| examiner.examine(input).ok()));
    let mut executions = 0;
    while executions < budget.executions && begun.elapsed() < budget.time {
        let parent = parent(&inputs, &mut random);
        let other = &inputs[random.below(inputs.len())];
        let input = mutated(&inputs[parent], other, target, &mut random);
        executions += 1;
        match examiner.examine(&input) {
            Ok(outcome) if !outcomes.insert(outcome) => {}
            Ok(_) if inputs.len() < kept + REMEMBERED => inputs.push(input),
            Ok(_) => inputs[kept + random.below(REMEMBERED)] = input,
            Err(fault) => {
                let least = minimised(&input, &fault, &mut examiner);
                let path = keep(home, &least, &fault, seed, executions);
                return Report { executions, outcomes: outcomes.len(), found: Some((fault, path)) };
            }
        }
    }
    Report { executions, outcomes: outcomes.len(), found: None }
}

/// One of the newest half of the time: what is new has new neighbours. Of two the shorter one, which takes less time.
fn parent(inputs: &[Vec<u8>], random: &mut Random) -> usize {
    let newest = if random.one_in(2) { inputs.len().min(64) } else { inputs.len() };
    let mut draw = || inputs.len() - 1 - random.below(newest);
    let (one, two) = (draw(), draw());
    if inputs[one].len() <= inputs[two].len() { one } else { two }
}

/// The input, and beside it what it shows.
fn keep(home: &Home, input: &[u8], fault: &Fault, seed: u64, executions: u64) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    hasher.write(input);
    let path = home.artifacts().join(format!("{:016x}", hasher.finish()));
    fs::write(&path, input).unwrap();
    let told = format!("seed {seed}, execution {executions}\n{}\n\n{}\n", fault.what, input.escape_ascii());
    fs::write(path.with_extension("txt"), told).unwrap();
    path
}

/// `5s`, `10m`, `2h`.
fn seconds(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    number.parse::<u64>().ok().map(|number| Duration::from_secs(number * unit))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}
