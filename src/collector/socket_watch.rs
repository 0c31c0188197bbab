//! Probes the metrics socket after a StartMetrics, and says when this process should end: the I/O around [`StaleSocket`].

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tokio::sync::watch;
use tracing::{info, warn};

use super::notice::{Notice, Say};
use super::stale_socket::{LastExit, Next, Probe, RECHECK, StaleSocket, Why};
use super::{CollectorMetrics, Command, Commands};
use crate::model::now_ms;

/// Watches one socket, beside the collector that scrapes it.
#[derive(Debug)]
pub struct SocketWatch {
    socket: PathBuf,
    calls: watch::Receiver<Command>,
    metrics: CollectorMetrics,
    last_exit: LastExit,
    born: Instant,
    machine: StaleSocket,
    next: Next,
    /// Good scrapes when dockerd called last.
    scraped: u64,
    notice: Notice,
}

impl SocketWatch {
    /// Follows the calls that come through `commands`; `last_exit` is what the last process has left behind.
    #[must_use]
    pub fn new(socket: PathBuf, commands: &Commands, metrics: CollectorMetrics, last_exit: LastExit) -> Self {
        Self {
            socket,
            calls: commands.wanted.clone(),
            metrics,
            last_exit,
            born: Instant::now(),
            machine: StaleSocket::default(),
            next: Next::Rest,
            scraped: 0,
            notice: Notice::default(),
        }
    }

    /// Since when the socket is watched: less than the age of the process, by its start.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.born.elapsed()
    }

    /// The note of an exit that happens now.
    #[must_use]
    pub fn exit_now(&self) -> LastExit {
        self.last_exit.then(now_ms(), self.uptime())
    }

    /// Returns when the socket is dead and this process should end. Sleeps while dockerd does not call; may be dropped at any time.
    pub async fn until_dead(&mut self) {
        loop {
            let pause = match self.next {
                Next::Rest => None,
                Next::Probe(pause) | Next::Wait(pause, _) => Some(pause),
                Next::Exit => return,
            };
            tokio::select! {
                biased;
                called = self.calls.changed() => match called {
                    Ok(()) => self.called(),
                    // Nobody can call any more.
                    Err(_) => std::future::pending().await,
                },
                () = sleep(pause) => self.probe().await,
            }
        }
    }

    /// The exit cannot be made now: says so, and goes on probing.
    pub fn put_off(&mut self, reason: &str) {
        self.say(reason);
        self.next = Next::Probe(RECHECK);
    }

    fn called(&mut self) {
        let wanted = self.calls.borrow_and_update().wanted;
        self.scraped = self.metrics.snapshot().scrapes_succeeded;
        self.next = self.machine.called(wanted, self.scraped > 0);
    }

    async fn probe(&mut self) {
        let answer = if self.metrics.snapshot().scrapes_succeeded > self.scraped {
            Probe::Alive
        } else {
            meaning(UnixStream::connect(&self.socket).await.map(drop))
        };
        self.next = self.machine.probed(answer, self.uptime(), self.last_exit, now_ms());
        self.metrics.update(|counters| counters.socket_stale = self.machine.is_stale());
        match self.next {
            Next::Wait(_, Why::TooYoung) => self.say("this process is too young to end"),
            Next::Wait(_, Why::TooSoon) => {
                self.say("it is not long enough ago that it ended for this reason")
            }
            Next::Rest => {
                if let Say::Recovered(_, after) = self.notice.succeeded(Instant::now()) {
                    info!(socket = %self.socket.display(), ?after, "the metrics socket takes connections again");
                }
            }
            Next::Probe(_) | Next::Exit => {}
        }
    }

    fn say(&mut self, reason: &str) {
        match self.notice.failed(reason, Instant::now()) {
            Say::Failing(_) => warn!(
                socket = %self.socket.display(),
                reason,
                "the metrics socket is dead: the engine came back, and this plugin still has the old one; a new process would have the new one, \
                 but not yet; docker plugin disable and enable help at once"
            ),
            Say::Nothing | Say::Recovered(..) => {}
        }
    }
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

