use std::time::Duration;

use super::*;

const KIND: Policy = Policy { retry_on_http_429: true, hold_on_auth_error: true };
const LETTER: Policy = Policy { retry_on_http_429: false, hold_on_auth_error: false };
const PATIENCE: u32 = 5;

/// The first answer to a request of 100 samples in 1.0.
const FIRST: Known = Known {
    policy: KIND,
    message: Message::V1,
    switch: Switch::Pinned,
    samples: 100,
    repeats: 1,
    patience: PATIENCE,
    others: Others::Unknown,
    searching_500: false,
};
const LONE: Known = Known { samples: 1, ..FIRST };
const NEW_V2: Known = Known { message: Message::V2 { proven: false }, switch: Switch::Open, ..FIRST };
const PROVEN_V2: Known = Known { message: Message::V2 { proven: true }, switch: Switch::Open, ..FIRST };

fn reply(status: u16) -> Reply {
    Reply { status, ..Reply::default() }
}

fn written(status: u16) -> Reply {
    Reply { has_written: true, ..reply(status) }
}

fn decided(reply: &Reply, text: &str, known: &Known) -> Outcome {
    decide(reply, text, known, SystemTime::UNIX_EPOCH)
}

fn status(status: u16, known: &Known) -> Outcome {
    decided(&reply(status), "", known)
}

fn said(text: &str, known: &Known) -> Outcome {
    decided(&reply(400), text, known)
}

fn retry(status: u16) -> Outcome {
    Outcome::Retry { reason: Reason::Status(status), after: None }
}

fn letter() -> Known {
    Known { policy: LETTER, ..FIRST }
}

fn refused(status: u16) -> Outcome {
    Outcome::Reject { status, cause: Cause::Refused }
}

fn partly(status: u16) -> Outcome {
    Outcome::Reject { status, cause: Cause::PartlyStored }
}

// === "this is a 1.0-only receiver" ===

#[test]
fn rw_2_18_a_415_to_2_0_falls_back_and_is_final_for_1_0() {
    assert_eq!(status(415, &NEW_V2), Outcome::FallBack);
    assert_eq!(status(415, &PROVEN_V2), Outcome::FallBack);
    assert_eq!(status(415, &FIRST), refused(415));
}

#[test]
fn rw_2_20_a_2xx_to_2_0_without_written_headers_falls_back() {
    for code in [200, 202, 204] {
        assert_eq!(status(code, &NEW_V2), Outcome::FallBack);
        assert_eq!(status(code, &PROVEN_V2), Outcome::FallBack);
    }
}

#[test]
fn a_2xx_to_2_0_with_written_headers_is_delivered_whatever_they_count() {
    assert_eq!(decided(&written(204), "", &NEW_V2), Outcome::Delivered);
}

#[test]
fn an_ambiguous_400_to_2_0_falls_back_once_and_not_after_proof_rw_2_18() {
    assert_eq!(said("bad request", &NEW_V2), Outcome::FallBack);
    assert_eq!(decided(&written(400), "bad request", &NEW_V2), partly(400));
    let search = Outcome::Search { status: 400, blame: Blame::Series };
    assert_eq!(said("bad request", &PROVEN_V2), search);
}

#[test]
fn wrong_settings_hold_the_endpoint_or_are_final_as_the_setting_says() {
    for code in [401, 403, 404, 405] {
        for known in [FIRST, PROVEN_V2] {
            assert_eq!(status(code, &known), Outcome::Hold { status: code });
        }
        assert_eq!(status(code, &letter()), refused(code));
    }
}

#[test]
fn what_an_old_receiver_may_say_to_2_0_has_it_tried_as_1_0_rw_2_18() {
    for code in [404, 405, 406, 410, 422, 499, 501] {
        assert_eq!(status(code, &NEW_V2), Outcome::FallBack);
        assert_ne!(status(code, &PROVEN_V2), Outcome::FallBack);
        assert_ne!(status(code, &FIRST), Outcome::FallBack);
    }
    assert_eq!(status(401, &NEW_V2), Outcome::Hold { status: 401 });
    // 500 again and again, as other servers fail over what they do not know.
    let stuck = Known { repeats: PATIENCE, ..NEW_V2 };
    assert_eq!(status(500, &stuck), Outcome::FallBack);
    assert_eq!(status(500, &NEW_V2), retry(500));
}

