//! What one scrape after the other comes to; IDs are those of the remote-write facts that Prometheus's behaviour was written down in.

/// Counts, and the order of samples and markers.
mod counts;
/// Scrapes that fail.
mod failures;
/// OpenMetrics and protobuf.
mod formats;
/// Labels, values, metadata.
mod series;

use std::time::Instant;

use super::{Ingest, Report, Rules};
use crate::model::{Labels, MetricType, is_stale_marker};
use crate::scrape::{HistogramForms, Relabelling, ScrapeError};

mod converted;
mod kinds;
mod native;
mod repeated;
mod restart;
mod returns;

fn rules() -> Rules {
    Rules { target_labels: Labels::from_iter([("job", "docker")]), ..Rules::default() }
}

struct Target {
    ingest: Ingest,
}

impl Target {
    fn new(rules: Rules) -> Self {
        Self { ingest: Ingest::new(rules) }
    }

    /// One scrape; the samples as `series value@timestamp`, a marker as `stale`.
    fn scrape(&mut self, timestamp: i64, body: &str) -> (Vec<String>, Report) {
        let report = self.ingest.scrape(Ok(body.as_bytes()), timestamp, Instant::now());
        (self.samples(), report)
    }

    fn fail(&mut self, timestamp: i64) -> (Vec<String>, Report) {
        let error = ScrapeError::Status { target: "t".into(), status: 500 };
        let report = self.ingest.scrape(Err(error), timestamp, Instant::now());
        (self.samples(), report)
    }

    fn samples(&self) -> Vec<String> {
        let text = |sample: &crate::model::SampleRef| {
            let labels = self.ingest.describe(sample.slot).labels.to_string();
            let labels = labels.replace("{job=\"docker\"}", "");
            let labels = labels.replace(",job=\"docker\"", "").replace("job=\"docker\",", "");
            let value = if is_stale_marker(sample.value) { "stale".into() } else { sample.value.to_string() };
            format!("{labels} {value}@{}", sample.timestamp)
        };
        self.ingest.samples().iter().map(text).collect()
    }
}

#[test]
fn rw_3_01_a_series_that_vanishes_gets_one_marker_at_the_next_scrapes_timestamp() {
    let mut target = Target::new(rules());
    assert_eq!(target.scrape(1, "a 1\nb 2\n").0, ["a 1@1", "b 2@1"]);
    assert_eq!(target.scrape(2, "b 2\n").0, ["b 2@2", "a stale@2"]);
    assert_eq!(target.scrape(3, "b 2\n").0, ["b 2@3"]);
    assert_eq!(target.scrape(4, "a 1\nb 2\n").0, ["a 1@4", "b 2@4"]);
}

#[test]
fn rw_3_02_a_bad_line_anywhere_rolls_the_whole_scrape_back_and_marks_every_series_once() {
    let mut target = Target::new(rules());
    target.scrape(1, "a 1\nb 2\nc 3\n");
    let (samples, report) = target.scrape(2, "a 1\nb 2\nc oops\n");
    assert_eq!(samples, ["a stale@2", "b stale@2", "c stale@2"]);
    assert_eq!(report.failure.unwrap().to_string().split(':').next(), Some("exposition line 3, column 3"));
    assert_eq!(report.scraped, 2, "lines that were read before the error count (4.02)");
    assert_eq!(target.scrape(3, "a 1\nb 2\nc oops\n").0, Vec::<String>::new(), "3.03: no second marker");
    assert_eq!(target.scrape(4, "a 1\nb 2\nc 3\n").0, ["a 1@4", "b 2@4", "c 3@4"]);
}

#[test]
fn rw_3_02_a_failed_fetch_is_an_empty_scrape() {
    let mut target = Target::new(rules());
    target.scrape(1, "a 1\n");
    let (samples, report) = target.fail(2);
    assert_eq!(samples, ["a stale@2"]);
    assert_eq!((report.scraped, report.markers), (0, 1));
    assert_eq!(target.fail(3).0, Vec::<String>::new());
}

