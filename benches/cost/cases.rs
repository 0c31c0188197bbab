//! The steps and their floors. Each module has `ours` and `floor`: what is prepared once, and what one run does.

pub(crate) mod protobuf;
mod queue;

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use docker_remote_write::exposition::{Entry, Parser};
use docker_remote_write::queue::RecordMeta;
use docker_remote_write::scrape::Ingest;
use docker_remote_write::wire::v1::RequestBuilder;
use docker_remote_write::wire::{Limits, RecordEncoder};

use crate::Run;
use crate::body::exposition;
use crate::pipe::{Pipe, RECORD_LIMITS, meta, rules, time_of};

pub(crate) use queue::{queue_append, queue_read_disk, queue_read_memory, queue_recover};

/// A default request takes no more (`REMOTE_WRITE_MAX_SAMPLES_PER_SEND`, `_MAX_BYTES_PER_SEND`).
const REQUEST_LIMITS: Limits = Limits { max_samples: 2_000, max_bytes: 3 << 20 };

/// The lines of samples.
fn samples(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest)?;
        let line = &rest[..end];
        rest = &rest[end + 1..];
        Some(line)
    })
    .filter(|line| line.first() != Some(&b'#'))
}

fn count_lines(series: usize) -> Run {
    let body = exposition(series, 1);
    Box::new(move || {
        black_box(memchr::memchr_iter(b'\n', black_box(&body)).count());
        None
    })
}

/// The records of one scrape in steady state.
fn records(series: usize) -> Vec<(RecordMeta, Bytes)> {
    let mut ingest = Ingest::new(rules());
    let mut encoder = RecordEncoder::new(RECORD_LIMITS);
    let mut records = Vec::new();
    for scrape in 0..2 {
        records.clear();
        ingest.scrape(Ok(&exposition(series, scrape)), time_of(scrape), Instant::now());
        encoder.encode(
            ingest.samples(),
            |slot| ingest.describe(slot),
            |counts, payload| {
                records.push((meta(counts), Bytes::copy_from_slice(payload)));
            },
        );
    }
    records
}

fn decompressed(block: &[u8]) -> Vec<u8> {
    snap::raw::Decoder::new().decompress_vec(block).expect("a block that we wrote")
}

/// The 1.0 bodies of one scrape.
fn requests(records: &[(RecordMeta, Bytes)], mut each: impl FnMut(&[u8]), builder: &mut RequestBuilder) {
    for (meta, payload) in records {
        let mut entry = 0;
        while entry < meta.samples {
            builder.clear();
            entry = builder.push(payload, entry, &REQUEST_LIMITS).expect("a record that we wrote");
            each(builder.finish());
        }
    }
}

fn copy_payloads(series: usize) -> Run {
    let records = records(series);
    Box::new(move || {
        for (_, payload) in &records {
            black_box(payload.to_vec());
        }
        None
    })
}

pub(crate) mod parse {
    use super::*;

    pub(crate) fn ours(series: usize) -> Run {
        let body = exposition(series, 1);
        Box::new(move || {
            let mut parser = Parser::new(&body);
            while let Some(Ok(entry)) = parser.next() {
                black_box(&entry);
            }
            None
        })
    }

    pub(crate) fn floor(series: usize) -> Run {
        count_lines(series)
    }
}

pub(crate) mod parse_as_guessed {
    use super::*;

    pub(crate) fn ours(series: usize) -> Run {
        let body = exposition(series, 1);
        let mut raws = Vec::new();
        let mut parser = Parser::new(&body);
        while let Some(Ok(entry)) = parser.next() {
            if let Entry::Series(series) = entry {
                raws.push(series.raw.to_vec());
            }
        }
        let body = body.clone();
        Box::new(move || {
            let (mut parser, mut at) = (Parser::new(&body), 0);
            while let Some(Ok(entry)) = parser.next_like(raws.get(at).map_or(&[], Vec::as_slice)) {
                if let Entry::Series(series) = &entry {
                    black_box(series);
                    at += 1;
                }
            }
            None
        })
    }

    pub(crate) fn floor(series: usize) -> Run {
        count_lines(series)
    }
}

pub(crate) mod ingest_hit {
    use super::*;

    pub(crate) fn ours(series: usize) -> Run {
        let bodies = [exposition(series, 0), exposition(series, 1)];
        let mut ingest = Ingest::new(rules());
        let mut scrape = 0;
        let mut run = move || {
            scrape += 1;
            ingest.scrape(Ok(&bodies[scrape % 2]), time_of(scrape as u64), Instant::now());
            black_box(ingest.samples());
            None
        };
        run();
        Box::new(run)
    }

