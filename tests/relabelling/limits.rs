//! What is counted, what fails, what is remembered.

use super::*;

const DROP_D: &str = "- {source_labels: [__name__], regex: 'd.*', action: drop}";

#[test]
fn rw_4_02_what_is_dropped_counts_as_scraped_and_nowhere_else_at_the_first_scrape_as_at_the_next() {
    let mut target = Target::new(ruled(DROP_D));
    for (timestamp, added) in [(1, 2), (2, 0)] {
        let (samples, report) = target.scrape(timestamp, "a 1\nd1 1\nb 1\nd2 1\nd1 1\n");
        assert_eq!(samples.len(), 2);
        let counts = (report.scraped, report.post_relabel, report.added, report.filtered);
        assert_eq!(counts, (5, 2, added, 3), "scrape {timestamp}");
        assert_eq!(report.discarded.total(), 0);
    }
    let (samples, _) = target.scrape(3, "a 1\nb 1\n");
    assert_eq!(samples.len(), 2, "what was never taken gets no marker");
}

#[test]
fn what_is_dropped_behind_the_last_sample_that_the_limit_allows_counts_too() {
    let rules = Rules { sample_limit: Some(2), relabelling: ruled(DROP_D), ..defaults() };
    let mut target = Target(Ingest::new(rules));
    for timestamp in [1, 2] {
        let (samples, report) = target.scrape(timestamp, "a 1\nb 1\nd1 1\nd2 1\n");
        assert_eq!((samples.len(), report.scraped, report.post_relabel, report.filtered), (2, 4, 2, 2));
        assert!(report.failure.is_none());
    }
}

#[test]
fn rw_4_01_synthetic_series_are_not_relabelled_and_tell_what_relabelling_left() {
    let drop_all = Rules { synthetic_series: true, relabelling: ruled("- {action: drop}"), ..defaults() };
    let mut target = Target(Ingest::new(drop_all));
    let (samples, _) = target.scrape(1, "a 1\nb 1\n");
    let labels = r#"{cluster="prod",instance="host",job="docker"}"#;
    assert_eq!(samples.len(), 5);
    assert_eq!(samples[0], format!("up{labels} 1"));
    assert_eq!(samples[2], format!("scrape_samples_scraped{labels} 2"));
    assert_eq!(samples[3], format!("scrape_samples_post_metric_relabeling{labels} 0"));
    assert_eq!(samples[4], format!("scrape_series_added{labels} 0"));
}

#[test]
fn rw_4_15_of_two_lines_that_rules_make_one_series_the_first_wins() {
    let mut target = Target::new(ruled("- {regex: a, action: labeldrop}"));
    let body = "m{a=\"1\"} 1\nm{a=\"2\"} 2\n";
    for timestamp in [1, 2] {
        let (samples, report) = target.scrape(timestamp, body);
        assert_eq!(samples, [r#"m{cluster="prod",instance="host",job="docker"} 1"#]);
        assert_eq!((report.discarded.duplicate, report.post_relabel, report.filtered), (1, 2, 0));
    }
    let (samples, report) = target.scrape(3, "m{a=\"2\"} 5\n");
    assert_eq!((samples.len(), report.markers), (1, 0), "the series goes on with the other line");
}

#[test]
fn rw_4_16_a_series_that_rules_leave_without_a_name_fails_the_scrape_with_line_column_and_reason() {
    let mut target =
        Target::new(ruled("- {source_labels: [bad], regex: '.+', target_label: __name__, replacement: ''}"));
    target.scrape(1, "a 1\n");
    let (samples, report) = target.scrape(2, "a 1\n  b{bad=\"1\"} 1\nc 1\n");
    assert_eq!(samples, [r#"a{cluster="prod",instance="host",job="docker"} stale"#], "3.02");
    assert_eq!((report.scraped, report.post_relabel, report.filtered), (2, 1, 0));
    assert_eq!(
        report.failure.unwrap().to_string(),
        "exposition line 2, column 3: the rules left a series without a metric name (METRIC_RELABEL_CONFIGS):   b{bad=\"1\"} 1"
    );
    let mut target = Target::new(ruled("- {regex: 'bad', replacement: '$1', action: labelmap}"));
    let failure = target.scrape(1, "b{bad=\"1\"} 1\n").1.failure.unwrap().to_string();
    assert!(failure.contains("a label with an empty name"), "{failure}");
}

#[test]
fn rw_4_13_the_sample_limit_counts_what_relabelling_left_however_much_it_drops() {
    let limited = Rules { sample_limit: Some(2), relabelling: ruled(DROP_D), ..defaults() };
    let mut target = Target(Ingest::new(limited));
    for timestamp in [1, 2] {
        let (samples, report) = target.scrape(timestamp, "d1 1\na 1\nd2 1\nb 1\nd3 1\nd4 1\n");
        assert!(report.failure.is_none(), "{:?}", report.failure);
        assert_eq!((samples.len(), report.scraped, report.post_relabel), (2, 6, 2));
    }
    let (_, report) = target.scrape(3, "a 1\nd1 1\nb 1\nd9 1\nc 1\nd1 1\ne 1\n");
    assert!(matches!(report.failure, Some(ScrapeError::SampleLimit { samples: 4, limit: 2 })));
    assert_eq!((report.scraped, report.post_relabel, report.filtered), (7, 4, 0));
}

#[test]
fn metadata_follows_the_name_that_rules_have_given() {
    let rename = "- {source_labels: [__name__], regex: 'old', target_label: __name__, replacement: 'new'}";
    let mut target = Target::new(ruled(rename));
    target.scrape(1, "# HELP old one\n# TYPE old counter\nold 1\n");
    let sample = target.0.samples()[0];
    assert_eq!(
        target.0.describe(sample.slot).help,
        "",
        "as in Prometheus, the family is the one of the new name"
    );
}
