//! `SCRAPE_*` and the labels to a target.

use std::time::Duration;

use super::filters;
use super::map::parse_map;
use super::reader::{Parsed, Reader};
use super::url::parse_scrape_url;
use crate::model::{Labels, METRIC_NAME};
use crate::scrape::{
    Config, Escaping, HistogramForms, Identity, LabelLimits, LabelTemplates, Placeholder, Protocol, Template,
    Templates,
};

const INTERVAL: &str = "SCRAPE_INTERVAL";
const TIMEOUT: &str = "SCRAPE_TIMEOUT";
pub(super) const CONVERTED: &str = "CONVERT_CLASSIC_HISTOGRAMS_TO_NHCB";
const EXTERNAL_LABELS: &str = "EXTERNAL_LABELS";

/// Prometheus's own default, where the interval leaves room for it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The one target. `None` only beside a problem.
pub(super) fn read(reader: &mut Reader<'_>, hostname: &str) -> Option<Config> {
    let address = reader.parse("SCRAPE_URL", |_, text| parse_scrape_url(text));
    let interval = reader.duration(INTERVAL);
    let timeout = read_timeout(reader, interval);
    let protocols = reader.parse("SCRAPE_PROTOCOLS", |_, text| parse_protocols(text));
    let mut fallbacks: Vec<_> = Protocol::ALL.map(|protocol| (protocol.name(), Some(protocol))).into();
    fallbacks.push(("none", None));
    let fallback_protocol = reader.choice("SCRAPE_FALLBACK_PROTOCOL", &fallbacks, &[]);
    let escapings = Escaping::ALL.map(|escaping| (escaping.name(), escaping));
    let escaping = reader.choice("METRIC_NAME_ESCAPING_SCHEME", &escapings, &[]);
    let created_timestamps = reader.boolean("SCRAPE_CREATED_TIMESTAMPS");
    let exemplars = reader.boolean("SCRAPE_EXEMPLARS");
    let histograms = read_histograms(reader, protocols.as_deref());
    let body_size_limit = reader.size("SCRAPE_BODY_SIZE_LIMIT");
    let sample_limit = reader.count("SCRAPE_SAMPLE_LIMIT");
    let limits = ["SCRAPE_LABEL_LIMIT", "SCRAPE_LABEL_NAME_LENGTH_LIMIT", "SCRAPE_LABEL_VALUE_LENGTH_LIMIT"];
    let [labels, name_length, value_length] = limits.map(|name| reader.count(name));
    let extra_metrics = reader.boolean("EXTRA_SCRAPE_METRICS");
    let track_timestamps_staleness = reader.boolean("TRACK_TIMESTAMPS_STALENESS");
    let normalize_le = reader.boolean("SCRAPE_NORMALIZE_LE");
    let honor_labels = reader.boolean("HONOR_LABELS");
    let honor_timestamps = reader.boolean("HONOR_TIMESTAMPS");
    let mut placeholders = Placeholders::new(hostname);
    let job = reader.parse("JOB", |_, text| placeholders.fill(text));
    let instance = reader.parse("INSTANCE", |_, text| placeholders.fill(text));
    let external_labels = read_external_labels(reader, &mut placeholders);
    if placeholders.nameless {
        let text = "the host has no name of its own ({{hostname}} is localhost): set INSTANCE, or its series cannot be \
                    told from those of other hosts";
        reader.warn("INSTANCE", text);
    }
    let (relabelling, rules_file) = filters::read(reader);
    let or_off = |limit: u64| (limit > 0).then_some(limit);
    let templates = LabelTemplates {
        target: vec![("job".to_owned(), job?), ("instance".to_owned(), instance?)],
        external: external_labels,
    };
    Some(Config {
        address: address?,
        interval: interval?,
        timeout: timeout?,
        body_size_limit: or_off(body_size_limit?),
        sample_limit: or_off(sample_limit?),
        label_limits: LabelLimits {
            labels: or_off(labels?),
            name_length: or_off(name_length?),
            value_length: or_off(value_length?),
        },
        extra_metrics: extra_metrics?,
        track_timestamps_staleness: track_timestamps_staleness?,
        protocols: protocols?,
        fallback_protocol: fallback_protocol?,
        escaping: escaping?,
        created_timestamps: created_timestamps?,
        exemplars: exemplars?,
        histograms: histograms?,
        normalize_le: normalize_le?,
        honor_labels: honor_labels?,
        honor_timestamps: honor_timestamps?,
        phase: phase(&templates, hostname),
        labels: templates,
        relabelling,
        rules_file,
    })
}

