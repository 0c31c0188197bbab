//! Series that go and come back, as a TSDB and Prometheus's cache see them.

use super::*;

#[test]
fn rw_1_13_a_series_that_was_gone_and_returns_with_an_older_timestamp_is_out_of_order() {
    let mut target = Target::new(rules());
    target.scrape(1_000, "own 1 900\nplain 1\n");
    target.scrape(2_000, "");
    target.scrape(3_000, "");
    let (samples, report) = target.scrape(4_000, "own 2 800\nplain 2 1500\n");
    assert!(samples.is_empty(), "{samples:?}");
    assert_eq!(report.discarded.out_of_order, 2, "older than the sample, and older than the marker at 2,000");
    assert!(report.failure.is_none());
    let (samples, _) = target.scrape(5_000, "own 3 901\nplain 3\n");
    assert_eq!(samples, ["own 3@901", "plain 3@5000"]);
}

#[test]
fn a_timestamped_sample_that_returns_as_it_was_is_a_repetition() {
    let mut target = Target::new(rules());
    target.scrape(1_000, "own 1 900\n");
    target.scrape(2_000, "x 1\n");
    target.scrape(3_000, "x 1\n");
    let (samples, report) = target.scrape(4_000, "own 1 900\n");
    assert_eq!(samples, ["x stale@4000"]);
    assert_eq!((report.discarded.duplicate, report.first_discarded.is_none()), (1, true));
    assert_eq!(report.added, 1, "4.03: a TSDB takes an exact repetition, so Prometheus caches the series");
}

#[test]
fn rw_4_03_a_series_counts_as_added_with_its_first_sample_that_is_stored() {
    let mut target = Target::new(rules());
    assert_eq!(target.scrape(1_000, "ahead 1 9999999\nb 1\n").1.added, 1);
    assert_eq!(target.scrape(2_000, "ahead 1 9999999\nb 1\n").1.added, 0);
    assert_eq!(target.scrape(3_000, "ahead 1\nb 1\n").1.added, 1, "its first good sample");
    assert_eq!(target.scrape(4_000, "ahead 1 9999999\nb 1\n").1.added, 0, "known by now");
    assert_eq!(target.scrape(5_000, "ahead 1\nb 1\n").1.added, 0);
}

#[test]
fn rw_4_03_an_empty_scrape_forgets_no_series_and_one_with_a_comment_does() {
    let mut target = Target::new(rules());
    target.scrape(1, "a 1\n");
    assert_eq!(target.scrape(2, "").0, ["a stale@2"]);
    assert_eq!(
        target.scrape(3, "a 1\n").1.added,
        0,
        "Prometheus takes an empty body for a failed scrape here"
    );
    target.scrape(4, "# nothing\n");
    assert_eq!(target.scrape(5, "a 1\n").1.added, 1);
}

/// StopMetrics is what the removal of a target is to Prometheus (3.05): its loop ends, and the next one begins with an empty cache. A failed
/// or empty scrape does not do that.
#[test]
fn rw_4_03_after_the_end_of_the_target_every_series_is_added_anew() {
    let mut target = Target::new(rules());
    target.scrape(1, "a 1\nb 1\n");
    target.fail(2);
    assert_eq!(target.scrape(3, "a 1\nb 1\n").1.added, 0, "failing is no end");
    target.ingest.end_all(4);
    let (samples, report) = target.scrape(5, "a 1\nb 1\n");
    assert_eq!((samples.len(), report.added), (2, 2));
    assert_eq!(target.scrape(6, "a 1\nb 1\n").1.added, 0);
}
