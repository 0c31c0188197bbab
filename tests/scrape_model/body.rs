//! Expositions as data: what is in them is known without parsing, and how they are spelled is another matter.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A sample's value, and how it moves from scrape to scrape.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Moving(i8),
    Still(i8),
    NotANumber,
    Infinite,
    NegativeZero,
}

impl Value {
    pub(super) fn bits(self, round: u8) -> u64 {
        match self {
            Self::Moving(base) => (f64::from(base) + f64::from(round)).to_bits(),
            Self::Still(value) => f64::from(value).to_bits(),
            Self::NotANumber => 0x7ff8_0000_0000_0001,
            Self::Infinite => f64::INFINITY.to_bits(),
            Self::NegativeZero => (-0.0_f64).to_bits(),
        }
    }

    fn text(self, round: u8) -> String {
        match self {
            Self::Moving(base) => (i16::from(base) + i16::from(round)).to_string(),
            Self::Still(value) => format!("{value}.0"),
            Self::NotANumber => "NaN".into(),
            Self::Infinite => "+inf".into(),
            Self::NegativeZero => "-0".into(),
        }
    }
}

/// How a series is spelled; all spellings say the same.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spelling {
    Plain,
    Spread,
    Quoted,
}

/// One sample line.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) name: &'static str,
    /// In the order of the line, without a name twice, some values empty.
    pub(super) labels: Vec<(&'static str, &'static str)>,
    pub(super) value: Value,
    /// ms after [`EPOCH`].
    pub(super) timestamp: Option<i32>,
    pub(super) spelling: Spelling,
}

impl Sample {
    /// The bytes of the series, without value and timestamp.
    pub(super) fn series(&self) -> String {
        let quoted = |text: &str| {
            format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n"))
        };
        let pair = |(name, value): &(&str, &str), around: &str| {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let name = if plain { (*name).to_owned() } else { quoted(name) };
            format!("{name}{around}={around}{}", quoted(value))
        };
        let pairs =
            |around: &str| -> Vec<_> { self.labels.iter().map(|label| pair(label, around)).collect() };
        match self.spelling {
            Spelling::Plain if self.labels.is_empty() => self.name.into(),
            Spelling::Plain => format!("{}{{{}}}", self.name, pairs("").join(",")),
            Spelling::Spread if self.labels.is_empty() => format!("{}{{ }}", self.name),
            Spelling::Spread => format!("{} {{ {}, }}", self.name, pairs(" ").join(" ,\t")),
            Spelling::Quoted => {
                let mut terms = pairs("");
                terms.insert(terms.len() / 2, quoted(self.name));
                format!("{{{}}}", terms.join(","))
            }
        }
    }
}

/// One line of an exposition.
#[derive(Clone, Debug)]
pub(super) enum Line {
    Sample(Sample),
    /// `# TYPE`, the word.
    Type(&'static str, &'static str),
    /// `# HELP`, the text without anything to escape.
    Help(&'static str, &'static str),
    Comment,
}

