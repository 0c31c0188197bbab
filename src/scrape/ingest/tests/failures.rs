//! A scrape that fails anywhere is an empty one: nothing of it is kept, and what the last good one had ends once.

use std::io;
use std::time::Duration;

use super::*;
use crate::exposition::Format;

/// More lines than a scrape of these tests may have.
const LIMIT: u64 = 5;

const GOOD: &str = "a 1\nb{x=\"1\"} 2\nown 3 1\n";

/// What a scrape brings: a body, or why there is none.
type Cause = fn() -> Result<&'static [u8], ScrapeError>;

/// All ways in which a scrape fails. Where there is a body, it has series of the last good scrape, and `new`, which is nobody's yet.
const CAUSES: [(&str, Cause, u64); 17] = [
    ("connect", || Err(ScrapeError::Connect { target: "t".into(), source: io::Error::other("refused") }), 0),
    ("broken exchange", || Err(ScrapeError::Exchange { target: "t".into(), reason: "reset".into() }), 0),
    ("timeout", || Err(ScrapeError::Timeout { target: "t".into(), limit: Duration::from_secs(1) }), 0),
    ("status", || Err(ScrapeError::Status { target: "t".into(), status: 500 }), 0),
    ("content type", || Err(ScrapeError::ContentType { target: "t".into(), content_type: "x".into() }), 0),
    ("body limit", || Err(ScrapeError::BodySize { target: "t".into(), limit: 1 }), 0),
    ("first line", || Ok(b"bad line\na 1\nb{x=\"1\"} 2\nnew 1\n"), 0),
    ("middle line", || Ok(b"a 1\nnew 1\nbad line\nb{x=\"1\"} 2\n"), 2),
    ("last line", || Ok(b"a 1\nnew 1\nb{x=\"1\"} 2\nbad line\n"), 3),
    ("cut off last line", || Ok(b"a 1\nnew 1\nb{x=\"1\"}"), 2),
    ("bad value", || Ok(b"a 1\nnew 1\nb{x=\"1\"} 1_0\n"), 2),
    ("bad timestamp", || Ok(b"a 1\nnew 1\nb{x=\"1\"} 2 -5\n"), 2),
    ("no UTF-8", || Ok(b"a 1\nnew 1\nb{x=\"\xff\"} 2\n"), 2),
    ("a label name twice", || Ok(b"a 1\nnew 1\nb{x=\"1\",x=\"2\"} 2\n"), 3),
    ("unknown type", || Ok(b"a 1\nnew 1\nb{x=\"1\"} 2\n# TYPE new what\n"), 3),
    ("help is no UTF-8", || Ok(b"a 1\nnew 1\n# HELP new \xff\n"), 2),
    ("sample limit", || Ok(b"a 1\nnew 1\nb{x=\"1\"} 2\nc 1\nd 1\ne 1\n"), 6),
];

impl Target {
    fn limited() -> Self {
        Self::new(Rules { synthetic_series: true, sample_limit: Some(LIMIT), ..rules() })
    }

    /// As `scrape`, without the duration, which is another one each time.
    fn take(&mut self, timestamp: i64, body: Result<&[u8], ScrapeError>) -> (Vec<String>, Report) {
        let report = self.ingest.scrape(body, timestamp, Instant::now());
        let mut samples = self.samples();
        samples.retain(|sample| !sample.starts_with("scrape_duration_seconds "));
        (samples, report)
    }

    fn good(&mut self, timestamp: i64) -> Vec<String> {
        let (samples, report) = self.take(timestamp, Ok(GOOD.as_bytes()));
        assert!(report.failure.is_none());
        samples
    }
}

/// `up` and its companions of a failed scrape, real samples all of them.
fn synthetic(report: &Report, timestamp: i64) -> [String; 4] {
    let Report { scraped, post_relabel, added, .. } = report;
    [
        format!("up 0@{timestamp}"),
        format!("scrape_samples_scraped {scraped}@{timestamp}"),
        format!("scrape_samples_post_metric_relabeling {post_relabel}@{timestamp}"),
        format!("scrape_series_added {added}@{timestamp}"),
    ]
}

