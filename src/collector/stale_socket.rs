//! Whether the metrics socket is dead for ever, and whether ending this process is the cure: decisions alone, no I/O, no clock.
//!
//! dockerd mounts its socket into a plugin before the process starts. With live-restore the process outlives the daemon, and the mount goes on
//! showing the socket of the daemon that is gone: every connect is refused, for ever. A process that ends is started again in 0.1 s, with a
//! fresh mount (docker-plugin 5, 6). Nothing else helps, and ending for any other reason would only lose scrapes.

use std::time::Duration;

use super::Wanted;

/// So many refused probes in a row mean that nobody will ever listen there.
pub(super) const PROBES: u32 = 4;
/// Between two probes. The four of them take 1.5 s, in which a new daemon that is late with its socket can come up.
pub(super) const PROBE_EVERY: Duration = Duration::from_millis(500);
/// How often a socket that cannot be cured right now is probed again: it may have come back by itself.
pub(super) const RECHECK: Duration = Duration::from_secs(10);
/// A process that ends within 0.5 s of its start is not started again (docker-plugin 6); this keeps well away from that.
pub(super) const MIN_UPTIME: Duration = Duration::from_secs(5);
/// Between such an exit and the next one.
pub const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// What [`FIRST_PAUSE`] doubles to with each further exit. After twice this long without one, the doubling begins anew.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What a connect to the socket has said. It is no scrape: nothing of it reaches a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// Somebody listens, or a scrape has succeeded since.
    Alive,
    /// ECONNREFUSED or ENOENT: a socket without a listener, or none at all.
    Dead,
    /// Any other error; a new mount is not known to cure it.
    Unclear,
}

/// Why a dead socket is not cured yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The process is younger than [`MIN_UPTIME`].
    TooYoung,
    /// The last exit is too recent: the fresh mount was dead too, or the daemon restarts again and again.
    TooSoon,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing until dockerd's next call.
    Rest,
    /// Probe after so long.
    Probe(Duration),
    /// The socket is dead and must stay so for a while: say why, probe after so long.
    Wait(Duration, Why),
    /// End the process.
    Exit,
}

/// When a process ended for this reason the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastExit {
    /// As far as is known, never.
    Never,
    /// There is a note of it.
    At {
        /// ms since the epoch.
        ms: i64,
        /// The pause that it demands.
        pause: Duration,
    },
    /// There is no note that can be read, and perhaps none can be kept: it may have been just before this process began.
    Unknown,
}

impl LastExit {
    /// Reads the note: `<ms since the epoch> <pause in seconds>`. What cannot be read is [`LastExit::Unknown`].
    #[must_use]
    pub fn parse(note: &str) -> Self {
        let mut numbers = note.split_ascii_whitespace();
        let ms = numbers.next().and_then(|ms| ms.parse().ok());
        let pause = numbers.next().and_then(|pause| pause.parse().ok()).map(Duration::from_secs);
        match (ms, pause, numbers.next()) {
            (Some(ms), Some(pause), None) => Self::At { ms, pause: pause.clamp(FIRST_PAUSE, LONGEST_PAUSE) },
            (Some(_) | None, Some(_) | None, Some(_) | None) => Self::Unknown,
        }
    }

    /// The note of an exit, empty where there is nothing to say.
    #[must_use]
    pub fn note(self) -> String {
        match self {
            Self::At { ms, pause } => format!("{ms} {}\n", pause.as_secs()),
            Self::Never | Self::Unknown => String::new(),
        }
    }

    /// The exit that a process of age `uptime` makes at `now_ms` (ms since the epoch).
    #[must_use]
    pub fn then(self, now_ms: i64, uptime: Duration) -> Self {
        let pause = match self {
            Self::At { pause, .. } if self.age(now_ms, uptime) < LONGEST_PAUSE * 2 => {
                (pause * 2).min(LONGEST_PAUSE)
            }
            Self::At { .. } | Self::Never | Self::Unknown => FIRST_PAUSE,
        };
        Self::At { ms: now_ms, pause }
    }

    /// How long ago. It was before this process began, so that a clock that was set back does not hold the next one up.
    fn age(self, now_ms: i64, uptime: Duration) -> Duration {
        match self {
            Self::Never => Duration::MAX,
            Self::At { ms, .. } => {
                let by_clock = u64::try_from(now_ms.saturating_sub(ms)).unwrap_or_default();
                Duration::from_millis(by_clock).max(uptime)
            }
            Self::Unknown => uptime,
        }
    }

