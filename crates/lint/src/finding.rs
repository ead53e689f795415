//! What was found: which rule, where, and what exactly.

use serde::Serialize;

use crate::rule::{Rule, Severity};

/// Longest message in characters; what is foreign in it cannot flood a terminal.
const MAX_MESSAGE: usize = 1000;

/// One mistake at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's id.
    pub rule: &'static str,
    /// The rule's severity.
    pub severity: Severity,
    /// The file or image, as it was given.
    pub file: String,
    /// Line in the file, from 1, if it is known.
    pub line: Option<u32>,
    /// JSON pointer (RFC 6901) into the document; empty for all of it.
    pub pointer: String,
    /// What is wrong here.
    pub message: String,
    /// What to do.
    pub fix: &'static str,
}

impl Finding {
    pub(crate) fn new(rule: &'static Rule, file: &str, pointer: &str, message: impl AsRef<str>) -> Self {
        Self {
            rule: rule.id,
            severity: rule.severity,
            file: file.to_owned(),
            line: None,
            pointer: pointer.to_owned(),
            message: printable(message.as_ref(), MAX_MESSAGE),
            fix: rule.fix,
        }
    }
}

/// At most `longest` characters, none of which moves a cursor or ends a line.
pub fn printable(text: &str, longest: usize) -> String {
    let mut out = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == longest {
            out.push('…');
            break;
        }
        match c {
            '\n' | '\t' => out.push(' '),
            // Marks that reorder what stands around them: what is shown would not be what is there.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Where findings go, while one file is looked at.
pub(crate) struct Findings<'a> {
    file: &'a str,
    /// Prefix of every pointer.
    at: String,
    found: &'a mut Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(file: &'a str, at: &str, found: &'a mut Vec<Finding>) -> Self {
        Self { file, at: at.to_owned(), found }
    }

    /// Records a finding at `pointer`, relative to the item.
    pub(crate) fn add(&mut self, rule: &'static Rule, pointer: &str, message: impl AsRef<str>) {
        self.found.push(Finding::new(rule, self.file, &format!("{}{pointer}", self.at), message));
    }
}
