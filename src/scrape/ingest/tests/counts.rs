//! What a scrape says of itself, and in which order samples and markers may come.

use super::*;

fn with_synthetic() -> Target {
    Target::new(Rules { synthetic_series: true, ..rules() })
}

#[test]
fn rw_3_04_a_series_that_turns_to_timestamps_of_its_own_ends_as_one_of_the_scrape() {
    let mut target = Target::new(rules());
    target.scrape(10, "a 1\nb 1\n");
    assert_eq!(target.scrape(20, "a 2 15\nb 1\n").0, ["a 2@15", "b 1@20", "a stale@20"]);
    assert_eq!(target.scrape(30, "a 3 25\nb 1\n").0, ["a 3@25", "b 1@30"]);
    assert_eq!(target.scrape(40, "b 1\n").0, ["b 1@40"], "it was not tracked any more");
    assert_eq!(target.scrape(50, "a 4\nb 1\n").0, ["a 4@50", "b 1@50"]);
    assert_eq!(target.fail(60).0, ["a stale@60", "b stale@60"], "and is again");
}

#[test]
fn rw_3_04_a_failed_scrape_ends_no_series_with_timestamps_of_their_own() {
    let mut target = Target::new(rules());
    target.scrape(10, "a 1 5\nb 1\n");
    assert_eq!(target.fail(20).0, ["b stale@20"]);
    assert_eq!(target.scrape(30, "a 2 25\nb 1\n").0, ["a 2@25", "b 1@30"]);
    assert_eq!(target.ingest.end_all(40), 1);
    assert_eq!(target.samples(), ["b stale@40"], "nor does the end of the target");
}

#[test]
fn rw_3_09_a_marker_with_the_timestamp_of_the_series_last_sample_is_dropped_in_silence() {
    let mut target = Target::new(rules());
    target.scrape(10, "a 1\n");
    let (samples, report) = target.scrape(10, "");
    assert!(samples.is_empty(), "{samples:?}");
    assert_eq!((report.markers, report.discarded.total()), (0, 0));
    // A sample of its own ahead of the scrape: the marker for the tracked sample would be older.
    let mut target = Target::new(rules());
    target.scrape(10, "a 1\n");
    target.scrape(20, "a 1\na 2 25\n");
    let (samples, report) = target.scrape(25, "");
    assert!(samples.is_empty(), "{samples:?}");
    assert_eq!((report.markers, report.discarded.total()), (0, 0));
}

#[test]
fn rw_4_01_five_gauges_with_the_targets_labels_come_with_good_and_failed_scrapes_alike() {
    let target_labels = Labels::from_iter([("job", "docker"), ("instance", "host")]);
    let external_labels = Labels::from_iter([("cluster", "prod")]);
    let mut ingest = Ingest::new(Rules { synthetic_series: true, target_labels, external_labels, ..rules() });
    let names = [
        "up",
        "scrape_duration_seconds",
        "scrape_samples_scraped",
        "scrape_samples_post_metric_relabeling",
        "scrape_series_added",
    ];
    for (timestamp, body) in [(1_000, "a 1\n"), (2_000, ""), (3_000, "bad line\n")] {
        ingest.scrape(Ok(body.as_bytes()), timestamp, Instant::now());
        let synthetic = &ingest.samples()[ingest.samples().len() - 5..];
        for (sample, name) in synthetic.iter().zip(names) {
            let described = ingest.describe(sample.slot);
            let labels = format!("{name}{{cluster=\"prod\",instance=\"host\",job=\"docker\"}}");
            assert_eq!(described.labels.to_string(), labels);
            assert_eq!(described.metric_type, MetricType::Gauge, "{name}");
            assert!(!described.help.is_empty(), "{name}");
            assert_eq!(sample.timestamp, timestamp, "{name}");
            assert!(sample.value >= 0.0, "{name}: {}", sample.value);
        }
    }
}

#[test]
fn rw_4_02_every_line_that_was_read_counts_and_none_behind_the_first_bad_one() {
    let mut target = with_synthetic();
    let cases = [
        ("", 0),
        ("# HELP a x\n# TYPE a gauge\n\n#\n", 0),
        ("a 1\na 2\na 3\n", 3),
        ("a 1\nb 1 99999999999999\nc 1 1\nc 1 1\n", 4),
        ("bad line\na 1\n", 0),
        ("a 1\nb 1\nbad line\nc 1\n", 2),
        ("a 1\nb 1\n# TYPE a what\n", 2),
    ];
    for (timestamp, (body, scraped)) in (1_000..).zip(cases) {
        let (samples, report) = target.scrape(timestamp, body);
        assert_eq!(report.scraped, scraped, "{body:?}");
        assert!(samples.contains(&format!("scrape_samples_scraped {scraped}@{timestamp}")), "{samples:?}");
    }
    assert_eq!(target.fail(2_000).1.scraped, 0);
    let mut limited = Target::new(Rules { sample_limit: Some(1), ..rules() });
    assert_eq!(limited.scrape(1, "a 1\nb 1\nbad line\nc 1\n").1.scraped, 2, "beyond the limit too");
}