fn read_histograms(reader: &mut Reader<'_>, protocols: Option<&[Protocol]>) -> Option<HistogramForms> {
    const NATIVE: &str = "SCRAPE_NATIVE_HISTOGRAMS";
    const CLASSIC: &str = "ALWAYS_SCRAPE_CLASSIC_HISTOGRAMS";
    let [native, converted, classic_too] = [NATIVE, CONVERTED, CLASSIC].map(|name| reader.boolean(name));
    let is_asked_for = |protocols: &[Protocol]| protocols.first() == Some(&Protocol::PrometheusProto);
    if native == Some(true) && !protocols.is_none_or(is_asked_for) {
        let text = "has effect in PrometheusProto alone, which SCRAPE_PROTOCOLS does not ask for first";
        reader.warn(NATIVE, text);
    }
    if (native, converted, classic_too) == (Some(false), Some(false), Some(true)) {
        let text =
            format!("has no effect without {NATIVE} or {CONVERTED}: classic series are all that is taken");
        reader.warn(CLASSIC, text);
    }
    Some(HistogramForms { native: native?, converted: converted?, classic_too: classic_too? })
}

/// Prometheus's names with commas between them, in brackets as in its own configuration or not.
fn parse_protocols(text: &str) -> Parsed<Vec<Protocol>> {
    let text = text.trim();
    let listed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let mut protocols = Vec::new();
    for name in listed.split(',').map(|name| name.trim().trim_matches(['"', '\''])) {
        let Some(protocol) = Protocol::ALL.into_iter().find(|protocol| protocol.name() == name) else {
            return Err(format!("has {name:?}, which is no protocol"));
        };
        if protocols.contains(&protocol) {
            return Err(format!("has {name} twice"));
        }
        protocols.push(protocol);
    }
    Ok(protocols)
}

/// The target's own labels where they are known from the start; where not, the host's name has to tell it from others.
fn phase(labels: &LabelTemplates, hostname: &str) -> Labels {
    let known = labels.fill(&Identity::default()).map(|names| names.target);
    known.unwrap_or_else(|_| Labels::from_iter([("instance", hostname)]))
}

fn read_timeout(reader: &mut Reader<'_>, interval: Option<Duration>) -> Option<Duration> {
    let given = reader.duration(TIMEOUT);
    if let (Some(timeout), Some(interval)) = (given, interval)
        && timeout > interval
    {
        reader.problem(TIMEOUT, format!("is longer than {INTERVAL}"));
    }
    given.or(interval.map(|interval| DEFAULT_TIMEOUT.min(interval)))
}

fn read_external_labels(reader: &mut Reader<'_>, placeholders: &mut Placeholders<'_>) -> Templates {
    let read = reader.parse(EXTERNAL_LABELS, |_, text| {
        let entries = parse_map(text).map_err(|error| format!("cannot be read: {error}"))?;
        let label = |(name, value): (String, String)| {
            check_label_name(&name).map_err(|what| format!("has the label name {name:?}, which {what}"))?;
            let value =
                placeholders.fill(&value).map_err(|what| format!("has a label {name} that {what}"))?;
            Ok((name, value))
        };
        entries.into_iter().map(label).collect::<Parsed<Vec<_>>>()
    });
    let labels = read.unwrap_or_default();
    for (name, _) in labels.iter().filter(|(_, value)| value.is_empty()) {
        reader.warn(EXTERNAL_LABELS, format!("the label {name} has an empty value and is left out"));
    }
    labels
}

/// remote-write 1.12.
fn check_label_name(name: &str) -> Parsed<()> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if !first || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err("is none: letters, digits and _ are allowed, and no digit first".to_owned());
    }
    if name == METRIC_NAME {
        return Err("belongs to the metric".to_owned());
    }
    Ok(())
}

const HOSTNAME: &str = "hostname";

fn known_placeholders() -> String {
    let names = std::iter::once(HOSTNAME).chain(Placeholder::ALL.map(Placeholder::name));
    names.map(|name| format!("{{{{{name}}}}}")).collect::<Vec<_>>().join(", ")
}

/// Reads `{{...}}`, fills the host's name, and notes whether the host's name was asked for in vain.
struct Placeholders<'a> {
    hostname: &'a str,
    nameless: bool,
}

impl<'a> Placeholders<'a> {
    fn new(hostname: &'a str) -> Self {
        Self { hostname, nameless: false }
    }

    fn fill(&mut self, text: &str) -> Parsed<Template> {
        let mut out = Template::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            out.push_text(before);
            let (name, after) = after.split_once("}}").ok_or("has a {{ without a }}")?;
            let name = name.trim();
            match Placeholder::ALL.into_iter().find(|placeholder| placeholder.name() == name) {
                Some(placeholder) => out.push(placeholder),
                None if name == HOSTNAME => out.push_text(self.host()),
                None => {
                    return Err(format!("has an unknown placeholder; known are {}", known_placeholders()));
                }
            }
            rest = after;
        }
        out.push_text(rest);
        Ok(out)
    }

    fn host(&mut self) -> &'a str {
        self.nameless |= matches!(self.hostname, "" | "(none)" | "localhost" | "localhost.localdomain");
        if self.hostname.is_empty() { "localhost" } else { self.hostname }
    }
}
