//! What goes wrong before the first scrape ends no plugin early: dockerd would start it again at once, for ever.

use std::fs;
use std::path::Path;
use std::time::Duration;

use docker_remote_write::demo::dockerd::Dockerd;
use tokio::net::UnixListener;

use super::{Program, World, with};

/// An early end would have come by then: none takes longer than a start, which takes a tenth of it.
const A_WHILE: Duration = Duration::from_secs(2);

/// Had it ended by itself, SIGTERM would have met nobody.
async fn assert_it_stays_until_sigterm(program: Program) {
    tokio::time::sleep(A_WHILE).await;
    let (status, said, took) = program.terminated().await;
    assert!(status.success(), "{status}: {said}");
    assert!(took < Duration::from_secs(1), "SIGTERM took {took:?}: {said}");
}

fn plugin(world: &World, socket: &Path, more: &[(&'static str, &str)]) -> Program {
    Program::start(&["plugin", "--socket", socket.to_str().unwrap()], &with(world.settings(), more))
}

#[tokio::test]
async fn a_socket_that_cannot_be_bound_is_tried_again_until_it_can() {
    let world = World::new().await;
    let socket = world.path("api.sock");
    let occupant = UnixListener::bind(&socket).unwrap();
    let mut program = plugin(&world, &socket, &[]);
    program.says("another process answers there").await;
    tokio::time::sleep(A_WHILE).await;
    drop(occupant);
    program.says("answering dockerd's calls").await;
    let mut dockerd = Dockerd::connect(&socket).await.unwrap();
    assert_eq!(dockerd.start_metrics().await.unwrap().status, 200);
    world.until_ups(1).await;
    let (status, said, _) = program.terminated().await;
    assert!(status.success(), "{said}");
    assert_eq!(said.matches("cannot serve dockerd").count(), 1, "said once: {said}");
}

#[tokio::test]
async fn a_path_that_will_never_be_a_socket_ends_no_plugin_either() {
    let world = World::new().await;
    let file = world.path("file");
    fs::write(&file, "precious").unwrap();
    let mut program = plugin(&world, &file, &[]);
    program.says("the path exists and is no socket").await;
    assert_it_stays_until_sigterm(program).await;
    assert_eq!(fs::read(&file).unwrap(), b"precious");
}

#[tokio::test]
async fn a_system_that_gives_no_threads_ends_no_plugin_early() {
    let world = World::new().await;
    // More than an address space has: every thread is refused.
    let mut program = plugin(&world, &world.path("api.sock"), &[("RUST_MIN_STACK", "140737488355328")]);
    program.says("cannot start the log writer's thread").await;
    assert_it_stays_until_sigterm(program).await;
}
