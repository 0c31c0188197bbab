//! Our own series: the ledger of each endpoint and what else tells how well the forwarder does.
//!
//! Read from the rooms' snapshots at each scrape, written as text, and sent through the same pipe as everything else; also when somebody asks for
//! the telemetry pages.

use std::sync::Arc;

use crate::collector::CollectorMetrics;
use crate::model::now_ms;
use crate::queue::{Ledger, Queue, Stats};
use crate::remote::{DURATION_BUCKETS, EndpointMetrics, Snapshot};
use crate::telemetry::exposition::{Exposition, Kind};
use crate::telemetry::log::LogWriter;

use super::rules_file::Reloads;

/// Everything that is shown.
pub(super) struct SelfMetrics {
    pub(super) endpoints: Vec<(String, Arc<EndpointMetrics>)>,
    pub(super) collector: CollectorMetrics,
    pub(super) queue: Queue,
    /// Where `METRIC_RELABEL_CONFIGS` is a file.
    pub(super) rules: Option<Arc<Reloads>>,
    pub(super) log: Option<LogWriter>,
    pub(super) sample_limit: u64,
    pub(super) start_ms: i64,
}

/// One endpoint at one moment.
struct EndpointState<'a> {
    name: &'a str,
    ledger: Ledger,
    remote: Snapshot,
}

impl SelfMetrics {
    /// Appends the whole exposition.
    pub(super) fn write(&self, text: &mut String) {
        let mut exposition = Exposition::new(text);
        let stats = self.queue.stats();
        let endpoints: Vec<EndpointState<'_>> = self
            .endpoints
            .iter()
            .enumerate()
            .map(|(number, (name, metrics))| EndpointState {
                name,
                // In this order: what is unconfirmed has been delivered by then.
                remote: metrics.snapshot(),
                ledger: self.queue.ledger(number),
            })
            .collect();
        self.write_program(&mut exposition);
        self.write_scrape(&mut exposition, &endpoints);
        self.write_ledger(&mut exposition, &endpoints, &stats);
        write_requests(&mut exposition, &endpoints);
        write_refusals(&mut exposition, &endpoints);
        write_endpoints(&mut exposition, &endpoints, &stats);
        write_queue(&mut exposition, &stats);
        self.write_reloads(&mut exposition, &endpoints);
        self.write_log(&mut exposition);
        super::process::write(&mut exposition, seconds(self.start_ms));
    }

