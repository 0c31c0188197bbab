use super::examine::{Examiner, Fault};

/// As many tries as this; a few seconds for most targets.
const TRIES: u32 = 3_000;

/// A shorter and plainer input that shows the same fault.
pub(crate) fn minimised(input: &[u8], fault: &Fault, examiner: &mut Examiner<'_>) -> Vec<u8> {
    let mut tries = 0;
    let mut shows = |candidate: &[u8]| {
        tries += 1;
        let mut same = || examiner.examine(candidate).is_err_and(|found| found.kind() == fault.kind());
        tries <= TRIES && same()
    };
    let mut best = input.to_vec();
    let mut block = best.len().next_power_of_two();
    while block > 0 {
        let mut at = 0;
        while at < best.len() {
            let mut shorter = best.clone();
            shorter.drain(at..(at + block).min(best.len()));
            if shows(&shorter) {
                best = shorter;
            } else {
                at += block;
            }
        }
        block /= 2;
    }
    for at in 0..best.len() {
        for plain in *b"a0\0" {
            let mut plainer = best.clone();
            plainer[at] = plain;
            if best[at] != plain && !b"a0\0".contains(&best[at]) && shows(&plainer) {
                best = plainer;
            }
        }
    }
    best
}
