//! The last words of the demo: figures of the report, as people read them.

use std::fmt::Write as _;

use super::report::Report;
use crate::receiver::{Answered, State};

/// From when to when the receiver took nothing, ms since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    pub(super) began: i64,
    pub(super) ended: i64,
}

/// What came late because of the outage; from the receiver's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Backlog {
    /// Samples stamped within the outage.
    samples: u64,
    /// Requests that brought them.
    requests: u64,
    /// From the end of the outage to the last of these requests, ms.
    took: i64,
}

impl Backlog {
    fn new(outage: Outage, state: &State) -> Self {
        let within = outage.began..outage.ended;
        let stamped = |samples: &[crate::receiver::Sample]| {
            samples.iter().filter(|sample| within.contains(&sample.timestamp)).count() as u64
        };
        let late: Vec<i64> = state
            .requests
            .iter()
            .filter(|request| request.at >= outage.ended)
            .filter(|request| matches!(request.answered, Answered::Status(200..=299)))
            .filter(|request| request.times.is_some_and(|(oldest, _)| oldest < outage.ended))
            .map(|request| request.at)
            .collect();
        Self {
            samples: state.store.iter().map(|(_, samples)| stamped(samples)).sum(),
            requests: late.len() as u64,
            took: late.iter().max().map_or(0, |last| last - outage.ended),
        }
    }
}

/// The summary. Every figure comes from decoded requests, compared with the texts that were served.
pub(super) fn summary(report: &Report, outage: Outage, state: &State) -> String {
    let backlog = Backlog::new(outage, state);
    let mut text = String::from("\nwhat the receiver decoded, compared with what the engine served\n\n");
    let mut row = |what: &str, figure: String| {
        let written = writeln!(text, "  {what:<28}{figure}");
        debug_assert!(written.is_ok(), "a String takes everything");
    };
    row("scrapes", plus(report.scrapes, report.failed_scrapes, "failed"));
    row("samples in the served texts", grouped(report.served));
    row(
        "samples to arrive",
        format!(
            "{}: those, 5 of each scrape's own, {} staleness markers",
            grouped(report.expected),
            grouped(report.markers)
        ),
    );
    row("arrived, bit for bit", grouped(report.arrived));
    row("lost", grouped(report.lost));
    row("doubled", grouped(report.doubled));
    row("out of order", grouped(report.out_of_order));
    row("of another value", grouped(report.wrong));
    row("served by nobody", grouped(report.unexpected));
    row("broken rules", grouped(report.violations));
    row("requests", format!("{} taken, {} sent away", grouped(report.requests), grouped(report.refused)));
    row("series", report.series.to_string());
    row("the plugin's own samples", format!("{}, beside those", grouped(report.own)));
    let seconds = |ms: i64| ms as f64 / 1e3;
    row(
        "outage",
        format!(
            "{:.1} s; its {} samples came in {} requests, {:.1} s after its end",
            seconds(outage.ended - outage.began),
            grouped(backlog.samples),
            backlog.requests,
            seconds(backlog.took)
        ),
    );
    text.push('\n');
    verdict(&mut text, report);
    text
}

fn verdict(text: &mut String, report: &Report) {
    if report.is_clean() {
        text.push_str("Everything that was served arrived: once, in order, with its value.\n");
        return;
    }
    let mut line = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    let plural = if report.difference_count == 1 { "" } else { "s" };
    line(&format!("FAILED: {} difference{plural}", grouped(report.difference_count)));
    for difference in &report.differences {
        line(&format!("  {difference}"));
    }
    let more = report.difference_count - report.differences.len() as u64;
    if more > 0 {
        line(&format!("  and {} more", grouped(more)));
    }
}

fn plus(count: u64, more: u64, what: &str) -> String {
    if more == 0 { grouped(count) } else { format!("{}, and {} {what}", grouped(count), grouped(more)) }
}

/// `1234567` as `1 234 567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::METRIC_NAME;
    use crate::receiver::{Answer, Options, Receiver, hand};

    #[test]
    fn large_numbers_are_grouped() {
        let grouped = [0, 999, 1000, 12_345, 1_234_567].map(grouped);
        assert_eq!(grouped, ["0", "999", "1 000", "12 345", "1 234 567"]);
    }

    #[test]
    fn the_backlog_is_what_was_stamped_in_the_outage() {
        let receiver = Receiver::new(Options::default());
        let now = crate::model::now_ms();
        let outage = Outage { began: now - 5000, ended: now - 1000 };
        let send = |at: i64| {
            let body = hand::body(&[hand::series(&[(METRIC_NAME, "a")], &[(at, 1.0)])]);
            receiver.accept(body.into());
        };
        send(now - 6000);
        receiver.answer_next(1, Answer::status(503));
        send(now - 4000);
        for at in [now - 4000, now - 3000, now - 900] {
            send(at);
        }
        let backlog = receiver.read(|state| Backlog::new(outage, state));
        // The receiver's clock reads the same `now` for all of them, so the first one counts as late too.
        assert_eq!((backlog.samples, backlog.requests), (2, 3));
        assert!(backlog.took >= 1000);
    }

    #[test]
    fn a_difference_is_failure_in_words() {
        let mut report = Report { difference_count: 12, ..Report::default() };
        report.differences = vec!["lost: a at 1".to_owned(), "lost: a at 2".to_owned()];
        let outage = Outage { began: 0, ended: 0 };
        let state = Receiver::new(Options::default()).snapshot();
        let text = summary(&report, outage, &state);
        assert!(
            text.ends_with("FAILED: 12 differences\n  lost: a at 1\n  lost: a at 2\n  and 10 more\n"),
            "{text}"
        );
        let text = summary(&Report::default(), outage, &state);
        assert!(text.ends_with("once, in order, with its value.\n"), "{text}");
    }
}
