//! What the program does with an answer: which it repeats, when, and what it learns of it.

use docker_remote_write::receiver::{Answer, Answered, Protocol, Reply, Speaks, State};

use super::{MESSAGES, Stage};
use crate::support::program::DEADLINE;

/// Statuses in the order of the requests.
fn statuses(state: &State) -> Vec<u16> {
    let status = |answered: Answered| match answered {
        Answered::Status(status) => status,
        Answered::Hang | Answered::Closed | Answered::Half => 0,
    };
    state.requests.iter().map(|request| status(request.answered)).collect()
}

fn crcs(state: &State) -> Vec<u32> {
    state.requests.iter().map(|request| request.body_crc).collect()
}

#[tokio::test]
async fn rw_1_14_and_2_17_a_5xx_is_repeated_with_the_same_bytes_until_it_is_taken() {
    for message in MESSAGES {
        for code in [500, 502, 503, 504] {
            let stage = Stage::text("m 1\n").await;
            stage.receiver.answer_next(2, Answer::status(code));
            let _program = stage.run(message, &[("REMOTE_WRITE_MIN_BACKOFF", "50ms")]);
            stage.arrived(1).await;
            stage.assert_strict();
            stage.receiver.read(|state| {
                assert_eq!(statuses(state)[..3], [code, code, 204], "{message}");
                let crcs = crcs(state);
                assert_eq!([crcs[1], crcs[2]], [crcs[0]; 2]);
                assert_eq!(state.duplicates, 0);
            });
        }
    }
}

/// The strict receiver names the same bytes after a final answer as a broken 1.14.
#[tokio::test]
async fn rw_1_14_and_2_17_a_final_4xx_is_not_repeated_and_what_follows_is_sent() {
    // As the letter has it: by default the first four hold the endpoint and keep its samples.
    let letter = [("REMOTE_WRITE_HOLD_ON_AUTH_ERROR", "false"), ("REMOTE_WRITE_RETRY_ON_HTTP_429", "false")];
    for message in MESSAGES {
        for code in [401, 403, 404, 405, 422, 429] {
            let stage = Stage::text("m 1\n").await;
            stage.receiver.answer_next(1, Answer::status(code));
            let _program = stage.run(message, &letter);
            stage.arrived(1).await;
            stage.assert_strict();
            stage.receiver.read(|state| {
                let crcs = crcs(state);
                assert_eq!(statuses(state)[0], code);
                assert!(!crcs[1..].contains(&crcs[0]), "{code} was repeated in {message}: {crcs:?}");
            });
        }
    }
}

#[tokio::test]
async fn rw_2_17_a_429_and_its_retry_after_are_obeyed() {
    for message in MESSAGES {
        let stage = Stage::text("m 1\n").await;
        stage.receiver.answer_next(1, Answer::retry_after(429, "1"));
        // By its own backoff it would come back when this test has failed.
        let program =
            stage.run(message, &[("REMOTE_WRITE_MIN_BACKOFF", "1h"), ("REMOTE_WRITE_MAX_BACKOFF", "1h")]);
        stage.arrived(1).await;
        stage.assert_strict();
        stage.receiver.read(|state| {
            assert_eq!(statuses(state)[..2], [429, 204]);
            assert_eq!(crcs(state)[0], crcs(state)[1]);
        });
        assert!(program.said().contains("retry_in="), "{}", program.said());
    }
}

#[tokio::test]
async fn rw_1_09_and_2_21_the_text_of_a_success_means_nothing_and_that_of_an_error_is_logged() {
    for message in MESSAGES {
        let stage = Stage::text("m 1\n").await;
        let words = "out of order sample: nothing was stored, send it again";
        let mut stored = Reply::written(200, 6);
        stored.body = words.into();
        stage.receiver.answer_next(1, Answer::StorePart { series: usize::MAX, reply: stored });
        stage.receiver.answer_next(
            1,
            Answer::Status(Reply { status: 503, headers: Vec::new(), body: "two disks are full".into() }),
        );
        let mut program = stage.run(message, &[]);
        program.says("two disks are full").await;
        stage.arrived(2).await;
        stage.assert_strict();
        assert!(!program.said().contains(words), "{}", program.said());
        stage.receiver.read(|state| assert_eq!(state.duplicates, 0));
    }
}

#[tokio::test]
async fn rw_2_18_and_2_20_a_receiver_of_1_0_is_sent_1_0_from_the_second_request_on() {
    for speaks in [Speaks::V1, Speaks::V1Unaware] {
        let stage = Stage::text("m 1\n").await;
        stage.receiver.speak(speaks);
        let _program = stage.run("auto", &[]);
        stage.arrived(3).await;
        stage.assert_strict();
        stage.receiver.read(|state| {
            let protocols: Vec<_> = state.requests.iter().map(|request| request.protocol).collect();
            assert_eq!(protocols[0], Protocol::V2);
            assert!(protocols[1..].iter().all(|protocol| *protocol == Protocol::V1), "{protocols:?}");
            assert_eq!(state.requests[0].times, state.requests[1].times, "the same samples");
            assert_eq!(state.duplicates, 0);
        });
    }
}

#[tokio::test]
async fn rw_2_01_and_2_19_a_receiver_of_2_0_is_sent_nothing_else_whatever_it_counts() {
    let stage = Stage::text("m 1\n").await;
    // Less than was sent, as of a replica that is not elected.
    stage.receiver.answer_next(1, Answer::StorePart { series: usize::MAX, reply: Reply::written(202, 0) });
    let _program = stage.run("auto", &[]);
    stage.arrived(3).await;
    stage.assert_strict();
    stage.receiver.read(|state| {
        assert!(state.requests.iter().all(|request| request.protocol == Protocol::V2));
        assert_eq!(state.duplicates, 0);
    });
}

#[tokio::test]
async fn rw_2_22_a_400_with_written_headers_is_not_sent_again_in_any_part() {
    let stage = Stage::text("m 1\nn 2\n").await;
    stage.receiver.answer_next(1, Answer::StorePart { series: 1, reply: Reply::written(400, 1) });
    let program = stage.run("2.0", &[]);
    stage.arrived(1).await;
    stage.assert_strict();
    stage.receiver.read(|state| {
        let first = state.requests[0].times;
        assert!(state.requests.iter().skip(1).all(|request| request.times != first), "a part came again");
        assert_eq!(state.duplicates, 0);
    });
    assert!(program.said().contains("reason=partly_stored"), "{}", program.said());
}

#[tokio::test]
async fn rw_1_15_a_receiver_that_closes_without_an_answer_is_asked_again() {
    for answer in [Answer::Close, Answer::StoreThenClose] {
        for message in MESSAGES {
            let stage = Stage::text("m 1\n").await;
            stage.receiver.answer_next(2, answer.clone());
            let _program = stage.run(message, &[("REMOTE_WRITE_MIN_BACKOFF", "50ms")]);
            let enough = |state: &State| state.store.samples() >= 6 && state.accepted_count >= 1;
            stage.receiver.wait_until(enough, DEADLINE).await.unwrap();
            stage.assert_strict();
        }
    }
}
