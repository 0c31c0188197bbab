//! What must be refused is tried twice: by a thread as it is, where it works, and by one in the sandbox.
//!
//! Threads stand for processes here: capabilities, no_new_privs and Landlock belong to a thread, and what it starts inherits them.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;

use rustix::fs::{CWD, FileType, Mode};
use rustix::net::{AddressFamily, SocketType, ipproto};
use rustix::process::{Pid, Signal};
use rustix::thread::set_thread_uid;
use tempfile::TempDir;

use super::*;

/// A uid that owns nothing.
const STRANGER: u32 = 54_321;

struct Bench {
    dir: TempDir,
    near: TcpListener,
    far: TcpListener,
    plain: UnixListener,
    abstracted: (UnixListener, SocketAddr),
    other_process: Child,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.other_process.kill();
        let _ = self.other_process.wait();
    }
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["queue", "secrets", "elsewhere", "api"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("secrets/token"), "token").unwrap();
        fs::write(dir.path().join("elsewhere/file"), "private").unwrap();
        fs::write(dir.path().join("queue/segment"), "record").unwrap();
        fs::write(dir.path().join("api/sock"), "").unwrap();
        let name = dir.path().display().to_string();
        let address = SocketAddr::from_abstract_name(name).unwrap();
        Self {
            near: TcpListener::bind("127.0.0.1:0").unwrap(),
            far: TcpListener::bind("127.0.0.1:0").unwrap(),
            plain: UnixListener::bind(dir.path().join("elsewhere/sock")).unwrap(),
            abstracted: (UnixListener::bind_addr(&address).unwrap(), address),
            other_process: Command::new("sleep").arg("600").spawn().unwrap(),
            dir,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn needs(&self) -> Needs {
        Needs {
            writable: vec![self.path("queue")],
            files: vec![self.path("secrets/token")],
            removable_in: vec![self.path("api")],
            sockets_in: Vec::new(),
            resolver: true,
            own_process: true,
            connect: [self.near.local_addr().unwrap().port()].into(),
        }
    }

    /// What a thread of its own says to `work`, in the sandbox.
    fn confined<T: Send>(&self, work: impl FnOnce(&Self) -> T + Send) -> T {
        let work = || {
            let privileges = drop_privileges();
            let confinement = confine(&self.needs());
            assert_eq!((&privileges.failures, &confinement.failures), (&Vec::new(), &Vec::new()));
            assert!(privileges.no_capabilities && privileges.no_new_privs && privileges.no_core_dumps);
            work(self)
        };
        thread::scope(|scope| scope.spawn(work).join().unwrap())
    }
}

