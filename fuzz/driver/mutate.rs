use super::random::Random;
use super::targets::Target;

/// Numbers at the edges of types, of lengths and of ASCII.
const EDGES: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Numbers as text, for languages that have them.
const SPELLED: [&[u8]; 8] =
    [b"0", b"-1", b"1", b"127", b"65536", b"2147483648", b"9223372036854775808", b"1e400"];

/// Longest block that is copied, taken out or put in at once, bytes.
const BLOCK: usize = 128;

/// A neighbour of `parent`: one change or a few on top of each other, more rarely many. `other` lends pieces.
pub(crate) fn mutated(parent: &[u8], other: &[u8], target: &Target, random: &mut Random) -> Vec<u8> {
    let mut input = parent.to_vec();
    let changes = if random.one_in(8) { 1 + random.below(16) } else { 1 + random.below(3) };
    for _ in 0..changes {
        change(&mut input, other, target.words, random);
    }
    input.truncate(target.longest);
    input
}

fn change(input: &mut Vec<u8>, other: &[u8], words: &[&[u8]], random: &mut Random) {
    let length = input.len();
    let at = random.below(length + 1);
    let block = 1 + random.below(BLOCK.min(length + 1));
    match random.below(12) {
        0 => touch(input, at, |byte| *byte ^= 1 << (block % 8)),
        1 => {
            let value = random.number() as u8;
            touch(input, at, |byte| *byte = value);
        }
        2 => {
            let by = 1 + random.below(16) as u8;
            let up = random.one_in(2);
            touch(input, at, |byte| *byte = if up { byte.wrapping_add(by) } else { byte.wrapping_sub(by) });
        }
        3 => overwrite(input, at, &edge(random)),
        4 => insert(input, at, random.pick(words).unwrap_or_default()),
        5 => overwrite(input, at, random.pick(words).unwrap_or_default()),
        6 => {
            let digits = input[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            input.splice(at..at + digits, random.pick(&SPELLED).unwrap_or_default().iter().copied());
        }
        7 => {
            input.drain(at..(at + block).min(length));
        }
        8 => {
            let from = random.below(length + 1);
            let piece = input[from..(from + block).min(length)].to_vec();
            let times = if random.one_in(6) { 1 + random.below(40) } else { 1 };
            insert(input, at, &piece.repeat(times));
        }
        9 => {
            let from = random.below(other.len() + 1);
            let piece = &other[from..(from + block).min(other.len())];
            if random.one_in(2) { insert(input, at, piece) } else { overwrite(input, at, piece) }
        }
        // Ours up to here, from there on the other's.
        10 => {
            input.truncate(at);
            input.extend_from_slice(&other[random.below(other.len() + 1)..]);
        }
        11.. => {
            if random.one_in(3) {
                input.truncate(at);
            } else {
                let filler = random.number() as u8;
                insert(input, at, &vec![filler; block]);
            }
        }
    }
}

fn edge(random: &mut Random) -> Vec<u8> {
    let value = EDGES[random.below(EDGES.len())];
    let width = 1 << random.below(4);
    if random.one_in(2) {
        value.to_le_bytes()[..width].to_vec()
    } else {
        value.to_be_bytes()[8 - width..].to_vec()
    }
}

fn touch(input: &mut [u8], at: usize, change: impl FnOnce(&mut u8)) {
    if let Some(byte) = input.get_mut(at) {
        change(byte);
    }
}

fn overwrite(input: &mut Vec<u8>, at: usize, with: &[u8]) {
    input.splice(at..(at + with.len()).min(input.len()), with.iter().copied());
}

fn insert(input: &mut Vec<u8>, at: usize, what: &[u8]) {
    input.splice(at..at, what.iter().copied());
}
