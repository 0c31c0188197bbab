//! What a target may send at the default limits: the scrape fails as a whole or is good, and the next good one arrives.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::target::{Conduct, GOOD, Target, drip, endlessly, head, noise, ok};
use super::{Peak, block_on, measure, until};
use crate::support::program::World;

const MIB: usize = 1 << 20;

const TIMED_OUT: &str = "no complete answer within 1s";

/// What a scrape of it must come to.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Comes {
    /// `up` is 0 each time, and the log gives this reason.
    Fails(&'static str),
    /// `up` is 1.
    Good,
    /// Either, as memory allows: what came and what went are held for a moment together.
    Bounded,
}

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) comes: Comes,
    pub(super) scrapes: usize,
    /// Beside those of the target.
    pub(super) settings: &'static [(&'static str, &'static str)],
    /// Makes its bodies when its turn comes: all of them at once would be half a gigabyte.
    pub(super) conduct: Box<dyn FnOnce() -> Arc<Conduct> + Send>,
}

/// The scrape fails as it takes too much.
pub(super) const MEMORY: Comes = Comes::Fails("bytes of memory; a larger SCRAPE_BODY_SIZE_LIMIT allows more");

fn case(
    name: &'static str,
    comes: Comes,
    conduct: impl Fn(&mut UnixStream, usize) -> io::Result<()> + Send + Sync + 'static,
) -> Case {
    Case { name, comes, scrapes: 2, settings: &[], conduct: Box::new(|| Arc::new(conduct)) }
}

/// An answer that is the same each time.
fn fixed(name: &'static str, comes: Comes, answer: impl FnOnce() -> Vec<u8> + Send + 'static) -> Case {
    let conduct = || -> Arc<Conduct> {
        let answer = answer();
        Arc::new(move |stream, _| stream.write_all(&answer))
    };
    Case { name, comes, scrapes: 2, settings: &[], conduct: Box::new(conduct) }
}

/// Different bodies, one after another and from the start again.
fn changing(name: &'static str, comes: Comes, body: impl Fn(usize) -> String + Send + 'static) -> Case {
    let conduct = move || -> Arc<Conduct> {
        let answers: Vec<_> = (0..3).map(|number| ok("", body(number))).collect();
        Arc::new(move |stream, number| stream.write_all(&answers[number % answers.len()]))
    };
    Case { name, comes, scrapes: 3, settings: &[], conduct: Box::new(conduct) }
}

/// An answer of less than so many bytes.
fn one_series(bytes: usize) -> Vec<u8> {
    let line = format!("m{{a=\"{}\"}} 1\n", "x".repeat(200));
    ok("", line.repeat((bytes - 1) / line.len()))
}

/// So many series with the shortest of names, none of them in another round.
fn shortest(count: usize, round: usize) -> String {
    let mut body = String::new();
    for number in 0..count {
        writeln!(body, "{}{:x} 1", ['a', 'b', 'c'][round], number).unwrap();
    }
    body
}

/// So many series as real targets have them, under four labels and in families of 500.
fn ordinary(count: usize, round: usize) -> String {
    let mut body = String::new();
    for number in 0..count {
        let family = number / 500;
        if number % 500 == 0 {
            writeln!(body, "# HELP docker_thing_{family}_seconds How long things of kind {family} take.")
                .unwrap();
            writeln!(body, "# TYPE docker_thing_{family}_seconds gauge").unwrap();
        }
        let container = (number + count * round) * 7_919;
        writeln!(
            body,
            "docker_thing_{family}_seconds{{action=\"start\",container=\"{container:012x}\",network=\"bridge\",state=\"running\"}} {number}.25"
        )
        .unwrap();
    }
    body
}