#[test]
fn a_message_that_must_not_change_holds_the_endpoint_and_loses_nothing() {
    for switch in [Switch::Pinned, Switch::Spent] {
        let known = Known { switch, ..PROVEN_V2 };
        for code in [200, 204, 415] {
            assert_eq!(status(code, &known), Outcome::Hold { status: code });
        }
    }
    assert_eq!(status(415, &Known { switch: Switch::Spent, ..FIRST }), Outcome::Hold { status: 415 });
    assert_eq!(status(415, &Known { switch: Switch::Open, ..FIRST }), Outcome::FallBack);
}

#[test]
fn a_400_that_means_a_wrong_path_holds_as_404_does() {
    let text = "unsupported path requested: \"/api/v1/push\"";
    assert_eq!(said(text, &FIRST), Outcome::Hold { status: 400 });
    assert_eq!(said(text, &letter()), refused(400));
}

#[test]
fn a_redirect_holds_whatever_the_settings_rw_1_15() {
    for code in 300..400 {
        assert_eq!(status(code, &FIRST), Outcome::Hold { status: code });
        assert_eq!(status(code, &letter()), Outcome::Hold { status: code });
    }
}

// === "the good part is stored" ===

#[test]
fn rw_1_14_every_2xx_to_1_0_is_delivered() {
    for code in 200..300 {
        assert_eq!(status(code, &FIRST), Outcome::Delivered);
        assert_eq!(status(code, &letter()), Outcome::Delivered);
    }
}

#[test]
fn rw_2_22_a_400_to_2_0_with_written_headers_is_final() {
    assert_eq!(decided(&written(400), "out of order sample", &PROVEN_V2), partly(400));
}

#[test]
fn a_409_is_final_and_the_good_part_stored() {
    assert_eq!(status(409, &FIRST), partly(409));
}

#[test]
fn the_texts_of_cortex_and_mimir_are_final_and_the_good_part_stored() {
    for text in [
        "err-mimir-sample-out-of-order",
        "user=a: err: out of bounds. timestamp=1, series={}",
        "sample invalid label",
    ] {
        assert_eq!(said(text, &FIRST), partly(400), "{text}");
        assert_eq!(said(text, &LONE), partly(400), "{text}");
    }
}

// === "nothing is stored" ===

#[test]
fn a_400_to_1_0_is_searched_and_blames_the_sample_or_its_series() {
    for text in ["out of order sample", "out of bounds", "duplicate sample for timestamp"] {
        assert_eq!(said(text, &FIRST), Outcome::Search { status: 400, blame: Blame::Sample }, "{text}");
    }
    for text in ["", "invalid labels"] {
        assert_eq!(said(text, &FIRST), Outcome::Search { status: 400, blame: Blame::Series }, "{text}");
    }
}

#[test]
fn a_refusal_for_the_size_splits_and_a_lone_sample_is_final() {
    assert_eq!(status(413, &FIRST), Outcome::Split { status: 413 });
    assert_eq!(status(413, &LONE), Outcome::Reject { status: 413, cause: Cause::TooLarge });
    for text in [
        "received message larger than max (2 vs 1)",
        "decoded size exceeds the 1 bytes limit",
        "too big data size",
    ] {
        assert_eq!(said(text, &FIRST), Outcome::Split { status: 400 }, "{text}");
        assert_eq!(said(text, &NEW_V2), Outcome::Split { status: 400 }, "{text}");
        assert_eq!(said(text, &LONE), Outcome::Reject { status: 400, cause: Cause::TooLarge }, "{text}");
    }
}

#[test]
fn a_429_that_repeats_for_one_request_splits_it_and_a_lone_sample_waits() {
    let repeated = |repeats| Known { repeats, ..FIRST };
    assert_eq!(status(429, &repeated(2)), retry(429));
    assert_eq!(status(429, &repeated(3)), Outcome::Split { status: 429 });
    assert_eq!(status(429, &Known { repeats: 100, ..LONE }), retry(429));
}