#[test]
fn rw_3_04_series_with_timestamps_of_their_own_get_no_markers_unless_the_timestamps_are_not_honored() {
    let mut target = Target::new(rules());
    assert_eq!(target.scrape(10, "a 1 5\n").0, ["a 1@5"]);
    assert_eq!(target.scrape(20, "b 1\n").0, ["b 1@20"]);
    let mut target = Target::new(Rules { honor_timestamps: false, ..rules() });
    assert_eq!(target.scrape(10, "a 1 5\n").0, ["a 1@10"]);
    assert_eq!(target.scrape(20, "b 1\n").0, ["b 1@20", "a stale@20"]);
}

#[test]
fn rw_3_05_the_end_of_the_target_ends_all_series_later_than_their_last_sample() {
    let mut target = Target::new(Rules { synthetic_series: true, ..rules() });
    target.scrape(100, "a 1\n");
    assert_eq!(target.ingest.end_all(90), 6);
    let samples = target.samples();
    assert_eq!(samples[0], "a stale@101");
    assert_eq!(samples[1], "up stale@101");
    assert_eq!(target.ingest.end_all(200), 0, "what has ended gets no second marker");
    assert_eq!(target.scrape(300, "a 1\n").0[0], "a 1@300");
}

#[test]
fn ending_a_target_that_was_never_scraped_marks_nothing() {
    let mut target = Target::new(Rules { synthetic_series: true, ..rules() });
    assert_eq!(target.ingest.end_all(90), 0);
}

#[test]
fn rw_3_09_a_marker_that_would_be_out_of_order_is_dropped_in_silence() {
    let mut target = Target::new(rules());
    target.scrape(10, "a 1\n");
    let (samples, report) = target.scrape(5, "");
    assert!(samples.is_empty());
    assert_eq!(report.discarded.total(), 0);
}

#[test]
fn rw_4_01_synthetic_series_carry_the_scrapes_timestamp_and_counts() {
    let mut target = Target::new(Rules { synthetic_series: true, ..rules() });
    let (samples, _) = target.scrape(1, "a 1\nb 1\n");
    assert_eq!(samples[2], "up 1@1");
    assert!(samples[3].starts_with("scrape_duration_seconds "));
    assert_eq!(
        samples[4..],
        [
            "scrape_samples_scraped 2@1",
            "scrape_samples_post_metric_relabeling 2@1",
            "scrape_series_added 2@1"
        ]
    );
    assert_eq!(target.scrape(2, "a 1\nb 1\nc 1\n").0.last().unwrap(), "scrape_series_added 1@2");
    let (samples, _) = target.fail(3);
    assert_eq!(samples[3], "up 0@3");
    assert_eq!(target.scrape(4, "a 1\nb 1\nc 1\n").0.last().unwrap(), "scrape_series_added 0@4", "4.03");
}

#[test]
fn rw_4_05_a_target_that_exposes_up_itself_has_the_first_word() {
    let mut target = Target::new(Rules { synthetic_series: true, ..rules() });
    let (samples, report) = target.scrape(1, "up 7\n");
    assert_eq!(report.discarded.duplicate, 1, "our own one is counted");
    assert_eq!(samples.iter().filter(|sample| sample.starts_with("up ")).collect::<Vec<_>>(), ["up 7@1"]);
}

#[test]
fn rw_4_13_the_sample_limit_fails_the_scrape_but_all_samples_are_counted() {
    let mut target = Target::new(Rules { sample_limit: Some(2), ..rules() });
    assert_eq!(target.scrape(1, "a 1\nb 1\n").0, ["a 1@1", "b 1@1"]);
    let (samples, report) = target.scrape(2, "a 1\nb 1\nc 1\nd 1\n");
    assert_eq!(samples, ["a stale@2", "b stale@2"], "3.08: markers do not count against the limit");
    assert_eq!((report.scraped, report.post_relabel), (4, 4));
    assert!(matches!(report.failure, Some(ScrapeError::SampleLimit { samples: 4, limit: 2 })));
}

#[test]
fn rw_4_15_of_a_series_that_stands_twice_the_first_sample_wins_and_the_other_is_counted() {
    let mut target = Target::new(rules());
    let (samples, report) =
        target.scrape(1, "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\na{x=\"1\",y=\"2\"} 3\n");
    assert_eq!(samples, ["a{x=\"1\",y=\"2\"} 1@1"]);
    assert_eq!((report.discarded.duplicate, report.scraped, report.post_relabel), (2, 3, 3));
    assert!(report.failure.is_none());
    assert!(report.first_discarded.is_some());
}

