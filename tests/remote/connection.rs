//! Connections: how long they are used, when they are given up, and what happens to a request when one ends under it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use docker_remote_write::remote::{Config, Redial, Tuning};
use rustix::net::{AddressFamily, SocketAddrV4, SocketType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Running, append, config, pass, queue, quick, start, start_with, timestamps};
use crate::support::certificates::{Authority, plain};
use crate::support::names::NameServer;
use crate::support::scripted::{NOTHING, Scripted, Step, serve, serve_tls, status};
use crate::support::wire::Wire;

const HOUR: Duration = Duration::from_secs(3600);

/// Whoever waits for its backoff is never seen by a test.
fn without_a_second_chance(config: Config) -> Config {
    Config { min_backoff: HOUR, max_backoff: HOUR, ..config }
}

fn redials(running: &Running, reason: Redial) -> u64 {
    running.sender.metrics.snapshot().redials.get(&reason).copied().unwrap_or_default()
}

/// Samples one by one, each in a request of its own.
async fn one_by_one(running: &Running, timestamps: impl IntoIterator<Item = i64>) {
    for timestamp in timestamps {
        append(&running.queue, &[timestamp]);
        running.until_done().await;
    }
}

/// Nothing failed, nothing waited, nothing was sent twice as far as anybody counts.
fn assert_all_is_well(running: &Running, requests: u64) {
    let snapshot = running.sender.metrics.snapshot();
    let codes: Vec<_> = snapshot.requests.iter().map(|(code, count)| format!("{code} {count}")).collect();
    assert_eq!(codes, [format!("204 {requests}")]);
    assert_eq!(snapshot.samples_retried, 0);
    assert_eq!(running.queue.ledger(0).delivered, running.queue.ledger(0).appended);
}

// === age ===

#[tokio::test]
async fn a_connection_is_used_again_and_again() {
    let server = serve(NOTHING).await;
    let wire = Wire::to(server.address).await;
    let running = start(
        Config { max_connection_age: Some(HOUR), ..config(&format!("http://{}/", wire.address)) },
        &queue(),
    );
    one_by_one(&running, 1..=10).await;
    assert_eq!(wire.connections(), 1);
    assert_all_is_well(&running, 10);
    assert!(running.sender.metrics.snapshot().redials.is_empty());
}

#[tokio::test]
async fn a_connection_that_is_old_is_given_up_for_a_new_one() {
    let server = serve(NOTHING).await;
    let wire = Wire::to(server.address).await;
    let age = Duration::from_millis(1);
    let url = format!("http://{}/", wire.address);
    let running = start(Config { max_connection_age: Some(age), ..config(&url) }, &queue());
    for timestamp in 1..=4 {
        one_by_one(&running, [timestamp]).await;
        tokio::time::sleep(age).await;
    }
    assert_eq!(wire.connections(), 4);
    assert!(redials(&running, Redial::Age) >= 3, "{:?}", running.sender.metrics.snapshot().redials);
    assert_all_is_well(&running, 4);
}

// === names ===

/// An endpoint whose URL has a name, and no port: the name server tells both.
fn named(names: &Arc<NameServer>) -> (Config, Tuning) {
    (config("http://receiver.test/"), Tuning { resolver: Some(names.resolver()), ..quick() })
}

#[tokio::test]
async fn a_name_that_moves_is_followed_when_the_connection_is_old() {
    let (first, second) = (serve(NOTHING).await, serve(NOTHING).await);
    let names = NameServer::with(&[first.address]);
    let (config, tuning) = named(&names);
    let age = Duration::from_millis(200);
    let running = start_with(Config { max_connection_age: Some(age), ..config }, &queue(), tuning);
    one_by_one(&running, [1]).await;
    assert_eq!((first.seen().len(), names.asked().len()), (1, 1));
    // The old receiver would still answer.
    names.moved_to(second.address);
    tokio::time::sleep(age).await;
    one_by_one(&running, [2]).await;
    assert_eq!((first.seen().len(), second.seen().len(), names.asked().len()), (1, 1, 2));
    assert_all_is_well(&running, 2);
}

