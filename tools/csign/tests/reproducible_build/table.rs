//! The table that the test prints, and its verdict.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use crate::{builder::Answer, skip, variation::Variation};

/// Collects rows; the answers of the plain builds are what all others are compared with.
pub(crate) struct Table<'a> {
    clean: &'a Answer,
    leaking: &'a Answer,
    text: String,
    failures: Vec<String>,
    skipped: Vec<String>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(clean: &'a Answer, leaking: &'a Answer) -> Self {
        let text = format!("{:22}{:9}{:16}{}\n", "variation", "digest", "leak noticed", "how: plain / varied");
        Self { clean, leaking, text, failures: Vec::new(), skipped: Vec::new() }
    }

    /// The same builds once more: unless they give the same, no comparison means anything.
    pub(crate) fn again(&mut self, clean: &Answer, leaking: &Answer) {
        let same = (clean == self.clean, leaking == self.leaking) == (true, true);
        self.line("nothing, again", same, "-", "");
        self.require(same, "two builds on the same machine differ");
    }

    /// One variation alone: the digest is the same, and a leak of what varies would have been noticed.
    pub(crate) fn row(&mut self, variation: Variation, clean: &Answer, leaking: &Answer) {
        let same = clean == self.clean;
        let noticed = self.who_noticed(variation, leaking);
        let name = format!("{variation:?}");
        self.line(&name, same, if noticed.is_empty() { "NO" } else { &noticed }, variation.how());
        self.require(same, &format!("the digest depends on {name}"));
        self.require(!noticed.is_empty() && leaking.image != self.leaking.image, &format!("{name} varies nothing"));
    }

    pub(crate) fn at_once(&mut self, variations: &[Variation], clean: &Answer, leaking: &Answer) {
        let same = clean == self.clean;
        let unnoticed = variations.iter().filter(|variation| self.who_noticed(**variation, leaking).is_empty());
        let unnoticed: Vec<String> = unnoticed.map(|variation| format!("{variation:?}")).collect();
        self.line("all at once", same, if unnoticed.is_empty() { "all" } else { "NOT ALL" }, "");
        self.require(same, "the digest depends on several variations at once");
        self.require(unnoticed.is_empty(), &format!("all at once does not vary {}", unnoticed.join(", ")));
    }

    /// All at once with the optimizations of the real workload.
    pub(crate) fn optimized(&mut self, plain: &Answer, varied: &Answer) {
        self.line("all, optimized", plain == varied, "-", "");
        self.require(plain == varied, "with optimization across crates, the digest depends on the builder");
    }

    pub(crate) fn skipped(&mut self, variation: Variation, why: &str) {
        let _ = writeln!(self.text, "{:22}skipped: {why}", format!("{variation:?}"));
        self.skipped.push(format!("{variation:?} {why}"));
    }

    /// Prints everything.
    ///
    /// # Panics
    /// When a digest differs, a leak went unnoticed, or CI skips something.
    pub(crate) fn judge(self) {
        // Past the test harness, which shows what a test prints only when it fails.
        let _ = write!(io::stderr(), "{}", self.text);
        assert!(self.failures.is_empty(), "{}", self.failures.join("\n"));
        if !self.skipped.is_empty() {
            skip(&self.skipped.join(", "));
        }
    }

    /// The build script, the macro or both saw that this differs from the plain build.
    fn who_noticed(&self, variation: Variation, leaking: &Answer) -> String {
        let differs = |who: &&str| {
            let fact = format!("{who} {}", variation.fact());
            leaking.facts.get(&fact) != self.leaking.facts.get(&fact)
        };
        ["script", "macro"].into_iter().filter(differs).collect::<Vec<_>>().join(", ")
    }

    fn line(&mut self, name: &str, same: bool, noticed: &str, how: &str) {
        let digest = if same { "same" } else { "DIFFERS" };
        let _ = writeln!(self.text, "{name:22}{digest:9}{noticed:16}{how}");
    }

    fn require(&mut self, holds: bool, otherwise: &str) {
        if !holds {
            self.failures.push(otherwise.to_owned());
        }
    }
}
