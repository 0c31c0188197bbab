//! What a scrape brings beside the target's samples, when it carries which time, and how series end.

use docker_remote_write::model::{STALE_MARKER_BITS, now_ms};

use super::{MESSAGES, Sent, Stage, TEXT};
use crate::support::program::DEADLINE;
use crate::support::scripted::{serve, status};

fn of<'a>(sent: &'a [Sent], name: &str) -> Vec<&'a Sent> {
    sent.iter().filter(|one| one.name() == name).collect()
}

#[tokio::test]
async fn up_is_1_for_a_target_that_answers_and_0_for_one_that_does_not() {
    for (status_code, up) in [(200, 1.0), (500, 0.0)] {
        for message in MESSAGES {
            let target = serve([status(status_code)]).await;
            target.otherwise(status(status_code).header("content-type", TEXT).text("m 1\n"));
            let stage = Stage::at(target).await;
            let _program = stage.run(message, &[]);
            let sent = stage.arrived(2).await;
            assert_eq!(of(&sent, "up").last().unwrap().value(), up);
            assert_eq!(of(&sent, "m").is_empty(), up == 0.0);
            stage.assert_strict();
        }
    }
}

#[tokio::test]
async fn an_exposition_with_a_bad_line_brings_up_0_and_nothing_of_it() {
    for message in MESSAGES {
        let stage = Stage::text("good 1\nbad{ 2\n").await;
        let _program = stage.run(message, &[]);
        let sent = stage.arrived(1).await;
        assert!(of(&sent, "up").iter().all(|one| one.value() == 0.0));
        assert!(!sent.iter().any(Sent::is_of_the_target), "{sent:?}");
    }
}

#[tokio::test]
async fn an_empty_scrape_brings_the_synthetic_series_alone() {
    for message in MESSAGES {
        let stage = Stage::text("").await;
        let _program = stage.run(message, &[]);
        let sent = stage.arrived(1).await;
        assert!(of(&sent, "up").iter().all(|one| one.value() == 1.0));
        assert_eq!(sent.iter().filter(|one| one.is_of_the_target()).count(), 0);
        stage.assert_strict();
    }
}

#[tokio::test]
async fn rw_1_16_1_17_and_2_16_a_series_that_vanishes_ends_with_the_marker_and_the_others_go_on() {
    for message in MESSAGES {
        let stage = Stage::of(TEXT, &["gone 1\nstays 1\n", "stays 1\n"]).await;
        let _program = stage.run(message, &[]);
        let sent = stage.arrived(3).await;
        let gone: Vec<u64> = of(&sent, "gone").iter().map(|one| one.bits).collect();
        assert_eq!(gone, [1_f64.to_bits(), STALE_MARKER_BITS]);
        let (ups, stays) = (of(&sent, "up"), of(&sent, "stays"));
        assert_eq!(of(&sent, "gone")[1].timestamp, ups[1].timestamp, "stamped with the scrape that lacks it");
        assert!(stays.len() >= 3 && stays.iter().all(|one| one.bits == 1_f64.to_bits()), "{stays:?}");
        stage.assert_strict();
    }
}

#[tokio::test]
async fn rw_1_16_and_2_16_a_target_that_fails_ends_every_series_once() {
    for message in MESSAGES {
        let target = serve([status(200).header("content-type", TEXT).text("m 1\nn 2\n")]).await;
        target.otherwise(status(503));
        let stage = Stage::at(target).await;
        let _program = stage.run(message, &[]);
        let sent = stage.arrived(3).await;
        for name in ["m", "n"] {
            let bits: Vec<u64> = of(&sent, name).iter().map(|one| one.bits).collect();
            assert_eq!(bits[1..], [STALE_MARKER_BITS], "{name}");
        }
        let ups: Vec<f64> = of(&sent, "up").iter().map(|one| one.value()).collect();
        assert_eq!(ups[..3], [1.0, 0.0, 0.0]);
        stage.assert_strict();
    }
}

#[tokio::test]
async fn rw_1_08_and_2_11_a_timestamp_of_the_target_is_kept_to_the_millisecond_and_others_have_that_of_the_scrape()
 {
    for message in MESSAGES {
        let began = now_ms();
        let at = began - 12_345;
        let stage = Stage::text(&format!("own 1 {at}\nscraped 1\n")).await;
        let _program = stage.run(message, &[]);
        let sent = stage.arrived(1).await;
        assert_eq!(of(&sent, "own")[0].timestamp, at);
        let (scraped, up) = (of(&sent, "scraped")[0].timestamp, of(&sent, "up")[0].timestamp);
        assert_eq!(scraped, up);
        assert!((began..=now_ms()).contains(&scraped), "{began} {scraped}");
        stage.assert_strict();
    }
}

#[tokio::test]
async fn rw_1_13_and_2_11_samples_of_a_series_arrive_in_order_while_a_receiver_comes_and_goes() {
    for message in MESSAGES {
        let stage = Stage::text("m 1\n").await;
        let _program = stage.run(message, &[]);
        stage.arrived(1).await;
        stage.receiver.answer_next(3, docker_remote_write::receiver::Answer::status(503));
        stage.arrived(4).await;
        stage.receiver.answer_next(2, docker_remote_write::receiver::Answer::Close);
        stage.arrived(6).await;
        // The strict receiver names every sample that goes back in time.
        stage.assert_strict();
        let stored: Vec<i64> = stage.receiver.read(|state| {
            let series = state.store.select(&[("__name__", "m")]);
            series.flat_map(|(_, samples)| samples.iter().map(|sample| sample.timestamp)).collect()
        });
        assert!(stored.is_sorted() && stored.len() >= 6, "{stored:?}");
    }
}

#[tokio::test]
async fn thousands_of_series_arrive_each_scrape_in_few_requests() {
    let text: String = (0..5000).map(|n| format!("m{{n=\"{n}\"}} {n}\n")).collect();
    for message in MESSAGES {
        let stage = Stage::text(&text).await;
        let _program = stage.run(message, &[]);
        let enough = |state: &docker_remote_write::receiver::State| state.count(&[("__name__", "m")]) >= 5000;
        stage.receiver.wait_until(enough, DEADLINE).await.unwrap();
        stage.assert_strict();
        stage.receiver.read(|state| {
            let sizes: Vec<u64> = state.requests.iter().map(|request| request.samples).collect();
            assert!(sizes.iter().all(|samples| *samples <= 2000), "{sizes:?}");
            assert!(sizes.iter().any(|samples| *samples >= 1000), "requests are filled: {sizes:?}");
        });
    }
}
