//! Entries for people: aligned columns, one line each, with nothing in them that a terminal would obey.

use std::fmt::Write as _;

use super::AuditEntry;

/// Longest cell, in characters; the clause, which comes last, is never cut.
const MAX_CELL: usize = 60;
const HEADERS: [&str; 7] = ["SEQUENCE", "TIME", "VERDICT", "SERVICE", "METHOD", "PRINCIPAL", "RESOURCE"];

/// A table that grows: columns become wider with what they hold and never narrower.
#[derive(Debug)]
pub struct Table {
    widths: [usize; 7],
    headed: bool,
}

impl Default for Table {
    fn default() -> Self {
        Self { widths: HEADERS.map(str::len), headed: false }
    }
}

impl Table {
    /// The lines of these entries; the first call starts with the headers.
    pub fn lines(&mut self, entries: &[AuditEntry]) -> String {
        let rows: Vec<([String; 7], String)> =
            entries.iter().map(|entry| (cells(entry), printable(&entry.clause))).collect();
        for (cells, _) in &rows {
            for (width, cell) in self.widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        if !std::mem::replace(&mut self.headed, true) {
            self.line(&mut text, &HEADERS.map(str::to_owned), "CLAUSE");
        }
        for (cells, clause) in &rows {
            self.line(&mut text, cells, clause);
        }
        text
    }

    fn line(&self, text: &mut String, cells: &[String; 7], clause: &str) {
        for (width, cell) in self.widths.iter().zip(cells) {
            let _ = write!(text, "{cell:<width$}  ");
        }
        text.push_str(clause);
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
}

fn cells(entry: &AuditEntry) -> [String; 7] {
    let verdict = if entry.allowed { "allowed" } else { "DENIED" };
    let short = |text: &str| {
        let text = printable(text);
        // The end of a resource's or a principal's name says more than its start.
        match text.chars().count().checked_sub(MAX_CELL) {
            None | Some(0) => text,
            Some(over) => format!("…{}", text.chars().skip(over + 1).collect::<String>()),
        }
    };
    let AuditEntry { sequence, time, service, method, principal, resource, .. } = entry;
    [
        sequence.to_string(),
        clock_time(*time),
        verdict.to_owned(),
        short(service),
        short(method),
        short(principal),
        short(resource),
    ]
}

/// `HH:MM:SS` in UTC; the date is in the JSON form.
fn clock_time(seconds: u64) -> String {
    let day = seconds % 86_400;
    format!("{:02}:{:02}:{:02}", day / 3600, day / 60 % 60, day % 60)
}

/// Control characters, line ends and characters that change the direction of text become visible escapes.
fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if hidden(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sequence: u64, principal: &str, clause: &str) -> AuditEntry {
        AuditEntry {
            sequence,
            time: 3_661,
            service: "kms".to_owned(),
            method: "decrypt".to_owned(),
            principal: principal.to_owned(),
            resource: "r".to_owned(),
            allowed: false,
            clause: clause.to_owned(),
        }
    }

    #[test]
    fn columns_are_aligned_and_the_headers_come_once() {
        let mut table = Table::default();
        let text = table.lines(&[entry(0, "a", "one"), entry(1, "a longer principal", "two")]);
        assert_eq!(
            text,
            "SEQUENCE  TIME      VERDICT  SERVICE  METHOD   PRINCIPAL           RESOURCE  CLAUSE\n\
             0         01:01:01  DENIED   kms      decrypt  a                   r         one\n\
             1         01:01:01  DENIED   kms      decrypt  a longer principal  r         two\n"
        );
        assert_eq!(table.lines(&[entry(2, "a", "x")]).lines().count(), 1);
    }

    #[test]
    fn nothing_in_an_entry_reaches_the_terminal_as_a_command() {
        let text = Table::default().lines(&[entry(0, "\u{1b}]0;owned\u{7}\r\n", "a\nb\u{202e}c\u{9b}31m")]);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}') && text.contains("\\u{1b}]0;owned"), "{text:?}");
    }

    #[test]
    fn a_long_name_keeps_its_end_and_a_long_clause_is_whole() {
        let name = format!("{}END", "x".repeat(200));
        let text = Table::default().lines(&[entry(0, &name, &name)]);
        assert!(text.contains("xEND  r ") && text.contains(&format!("  {name}\n")), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 400));
    }
}
