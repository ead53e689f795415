//! A page as a man page: the macros of man(7), which groff and mandoc both have.

use std::fmt::Write as _;

use crate::{
    model::{Item, Page},
    text::{pieces, sentence},
};

impl Page {
    /// The page in section 1. The date (`2026-11-24`) is the caller's; without one the page has none.
    pub fn man(&self, date: Option<&str>) -> String {
        let program = self.path.first().map(String::as_str).unwrap_or_default();
        let mut out = format!(
            ".TH {} 1 \"{}\" \"{program} {}\" \"{program} manual\"\n",
            escape(&self.name().to_uppercase()),
            date.unwrap_or_default(),
            escape(&self.version)
        );
        // Names of options and files are not divided at the end of a line.
        out.push_str(".nh\n.ad l\n");
        let _ = write!(out, ".SH NAME\n{} \\- {}\n.SH SYNOPSIS\n", escape(&self.name()), prose(&self.summary));
        let forms: Vec<String> = self.usage.iter().map(|form| usage(form, &self.command())).collect();
        out.push_str(&forms.join(".br\n"));
        let _ = write!(out, ".SH DESCRIPTION\n{}", line(&sentence(&prose(&self.summary))));
        for paragraph in &self.description {
            let _ = write!(out, ".PP\n{}", line(&prose(paragraph)));
        }
        self.put_commands(&mut out);
        for group in &self.options {
            match group.heading.as_str() {
                "Arguments" | "Options" => section(&mut out, &group.heading),
                other => {
                    if !out.contains(".SH OPTIONS\n") {
                        section(&mut out, "Options");
                    }
                    let _ = writeln!(out, ".SS {}", escape(other));
                }
            }
            group.members.iter().for_each(|item| put_item(&mut out, item));
        }
        for (heading, list) in self.lists() {
            section(&mut out, heading);
            for (term, meaning) in list {
                let _ = write!(out, ".TP\n{}{}", bold(term), line(&sentence(&prose(meaning))));
            }
        }
        if !self.examples.is_empty() {
            section(&mut out, "Examples");
            out.push_str(".EX\n");
            self.examples.iter().for_each(|example| out.push_str(&line(&escape(example))));
            out.push_str(".EE\n");
        }
        self.put_see_also(&mut out);
        out
    }

    fn put_commands(&self, out: &mut String) {
        if !self.commands.is_empty() {
            section(out, "Commands");
        }
        for group in &self.commands {
            if !group.heading.is_empty() {
                let _ = writeln!(out, ".SS {}", escape(&group.heading));
            }
            for entry in &group.members {
                let name = escape(&entry.path.join("-"));
                let _ = write!(out, ".TP\n\\fB{name}\\fR(1)\n{}", line(&sentence(&prose(&entry.summary))));
            }
        }
    }

    fn put_see_also(&self, out: &mut String) {
        let pages: Vec<String> =
            self.see_also.iter().map(|path| format!("\\fB{}\\fR(1)", escape(&path.join("-")))).collect();
        let documents = self.documents.iter().map(|document| escape(document));
        let all: Vec<String> = pages.into_iter().chain(documents).collect();
        if !all.is_empty() {
            section(out, "See also");
            out.push_str(&line(&all.join(",\n")));
        }
    }
}

fn section(out: &mut String, heading: &str) {
    let _ = writeln!(out, ".SH {}", heading.to_uppercase());
}

/// A form of the command line: the command and options bold.
fn usage(form: &str, command: &str) -> String {
    let (command, rest) = match form.strip_prefix(command) {
        Some(rest) => (command, rest),
        None => ("", form),
    };
    let words = rest.split(' ').map(|word| {
        let (before, option) = word.split_at(word.find("--").unwrap_or(word.len()));
        let (option, after) = option.split_at(option.find(['|', '>', ']', '=']).unwrap_or(option.len()));
        let option = if option.is_empty() { String::new() } else { format!("\\fB{}\\fR", escape(option)) };
        format!("{}{option}{}", escape(before), escape(after))
    });
    line(&format!("\\fB{}\\fR{}", escape(command), words.collect::<Vec<_>>().join(" ")))
}

fn put_item(out: &mut String, item: &Item) {
    // The names are bold, the value is not.
    let (names, value) = item.form.split_at(item.form.find(['<', '[']).unwrap_or(item.form.len()));
    let names = if names.is_empty() { String::new() } else { format!("\\fB{}\\fR", escape(names)) };
    let _ = write!(out, ".TP\n{}", line(&format!("{names}{}", escape(value))));
    let mut sentences: Vec<String> = item.help.iter().map(|paragraph| sentence(&prose(paragraph))).collect();
    let short = item.values.iter().all(|(_, help)| help.is_none());
    if short && !item.values.is_empty() {
        let names: Vec<String> = item.values.iter().map(|(name, _)| format!("\\fB{}\\fR", escape(name))).collect();
        sentences.push(format!("Values: {}.", names.join(", ")));
    }
    if item.required {
        sentences.push("Required.".to_owned());
    }
    if item.repeats {
        sentences.push("May be repeated.".to_owned());
    }
    for (name, values) in item.facts() {
        let values: Vec<String> = values.iter().map(|value| format!("\\fB{}\\fR", escape(value))).collect();
        sentences.push(format!("{name}: {}.", values.join(", ")));
    }
    out.push_str(&line(&sentences.join("\n")));
    if !short {
        out.push_str(".RS\n");
        for (name, help) in &item.values {
            let help = help.as_ref().map(|help| sentence(&prose(help))).unwrap_or_default();
            let _ = write!(out, ".TP\n{}{}", bold(name), line(&help));
        }
        out.push_str(".RE\n");
    }
}

fn bold(text: &str) -> String {
    format!("\\fB{}\\fR\n", escape(text))
}

/// The text of a help, which knows no markup but backticks.
fn prose(text: &str) -> String {
    pieces(text).map(|(code, piece)| if code { format!("\\fB{}\\fR", escape(piece)) } else { escape(piece) }).collect()
}

/// A line of text: what would be a request at its beginning is none.
fn line(text: &str) -> String {
    let guarded =
        text.lines().map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() });
    format!("{}\n", guarded.collect::<Vec<_>>().join("\n"))
}

/// Text in which nothing means anything to roff, in ASCII alone. Hyphens stay what they are, so options can be copied.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            '"' => out.push_str("\\(dq"),
            c if c.is_ascii_control() => out.push(' '),
            c if c.is_ascii() => out.push(c),
            c => {
                let _ = write!(out, "\\[u{:04X}]", u32::from(c));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use crate::{Facts, pages};

    #[test]
    fn nothing_in_a_help_text_is_a_request_to_roff() {
        let about = "Does it\n\n.so /etc/passwd\n\n'br and \\fBbold, `code`, caf\u{e9}";
        let program = Command::new("tool").about("Does it").long_about(about).arg(Arg::new("x").long("x").help(".x"));
        let man = pages(program, &Facts::default()).first().map(|page| page.man(None)).unwrap_or_default();
        assert!(man.starts_with(".TH TOOL 1 \"\" \"tool \" \"tool manual\"\n"), "{man}");
        assert!(man.contains("\n\\&.so /etc/passwd\n") && man.contains("\n\\(aqbr and \\efBbold, "), "{man}");
        assert!(man.contains("\\fBcode\\fR, caf\\[u00E9]\n") && man.contains("\n\\&.x.\n"), "{man}");
        assert!(man.is_ascii());
    }
}
