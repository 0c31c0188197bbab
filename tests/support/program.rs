//! The real binary with an engine to scrape, a strict receiver and a directory of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use docker_remote_write::demo::dockerd::Dockerd;
use docker_remote_write::demo::engine::{Engine, Source};
use docker_remote_write::receiver::{Options, Receiver};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Long enough for a loaded machine; a test that waits this long has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Everything around the program: an engine to scrape, a strict receiver, a directory.
pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) engine: Engine,
    pub(crate) receiver: Receiver,
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::of(Source::Recording(Box::default())).await
    }

    /// With an engine that serves these texts.
    pub(crate) async fn of(source: Source) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::new(source);
        let stop = CancellationToken::new();
        let metrics = UnixListener::bind(dir.path().join("metrics.sock")).unwrap();
        let (serving, ended) = (engine.clone(), stop.clone());
        tokio::spawn(async move { serving.serve(metrics, ended).await });
        let receiver = Receiver::new(Options::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (receiving, ended) = (receiver.clone(), stop.clone());
        tokio::spawn(async move { receiving.serve(listener, ended).await });
        Self { dir, engine, receiver, address, stop }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn settings(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("REMOTE_WRITE_URL", format!("http://{}/api/v1/write", self.address)),
            ("SCRAPE_URL", format!("unix://{}", self.path("metrics.sock").display())),
            ("SCRAPE_INTERVAL", "1s".to_owned()),
            ("QUEUE_DIR", self.path("queue").display().to_string()),
            ("INSTANCE", "host".to_owned()),
        ])
    }

    /// `run` with the world's settings, and others on top.
    pub(crate) fn run(&self, more: &[(&'static str, &str)]) -> Program {
        Program::start(&["run"], &with(self.settings(), more))
    }

    /// `plugin`, and dockerd's end of its API socket.
    pub(crate) async fn plugin(&self, more: &[(&'static str, &str)]) -> (Program, Dockerd) {
        let socket = self.path("api.sock");
        let program =
            Program::start(&["plugin", "--socket", socket.to_str().unwrap()], &with(self.settings(), more));
        (program, dockerd(&socket).await)
    }

    /// How many scrapes have arrived as good ones.
    pub(crate) fn ups(&self) -> usize {
        self.receiver.read(|state| state.count(&[("__name__", "up"), ("job", "docker")]))
    }

    /// Of these scrapes, given by the times when the engine was asked, those that have not arrived.
    pub(crate) fn missing(&self, scrapes: &[i64]) -> Vec<i64> {
        let mut ups: Vec<i64> = self.receiver.read(|state| {
            let ups = state.store.select(&[("__name__", "up"), ("job", "docker")]);
            ups.flat_map(|(_, samples)| samples.iter().map(|sample| sample.timestamp)).collect()
        });
        ups.sort_unstable();
        let mut ups = ups.into_iter().peekable();
        // Stamped when the scrape began, or with its tick, and that is a second from the next one. The engine is asked in the same moment, or
        // as much later as the timeout (a second) lets a process that gets no processor. Each stands for one scrape.
        let mut arrived = |at: i64| {
            while ups.next_if(|up| *up <= at - 1000).is_some() {}
            ups.next_if(|up| *up <= at + 5).is_some()
        };
        scrapes.iter().copied().filter(|at| !arrived(*at)).collect()
    }

    /// Waits until all of these scrapes have arrived.
    pub(crate) async fn until_arrived(&self, scrapes: &[i64]) {
        let start = Instant::now();
        while !self.missing(scrapes).is_empty() {
            let missing = self.missing(scrapes);
            assert!(
                start.elapsed() < DEADLINE,
                "{} of {} are missing: {missing:?}",
                missing.len(),
                scrapes.len()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// When the engine was asked, from the scrape with this number (the first is 0) on, for all that had been queued by a moment for sure: one
    /// process scrapes one after another, so the next one was asked for by then. That an answer was given does not say when it was read.
    pub(crate) fn scraped(&self, from: usize, until: i64) -> Vec<i64> {
        let asked: Vec<i64> = self.engine.served().iter().skip(from).map(|served| served.at).collect();
        asked.windows(2).filter(|pair| pair[1] <= until).map(|pair| pair[0]).collect()
    }

    pub(crate) async fn until_ups(&self, count: usize) {
        let enough = |state: &docker_remote_write::receiver::State| {
            state.count(&[("__name__", "up"), ("job", "docker")]) >= count
        };
        self.receiver.wait_until(enough, DEADLINE).await.unwrap();
    }

    pub(crate) fn assert_strict(&self) {
        self.receiver.read(|state| {
            assert_eq!(state.violation_count, 0, "{:?}", state.violations);
        });
    }
}

pub(crate) fn with(
    mut settings: BTreeMap<&'static str, String>,
    more: &[(&'static str, &str)],
) -> BTreeMap<&'static str, String> {
    settings.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    settings
}

/// Connects as dockerd does once the socket is there.
async fn dockerd(socket: &Path) -> Dockerd {
    let start = Instant::now();
    loop {
        match Dockerd::connect(socket).await {
            Ok(dockerd) => return dockerd,
            Err(error) => assert!(start.elapsed() < DEADLINE, "no api socket: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The running binary and what it has said.
pub(crate) struct Program {
    child: Child,
    said: watch::Receiver<String>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    pub(crate) fn start(arguments: &[&str], settings: &BTreeMap<&'static str, String>) -> Self {
        Self::start_of(Path::new(env!("CARGO_BIN_EXE_docker-remote-write")), arguments, settings)
    }

    /// As started by somebody with this umask.
    pub(crate) fn start_with_umask(
        umask: u32,
        arguments: &[&str],
        settings: &BTreeMap<&'static str, String>,
    ) -> Self {
        let binary = env!("CARGO_BIN_EXE_docker-remote-write");
        let script = format!("umask {umask:04o}; exec {binary} \"$@\"");
        let arguments: Vec<&str> =
            ["-c", &script, "sh"].into_iter().chain(arguments.iter().copied()).collect();
        Self::start_of(Path::new("/bin/sh"), &arguments, settings)
    }

    /// Of another build.
    pub(crate) fn start_of(
        binary: &Path,
        arguments: &[&str],
        settings: &BTreeMap<&'static str, String>,
    ) -> Self {
        let mut child = Command::new(binary)
            .args(arguments)
            .env_clear()
            .envs(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (say, said) = watch::channel(String::new());
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let say = say.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines() {
                    let Ok(line) = line else { return };
                    say.send_modify(|said| {
                        said.push_str(&line);
                        said.push('\n');
                    });
                }
            });
        }
        Self { child, said }
    }

    /// Waits until something has been said.
    pub(crate) async fn says(&mut self, words: &str) {
        let heard = tokio::time::timeout(DEADLINE, self.said.wait_for(|said| said.contains(words)));
        let heard = heard.await.map(|heard| heard.is_ok());
        assert!(matches!(heard, Ok(true)), "{words:?} was never said, but: {}", *self.said.borrow());
    }

    /// Waits for the end; all that was said.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < DEADLINE, "still running: {}", *self.said.borrow());
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        // The readers end with their pipes.
        while self.said.changed().await.is_ok() {}
        let said = self.said.borrow().clone();
        (status, said)
    }

    /// SIGTERM, then [`Program::ended`]; also how long that took.
    pub(crate) async fn terminated(self) -> (ExitStatus, String, Duration) {
        let start = Instant::now();
        self.interrupt();
        let (status, said) = self.ended().await;
        (status, said, start.elapsed())
    }

    /// Names of the process's threads, as the kernel cuts them to 15 bytes.
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.map(|name| name.trim_end().to_owned()).collect()
    }

    /// The most memory that the process has had so far, in bytes, and whether it is still that process.
    pub(crate) fn peak_rss(&mut self) -> u64 {
        assert!(self.child.try_wait().unwrap().is_none(), "it has ended: {}", *self.said.borrow());
        peak_rss(self.child.id())
    }

    /// All that was said so far.
    pub(crate) fn said(&self) -> String {
        self.said.borrow().clone()
    }

    /// SIGTERM, and no wait.
    /// What the kernel says of each thread.
    pub(crate) fn statuses(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).ok()).collect()
    }

    pub(crate) fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// kill -9.
    pub(crate) fn killed(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// `VmHWM` of a process, in bytes.
pub(crate) fn peak_rss(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

/// A process's last words about an endpoint: its ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) appended: u64,
    pub(crate) recovered: u64,
    pub(crate) delivered: u64,
    /// Of the delivered ones.
    pub(crate) unconfirmed: u64,
    pub(crate) pending: u64,
    /// Rejected, expired, overflowed, lost at exit: samples that will not arrive.
    pub(crate) dropped: u64,
}

impl Books {
    pub(crate) fn of(endpoint: &str, said: &str) -> Self {
        let is_it = |line: &&str| {
            line.contains("the ledger at the end") && line.contains(&format!("endpoint={endpoint} "))
        };
        let line = said.lines().find(is_it).unwrap_or_else(|| panic!("no ledger in: {said}"));
        let word = |name: &str| -> u64 {
            let value = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_else(|| panic!("no {name} in: {line}")).parse().unwrap()
        };
        Self {
            appended: word("appended"),
            recovered: word("recovered"),
            delivered: word("delivered"),
            unconfirmed: word("unconfirmed"),
            pending: word("pending"),
            dropped: ["rejected", "expired", "overflowed", "lost_at_exit"].map(word).iter().sum(),
        }
    }

    /// Every sample has one place.
    pub(crate) fn assert_closed(&self) {
        let (came, went) = (self.appended + self.recovered, self.delivered + self.dropped + self.pending);
        assert_eq!(came, went, "{self:?}");
        assert!(self.unconfirmed <= self.delivered, "{self:?}");
    }
}