#[tokio::test]
async fn a_name_is_resolved_again_after_three_failures_in_a_row() {
    let (first, second) = (serve(NOTHING).await, serve(NOTHING).await);
    let names = NameServer::with(&[first.address]);
    let (config, tuning) = named(&names);
    let running = start_with(config, &queue(), tuning);
    one_by_one(&running, [1]).await;
    // It fails over the connection that there is, and a healthy one has taken its name.
    first.otherwise(status(503));
    names.moved_to(second.address);
    one_by_one(&running, [2]).await;
    assert_eq!((first.seen().len(), second.seen().len(), names.asked().len()), (1 + 3, 1, 2));
    assert_eq!(redials(&running, Redial::Failures), 1);
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_is_asked_for_until_it_can() {
    let server = serve(NOTHING).await;
    let names = NameServer::with(&[]);
    let (config, tuning) = named(&names);
    let queue = queue();
    append(&queue, &[1]);
    let running = start_with(config, &queue, tuning);
    running.until("failed four times", |running| running.requests("dns") >= 4).await;
    names.moved_to(server.address);
    running.until_done().await;
    assert_eq!(timestamps(&server.saw(1).await[0]), [1]);
    assert_eq!(running.queue.ledger(0).delivered, 1);
}

#[tokio::test]
async fn an_address_that_swallows_packets_leaves_time_for_the_next_one() {
    // A backlog of nothing, and full: the kernel drops what else wants in.
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrV4::new([127, 0, 0, 1].into(), 0)).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let swallows = SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();
    let _fills = tokio::net::TcpStream::connect(swallows).await.unwrap();
    let third = tokio::time::timeout(Duration::from_millis(100), tokio::net::TcpStream::connect(swallows));
    assert!(third.await.is_err(), "the backlog is not full");

    let server = serve(NOTHING).await;
    let names = NameServer::with(&[swallows, server.address]);
    let (config, tuning) = named(&names);
    let queue = queue();
    append(&queue, &[1]);
    // Half of the time for connecting, half of that for each address.
    let timeout = Duration::from_secs(4);
    let running = start_with(without_a_second_chance(Config { timeout, ..config }), &queue, tuning);
    running.until_done().await;
    assert_all_is_well(&running, 1);
}

// === connections that end ===

/// The second request on the connection gets this instead of an answer.
async fn goes_again_at_once(server: Scripted, config: Config) {
    let running = start(without_a_second_chance(config), &queue());
    one_by_one(&running, [1, 2, 3]).await;
    let seen = server.saw(4).await;
    let order: Vec<_> = seen.iter().flat_map(timestamps).collect();
    assert_eq!(order, [1, 2, 2, 3]);
    assert_eq!(seen[1].body, seen[2].body);
    assert_eq!(seen[2].header("retry-attempt").as_deref(), Some("1"));
    assert_all_is_well(&running, 3);
    assert_eq!(redials(&running, Redial::Stale), 1);
}

#[tokio::test]
async fn a_request_that_a_used_connection_loses_goes_again_at_once_and_with_the_same_bytes() {
    for step in [Step::Close, Step::Reset] {
        let server = serve([status(204).into(), step]).await;
        let config = config(&server.url("/"));
        goes_again_at_once(server, config).await;
    }
}

#[tokio::test]
async fn a_request_that_is_lost_twice_waits_for_its_turn() {
    let server = serve([status(204).into(), Step::Close, Step::Close]).await;
    let running = start(config(&server.url("/")), &queue());
    one_by_one(&running, [1, 2]).await;
    assert_eq!(server.seen().iter().flat_map(timestamps).collect::<Vec<_>>(), [1, 2, 2, 2]);
    assert_eq!((running.requests("closed"), redials(&running, Redial::Stale)), (1, 1));
    assert_eq!(running.queue.ledger(0).delivered, 2);
}

#[tokio::test]
async fn a_receiver_that_closes_after_each_answer_costs_a_dial_and_nothing_else() {
    let closes = || status(204).header("connection", "close");
    let server = serve((0..5).map(|_| closes())).await;
    let wire = Wire::to(server.address).await;
    let url = format!("http://{}/", wire.address);
    let running = start(without_a_second_chance(config(&url)), &queue());
    one_by_one(&running, 1..=5).await;
    assert_eq!(wire.connections(), 5);
    assert_all_is_well(&running, 5);
}

#[tokio::test]
async fn a_receiver_that_closes_idle_connections_without_a_word_is_no_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            // The request that may be on its way meets a closed door.
        }
    });
    let running = start(without_a_second_chance(config(&url)), &queue());
    one_by_one(&running, 1..=20).await;
    assert_all_is_well(&running, 20);
}

/// A request of HTTP/1.1 with a Content-Length, to its end.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request);
        if let Some(end) = text.find("\r\n\r\n") {
            let head = text[..end].to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if String::from_utf8_lossy(&request[end..]).len()
                >= length.map_or(0, |text| text.parse().unwrap())
            {
                return;
            }
        }
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
    }
}

// === connections that die in silence ===

