//! The same comparison in instructions, as valgrind's callgrind counts them: they hardly move, whatever else the machine does. What the kernel
//! does is not in them, nor what waits for memory. Asks for valgrind, and for `--features rustix/use-libc-auxv`: what rustix reads of the
//! auxiliary vector by itself is not what valgrind shows to the program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::bare::Bare;
use crate::world::{Message, Place};
use crate::{INTERVAL, program};

const WARM_UP: u64 = 5;
const SCRAPES: u64 = 10;

/// The argument by which this process is the bare loop itself.
const BARE: &str = "bare-loop";

/// Each contender alone; `keep`: where callgrind's profiles go.
pub(crate) fn compare(series: usize, keep: Option<&Path>) -> io::Result<()> {
    println!("{series} series; instructions of one scrape, in thousands, those of the kernel not counted");
    let place = Place::new(series, Message::V1)?;
    let [launcher, arguments @ ..] = valgrind(&place);
    let mut bare_loop = Command::new(launcher);
    bare_loop.args(arguments).arg(std::env::current_exe()?);
    bare_loop.arg(BARE).arg(place.socket()).arg(place.sink.to_string());
    let bare = count(&mut bare_loop, &place, keep.map(|dir| dir.join("bare")))?;
    let of_program = |message, name| {
        let place = Place::new(series, message)?;
        let mut command = program(&place, &valgrind(&place));
        // Instructions are read from outside.
        command.env("SANDBOX", "off");
        count(&mut command, &place, keep.map(|dir| dir.join(name)))
    };
    let (v1, v2) = (of_program(Message::V1, "1.0")?, of_program(Message::V2, "2.0")?);
    println!("  bare loop    program   as 2.0   ratio   as 2.0   2.0 to 1.0");
    println!(
        "  {:>9} {:>10} {:>8} {:>7.2} {:>8.2} {:>12.2}",
        bare / 1_000,
        v1 / 1_000,
        v2 / 1_000,
        ratio(v1, bare),
        ratio(v2, bare),
        ratio(v2, v1)
    );
    Ok(())
}

/// Is the bare loop until it is killed, if the arguments say so.
pub(crate) fn be_bare_loop(arguments: &[String]) -> io::Result<bool> {
    let [BARE, socket, sink] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
        return Ok(false);
    };
    let mut bare = Bare::between(PathBuf::from(socket), sink.parse().map_err(io::Error::other)?)?;
    loop {
        bare.turn()?;
        thread::sleep(INTERVAL);
    }
}

fn valgrind(place: &Place) -> [String; 3] {
    let file = place.dir.path().join("callgrind.out");
    ["valgrind".to_owned(), "--tool=callgrind".to_owned(), format!("--callgrind-out-file={}", file.display())]
}

/// Instructions of one scrape: the mean of [`SCRAPES`] behind the first ones.
fn count(command: &mut Command, place: &Place, keep: Option<PathBuf>) -> io::Result<u64> {
    // Of `rep movsb` and `rep stosb` callgrind counts each byte: vectors are to move and fill.
    let never = ["movsb", "stosb"].map(|what| format!("glibc.cpu.x86_rep_{what}_threshold=1000000000"));
    command.env("GLIBC_TUNABLES", never.join(":"));
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut running = Running(child);
    place.wait_for(WARM_UP, || Ok(()))?;
    running.control("--zero")?;
    let before = place.scrapes();
    place.wait_for(before + SCRAPES, || Ok(()))?;
    let scrapes = place.scrapes() - before;
    running.control("--dump")?;
    running.0.kill()?;
    // The dump that was asked for is the first.
    let profile = place.dir.path().join("callgrind.out.1");
    let text = fs::read_to_string(&profile)?;
    let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.trim().parse::<u64>().ok());
    if let Some(keep) = keep {
        fs::copy(&profile, keep)?;
    }
    total.map(|total| total / scrapes).ok_or_else(|| io::Error::other("callgrind has written no total"))
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn control(&self, what: &str) -> io::Result<()> {
        let status = Command::new("callgrind_control")
            .arg(what)
            .arg(self.0.id().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other("callgrind_control has failed")) }
    }
}

#[allow(clippy::cast_precision_loss, reason = "millions")]
fn ratio(of: u64, to: u64) -> f64 {
    of as f64 / to as f64
}