    /// How long a process of age `uptime` has to go on before it may end, whatever for: dockerd does not start again what dies too young.
    #[must_use]
    pub fn wait(self, now_ms: i64, uptime: Duration) -> Duration {
        self.remaining(now_ms, uptime).max(MIN_UPTIME.saturating_sub(uptime))
    }

    /// What is left of the pause.
    fn remaining(self, now_ms: i64, uptime: Duration) -> Duration {
        let pause = match self {
            Self::Never => Duration::ZERO,
            Self::At { pause, .. } => pause,
            Self::Unknown => FIRST_PAUSE,
        };
        pause.saturating_sub(self.age(now_ms, uptime))
    }
}

/// The decision: calls of dockerd and answers of probes go in, the next step comes out.
#[derive(Debug, Default)]
pub(super) struct StaleSocket {
    /// Refused probes in a row.
    dead: u32,
    stale: bool,
}

impl StaleSocket {
    /// A call of dockerd. Only a StartMetrics to a process that has scraped before makes the socket suspect: with the daemon down there
    /// is no such call, and a process whose mount never worked would gain nothing from another one.
    pub(super) fn called(&mut self, wanted: Wanted, scraped_before: bool) -> Next {
        self.dead = 0;
        match wanted {
            Wanted::Running if scraped_before => Next::Probe(Duration::ZERO),
            Wanted::Running | Wanted::Stopped => Next::Rest,
        }
    }

    /// The answer to a probe.
    pub(super) fn probed(
        &mut self,
        probe: Probe,
        uptime: Duration,
        last_exit: LastExit,
        now_ms: i64,
    ) -> Next {
        match probe {
            Probe::Alive => {
                *self = Self::default();
                return Next::Rest;
            }
            Probe::Unclear => {
                self.dead = 0;
                return Next::Probe(RECHECK);
            }
            Probe::Dead => self.dead = self.dead.saturating_add(1),
        }
        if self.dead < PROBES {
            return Next::Probe(PROBE_EVERY);
        }
        self.stale = true;
        if uptime <= MIN_UPTIME {
            return Next::Wait(MIN_UPTIME - uptime + Duration::from_millis(1), Why::TooYoung);
        }
        match last_exit.remaining(now_ms, uptime) {
            Duration::ZERO => Next::Exit,
            remaining => Next::Wait(remaining.min(RECHECK), Why::TooSoon),
        }
    }

    /// Whether [`PROBES`] in a row were refused, and none was taken since.
    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const OLD: Duration = Duration::from_secs(900);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn at(seconds_ago: i64, pause: u64) -> LastExit {
        LastExit::At { ms: NOW - seconds_ago * 1000, pause: seconds(pause) }
    }

    /// What the fourth refused probe leads to.
    fn verdict(uptime: Duration, last_exit: LastExit) -> Next {
        let mut socket = StaleSocket::default();
        assert_eq!(socket.called(Wanted::Running, true), Next::Probe(Duration::ZERO));
        for _ in 1..PROBES {
            assert_eq!(socket.probed(Probe::Dead, uptime, last_exit, NOW), Next::Probe(PROBE_EVERY));
            assert!(!socket.is_stale());
        }
        let next = socket.probed(Probe::Dead, uptime, last_exit, NOW);
        assert!(socket.is_stale());
        next
    }

    #[test]
    fn only_a_start_after_a_good_scrape_makes_the_socket_suspect() {
        let cases = [
            (Wanted::Running, true, Next::Probe(Duration::ZERO)),
            (Wanted::Running, false, Next::Rest),
            (Wanted::Stopped, true, Next::Rest),
            (Wanted::Stopped, false, Next::Rest),
        ];
        for (wanted, scraped_before, next) in cases {
            let called = StaleSocket::default().called(wanted, scraped_before);
            assert_eq!(called, next, "{wanted:?} {scraped_before}");
        }
    }

