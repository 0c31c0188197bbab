//! Targets written by hand: the engine's captures, every corner of the syntax, and targets that fail, vanish, clash and send timestamps.

use std::fs;
use std::path::Path;

use super::target::Step;

/// A body that the next one's failure or absence ends.
const GOOD: &str = "steady 1\nother{a=\"b\"} 2\n";

/// The real captures in the order in which they were taken, with failures between them.
pub(super) fn captures() -> Vec<Step> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures");
    let entries = fs::read_dir(&dir).expect("the captures are there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("the captures are readable").path()).collect();
    paths.sort();
    assert!(paths.len() >= 8, "{paths:?}");
    let bodies: Vec<Vec<u8>> =
        paths.iter().map(|path| fs::read(path).expect("the captures are readable")).collect();
    let mut steps: Vec<Step> = bodies.iter().cloned().map(Step::Body).collect();
    steps.push(Step::Status(503));
    steps.push(Step::Body(bodies[1].clone()));
    steps.push(Step::CutShort(bodies[1].clone()));
    steps.push(Step::Body(bodies[2].clone()));
    steps.push(Step::Body([&bodies[3], b"what is this\n".as_slice()].concat()));
    steps.push(Step::Body(bodies[4].clone()));
    steps
}

/// Everything odd that the text format allows.
pub(super) fn syntax() -> Vec<Step> {
    let bodies = [
        "a 1\nb{} 2\nc{x=\"1\",} 3\nd { x = \"1\" , y=\"2\" } 4\ne\t{\tx=\"1\"\t}\t5\t\n",
        "\n\n  \t\n# a comment\n#\n# HELP a\n# HELP a \n# TYPE a counter\n# UNIT a seconds\n# EOF\na 1",
        "x{v=\"a,b=c}{\"} 1\nx{v=\"\\\\ \\\" \\n \\t \\x\"} 2\nx{v=\"\u{e9}\u{1f600}\"} 3\nx{v=\"\"} 4\nx{v=\" \"} 5\nx{v=\"#\"} 6\n",
        "job:rate5m 1\n:a 2\n_ 3\nA{B=\"1\",_c=\"2\",a=\"3\"} 4\nnan 5\n",
        "# HELP m one\n# HELP m two\n# TYPE m gauge\nm 1\n# TYPE m counter\nm 2\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"1e0\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
        "# TYPE s summary\ns{quantile=\"0\"} 1\ns{quantile=\"0.50\"} 2\ns{quantile=\"x\"} 3\n",
        "tab\t1\nmany     2\ntrail 3    \n# TYPE late gauge\nlate 4\n",
        "x{v=\"tab\there\"} 1\nx{v=\"cr\rhere\"} 2\nx{v=\"nul\0here\"} 3\n",
        "# TYPE m counter extra\nm 1\n",
        "# HELP \nm 1\n",
        "#TYPE m nonsense\n#HELP\n# TYPE\nm 1\n",
        "m{a=\"1\" b=\"2\"} 1\n",
        "m{,} 1\n",
        "m{a=\"1\",,} 1\n",
        "m{__name__=\"n\"} 1\n",
        "m{a=\"1\"}2\n",
        "\u{feff}m 1\n",
        "m 1\n\0",
        "m 1\0",
    ];
    bodies.into_iter().flat_map(|body| [Step::text(body), Step::text(GOOD)]).collect()
}

/// All the ways to write a number, and some that are none.
pub(super) fn numbers() -> Vec<Step> {
    let fine = [
        "0",
        "-0",
        "+1",
        "1.",
        ".5",
        "-.5e-3",
        "1e3",
        "1E+3",
        "00017",
        "9007199254740993",
        "0.1",
        "1e-400",
        "4.9e-324",
        "2.2250738585072011e-308",
        "1.7976931348623157e308",
        "123456789012345678901234567890",
        "NaN",
        "nan",
        "NAN",
        "Inf",
        "+inf",
        "-INF",
        "infinity",
        "-Infinity",
        "0.30000000000000004",
    ];
    let bad = [
        "1e309", "-1e999", "0x10", "0x1p3", "1_000", "-nan", "+NaN", "nan1", "1e", "e5", ".", "-", "+",
        "1,5", "1f", "0b1", "inff", "true", "1\r", "\u{661}",
    ];
    let all = |values: &[&str]| {
        let lines: Vec<String> =
            values.iter().enumerate().map(|(n, value)| format!("number{{n=\"{n}\"}} {value}\n")).collect();
        lines.concat()
    };
    let mut steps = vec![Step::text(all(&fine))];
    steps
        .extend(bad.iter().flat_map(|value| {
            [Step::text(GOOD), Step::text(format!("steady 2\nnumber {value}\nother 3\n"))]
        }));
    steps.push(Step::text(all(&fine)));
    steps
}

