//! The caller's side of Docker's plugin API: what dockerd sends to a metrics collector, byte for byte.

use std::path::Path;

use tokio::io::{self, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Bytes of an answer's body that are read at most.
const MAX_BODY_BYTES: usize = 64 << 10;

/// A plugin's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body as it came.
    pub body: String,
}

/// One kept-alive connection to the API socket: StopMetrics comes over the one that StartMetrics opened.
#[derive(Debug)]
pub struct Dockerd {
    stream: BufReader<UnixStream>,
}

impl Dockerd {
    /// Connects as `docker plugin enable` does: once to see whether somebody listens, without a byte, and then to stay.
    ///
    /// # Errors
    /// Nobody listens on the socket.
    pub async fn connect(socket: &Path) -> io::Result<Self> {
        drop(UnixStream::connect(socket).await?);
        Ok(Self { stream: BufReader::new(UnixStream::connect(socket).await?) })
    }

    /// `/MetricsCollector.StartMetrics`
    ///
    /// # Errors
    /// The connection broke, or what came back is no HTTP.
    pub async fn start_metrics(&mut self) -> io::Result<Reply> {
        self.call("MetricsCollector.StartMetrics").await
    }

    /// `/MetricsCollector.StopMetrics`
    ///
    /// # Errors
    /// The connection broke, or what came back is no HTTP.
    pub async fn stop_metrics(&mut self) -> io::Result<Reply> {
        self.call("MetricsCollector.StopMetrics").await
    }

    /// Any method, with the headers that dockerd 20.10.24 was seen to send: an empty Host, no body, no Content-Type.
    ///
    /// # Errors
    /// The connection broke, or what came back is no HTTP.
    pub async fn call(&mut self, method: &str) -> io::Result<Reply> {
        let request = format!(
            "POST /{method} HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 0\r\n\
             Accept: application/vnd.docker.plugins.v1.2+json\r\n\r\n"
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.reply().await
    }

    async fn reply(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| broken("no status line"))?;
        let mut length = None;
        loop {
            line.clear();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse::<usize>().ok();
            }
        }
        let length = length.filter(|length| *length <= MAX_BODY_BYTES);
        let mut body = vec![0; length.ok_or_else(|| broken("no usable Content-Length"))?];
        self.stream.read_exact(&mut body).await?;
        let body = String::from_utf8(body).map_err(|_| broken("a body that is not UTF-8"))?;
        Ok(Reply { status, body })
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn sends_dockerds_bytes_over_one_connection_and_reads_the_answers() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("api.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let plugin = async {
            let (mut probe, _) = listener.accept().await.unwrap();
            let mut nothing = Vec::new();
            probe.read_to_end(&mut nothing).await.unwrap();
            assert!(nothing.is_empty());
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            for answer in [
                "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"Err\":\"\"}",
                "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\n{}",
            ] {
                while !seen.ends_with(b"\r\n\r\n") {
                    seen.push(stream.read_u8().await.unwrap());
                }
                seen.push(b'|');
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            String::from_utf8(seen).unwrap()
        };
        let caller = async {
            let mut dockerd = Dockerd::connect(&socket).await.unwrap();
            [dockerd.start_metrics().await.unwrap(), dockerd.stop_metrics().await.unwrap()]
        };
        let (seen, replies) = tokio::join!(plugin, caller);
        assert_eq!(replies[0], Reply { status: 200, body: r#"{"Err":""}"#.to_owned() });
        assert_eq!(replies[1], Reply { status: 500, body: "{}".to_owned() });
        let request = |method: &str| {
            format!(
                "POST /MetricsCollector.{method} HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\n\
                 Content-Length: 0\r\nAccept: application/vnd.docker.plugins.v1.2+json\r\n\r\n|"
            )
        };
        assert_eq!(seen, request("StartMetrics") + &request("StopMetrics"));
    }
}