    fn write_program(&self, exposition: &mut Exposition<'_>) {
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("revision", env!("REVISION")),
            ("arch", std::env::consts::ARCH),
        ];
        exposition
            .family("docker_remote_write_build_info", Kind::Gauge, "Version of docker-remote-write")
            .sample(&labels, 1);
        let help = "Start of the process, seconds since the epoch";
        exposition.single(
            "docker_remote_write_start_time_seconds",
            Kind::Gauge,
            help,
            seconds(self.start_ms),
        );
    }

    fn write_scrape(&self, exposition: &mut Exposition<'_>, endpoints: &[EndpointState<'_>]) {
        let collector = self.collector.snapshot();
        let help = "StartMetrics calls of the engine";
        exposition.single(
            "docker_remote_write_engine_starts_total",
            Kind::Counter,
            help,
            collector.engine_starts,
        );
        exposition
            .family("docker_remote_write_scrapes_total", Kind::Counter, "Scrapes of the target by result")
            .sample(&[("result", "success")], collector.scrapes_succeeded)
            .sample(&[("result", "failure")], collector.scrapes_failed)
            .sample(&[("result", "held")], collector.scrapes_held);
        let help = "Ticks that passed without a scrape";
        exposition.single(
            "docker_remote_write_scrapes_missed_total",
            Kind::Counter,
            help,
            collector.ticks_missed,
        );
        let help = "Uncompressed bytes of the last exposition";
        exposition.single("docker_remote_write_scrape_body_bytes", Kind::Gauge, help, collector.body_bytes);
        let help = "1 if the plugin's metrics socket is dead until its process is started anew";
        let stale = u8::from(collector.socket_stale);
        exposition.single("docker_remote_write_metrics_socket_stale", Kind::Gauge, help, stale);
        let help = "SCRAPE_SAMPLE_LIMIT; 0 is no limit";
        exposition.single("docker_remote_write_sample_limit", Kind::Gauge, help, self.sample_limit);
        let help = "Samples scraped since the start, synthetic ones, staleness markers and our own included";
        let appended = endpoints.first().map_or(0, |endpoint| endpoint.ledger.appended);
        let scraped = appended + collector.discarded() + collector.filtered;
        exposition.single("docker_remote_write_samples_scraped_total", Kind::Counter, help, scraped);
        let help = "Staleness markers among the samples scraped";
        exposition.single(
            "docker_remote_write_staleness_markers_total",
            Kind::Counter,
            help,
            collector.markers,
        );
        let help = "HELP texts that were cut to 1,024 bytes";
        exposition.single(
            "docker_remote_write_help_truncated_total",
            Kind::Counter,
            help,
            collector.help_truncated,
        );
        exposition
            .family(
                "docker_remote_write_samples_discarded_total",
                Kind::Counter,
                "Samples discarded, by cause",
            )
            .sample(&[("cause", "duplicate")], collector.discarded_duplicate)
            .sample(&[("cause", "out_of_order")], collector.discarded_out_of_order)
            .sample(&[("cause", "too_far_ahead")], collector.discarded_too_far_ahead)
            .sample(&[("cause", "too_old")], collector.discarded_too_old);
        let help = "Exemplars discarded, by cause";
        exposition
            .family("docker_remote_write_exemplars_discarded_total", Kind::Counter, help)
            .sample(&[("cause", "no_timestamp")], collector.exemplars_no_timestamp)
            .sample(&[("cause", "out_of_order")], collector.exemplars_out_of_order)
            .sample(&[("cause", "labels_too_long")], collector.exemplars_labels_too_long);
    }

    fn write_ledger(&self, exposition: &mut Exposition<'_>, endpoints: &[EndpointState<'_>], stats: &Stats) {
        let collector = self.collector.snapshot();
        let (discarded, filtered) = (collector.discarded(), collector.filtered);
        let help = "Samples that were pending when the process started";
        let mut family =
            exposition.family("docker_remote_write_samples_recovered_total", Kind::Counter, help);
        for endpoint in endpoints {
            family.sample(&[("endpoint", endpoint.name)], endpoint.ledger.recovered);
        }
        let help = "Samples that the endpoint has taken";
        let mut family =
            exposition.family("docker_remote_write_samples_delivered_total", Kind::Counter, help);
        for endpoint in endpoints {
            family.sample(&[("endpoint", endpoint.name)], endpoint.ledger.delivered);
        }
        let help = "Samples that wait for the endpoint";
        let mut family = exposition.family("docker_remote_write_samples_pending", Kind::Gauge, help);
        for endpoint in endpoints {
            family.sample(&[("endpoint", endpoint.name)], endpoint.ledger.pending);
        }
        let help = "Samples that the endpoint will not get, by reason";
        let mut family = exposition.family("docker_remote_write_samples_dropped_total", Kind::Counter, help);
        for endpoint in endpoints {
            let ledger = &endpoint.ledger;
            for (reason, count) in [
                ("rejected", ledger.rejected),
                ("expired", ledger.expired),
                ("overflowed", ledger.overflowed),
                ("filtered", filtered),
                ("discarded", discarded),
                ("lost_at_exit", ledger.lost_at_exit),
            ] {
                family.sample(&[("endpoint", endpoint.name), ("reason", reason)], count);
            }
        }
        for removed in &stats.removed_endpoints {
            family.sample(&[("endpoint", &removed.name), ("reason", "endpoint_removed")], removed.samples);
        }
    }

    fn write_reloads(&self, exposition: &mut Exposition<'_>, endpoints: &[EndpointState<'_>]) {
        let rules = self.rules.as_deref();
        let good =
            endpoints.iter().all(|endpoint| endpoint.remote.reload_ok) && rules.is_none_or(Reloads::ok);
        let help = "1 if the last look at the settings' files succeeded";
        let name = "docker_remote_write_config_last_reload_successful";
        exposition.single(name, Kind::Gauge, help, u8::from(good));
        let help = "Looks at the settings' files that failed";
        let mut family =
            exposition.family("docker_remote_write_config_reload_errors_total", Kind::Counter, help);
        for endpoint in endpoints {
            family.sample(&[("endpoint", endpoint.name)], endpoint.remote.reload_errors);
        }
        if let Some(rules) = rules {
            family.sample(&[("setting", "METRIC_RELABEL_CONFIGS")], rules.errors());
        }
        let of_endpoints = endpoints.iter().filter_map(|endpoint| endpoint.remote.reloaded_at);
        if let Some(at) = of_endpoints.chain(rules.and_then(Reloads::taken_over)).max() {
            let help = "When files were last taken over, seconds since the epoch";
            let name = "docker_remote_write_config_last_reload_success_timestamp_seconds";
            exposition.single(name, Kind::Gauge, help, seconds(at));
        }
    }

    fn write_log(&self, exposition: &mut Exposition<'_>) {
        let Some(log) = &self.log else { return };
        let lines = log.counters();
        exposition
            .family("docker_remote_write_log_lines_total", Kind::Counter, "Log lines by what became of them")
            .sample(&[("result", "written")], lines.lines_written)
            .sample(&[("result", "dropped")], lines.lines_dropped)
            .sample(&[("result", "truncated")], lines.lines_truncated)
            .sample(&[("result", "suppressed")], lines.lines_suppressed);
        let help = "Log lines that stdout did not take";
        exposition.single(
            "docker_remote_write_log_write_errors_total",
            Kind::Counter,
            help,
            lines.write_errors,
        );
    }
}

