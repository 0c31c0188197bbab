//! What a line becomes: its labels, its value's bits, its metadata.

use super::*;
use crate::model::{NORMAL_NAN_BITS, STALE_MARKER_BITS};

fn one(target: &mut Target, timestamp: i64, line: &str) -> String {
    let (_, report) = target.scrape(timestamp, line);
    assert!(report.failure.is_none(), "{line}: {:?}", report.failure);
    let sample = target.ingest.samples()[0];
    target.ingest.describe(sample.slot).labels.to_string()
}

fn targeted(target: &[(&str, &str)], honor_labels: bool) -> Target {
    Target::new(Rules { target_labels: target.iter().copied().collect(), honor_labels, ..rules() })
}

#[test]
fn rw_4_06_several_clashes_are_renamed_shorter_names_first() {
    let both = [("instance", "host"), ("job", "docker")];
    let cases = [
        (
            "m{instance=\"i\",job=\"j\"} 1",
            "m{exported_instance=\"i\",exported_job=\"j\",instance=\"host\",job=\"docker\"}",
        ),
        (
            "m{job=\"j\",exported_job=\"k\",exported_exported_job=\"l\"} 1",
            "m{exported_exported_exported_job=\"j\",exported_exported_job=\"l\",exported_job=\"k\",instance=\"host\",job=\"docker\"}",
        ),
        ("m{job=\"j\",exported_job=\"\"} 1", "m{exported_job=\"j\",instance=\"host\",job=\"docker\"}"),
        ("m{job=\"\",instance=\"\"} 1", "m{instance=\"host\",job=\"docker\"}"),
        ("m{job=\"docker\"} 1", "m{exported_job=\"docker\",instance=\"host\",job=\"docker\"}"),
        ("m{exported_job=\"alone\"} 1", "m{exported_job=\"alone\",instance=\"host\",job=\"docker\"}"),
    ];
    let mut target = targeted(&both, false);
    for (timestamp, (line, labels)) in (1..).zip(cases) {
        assert_eq!(one(&mut target, timestamp, line), labels, "{line}");
    }
    // Both of the target's names are exposed: `job` takes `exported_exported_job` first, being shorter.
    let mut target = targeted(&[("exported_job", "t"), ("job", "docker")], false);
    assert_eq!(
        one(&mut target, 1, "m{exported_job=\"k\",job=\"j\"} 1"),
        "m{exported_exported_exported_job=\"k\",exported_exported_job=\"j\",exported_job=\"t\",job=\"docker\"}"
    );
}

#[test]
fn rw_4_06_with_honor_labels_what_is_exposed_stands_and_what_is_exposed_empty_is_gone() {
    let cases = [
        ("m{instance=\"i\",job=\"j\"} 1", "m{instance=\"i\",job=\"j\"}"),
        ("m{job=\"j\"} 1", "m{instance=\"host\",job=\"j\"}"),
        ("m{instance=\"\"} 1", "m{job=\"docker\"}"),
        ("m{instance=\"\",job=\"\"} 1", "m"),
        ("m{exported_job=\"k\",job=\"j\"} 1", "m{exported_job=\"k\",instance=\"host\",job=\"j\"}"),
    ];
    let mut target = targeted(&[("instance", "host"), ("job", "docker")], true);
    for (timestamp, (line, labels)) in (1..).zip(cases) {
        assert_eq!(one(&mut target, timestamp, line), labels, "{line}");
    }
}

#[test]
fn rw_4_06_two_series_that_a_rename_makes_one_are_a_duplicate() {
    let mut target = targeted(&[("job", "docker")], false);
    let (samples, report) = target.scrape(1, "m{job=\"j\"} 1\nm{exported_job=\"j\"} 2\n");
    assert_eq!(samples.len(), 1);
    assert_eq!((report.discarded.duplicate, report.added), (1, 2));
    let (_, report) = target.scrape(2, "m{exported_job=\"j\"} 2\n");
    assert_eq!(report.markers, 0, "the other spelling still has it");
    assert_eq!(target.scrape(3, "").1.markers, 1);
}