#[test]
fn rw_4_03_a_series_counts_as_added_when_the_scrape_before_did_not_know_it() {
    let mut target = Target::new(rules());
    let mut added = |timestamp, body| target.scrape(timestamp, body).1.added;
    assert_eq!(added(1, "a 1\nb 1\n"), 2);
    assert_eq!(added(2, "a 2\nb 2\n"), 0);
    assert_eq!(added(3, "a 3\n"), 0);
    assert_eq!(added(4, "a 4\nb 4\n"), 1, "it was gone, whatever was known of it before");
    assert_eq!(added(5, "b 5\na 5\nc 5\nc 5\n"), 1, "a line that stands twice is one series");
}

#[test]
fn rw_4_13_a_scrape_of_exactly_the_limit_is_good_and_off_means_no_limit() {
    let body: String = (0..1_000).map(|n| format!("m{n} 1\n")).collect();
    for (sample_limit, fails) in [(Some(999), true), (Some(1_000), false), (None, false)] {
        let mut target = Target::new(Rules { sample_limit, ..rules() });
        let (samples, report) = target.scrape(1, &body);
        assert_eq!(report.failure.is_some(), fails, "{sample_limit:?}");
        assert_eq!(samples.is_empty(), fails, "{sample_limit:?}");
        assert_eq!((report.scraped, report.post_relabel), (1_000, 1_000), "{sample_limit:?}");
    }
}

#[test]
fn rw_4_13_and_4_15_a_line_that_stands_twice_counts_against_no_limit() {
    let mut target = Target::new(Rules { sample_limit: Some(2), ..rules() });
    for timestamp in 1..4 {
        let (samples, report) = target.scrape(timestamp, "m 1\nm 1\nm 1\nn 1\nn 2\n");
        assert_eq!(samples, [format!("m 1@{timestamp}"), format!("n 1@{timestamp}")]);
        assert!(report.failure.is_none(), "{:?}", report.failure);
        assert_eq!((report.scraped, report.post_relabel, report.discarded.duplicate), (5, 5, 3));
    }
    // With timestamps of their own they do, and so do two spellings of one series.
    for body in ["m 1\nm 1 2\nm 1 3\n", "m 1\nm{} 1\nm{ } 1\n", "m 1\nm 1\nn 1\no 1\n"] {
        assert!(target.scrape(10, body).1.failure.is_some(), "{body:?}");
    }
}

#[test]
fn rw_4_15_a_line_that_came_in_this_scrape_is_a_duplicate_whatever_became_of_it() {
    let mut target = Target::new(rules());
    // Behind one with a timestamp of its own.
    for timestamp in [1_000, 2_000] {
        let (samples, report) = target.scrape(timestamp, &format!("a 1 {}\na 5\n", timestamp - 900));
        assert_eq!(samples, [format!("a 1@{}", timestamp - 900)]);
        assert_eq!(report.discarded.duplicate, 1);
    }
    // Behind one that could not be stored: nothing is, and the series ends.
    target.scrape(3_000, "m 1\nn 1\n");
    let (samples, report) = target.scrape(4_000, "m 5 604001\nm 6\nn 1\n");
    assert_eq!(samples, ["n 1@4000", "m stale@4000"]);
    assert_eq!((report.discarded.too_far_ahead, report.discarded.duplicate), (1, 1));
    // One that never could be is not known, so the next one is the first.
    let (samples, _) = target.scrape(5_000, "new 5 605001\nnew 6\nnew 7\nn 1\n");
    assert_eq!(samples, ["new 6@5000", "n 1@5000"]);
}

#[test]
fn rw_3_01_a_series_of_which_nothing_could_be_stored_is_not_waited_for() {
    let mut target = Target::new(rules());
    // Known by a timestamp of its own, then refused: there is nothing to end.
    target.scrape(1_000, "m 1 500000\nn 1\n");
    assert_eq!(target.scrape(2_000, "m 2\nn 1\n").0, ["n 1@2000"]);
    assert_eq!(target.scrape(3_000, "n 1\n").0, ["n 1@3000"]);
    // The clock was set back: what is refused ends no later than it was.
    assert!(target.scrape(2_500, "n 2\n").0.is_empty());
    assert_eq!(target.scrape(4_000, "o 1\n").0, ["o 1@4000"]);
    // Refused in one scrape, it is missing there.
    let mut target = Target::new(Rules { track_timestamps_staleness: true, ..rules() });
    target.scrape(100_000, "m 1 99000\n");
    assert_eq!(target.scrape(115_000, "m 2 98000\n").0, ["m stale@115000"]);
}