    #[test]
    fn four_refusals_half_a_second_apart_end_the_process_if_it_is_old_enough_and_did_not_do_so_lately() {
        let wait = |at_most, why| Next::Wait(at_most, why);
        let cases = [
            (OLD, LastExit::Never, Next::Exit),
            (seconds(4), LastExit::Never, wait(Duration::from_millis(1001), Why::TooYoung)),
            (seconds(5), LastExit::Never, wait(Duration::from_millis(1), Why::TooYoung)),
            (Duration::from_millis(5001), LastExit::Never, Next::Exit),
            (seconds(10), at(59, 60), wait(seconds(1), Why::TooSoon)),
            (seconds(10), at(10, 60), wait(RECHECK, Why::TooSoon)),
            (seconds(10), at(60, 60), Next::Exit),
            (seconds(10), at(3599, 3600), wait(seconds(1), Why::TooSoon)),
            (seconds(10), at(3600, 3600), Next::Exit),
            // The clock was set back by a day.
            (seconds(59), at(-86_400, 60), wait(seconds(1), Why::TooSoon)),
            (seconds(60), at(-86_400, 60), Next::Exit),
            (seconds(59), LastExit::Unknown, wait(seconds(1), Why::TooSoon)),
            (seconds(60), LastExit::Unknown, Next::Exit),
        ];
        for (uptime, last_exit, next) in cases {
            assert_eq!(verdict(uptime, last_exit), next, "{uptime:?} {last_exit:?}");
        }
    }

    #[test]
    fn anything_but_four_refusals_in_a_row_is_no_reason() {
        let mut socket = StaleSocket::default();
        let mut probed = |probe| socket.probed(probe, OLD, LastExit::Never, NOW);
        for _ in 0..3 {
            probed(Probe::Dead);
        }
        assert_eq!(probed(Probe::Unclear), Next::Probe(RECHECK), "counting begins anew");
        for _ in 0..3 {
            assert_eq!(probed(Probe::Dead), Next::Probe(PROBE_EVERY));
        }
        assert_eq!(probed(Probe::Alive), Next::Rest);
        for _ in 0..3 {
            assert_eq!(probed(Probe::Dead), Next::Probe(PROBE_EVERY));
        }
        assert_eq!(socket.called(Wanted::Stopped, true), Next::Rest);
        assert_eq!(socket.probed(Probe::Dead, OLD, LastExit::Never, NOW), Next::Probe(PROBE_EVERY));
    }

    #[test]
    fn a_socket_that_waits_for_its_cure_is_cured_by_one_more_refusal_or_comes_back() {
        let mut socket = StaleSocket::default();
        socket.called(Wanted::Running, true);
        for _ in 0..9 {
            socket.probed(Probe::Dead, seconds(30), at(30, 60), NOW);
        }
        assert!(socket.is_stale());
        assert_eq!(socket.probed(Probe::Dead, seconds(60), at(60, 60), NOW), Next::Exit);
        assert_eq!(socket.probed(Probe::Alive, seconds(60), at(60, 60), NOW), Next::Rest);
        assert!(!socket.is_stale());
    }

    #[test]
    fn no_process_ends_before_it_is_five_seconds_old() {
        let cases = [
            (seconds(0), LastExit::Never, 5),
            (seconds(4), LastExit::Never, 1),
            (seconds(5), LastExit::Never, 0),
            (seconds(1), at(60, 60), 4),
            (seconds(1), at(50, 60), 10),
            (seconds(10), at(50, 60), 10),
            (seconds(1), LastExit::Unknown, 59),
            (seconds(60), LastExit::Unknown, 0),
        ];
        for (uptime, last, wait) in cases {
            assert_eq!(last.wait(NOW, uptime), seconds(wait), "{uptime:?} {last:?}");
        }
    }

    #[test]
    fn the_pause_doubles_to_an_hour_and_begins_anew_after_two_quiet_ones() {
        let cases = [
            (LastExit::Never, 60),
            (LastExit::Unknown, 60),
            (at(61, 60), 120),
            (at(121, 120), 240),
            (at(1921, 1920), 3600),
            (at(3601, 3600), 3600),
            (at(7199, 3600), 3600),
            (at(7200, 3600), 60),
        ];
        for (last, pause) in cases {
            let next = LastExit::At { ms: NOW, pause: seconds(pause) };
            assert_eq!(last.then(NOW, seconds(10)), next, "{last:?}");
        }
    }

    #[test]
    fn a_note_comes_back_and_a_damaged_one_counts_as_an_exit_before_this_process() {
        assert_eq!(LastExit::parse(&at(5, 240).note()), at(5, 240));
        assert_eq!(LastExit::parse("1 0"), LastExit::At { ms: 1, pause: FIRST_PAUSE });
        assert_eq!(LastExit::parse("1 99999999"), LastExit::At { ms: 1, pause: LONGEST_PAUSE });
        for note in ["", "1", "x 60", "1 x", "1 60 1", "\0\0\0\0", "1 -60"] {
            assert_eq!(LastExit::parse(note), LastExit::Unknown, "{note:?}");
        }
    }
}