#[test]
fn rw_4_15_samples_out_of_order_or_too_far_ahead_are_dropped_and_the_scrape_stays_good() {
    let mut target = Target::new(rules());
    target.scrape(1_000, "a 1 900\n");
    let (samples, report) = target.scrape(2_000, "a 2 800\nb 1 602001\nc 1 602000\n");
    assert_eq!(samples, ["c 1@602000"]);
    assert_eq!((report.discarded.out_of_order, report.discarded.too_far_ahead), (1, 1));
    assert!(report.failure.is_none());
}

#[test]
fn a_timestamped_sample_that_is_exposed_again_is_dropped_without_a_word() {
    let mut target = Target::new(rules());
    target.scrape(1_000, "a 1 900\n");
    let (samples, report) = target.scrape(2_000, "a 1 900\n");
    assert!(samples.is_empty());
    assert_eq!((report.discarded.duplicate, report.first_discarded.is_none()), (1, true));
}

#[test]
fn several_timestamps_of_one_series_pass_in_rising_order() {
    let mut target = Target::new(rules());
    let (samples, report) = target.scrape(1_000, "a 1 100\na 2 200\na 3 150\n");
    assert_eq!(samples, ["a 1@100", "a 2@200"]);
    assert_eq!(report.discarded.total(), 1);
}

#[test]
fn rw_4_03_two_spellings_of_one_new_series_count_as_two() {
    let mut target = Target::new(rules());
    let (samples, report) = target.scrape(1, "m 1\nm{} 2\nm 3\n");
    assert_eq!(samples, ["m 1@1"]);
    assert_eq!((report.added, report.discarded.duplicate), (2, 2));
    assert_eq!(target.scrape(2, "m{} 1\nm 2\n").1.added, 0);
}

#[test]
fn rw_4_16_a_duplicate_label_name_fails_the_scrape() {
    let mut target = Target::new(rules());
    assert!(target.scrape(1, "a{x=\"1\",x=\"2\"} 1\n").1.failure.is_some());
}

#[test]
fn rw_4_02_a_series_that_cannot_be_is_scraped_but_does_not_reach_relabelling() {
    let mut target = Target::new(rules());
    let (_, report) = target.scrape(1, "a 1\na{x=\"1\",x=\"2\"} 1\nb 1\n");
    assert_eq!((report.scraped, report.post_relabel), (2, 1));
}

#[test]
fn rw_4_19_le_and_quantile_are_spelled_as_prometheus_3_stores_them_under_their_type_only() {
    let body = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\n# TYPE s summary\ns{quantile=\"0.50\"} 1\n# TYPE g gauge\ng{le=\"1\"} 1\n";
    let mut target = Target::new(rules());
    let spelled = ["h_bucket{le=\"1.0\"} 1@1", "s{quantile=\"0.5\"} 1@1", "g{le=\"1\"} 1@1"];
    assert_eq!(target.scrape(1, body).0, spelled);
    let mut target = Target::new(Rules { normalize_le: false, ..rules() });
    assert!(target.scrape(1, body).0[0].contains("le=\"1\""));
}

#[test]
fn a_series_whose_type_changes_its_spelling_ends_under_the_old_name() {
    let mut target = Target::new(rules());
    target.scrape(1, "# TYPE h gauge\nh{le=\"1\"} 1\n");
    let (samples, _) = target.scrape(2, "# TYPE h histogram\nh{le=\"1\"} 1\n");
    assert_eq!(samples.len(), 2);
    assert!(
        samples[0].contains("le=\"1.0\"") && samples[1].contains("le=\"1\"") && samples[1].contains("stale")
    );
}