/// Lines that no scrape survives; what was read before them is not kept, and everything ends.
pub(super) fn faults() -> Vec<Step> {
    let faults: [&[u8]; 22] = [
        b"m 1\r\n",
        b"m\r 1\n",
        b"\r\n",
        b"m\n",
        b"1m 2\n",
        b"m 1 2 3\n",
        b"m 1 -5\n",
        b"m 1 1.5\n",
        b"m 1 99999999999999999999\n",
        b"m 1 # {trace_id=\"x\"} 0.5 1.5\n",
        b"m{a=b} 1\n",
        b"m{a='b'} 1\n",
        b"m{a=\"b} 1\n",
        b"m{a=\"b\"\n",
        b"m{1a=\"b\"} 1\n",
        b"m{a=\"1\",a=\"2\"} 1\n",
        b"m{a=\"\xff\"} 1\n",
        b"# TYPE m foo\n",
        b"# TYPE m  gauge\n",
        b"# HELP m \xff\n",
        b"{a=\"b\"} 1\n",
        "m\u{e9}trique 1\n".as_bytes(),
    ];
    let around = |fault: &[u8]| {
        Step::Body([b"steady 3\nnew_here 1\n".as_slice(), fault, b"other{a=\"b\"} 4\n"].concat())
    };
    faults.into_iter().flat_map(|fault| [Step::text(GOOD), around(fault)]).collect()
}

/// Series that come and go, targets that fail in every way, types that change.
pub(super) fn comings_and_goings() -> Vec<Step> {
    let one = || Step::text("a 1\nb 1\nc{x=\"1\"} 1\n");
    let two = || Step::text("a 2\nc{x=\"2\"} 1\nc{x=\"1\"} 2\n");
    vec![
        one(),
        two(),
        one(),
        Step::text(""),
        one(),
        Step::text("# nothing but a comment\n"),
        two(),
        Step::Status(500),
        one(),
        Step::Status(404),
        Step::Status(404),
        Step::Status(204),
        one(),
        Step::HangUp,
        two(),
        Step::HangUp,
        Step::HangUp,
        one(),
        Step::CutShort(b"a 7\nb 7\n".to_vec()),
        one(),
        Step::CutShort(b"a 8\nb".to_vec()),
        two(),
        Step::Typed("", b"a 9\n".to_vec()),
        Step::Typed("text/plain", b"a 10\n".to_vec()),
        Step::Typed("text/html", b"a 11\nb 2\n".to_vec()),
        one(),
        Step::text("# TYPE a counter\na 1\n# TYPE b gauge\nb 2\n"),
        Step::text("# TYPE a histogram\na 1\na_bucket{le=\"1\"} 2\n"),
        Step::text("# TYPE a summary\na{quantile=\"1\"} 1\n"),
        one(),
        Step::text("a 1\na 2\na 1\nb 3\nb 3\n"),
        Step::text("b 1\na 1\n"),
        Step::text("a 1\na\t2\na{} 3\n"),
        Step::text("up 7\nscrape_samples_scraped 9\na 1\n"),
        Step::text("up{x=\"1\"} 7\na 1\n"),
        one(),
        Step::text("first_seen 1\na\n"),
        Step::text("a 5\n"),
        Step::text("first_seen 1\na\n"),
        Step::Status(500),
        Step::text("first_seen 2\na 5\n"),
        one(),
    ]
}

