//! What the kernel says about this process, under the names that every Prometheus client uses. `/proc` is memory, not disk.

use std::borrow::Cow;
use std::fs;
use std::io::Read;

use crate::telemetry::exposition::{Exposition, Kind};

/// Appends the `process_*` families; one that cannot be read is left out.
pub(super) fn write(exposition: &mut Exposition<'_>, start_time_seconds: f64) {
    // One read: the file has no length by which a buffer could be made.
    let mut stat = [0; 1024];
    let length = fs::File::open("/proc/self/stat").and_then(|mut file| file.read(&mut stat));
    let stat = length.map_or(Cow::default(), |length| String::from_utf8_lossy(&stat[..length]));
    if let Some(stat) = Stat::parse(&stat) {
        #[expect(clippy::cast_precision_loss, reason = "ticks stay far below 2^53")]
        let cpu = stat.ticks as f64 / rustix::param::clock_ticks_per_second().max(1) as f64;
        let resident = stat.resident_pages * rustix::param::page_size() as u64;
        exposition.single("process_cpu_seconds_total", Kind::Counter, "User and system CPU time", cpu);
        exposition.single("process_resident_memory_bytes", Kind::Gauge, "Resident memory", resident);
        exposition.single("process_virtual_memory_bytes", Kind::Gauge, "Virtual memory", stat.virtual_bytes);
        exposition.single("process_threads", Kind::Gauge, "Threads", stat.threads);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        exposition.single("process_open_fds", Kind::Gauge, "Open file descriptors", open.count());
    }
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        exposition.single("process_max_fds", Kind::Gauge, "Limit of open file descriptors", limit);
    }
    let help = "Start of the process, seconds since the epoch";
    exposition.single("process_start_time_seconds", Kind::Gauge, help, start_time_seconds);
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    ticks: u64,
    threads: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    /// Fields by their numbers in proc(5); the command's name in parentheses may hold anything.
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            ticks: field(14)? + field(15)?,
            threads: field(20)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let stat = "7 (a) b) S 1 1 1 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 5 0 100 4096000 250 184467";
        let expected = Stat { ticks: 42, threads: 5, virtual_bytes: 4_096_000, resident_pages: 250 };
        assert_eq!(Stat::parse(stat), Some(expected));
        assert_eq!(Stat::parse(""), None);
    }
}
