//! Breaks the pipe on purpose, between the sender and the receiver, so that a test can demand that the demo notices.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use prost::Message;

use super::report::OWN_JOB;
use crate::model::METRIC_NAME;
use crate::receiver::Tamper;
use crate::wire::decode::decode_v1;
use crate::wire::snappy::Compressor;

/// The request with this number is the victim, counting those that hold engine samples.
const VICTIM: u32 = 3;
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// How the pipe is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Break {
    /// A whole request disappears, although it is answered 204.
    DropRecord,
    /// One bit of one value changes.
    FlipValue,
    /// A request arrives twice.
    Double,
    /// One sample arrives after the next one of its series.
    Reorder,
}

/// Changes bodies on their way in. A body that is sent again is changed in the same way again.
#[must_use]
pub fn tamper(how: Break) -> Tamper {
    let state = Mutex::new(State {
        how,
        seen: 0,
        victim: None,
        after: None,
        held: None,
        compressor: Compressor::default(),
    });
    Arc::new(move |body| state.lock().unwrap_or_else(PoisonError::into_inner).pass(body))
}

struct State {
    how: Break,
    seen: u32,
    /// CRC of the victim's body.
    victim: Option<u32>,
    /// CRC of the first body after it.
    after: Option<u32>,
    /// What the body after it brings in addition, encoded.
    held: Option<Vec<u8>>,
    compressor: Compressor,
}

impl State {
    fn pass(&mut self, body: Bytes) -> Bytes {
        // What cannot be decoded is for the receiver to judge.
        let Ok(mut message) = decode_v1(&body, MAX_MESSAGE_BYTES) else { return body };
        let crc = crc32fast::hash(&body);
        let label = |name: &str, value: &str, series: usize| {
            message.timeseries[series].labels.iter().any(|label| label.name == name && label.value == value)
        };
        let ours = |series: &usize| !label("job", OWN_JOB, *series);
        let named =
            |name: &str| (0..message.timeseries.len()).filter(ours).find(|at| label(METRIC_NAME, name, *at));
        let Some(up) = named("up") else { return body };
        let chosen = named("process_resident_memory_bytes").unwrap_or(up);
        if self.victim.is_none() {
            self.seen += 1;
            if self.seen == VICTIM {
                self.victim = Some(crc);
            }
        } else if self.after.is_none() && self.victim != Some(crc) {
            self.after = Some(crc);
        }
        let (victim, after) = (self.victim == Some(crc), self.after == Some(crc));
        match self.how {
            Break::DropRecord if victim => message.timeseries.clear(),
            Break::FlipValue if victim => {
                for sample in message.timeseries[chosen].samples.iter_mut().take(1) {
                    sample.value = f64::from_bits(sample.value.to_bits() ^ 1);
                }
            }
            Break::Double if victim => {
                self.held = Some(message.encode_to_vec());
                return body;
            }
            Break::Reorder if victim => {
                let mut late = message.clone();
                late.timeseries = vec![message.timeseries.remove(chosen)];
                self.held = Some(late.encode_to_vec());
            }
            Break::Double if after => {
                let held = self.held.clone().unwrap_or_default();
                return self.pack(&[held, message.encode_to_vec()].concat());
            }
            Break::Reorder if after => {
                let held = self.held.clone().unwrap_or_default();
                return self.pack(&[message.encode_to_vec(), held].concat());
            }
            Break::DropRecord | Break::FlipValue | Break::Double | Break::Reorder => return body,
        }
        self.pack(&message.encode_to_vec())
    }

    fn pack(&mut self, message: &[u8]) -> Bytes {
        Bytes::copy_from_slice(self.compressor.compress(message))
    }
}
