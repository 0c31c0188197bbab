//! What the labels of a series are when they are sent, and what a target may not write.

use std::fmt::Write as _;

use super::{MESSAGES, Sent, Stage, complete};

/// What is sent of a target that serves this, up to the first scrapes, in each message.
async fn sent_of(text: &str, more: &[(&'static str, &str)]) -> Vec<Vec<Sent>> {
    let mut all = Vec::new();
    for message in MESSAGES {
        let stage = Stage::text(text).await;
        let _program = stage.run(message, more);
        all.push(stage.arrived(1).await);
        stage.assert_strict();
    }
    all
}

/// The labels of the only series that the target has.
fn only(sent: &[Sent]) -> &[(String, String)] {
    let mut of_the_target = sent.iter().filter(|one| one.is_of_the_target());
    let first = &of_the_target.next().unwrap_or_else(|| panic!("nothing of the target: {sent:?}")).labels;
    assert!(of_the_target.all(|other| &other.labels == first), "{sent:?}");
    first
}

/// The scrape has failed: nothing of the target, and `up` is 0.
fn assert_failed(sent: &[Sent]) {
    assert!(!sent.iter().any(Sent::is_of_the_target), "{sent:?}");
    let ups: Vec<f64> = sent.iter().filter(|one| one.name() == "up").map(Sent::value).collect();
    assert!(!ups.is_empty() && ups.iter().all(|up| *up == 0.0), "{ups:?}");
}

#[tokio::test]
async fn rw_1_10_1_11_and_2_10_labels_are_complete_and_sorted_whatever_the_target_writes() {
    for sent in sent_of("m{z=\"26\",B=\"2\",_u=\"0\",a=\"1\"} 1\n", &[("EXTERNAL_LABELS", "region=eu")]).await
    {
        let wanted = complete("m", &[("z", "26"), ("B", "2"), ("_u", "0"), ("a", "1"), ("region", "eu")]);
        assert_eq!(only(&sent), wanted);
        // In byte order: an upper-case letter goes before the two underscores of the name.
        assert_eq!((wanted[0].0.as_str(), wanted[1].0.as_str()), ("B", "__name__"));
    }
}

#[tokio::test]
async fn rw_1_11_and_2_10_a_label_name_that_comes_twice_fails_the_scrape() {
    for sent in sent_of("m{a=\"1\",a=\"1\"} 1\n", &[]).await {
        assert_failed(&sent);
    }
}

#[tokio::test]
async fn rw_1_11_and_2_10_a_label_without_a_value_is_left_out() {
    for sent in sent_of("m{a=\"\",b=\"2\"} 1\n", &[]).await {
        assert_eq!(only(&sent), complete("m", &[("b", "2")]));
    }
}

#[tokio::test]
async fn rw_1_10_and_2_10_a_series_without_a_name_fails_the_scrape() {
    for sent in sent_of("{a=\"1\"} 1\n", &[]).await {
        assert_failed(&sent);
    }
}

#[tokio::test]
async fn rw_1_12_names_that_are_none_fail_the_scrape() {
    for text in ["9m 1\n", "m{9a=\"1\"} 1\n", "m{a-b=\"1\"} 1\n", "m.n 1\n"] {
        for sent in sent_of(text, &[]).await {
            assert_failed(&sent);
        }
    }
}

#[tokio::test]
async fn job_and_instance_are_on_every_series() {
    for sent in sent_of("m 1\n", &[("JOB", "engines"), ("INSTANCE", "host-1")]).await {
        assert!(sent.len() >= 6, "{sent:?}");
        for one in &sent {
            assert_eq!(
                (one.label("job"), one.label("instance")),
                (Some("engines"), Some("host-1")),
                "{one:?}"
            );
        }
    }
}

#[tokio::test]
async fn labels_of_the_target_with_our_names_are_renamed_unless_they_are_honored() {
    let text = "m{job=\"other\",instance=\"there\"} 1\n";
    for sent in sent_of(text, &[]).await {
        assert_eq!(only(&sent), complete("m", &[("exported_job", "other"), ("exported_instance", "there")]));
    }
    for sent in sent_of(text, &[("HONOR_LABELS", "true")]).await {
        let labels = [("__name__", "m"), ("instance", "there"), ("job", "other")];
        assert_eq!(only(&sent), labels.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}

#[tokio::test]
async fn rw_1_12_and_2_10_a_label_value_may_be_any_utf_8() {
    let value = "zwölf Bücher, 本, \u{1f600}, a tab\there";
    for sent in sent_of(&format!("m{{v=\"{value}\",w=\"a\\\\b\\\"c\\nd\"}} 1\n"), &[]).await {
        assert_eq!(only(&sent), complete("m", &[("v", value), ("w", "a\\b\"c\nd")]));
    }
}

#[tokio::test]
async fn long_names_and_values_and_many_labels_arrive_whole() {
    let (name, value) = ("n".repeat(500), "v".repeat(10_000));
    let mut text = format!("{name}{{v=\"{value}\"");
    let numbers: Vec<String> = (0..40).map(|n| format!("l{n:02}")).collect();
    for label in &numbers {
        write!(text, ",{label}=\"x\"").unwrap();
    }
    text.push_str("} 1\n");
    let more: Vec<_> =
        numbers.iter().map(|label| (label.as_str(), "x")).chain([("v", value.as_str())]).collect();
    for sent in sent_of(&text, &[]).await {
        assert_eq!(only(&sent), complete(&name, &more));
    }
}