/// Timestamps of the target's own, as the honest and the careless write them.
pub(super) fn timestamps(start: i64) -> Vec<Step> {
    let at = |offset: i64| start + offset * 1_000;
    let body = |lines: &[(&str, Option<i64>)]| {
        let lines = lines.iter().enumerate().map(|(n, (series, at))| match at {
            Some(at) => format!("{series} {n} {at}\n"),
            None => format!("{series} {n}\n"),
        });
        Step::text(lines.collect::<String>())
    };
    vec![
        body(&[("own", Some(at(-60))), ("plain", None)]),
        body(&[("own", Some(at(-59))), ("plain", None)]),
        body(&[("own", Some(at(-59))), ("plain", None)]),
        body(&[("plain", None)]),
        body(&[("own", Some(at(-50))), ("plain", None), ("both", None)]),
        body(&[("own", Some(at(-55))), ("plain", None), ("both", Some(at(-70)))]),
        body(&[("both", None), ("own", Some(at(-45)))]),
        Step::Status(500),
        body(&[("own", Some(at(-40))), ("plain", None)]),
        body(&[("own", Some(at(-39))), ("own", Some(at(-38))), ("own", Some(at(-39)))]),
        body(&[("ahead", Some(at(300))), ("plain", None)]),
        body(&[("ahead", None), ("plain", None)]),
        body(&[("far", Some(at(3_600))), ("plain", None)]),
        body(&[("plain", None)]),
        body(&[("twice", None), ("twice", Some(at(-30)))]),
        // Not the same line: what 2.42 makes of that is among its differences (`known`).
        body(&[("twice", Some(at(-29))), ("twice{}", None)]),
        body(&[("plain", None)]),
        body(&[("own", Some(at(-20))), ("broken line", None)]),
        body(&[("own", Some(at(-20))), ("plain", None)]),
        body(&[("plain", Some(at(-90)))]),
        // Gone, and back with an older timestamp than the newest sample, or than the marker.
        body(&[("gone", Some(at(-19))), ("ended", None), ("plain", None)]),
        body(&[("plain", None)]),
        body(&[("plain", None)]),
        body(&[("gone", Some(at(-25))), ("ended", Some(at(-25))), ("plain", None)]),
        body(&[("gone", Some(at(-18))), ("ended", None), ("plain", None)]),
        // Counted as added with the first sample that can be stored.
        body(&[("early", Some(at(7_200))), ("plain", None)]),
        body(&[("early", Some(at(7_200))), ("plain", None)]),
        body(&[("early", None), ("plain", None)]),
        body(&[("early", Some(at(7_200))), ("plain", None)]),
        body(&[("early", None), ("plain", None)]),
        body(&[("plain", None)]),
        // A sample that the receiver's head is too young for must not take the scrape's others with it.
        body(&[("ancient", Some(at(-36_000))), ("steady", None)]),
        body(&[("antique", Some(1)), ("steady", None)]),
        body(&[("plain", None), ("steady", None)]),
        Step::text(""),
    ]
}

/// Exposed labels with the names of the target's own. Every series tells its script (`of`), wherever HONOR_LABELS lets it go.
pub(super) fn clashes(job: &str) -> Vec<Step> {
    let labels = [
        "job=\"mine\"",
        "instance=\"mine\"",
        "job=\"mine\",instance=\"mine\"",
        "job=\"mine\",exported_job=\"taken\"",
        "job=\"mine\",exported_job=\"taken\",exported_exported_job=\"too\"",
        "instance=\"\"",
        "job=\"\"",
        "exported_job=\"alone\"",
    ];
    let body = |labels: &[&str], value: usize| {
        let lines = labels
            .iter()
            .enumerate()
            .map(|(n, labels)| format!("clash{{n=\"{n}\",of=\"{job}\",{labels}}} {value}\n"));
        Step::text(lines.collect::<String>())
    };
    let same = |value| {
        Step::text(format!("same{{of=\"{job}\",job=\"{job}\"}} {value}\nsame{{of=\"{job}\"}} {value}\n"))
    };
    let mut steps = vec![
        body(&labels, 1),
        body(&labels[3..], 2),
        Step::Status(500),
        body(&labels, 3),
        body(&labels[..5], 4),
        same(5),
        same(6),
    ];
    steps.push(Step::text(format!("m{{of=\"{job}\",a=\"1\",a=\"2\"}} 1\n")));
    steps.push(body(&labels, 7));
    let twice = ["a=\"\",a=\"1\"", "a=\"1\",a=\"\"", "a=\"1\",a=\"\",a=\"2\"", "b=\"1\""];
    steps.push(body(&twice, 8));
    for labels in
        ["job=\"x\",job=\"y\"", "job=\"x\",job=\"\"", "job=\"\",job=\"x\"", "instance=\"x\",instance=\"x\""]
    {
        steps.push(body(&[labels], 9));
        steps.push(body(&["b=\"2\""], 10));
    }
    for line in
        [format!("m{{of=\"{job}\",__name__=\"\"}} 1\n"), format!("m{{of=\"{job}\",__name__=\"n\"}} 1\n")]
    {
        steps.push(body(&labels[..2], 11));
        steps.push(Step::text(line));
    }
    steps
}

