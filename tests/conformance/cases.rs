//! What no name of a test can say.

use super::Id;

/// Rule, what we do, why.
pub(super) const DEVIATIONS: &[(Id, &str, &str)] = &[
    (
        (1, 9),
        "A few words of an error's text choose between ways to save the good samples of a request (docs/architecture.md, Refusals); what is final is decided without them",
        "Receivers roll back or keep a part under the same status, and only the text says which; what is not understood is treated as unknown",
    ),
    (
        (1, 14),
        "400 to a request of several samples is answered by smaller requests; 401, 403, 404, 405 and redirects hold the endpoint, which is asked again with its oldest samples",
        "A wrong setting or one bad series is no reason to lose the rest. `REMOTE_WRITE_HOLD_ON_AUTH_ERROR=false` makes 401 to 405 final as the letter has it",
    ),
    (
        (1, 18),
        "Not done: 2.0 is asked for by its content type, and its answer decides (2.18, 2.20)",
        "2.0 replaced this way of asking",
    ),
    (
        (2, 21),
        "That one of the headers came at all, whatever its number, is remembered as a proof that 2.0 is read; that all are missing is a 415, as 2.20 asks",
        "A receiver that has read a 2.0 request is not asked to read it as 1.0 when it later says 400; nothing else hangs on the headers",
    ),
    (
        (3, 5),
        "StopMetrics ends all series at once; `STALE_MARKERS_ON_STOP=false` ends none",
        "dockerd says that it stops, so nobody has to wait for two missed scrapes",
    ),
    (
        (3, 7),
        "What vanished while no process ran gets its marker at the first good scrape",
        "The set of open series is kept beside the queue; Prometheus cannot know",
    ),
    ((4, 4), "Not built", "These series come only with a switch that is off in Prometheus"),
];