fn cases() -> Vec<Case> {
    use Comes::{Bounded, Fails, Good};
    const TOO_LONG: Comes = Fails("a series, a HELP text or a family's name of more than 131072 bytes");
    const BODY: Comes = Fails("the limit of SCRAPE_BODY_SIZE_LIMIT");
    const BROKEN: Comes = Fails("metrics.sock: ");
    const LATE: Comes = Fails(TIMED_OUT);
    let long = || noise(10 * MIB, 1);
    let mut cases = vec![
        fixed("nothing hostile", Good, move || ok("", "a 1\n")),
        case("endless body", BODY, |stream, _| {
            stream.write_all(head("").as_bytes())?;
            endlessly(stream, b"# for ever\n")
        }),
        fixed("5 million series", BODY, five_million),
        // What gzip -9 makes of 10 GiB of zeros is a matter of its first bytes: it is refused by its header.
        case(
            "gzip bomb that nobody asked for",
            Fails("content encoding \\\"gzip\\\" was not asked for"),
            |stream, _| {
                stream.write_all(head("Content-Encoding: gzip\r\n").as_bytes())?;
                stream.write_all(b"\x1f\x8b\x08\0\0\0\0\0\x02\x03")?;
                endlessly(stream, &[0xec, 0xc1, 0x01, 0x01, 0, 0, 0, 0x80, 0x90, 0xfe])
            },
        ),
        fixed("10 MiB line (name)", TOO_LONG, move || ok("", format!("m{} 1\n", long()))),
        fixed("10 MiB line (comment)", Good, move || ok("", format!("#{}\na 1\n", long()))),
        fixed("10 MiB label value", TOO_LONG, move || ok("", format!("m{{a=\"{}\"}} 1\n", long()))),
        fixed("10 MiB label name", TOO_LONG, move || ok("", format!("m{{a{}=\"x\"}} 1\n", long()))),
        fixed("10 MiB HELP", TOO_LONG, move || ok("", format!("# HELP m {}\nm 1\n", long()))),
        fixed("10 MiB TYPE word", Fails("is none of counter, gauge"), move || {
            ok("", format!("# TYPE m {}\nm 1\n", long()))
        }),
        fixed("10 MiB without a line end or a quote", Fails("the double quote is not closed"), move || {
            ok("", format!("m{{a=\"{}", long()))
        }),
        fixed("the same 7 MiB label name twice", TOO_LONG, move || {
            let name = noise(7 * MIB, 1);
            ok("", format!("m{{a{name}=\"1\",a{name}=\"2\"}} 1\n"))
        }),
        fixed("15 HELP texts of 1 MiB", TOO_LONG, move || {
            let help = |n: usize| format!("# HELP m{n} {}\nm{n} 1\n", noise(MIB, n as u64 + 9));
            ok("", (0..15).map(help).collect::<String>())
        }),
        changing("15 MiB of HELP texts of 100 KiB, new each time, of which 1 KiB is kept", Good, |round| {
            let help = |n: usize| {
                format!("# HELP m{n} {}\nm{n} 1\n", noise(MIB / 10, (150 * round + n) as u64 + 77))
            };
            (0..150).map(help).collect()
        }),
        changing("15 MiB of labels of 100 KiB, new each time", MEMORY, |round| {
            let line = |n: usize| format!("m{{a=\"{}\"}} 1\n", noise(MIB / 10, (150 * round + n) as u64 + 7));
            (0..150).map(line).collect()
        }),
        changing("1 MiB of labels of 100 KiB, new each time", Good, |round| {
            let line = |n: usize| format!("m{{a=\"{}\"}} 1\n", noise(MIB / 10, (150 * round + n) as u64 + 7));
            (0..10).map(line).collect()
        }),
        fixed("9,000 labels in one series", Good, move || {
            let labels: Vec<_> = (0..9_000).map(|n| format!("l{n:x}=\"\"")).collect();
            ok("", format!("m{{{}}} 1\n", labels.join(",")))
        }),
        fixed("14 MiB of lines that are all one series", Good, || one_series(14 * MIB)),
        // The lines are kept beside the body.
        fixed("16 MiB of lines that are all one series", MEMORY, || one_series(16 * MIB)),
        changing("700,000 families without series, new each time", MEMORY, |round| {
            (0..700_000).map(|n| format!("# TYPE m{round}{n:x} gauge\n")).collect()
        }),
        changing("199,999 series, new each time", MEMORY, |round| shortest(199_999, round)),
        changing("30,000 series, new each time", Bounded, |round| shortest(30_000, round)),
        changing("30,000 series, always the same", Good, |_| shortest(30_000, 0)),
        changing("20,000 series of four labels, always the same", Good, |_| ordinary(20_000, 0)),
        changing("10,000 series of four labels, new each time", Good, |round| ordinary(10_000, round)),
        case("slow drip", LATE, |stream, _| {
            stream.write_all(head("").as_bytes())?;
            drip(stream, b"m 1\n")
        }),
        case("slow drip of the head", LATE, drip_head),
        fixed("NUL in a name", Fails("exposition line 2, column 2: "), move || ok("", "a 1\nb\0c 1\n")),
        fixed("NUL in a label value", Good, move || ok("", "a{x=\"\0\"} 1\n")),
        fixed("invalid UTF-8", Fails("not valid UTF-8"), move || ok("", b"a 1\nb{x=\"\xff\xfe\"} 1\n")),
        fixed("16 MiB of noise", Fails("exposition line 1, column "), move || ok("", noise(16 * MIB - 1, 3))),
        fixed("16 MiB of 0xff", Fails("exposition line 1, column 1: "), move || {
            ok("", vec![0xff; 16 * MIB - 1])
        }),
        case("endless head", BROKEN, |stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            endlessly(stream, b"X-Header: for ever\r\n")
        }),
        case("endless status line", BROKEN, |stream, _| {
            stream.write_all(b"HTTP/1.1 200 ")?;
            endlessly(stream, b"fine ")
        }),
        case("endless chunk extension", BROKEN, |stream, _| {
            stream.write_all(head("Transfer-Encoding: chunked\r\n").as_bytes())?;
            stream.write_all(b"4;")?;
            endlessly(stream, b"extension=")
        }),
        case("endless trailers", BROKEN, |stream, _| {
            stream.write_all(head("Transfer-Encoding: chunked\r\n").as_bytes())?;
            stream.write_all(b"4\r\na 1\n\r\n0\r\n")?;
            endlessly(stream, b"X-Trailer: for ever\r\n")
        }),
        // Where a chunk takes its time the time is up first.
        case("endless chunks of one byte", BROKEN, |stream, _| {
            stream.write_all(head("Transfer-Encoding: chunked\r\n").as_bytes())?;
            endlessly(stream, b"1\r\n#\r\n")
        }),
        fixed("endless interim answers", BROKEN, move || b"HTTP/1.1 102 Processing\r\n\r\n".repeat(100_000)),
        fixed("Content-Length of 16 EiB", BROKEN, move || {
            head("Content-Length: 18446744073709551614\r\n").into_bytes()
        }),
        fixed("Content-Length that is too large", BROKEN, move || {
            [head("Content-Length: 5000\r\n").as_bytes(), b"a 1\n"].concat()
        }),
        fixed("Content-Length that cuts a line", Fails("exposition line 2, column "), move || {
            [head("Content-Length: 5\r\n").as_bytes(), b"a 1\nb 2\n"].concat()
        }),
        fixed("two Content-Lengths", BROKEN, move || {
            [head("Content-Length: 4\r\nContent-Length: 5\r\n").as_bytes(), b"a 1\nb"].concat()
        }),
        fixed("not HTTP", BROKEN, move || noise(MIB, 4).into_bytes()),
    ];
    // A connection that ends at each stage: after nothing, in the status line, in the head, before the body, in a chunk.
    let whole = [head("Transfer-Encoding: chunked\r\n").as_bytes(), b"8\r\na 1\nb 2\n\r\n0\r\n\r\n"].concat();
    let stages = [0, 9, 30, head("Transfer-Encoding: chunked\r\n").len(), whole.len() - 12, whole.len() - 3];
    let ends = move |stream: &mut UnixStream, number: usize| -> io::Result<()> {
        stream.write_all(&whole[..stages[number % stages.len()]])
    };
    cases.push(Case { scrapes: stages.len(), ..case("ends at each stage", BROKEN, ends) });
    cases
}