/// A target around the limits of 3 samples and 200 bytes.
pub(super) fn limits() -> Vec<Step> {
    let many =
        |count: usize| Step::text((0..count).map(|n| format!("m{{n=\"{n}\"}} 1\n")).collect::<String>());
    let long = |bytes: usize| Step::text(format!("m 1\n#{}\n", "x".repeat(bytes - 6)));
    vec![
        many(3),
        many(4),
        many(3),
        many(2),
        many(3),
        many(5),
        many(5),
        many(1),
        long(150),
        long(199),
        long(200),
        long(201),
        long(150),
        long(10_000),
        many(3),
        Step::text("m 1\nm{} 1\nm{ } 1\nm{  } 1\n"),
        many(3),
        Step::text("m 1\nn 1\no 1\np 1\nbroken\n"),
        many(2),
    ]
}

/// Every action, each on series of its own.
pub(super) const RULES: &str = r#"[
    {source_labels: [__name__, a], regex: 'dropped;x', action: drop},
    {source_labels: [kept], regex: 'no', action: drop},
    {source_labels: [__name__, a], separator: '@', regex: 'replaced@(.)(.*)', target_label: 'made_$1', replacement: '${2}!'},
    {source_labels: [__name__], regex: 'old_(.+)', target_label: __name__, replacement: 'new_$1'},
    {source_labels: [a], target_label: hash, modulus: 7, action: hashmod},
    {source_labels: [a], target_label: upper, action: uppercase},
    {source_labels: [upper], target_label: lower, action: lowercase},
    {source_labels: [a], target_label: same, action: dropequal},
    {regex: 'copy_(.+)', action: labelmap},
    {regex: 'copy_.+|gone|upper', action: labeldrop},
    {source_labels: [exported_job], regex: '(.+)', target_label: was},
    {source_labels: [nameless], regex: '.+', target_label: __name__, replacement: ''}
  ]"#;

/// Bodies for [`RULES`]: what is dropped comes and goes, two lines become one series, one loses its name.
pub(super) fn relabelled() -> Vec<Step> {
    let body = "dropped{a=\"x\"} 1\ndropped{a=\"y\"} 2\nkept{kept=\"no\"} 3\nreplaced{a=\"xyz\"} 4\nreplaced{a=\"\"} 5\n\
                old_name 6\nold_ 7\nnew_name{b=\"1\"} 8\nm{a=\"\u{e9}\u{df}A\"} 9\nm{a=\"q\",same=\"q\"} 10\n\
                m{copy_c=\"1\",copy_d=\"2\",gone=\"3\"} 11\nm{job=\"mine\"} 12\nm{copy_job=\"mapped\"} 13\n";
    let twice = "old_name 1\nnew_name 2\nm{gone=\"1\"} 3\nm{gone=\"2\"} 4\n";
    vec![
        Step::text(body),
        Step::text(body),
        Step::text(twice),
        Step::text("new_name 1\nold_name 2\nm{gone=\"2\"} 3\n"),
        Step::text("dropped{a=\"x\"} 1\n"),
        Step::text(body),
        Step::text("m 1\nm{nameless=\"1\"} 2\n"),
        Step::text(body),
        Step::Status(500),
        Step::text(twice),
        Step::text("m 1\nbroken\n"),
        Step::text(body),
        Step::text(""),
        Step::text(body),
    ]
}

/// What an operator would drop and rewrite of an engine.
pub(super) const RULES_FOR_CAPTURES: &str = r#"[
    {source_labels: [__name__], regex: '(go|promhttp|etcd|grpc)_.*', action: drop},
    {source_labels: [__name__, le], regex: '.*_bucket;0\.0.*', action: drop},
    {source_labels: [version], regex: '([0-9]+)\..*', target_label: major},
    {regex: 'commit|kernel', action: labeldrop},
    {source_labels: [state], target_label: state, action: uppercase}
  ]"#;