fn meaning(connected: io::Result<()>) -> Probe {
    match connected.map_err(|error| error.kind()) {
        Ok(()) => Probe::Alive,
        Err(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => Probe::Dead,
        // The enum is open; what we know of is listed above.
        Err(_) => Probe::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::collector::{Control, control};

    struct Bench {
        watch: SocketWatch,
        control: Control,
        metrics: CollectorMetrics,
        dir: tempfile::TempDir,
        _commands: Commands,
    }

    impl Bench {
        /// A process of this age, that has scraped so often before.
        fn new(scrapes: u64, uptime: Duration) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (control, commands) = control();
            let metrics = CollectorMetrics::default();
            metrics.update(|counters| counters.scrapes_succeeded = scrapes);
            let socket = dir.path().join("metrics.sock");
            let mut watch = SocketWatch::new(socket, &commands, metrics.clone(), LastExit::Never);
            watch.born = Instant::now().checked_sub(uptime).unwrap();
            Self { watch, control, metrics, dir, _commands: commands }
        }

        /// Whether the process should end within a minute (of paused time).
        async fn dies(&mut self) -> bool {
            tokio::time::timeout(Duration::from_secs(60), self.watch.until_dead()).await.is_ok()
        }

        fn stale(&self) -> bool {
            self.metrics.snapshot().socket_stale
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_and_a_refusing_socket_end_the_process_after_one_and_a_half_seconds() {
        for listener_left_one_behind in [false, true] {
            let mut bench = Bench::new(1, Duration::from_secs(60));
            if listener_left_one_behind {
                drop(UnixListener::bind(bench.dir.path().join("metrics.sock")).unwrap());
            }
            bench.control.start();
            let before = tokio::time::Instant::now();
            assert!(bench.dies().await);
            assert_eq!(before.elapsed(), Duration::from_millis(1500));
            assert!(bench.stale());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_call_a_scrape_before_it_or_a_dead_socket_nothing_happens() {
        let mut silent = Bench::new(1, Duration::from_secs(60));
        assert!(!silent.dies().await);
        let mut fresh = Bench::new(0, Duration::from_secs(60));
        fresh.control.start();
        assert!(!fresh.dies().await);
        let mut living = Bench::new(1, Duration::from_secs(60));
        let _listener = UnixListener::bind(living.dir.path().join("metrics.sock")).unwrap();
        living.control.start();
        assert!(!living.dies().await);
        for bench in [silent, fresh, living] {
            assert!(!bench.stale());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_scrape_that_succeeds_or_a_stop_between_the_probes_ends_the_suspicion() {
        let mut scraped = Bench::new(1, Duration::from_secs(60));
        scraped.control.start();
        let first_probes = tokio::time::timeout(Duration::from_millis(700), scraped.watch.until_dead());
        assert!(first_probes.await.is_err());
        scraped.metrics.update(|counters| counters.scrapes_succeeded += 1);
        assert!(!scraped.dies().await);
        let mut stopped = Bench::new(1, Duration::from_secs(60));
        stopped.control.start();
        let first_probes = tokio::time::timeout(Duration::from_millis(700), stopped.watch.until_dead());
        assert!(first_probes.await.is_err());
        stopped.control.stop();
        assert!(!stopped.dies().await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_waits_is_shown_as_stale_until_it_takes_a_connection() {
        let mut bench = Bench::new(1, Duration::from_secs(10));
        bench.watch.last_exit = LastExit::Unknown;
        bench.control.start();
        assert!(!bench.dies().await);
        assert!(bench.stale());
        let _listener = UnixListener::bind(bench.dir.path().join("metrics.sock")).unwrap();
        assert!(!bench.dies().await);
        assert!(!bench.stale());
    }

    #[tokio::test(start_paused = true)]
    async fn an_exit_that_is_put_off_comes_back() {
        let mut bench = Bench::new(1, Duration::from_secs(60));
        bench.control.start();
        assert!(bench.dies().await);
        bench.watch.put_off("the disk is full");
        let before = tokio::time::Instant::now();
        assert!(bench.dies().await);
        assert_eq!(before.elapsed(), RECHECK);
    }

    #[test]
    fn only_refused_and_missing_mean_dead() {
        assert_eq!(meaning(Ok(())), Probe::Alive);
        for (errno, probe) in
            [(111, Probe::Dead), (2, Probe::Dead), (13, Probe::Unclear), (11, Probe::Unclear)]
        {
            assert_eq!(meaning(Err(io::Error::from_raw_os_error(errno))), probe, "{errno}");
        }
    }
}