#[test]
fn the_same_line_under_two_types_in_one_scrape_is_two_series_that_both_end() {
    let mut target = Target::new(rules());
    let body = "# TYPE h gauge\nh{le=\"1\"} 1\n# TYPE h histogram\nh{le=\"1\"} 2\n";
    let both = ["h{le=\"1\"} 1", "h{le=\"1.0\"} 2"];
    for timestamp in [1, 2] {
        let (samples, report) = target.scrape(timestamp, body);
        assert_eq!(samples, both.map(|sample| format!("{sample}@{timestamp}")));
        assert_eq!(report.added, if timestamp == 1 { 2 } else { 0 });
    }
    assert_eq!(target.scrape(3, "").0, ["h{le=\"1\"} stale@3", "h{le=\"1.0\"} stale@3"]);
    assert!(target.scrape(4, "").0.is_empty());
}

#[test]
fn a_last_scrape_that_fails_behind_another_type_leaves_every_series_to_be_ended() {
    let mut target = Target::new(rules());
    target.scrape(1, "# TYPE h gauge\nh{le=\"1\"} 1\n");
    let last = b"# TYPE h histogram\nh{le=\"1\"} 1\nbad line\n";
    assert!(target.ingest.last_scrape(last, 2, Instant::now()).is_err());
    assert_eq!(target.ingest.end_all(3), 1);
    assert_eq!(target.samples(), ["h{le=\"1\"} stale@3"]);
}

#[test]
fn metadata_follows_the_family_and_a_change_reaches_known_series() {
    let mut target = Target::new(rules());
    target.scrape(1, "# HELP h one\n# TYPE h histogram\nh_sum 1\n");
    let first = target.ingest.samples()[0];
    let described = target.ingest.describe(first.slot);
    assert_eq!((described.metric_type, described.help), (MetricType::Histogram, "one"));
    target.scrape(2, "# HELP h two\n# TYPE h histogram\nh_sum 1\n");
    let second = target.ingest.samples()[0];
    assert_eq!(target.ingest.describe(second.slot).help, "two");
    assert_ne!(first.generation, second.generation);
    target.scrape(3, "# HELP h two\n# TYPE h histogram\nh_sum 1\n");
    assert_eq!(target.ingest.samples()[0].generation, second.generation);
}

#[test]
fn rw_4_30_a_series_changes_its_family_when_another_fits_better_or_the_old_one_no_longer_does() {
    let mut target = Target::new(rules());
    let mut types = |timestamp, body: &str| {
        target.scrape(timestamp, body);
        let of = |sample: &crate::model::SampleRef| {
            (sample.generation, target.ingest.describe(sample.slot).metric_type)
        };
        target.ingest.samples().iter().map(of).collect::<Vec<_>>()
    };
    let histogram = types(1, "# TYPE h histogram\nh_sum 1\nh_count 1\n");
    let own = types(2, "# TYPE h histogram\n# TYPE h_count gauge\nh_sum 1\nh_count 1\n");
    let gauge = types(3, "# TYPE h gauge\nh_sum 1\nh_count 1\n");
    assert_eq!([histogram[1].1, own[1].1], [MetricType::Histogram, MetricType::Gauge]);
    assert_eq!([own[0].1, gauge[0].1], [MetricType::Histogram, MetricType::Unknown]);
    assert_eq!(histogram[0], own[0]);
    assert!(histogram[1].0 != own[1].0 && own[0].0 != gauge[0].0);
}

#[test]
fn metadata_that_changes_behind_its_samples_is_theirs_in_the_same_scrape() {
    let mut target = Target::new(rules());
    let mut generations = Vec::new();
    for (timestamp, body) in [(1, "m 1\n# HELP m one\n"), (2, "m 1\n# HELP m two\n"), (3, "# HELP m three\n")]
    {
        target.scrape(timestamp, body);
        let sample = target.ingest.samples()[0];
        generations.push(sample.generation);
        let help = target.ingest.describe(sample.slot).help;
        assert!(body.contains(help) && !help.is_empty(), "{help:?} after {body:?}");
    }
    generations.dedup();
    assert_eq!(generations.len(), 3, "an encoder would not notice the change");
}

#[test]
fn slots_of_vanished_series_are_reused_with_a_new_generation() {
    let mut target = Target::new(rules());
    target.scrape(1, "a 1\n");
    let first = target.ingest.samples()[0];
    target.scrape(2, "# nothing\n");
    target.scrape(3, "b 1\n");
    let second = target.ingest.samples()[0];
    assert_eq!(first.slot, second.slot);
    assert_ne!(first.generation, second.generation);
    assert_eq!(target.samples(), ["b 1@3"]);
}

