//! What every report is made of: checks, a verdict, and one way to print a table.

use serde::Serialize;

/// How one check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// It could not be found out.
    Unchecked,
}

impl Outcome {
    /// The word in tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Failed => "REFUSED",
            Self::Unchecked => "UNCHECKED",
        }
    }
}

/// One check of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked: a claim, a party.
    pub subject: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found, and what was wanted where it failed.
    pub detail: String,
}

impl Check {
    /// A check that holds if `holds`.
    pub fn new(subject: impl Into<String>, holds: bool, detail: impl Into<String>) -> Self {
        let outcome = if holds { Outcome::Passed } else { Outcome::Failed };
        Self { subject: subject.into(), outcome, detail: detail.into() }
    }
}

/// The verdict over a whole report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that must hold was seen to hold.
    Verified,
    /// Something that must hold does not.
    Rejected,
    /// Something that must hold could not be found out; it may hold.
    CouldNotCheck,
}

impl Verdict {
    /// The worse of two: what is rejected stays so, whatever else could not be checked.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Rejected, _) | (_, Self::Rejected) => Self::Rejected,
            (Self::CouldNotCheck, _) | (_, Self::CouldNotCheck) => Self::CouldNotCheck,
            (Self::Verified, Self::Verified) => Self::Verified,
        }
    }
}

/// A report that did not hold, given back so that it can be printed.
#[derive(Debug, thiserror::Error)]
#[error("{}", match .verdict { Verdict::CouldNotCheck => "could not check", _ => "rejected" })]
pub struct Refused<R> {
    /// [`Verdict::Rejected`] or [`Verdict::CouldNotCheck`].
    pub verdict: Verdict,
    /// Everything that was found.
    pub report: R,
}

/// Rows as a text table: columns as wide as their widest cell, two spaces between, no trailing spaces.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |row: &[String], column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let widths: Vec<usize> = header
        .iter()
        .enumerate()
        .map(|(column, title)| rows.iter().map(|row| cells(row, column)).max().unwrap_or(0).max(title.chars().count()))
        .collect();
    let mut out = String::new();
    let titles: Vec<String> = header.iter().map(|title| (*title).to_owned()).collect();
    for row in std::iter::once(&titles).chain(rows) {
        let line: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// Foreign text for a table or a log: control characters replaced, shortened to `limit` characters.
pub fn printable(text: &str, limit: usize) -> String {
    let mut out: String = text.chars().take(limit).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(limit).is_some() {
        out.push('…');
    }
    out
}

/// The exit status of every csign program: a script can tell "untrusted" from "unreachable" from "called wrongly".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Done; where something was to be verified, it was.
    Success = 0,
    /// Checked, and not to be trusted.
    Rejected = 1,
    /// Called wrongly, or a file or contract that makes no sense.
    Usage = 2,
    /// Something needed for the answer could not be read: a registry, a key service, the disk.
    CouldNotCheck = 3,
}

impl From<Verdict> for ExitStatus {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Verified => Self::Success,
            Verdict::Rejected => Self::Rejected,
            Verdict::CouldNotCheck => Self::CouldNotCheck,
        }
    }
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}
