//! remote-write 4.16: a label name that stands twice fails the scrape, if it still does when the target has had its say.

use super::*;

fn stored(honor_labels: bool, line: &str) -> Option<String> {
    let mut target = Target::new(Rules { honor_labels, ..rules() });
    let report = target.ingest.scrape(Ok(format!("{line} 1\n").as_bytes()), 1, Instant::now());
    let first = target.ingest.samples().first().copied();
    assert_eq!(report.failure.is_some(), first.is_none());
    first.map(|sample| target.ingest.describe(sample.slot).labels.to_string())
}

#[test]
fn rw_4_16_a_name_that_stands_twice_is_gone_if_one_of_its_values_is_empty() {
    for line in ["a{x=\"\",x=\"1\"}", "a{x=\"1\",x=\"\"}", "a{x=\"1\",x=\"\",x=\"2\"}"] {
        assert_eq!(stored(false, line).as_deref(), Some("a{job=\"docker\"}"), "{line}");
        assert_eq!(stored(true, line).as_deref(), Some("a{job=\"docker\"}"), "{line}");
    }
    assert_eq!(stored(false, "a{x=\"1\",x=\"2\"}"), None);
    assert_eq!(stored(true, "a{x=\"1\",x=\"1\"}"), None);
}

#[test]
fn rw_4_16_of_a_clashing_name_that_stands_twice_the_first_value_counts() {
    let exported = |value: &str| Some(format!("a{{exported_job=\"{value}\",job=\"docker\"}}"));
    assert_eq!(stored(false, "a{job=\"x\",job=\"y\"}"), exported("x"));
    assert_eq!(stored(false, "a{job=\"y\",job=\"\"}"), exported("y"));
    assert_eq!(stored(false, "a{job=\"\",job=\"y\"}").as_deref(), Some("a{job=\"docker\"}"), "no clash");
    assert_eq!(stored(false, "a{job=\"y\",exported_job=\"1\",exported_job=\"\"}"), exported("y"));
    assert_eq!(stored(false, "a{job=\"y\",exported_job=\"1\",exported_job=\"2\"}"), None);
}

#[test]
fn rw_4_16_with_honor_labels_both_stay_so_the_scrape_fails_unless_one_is_empty() {
    assert_eq!(stored(true, "a{job=\"x\",job=\"y\"}"), None);
    assert_eq!(stored(true, "a{job=\"\",job=\"y\"}").as_deref(), Some("a"));
    assert_eq!(stored(true, "a{job=\"y\",job=\"\"}").as_deref(), Some("a"));
}

#[test]
fn rw_4_16_the_metrics_name_never_stands_twice() {
    for line in ["a{__name__=\"b\"}", "a{__name__=\"\"}", "{\"a\",__name__=\"\"}"] {
        assert_eq!((stored(false, line), stored(true, line)), (None, None), "{line}");
    }
}