fn write_requests(exposition: &mut Exposition<'_>, endpoints: &[EndpointState<'_>]) {
    let help = "Attempts by status code, or by how they failed without one";
    let mut family = exposition.family("docker_remote_write_requests_total", Kind::Counter, help);
    for endpoint in endpoints {
        for (code, count) in &endpoint.remote.requests {
            family.sample(&[("endpoint", endpoint.name), ("code", &code.to_string())], count);
        }
    }
    let help = "Connections given up for new ones, by reason";
    let mut family = exposition.family("docker_remote_write_redials_total", Kind::Counter, help);
    for endpoint in endpoints {
        for (reason, count) in &endpoint.remote.redials {
            family.sample(&[("endpoint", endpoint.name), ("reason", reason.word())], count);
        }
    }
    let help = "Samples in requests that had to go again";
    let mut family = exposition.family("docker_remote_write_samples_retried_total", Kind::Counter, help);
    for endpoint in endpoints {
        family.sample(&[("endpoint", endpoint.name)], endpoint.remote.samples_retried);
    }
    let help = "Of the delivered samples, those of 2.0 requests beyond what the endpoint says it has written; endpoints count in their own ways";
    let mut family = exposition.family("docker_remote_write_samples_unconfirmed_total", Kind::Counter, help);
    for endpoint in endpoints {
        family.sample(&[("endpoint", endpoint.name)], endpoint.remote.samples_unconfirmed);
    }
    let help = "Bytes of request bodies, compressed";
    let mut family = exposition.family("docker_remote_write_sent_bytes_total", Kind::Counter, help);
    for endpoint in endpoints {
        family.sample(&[("endpoint", endpoint.name)], endpoint.remote.sent_bytes);
    }
    let help = "Time of one attempt, seconds";
    let mut family = exposition.family("docker_remote_write_request_duration_seconds", Kind::Histogram, help);
    for endpoint in endpoints {
        let duration = &endpoint.remote.duration;
        for (count, bound) in duration.buckets.iter().zip(DURATION_BUCKETS) {
            family.part("_bucket", &[("endpoint", endpoint.name), ("le", &bound.to_string())], count);
        }
        family
            .part("_bucket", &[("endpoint", endpoint.name), ("le", "+Inf")], duration.count)
            .part("_sum", &[("endpoint", endpoint.name)], duration.sum)
            .part("_count", &[("endpoint", endpoint.name)], duration.count);
    }
    let help = "Queued records that could not be decoded; their samples count as rejected";
    let mut family = exposition.family("docker_remote_write_undecodable_records_total", Kind::Counter, help);
    for endpoint in endpoints {
        family.sample(&[("endpoint", endpoint.name)], endpoint.remote.undecodable_records);
    }
    let help = "Reads of the queue that failed and are repeated";
    let mut family = exposition.family("docker_remote_write_queue_read_errors_total", Kind::Counter, help);
    for endpoint in endpoints {
        family.sample(&[("endpoint", endpoint.name)], endpoint.remote.read_errors);
    }
}