/// What it is, the version of Landlock that refuses it (0: any kernel does), whether it takes root, and how it is tried.
type Attempt = (&'static str, u8, bool, fn(&Bench) -> io::Result<()>);

const ATTEMPTS: &[Attempt] = &[
    ("read what only root may", 1, true, |_| File::open("/etc/shadow").map(drop)),
    ("read a file elsewhere", 1, false, |bench| File::open(bench.path("elsewhere/file")).map(drop)),
    ("list the root directory", 1, false, |_| fs::read_dir("/").map(drop)),
    ("list the directory of the secrets", 1, false, |bench| fs::read_dir(bench.path("secrets")).map(drop)),
    ("write a secret", 1, false, |bench| fs::write(bench.path("secrets/token"), "token")),
    ("make a file elsewhere", 1, false, |bench| {
        File::create(bench.path("elsewhere/new"))?;
        fs::remove_file(bench.path("elsewhere/new"))
    }),
    ("make a directory elsewhere", 1, false, |bench| {
        fs::create_dir(bench.path(&format!("elsewhere/{:?}", thread::current().id())))
    }),
    ("make a file beside the api socket", 1, false, |bench| {
        rustix::fs::mknodat(CWD, bench.path("api/new"), FileType::RegularFile, Mode::RUSR, 0)?;
        fs::remove_file(bench.path("api/new"))
    }),
    ("make a directory in /", 1, true, |bench| {
        let dir = PathBuf::from("/").join(bench.dir.path().file_name().unwrap_or_default());
        fs::create_dir(&dir).and_then(|()| fs::remove_dir(&dir))
    }),
    ("truncate a file elsewhere", 3, false, |bench| {
        rustix::fs::open(bench.path("elsewhere/file"), rustix::fs::OFlags::WRONLY, Mode::empty())?;
        Ok(())
    }),
    ("move a file out of the queue", 1, false, |bench| {
        fs::rename(bench.path("queue/segment"), bench.path("elsewhere/segment"))?;
        fs::rename(bench.path("elsewhere/segment"), bench.path("queue/segment"))
    }),
    ("link in the queue", 1, false, |bench| {
        symlink("/etc/shadow", bench.path("queue/link"))?;
        fs::remove_file(bench.path("queue/link"))
    }),
    ("make a pipe in the queue", 1, false, |bench| {
        rustix::fs::mknodat(CWD, bench.path("queue/pipe"), FileType::Fifo, Mode::RUSR, 0)?;
        fs::remove_file(bench.path("queue/pipe"))
    }),
    ("bind a socket in the queue", 1, false, |bench| {
        drop(UnixListener::bind(bench.path("queue/sock"))?);
        fs::remove_file(bench.path("queue/sock"))
    }),
    ("make a device", 0, true, |bench| {
        let null = rustix::fs::makedev(1, 3);
        rustix::fs::mknodat(CWD, bench.path("queue/null"), FileType::CharacterDevice, Mode::RUSR, null)?;
        fs::remove_file(bench.path("queue/null"))
    }),
    ("connect to another tcp port", 4, false, |bench| TcpStream::connect(bench.far.local_addr()?).map(drop)),
    ("listen on a tcp port", 4, false, |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    ("connect to an abstract socket", 6, false, |bench| {
        UnixStream::connect_addr(&bench.abstracted.1).map(drop)
    }),
    ("signal another process", 6, false, |bench| {
        let pid = Pid::from_child(&bench.other_process);
        Ok(rustix::process::kill_process(pid, Signal::CONT)?)
    }),
    ("read the memory of another process", 1, true, |bench| {
        File::open(format!("/proc/{}/mem", bench.other_process.id())).map(drop)
    }),
    ("run a program", 1, false, |_| Command::new("/bin/true").status().map(drop)),
    ("open a raw socket", 0, true, |_| {
        Ok(rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).map(drop)?)
    }),
    ("become somebody else", 0, true, |_| Ok(set_thread_uid(rustix::process::Uid::from_raw(STRANGER))?)),
    ("give a file away", 0, true, |bench| {
        chown(bench.path("queue/segment"), Some(STRANGER), None)?;
        chown(bench.path("queue/segment"), Some(0), None)
    }),
    ("rename the host", 0, true, |_| {
        let name = rustix::system::uname().nodename().to_bytes().to_vec();
        Ok(rustix::system::sethostname(&name)?)
    }),
    ("give the clock's priority away", 0, true, |_| Ok(rustix::process::nice(-1).map(drop)?)),
];

#[test]
fn what_works_outside_of_the_sandbox_is_refused_inside() {
    let bench = Bench::new();
    let root = rustix::process::geteuid().is_root();
    let attempts = ATTEMPTS.iter().filter(|(_, _, takes_root, _)| root || !takes_root);
    let attempts: Vec<&Attempt> = attempts.collect();
    for (what, _, _, attempt) in &attempts {
        let tried = thread::scope(|scope| scope.spawn(|| attempt(&bench)).join().unwrap());
        assert!(tried.is_ok(), "{what} does not even work outside of the sandbox: {tried:?}");
    }
    let (abi, tried) = bench.confined(|bench| {
        let abi = confine(&bench.needs()).abi;
        let tried = attempts.iter().map(|(what, since, _, attempt)| (*what, *since, attempt(bench)));
        (abi, tried.collect::<Vec<_>>())
    });
    for (what, since, result) in tried.into_iter().filter(|(_, since, _)| *since <= abi) {
        let error = result.expect_err(what);
        // A rename between two directories says that they lie on two file systems.
        let refused =
            error.kind() == io::ErrorKind::PermissionDenied || error.kind() == io::ErrorKind::CrossesDevices;
        assert!(refused, "{what} (Landlock {since}): {error}");
    }
}

#[test]
fn what_is_needed_goes_on() {
    let bench = Bench::new();
    bench.confined(|bench| {
        let (queue, new) = (bench.path("queue/segment"), bench.path("queue/new"));
        fs::write(&new, "record").unwrap();
        fs::rename(&new, &queue).unwrap();
        assert_eq!(fs::read_to_string(&queue).unwrap(), "record");
        File::options().write(true).open(&queue).unwrap().set_len(0).unwrap();
        File::open(bench.path("queue")).unwrap().sync_all().unwrap();
        rustix::fs::statvfs(bench.path("queue")).unwrap();
        fs::create_dir(bench.path("queue/state")).unwrap();
        fs::write(bench.path("queue/state/note"), "").unwrap();
        assert_eq!(fs::read_dir(bench.path("queue")).unwrap().count(), 2);
        fs::remove_file(&queue).unwrap();
        fs::remove_file(bench.path("api/sock")).unwrap();

        TcpStream::connect(bench.near.local_addr().unwrap()).unwrap();
        UnixStream::connect(bench.plain.local_addr().unwrap().as_pathname().unwrap()).unwrap();
        assert!(("localhost", 1).to_socket_addrs().unwrap().next().is_some());
        assert!(fs::read_to_string("/etc/hosts").is_ok());
        assert!(!fs::read_to_string("/proc/self/stat").unwrap().is_empty());
        assert!(fs::read_dir("/proc/self/fd").unwrap().count() > 0);
        // Threads that are started later are in it too.
        let inherited =
            thread::scope(|scope| scope.spawn(|| File::open(bench.path("elsewhere/file"))).join());
        assert!(inherited.unwrap().is_err());
        let status = fs::read_to_string("/proc/thread-self/status");
        assert!(status.is_err() || status.unwrap().contains("CapEff:\t0000000000000000"));
    });
}

#[test]
fn a_secret_may_be_replaced_beside_itself_and_one_elsewhere_names_the_sandbox() {
    let bench = Bench::new();
    let (token, versions) = (bench.path("secrets/token"), ["secrets/..1", "secrets/..2", "elsewhere/..3"]);
    fs::remove_file(&token).unwrap();
    for version in versions {
        fs::create_dir(bench.path(version)).unwrap();
        fs::write(bench.path(version).join("token"), version).unwrap();
    }
    let swap = |target: PathBuf| {
        symlink(target, bench.path("secrets/..new")).unwrap();
        fs::rename(bench.path("secrets/..new"), bench.path("secrets/..data")).unwrap();
    };
    swap(PathBuf::from("..1"));
    symlink("..data/token", &token).unwrap();
    let read = || {
        let mut text = String::new();
        File::open(&token)?.read_to_string(&mut text).map(|_| text)
    };
    // The files are replaced from outside, as always.
    let (ask, asked) = std::sync::mpsc::channel::<()>();
    let (answer, answers) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let (bench, token) = (&bench, &token);
        let sandboxed = move || {
            confine(&bench.needs());
            answer.send(Ok(String::new())).unwrap();
            for () in asked {
                let text = read().map_err(|error| (why_refused(token, Wanted::Read, &error), error));
                answer.send(text).unwrap();
            }
        };
        rustix::thread::set_no_new_privs(true).unwrap();
        scope.spawn(sandboxed);
        answers.recv().unwrap().unwrap();
        let now = || {
            ask.send(()).unwrap();
            answers.recv().unwrap()
        };
        assert_eq!(now().unwrap(), "secrets/..1");
        swap(PathBuf::from("..2"));
        assert_eq!(now().unwrap(), "secrets/..2");
        swap(bench.path("elsewhere/..3"));
        let (why, error) = now().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(why.contains("SANDBOX=off") && why.contains("start it anew"), "{why}");
        drop(ask);
    });
}

#[test]
fn a_file_of_another_uid_is_named_with_its_owner_and_mode() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let bench = Bench::new();
    let token = bench.path("secrets/token");
    chown(&token, Some(STRANGER), None).unwrap();
    fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
    assert!(File::open(&token).is_ok(), "root with its capabilities reads everything");
    bench.confined(|_| {
        let error = File::open(&token).unwrap_err();
        let why = why_refused(&token, Wanted::Read, &error);
        assert!(why.contains("belongs to uid 54321 with mode 0600") && why.contains("SANDBOX"), "{why}");
        let missing = bench.path("secrets/none");
        let error = File::open(&missing).unwrap_err();
        assert_eq!(why_refused(&missing, Wanted::Read, &error), "", "{error}");
    });
}

#[test]
fn without_needs_nothing_can_be_opened() {
    let refused = thread::spawn(|| {
        drop_privileges();
        let confinement = confine(&Needs::default());
        assert_eq!(confinement.failures, Vec::<String>::new());
        ["/etc/hosts", "/proc/self/stat", "/dev/null"].map(|path| File::open(path).is_err())
    });
    assert_eq!(refused.join().unwrap(), [true; 3]);
}