/// What makes a whole scrape fail.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flaw {
    /// Not a line of the format.
    Syntax(&'static str),
    /// A sample line, well formed, of a series that cannot be: it counts as read.
    Series(&'static str),
}

/// The time that all timestamps are near, ms.
pub(super) const EPOCH: i64 = 1_700_000_000_000;

/// The text, up to and with the flaw that stands before line `n`, and then the rest.
pub(super) fn text(lines: &[Line], flaw: Option<(usize, Flaw)>, round: u8) -> String {
    let mut text = String::new();
    let broken = |at, text: &mut String| {
        if let Some((place, Flaw::Syntax(line) | Flaw::Series(line))) = flaw
            && place == at
        {
            text.push_str(line);
        }
    };
    for (at, line) in lines.iter().enumerate() {
        broken(at, &mut text);
        text += &match line {
            Line::Sample(sample) => {
                let timestamp = sample.timestamp.map(|after| format!(" {}", EPOCH + i64::from(after)));
                let value = sample.value.text(round);
                format!("{} {value}{}\n", sample.series(), timestamp.unwrap_or_default())
            }
            Line::Type(family, word) => format!("# TYPE {family} {word}\n"),
            Line::Help(family, help) => format!("# HELP {family} {help}\n"),
            Line::Comment => "\n# EOF, or not\n".into(),
        };
    }
    broken(lines.len(), &mut text);
    text
}

/// What the target or its operator does next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Changes the exposition; the next scrape shows it.
    Edit(Edit),
    Scrape {
        clock: i32,
        flaw: Option<(Index, Flaw)>,
    },
    /// The answer is no exposition at all.
    Unreachable {
        clock: i32,
    },
    LastScrape {
        clock: i32,
        flaw: Option<(Index, Flaw)>,
    },
    EndAll {
        clock: i32,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Edit {
    Insert(Index, Line),
    Remove(Index),
    Swap(Index, Index),
    Repeat(Index, Index),
    Clear,
}

impl Edit {
    pub(super) fn apply(&self, lines: &mut Vec<Line>) {
        match self {
            Self::Insert(at, line) => lines.insert(at.index(lines.len() + 1), line.clone()),
            Self::Remove(at) if !lines.is_empty() => {
                lines.remove(at.index(lines.len()));
            }
            Self::Swap(a, b) if !lines.is_empty() => {
                let (a, b) = (a.index(lines.len()), b.index(lines.len()));
                lines.swap(a, b);
            }
            Self::Repeat(from, to) if !lines.is_empty() => {
                let line = lines[from.index(lines.len())].clone();
                lines.insert(to.index(lines.len() + 1), line);
            }
            Self::Clear => lines.clear(),
            Self::Remove(_) | Self::Swap(..) | Self::Repeat(..) => {}
        }
    }
}

const FAMILIES: [&str; 6] = ["h", "s", "h_count", "a", "up", "b_total"];

fn sample() -> impl Strategy<Value = Sample> {
    let names = vec![
        "a",
        "b_total",
        "h_bucket",
        "h_sum",
        "h_count",
        "h",
        "s",
        "s_sum",
        "up",
        "scrape_series_added",
        "A:b",
    ];
    let label = select(vec![
        ("le", "1"),
        ("le", "1.0"),
        ("le", "+Inf"),
        ("le", "low"),
        ("quantile", "0.50"),
        ("quantile", "1e6"),
        ("job", "own"),
        ("job", ""),
        ("instance", "own"),
        ("exported_job", "own"),
        ("exported_job", ""),
        ("cluster", "own"),
        ("x", "1"),
        ("x", "2"),
        ("x", ""),
        ("Y", "q\"\\ \n{},=é"),
        ("dotted.name", "1"),
    ]);
    let value = prop_oneof![
        6 => any::<i8>().prop_map(Value::Moving),
        2 => any::<i8>().prop_map(Value::Still),
        1 => Just(Value::NotANumber),
        1 => Just(Value::Infinite),
        1 => Just(Value::NegativeZero),
    ];
    let timestamp = prop_oneof![
        6 => Just(None),
        2 => (-3..30_i32).prop_map(Some),
        1 => select(vec![-3_600_020, -3_600_000, -50_000, 599_990, 600_000, 600_020]).prop_map(Some),
    ];
    let spelling =
        prop_oneof![6 => Just(Spelling::Plain), 1 => Just(Spelling::Spread), 1 => Just(Spelling::Quoted)];
    (select(names), vec(label, 0..4), value, timestamp, spelling).prop_map(
        |(name, mut labels, value, timestamp, spelling)| {
            let mut seen = Vec::new();
            labels.retain(|(name, _)| {
                !seen.contains(name) && {
                    seen.push(*name);
                    true
                }
            });
            Sample { name, labels, value, timestamp, spelling }
        },
    )
}

fn line() -> impl Strategy<Value = Line> {
    let family = || select(FAMILIES.to_vec());
    let word = select(vec!["counter", "gauge", "histogram", "summary", "untyped"]);
    prop_oneof![
        8 => sample().prop_map(Line::Sample),
        3 => (family(), word).prop_map(|(family, word)| Line::Type(family, word)),
        2 => (family(), select(vec!["one", "two", "é {}"])).prop_map(|(family, help)| Line::Help(family, help)),
        1 => Just(Line::Comment),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let edit = prop_oneof![
        6 => (any::<Index>(), line()).prop_map(|(at, line)| Edit::Insert(at, line)),
        4 => any::<Index>().prop_map(Edit::Remove),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Edit::Swap(a, b)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Edit::Repeat(from, to)),
        1 => Just(Edit::Clear),
    ];
    let clock = || prop_oneof![12 => 1..4_i32, 2 => Just(0), 1 => -3..0_i32, 1 => select(vec![600_000, -20])];
    let flaw = || {
        let flaw = prop_oneof![
            select(vec!["oops\n", "a{x=\"1\" 1\n", "# TYPE a odd\n", "a 1 2 3\n", "é 1\n"])
                .prop_map(Flaw::Syntax),
            select(vec!["a{x=\"1\",x=\"2\"} 1\n", "a{__name__=\"b\"} 1\n"]).prop_map(Flaw::Series),
        ];
        prop_oneof![5 => Just(None), 1 => (any::<Index>(), flaw).prop_map(Some)]
    };
    prop_oneof![
        10 => edit.prop_map(Step::Edit),
        10 => (clock(), flaw()).prop_map(|(clock, flaw)| Step::Scrape { clock, flaw }),
        1 => clock().prop_map(|clock| Step::Unreachable { clock }),
        1 => (clock(), flaw()).prop_map(|(clock, flaw)| Step::LastScrape { clock, flaw }),
        1 => clock().prop_map(|clock| Step::EndAll { clock }),
    ]
}

/// A first exposition, and what happens then.
pub(super) fn story() -> impl Strategy<Value = (Vec<Line>, Vec<Step>)> {
    (vec(line(), 0..12), vec(step(), 1..24))
}
