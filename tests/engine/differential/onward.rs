//! Where a Prometheus sends on what it writes into its log: the remote-read of 2.42 hands out no native histograms, and
//! no float behind one. Its remote-write reads the log
//! itself, so nothing is put together anew: spans, empty buckets, stale histograms and the bits of NaNs come as they were appended.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use docker_remote_write::proto::v1;
use prost::Message;

use super::history::{LabelSet, Stored};

/// What a Prometheus has written, in the order of its log.
pub(super) type Log = BTreeMap<LabelSet, Vec<(i64, Stored)>>;

/// What has come from one Prometheus. Its thread ends with the test program.
pub(super) struct Onward {
    port: u16,
    came: Arc<Mutex<Log>>,
}

impl Onward {
    pub(super) fn listen() -> Onward {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let port = listener.local_addr().expect("it is bound").port();
        let came: Arc<Mutex<Log>> = Arc::default();
        let kept = Arc::clone(&came);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                take(&stream, &kept);
            }
        });
        Onward { port, came }
    }

    /// For our `REMOTE_WRITE_CONFIG`: what is sent, before a receiver makes anything of it.
    pub(super) fn endpoint(&self) -> String {
        format!(
            "[{{url: 'http://127.0.0.1:{}/', name: onward, protobuf_message: prometheus.WriteRequest}}]",
            self.port
        )
    }

    /// For a prometheus.yml. One shard, so everything comes in the order of the log; series of `instance` alone, a regex.
    pub(super) fn config(&self, instance: &str) -> String {
        format!(
            "remote_write:\n- url: http://127.0.0.1:{}/\n  send_native_histograms: true\n  metadata_config: {{send: false}}\n  \
             queue_config: {{min_shards: 1, max_shards: 1, capacity: 10000, max_samples_per_send: 2000, batch_send_deadline: 100ms}}\n  \
             write_relabel_configs: [{{source_labels: [instance], regex: '{instance}', action: keep}}]\n",
            self.port
        )
    }

    /// All series of this instance, once a sample of `sentinel` has come that is as new as `until`.
    pub(super) fn of_instance(&self, instance: &str, sentinel: &LabelSet, until: i64) -> Option<Log> {
        let came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        came.get(sentinel)?.last().filter(|(newest, _)| *newest >= until)?;
        let is_of_it = |labels: &LabelSet| labels.get("instance").is_some_and(|is| is == instance);
        Some(
            came.iter()
                .filter(|(labels, _)| is_of_it(labels))
                .map(|(labels, samples)| (labels.clone(), samples.clone()))
                .collect(),
        )
    }
}

/// One request, one answer.
fn take(mut stream: &TcpStream, came: &Mutex<Log>) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a length is a number");
        }
        line.clear();
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let message = snap::raw::Decoder::new().decompress_vec(&body).expect("remote-write sends snappy");
    let request = v1::WriteRequest::decode(message.as_slice()).expect("remote-write sends protobuf");
    let mut came = came.lock().unwrap_or_else(PoisonError::into_inner);
    for series in request.timeseries {
        let labels: LabelSet = series.labels.into_iter().map(|label| (label.name, label.value)).collect();
        let samples = came.entry(labels).or_default();
        samples.extend(series.samples.iter().map(|one| (one.timestamp, Stored::float(one.value))));
        samples.extend(series.histograms.into_iter().map(|one| (one.timestamp, Stored::histogram(one))));
    }
    // A sender that went away sends again.
    let _ = stream.write_all(b"HTTP/1.1 204 Taken\r\nConnection: close\r\n\r\n");
}