#[test]
fn a_series_may_vanish_and_return_while_its_slot_is_leaving() {
    let mut target = Target::new(rules());
    target.scrape(1, "a 1\nb 1\n");
    target.scrape(2, "b 1\n");
    assert_eq!(target.scrape(3, "a 2\nb 1\n").0, ["a 2@3", "b 1@3"]);
    assert_eq!(target.scrape(4, "b 1\n").0, ["b 1@4", "a stale@4"]);
}

#[test]
fn failing_scrapes_with_ever_new_series_do_not_pile_up() {
    let mut target = Target::new(rules());
    target.scrape(1, "a 1\n");
    for round in 0..20_i64 {
        let lines: String = (0..2_000).map(|n| format!("m{round}_{n} 1\n")).collect();
        target.scrape(2 + round, &(lines + "bad line\n"));
    }
    let highest = target.ingest.series.highest_slot();
    assert!(highest < 5_000, "{highest} slots");
}

#[test]
fn families_that_do_not_come_back_do_not_pile_up() {
    let mut target = Target::new(rules());
    for (round, flaw) in (0..100_i64).zip(["", "bad line\n"].into_iter().cycle()) {
        let families: String = (0..200).map(|n| format!("# TYPE m{round}_{n} gauge\n")).collect();
        target.scrape(round, &format!("{families}# HELP m one\nm 1\n{flaw}"));
        let sample = target.ingest.samples()[0];
        assert_eq!(target.ingest.describe(sample.slot).help, "one");
    }
    let families = target.ingest.families.len();
    assert!(families < 5_000, "{families} families");
}

#[test]
fn a_last_scrape_that_fails_leaves_no_trace_and_the_markers_still_come() {
    let mut target = Target::new(Rules { synthetic_series: true, ..rules() });
    target.scrape(10, "a 1\nb 1\n");
    assert!(target.ingest.last_scrape(b"a 1\nbad line\n", 20, Instant::now()).is_err());
    assert!(target.samples().is_empty());
    assert_eq!(target.ingest.end_all(21), 7);
    assert_eq!(target.samples()[..2], ["a stale@21", "b stale@21"]);
}

#[test]
fn a_last_scrape_in_the_same_millisecond_as_the_one_before_still_counts() {
    let mut target = Target::new(rules());
    target.scrape(10, "a 1\n");
    target.ingest.last_scrape(b"a 2\n", 10, Instant::now()).unwrap();
    assert_eq!(target.samples(), ["a 2@11"]);
}

#[test]
fn a_line_that_stood_under_two_types_ends_both_of_its_series() {
    let mut target = Target::new(rules());
    let body = "# TYPE h histogram\nh{le=\"1\"} 1\n# TYPE h gauge\nh{le=\"1\"} 2\n";
    assert_eq!(target.scrape(1, body).0, ["h{le=\"1.0\"} 1@1", "h{le=\"1\"} 2@1"]);
    let (samples, report) = target.scrape(2, "a 1\n");
    assert_eq!(samples, ["a 1@2", "h{le=\"1.0\"} stale@2", "h{le=\"1\"} stale@2"]);
    assert_eq!(report.markers, 2);
}

#[test]
fn a_last_scrape_that_fails_under_another_type_leaves_every_series_to_be_ended() {
    let mut target = Target::new(rules());
    target.scrape(1, "# TYPE h histogram\nh{le=\"1\"} 1\n");
    let broken = "# TYPE h gauge\nh{le=\"1\"} 2\nx y\n";
    assert!(target.ingest.last_scrape(broken.as_bytes(), 2, Instant::now()).is_err());
    assert_eq!(target.ingest.end_all(3), 1);
    assert_eq!(target.samples(), ["h{le=\"1.0\"} stale@3"]);
}

#[test]
fn synthetic_samples_that_a_clock_set_back_makes_impossible_are_counted() {
    let mut target = Target::new(Rules { synthetic_series: true, ..rules() });
    target.scrape(10, "a 1\n");
    let (samples, report) = target.scrape(5, "a 1\n");
    assert!(samples.is_empty());
    assert_eq!(report.discarded.out_of_order, 6);
}
