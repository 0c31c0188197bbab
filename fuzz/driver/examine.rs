use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use allocation_counter::measure;

use super::targets::{Outcome, Target, panics};

/// One input may take so long, on a busy machine and without optimisation.
const LIMIT: Duration = Duration::from_secs(20);

/// What an input has shown to be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The panic's place and words, or which bound was broken.
    pub(crate) what: String,
}

impl Fault {
    /// Its first line, which for a panic is the place: two inputs with the same show the same.
    pub(crate) fn kind(&self) -> &str {
        self.what.lines().next().unwrap_or_default()
    }
}

/// Runs inputs through a target. What the current input is stands in a file, so that it is known after a stack overflow, too; it goes with
/// this value.
pub(crate) struct Examiner<'a> {
    target: &'a Target,
    in_flight: PathBuf,
    file: File,
    written: u64,
    /// Grows with each input; the watchdog looks at it.
    begun: Arc<AtomicU64>,
}

/// In place of a number of inputs: the watchdog may go.
const OVER: u64 = u64::MAX;

impl<'a> Examiner<'a> {
    pub(crate) fn new(target: &'a Target, artifacts: &Path) -> Self {
        panics::watch();
        fs::create_dir_all(artifacts).unwrap();
        let in_flight = artifacts.join("in-flight");
        let file = File::create(&in_flight).unwrap();
        let begun = Arc::new(AtomicU64::new(0));
        watch(target.name, in_flight.clone(), Arc::clone(&begun));
        Self { target, in_flight, file, written: 0, begun }
    }

    pub(crate) fn examine(&mut self, input: &[u8]) -> Result<Outcome, Fault> {
        self.file.write_all_at(input, 0).unwrap();
        if self.written != input.len() as u64 {
            self.file.set_len(input.len() as u64).unwrap();
            self.written = input.len() as u64;
        }
        self.begun.fetch_add(1, Ordering::Relaxed);
        let mut result = None;
        panics::quiet(true);
        let held = measure(|| {
            result = Some(catch_unwind(AssertUnwindSafe(|| (self.target.run)(input))));
        });
        panics::quiet(false);
        let own = thread::current();
        let told = panics::take(own.name().unwrap_or_default());
        let outcome = match result {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) | None => return Err(Fault { what: told.join("\n") }),
        };
        let (base, each) = self.target.memory;
        if held.bytes_max > base + each * input.len() as u64 {
            let what = format!("memory\n{} bytes at once, for an input of {}", held.bytes_max, input.len());
            return Err(Fault { what });
        }
        Ok(outcome)
    }
}

impl Drop for Examiner<'_> {
    fn drop(&mut self) {
        self.begun.store(OVER, Ordering::Relaxed);
        let _ = fs::remove_file(&self.in_flight);
    }
}

/// Ends the process, leaving the input's file behind, if an input takes too long: a thread cannot be stopped from outside.
fn watch(name: &'static str, in_flight: PathBuf, begun: Arc<AtomicU64>) {
    const LOOK: Duration = Duration::from_millis(200);
    thread::spawn(move || {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            thread::sleep(LOOK);
            let now = begun.load(Ordering::Relaxed);
            if now == OVER {
                return;
            }
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > LIMIT {
                let kept = in_flight.with_file_name("hang");
                let _ = fs::rename(&in_flight, &kept);
                eprintln!("fuzz: {name}: an input takes more than {LIMIT:?}: {}", kept.display());
                process::exit(1);
            }
        }
    });
}