#[test]
fn rw_3_02_whatever_fails_nothing_is_kept_and_every_series_of_the_last_good_scrape_ends_once() {
    for (cause, body, scraped) in CAUSES {
        let mut target = Target::limited();
        target.good(1);
        let (samples, report) = target.take(2, body());
        assert!(report.failure.is_some(), "{cause}");
        assert_eq!(samples[..3], ["a stale@2", "b{x=\"1\"} stale@2", "up 0@2"], "{cause}");
        assert_eq!(samples.len(), 6, "{cause}: nothing else is kept: {samples:?}");
        assert!(!samples[3..].iter().any(|sample| sample.contains("stale")), "{cause}: {samples:?}");
        assert_eq!((report.scraped, report.markers, report.discarded.total()), (scraped, 2, 0), "{cause}");
    }
}

#[test]
fn rw_3_02_a_panic_over_a_body_is_one_more_failure_and_the_next_scrape_is_as_if_nothing_had_been() {
    for (cause, body, _) in CAUSES.iter().filter(|(_, body, _)| body().is_ok()) {
        let mut target = Target::limited();
        target.good(1);
        let read = |ingest: &mut Ingest, body: (Format, &[u8]), timestamp: i64, report: &mut Report| {
            ingest.read(body, timestamp, report).unwrap();
            Ok(())
        };
        let report =
            target.ingest.scrape_by(read, body().map(|body| (Format::Text, body)), 2, Instant::now());
        assert!(matches!(report.failure, Some(ScrapeError::Panicked)), "{cause}");
        assert_eq!(target.samples()[..3], ["a stale@2", "b{x=\"1\"} stale@2", "up 0@2"], "{cause}");
        assert_eq!(target.good(3)[..3], ["a 1@3", "b{x=\"1\"} 2@3", "up 1@3"], "{cause}");
        let (samples, _) = target.take(4, Ok(b"new 1\n"));
        assert_eq!(samples[..3], ["new 1@4", "a stale@4", "b{x=\"1\"} stale@4"], "{cause}");
    }
}

#[test]
fn rw_3_02_after_any_failure_the_next_good_scrape_is_as_if_nothing_had_been() {
    for (cause, body, _) in CAUSES {
        let mut target = Target::limited();
        target.good(1);
        target.take(2, body());
        // `own` comes with the timestamp of its first sample, which is stored.
        let samples = target.good(3);
        assert_eq!(
            samples[..3],
            ["a 1@3", "b{x=\"1\"} 2@3", "up 1@3"],
            "{cause}: `new` was never stored, so it does not end"
        );
        let (samples, _) = target.take(4, Ok(b"new 1\n"));
        assert_eq!(samples[..3], ["new 1@4", "a stale@4", "b{x=\"1\"} stale@4"], "{cause}");
    }
}

#[test]
fn rw_3_02_a_failure_before_the_first_good_scrape_has_nothing_to_end() {
    for (cause, body, scraped) in CAUSES {
        let mut target = Target::limited();
        let (samples, report) = target.take(1, body());
        assert_eq!(samples, synthetic(&report, 1), "{cause}");
        assert_eq!((report.scraped, report.markers), (scraped, 0), "{cause}");
    }
}

#[test]
fn rw_3_03_a_second_failure_marks_nothing_whatever_failed_first() {
    for (first, one, _) in CAUSES {
        let mut target = Target::limited();
        target.good(1);
        target.take(2, one());
        for (timestamp, (second, two, _)) in (3..).zip(CAUSES) {
            let (samples, report) = target.take(timestamp, two());
            assert_eq!(samples, synthetic(&report, timestamp), "{first}, then {second}");
        }
        target.good(100);
        let (samples, _) = target.take(101, one());
        assert_eq!(
            samples[..2],
            ["a stale@101", "b{x=\"1\"} stale@101"],
            "{first}: what came back ends again"
        );
    }
}