fn drip_head(stream: &mut UnixStream, _: usize) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nX-Header: ")?;
    drip(stream, b"x")
}

/// 5 million series are 50 MB, of which 16 MiB are read.
fn five_million() -> Vec<u8> {
    let (mut body, mut number) = (head("").into_bytes(), *b"0000000");
    for _ in 0..5_000_000 {
        body.push(b'm');
        body.extend_from_slice(&number);
        body.extend_from_slice(b" 1\n");
        for digit in number.iter_mut().rev() {
            *digit = if *digit == b'9' { b'0' } else { *digit + 1 };
            if *digit != b'0' {
                break;
            }
        }
    }
    body
}

pub(super) async fn run(case: Case) -> Peak {
    let Case { name, comes, scrapes, settings, conduct } = case;
    let conduct = conduct();
    let world = World::new().await;
    let path = world.path("hostile.metrics.sock");
    let target = Target::listen(&path, conduct);
    let url = format!("unix://{}", path.display());
    let settings: Vec<_> =
        [("SCRAPE_URL", url.as_str())].into_iter().chain(settings.iter().copied()).collect();
    let mut program = world.run(&settings);
    let ups = |value: f64| {
        world.receiver.read(|state| {
            let ups = state.store.select(&[("__name__", "up"), ("job", "docker")]);
            ups.flat_map(|(_, samples)| samples).filter(|sample| sample.bits == value.to_bits()).count()
        })
    };
    // A busy machine may take its second for the first ones.
    let is_enough = || matches!(comes, Comes::Fails(_)) || ups(1.0) > 0;
    until(&format!("{name}: {scrapes} scrapes"), || {
        target.asked() >= scrapes && ups(0.0) + ups(1.0) >= scrapes - 1 && is_enough()
    })
    .await;
    let good = ups(1.0);
    match comes {
        Comes::Fails(reason) => {
            assert_eq!(good, 0, "{name}: {}", program.said());
            program.says(reason).await;
        }
        Comes::Good => {
            // A busy machine may take its second.
            let said = program.said();
            let mut failures = said.lines().filter(|line| line.contains("scrape failed"));
            assert!(good > 0 && failures.all(|line| line.contains(TIMED_OUT)), "{name}: {said}");
        }
        Comes::Bounded => assert!(good > 0, "{name}: {}", program.said()),
    }
    target.be_good();
    let arrived = || world.receiver.read(|state| state.count(&[("__name__", GOOD)]) > 0);
    until(&format!("{name}: the next good scrape"), arrived).await;
    let bytes = program.peak_rss();
    let (status, said, _) = program.terminated().await;
    assert!(status.success() && !said.contains("panicked"), "{name}: {said}");
    Peak { name, bytes }
}

#[test]
fn whatever_a_target_sends_the_process_stays_small_and_the_next_good_scrape_arrives() {
    let mut all = cases();
    // A word of a case's name, for a person with one in mind.
    if let Ok(only) = std::env::var("HOSTILE_CASE") {
        all.retain(|case| case.name.contains(&only));
    }
    measure("exposition", all, |case| block_on(run(case)));
}
