//! What no name of a test can say.

use super::Id;

/// Rule, what we do, why.
pub(super) const DEVIATIONS: &[(Id, &str, &str)] = &[
    (
        (1, 2),
        "A receiver of 1.x is sent one request of 2.0, version and all, before it is known to be one",
        "It answers 415, or 2xx having stored nothing (2.18, 2.20). `REMOTE_WRITE_PROTOBUF_MESSAGE=1.0` sends none",
    ),
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
        (2, 18),
        "Beside 415 and 400, other final 4xx, 501, and 500 five times in a row to a first request of 2.0 have it tried once as 1.0",
        "A gateway of 1.0 that cannot read it says so in many ways; only a 2xx to 1.0 decides. `REMOTE_WRITE_PROTOBUF_MESSAGE` pins a message",
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
];

/// A case, and our tests of it.
pub(super) const CASES: &[(&str, &[&str])] = &[
    (
        "counter, gauge, histogram, summary",
        &[
            "a_counter_arrives",
            "a_gauge_arrives",
            "a_classic_histogram_arrives_as_its_series",
            "a_summary_arrives_as_its_series",
            "series_of_all_types_and_of_none_arrive_together",
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
            "rw_1_10_1_11_and_2_10_labels_are_complete_and_sorted_whatever_the_target_writes",
            "rw_1_11_and_2_10_a_label_without_a_value_is_left_out",
            "rw_1_12_names_that_are_none_fail_the_scrape",
            "rw_1_12_and_2_10_a_label_value_may_be_any_utf_8",
            "rw_1_10_and_2_10_a_series_without_a_name_fails_the_scrape",
            "rw_1_11_labels_are_sorted_by_the_names_that_they_get",
            "rw_1_12_what_goes_as_1_0_has_classic_sorted_names_and_no_doubles",
            "rw_1_12_upper_case_sorts_before_the_metric_name_and_lower_case_after_it",
            "rw_1_11_an_empty_value_removes_the_label",
        ],
    ),
    (
        "a label name that comes twice",
        &[
            "rw_1_11_and_2_10_a_label_name_that_comes_twice_fails_the_scrape",
            "rw_4_16_a_duplicate_label_name_fails_the_scrape",
        ],
    ),
    (
        "job, instance and up",
        &[
            "job_and_instance_are_on_every_series",
            "up_is_1_for_a_target_that_answers_and_0_for_one_that_does_not",
            "rw_4_01_five_gauges_with_the_targets_labels_come_with_good_and_failed_scrapes_alike",
            "a_scrape_carries_the_targets_labels_and_what_it_says_of_itself",
        ],
    ),
    ("up is 0 for a target that fails", &["rw_3_02_a_target_that_is_gone_names_path_and_errno"]),
    ("special values, all floats", &["rw_1_08_every_float_arrives_with_its_bits"]),
    (
        "an empty scrape, a bad line",
        &[
            "an_empty_scrape_brings_the_synthetic_series_alone",
            "an_exposition_with_a_bad_line_brings_up_0_and_nothing_of_it",
        ],
    ),
    ("snappy block, protobuf", &["rw_1_05_and_1_06_a_body_is_one_snappy_block_of_one_write_request"]),
    ("long names and values, many labels", &["long_names_and_values_and_many_labels_arrive_whole"]),
    (
        "honor labels",
        &[
            "labels_of_the_target_with_our_names_are_renamed_unless_they_are_honored",
            "rw_4_06_with_honor_labels_the_exposed_value_wins_and_an_empty_one_removes_the_label",
            "rw_4_06_the_target_wins_and_the_exposed_label_is_renamed_until_the_name_is_free",
        ],
    ),
    ("external labels", &["rw_4_07_external_labels_stand_only_where_the_series_has_no_such_label"]),
    (
        "staleness: a series, a target, a failing scrape",
        &[
            "rw_1_16_1_17_and_2_16_a_series_that_vanishes_ends_with_the_marker_and_the_others_go_on",
            "rw_1_16_and_2_16_a_target_that_fails_ends_every_series_once",
            "rw_3_01_a_series_that_vanishes_gets_one_marker_at_the_next_scrapes_timestamp",
            "rw_3_05_the_end_of_the_target_ends_all_series_later_than_their_last_sample",
            "rw_3_02_a_failed_fetch_is_an_empty_scrape",
        ],
    ),
    (
        "timestamps of the scrape and of the target",
        &[
            "rw_1_08_and_2_11_a_timestamp_of_the_target_is_kept_to_the_millisecond_and_others_have_that_of_the_scrape",
            "rw_4_01_samples_carry_the_time_when_the_scrape_began_not_when_it_was_answered",
            "rw_4_18_timestamps_are_milliseconds_in_digits_only",
        ],
    ),
    (
        "samples of a series are in order, over requests too",
        &[
            "rw_1_13_and_2_11_samples_of_a_series_arrive_in_order_while_a_receiver_comes_and_goes",
            "rw_1_13_order_holds_across_requests",
            "rw_1_13_hours_of_an_outage_arrive_in_order_and_once_and_the_next_attempt_was_never_far",
        ],
    ),
    (
        "5xx is retried, 4xx is not",
        &[
            "rw_1_14_and_2_17_a_5xx_is_repeated_with_the_same_bytes_until_it_is_taken",
            "rw_1_14_and_2_17_a_final_4xx_is_not_repeated_and_what_follows_is_sent",
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
            "rw_2_17_a_429_and_its_retry_after_are_obeyed",
            "retry_after_takes_seconds_and_dates_up_to_ten_minutes",
            "retry_after_wins_over_the_own_delay_rw_2_17",
            "retry_after_counts_for_429_and_5xx_only_rw_2_17",
        ],
    ),
    (
        "a receiver that cannot be reached",
        &[
            "rw_1_15_a_receiver_that_closes_without_an_answer_is_asked_again",
            "a_refused_connection_is_retried_until_someone_listens_rw_1_15",
            "a_hanging_server_is_retried_after_the_timeout_rw_1_15",
            "a_reset_connection_is_retried_rw_1_15",
        ],
    ),
    (
        "fall-back to 1.0",
        &[
            "rw_2_18_and_2_20_a_receiver_of_1_0_is_sent_1_0_from_the_second_request_on",
            "rw_2_18_and_2_20_prometheus_2_is_sent_1_0_from_the_second_request_on_and_after_a_restart",
            "rw_2_18_and_2_20_victoria_metrics_is_sent_1_0_from_the_second_request_on_and_after_a_restart",
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
            "rw_2_02_and_2_06_to_2_09_a_body_is_one_snappy_block_of_one_2_0_request",
            "rw_2_06_a_receiver_of_1_0_sees_an_empty_message_in_2_0",
            "rw_1_06_and_2_06_to_2_08_prost_reads_and_rewrites_what_our_encoders_write",
            "rw_2_06_to_2_11_2_15_and_2_16_every_broken_rule_of_the_body_is_named_and_nothing_is_stored",
        ],
    ),
    (
        "Written headers, a partial write",
        &[
            "rw_2_01_and_2_19_a_receiver_of_2_0_is_sent_nothing_else_whatever_it_counts",
            "rw_2_22_a_400_with_written_headers_is_not_sent_again_in_any_part",
            "rw_2_19_written_counts_are_compared_and_decide_nothing",
            "rw_2_22_a_400_to_2_0_with_written_headers_is_final",
        ],
    ),
    (
        "metadata: type, help, unit",
        &[
            "rw_2_14_type_help_and_unit_come_with_each_series_of_2_0",
            "rw_2_14_a_record_carries_labels_value_timestamp_type_help_and_unit",
            "rw_1_07_each_family_has_one_entry_with_its_type_help_and_unit",
        ],
    ),
    (
        "exemplars",
        &[
            "rw_2_15_exemplars_come_with_labels_value_and_time",
            "rw_2_13_start_exemplar_and_unit_reach_the_record_from_both_formats",
            "rw_2_15_exemplars_go_with_their_samples_once_and_leave_no_symbols_behind",
            "rw_4_29_an_exemplar_without_a_timestamp_has_that_of_the_scrape",
        ],
    ),
    (
        "start (created) timestamps",
        &[
            "rw_2_12_and_2_13_start_timestamps_come_with_counters_and_histograms_of_2_0_and_never_with_1_0",
            "samples_metadata_exemplars_and_start_timestamps_come_together",
            "rw_2_13_start_timestamps_and_exemplars_of_protobuf_come_with_their_samples",
            "rw_2_13_start_timestamps_and_exemplars_of_openmetrics_come_with_their_samples",
            "rw_2_12_a_start_timestamp_goes_with_its_sample_and_1_0_does_without",
        ],
    ),
    (
        "native histograms",
        &[
            "rw_1_07_and_2_23_native_histograms_arrive_bit_for_bit_and_each_once_over_an_outage_and_a_kill",
            "rw_2_16_and_3_07_a_histogram_that_vanished_while_nobody_looked_ends_as_a_histogram",
            "rw_4_27_both_forms_of_a_histogram_arrive_where_both_are_wanted",
            "rw_2_24_classic_histograms_go_with_custom_buckets_as_2_0_and_are_counted_as_left_out_of_1_0",
            "a_histogram_that_prometheus_refuses_fails_its_scrape_and_the_next_one_is_good",
            "rw_1_07_and_2_23_exemplars_and_histograms_become_those_of_1_0",
            "rw_2_24_custom_bounds_are_left_out_of_1_0_and_stay_in_2_0",
            "rw_4_28_a_histogram_with_native_parts_is_read_by_its_classic_buckets",
        ],
    ),
    (
        "batches: limits of samples and bytes, a deadline",
        &[
            "thousands_of_series_arrive_each_scrape_in_few_requests",
            "requests_stay_below_the_byte_limit",
            "samples_wait_until_they_fill_a_request",
            "nothing_waits_longer_than_the_deadline",
            "a_scrape_and_its_up_share_a_request_where_they_fit",
        ],
    ),
    ("one connection is used again", &["a_connection_is_used_again_and_again"]),
    (
        "an answer's text decides nothing",
        &[
            "rw_1_09_and_2_21_the_text_of_a_success_means_nothing_and_that_of_an_error_is_logged",
            "a_2xx_whose_text_is_torn_off_or_endless_is_delivered_rw_1_09",
        ],
    ),
];