/// A case, and our tests of it.
pub(super) const CASES: &[(&str, &[&str])] = &[
    (
        "counter, gauge, histogram, summary",
        &[
            "rw_4_27_each_type_has_its_series",
            "rw_4_30_parts_share_the_familys_metadata_only_if_its_type_has_such_parts",
        ],
    ),
    (
        "headers, user agent, content type and encoding",
        &[
            "rw_1_01_to_1_03_a_request_is_one_post_with_exactly_these_headers",
            "rw_2_01_and_2_03_and_2_04_a_receiver_of_2_0_gets_records_untouched",
        ],
    ),
    ("reserved headers cannot be configured", &["rw_1_04_and_2_05_reserved_headers_are_refused"]),
    (
        "labels are sorted, unique and not empty; names are valid",
        &[
            "rw_1_11_labels_are_sorted_by_the_names_that_they_get",
            "rw_1_12_what_goes_as_1_0_has_classic_sorted_names_and_no_doubles",
            "rw_1_12_upper_case_sorts_before_the_metric_name_and_lower_case_after_it",
            "rw_1_11_an_empty_value_removes_the_label",
        ],
    ),
    ("a label name that comes twice", &["rw_4_16_a_duplicate_label_name_fails_the_scrape"]),
    (
        "job, instance and up",
        &[
            "rw_4_01_five_gauges_with_the_targets_labels_come_with_good_and_failed_scrapes_alike",
            "a_scrape_carries_the_targets_labels_and_what_it_says_of_itself",
        ],
    ),
    ("up is 0 for a target that fails", &["rw_3_02_a_target_that_is_gone_names_path_and_errno"]),
    (
        "honor labels",
        &[
            "rw_4_06_with_honor_labels_the_exposed_value_wins_and_an_empty_one_removes_the_label",
            "rw_4_06_the_target_wins_and_the_exposed_label_is_renamed_until_the_name_is_free",
        ],
    ),
    ("external labels", &["rw_4_07_external_labels_stand_only_where_the_series_has_no_such_label"]),
    (
        "staleness: a series, a target, a failing scrape",
        &[
            "rw_3_01_a_series_that_vanishes_gets_one_marker_at_the_next_scrapes_timestamp",
            "rw_3_05_the_end_of_the_target_ends_all_series_later_than_their_last_sample",
            "rw_3_02_a_failed_fetch_is_an_empty_scrape",
        ],
    ),
    (
        "timestamps of the scrape and of the target",
        &[
            "rw_4_01_samples_carry_the_time_when_the_scrape_began_not_when_it_was_answered",
            "rw_4_18_timestamps_are_milliseconds_in_digits_only",
        ],
    ),
    (
        "samples of a series are in order, over requests too",
        &[
            "rw_1_13_order_holds_across_requests",
            "rw_1_13_hours_of_an_outage_arrive_in_order_and_once_and_the_next_attempt_was_never_far",
        ],
    ),
    (
        "5xx is retried, 4xx is not",
        &[
            "a_5xx_is_retried_rw_1_14",
            "other_5xx_are_retried_for_ever_rw_1_14",
            "every_other_4xx_is_final_rw_1_14",
            "without_holding_wrong_settings_are_final_rw_1_14",
        ],
    ),
    ("429", &["a_429_is_retried_or_final_as_the_setting_says_rw_1_14"]),
    (
        "backoff",
        &["delays_double_up_to_the_maximum_with_at_most_a_tenth_on_top", "delays_never_shrink_while_failing"],
    ),
    (
        "Retry-After",
        &[
            "retry_after_takes_seconds_and_dates_up_to_ten_minutes",
            "retry_after_wins_over_the_own_delay_rw_2_17",
            "retry_after_counts_for_429_and_5xx_only_rw_2_17",
        ],
    ),
    (
        "a receiver that cannot be reached",
        &[
            "a_refused_connection_is_retried_until_someone_listens_rw_1_15",
            "a_hanging_server_is_retried_after_the_timeout_rw_1_15",
            "a_reset_connection_is_retried_rw_1_15",
        ],
    ),
    (
        "fall-back to 1.0",
        &[
            "rw_2_18_and_2_20_a_receiver_of_1_0_gets_the_same_samples_at_once_and_then_1_0_only",
            "rw_2_18_a_415_to_2_0_falls_back_and_is_final_for_1_0",
            "in_any_order_of_answers_nothing_is_lost_or_doubled",
        ],
    ),
    (
        "the content type and the message agree",
        &["rw_2_02_to_2_05_every_broken_rule_of_the_head_is_named_and_nothing_is_stored"],
    ),
    (
        "symbols: first empty, distinct, references inside",
        &[
            "rw_1_06_and_2_06_to_2_08_prost_reads_and_rewrites_what_our_encoders_write",
            "rw_2_06_to_2_11_2_15_and_2_16_every_broken_rule_of_the_body_is_named_and_nothing_is_stored",
        ],
    ),
    (
        "Written headers, a partial write",
        &[
            "rw_2_19_written_counts_are_compared_and_decide_nothing",
            "rw_2_22_a_400_to_2_0_with_written_headers_is_final",
        ],
    ),
    (
        "metadata: type, help, unit",
        &[
            "rw_2_14_a_record_carries_labels_value_timestamp_type_help_and_unit",
            "rw_1_07_each_family_has_one_entry_with_its_type_help_and_unit",
        ],
    ),
    (
        "exemplars",
        &[
            "rw_2_13_start_exemplar_and_unit_reach_the_record_from_both_formats",
            "rw_2_15_exemplars_go_with_their_samples_once_and_leave_no_symbols_behind",
            "rw_4_29_an_exemplar_without_a_timestamp_has_that_of_the_scrape",
        ],
    ),
    (
        "start (created) timestamps",
        &[
            "rw_2_13_start_timestamps_and_exemplars_of_protobuf_come_with_their_samples",
            "rw_2_13_start_timestamps_and_exemplars_of_openmetrics_come_with_their_samples",
            "rw_2_12_a_start_timestamp_goes_with_its_sample_and_1_0_does_without",
        ],
    ),
    (
        "native histograms: on the wire only, none is read from a target yet",
        &[
            "rw_1_07_and_2_23_exemplars_and_histograms_become_those_of_1_0",
            "rw_2_24_custom_bounds_are_left_out_of_1_0_and_stay_in_2_0",
            "rw_4_28_a_histogram_with_native_parts_is_read_by_its_classic_buckets",
        ],
    ),
    (
        "batches: limits of samples and bytes, a deadline",
        &[
            "requests_stay_below_the_byte_limit",
            "samples_wait_until_they_fill_a_request",
            "nothing_waits_longer_than_the_deadline",
            "a_scrape_and_its_up_share_a_request_where_they_fit",
        ],
    ),
    ("one connection is used again", &["a_connection_is_used_again_and_again"]),
    ("an answer's text decides nothing", &["a_2xx_whose_text_is_torn_off_or_endless_is_delivered_rw_1_09"]),
];
