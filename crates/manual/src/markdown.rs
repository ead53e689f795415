//! A page as Markdown.

use std::fmt::Write as _;

use crate::{
    model::{Entry, Group, Item, Page},
    text::{documents, pieces, sentence},
};

impl Page {
    /// The page as GitHub-flavoured Markdown; links lead to its neighbours and to the directory above.
    pub fn markdown(&self) -> String {
        let mut out = format!("# {}\n\n{}\n", self.command(), sentence(&prose(&self.summary)));
        let _ = write!(out, "\n```text\n{}\n```\n", self.usage.join("\n"));
        for paragraph in &self.description {
            let _ = write!(out, "\n{}\n", prose(paragraph));
        }
        if !self.commands.is_empty() {
            out.push_str("\n## Commands\n");
            out.push_str(&commands(&self.commands, self.path.len()));
        }
        for group in &self.options {
            let _ = write!(out, "\n## {}\n\n", group.heading);
            group.members.iter().for_each(|item| out.push_str(&of_item(item)));
        }
        if !self.examples.is_empty() {
            let _ = write!(out, "\n## Examples\n\n```sh\n{}\n```\n", self.examples.join("\n"));
        }
        for (heading, list) in self.lists() {
            let _ = write!(out, "\n## {heading}\n\n");
            for (term, meaning) in list {
                let names: Vec<String> = term.split(", ").map(code).collect();
                let _ = writeln!(out, "- {}: {}", names.join(", "), sentence(&prose(meaning)));
            }
        }
        let pages = self.see_also.iter().map(|path| format!("[{}]({}.md)", path.join(" "), path.join("-")));
        let documents = self.documents.iter().map(|document| link(document));
        let all: Vec<String> = pages.chain(documents).chain(["[all commands](README.md)".to_owned()]).collect();
        let _ = write!(out, "\n## See also\n\n{}\n", all.join(", "));
        out
    }
}

/// Lists of commands below their headings; `above` words of a path go without saying.
fn commands(groups: &[Group<Entry>], above: usize) -> String {
    let mut out = String::new();
    for group in groups {
        if !group.heading.is_empty() {
            let _ = write!(out, "\n### {}\n", group.heading);
        }
        out.push('\n');
        for entry in &group.members {
            let indent = "  ".repeat(entry.path.len().saturating_sub(above + 1));
            let (name, file) = (entry.path.join(" "), entry.path.join("-"));
            let _ = writeln!(out, "{indent}- [{name}]({file}.md): {}", prose(&entry.summary));
        }
    }
    out
}

fn of_item(item: &Item) -> String {
    let mut out = format!("- {}", code(&item.form));
    let mut notes = Vec::new();
    if item.required {
        notes.push("required");
    }
    if item.repeats {
        notes.push("may be repeated");
    }
    if !notes.is_empty() {
        let _ = write!(out, " ({})", notes.join(", "));
    }
    out.push_str(": ");
    let short = item.values.iter().all(|(_, help)| help.is_none()) && !item.values.is_empty();
    let mut sentences: Vec<String> = item.help.iter().map(|paragraph| sentence(&prose(paragraph))).collect();
    if short {
        let names: Vec<String> = item.values.iter().map(|(name, _)| code(name)).collect();
        sentences.push(format!("Values: {}.", names.join(", ")));
    }
    for (name, values) in item.facts() {
        let values: Vec<String> = values.iter().map(|value| code(value)).collect();
        sentences.push(format!("{name}: {}.", values.join(", ")));
    }
    out.push_str(&sentences.join(" "));
    out.push('\n');
    if !short {
        for (name, help) in &item.values {
            let help = help.as_ref().map(|help| format!(": {}", sentence(&prose(help)))).unwrap_or_default();
            let _ = writeln!(out, "  - {}{help}", code(name));
        }
    }
    out
}

/// Text as code, whatever is in it.
fn code(text: &str) -> String {
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

/// The text of a help, which knows no markup but backticks.
fn prose(text: &str) -> String {
    let mut out = String::new();
    for (is_code, piece) in pieces(text) {
        if is_code {
            out.push_str(&code(piece));
        } else {
            out.push_str(&escape(piece));
        }
    }
    let named: std::collections::BTreeSet<&str> = documents(text).collect();
    for document in named {
        out = out.replace(document, &link(document));
    }
    out
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        // Inside a word an underscore is no markup.
        let is_markup =
            matches!(c, '\\' | '`' | '*' | '<' | '>' | '[' | ']' | '|') || (c == '_' && !before.is_alphanumeric());
        if is_markup {
            out.push('\\');
        }
        out.push(c);
        before = c;
    }
    out
}

/// A document of the repository, as seen from `docs/commands`.
fn link(document: &str) -> String {
    format!("[{document}](../{})", document.trim_start_matches("docs/"))
}
