use super::{Group, SETTINGS, Setting};

/// Below this a terminal is treated as if it were this wide.
const NARROWEST: usize = 40;
const INDENT: &str = "      ";

/// The table for a terminal of `width` columns: name and default on one line, the sentences below it.
#[must_use]
pub fn render_text(width: usize) -> String {
    let width = width.max(NARROWEST);
    let mut out = String::new();
    for group in Group::ALL {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(group.title());
        out.push('\n');
        for setting in settings_of(group) {
            out.push_str(&wrap(&title(setting), "  ", INDENT, width));
            out.push_str(&wrap(setting.doc, INDENT, INDENT, width));
            out.push_str(&wrap(&format!("Allowed: {}", setting.kind), INDENT, INDENT, width));
        }
    }
    out
}

/// The table for the README, one for each group.
#[must_use]
pub fn render_markdown() -> String {
    let mut out = String::new();
    for group in Group::ALL {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&format!("**{}**\n\n", group.title()));
        out.push_str("| Name | Default | Meaning | Allowed |\n|---|---|---|---|\n");
        for setting in settings_of(group) {
            let default = cell(setting.shown_default());
            let default = match setting.default {
                super::Default::Value(_) => format!("`{default}`"),
                super::Default::Told(_) | super::Default::Unset => default,
            };
            let (doc, allowed) = (cell(setting.doc), cell(&setting.kind.to_string()));
            out.push_str(&format!("| `{}` | {default} | {doc} | {allowed} |\n", setting.name));
        }
    }
    out
}

fn settings_of(group: Group) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |setting| setting.group == group)
}

fn title(setting: &Setting) -> String {
    match setting.default {
        super::Default::Value(text) => format!("{} (default: {text})", setting.name),
        super::Default::Told(text) => format!("{} ({text})", setting.name),
        super::Default::Unset => setting.name.to_owned(),
    }
}

/// A bare `|` would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn wrap(text: &str, first: &str, rest: &str, width: usize) -> String {
    let mut out = String::from(first);
    let mut column = first.len();
    let mut at_start = true;
    for word in text.split(' ') {
        let length = word.chars().count();
        if !at_start && column + 1 + length > width {
            out.push('\n');
            out.push_str(rest);
            column = rest.len();
        } else if !at_start {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
        at_start = false;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_fits_the_width_but_for_words_that_are_longer() {
        for width in [0, 40, 80, 120] {
            let text = render_text(width);
            let fits = |line: &str| line.chars().count() <= width.max(NARROWEST);
            let single_word = |line: &str| !line.trim_start().contains(' ');
            for line in text.lines() {
                assert!(fits(line) || single_word(line), "{width}: {line}");
            }
        }
    }

    #[test]
    fn text_and_markdown_name_every_setting_with_its_default() {
        let (text, markdown) = (render_text(100), render_markdown());
        for setting in SETTINGS {
            assert!(text.lines().any(|line| line.split_whitespace().next() == Some(setting.name)));
            let row = markdown.lines().find(|line| line.starts_with(&format!("| `{}` |", setting.name)));
            let row = row.unwrap_or_else(|| panic!("no row for {}", setting.name));
            assert!(row.contains(&cell(setting.shown_default())), "{row}");
            assert_eq!(row.replace("\\|", "").matches('|').count(), 5, "{row}");
        }
    }
}
