use super::outcome::Cause;

/// What the text of a refusal may steer. It decides nothing that the status does not leave open (remote-write 1.09), and texts
/// differ between versions: one that is not known is [`Words::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// Nobody serves this path (VictoriaMetrics says so with a 400).
    WrongPath,
    /// The request cannot be decoded; no part of it could be.
    Undecodable,
    /// The request is too large.
    TooLarge,
    /// The tenant has too many series: those it knows and those that fitted are stored.
    SeriesLimit,
    /// Cortex and Mimir: what is good in the request is stored.
    PartlyStored,
    /// A sample's time is at fault; its series may be fine.
    SampleTime,
    /// Nothing that we know.
    Unknown,
}

/// Looked for in this order, in lower case: Mimir's texts hold words of the lists below them.
const KNOWN: [(Words, &[&str]); 8] = [
    (Words::WrongPath, &["unsupported path"]),
    (
        Words::TooLarge,
        &["err-mimir-distributor-max-write-message-size", "err-mimir-distributor-max-write-request"],
    ),
    (
        Words::SeriesLimit,
        &[
            "series limit",
            "err-mimir-max-series-per-user",
            "err-mimir-max-series-per-metric",
            "err-mimir-max-active-series",
        ],
    ),
    (
        Words::PartlyStored,
        &[
            "err-mimir-",
            // The ingesters of Cortex, whatever the distributor puts in front; they name the tenant, the time and the series.
            "user=",
            ", series={",
            // Its distributors.
            "sample invalid label",
            "sample invalid metric name",
            "sample missing metric name",
            "duplicate label name",
            "labels not sorted",
            "label value too long",
            "label name too long",
            "series has too many labels",
            "timestamp too old",
            "timestamp too new",
        ],
    ),
    (
        Words::Undecodable,
        &["corrupt input", "unexpected eof", "illegal wiretype", "wrong wiretype", "cannot unmarshal"],
    ),
    (
        Words::TooLarge,
        &["larger than max", "exceeds the", "too big", "message size", "too large", "too many samples"],
    ),
    (
        Words::SampleTime,
        &["out of order", "out of bounds", "duplicate sample", "too old", "too far in the future"],
    ),
    (Words::Unknown, &[]),
];

impl Words {
    /// What this text says, as far as it is known.
    pub(super) fn of(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let said = |(_, words): &&(Self, &[&str])| words.iter().any(|word| text.contains(word));
        KNOWN.iter().find(said).map_or(Self::Unknown, |(words, _)| *words)
    }
}

/// Whom to blame for a request that is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The series: its next samples will fare no better.
    Series,
    /// The sample's time: the next one of its series may be fine.
    Sample,
}

impl Blame {
    pub(super) const fn of(words: Words) -> Self {
        match words {
            Words::SampleTime => Self::Sample,
            Words::WrongPath
            | Words::Undecodable
            | Words::TooLarge
            | Words::SeriesLimit
            | Words::PartlyStored
            | Words::Unknown => Self::Series,
        }
    }
}

/// Why a request that ends here is booked as rejected.
pub(super) const fn cause(words: Words) -> Cause {
    match words {
        Words::SeriesLimit | Words::PartlyStored => Cause::PartlyStored,
        Words::WrongPath | Words::Undecodable | Words::TooLarge | Words::SampleTime | Words::Unknown => {
            Cause::Refused
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_known_receivers_are_told_apart() {
        for (text, words) in [
            ("unsupported path requested: \"/x\"", Words::WrongPath),
            ("received message larger than max (110 vs 100)", Words::TooLarge),
            ("decoded size exceeds the 33554432 bytes limit", Words::TooLarge),
            ("too big unpacked request", Words::TooLarge),
            ("err-mimir-distributor-max-write-message-size: ...", Words::TooLarge),
            ("write request too large", Words::TooLarge),
            ("per-user series limit of 5 exceeded", Words::SeriesLimit),
            ("per-metric series limit of 5 exceeded", Words::SeriesLimit),
            ("tenant is above active series limit", Words::SeriesLimit),
            (
                "received a series whose label value exceeds the limit (err-mimir-label-value-too-long)",
                Words::PartlyStored,
            ),
            ("(err-mimir-sample-out-of-order): out of order", Words::PartlyStored),
            (
                "user=fake: err: out of order sample. timestamp=2026-01-01T00:00:00Z, series={__name__=\"x\"}",
                Words::PartlyStored,
            ),
            ("sample invalid label: \"zz-bad\"", Words::PartlyStored),
            ("snappy: corrupt input", Words::Undecodable),
            ("unexpected EOF", Words::Undecodable),
            ("out of order sample", Words::SampleTime),
            ("duplicate sample for timestamp", Words::SampleTime),
            ("out of bounds", Words::SampleTime),
            ("", Words::Unknown),
            ("bad request", Words::Unknown),
        ] {
            assert_eq!(Words::of(text), words, "{text}");
        }
    }
}
