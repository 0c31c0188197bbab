//! What an endpoint may do to a sender: its samples stay queued, the process stays small, and they arrive at the next good answer.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use rcgen::ExtendedKeyUsagePurpose;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::target::{drip, endlessly, noise};
use super::{Peak, block_on, measure, until};
use crate::support::certificates::{Authority, Identity, plain};
use crate::support::program::World;

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// What it does with a connection before anything has been read of it.
type Conduct = Arc<dyn Fn(&mut dyn Stream, usize) -> io::Result<()> + Send + Sync>;
/// The certificate that it shows while it is bad.
type Bad = fn(&Authority) -> Identity;

struct Case {
    name: &'static str,
    /// Ends with RST instead of FIN.
    resets: bool,
    /// Behind TLS.
    tls: Option<(Bad, &'static [u8])>,
    conduct: Conduct,
}

fn case(
    name: &'static str,
    conduct: impl Fn(&mut dyn Stream, usize) -> io::Result<()> + Send + Sync + 'static,
) -> Case {
    Case { name, resets: false, tls: None, conduct: Arc::new(conduct) }
}

impl Case {
    fn resetting(self) -> Self {
        Self { resets: true, ..self }
    }

    /// Over TLS with HTTP/1.1 or, by `alpn`, HTTP/2.
    fn tls(self, certificate: Bad, alpn: &'static [u8]) -> Self {
        Self { tls: Some((certificate, alpn)), ..self }
    }
}

/// Reads one request to its end.
fn request(stream: &mut dyn Stream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        if let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            if all.len() >= end + 4 + length {
                return Ok(all);
            }
        }
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => all.extend_from_slice(&piece[..more]),
        }
    }
}

/// Passes one request on to the real receiver, and its answer back.
fn pass_on(stream: &mut dyn Stream, receiver: SocketAddr) -> io::Result<()> {
    let whole = request(stream)?;
    let line = whole.windows(2).position(|two| two == b"\r\n").unwrap() + 2;
    let mut far = TcpStream::connect(receiver)?;
    far.write_all(&[&whole[..line], b"Connection: close\r\n", &whole[line..]].concat())?;
    let mut answer = Vec::new();
    far.read_to_end(&mut answer)?;
    stream.write_all(&answer)?;
    stream.flush()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

fn h2(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn cases() -> Vec<Case> {
    let right: Bad = Authority::server;
    let over_h2 = |name, frames: Vec<u8>| {
        case(name, move |stream, _| {
            stream.write_all(SETTINGS)?;
            let _ = stream.read(&mut [0; 1024])?;
            endlessly(&mut { stream }, &frames)
        })
        .tls(right, b"h2")
    };
    vec![
        case("endless text of a 503", |stream, _| {
            request(stream)?;
            stream.write_all(b"HTTP/1.1 503 No\r\n\r\n")?;
            endlessly(&mut { stream }, b"no ")
        }),
        case("1 MiB text of a 500", |stream, _| {
            request(stream)?;
            stream.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 1048576\r\n\r\n")?;
            stream.write_all(noise(1 << 20, 5).as_bytes())
        }),
        case("1 MiB of headers", |stream, _| {
            request(stream)?;
            stream.write_all(OK)?;
            stream.write_all(format!("X-Header: {}\r\n", "x".repeat(1000)).repeat(1030).as_bytes())?;
            stream.write_all(b"Content-Length: 0\r\n\r\n")
        }),
        case("one header of 1 MiB", |stream, _| {
            request(stream)?;
            stream.write_all(OK)?;
            stream.write_all(format!("X-Header: {}\r\n\r\n", noise(1 << 20, 6)).as_bytes())
        }),
        case("endless headers", |stream, _| {
            request(stream)?;
            stream.write_all(OK)?;
            endlessly(&mut { stream }, b"X-Header: for ever\r\n")
        }),
        case("endless interim answers", |stream, _| {
            request(stream)?;
            endlessly(&mut { stream }, b"HTTP/1.1 100 Continue\r\n\r\n")
        }),
        case("endless text of a 503 before the request is read", |stream, _| {
            stream.write_all(b"HTTP/1.1 503 No\r\n\r\n")?;
            endlessly(&mut { stream }, b"no ")
        }),
        case("slow drip of the head", |stream, _| {
            request(stream)?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nX-Header: ")?;
            drip(&mut { stream }, b"x")
        }),
        case("slow drip of a 503's text", |stream, _| {
            request(stream)?;
            stream.write_all(b"HTTP/1.1 503 No\r\n\r\n")?;
            drip(&mut { stream }, b"x")
        }),
        case("never reads", |_, _| {
            std::thread::sleep(Duration::from_secs(3));
            Ok(())
        }),
        case("not HTTP", |stream, _| stream.write_all(noise(1 << 20, 7).as_bytes())),
        case("reset on accept", |_, _| Ok(())).resetting(),
        case("reset in the request", |stream, _| stream.read(&mut [0; 100]).map(|_| ())).resetting(),
        case("reset before the answer", |stream, _| request(stream).map(|_| ())).resetting(),
        case("reset in the head of the answer", |stream, _| {
            request(stream)?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-")
        })
        .resetting(),
        case("reset in the text of a 503", |stream, _| {
            request(stream)?;
            stream.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 100\r\n\r\nno")
        })
        .resetting(),
        case("wrong name", |stream, _| stream.write_all(b"x")).tls(
            |authority| authority.sign("elsewhere.example", ExtendedKeyUsagePurpose::ServerAuth),
            b"http/1.1",
        ),
        case("expired certificate", |stream, _| stream.write_all(b"x")).tls(Authority::expired, b"http/1.1"),
        case("certificate of nobody", |stream, _| stream.write_all(b"x"))
            .tls(|_| Authority::new().server(), b"http/1.1"),
        // Without `tls` while bad: see `serve`.
        case("TLS: garbage", |stream, _| endlessly(&mut { stream }, b"\x16\x03\x03\x40\x00garbage"))
            .tls(right, b""),
        case("TLS: reset after the client's hello", |stream, _| stream.read(&mut [0; 100]).map(|_| ()))
            .resetting()
            .tls(right, b""),
        case("TLS: reset after the handshake", |stream, _| stream.flush())
            .resetting()
            .tls(right, b"http/1.1"),
        over_h2("HTTP/2: SETTINGS without end", h2(4, 0, 0, &[0, 4, 0, 0, 0xff, 0xff].repeat(100))),
        over_h2("HTTP/2: PING without end", h2(6, 0, 0, &[0; 8])),
        over_h2("HTTP/2: RST_STREAM without end", h2(3, 0, 1, &[0, 0, 0, 7])),
        over_h2("HTTP/2: GOAWAY without end", h2(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])),
        over_h2("HTTP/2: a GOAWAY of 16 KiB without end", h2(7, 0, 0, &[b'x'; 16_000])),
        case("HTTP/2: CONTINUATION without end", |stream, _| {
            stream.write_all(SETTINGS)?;
            let _ = stream.read(&mut [0; 1024])?;
            stream.write_all(&h2(1, 0, 1, &[0x88]))?;
            endlessly(&mut { stream }, &h2(9, 0, 1, &[0x40, 1, b'x', 1, b'y'].repeat(3000)))
        })
        .tls(right, b"h2"),
        over_h2(
            "HTTP/2: a frame of 16 MiB",
            [&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1][..], &[0; 1000]].concat(),
        ),
    ]
}

