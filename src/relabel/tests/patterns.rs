//! The dialect: every line is what Prometheus itself answered.

use proptest::prelude::*;

use crate::relabel::pattern::{Pattern, Template};

#[track_caller]
fn pattern(text: &str) -> Pattern {
    Pattern::compile(text).unwrap_or_else(|reason| panic!("{text:?} {reason}"))
}

#[test]
fn a_pattern_means_what_it_means_in_re2() {
    for (text, yes, no) in [
        // ASCII classes.
        (r"\d", "7", "٣"),
        (r"\D", "٣", "7"),
        (r"\w+", "a_9", "é"),
        (r"\W", "é", "_"),
        (r"\s", "\t", "\u{a0}"),
        (r"\S", "\u{a0}", " "),
        (r"a\b.*", "aé", "ab"),
        (r"é\B.", "é-", "éa"),
        (r"[^\W]", "a", "é"),
        (r"[\d-z]", "-", "y"),
        (r"[[:word:]]", "_", "é"),
        (r"[[:^alpha:]]", "é", "a"),
        // Brackets, ampersands, tildes, braces and angles that are mere characters.
        ("[a[b]", "[", "]"),
        ("[a&&b]", "&", "&&"),
        ("[a~~b]", "~", "c"),
        ("[+--]", ",", "."),
        ("[]a]", "]", "b"),
        ("[^]a]", "b", "]"),
        ("[a-]", "-", "b"),
        (r"\<a\>", "<a>", "a"),
        ("a{,2}", "a{,2}", "aa"),
        ("{a}", "{a}", "a"),
        ("a{01}", "a{01}", "a"),
        ("a{ 1}", "a{ 1}", "a"),
        ("x ]}#-&~", "x ]}#-&~", "x"),
        // Escapes.
        (r"\x41\x{e9}", "Aé", "A"),
        (r"\101\07\0", "A\x07\0", "A"),
        (r"\12", "\n", "12"),
        (r"\a\f\v\t\r\n", "\x07\x0c\x0b\t\r\n", "n"),
        (r"\Qa.b\E+", "a.bb", "axb"),
        (r"\A\_\-\/\z", "_-/", "_"),
        // Unicode classes and folding.
        (r"\pL\p{Lu}\p{^Lu}\P{^Lu}", "éÉéÉ", "aaaa"),
        (r"\p{Greek}", "Ω", "O"),
        ("(?i)k", "\u{212a}", "x"),
        (r"(?i)[\w]", "ſ", "é"),
        (r"(?i)\W", "é", "ſ"),
        // `.` takes line ends, unless told otherwise; the anchors are those of the text.
        ("a.b", "a\nb", "ab"),
        ("(?-s)a.b", "axb", "a\nb"),
        ("(?-s:a.)b|.", "\n", "a\nb"),
        ("a|b", "b", "ab"),
        ("^a$", "a", "a\n"),
        ("(?m)a$.^b", "a\nb", "ab"),
        // Repetition.
        ("a{2}b{1,}c{0,2}", "aabbb", "ab"),
        ("a{2}?", "aa", "a"),
        ("(?:)a", "a", ""),
        ("(?)a", "a", ""),
        ("", "", "a"),
        ("a)|(?:b", "a!", "ca"),
    ] {
        assert!(pattern(text).matches(yes), "{text:?} does not match {yes:?}");
        assert!(!pattern(text).matches(no), "{text:?} matches {no:?}");
    }
}

#[test]
fn what_re2_refuses_is_refused() {
    for text in [
        "(",
        ")",
        "[",
        "[a",
        "*",
        "a**",
        "a*+",
        "a+*?",
        "a{2}{3}",
        "a{2,1}",
        "a{1001}",
        "a{99999999999}",
        "[c-a]",
        r"[a-\d]",
        r"[\b]",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?<!a)",
        "(?>a)",
        "(?x)",
        "(?u)",
        "(?R)",
        "(?#a)",
        "(?-)",
        "(?i-)",
        "(?i",
        "(?",
        "(?P<n a>b)",
        "(?P<>b)",
        "(?P<n",
        "(?P=n)",
        r"\1",
        r"\8",
        r"\e",
        r"\C",
        r"\Z",
        r"\G",
        r"\E",
        r"\u0041",
        r"\é",
        "a\\",
        r"\x4",
        r"\x{}",
        r"\x{110000}",
        r"\x{+1}",
        r"\p",
        r"\p{",
        r"\p{}",
        r"\p{Nope}",
        r"\p{^}",
        "[[:nope:]]",
        "[[:^^alpha:]]",
        "((((a{100}){100}){100}){100})",
        r"\Q(",
    ] {
        assert!(Pattern::compile(text).is_err(), "{text:?} was taken");
    }
}

#[test]
fn a_refusal_says_what_is_wrong_in_one_line() {
    for (text, reason) in [
        ("a**", "repeats a repetition: **"),
        ("(", "is not a regular expression: unclosed group"),
        ("(?x)a", "has a group that RE2 does not know: (?x) (flags are i, m, s and U)"),
        (r"a\Z", r"has an escape that RE2 does not know: \Z"),
        ("[z-a]", "has a range that goes backwards: z-a"),
        ("a{1001}", "has a count that is not allowed: {1001} (up to 1000)"),
        ("[a", "has an open ["),
    ] {
        assert_eq!(Pattern::compile(text).unwrap_err(), reason);
    }
}

#[test]
fn a_template_is_filled_as_go_fills_it() {
    let filled = |template: &str| {
        let pattern = pattern("(?P<first>a)(b)?(c)");
        let found = pattern.captures("ac").unwrap();
        Template::parse(template, &pattern).fill(&found)
    };
    for (template, expected) in [
        ("", ""),
        ("x", "x"),
        ("$0-${0}", "ac-ac"),
        ("$1$3", "ac"),
        ("<$2>", "<>"),
        ("$9${99999999999999999999}", ""),
        ("$first${first}!", "aa!"),
        ("$firstly.$1x.$1_", ".."),
        ("${1}x$1-", "axa-"),
        ("$01${01}", ""),
        ("$$1 $$$1", "$1 $a"),
        ("$", "$"),
        ("$-$ 5", "$-$ 5"),
        ("${1", "${1"),
        ("${}${-}${1-}", "${}${-}${1-}"),
        ("${$1}", "${a}"),
        ("ü$1ü", "ü"),
    ] {
        assert_eq!(filled(template), expected, "{template:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_compiler_panic(text in "[\\\\\\[\\](){}?*+|.^$:<>PpQExbdw0-9a-c&~,=!é-]{0,24}", value in "\\PC{0,12}") {
        if let Ok(pattern) = Pattern::compile(&text) {
            let template = Template::parse(&text, &pattern);
            let _ = pattern.captures(&value).map(|found| template.fill(&found));
        }
    }

    #[test]
    fn a_quoted_text_matches_itself_alone(text in "\\PC{0,16}", other in "\\PC{0,16}") {
        let quoted: String = text.chars().flat_map(|c| {
            let escape = c.is_ascii_punctuation().then_some('\\');
            escape.into_iter().chain([c])
        }).collect();
        prop_assert!(pattern(&quoted).matches(&text));
        prop_assert_eq!(pattern(&quoted).matches(&other), text == other);
    }
}
