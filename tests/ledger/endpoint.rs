//! An endpoint that hands each request to the story and answers when, and what, that says. Just enough HTTP/1.1 to be exact about
//! where an answer ends.

use std::os::fd::AsFd as _;
use std::time::Duration;

use docker_remote_write::receiver::Protocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) endpoint: usize,
    /// By its content type.
    pub(super) protocol: Protocol,
    pub(super) body: Vec<u8>,
    pub(super) reply: oneshot::Sender<Reply>,
}

/// What is done about a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    /// A whole answer. To 2.0, all samples are said to be written in those that are final.
    Status(u16),
    /// The same of a receiver that has not read the request: nothing is said of what is written.
    Unread(u16),
    /// The head of an answer, half its body, and the end of the connection.
    Torn(u16),
    /// Half a status line, and the end of the connection.
    Scrap,
    Close,
    Reset,
}

/// Listens until the set is dropped.
pub(super) async fn listen(
    endpoint: usize,
    arrivals: mpsc::UnboundedSender<Arrival>,
    tasks: &mut JoinSet<()>,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(converse(endpoint, stream, arrivals.clone()));
        }
    });
    port
}

async fn converse(endpoint: usize, mut stream: TcpStream, arrivals: mpsc::UnboundedSender<Arrival>) {
    let mut bytes = Vec::new();
    // The peer may go at any time.
    while let Some((protocol, body)) = request(&mut stream, &mut bytes).await {
        let (reply, told) = oneshot::channel();
        if arrivals.send(Arrival { endpoint, protocol, body, reply }).is_err() {
            return;
        }
        let Ok(told) = told.await else { return };
        let written = match (protocol, told) {
            (Protocol::V2, Reply::Status(200..300 | 400 | 409 | 422) | Reply::Torn(200)) => {
                "X-Prometheus-Remote-Write-Samples-Written: 1000000\r\n"
            }
            _ => "",
        };
        let answer = match told {
            Reply::Status(204) | Reply::Unread(204) => format!("HTTP/1.1 204 No Content\r\n{written}\r\n"),
            // 0 leaves the delay to the sender.
            Reply::Status(429) => {
                "HTTP/1.1 429 Slow\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nslow".to_owned()
            }
            Reply::Status(status) | Reply::Unread(status) => {
                format!("HTTP/1.1 {status} x\r\n{written}Content-Length: 4\r\n\r\ntext")
            }
            Reply::Torn(status) => {
                format!("HTTP/1.1 {status} x\r\n{written}Content-Length: 64\r\n\r\nhalf a text")
            }
            Reply::Scrap => "HTTP/1.1 20".to_owned(),
            Reply::Close | Reply::Reset => String::new(),
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        match told {
            Reply::Status(_) | Reply::Unread(_) => {}
            Reply::Torn(_) | Reply::Scrap | Reply::Close => return,
            Reply::Reset => {
                rustix::net::sockopt::set_socket_linger(stream.as_fd(), Some(Duration::ZERO)).unwrap();
                return;
            }
        }
    }
}

/// The next request's message and body; `bytes` keeps what has been read beyond it.
async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<(Protocol, Vec<u8>)> {
    let head = loop {
        if let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") {
            break end + 4;
        }
        read_more(stream, bytes).await?;
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let length =
        text.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("no Content-Length");
    let is_v2 =
        text.contains("\r\ncontent-type: application/x-protobuf;proto=io.prometheus.write.v2.request\r\n");
    let protocol = if is_v2 { Protocol::V2 } else { Protocol::V1 };
    let end = head + length.parse::<usize>().unwrap();
    while bytes.len() < end {
        read_more(stream, bytes).await?;
    }
    let rest = bytes.split_off(end);
    Some((protocol, std::mem::replace(bytes, rest).split_off(head)))
}

async fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    match stream.read_buf(bytes).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}
