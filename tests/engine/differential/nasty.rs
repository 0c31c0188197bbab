//! Expositions that look for a difference: what a target may write by mistake, by malice, or because a document allows it.

use super::target::Step;

/// A body, and the good one behind it that shows what the first one left.
fn between_good(bodies: Vec<Vec<u8>>) -> Vec<Step> {
    let good = || Step::text("steady 1\nm 1\nother{a=\"b\"} 2\n");
    bodies.into_iter().flat_map(|body| [Step::Body(body), good()]).collect()
}

fn texts(bodies: &[&str]) -> Vec<Vec<u8>> {
    bodies.iter().map(|body| body.as_bytes().to_vec()).collect()
}

/// Bytes that stand where they should not, or where nobody expects them.
pub(super) fn bytes() -> Vec<Step> {
    between_good(texts(&[
        // Zero bytes end the input for Prometheus's lexer, but not everywhere.
        "m 1\n\0steady 2\n",
        "m 1\n# a\0b\nsteady 2\n",
        "m 1\n#\0\nsteady 2\n",
        "m 1\n# HELP m a\0b\nsteady 2\n",
        "m\0{a=\"1\"} 1\n",
        "m{a=\"\0\"} 1\nm{a=\"\\\0\"} 2\n",
        "m{\0a=\"1\"} 1\n",
        "m 1\0\nsteady 2\n",
        // Line ends.
        "m{a=\"x\ny\"} 1\nsteady 2\n",
        "m{a=\"x\\\ny\"} 1\n",
        "m{a=\"1\",\nb=\"2\"} 1\n",
        "m 1\n\n\n\t \nsteady 2",
        "m 1\rsteady 2\n",
        "# HELP m x\r\nm 1\n",
        "# a comment\r\nm 1\n",
        "m{a=\"\r\n\"} 1\n",
        "m 1\u{b}\n",
        "m\u{c}1\n",
        "m\u{a0}1\n",
        "m 1\u{2028}steady 2\n",
        "m 1 \u{85}\n",
    ]))
}

/// What is no UTF-8, and what is long.
pub(super) fn encodings() -> Vec<Step> {
    between_good(vec![
        b"# HELP m \xc3\x28\nm 1\n".to_vec(),
        b"# \xff\xfe comment\nm 1\n".to_vec(),
        b"# TYPE m\xff gauge\nm 1\n".to_vec(),
        b"m{a=\"\xed\xa0\x80\"} 1\n".to_vec(),
        b"m{a=\"\xf4\x90\x80\x80\"} 1\n".to_vec(),
        b"m{a=\"\xc0\x80\"} 1\n".to_vec(),
        [b"m{a=\"".as_slice(), &b"x".repeat(70_000), b"\"} 1\nsteady 2\n"].concat(),
        [&b"n".repeat(5_000), b" 1\nsteady 2\n".as_slice()].concat(),
    ])
}

/// Tokens in unusual places.
pub(super) fn tokens() -> Vec<Step> {
    between_good(texts(&[
        "m.5\nm-1\nsteady+Inf\n",
        "m1.5\nm_1.5\n",
        "m{}1\nn{}.5\no{}-1\np{}NaN\n",
        "m{a=\"1\"}1 \nn{a=\"1\"}\t1\t\n",
        "m{a=\"1\"b=\"2\"} 1\n",
        "m{a=\"1\",,b=\"2\"} 1\n",
        "m{,a=\"1\"} 1\n",
        "m{a=\"1\"}{b=\"2\"} 1\n",
        "m{a=\"1\"} {b=\"2\"} 1\n",
        "m 1{a=\"1\"}\n",
        "m {a=\"1\"} 1\nm\t{a=\"1\",c=\"2\"}\t1\n",
        "m{a = \"1\"\t,\tb= \"2\" } 1\n",
        "m{a=\"1\"=\"2\"} 1\n",
        "m{a=\"\\\"} 1\n",
        "m{a=\"\\\\\"} 1\nm{a=\"\\\\\\\"\"} 2\nm{a=\"\\\\n\"} 3\nm{a=\"\\n\"} 4\nm{a=\"\\N\"} 5\n",
        "m{a=\"}\"} 1\nm{b=\"{\"} 2\nm{c=\"# TYPE\"} 3\nm{d=\"=\\\",\"} 4\n",
        "m{a:b=\"1\"} 1\n",
        "a:b{} 1\n::: 2\n_:_ 3\n",
        "m{__a=\"1\",___=\"2\",_=\"3\"} 1\n",
        "m{__address__=\"1\",__metrics_path__=\"2\",__scheme__=\"3\"} 1\n",
        "le{le=\"le\"} 1\nquantile{quantile=\"q\"} 2\nNaN 1\nInf 2\n",
        "nan NaN\ninf Inf\nm nAn\nn iNf\no +INFINITY\np infinit\n",
    ]))
}