fn write_refusals(exposition: &mut Exposition<'_>, endpoints: &[EndpointState<'_>]) {
    let help = "Rejected samples, by why";
    let mut family = exposition.family("docker_remote_write_samples_rejected_total", Kind::Counter, help);
    for endpoint in endpoints {
        for (cause, count) in &endpoint.remote.rejected {
            family.sample(&[("endpoint", endpoint.name), ("reason", cause.word())], count);
        }
    }
    let help = "Series that are not sent for a while because the endpoint refuses them";
    let mut family = exposition.family("docker_remote_write_quarantined_series", Kind::Gauge, help);
    for endpoint in endpoints {
        family.sample(&[("endpoint", endpoint.name)], endpoint.remote.quarantined_series);
    }
    let help = "Requests that the endpoint refused for their size and that were sent in pieces";
    let mut family = exposition.family("docker_remote_write_requests_split_total", Kind::Counter, help);
    for endpoint in endpoints {
        family.sample(&[("endpoint", endpoint.name)], endpoint.remote.requests_split);
    }
    let help = "Requests of metadata (1.0) by how they ended; they are not retried, and not in the attempts";
    let mut family = exposition.family("docker_remote_write_metadata_requests_total", Kind::Counter, help);
    for endpoint in endpoints {
        for (outcome, count) in &endpoint.remote.metadata {
            family.sample(&[("endpoint", endpoint.name), ("outcome", outcome.word())], count);
        }
    }
    let help = "Series whose metadata (1.0) was not sent because there are too many metrics";
    let mut family = exposition.family("docker_remote_write_metadata_left_out_total", Kind::Counter, help);
    for endpoint in endpoints {
        family.sample(&[("endpoint", endpoint.name)], endpoint.remote.metadata_left_out);
    }
    let help = "Bytes of the largest message that is sent, before compression";
    let mut family = exposition.family("docker_remote_write_request_max_bytes", Kind::Gauge, help);
    for endpoint in endpoints {
        family.sample(&[("endpoint", endpoint.name)], endpoint.remote.request_max_bytes);
    }
}

fn write_endpoints(exposition: &mut Exposition<'_>, endpoints: &[EndpointState<'_>], stats: &Stats) {
    let help = "1 if the last finished attempt was answered with 2xx";
    let mut family = exposition.family("docker_remote_write_endpoint_up", Kind::Gauge, help);
    for endpoint in endpoints {
        family.sample(&[("endpoint", endpoint.name)], u8::from(endpoint.remote.up));
    }
    let help = "1 if the endpoint is held because its answers mean wrong settings";
    let mut family = exposition.family("docker_remote_write_endpoint_held", Kind::Gauge, help);
    for endpoint in endpoints {
        family.sample(&[("endpoint", endpoint.name)], u8::from(endpoint.remote.held));
    }
    let help = "Version of remote-write that the endpoint is sent";
    let mut family = exposition.family("docker_remote_write_protocol_info", Kind::Gauge, help);
    for endpoint in endpoints {
        if let Some(version) = endpoint.remote.version {
            family.sample(&[("endpoint", endpoint.name), ("version", &version.to_string())], 1);
        }
    }
    let help = "Newest timestamp that the endpoint has taken, seconds since the epoch";
    let mut family =
        exposition.family("docker_remote_write_highest_sent_timestamp_seconds", Kind::Gauge, help);
    for endpoint in endpoints {
        if let Some(timestamp) = endpoint.remote.highest_sent_timestamp {
            family.sample(&[("endpoint", endpoint.name)], seconds(timestamp));
        }
    }
    let help = "Bytes of queued records that the endpoint has not taken";
    let mut family = exposition.family("docker_remote_write_queue_bytes", Kind::Gauge, help);
    for endpoint in &stats.endpoints {
        family.sample(&[("endpoint", &endpoint.name)], endpoint.pending_bytes);
    }
    let capacity = match stats.disk_capacity_bytes {
        0 => stats.memory_capacity_bytes,
        bytes => bytes,
    };
    let help = "Bytes that the queue may hold";
    let mut family = exposition.family("docker_remote_write_queue_capacity_bytes", Kind::Gauge, help);
    for endpoint in &stats.endpoints {
        family.sample(&[("endpoint", &endpoint.name)], capacity);
    }
    let help = "Timestamp of the oldest sample that waits, seconds since the epoch; now where none waits";
    let mut family =
        exposition.family("docker_remote_write_queue_oldest_timestamp_seconds", Kind::Gauge, help);
    for endpoint in &stats.endpoints {
        let oldest = endpoint.oldest_timestamp.unwrap_or_else(now_ms);
        family.sample(&[("endpoint", &endpoint.name)], seconds(oldest));
    }
}

