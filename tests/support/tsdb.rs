//! Receivers that store what they take and refuse as real ones do: for the whole request, or for the bad part alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use docker_remote_write::model::{Labels, now_ms};
use docker_remote_write::wire::decode::decode_v1;

use super::scripted::{Step, status};

/// What happens to the good part of a request with a bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Nothing is stored (Prometheus, to 1.0).
    RollsBack,
    /// It is stored, and the answer is an error all the same (Thanos, Cortex, Mimir).
    KeepsTheGood,
}

/// Status and text for a sample of this series (as PromQL writes it) at this time, if it is refused.
type Rule = Box<dyn Fn(&str, i64) -> Option<(u16, &'static str)> + Send>;

/// A sample's timestamp and the bits of its value.
pub(crate) type Stored = (i64, u64);

/// A TSDB behind remote-write 1.0; cheap to clone.
#[derive(Clone)]
pub(crate) struct Tsdb {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    manner: Manner,
    rule: Rule,
    /// It refuses whole requests for the sake of native histograms, as a Prometheus for which they are switched off.
    no_histograms: bool,
    /// Of the message before compression, and the answer beyond it.
    max_bytes: usize,
    too_large: (u16, &'static str),
    stored: BTreeMap<String, Vec<Stored>>,
    /// Answers that get lost on their way, after their requests were stored.
    lost: u32,
}

impl Tsdb {
    pub(crate) fn new(manner: Manner) -> Self {
        let inner = Inner {
            manner,
            rule: Box::new(|_, _| None),
            no_histograms: false,
            max_bytes: usize::MAX,
            too_large: (413, "write request too large"),
            stored: BTreeMap::new(),
            lost: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Refuses samples of its own choice.
    pub(crate) fn refusing(
        self,
        rule: impl Fn(&str, i64) -> Option<(u16, &'static str)> + Send + 'static,
    ) -> Self {
        self.inner.lock().unwrap().rule = Box::new(rule);
        self
    }

    /// Knows no native histograms.
    pub(crate) fn without_native_histograms(self) -> Self {
        self.inner.lock().unwrap().no_histograms = true;
        self
    }

    /// Refuses messages of more bytes with this answer.
    pub(crate) fn up_to(self, max_bytes: usize, status: u16, text: &'static str) -> Self {
        {
            let mut inner = self.inner.lock().unwrap();
            inner.max_bytes = max_bytes;
            inner.too_large = (status, text);
        }
        self
    }

    /// Somebody else has stored this before.
    pub(crate) fn with(self, series: &str, sample: Stored) -> Self {
        self.inner.lock().unwrap().stored.entry(series.to_owned()).or_default().push(sample);
        self
    }

    /// Loses the next answers.
    pub(crate) fn lose(&self, answers: u32) {
        self.inner.lock().unwrap().lost = answers;
    }

    /// What a server does with its requests.
    pub(crate) fn step(&self) -> Step {
        let inner = Arc::clone(&self.inner);
        Step::Judge(Arc::new(move |body| inner.lock().unwrap().judge(body)))
    }

    /// The timestamps of one series, in the order in which they were stored.
    pub(crate) fn timestamps(&self, series: &str) -> Vec<i64> {
        let inner = self.inner.lock().unwrap();
        inner.stored.get(series).into_iter().flatten().map(|(timestamp, _)| *timestamp).collect()
    }

    /// How many samples are stored.
    pub(crate) fn samples(&self) -> usize {
        self.inner.lock().unwrap().stored.values().map(Vec::len).sum()
    }
}

impl Inner {
    fn judge(&mut self, body: &Bytes) -> Step {
        if snap::raw::decompress_len(body).unwrap() > self.max_bytes {
            let (code, text) = self.too_large;
            return status(code).text(text).into();
        }
        let request = decode_v1(body, 64 << 20).unwrap();
        if self.no_histograms && request.timeseries.iter().any(|series| !series.histograms.is_empty()) {
            return status(500).text("native histograms are disabled").into();
        }
        let before = self.stored.clone();
        let mut refused = None;
        for series in &request.timeseries {
            let labels = series.labels.iter().map(|label| (&label.name, &label.value));
            let name = Labels::from_iter(labels).to_string();
            for sample in &series.samples {
                let answer = self.store(&name, (sample.timestamp, sample.value.to_bits()));
                refused = refused.or(answer);
                if let (Some((code, text)), Manner::RollsBack) = (refused, self.manner) {
                    self.stored = before;
                    return status(code).text(text).into();
                }
            }
        }
        match refused {
            Some((code, text)) => status(code).text(text).into(),
            None if self.lost > 0 => {
                self.lost -= 1;
                Step::Close
            }
            None => status(204).into(),
        }
    }

    /// As Prometheus's head without a window for late samples.
    fn store(&mut self, series: &str, (timestamp, bits): Stored) -> Option<(u16, &'static str)> {
        if let Some(refused) = (self.rule)(series, timestamp) {
            return Some(refused);
        }
        if timestamp > now_ms() + 600_000 {
            return Some((400, "out of bounds"));
        }
        let samples = self.stored.entry(series.to_owned()).or_default();
        match samples.last() {
            Some(last) if *last == (timestamp, bits) => {}
            Some((last, _)) if *last == timestamp => return Some((400, "duplicate sample for timestamp")),
            Some((last, _)) if *last > timestamp => return Some((400, "out of order sample")),
            Some(_) | None => samples.push((timestamp, bits)),
        }
        None
    }
}
