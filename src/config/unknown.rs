//! Names that look like ours and are not: obsolete after an upgrade, not built yet, or misspelled. Pure.

use super::problem::Warning;
use super::table::SETTINGS;

/// Whoever writes a name that begins like this means us.
const PREFIXES: [&str; 10] = [
    "REMOTE_WRITE_",
    "QUEUE_",
    "SCRAPE_",
    "METRICS_",
    "METRIC_",
    "HONOR_",
    "EXTERNAL_LABEL",
    "WRITE_RELABEL_",
    "TELEMETRY_",
    "STALE_MARKERS_",
];

/// One warning for each name, sorted. Values are not looked at.
pub(super) fn unknown_names(names: &[String]) -> Vec<Warning> {
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter_map(warning).collect()
}

fn warning(name: &str) -> Option<Warning> {
    if SETTINGS.iter().any(|setting| setting.name == name) {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    let (distance, closest) =
        SETTINGS.iter().map(|setting| (distance(&upper, setting.name), setting.name)).min()?;
    // A third of the letters wrong is another word; two wrong letters of a short word are, too.
    let resembles = distance <= upper.len() / 3;
    let misspelled = distance <= (closest.len() / 4).min(2);
    if !misspelled && !PREFIXES.iter().any(|prefix| upper.starts_with(prefix)) {
        return None;
    }
    let hint = if resembles { format!("the closest is {closest}") } else { "none is close to it".to_owned() };
    let text = format!("unknown setting, ignored; {hint}; `docker-remote-write settings` lists all of them");
    Some(Warning { setting: name.to_owned(), text })
}

/// Levenshtein's distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warn(name: &str) -> Option<String> {
        warning(name).map(|warning| warning.to_string())
    }

    #[test]
    fn a_misspelled_name_is_told_with_the_closest_one() {
        for (name, closest) in [
            ("REMOTE_WRITE_URI", "REMOTE_WRITE_URL"),
            ("REMOTE_WRTE_URL", "REMOTE_WRITE_URL"),
            ("scrape_interval", "SCRAPE_INTERVAL"),
            ("LOGLEVEL", "LOG_LEVEL"),
            ("INSTANCES", "INSTANCE"),
            ("EXTERNAL_LABEL", "EXTERNAL_LABELS"),
            ("QUEUE_MAX_DISK_SIZE", "QUEUE_MAX_DISK_BYTES"),
        ] {
            let text = warn(name).unwrap_or_else(|| panic!("{name}: no warning"));
            assert!(text.contains(&format!("the closest is {closest};")), "{name}: {text}");
        }
    }

    #[test]
    fn a_name_that_begins_like_ours_is_told_even_if_nothing_is_close() {
        for name in [
            "REMOTE_WRITE_PROXY_URL_OF_THE_OFFICE",
            "METRICS_OF_THE_OFFICE",
            "TELEMETRY_OF_THE_OFFICE",
            "WRITE_RELABEL_CONFIGS",
        ] {
            assert!(warn(name).is_some(), "{name}");
        }
        assert!(warn("TELEMETRY_OF_THE_OFFICE").unwrap().contains("none is close"));
    }

    #[test]
    fn names_of_others_and_our_own_are_left_alone() {
        for name in [
            "PATH",
            "HOME",
            "PWD",
            "JOBS",
            "LOGNAME",
            "HOSTNAME",
            "TERM",
            "LANG",
            "INVOCATION_ID",
            "JOURNAL_STREAM",
            "DOCKER_HOST",
            "REMOTE_WRITE_URL",
            "JOB",
            "CONFIG_RELOAD_INTERVAL",
        ] {
            assert_eq!(warn(name), None, "{name}");
        }
    }

    #[test]
    fn distance_counts_inserted_removed_and_replaced_letters() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn each_name_is_told_once_in_order() {
        let names = ["QUEUE_Z", "QUEUE_A", "QUEUE_Z"].map(str::to_owned);
        let told: Vec<_> = unknown_names(&names).into_iter().map(|warning| warning.setting).collect();
        assert_eq!(told, ["QUEUE_A", "QUEUE_Z"]);
    }
}
