//! The sandbox of the real binary: what the kernel says of every thread, and what a person is told.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::time::{Duration, Instant};

use docker_remote_write::queue;

use super::{DEADLINE, Program, World, with};

/// A uid that owns nothing.
const STRANGER: u32 = 54_321;

/// Every thread without capabilities and without a way to new ones; these among them, each of which names itself when it first runs.
async fn assert_bare(program: &Program, threads: &[&str]) {
    let start = Instant::now();
    for thread in threads {
        while !program.threads().iter().any(|name| name == thread) {
            assert!(start.elapsed() < DEADLINE, "{thread} is not among {:?}", program.threads());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    for status in program.statuses() {
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            // Who is not root cannot empty its bounding set, and cannot use it.
            let usable = set != "CapBnd" || rustix::process::geteuid().is_root();
            assert!(!usable || status.contains(&format!("{set}:\t0000000000000000\n")), "{set}: {status}");
        }
        assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
    }
}

#[tokio::test]
async fn no_thread_of_run_has_a_capability_and_one_line_says_what_is_in_force() {
    let world = World::new().await;
    let mut program = world.run(&[]);
    world.until_ups(2).await;
    program.says("sandbox in force").await;
    assert_bare(&program, &["queue", "log-writer"]).await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success());
    let line: Vec<&str> = said.lines().filter(|line| line.contains("sandbox in force")).collect();
    let [line] = line[..] else { panic!("{said}") };
    for word in ["capabilities=none", "no_new_privs=true", "core_dumps=off", "landlock_abi="] {
        assert!(line.contains(word), "{word} is missing in {line}");
    }
    assert!(line.contains(&format!("connects=53,{}", world.address.port())), "{line}");
    assert!(!said.contains("is not in force"), "{said}");
    world.assert_strict();
}

#[tokio::test]
async fn no_thread_of_the_plugin_has_a_capability_whatever_its_settings() {
    let world = World::new().await;
    let (mut program, mut dockerd) = world.plugin(&[]).await;
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    world.until_ups(2).await;
    program.says("sandbox in force").await;
    assert_bare(&program, &["plugin-api", "queue", "log-writer"]).await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success() && !said.contains("stays behind"), "{said}");
    assert!(!world.path("api.sock").exists(), "the socket goes with the process");

    let (mut program, _dockerd) = world.plugin(&[("SCRAPE_INTERVAL", "often")]).await;
    program.says("nothing is scraped or sent").await;
    program.says("sandbox in force").await;
    assert_bare(&program, &["plugin-api", "log-writer"]).await;
}

#[tokio::test]
async fn sandbox_off_changes_nothing_of_the_process_and_warns() {
    let world = World::new().await;
    let mut program = world.run(&[("SANDBOX", "off")]);
    program.says("SANDBOX=off: capabilities, files and ports are those").await;
    world.until_ups(1).await;
    let ours = fs::read_to_string("/proc/thread-self/status").unwrap();
    let set = |status: &str| status.lines().find(|line| line.starts_with("CapEff")).map(str::to_owned);
    for status in program.statuses() {
        assert_eq!(set(&status), set(&ours));
        assert!(status.contains("NoNewPrivs:\t0\n"), "{status}");
    }
}

#[tokio::test]
async fn a_token_of_another_uid_is_refused_with_what_to_do() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let world = World::new().await;
    let token = world.path("token");
    fs::write(&token, "t0ken\n").unwrap();
    fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
    chown(&token, Some(STRANGER), None).unwrap();
    let file = [("REMOTE_WRITE_BEARER_TOKEN_FILE", token.to_str().unwrap())];
    let (status, said) = world.run(&file).ended().await;
    assert_eq!(status.code(), Some(1), "{said}");
    for words in ["it belongs to uid 54321 with mode 0600", "runs as uid 0", "SANDBOX=off"] {
        assert!(said.contains(words), "{words} is missing in {said}");
    }
    assert!(!said.contains("t0ken"), "{said}");
    let _program = world.run(&[file[0], ("SANDBOX", "off")]);
    world.until_ups(1).await;
}

#[tokio::test]
async fn a_queue_directory_of_another_uid_is_refused_with_what_to_do() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let world = World::new().await;
    let dir = world.path("queue");
    fs::create_dir(&dir).unwrap();
    chown(&dir, Some(STRANGER), None).unwrap();
    let (status, said) = world.run(&[]).ended().await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains("it belongs to uid 54321 with mode 0755") && said.contains("SANDBOX=off"),
        "{said}"
    );
}

#[tokio::test]
async fn what_the_queue_keeps_is_for_its_own_uid_alone_under_a_wide_umask() {
    queue_is_private_under_umask(0).await;
}

/// What is made under such an umask cannot be opened again by who has no capability.
#[tokio::test]
async fn what_the_queue_keeps_is_for_its_own_uid_alone_under_a_narrow_umask() {
    queue_is_private_under_umask(0o777).await;
}

async fn queue_is_private_under_umask(umask: u32) {
    let world = World::new().await;
    // A copy that somebody made with a wide umask, and what an endpoint that is down leaves on disk.
    let dir = world.path("queue");
    for made in ["queue", "queue/state", "queue/etc"] {
        fs::create_dir(world.path(made)).unwrap();
        fs::set_permissions(world.path(made), Permissions::from_mode(0o755)).unwrap();
    }
    for wide in ["lock", "state/identity", "etc/token"] {
        fs::write(dir.join(wide), "").unwrap();
        fs::set_permissions(dir.join(wide), Permissions::from_mode(0o666)).unwrap();
    }
    let settings = with(
        world.settings(),
        &[("REMOTE_WRITE_URL", "http://127.0.0.1:1/"), ("EXTERNAL_LABELS", "d={{daemon_id}}")],
    );
    let mut program = Program::start_with_umask(umask, &["run"], &settings);
    program.says("modes of the queue were not 0600 and 0700; mended").await;
    program.says("cannot deliver").await;
    program.says("record").await;
    let (status, _, _) = program.terminated().await;
    assert!(status.success());
    let mode = |name: &str| fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o7777;
    let mut kinds = std::collections::BTreeSet::new();
    for entry in fs::read_dir(&dir).unwrap().chain(fs::read_dir(dir.join("state")).unwrap()) {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        kinds.insert(name.split('-').next().unwrap().to_owned());
        let expected = match name.as_str() {
            "state" => 0o700,
            // The user's own.
            "etc" => 0o755,
            _ => 0o600,
        };
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o7777, expected, "{name}");
    }
    assert_eq!(mode("."), 0o700);
    assert_eq!(mode("etc/token"), 0o666);
    for kind in ["lock", "segment", "cursor", "journal", "state", "identity"] {
        assert!(kinds.contains(kind), "no {kind} was written: {kinds:?}");
    }
}

#[test]
fn a_directory_that_holds_other_things_keeps_its_mode() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
    fs::write(dir.path().join("letter"), "").unwrap();
    let config = queue::Config {
        storage: queue::Storage::Disk(dir.path().to_owned()),
        max_disk_bytes: 1 << 20,
        min_free_disk: Some(0),
        max_memory_bytes: 1 << 20,
    };
    drop(queue::Queue::open(&config, &["default".to_owned()]).unwrap());
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("."), mode("lock")), (0o777, 0o600));
    fs::remove_file(dir.path().join("letter")).unwrap();
    drop(queue::Queue::open(&config, &["default".to_owned()]).unwrap());
    assert_eq!(mode("."), 0o700);
}
