//! Expositions of any size, shaped like an engine's: three of four series are the buckets of histograms.

use std::fmt::Write as _;

/// Series of one family and one set of labels: ten buckets, `+Inf`, sum and count make a histogram; the rest are counters and gauges.
const BUCKETS: [&str; 11] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "10", "+Inf"];

/// Exactly `series` series, about 84 bytes each; the same series at each `scrape`, two thirds of them with another value than the time
/// before.
pub(crate) fn exposition(series: usize, scrape: u64) -> Vec<u8> {
    let mut body = String::with_capacity(series * 100);
    let mut left = series;
    let mut line = |body: &mut String, line: std::fmt::Arguments<'_>| {
        if left > 0 {
            left -= 1;
            // Writing into a String does not fail.
            let _ = writeln!(body, "{line}");
        }
        left > 0
    };
    let mut family = 0;
    'families: loop {
        let _ = writeln!(
            body,
            "# HELP engine_part_{family}_actions_seconds The number of seconds it takes\n# TYPE engine_part_{family}_actions_seconds histogram"
        );
        for action in ["changes", "commit", "create", "delete", "start"] {
            let mut count = 0;
            for (at, le) in (0_u64..).zip(BUCKETS) {
                count += 7 * at + u64::from(at > 3) * scrape;
                let bucket = format_args!(
                    "engine_part_{family}_actions_seconds_bucket{{action=\"{action}\",le=\"{le}\"}} {count}"
                );
                if !line(&mut body, bucket) {
                    break 'families;
                }
            }
            let sum = format!("{}.{:06}", count / 3, (count * 7919) % 1_000_000);
            if !line(
                &mut body,
                format_args!("engine_part_{family}_actions_seconds_sum{{action=\"{action}\"}} {sum}"),
            ) || !line(
                &mut body,
                format_args!("engine_part_{family}_actions_seconds_count{{action=\"{action}\"}} {count}"),
            ) {
                break 'families;
            }
        }
        let _ = writeln!(
            body,
            "# HELP engine_part_{family}_states Containers by state, of one part of the engine\n# TYPE engine_part_{family}_states gauge"
        );
        for state in 0..20_u64 {
            let value = (state * 31 + scrape) % 97;
            let gauge = format_args!(
                "engine_part_{family}_states{{node=\"n{}\",state=\"s{state}\"}} {value}",
                family % 13
            );
            if !line(&mut body, gauge) {
                break 'families;
            }
        }
        family += 1;
    }
    body.into_bytes()
}