fn write_queue(exposition: &mut Exposition<'_>, stats: &Stats) {
    let mut gauge = |name, help, value: u64| exposition.single(name, Kind::Gauge, help, value);
    gauge("docker_remote_write_queue_disk_bytes", "Bytes of segment files", stats.disk_bytes);
    let help = "Bytes of the journals beside the segment files";
    gauge("docker_remote_write_queue_journal_bytes", help, stats.journal_bytes);
    gauge("docker_remote_write_queue_memory_bytes", "Bytes of the memory ring", stats.memory_bytes);
    gauge("docker_remote_write_queue_segments", "Segment files", stats.segments);
    gauge("docker_remote_write_queue_disk_ok", "1 if records reach the disk", u64::from(stats.disk_ok));
    gauge(
        "docker_remote_write_queue_waiting_records",
        "Records that are in memory only although a disk is wanted",
        stats.waiting_records,
    );
    let mut counter = |name, help, value: u64| exposition.single(name, Kind::Counter, help, value);
    counter(
        "docker_remote_write_queue_stalled_appends_total",
        "Records that were not on disk 5 s after their scrape",
        stats.stalled_appends,
    );
    counter(
        "docker_remote_write_queue_torn_bytes_total",
        "Bytes of unfinished records truncated at start",
        stats.damage.torn_bytes,
    );
    counter(
        "docker_remote_write_queue_damaged_records_total",
        "Damaged places in segments that were skipped",
        stats.damage.damaged_records,
    );
    counter(
        "docker_remote_write_queue_damaged_samples_total",
        "Samples in damaged records, as far as their headers tell",
        stats.damage.damaged_samples,
    );
    counter(
        "docker_remote_write_queue_unreadable_segments_total",
        "Segment files that could not be read, or are of an unknown version, and were left alone",
        stats.damage.unreadable_segments + stats.damage.unknown_segments,
    );
    counter(
        "docker_remote_write_queue_overflowed_records_total",
        "Records dropped because a byte cap was reached, whoever still needed them",
        stats.overflowed_records,
    );
    counter(
        "docker_remote_write_queue_damaged_cursors_total",
        "Cursor files without a readable slot",
        stats.damage.damaged_cursors,
    );
    counter(
        "docker_remote_write_queue_journal_torn_bytes_total",
        "Bytes of unfinished changes truncated at the ends of journals at start",
        stats.damage.journal_torn_bytes,
    );
    counter(
        "docker_remote_write_queue_damaged_journal_places_total",
        "Damaged places in journals: their changes are not known",
        stats.damage.damaged_journal_places,
    );
    counter(
        "docker_remote_write_queue_below_floor_total",
        "Writes that were put off because less than QUEUE_MIN_FREE_DISK would have been free",
        stats.faults.below_floor,
    );
    exposition
        .family("docker_remote_write_queue_faults_total", Kind::Counter, "Failed file operations by errno")
        .sample(&[("errno", "ENOSPC")], stats.faults.no_space)
        .sample(&[("errno", "EIO")], stats.faults.io)
        .sample(&[("errno", "EROFS")], stats.faults.read_only)
        .sample(&[("errno", "other")], stats.faults.other);
}

#[expect(clippy::cast_precision_loss, reason = "ms since the epoch stay far below 2^53")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
