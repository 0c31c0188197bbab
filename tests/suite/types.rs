//! One case for each type: every series of it arrives, with its value, in both messages.

use docker_remote_write::model::NORMAL_NAN_BITS;

use super::{MESSAGES, Stage, complete};

/// A series by name and further labels, and its value.
type Wanted<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

async fn arrives(text: &str, wanted: &[Wanted<'_>]) {
    for message in MESSAGES {
        let stage = Stage::text(text).await;
        let _program = stage.run(message, &[]);
        let sent = stage.arrived(1).await;
        for (name, labels, value) in wanted {
            let labels = complete(name, labels);
            let found: Vec<_> = sent.iter().filter(|one| one.labels == labels).collect();
            assert!(!found.is_empty(), "{labels:?} is missing in {message}: {sent:?}");
            assert!(found.iter().all(|one| one.bits == value.to_bits()), "{labels:?} {value}: {found:?}");
        }
        let of_the_target: std::collections::BTreeSet<_> =
            sent.iter().filter(|one| one.is_of_the_target()).map(|one| &one.labels).collect();
        assert_eq!(of_the_target.len(), wanted.len(), "{of_the_target:?}");
        stage.assert_strict();
    }
}

#[tokio::test]
async fn a_counter_arrives() {
    arrives("# HELP c_total Counted.\n# TYPE c_total counter\nc_total 41\n", &[("c_total", &[], 41.0)]).await;
}

#[tokio::test]
async fn a_gauge_arrives() {
    arrives("# TYPE g gauge\ng -7.25\n", &[("g", &[], -7.25)]).await;
}

#[tokio::test]
async fn a_classic_histogram_arrives_as_its_series() {
    let text = "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"2\"} 3\nh_bucket{le=\"+Inf\"} 4\nh_sum 9.5\nh_count 4\n";
    let wanted: [Wanted<'_>; 5] = [
        ("h_bucket", &[("le", "0.5")], 1.0),
        ("h_bucket", &[("le", "2.0")], 3.0),
        ("h_bucket", &[("le", "+Inf")], 4.0),
        ("h_sum", &[], 9.5),
        ("h_count", &[], 4.0),
    ];
    arrives(text, &wanted).await;
}

#[tokio::test]
async fn a_summary_arrives_as_its_series() {
    let text = "# TYPE s summary\ns{quantile=\"0.5\"} 1.5\ns{quantile=\"0.99\"} NaN\ns_sum 3\ns_count 2\n";
    let wanted: [Wanted<'_>; 4] = [
        ("s", &[("quantile", "0.5")], 1.5),
        ("s", &[("quantile", "0.99")], f64::from_bits(NORMAL_NAN_BITS)),
        ("s_sum", &[], 3.0),
        ("s_count", &[], 2.0),
    ];
    arrives(text, &wanted).await;
}

#[tokio::test]
async fn rw_1_08_every_float_arrives_with_its_bits() {
    let text = "# TYPE f gauge\nf{n=\"nan\"} NaN\nf{n=\"inf\"} +Inf\nf{n=\"-inf\"} -Inf\nf{n=\"0\"} 0\nf{n=\"-0\"} -0\n\
                f{n=\"tiny\"} 5e-324\nf{n=\"huge\"} 1.7976931348623157e308\nf{n=\"pi\"} 3.141592653589793\n";
    let wanted: [Wanted<'_>; 8] = [
        ("f", &[("n", "nan")], f64::from_bits(NORMAL_NAN_BITS)),
        ("f", &[("n", "inf")], f64::INFINITY),
        ("f", &[("n", "-inf")], f64::NEG_INFINITY),
        ("f", &[("n", "0")], 0.0),
        ("f", &[("n", "-0")], -0.0),
        ("f", &[("n", "tiny")], 5e-324),
        ("f", &[("n", "huge")], f64::MAX),
        ("f", &[("n", "pi")], std::f64::consts::PI),
    ];
    arrives(text, &wanted).await;
}

#[tokio::test]
async fn series_of_all_types_and_of_none_arrive_together() {
    let text = "# TYPE c_total counter\nc_total 1\n# TYPE g gauge\ng 2\nu 3\n# TYPE job:rate:5m gauge\njob:rate:5m 4\n\
                # TYPE s summary\ns_sum 5\ns_count 6\n";
    let wanted: [Wanted<'_>; 6] = [
        ("c_total", &[], 1.0),
        ("g", &[], 2.0),
        ("u", &[], 3.0),
        ("job:rate:5m", &[], 4.0),
        ("s_sum", &[], 5.0),
        ("s_count", &[], 6.0),
    ];
    arrives(text, &wanted).await;
}