#[test]
fn rw_3_03_a_good_scrape_without_series_between_two_failures_marks_nothing_either() {
    let mut target = Target::new(rules());
    target.scrape(1, "a 1\n");
    assert_eq!(target.scrape(2, "bad line\n").0, ["a stale@2"]);
    assert!(target.scrape(3, "").0.is_empty());
    assert!(target.scrape(4, "bad line\n").0.is_empty());
    assert_eq!(target.scrape(5, "a 1\n").0, ["a 1@5"]);
    assert_eq!(target.scrape(6, "").0, ["a stale@6"]);
    assert!(target.fail(7).0.is_empty());
}

#[test]
fn rw_3_08_markers_are_beyond_the_sample_limit_and_are_in_no_count() {
    let mut target = Target::new(Rules { synthetic_series: true, sample_limit: Some(3), ..rules() });
    target.scrape(1, "a 1\nb 1\nc 1\n");
    let (samples, report) = target.take(2, Ok(b"d 1\ne 1\nf 1\n"));
    assert!(report.failure.is_none(), "3 samples, 3 markers and a limit of 3");
    assert_eq!(
        samples,
        [
            "d 1@2",
            "e 1@2",
            "f 1@2",
            "a stale@2",
            "b stale@2",
            "c stale@2",
            "up 1@2",
            "scrape_samples_scraped 3@2",
            "scrape_samples_post_metric_relabeling 3@2",
            "scrape_series_added 3@2"
        ]
    );
    let (samples, report) = target.take(3, Ok(b"d 1\ne 1\nf 1\ng 1\n"));
    assert_eq!(samples[..4], ["d stale@3", "e stale@3", "f stale@3", "up 0@3"]);
    assert_eq!((report.scraped, report.post_relabel, report.markers), (4, 4, 3));
}

#[test]
fn rw_4_13_limits_of_labels_hold_behind_the_rules_and_leave_external_labels_out() {
    use crate::scrape::LabelLimits;
    let off = LabelLimits::default();
    let yaml = "- {action: labeldrop, regex: dropped}";
    let relabelling =
        Relabelling { rules: crate::relabel::Rules::compile(yaml).unwrap().into(), ..Relabelling::default() };
    let scraped = |label_limits: LabelLimits, body: &str| {
        let external_labels = Labels::from_iter([("external_and_long", "external_and_long")]);
        let relabelling = relabelling.clone();
        let mut target = Target::new(Rules { label_limits, external_labels, relabelling, ..rules() });
        target.scrape(1, "ok 1\n");
        let (samples, report) = target.scrape(2, body);
        (samples.len(), report.scraped, report.failure.map(|failure| failure.to_string()))
    };
    // __name__, job and these.
    let body = "ok 1\nm{a=\"12345\",dropped=\"a very long value\"} 1\nn 1\n";
    for (limits, excess) in [
        (LabelLimits { labels: Some(2), ..off }, "3 labels, more than the 2 of SCRAPE_LABEL_LIMIT"),
        (
            LabelLimits { name_length: Some(7), ..off },
            "a label name of 8 bytes, more than the 7 of SCRAPE_LABEL_NAME_LENGTH_LIMIT",
        ),
        (
            LabelLimits { value_length: Some(5), ..off },
            "a label value of 6 bytes, more than the 5 of SCRAPE_LABEL_VALUE_LENGTH_LIMIT",
        ),
    ] {
        let (samples, _, failure) = scraped(limits, body);
        let failure = failure.unwrap();
        // The name and the value that are too long are on every line.
        let line = if excess.contains("labels,") { 2 } else { 1 };
        let told = format!("exposition line {line}, column 1: a series has {excess}: ");
        assert!(failure.starts_with(&told) && failure.ends_with(" 1"), "{failure}");
        assert_eq!(samples, usize::from(failure.contains("labels,")), "the series of before has ended");
    }
    let enough = LabelLimits { labels: Some(3), name_length: Some(8), value_length: Some(6) };
    assert_eq!(scraped(enough, body), (3, 3, None));
    assert_eq!(scraped(LabelLimits { labels: Some(2), ..off }, "ok 1\n"), (1, 1, None));
}
