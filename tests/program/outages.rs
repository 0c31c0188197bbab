//! One outage of each kind, with a clean restart in its middle: afterwards every scrape arrives, in order and once, and the ledgers of both processes say
//! what the strict receiver counted.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use docker_remote_write::receiver::{Answer, DEFAULT_PATH, Receiver};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{DEADLINE, Program, World};
use crate::support::certificates::{Authority, Identity, plain};
use crate::support::program::Books;
use crate::support::refused::Refused;

/// The issue's: the longest backoff, its jitter, and half a second.
const FIRST_DELIVERY: Duration = Duration::from_secs(6);

/// An endpoint of its own address in front of the world's receiver.
struct Endpoint {
    address: SocketAddr,
    state: State,
}

enum State {
    Refused(Refused),
    /// Somebody listens who is not the receiver.
    Occupied(tokio::task::JoinHandle<TcpListener>, CancellationToken),
    Up {
        _stop: DropGuard,
    },
}

impl Endpoint {
    fn refusing() -> Self {
        let refused = Refused::new();
        Self { address: refused.address, state: State::Refused(refused) }
    }

    /// Takes connections and does this with each.
    async fn occupied(treat: impl Fn(TcpStream, &mut Vec<TcpStream>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let stop = stop.clone();
            async move {
                let mut kept = Vec::new();
                loop {
                    tokio::select! {
                        () = stop.cancelled() => return listener,
                        accepted = listener.accept() => treat(accepted.unwrap().0, &mut kept),
                    }
                }
            }
        });
        Self { address, state: State::Occupied(task, stop) }
    }

    fn url(&self) -> String {
        format!("http://{}{DEFAULT_PATH}", self.address)
    }

    async fn recovers(&mut self, receiver: &Receiver) {
        let stop = CancellationToken::new();
        let up = State::Up { _stop: stop.clone().drop_guard() };
        let listener = match std::mem::replace(&mut self.state, up) {
            State::Refused(refused) => refused.listen(),
            State::Occupied(task, occupied) => {
                occupied.cancel();
                task.await.unwrap()
            }
            State::Up { .. } => unreachable!("it recovers once"),
        };
        let receiver = receiver.clone();
        tokio::spawn(async move { receiver.serve(listener, stop).await });
    }
}

/// What the processes of one test said about their ledgers.
#[derive(Default)]
struct Ledgers(Vec<Books>);

impl Ledgers {
    async fn end(&mut self, program: Program) {
        let (status, said, _) = program.terminated().await;
        assert!(status.success(), "{said}");
        self.0.push(Books::of("default", &said));
    }

    /// Everything that was scraped by any of them has arrived, and nothing else.
    fn assert_match(&self, world: &World) {
        let mut pending = 0;
        for books in &self.0 {
            assert_eq!(books.recovered, pending, "{:?}", self.0);
            books.assert_closed();
            pending = books.pending;
        }
        assert_eq!(pending, 0, "{:?}", self.0);
        let delivered: u64 = self.0.iter().map(|books| books.delivered).sum();
        let appended: u64 = self.0.iter().map(|books| books.appended).sum();
        world.assert_strict();
        world.receiver.read(|state| {
            assert_eq!((delivered, appended), (state.store.samples(), state.store.samples()), "{:?}", self.0);
            assert_eq!(state.duplicates, 0);
        });
        // A scrape that SIGTERM cuts short leaves no trace, although the engine served it.
        let (ups, scrapes) = (world.ups(), world.engine.scrapes());
        assert!(ups <= scrapes && ups + self.0.len() >= scrapes, "{ups} of {scrapes} scrapes arrived");
    }
}

/// So many scrapes before the restart, and again after it.
const SCRAPES: usize = 3;

