//! CPU time by the scheduler's own count, in nanoseconds: /proc/<pid>/stat counts in steps of 10 ms.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Counts a thread, or all threads of a process, those included that end between two readings.
pub(crate) struct Meter {
    of: Of,
    last: HashMap<PathBuf, Duration>,
}

enum Of {
    Thread(PathBuf),
    Process(PathBuf),
}

impl Meter {
    #[allow(dead_code, reason = "each bench counts its own")]
    pub(crate) fn of_thread(task: PathBuf) -> Self {
        Self { of: Of::Thread(task), last: HashMap::new() }
    }

    pub(crate) fn of_process(pid: u32) -> Self {
        Self { of: Of::Process(PathBuf::from(format!("/proc/{pid}/task"))), last: HashMap::new() }
    }

    /// The time so far. What a thread has spent since the last reading is lost when it ends.
    pub(crate) fn read(&mut self) -> io::Result<Duration> {
        match &self.of {
            Of::Thread(task) => {
                self.last.insert(task.clone(), cpu_time(task)?);
            }
            Of::Process(tasks) => {
                for task in fs::read_dir(tasks)? {
                    let task = task?.path();
                    // One that has just ended.
                    let Ok(time) = cpu_time(&task) else { continue };
                    self.last.insert(task, time);
                }
            }
        }
        Ok(self.last.values().sum())
    }
}

/// CPU time of this thread.
#[allow(dead_code, reason = "each bench counts its own")]
pub(crate) fn of_this_thread() -> io::Result<Duration> {
    cpu_time(Path::new("/proc/thread-self"))
}

fn cpu_time(task: &Path) -> io::Result<Duration> {
    let line = fs::read_to_string(task.join("schedstat"))?;
    let nanoseconds = line.split_ascii_whitespace().next().and_then(|field| field.parse().ok());
    nanoseconds.map(Duration::from_nanos).ok_or_else(|| io::Error::other("no schedstat"))
}
