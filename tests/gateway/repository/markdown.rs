//! Markdown that GitHub renders as meant.

use std::{collections::BTreeSet, fmt::Write as _};

/// The names that become links, and the page that holds their headings (empty for the same page).
pub struct Links<'a> {
    pub names: &'a BTreeSet<String>,
    pub page: &'a str,
}

impl Links<'_> {
    /// Returns the link to the heading of a name.
    pub fn to(&self, name: &str) -> String {
        format!("[{name}]({}#{})", self.page, anchor(name))
    }

    /// Renders a comment as paragraphs and lists. `own` is the heading above it.
    pub fn paragraphs(&self, comment: &str, own: &str) -> String {
        self.inline(comment, own)
    }

    /// Renders a comment as one table cell.
    pub fn cell(&self, comment: &str, own: &str) -> String {
        let mut cell = String::new();
        let mut is_new_paragraph = false;
        for line in comment.lines() {
            let line = line.trim();
            if line.is_empty() {
                is_new_paragraph = true;
                continue;
            }
            if line.starts_with("- ") {
                cell += "<br>";
            } else if is_new_paragraph {
                cell += "<br><br>";
            } else if !cell.is_empty() {
                cell.push(' ');
            }
            is_new_paragraph = false;
            cell += &self.inline(line, own);
        }
        // Within a table also in code: GitHub splits cells before it reads them.
        cell.replace('|', "\\|")
    }

    /// Escapes what Markdown would read as markup outside code, and links names.
    fn inline(&self, text: &str, own: &str) -> String {
        let parts = text.split('`').enumerate();
        let rendered = parts.map(|(at, part)| {
            if at % 2 == 1 {
                return format!("`{part}`");
            }
            let mut rendered = String::new();
            for word in
                part.split_inclusive(|next: char| !next.is_ascii_alphanumeric() && next != '_')
            {
                let name = word
                    .trim_end_matches(|next: char| !next.is_ascii_alphanumeric() && next != '_');
                let rest = escaped(&word[name.len()..]);
                if self.names.contains(name) && name != own {
                    rendered += &self.to(name);
                } else {
                    rendered += name;
                }
                rendered += &rest;
            }
            rendered
        });
        assert_eq!(
            text.matches('`').count() % 2,
            0,
            "unpaired backtick: {text}"
        );
        rendered.collect()
    }
}

/// Escapes the characters that open markup.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for next in text.chars() {
        if ['<', '>', '*', '[', ']', '\\'].contains(&next) {
            out.push('\\');
        }
        out.push(next);
    }
    out
}

/// Returns the anchor that GitHub gives a heading.
pub fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|next| next.is_ascii_alphanumeric() || ['_', '-', ' '].contains(next));
    kept.map(|next| {
        if next == ' ' {
            '-'
        } else {
            next.to_ascii_lowercase()
        }
    })
    .collect()
}

/// Renders a table.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut table = format!("| {} |\n|{}\n", head.join(" | "), " --- |".repeat(N));
    for row in rows {
        writeln!(table, "| {} |", row.join(" | ")).unwrap();
    }
    table
}

/// Returns the headings and the links to them on the same page.
pub fn headings_and_links(page: &str) -> (Vec<String>, BTreeSet<String>) {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let headings = headings.map(|line| anchor(line.trim_start_matches('#').trim()));
    let links = page.split("](#").skip(1);
    let links = links.map(|rest| rest.split(')').next().unwrap().to_owned());
    (headings.collect(), links.collect())
}

#[test]
fn comment_with_list_and_bars_fits_in_one_cell() {
    let names = BTreeSet::from(["NextStep".to_owned()]);
    let links = Links {
        names: &names,
        page: "API.md",
    };
    let comment = "See NextStep, or `a|b`:\n\n- <one>,\n  more\n- two\n\nEnd of NextSteps.";
    assert_eq!(
        links.cell(comment, ""),
        "See [NextStep](API.md#nextstep), or `a\\|b`:<br>- \\<one\\>, more<br>- two<br><br>End of NextSteps."
    );
    assert_eq!(links.paragraphs("- NextStep", "NextStep"), "- NextStep");
}