/// A process scrapes while the endpoint is away, ends, and another one does the same. Then `recover` ends the outage; returns how long it took from
/// there to the first request that was taken.
async fn outage<F: Future<Output = ()>>(
    world: &World,
    settings: &[(&'static str, &str)],
    reason: &str,
    scrapes: usize,
    recover: impl FnOnce() -> F,
) -> Duration {
    let mut ledgers = Ledgers::default();
    let mut program = world.run(settings);
    program.says("first_scrape_in").await;
    program.says(&format!("reason={reason}")).await;
    assert!(world.engine.wait_for(SCRAPES, DEADLINE).await);
    ledgers.end(program).await;
    let before = world.engine.scrapes();
    let mut program = world.run(settings);
    program.says(&format!("reason={reason}")).await;
    assert!(world.engine.wait_for(before + scrapes, DEADLINE).await);
    assert_eq!(world.ups(), 0);

    let recovered = Instant::now();
    recover().await;
    world.receiver.wait_until(|state| state.accepted_count > 0, DEADLINE).await.unwrap();
    let first = recovered.elapsed();
    world.until_ups(world.engine.scrapes()).await;
    ledgers.end(program).await;
    ledgers.assert_match(world);
    first
}

#[tokio::test]
async fn an_outage_of_503_loses_nothing() {
    let world = World::new().await;
    world.receiver.answer(Answer::status(503));
    outage(&world, &[], "\"status 503\"", SCRAPES, || async { world.receiver.answer(Answer::Normal) }).await;
}

#[tokio::test]
async fn half_a_minute_of_refused_connections_loses_nothing_and_the_first_delivery_comes_within_6_s() {
    let world = World::new().await;
    let mut endpoint = Endpoint::refusing();
    let url = endpoint.url();
    let settings = [("REMOTE_WRITE_URL", url.as_str())];
    let first = outage(&world, &settings, "refused", 25, || endpoint.recovers(&world.receiver)).await;
    assert!(first <= FIRST_DELIVERY, "{first:?} from the recovery to the first delivery");
}

#[tokio::test]
async fn an_outage_of_reset_connections_loses_nothing() {
    let world = World::new().await;
    let mut endpoint = Endpoint::occupied(|stream, _| {
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    })
    .await;
    let url = endpoint.url();
    let settings = [("REMOTE_WRITE_URL", url.as_str())];
    outage(&world, &settings, "closed", SCRAPES, || endpoint.recovers(&world.receiver)).await;
}

#[tokio::test]
async fn an_outage_of_a_black_hole_loses_nothing() {
    let world = World::new().await;
    // Connections are taken and never read.
    let mut endpoint = Endpoint::occupied(|stream, kept| kept.push(stream)).await;
    let url = endpoint.url();
    let settings = [("REMOTE_WRITE_URL", url.as_str()), ("REMOTE_WRITE_TIMEOUT", "500ms")];
    outage(&world, &settings, "timeout", SCRAPES, || endpoint.recovers(&world.receiver)).await;
}

/// A name without an address; then the URL is mended, and the backlog belongs to the endpoint's name.
#[tokio::test]
async fn a_name_that_does_not_resolve_loses_nothing() {
    let world = World::new().await;
    let mut ledgers = Ledgers::default();
    let url = format!("http://receiver.invalid{DEFAULT_PATH}");
    // Where no name server answers at all, this is what ends the wait for one.
    let settings = [("REMOTE_WRITE_URL", url.as_str()), ("REMOTE_WRITE_TIMEOUT", "1s")];
    let mut program = world.run(&settings);
    program.says("cannot deliver").await;
    assert!(world.engine.wait_for(SCRAPES, DEADLINE).await);
    ledgers.end(program).await;
    let program = world.run(&[]);
    world.until_ups(world.engine.scrapes()).await;
    ledgers.end(program).await;
    ledgers.assert_match(&world);
}

/// TLS in front of the world's receiver, with a certificate that can be changed.
struct TlsFront {
    address: SocketAddr,
    acceptor: Arc<Mutex<tokio_rustls::TlsAcceptor>>,
    forwarding: tokio::task::JoinHandle<()>,
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}

fn acceptor(identity: Identity) -> tokio_rustls::TlsAcceptor {
    tokio_rustls::TlsAcceptor::from(Arc::new(plain(identity)))
}

impl TlsFront {
    async fn new(identity: Identity, to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shown = Arc::new(Mutex::new(acceptor(identity)));
        let current = Arc::clone(&shown);
        let forwarding = tokio::spawn(async move {
            // Dropped with this task, and all connections with it.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = current.lock().unwrap().clone();
                connections.spawn(async move {
                    let Ok(mut near) = acceptor.accept(stream).await else { return };
                    let Ok(mut far) = TcpStream::connect(to).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { address, acceptor: shown, forwarding }
    }

    fn shows(&self, identity: Identity) {
        *self.acceptor.lock().unwrap() = acceptor(identity);
    }
}

#[tokio::test]
async fn a_wrong_certificate_that_is_mended_loses_nothing() {
    let world = World::new().await;
    let authority = Authority::new();
    let front = TlsFront::new(Authority::new().server(), world.address).await;
    let url = format!("https://{}{DEFAULT_PATH}", front.address);
    let settings = [("REMOTE_WRITE_URL", url.as_str()), ("REMOTE_WRITE_TLS_CA", authority.pem.as_str())];
    outage(&world, &settings, "tls", SCRAPES, || async { front.shows(authority.server()) }).await;
}