#[test]
fn rw_4_15_several_timestamps_of_one_series_pass_in_rising_order_and_the_rest_is_counted() {
    let mut target = Target::new(rules());
    let (samples, report) = target.scrape(1_000, "a 1 100\na 2 200\na 3 150\na 4 200\na 5\n");
    assert_eq!(samples, ["a 1@100", "a 2@200"]);
    assert_eq!((report.discarded.duplicate, report.discarded.out_of_order), (3, 0));
    let (samples, report) = target.scrape(2_000, "a 6 150\na 7 601000\na 8 602001\n");
    assert_eq!(samples, ["a 7@601000"]);
    assert_eq!((report.discarded.out_of_order, report.discarded.too_far_ahead), (1, 1));
    assert!(report.failure.is_none());
    let first = report.first_discarded.expect("the log is told of the first one");
    assert!(first.0.starts_with("a{") && first.1.contains("not newer"), "{first:?}");
}

#[test]
fn rw_4_15_a_sample_more_than_an_hour_behind_the_scrape_is_dropped_and_the_scrape_stays_good() {
    const HOUR: i64 = 3_600_000;
    let mut target = Target::new(rules());
    let body = format!("a 1 {HOUR}\nb 2 {}\nc 3 0\nd 4\n", HOUR - 1);
    let (samples, report) = target.scrape(2 * HOUR, &body);
    assert_eq!(samples, [format!("a 1@{HOUR}"), format!("d 4@{}", 2 * HOUR)]);
    assert!(report.failure.is_none());
    assert_eq!((report.discarded.too_old, report.discarded.total(), report.added), (2, 2, 2));
    let (_, report) = target.scrape(2 * HOUR + 1, &format!("a 1 {HOUR}\nd 4\n"));
    assert!(report.first_discarded.is_none(), "a target may repeat its newest sample for ever");
}

#[test]
fn rw_4_04_three_more_gauges_come_where_they_are_wanted() {
    let extra_metrics = Some(std::time::Duration::from_millis(2_500));
    let rules = Rules { synthetic_series: true, extra_metrics, sample_limit: Some(1), ..rules() };
    let mut target = Target::new(rules.clone());
    let told = |samples: &[String], at: usize| samples[samples.len() - 3..][at].clone();
    let (samples, _) = target.scrape(1, "a 1\n");
    assert_eq!(samples.len(), 9);
    assert_eq!(told(&samples, 0), "scrape_timeout_seconds 2.5@1");
    assert_eq!(told(&samples, 1), "scrape_sample_limit 1@1");
    assert_eq!(told(&samples, 2), "scrape_body_size_bytes 4@1");
    // Too many samples, and then no body at all: what was read counts all the same.
    let (samples, report) = target.scrape(2, "a 1\nb 1\n");
    assert!(report.failure.is_some());
    let size = |samples: &[String]| samples.iter().find(|sample| sample.starts_with("scrape_body")).cloned();
    assert_eq!(size(&samples).unwrap(), "scrape_body_size_bytes 8@2");
    assert_eq!(size(&target.fail(3).0).unwrap(), "scrape_body_size_bytes 0@3");
    let error = ScrapeError::BodySize { target: "t".into(), limit: 5 };
    target.ingest.scrape(Err(error), 4, Instant::now());
    assert_eq!(size(&target.samples()).unwrap(), "scrape_body_size_bytes -1@4");
    target.ingest.end_all(5);
    assert_eq!(target.samples().len(), 8, "and end with the target");
    let mut without = Target::new(Rules { sample_limit: None, ..rules });
    let (samples, _) = without.scrape(1, "a 1\n");
    assert_eq!(told(&samples, 1), "scrape_sample_limit 0@1");
}

#[test]
fn rw_3_04_series_with_timestamps_of_their_own_end_where_that_is_wanted() {
    let mut target = Target::new(Rules { track_timestamps_staleness: true, ..rules() });
    assert_eq!(target.scrape(2_000, "a 1 1000\nb 1\n").0, ["a 1@1000", "b 1@2000"]);
    assert_eq!(target.scrape(3_000, "b 1\n").0, ["b 1@3000", "a stale@3000"]);
    assert_eq!(target.scrape(4_000, "b 1\n").0, ["b 1@4000"], "once");
    target.scrape(5_000, "a 1 4500\n");
    assert_eq!(target.fail(6_000).0, ["a stale@6000"]);
    // A marker that would not be its newest sample is dropped (3.09).
    target.scrape(7_000, "a 1 7500\n");
    assert_eq!(target.scrape(7_400, "b 1\n").0, ["b 1@7400"]);
}
