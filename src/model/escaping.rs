use std::borrow::Cow;
use std::fmt::Write as _;

/// What becomes of a name that is no classic one (`[a-zA-Z_:][a-zA-Z0-9_:]*`) where only those are taken (remote-write 4.24, 1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escaping {
    /// It stays as it is.
    AllowUtf8,
    /// Every other character becomes `_`: short, and two names may become one.
    Underscores,
    /// `.` becomes `_dot_`, `_` becomes `__`, every other character `__`; classic names change too.
    Dots,
    /// `U__`, and code points in hexadecimal between `_`: reversible.
    Values,
}

/// Whose name it is: a colon is classic in a metric's alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOf {
    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`
    Metric,
    /// `[a-zA-Z_][a-zA-Z0-9_]*`
    Label,
}

impl Escaping {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values];

    /// The name in the settings and on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// The name as this scheme has it, as Prometheus's library escapes it (but for a colon in a label's name, which that lets through).
    #[must_use]
    pub fn escape(self, name: &str, of: NameOf) -> Cow<'_, str> {
        let unchanged = match self {
            Self::AllowUtf8 => true,
            Self::Underscores | Self::Values => name.is_empty() || of.is_classic(name),
            Self::Dots => name.is_empty() || (of.is_classic(name) && !name.contains('_')),
        };
        if unchanged {
            return Cow::Borrowed(name);
        }
        let mut escaped = String::from(if self == Self::Values { "U__" } else { "" });
        for (at, character) in name.char_indices() {
            let classic = of.takes(character, at);
            match (self, character) {
                (Self::Values | Self::Dots, '_') => escaped.push_str("__"),
                (Self::Dots, '.') => escaped.push_str("_dot_"),
                (_, character) if classic => escaped.push(character),
                (Self::AllowUtf8, character) => escaped.push(character),
                (Self::Underscores, _) => escaped.push('_'),
                (Self::Dots, _) => escaped.push_str("__"),
                // Writing into a String does not fail.
                (Self::Values, character) => drop(write!(escaped, "_{:x}_", u32::from(character))),
            }
        }
        Cow::Owned(escaped)
    }
}

impl NameOf {
    /// Whether a receiver that knows nothing of UTF-8 names takes it.
    #[must_use]
    pub fn is_classic(self, name: &str) -> bool {
        !name.is_empty() && name.char_indices().all(|(at, character)| self.takes(character, at))
    }

    fn takes(self, character: char, at: usize) -> bool {
        match character {
            'a'..='z' | 'A'..='Z' | '_' => true,
            '0'..='9' => at > 0,
            ':' => self == Self::Metric,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rw_4_24_names_are_escaped_as_prometheuss_library_escapes_them() {
        let cases = [
            ("", "", "", ""),
            ("no:escaping_needed", "no:escaping_needed", "no:escaping__needed", "no:escaping_needed"),
            (
                "engine.pull.seconds",
                "engine_pull_seconds",
                "engine_dot_pull_dot_seconds",
                "U__engine_2e_pull_2e_seconds",
            ),
            (
                "engine.pull.count_total",
                "engine_pull_count_total",
                "engine_dot_pull_dot_count__total",
                "U__engine_2e_pull_2e_count__total",
            ),
            ("http.status:sum", "http_status:sum", "http_dot_status:sum", "U__http_2e_status:sum"),
            ("label with 😱", "label_with__", "label__with____", "U__label_20_with_20__1f631_"),
            ("花火", "__", "____", "U___82b1__706b_"),
            ("1st", "_st", "__st", "U___31_st"),
        ];
        for (name, underscores, dots, values) in cases {
            let escaped = Escaping::ALL.map(|scheme| scheme.escape(name, NameOf::Metric).into_owned());
            assert_eq!(escaped, [name, underscores, dots, values]);
        }
    }

    #[test]
    fn a_colon_is_classic_in_a_metrics_name_alone() {
        assert!(NameOf::Metric.is_classic("a:b") && !NameOf::Label.is_classic("a:b"));
        let escaped = Escaping::ALL.map(|scheme| scheme.escape("a:b", NameOf::Label).into_owned());
        assert_eq!(escaped, ["a:b", "a_b", "a__b", "U__a_3a_b"]);
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_classic_and_values_tell_names_apart(one in ".{1,8}", two in ".{1,8}") {
            for of in [NameOf::Metric, NameOf::Label] {
                for scheme in [Escaping::Underscores, Escaping::Dots, Escaping::Values] {
                    prop_assert!(of.is_classic(&scheme.escape(&one, of)));
                }
                let [first, second] = [&one, &two].map(|name| Escaping::Values.escape(name, of));
                // A classic name may look like one that was escaped.
                let comparable = of.is_classic(&one) == of.is_classic(&two);
                prop_assert!(one == two || first != second || !comparable);
            }
        }
    }
}