/// One endpoint, which is bad until it is told to be good.
struct Endpoint {
    address: SocketAddr,
    good: Arc<AtomicBool>,
    met: Arc<AtomicUsize>,
}

impl Endpoint {
    fn listen(case: &Case, receiver: SocketAddr, authority: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (good, met) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let configs = case.tls.map(|(bad, alpn)| {
            let mut config = plain(bad(authority));
            config.alpn_protocols = vec![alpn.to_vec()];
            // No ALPN at all: no TLS at all.
            let bad = (!alpn.is_empty()).then(|| Arc::new(config));
            (bad, Arc::new(plain(authority.server())))
        });
        let (conduct, resets) = (Arc::clone(&case.conduct), case.resets);
        let endpoint = Self { address, good: Arc::clone(&good), met: Arc::clone(&met) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let (configs, conduct) = (configs.clone(), Arc::clone(&conduct));
                let (good, met) = (Arc::clone(&good), Arc::clone(&met));
                std::thread::spawn(move || {
                    let again = stream.try_clone().unwrap();
                    if good.load(SeqCst) {
                        let _ = match configs {
                            None => pass_on(&mut stream, receiver),
                            Some((_, config)) => pass_on(&mut tls(config, stream), receiver),
                        };
                        // What TLS has still to say is on its way.
                        let _ = again.shutdown(Shutdown::Write);
                        return;
                    }
                    let number = met.fetch_add(1, SeqCst);
                    let _ = match configs {
                        None | Some((None, _)) => conduct(&mut stream, number),
                        Some((Some(config), _)) => conduct(&mut tls(config, stream), number),
                    };
                    if resets {
                        rustix::net::sockopt::set_socket_linger(&again, Some(Duration::ZERO)).unwrap();
                    }
                });
            }
        });
        endpoint
    }
}

fn tls(config: Arc<ServerConfig>, stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
    StreamOwned::new(ServerConnection::new(config).unwrap(), stream)
}

async fn run(case: Case) -> Peak {
    let world = World::new().await;
    let authority = Authority::new();
    let endpoint = Endpoint::listen(&case, world.address, &authority);
    let scheme = if case.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}/api/v1/write", endpoint.address);
    let mut program = world.run(&[
        ("REMOTE_WRITE_URL", &url),
        ("REMOTE_WRITE_TLS_CA", &authority.pem),
        ("REMOTE_WRITE_TIMEOUT", "2s"),
        ("REMOTE_WRITE_MAX_BACKOFF", "500ms"),
    ]);
    let name = case.name;
    until(&format!("{name}: met"), || endpoint.met.load(SeqCst) >= 3 && world.engine.scrapes() >= 3).await;
    assert_eq!(world.ups(), 0, "{name}: bad until now");
    let scrapes = world.engine.scrapes();
    endpoint.good.store(true, SeqCst);
    until(&format!("{name}: what was queued arrives"), || world.ups() >= scrapes).await;
    let bytes = program.peak_rss();
    world.assert_strict();
    let (status, said, _) = program.terminated().await;
    assert!(status.success() && !said.contains("panicked"), "{name}: {said}");
    assert!(!said.contains("counted as rejected"), "{name}: {said}");
    Peak { name, bytes }
}

#[test]
fn whatever_an_endpoint_does_the_process_stays_small_and_what_is_queued_arrives() {
    measure("endpoint", cases(), |case| block_on(run(case)));
}