/// The peer vanishes without a FIN, and a request with it; the next attempt must not go the same way.
async fn a_new_one_is_dialled(server: Scripted, scheme: &str, config: impl Fn(&str) -> Config) {
    let wire = Wire::to(server.address).await;
    let config = config(&format!("{scheme}://{}/", wire.address));
    let timeout = config.timeout;
    let running = start(config, &queue());
    one_by_one(&running, [1]).await;
    append(&running.queue, &[2]);
    server.saw(2).await;
    wire.cut();
    // No short timeout: the other attempts have to succeed on a busy machine.
    pass(timeout).await;
    running.until_done().await;
    one_by_one(&running, [3]).await;
    let order: Vec<_> = server.seen().iter().flat_map(timestamps).collect();
    assert_eq!(order, [1, 2, 2, 3]);
    assert_eq!((running.requests("timeout"), redials(&running, Redial::Timeout)), (1, 1));
    assert_eq!(wire.connections(), 2);
}

fn silent_at_the_second() -> [Step; 2] {
    [status(204).into(), Step::Hang]
}

#[tokio::test]
async fn a_half_open_connection_costs_one_timeout() {
    a_new_one_is_dialled(serve(silent_at_the_second()).await, "http", config).await;
}

#[tokio::test]
async fn a_half_open_http_2_connection_costs_one_timeout() {
    let authority = Authority::new();
    let server = serve_tls(h2(&authority), silent_at_the_second()).await;
    let tls = authority.inline();
    a_new_one_is_dialled(server, "https", |url| Config { tls: tls.clone(), ..config(url) }).await;
}

// === HTTP/2 ===

fn h2(authority: &Authority) -> rustls::ServerConfig {
    let mut offers = plain(authority.server());
    offers.alpn_protocols = vec![b"h2".to_vec()];
    offers
}

#[tokio::test]
async fn http_2_that_a_server_ends_under_a_request_goes_again_at_once() {
    let authority = Authority::new();
    let server = serve_tls(h2(&authority), [status(204).into(), Step::Close]).await;
    let config = Config { tls: authority.inline(), ..config(&server.url("/")) };
    goes_again_at_once(server, config).await;
}

#[tokio::test]
async fn a_goaway_after_an_answer_costs_a_dial_and_nothing_else() {
    let authority = Authority::new();
    let answers = (0..5).map(|_| status(204).last_of_its_connection());
    let server = serve_tls(h2(&authority), answers).await;
    let wire = Wire::to(server.address).await;
    let config = Config { tls: authority.inline(), ..config(&format!("https://{}/", wire.address)) };
    let running = start(without_a_second_chance(config), &queue());
    one_by_one(&running, 1..=5).await;
    assert_eq!(wire.connections(), 5);
    assert!(server.seen().iter().all(|seen| seen.line.ends_with("HTTP/2.0")));
    assert_all_is_well(&running, 5);
}

#[tokio::test]
async fn a_request_that_a_goaway_leaves_out_goes_again_at_once() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(h2(&authority)));
    let connections = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stream = acceptor.accept(stream).await.unwrap();
            let requests = one_answer_then_goaway(stream).await;
            seen.lock().unwrap().push(requests);
        }
    });
    let config = Config { tls: authority.inline(), ..config(&url) };
    let running = start(without_a_second_chance(config), &queue());
    one_by_one(&running, 1..=4).await;
    assert_all_is_well(&running, 4);
    assert_eq!(redials(&running, Redial::Stale), 3);
    // Each connection saw the request that it answered, and the one that it did not.
    assert_eq!(*connections.lock().unwrap(), [2, 2, 2]);
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// HTTP/2 by hand (RFC 9113): answers the first request with 204 and the second with GOAWAY, which says that only the first was
/// looked at. Returns how many requests came.
async fn one_answer_then_goaway(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> u32 {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let mut requests = 0;
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return requests;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let (kind, flags) = (head[3], head[4]);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.unwrap();
        match kind {
            SETTINGS if flags & ACK == 0 => {
                stream.write_all(&frame(SETTINGS, ACK, 0, &[])).await.unwrap();
            }
            DATA if flags & END_STREAM != 0 => {
                requests += 1;
                let answer = if requests == 1 {
                    // `:status: 204` is number 9 of HPACK's static table (RFC 7541).
                    frame(HEADERS, END_STREAM | END_HEADERS, id, &[0x89])
                } else {
                    // The last stream that was looked at is 1; NO_ERROR.
                    frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])
                };
                stream.write_all(&answer).await.unwrap();
                stream.flush().await.unwrap();
                if requests == 2 {
                    return requests;
                }
            }
            _ => {}
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}
