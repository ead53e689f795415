//! What each step must do and what it did: progress on stderr while it runs, a table at the end.

use std::{
    io::{self, Write as _},
    time::Instant,
};

/// All steps so far.
#[derive(Default)]
pub(super) struct Ledger {
    rows: Vec<[String; 4]>,
    failed: bool,
}

/// A step that has begun.
pub(super) struct Step {
    name: String,
    expected: &'static str,
    began: Instant,
}

/// A line for people.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Something that a program wrote, indented.
pub(super) fn quote(text: &str) {
    for line in text.lines() {
        say(&format!("    {line}"));
    }
}

impl Ledger {
    /// Begins a step, of which `expected` must come out.
    pub(super) fn begin(&self, name: impl Into<String>, expected: &'static str) -> Step {
        let name = name.into();
        say(&format!("{:>2}. {name}", self.rows.len() + 1));
        Step { name, expected, began: Instant::now() }
    }

    /// Notes how it came out: whether as expected, and what a person should know.
    pub(super) fn end(&mut self, step: Step, as_expected: bool, found: impl Into<String>) {
        let found = found.into();
        self.failed |= !as_expected;
        let word = if as_expected { "ok" } else { "FAILED" };
        say(&format!("    {word}: {found} ({:.1} s)", step.began.elapsed().as_secs_f64()));
        self.rows.push([word.to_owned(), step.name, step.expected.to_owned(), found]);
    }

    /// Notes that the demo had to stop here.
    pub(super) fn stop(&mut self, why: &str) {
        self.failed = true;
        say(&format!("the demo could not go on: {why}"));
        self.rows.push(["FAILED", "the demo could not go on", "reach its end", why].map(str::to_owned));
    }

    /// Did every step come out as it must?
    pub(super) fn all_as_expected(&self) -> bool {
        !self.failed && !self.rows.is_empty()
    }

    /// The table, without times: two runs of the same sources print the same.
    pub(super) fn table(&self) -> String {
        let header = ["", "STEP", "MUST", "CAME OUT"].map(str::to_owned);
        let mut widths = [0; 4];
        for row in std::iter::once(&header).chain(&self.rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut out = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            out.push_str(cells.join("  ").trim_end());
            out.push('\n');
        }
        let count = self.rows.len();
        let verdict = if self.failed { "not every step came out as it must" } else { "every step came out as it must" };
        out.push_str(&format!("{count} steps: {verdict}\n"));
        out
    }
}