#[test]
fn a_500_that_repeats_is_searched_only_while_others_succeed() {
    let repeated = |repeats, others| Known { repeats, others, ..FIRST };
    for repeats in 1..PATIENCE {
        assert_eq!(status(500, &repeated(repeats, Others::Unknown)), retry(500));
    }
    assert_eq!(status(500, &repeated(PATIENCE, Others::Unknown)), Outcome::Probe { status: 500 });
    assert_eq!(status(500, &repeated(PATIENCE, Others::Fail)), retry(500));
    let search = Outcome::Search { status: 500, blame: Blame::Series };
    assert_eq!(status(500, &repeated(PATIENCE, Others::Succeed)), search);
    assert_eq!(status(500, &repeated(PATIENCE + 1, Others::Unknown)), retry(500));
    assert_eq!(status(500, &repeated(2 * PATIENCE, Others::Unknown)), Outcome::Probe { status: 500 });
}

#[test]
fn in_a_search_a_500_makes_the_request_smaller_and_a_lone_sample_has_three_tries() {
    let search = Outcome::Search { status: 500, blame: Blame::Series };
    assert_eq!(status(500, &Known { searching_500: true, ..FIRST }), search);
    let alone = |repeats| Known { searching_500: true, repeats, ..LONE };
    assert_eq!(status(500, &alone(2)), retry(500));
    assert_eq!(status(500, &alone(3)), search);
}

// === "do not bisect" ===

#[test]
fn a_429_with_retry_after_waits_however_often_it_comes() {
    let reply = Reply { retry_after: Some("7".to_owned()), ..reply(429) };
    let after = Some(Duration::from_secs(7));
    let waits = Outcome::Retry { reason: Reason::Status(429), after };
    assert_eq!(decided(&reply, "", &Known { repeats: 50, ..FIRST }), waits);
    assert_eq!(decided(&reply, "", &letter()), refused(429));
}

#[test]
fn other_5xx_are_retried_for_ever_rw_1_14() {
    for code in 501..600 {
        for repeats in [1, PATIENCE, 1000] {
            let known = Known { repeats, others: Others::Succeed, searching_500: true, ..FIRST };
            assert_eq!(status(code, &known), retry(code));
        }
    }
}

#[test]
fn decode_errors_are_final_since_every_half_would_fail() {
    for text in ["snappy: corrupt input", "unexpected EOF"] {
        assert_eq!(said(text, &FIRST), refused(400), "{text}");
    }
}

#[test]
fn series_limits_are_final_and_known_series_stored() {
    assert_eq!(said("per-user series limit of 5 exceeded", &FIRST), partly(400));
    let known = Known { repeats: 10, ..FIRST };
    assert_eq!(decided(&reply(429), "tenant is above active series limit", &known), retry(429));
}

#[test]
fn every_other_4xx_is_final_rw_1_14() {
    let special = [400, 401, 403, 404, 405, 409, 413, 429];
    for code in (400..500).filter(|code| !special.contains(code)) {
        assert_eq!(status(code, &FIRST), refused(code));
        assert_eq!(status(code, &letter()), refused(code));
    }
}

#[test]
fn a_429_is_retried_or_final_as_the_setting_says_rw_1_14() {
    assert_eq!(status(429, &FIRST), retry(429));
    assert_eq!(status(429, &letter()), refused(429));
}

#[test]
fn a_status_that_says_nothing_is_retried() {
    for code in [0, 100, 101, 199, 600, 999, u16::MAX] {
        assert_eq!(status(code, &FIRST), retry(code));
    }
}

#[test]
fn retry_after_counts_for_429_and_5xx_only_rw_2_17() {
    let after = |status| decided(&Reply { retry_after: Some("7".to_owned()), ..reply(status) }, "", &FIRST);
    for status in [429, 500, 503] {
        let after_7_s = Some(Duration::from_secs(7));
        assert_eq!(after(status), Outcome::Retry { reason: Reason::Status(status), after: after_7_s });
    }
    assert_eq!(after(401), Outcome::Hold { status: 401 });
    assert_eq!(after(307), Outcome::Hold { status: 307 });
    assert_eq!(after(422), refused(422));
}

#[test]
fn every_failure_is_retried_rw_1_15() {
    for failure in [Failure::Dns, Failure::Refused, Failure::Tls, Failure::Timeout, Failure::Closed] {
        let reason = Reason::Failure(failure);
        assert_eq!(of_failure(failure), Outcome::Retry { reason, after: None });
    }
}
