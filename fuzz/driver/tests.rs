use std::hint::black_box;
use std::time::Duration;

use super::campaign::{Budget, run};
use super::corpus::Home;
use super::mutate::mutated;
use super::random::Random;
use super::targets::{Outcome, Target};

const BUDGET: Budget = Budget { time: Duration::from_secs(60), executions: 200_000 };

const PLAIN: Target = Target {
    name: "planted",
    run: |_| Outcome::default(),
    words: &[b"word"],
    fixtures: &[],
    longest: 200,
    memory: (1 << 20, 0),
};

fn found(run_target: fn(&[u8]) -> Outcome, seed: u64) -> (String, Vec<u8>) {
    let root = tempfile::tempdir().unwrap();
    let target = Target { run: run_target, ..PLAIN };
    let home = Home::below(root.path(), &target);
    let report = run(&target, &home, seed, BUDGET);
    let (fault, path) = report.found.expect("the planted fault");
    let told = std::fs::read_to_string(path.with_extension("txt")).unwrap();
    assert!(told.contains(&format!("seed {seed}, execution {}", report.executions)), "{told}");
    assert!(!home.artifacts().join("in-flight").exists());
    (fault.what, std::fs::read(path).unwrap())
}

#[test]
fn a_fault_behind_a_word_and_a_number_is_found_and_made_small() {
    let planted = |input: &[u8]| {
        let at = input.windows(4).position(|four| four == b"word");
        let next = at.and_then(|at| input.get(at + 4));
        assert!(next != Some(&0xff), "planted");
        Outcome::default().with(at.is_some()).with_count(input.len() as u64)
    };
    let (what, input) = found(planted, 1);
    assert!(what.contains("planted"), "{what}");
    assert_eq!(input, b"word\xff");
}

#[test]
fn novelty_leads_step_by_step_to_what_chance_would_not_hit() {
    let planted = |input: &[u8]| {
        let right = input.iter().zip(b"staircase").take_while(|(a, b)| a == b).count();
        assert!(right < 6, "planted");
        Outcome::default().with(right)
    };
    let (_, input) = found(planted, 2);
    assert_eq!(input, b"stairc");
}

#[test]
fn too_much_memory_is_a_finding() {
    let planted = |input: &[u8]| {
        let size = if input.len() > 20 { 2 << 20 } else { 1 };
        black_box(vec![1_u8; size]);
        Outcome::default()
    };
    let (what, input) = found(planted, 3);
    assert!(what.starts_with("memory\n"), "{what}");
    assert_eq!(input.len(), 21);
}

#[test]
fn a_seed_gives_the_same_inputs_again() {
    let inputs = |seed| {
        let mut random = Random::new(seed);
        let mut next = || mutated(b"a parent of some length", b"another", &PLAIN, &mut random);
        (0..1_000).map(|_| next()).collect::<Vec<_>>()
    };
    assert_eq!(inputs(7), inputs(7));
    assert_ne!(inputs(7), inputs(8));
    assert!(inputs(9).iter().all(|input| input.len() <= PLAIN.longest));
}