#[test]
fn rw_4_16_a_name_that_is_missing_or_none_or_a_label_twice_fails_the_scrape() {
    for line in [
        "{a=\"1\"} 1",
        "{} 1",
        "{\"\"} 1",
        "{__name__=\"m\"} 1",
        "1m 1",
        "m-n{} 1",
        "m{1a=\"1\"} 1",
        "m{a-b=\"1\"} 1",
        "m{a=\"1\",a=\"1\"} 1",
        "m{a=\"1\",b=\"2\",a=\"2\"} 1",
        "m{__name__=\"n\"} 1",
        "m{\"\"=\"1\"} 1",
        "m",
        "m 1 2 3",
        "m{a=\"1\" 1",
    ] {
        let mut target = Target::new(rules());
        target.scrape(1, "good 1\n");
        let (samples, report) = target.scrape(2, &format!("good 1\nkept 1\n{line}\nbehind 1\n"));
        assert!(report.failure.is_some(), "{line}");
        assert_eq!(samples, ["good stale@2"], "{line}");
    }
}

#[test]
fn rw_4_17_no_exposition_brings_a_staleness_marker_of_its_own() {
    let mut target = Target::new(rules());
    let body = "a NaN\nb nan\nc NAN\nd +Inf\ne -inf\nf -0\n";
    target.scrape(1, body);
    let bits: Vec<u64> = target.ingest.samples().iter().map(|sample| sample.value.to_bits()).collect();
    let nan = NORMAL_NAN_BITS;
    assert_eq!(nan, 0x7ff8_0000_0000_0001);
    assert_eq!(
        bits,
        [nan, nan, nan, f64::INFINITY.to_bits(), f64::NEG_INFINITY.to_bits(), (-0.0_f64).to_bits()]
    );
    assert_eq!(target.scrape(2, body).1.markers, 0);
    let report = target.scrape(3, "a NaN\n").1;
    assert_eq!(report.markers, 5, "a series whose value is NaN is as alive as any");
    let markers = target.ingest.samples()[1..].iter().map(|sample| sample.value.to_bits());
    assert!(markers.eq([STALE_MARKER_BITS; 5]));
    for refused in ["-nan", "+NaN", "0x7ff0000000000002", "1e999", "1_0", "1p3", "nan(2)"] {
        let failure = target.scrape(4, &format!("a {refused}\n")).1.failure;
        assert!(failure.is_some(), "{refused}");
    }
}

#[test]
fn rw_4_19_where_two_spellings_become_one_the_first_sample_wins() {
    let body = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 2\nh_bucket{le=\"1e0\"} 3\nh_bucket{le=\"+Inf\"} 4\n";
    let mut target = Target::new(rules());
    let (samples, report) = target.scrape(1, body);
    assert_eq!(samples, ["h_bucket{le=\"1.0\"} 1@1", "h_bucket{le=\"+Inf\"} 4@1"]);
    assert_eq!((report.discarded.duplicate, report.scraped), (2, 4));
    let mut target = Target::new(Rules { normalize_le: false, ..rules() });
    let (samples, report) = target.scrape(1, body);
    assert_eq!(samples.len(), 4);
    assert_eq!(report.discarded.total(), 0);
}

#[test]
fn rw_4_22_of_repeated_help_lines_the_last_stands_wherever_its_samples_are() {
    let mut target = Target::new(rules());
    target.scrape(1, "# HELP m one\nm 1\n# HELP m two\n# HELP n three\n# UNIT m seconds\n# EOF\n");
    let sample = target.ingest.samples()[0];
    assert_eq!(target.ingest.describe(sample.slot).help, "two");
}

#[test]
fn rw_4_24_a_name_that_is_no_classic_one_goes_on_as_it_came() {
    let mut target = Target::new(rules());
    let (samples, report) = target.scrape(1, "{\"a.b\",\"c d\"=\"1\"} 1\nU__a_2e_b 2\n");
    assert!(report.failure.is_none());
    assert_eq!(samples.len(), 2);
    let name = |sample: &crate::model::SampleRef| {
        target.ingest.describe(sample.slot).labels.get("__name__").unwrap_or_default().to_owned()
    };
    let names: Vec<_> = target.ingest.samples().iter().map(name).collect();
    assert_eq!(names, ["a.b", "U__a_2e_b"], "what a target has escaped is not undone");
}

#[test]
fn rw_4_26_a_created_series_of_the_text_format_is_a_series_like_any_other() {
    let mut target = Target::new(rules());
    let (samples, _) = target.scrape(1, "# TYPE c counter\nc 1\nc_created 1.5e9\n");
    assert_eq!(samples, ["c 1@1", "c_created 1500000000@1"]);
    let sample = target.ingest.samples()[1];
    assert_eq!(target.ingest.describe(sample.slot).metric_type, MetricType::Unknown);
    assert_eq!(target.scrape(2, "# TYPE c counter\nc 1\n").0, ["c 1@2", "c_created stale@2"]);
}