    pub(crate) fn floor(series: usize) -> Run {
        let body = exposition(series, 1);
        Box::new(move || {
            for line in samples(&body) {
                let value = &line[memchr::memrchr(b' ', line).map_or(0, |at| at + 1)..];
                black_box(std::str::from_utf8(value).ok().and_then(|value| value.parse::<f64>().ok()));
            }
            None
        })
    }
}

pub(crate) mod ingest_miss {
    use super::*;

    pub(crate) fn ours(series: usize) -> Run {
        let body = exposition(series, 1);
        Box::new(move || {
            let mut ingest = Ingest::new(rules());
            ingest.scrape(Ok(&body), time_of(1), Instant::now());
            Some(Box::new(ingest))
        })
    }

    pub(crate) fn floor(series: usize) -> Run {
        let body = exposition(series, 1);
        Box::new(move || {
            let lines: HashMap<Box<[u8]>, usize> =
                samples(&body).enumerate().map(|(at, line)| (line.into(), at)).collect();
            Some(Box::new(lines))
        })
    }
}

pub(crate) mod encode_2_0 {
    use super::*;

    pub(crate) fn ours(series: usize) -> Run {
        let mut ingest = Ingest::new(rules());
        ingest.scrape(Ok(&exposition(series, 1)), time_of(1), Instant::now());
        let mut encoder = RecordEncoder::new(RECORD_LIMITS);
        Box::new(move || {
            encoder.encode(
                ingest.samples(),
                |slot| ingest.describe(slot),
                |_, payload| {
                    black_box(payload);
                },
            );
            None
        })
    }

    pub(crate) fn floor(series: usize) -> Run {
        let messages: Vec<Vec<u8>> =
            records(series).iter().map(|(_, payload)| decompressed(payload)).collect();
        compress_all(messages)
    }
}

fn compress_all(messages: Vec<Vec<u8>>) -> Run {
    let room = messages.iter().map(|message| snap::raw::max_compress_len(message.len())).max();
    let mut out = vec![0; room.unwrap_or_default()];
    let mut encoder = snap::raw::Encoder::new();
    Box::new(move || {
        for message in &messages {
            let _ = black_box(encoder.compress(message, &mut out));
        }
        None
    })
}

fn messages_1_0(series: usize) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    requests(&records(series), |body| messages.push(decompressed(body)), &mut RequestBuilder::new());
    messages
}

pub(crate) mod transcode_1_0 {
    use super::*;

    pub(crate) fn ours(series: usize) -> Run {
        let records = records(series);
        let mut builder = RequestBuilder::new();
        Box::new(move || {
            requests(
                &records,
                |body| {
                    black_box(body);
                },
                &mut builder,
            );
            None
        })
    }

    pub(crate) fn floor(series: usize) -> Run {
        let records = records(series);
        let mut out = vec![0; 1 << 20];
        let mut compress = compress_all(messages_1_0(series));
        Box::new(move || {
            for (_, payload) in &records {
                let _ = black_box(snap::raw::Decoder::new().decompress(payload, &mut out));
            }
            compress()
        })
    }
}

pub(crate) mod snappy {
    use super::*;

    pub(crate) fn ours(series: usize) -> Run {
        let messages = messages_1_0(series);
        let mut compressor = docker_remote_write::wire::snappy::Compressor::default();
        Box::new(move || {
            for message in &messages {
                black_box(compressor.compress(message));
            }
            None
        })
    }

    pub(crate) fn floor(series: usize) -> Run {
        compress_all(messages_1_0(series))
    }
}

pub(crate) mod body_to_queue {
    use super::*;

    pub(crate) fn ours(series: usize) -> Run {
        let dir = tempfile::tempdir().expect("a directory for temporary files");
        let mut pipe = Pipe::on_disk(dir.path());
        let bodies = [exposition(series, 0), exposition(series, 1)];
        let mut scrape = 0;
        let mut run = move || {
            let _keeps_the_directory = &dir;
            scrape += 1;
            black_box(pipe.scrape(&bodies[scrape % 2]));
            None
        };
        run();
        Box::new(run)
    }

    pub(crate) fn floor(series: usize) -> Run {
        let body = exposition(series, 1);
        Box::new(move || {
            black_box(body.clone());
            None
        })
    }
}