/// Comments that are nearly, but not quite, HELP or TYPE.
pub(super) fn comments() -> Vec<Step> {
    between_good(texts(&[
        "#HELP m x\n#TYPE m what\nm 1\n",
        "#  TYPE m gauge\n#\tHELP\tm\tx\nm 1\n",
        "# TYPE\tm\tgauge\nm 1\n",
        "# TYPE m\tgauge\nm 1\n",
        "#   TYPE   m gauge\nm 1\n",
        "# TYPE m gauge\t\nm 1\n",
        "# TYPE m \nm 1\n",
        "# TYPE \nm 1\n",
        "# TYPE 1m gauge\nm 1\n",
        "# TYPE m{} gauge\nm 1\n",
        "# HELP 1m x\nm 1\n",
        "# HELP m\nm 1\n# HELP m\t\nm 2\n",
        "# HELP m \\x \\\\ \\n \\\nm 1\n",
        "## TYPE m what\n# # TYPE m what\nm 1\n",
        "# HELPm x\n# TYPEm what\n# HELP\n# TYPE\nm 1\n",
        "# UNIT m what ever\n# EOF\nm 1\n# EOF\n# EOF x\n",
        "# TYPE m unknown\nm 1\n",
        "# TYPE m info\nm 1\n",
        "# TYPE m gauge\n# TYPE m counter\n# TYPE m untyped\nm 1\n",
        "m 1 # a comment\n",
        "m 1 #\n",
        "m 1\n#",
    ]))
}

/// Samples that meet each other: one series under several spellings, in one scrape and over scrapes.
pub(super) fn meetings(start: i64) -> Vec<Step> {
    let own = |seconds: i64| start - 500_000 + seconds * 1_000;
    let own_in_both = [
        format!("own 1 {}\nown 2 {}\nown 3 {}\n", own(1), own(2), own(2)),
        format!("own 4 {}\nsteady 1\n", own(3)),
        format!("own 5 {}\nown{{}} 6 {}\n", own(4), own(5)),
        format!("own 7 {}\nbad line\n", own(6)),
        format!("own 7 {}\nsteady 1\n", own(6)),
        format!("own NaN {}\n", own(7)),
        format!("own NaN {}\n", own(7)),
        format!("own 8 {}\nown 9 {}\nown 10 {}\n", own(10), own(9), own(11)),
        "own_late 1 9223372036854775807\nsteady 1\n".to_owned(),
        "own_late 1 9223372036854775\nsteady 1\n".to_owned(),
    ];
    let mut steps: Vec<Step> = texts(&[
        "m{a=\"1\",b=\"2\"} 1\nm{b=\"2\",a=\"1\"} 2\nm{a=\"1\",b=\"2\",} 3\nm{ a=\"1\",b=\"2\"} 4\n",
        "m{b=\"2\",a=\"1\"} 5\n",
        "m{a=\"1\",b=\"2\"} 6\nm{a=\"1\",b=\"2\",c=\"\"} 7\n",
        "m{c=\"\",b=\"2\",a=\"1\"} 8\n",
        "m NaN\nm 1\n",
        "m 1\nm NaN\n",
        "m NaN\n",
        "m NaN\nsteady NaN\n",
        "steady NaN\n",
        "# TYPE m counter\nm 1\n# TYPE m gauge\nm 2\n",
        "m{job=\"\"} 1\nm{instance=\"\"} 2\nm 3\n",
        "m{job=\"x\"} 1\nm{exported_job=\"x\"} 2\n",
        "m{exported_job=\"x\"} 1\nm{job=\"x\"} 2\n",
        "m{exported_job=\"x\"} 1\n",
        "up 5\nup{job=\"x\"} 6\nup{a=\"1\"} 7\n",
        "scrape_duration_seconds 1\nscrape_series_added 2\n",
        "",
        "\n",
        "m 1\nm 1\nm 1\nbad line\n",
        "m 1\n",
    ])
    .into_iter()
    .map(Step::Body)
    .collect();
    steps.extend(own_in_both.map(Step::text));
    steps.push(Step::text("steady 1\n"));
    steps
}
