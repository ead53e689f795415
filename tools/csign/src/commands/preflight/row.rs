//! The rows of the table, and the verdict over them.

use csign_contract::diff::Difference;
use csign_lint::{Finding, Severity, printable};
use csign_oci::{Digest, Pinned};
use csign_trust::{ExitStatus, report::table};
use serde::Serialize;

use crate::failure::Failure;

/// Characters of one cell; `--output json` has more.
const WIDTH: usize = 160;

/// What a person may go without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Part {
    /// A rebuild of one's own
    Rebuild,
    /// What was approved before: the first time there is nothing
    Approval,
    /// What the other collaborators published
    Policies,
    /// The operator's machine
    Instance,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Rebuild => "rebuild",
            Self::Approval => "approval",
            Self::Policies => "policies",
            Self::Instance => "instance",
        }
    }
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    /// It holds.
    Ok,
    /// It does not.
    Failed,
    /// It could not be found out.
    Unknown,
    /// What it needs was not given.
    NotGiven,
    /// It is still to come, and that is no failure.
    Awaited,
}

impl Status {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "FAILED",
            Self::Unknown => "UNKNOWN",
            Self::NotGiven => "not given",
            Self::Awaited => "awaited",
        }
    }
}

/// One check.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    check: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    party: Option<String>,
    status: Status,
    detail: String,
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Finding>,
    /// Which part of --without lets it be absent.
    #[serde(skip)]
    part: Option<Part>,
}

impl Row {
    pub(super) fn new(check: &'static str, status: Status, detail: impl AsRef<str>) -> Self {
        let detail = printable(detail.as_ref(), 2000);
        Self { check, party: None, status, detail, advice: None, findings: Vec::new(), part: None }
    }

    /// What is needed for `part` was not given.
    pub(super) fn not_given(check: &'static str, part: Part, detail: impl AsRef<str>) -> Self {
        Self { part: Some(part), ..Self::new(check, Status::NotGiven, detail) }
    }

    /// What a command that does this check alone would have ended with.
    pub(super) fn of_failure(check: &'static str, failure: &Failure) -> Self {
        let status = if failure.status == ExitStatus::Rejected { Status::Failed } else { Status::Unknown };
        let row = Self::new(check, status, failure.message());
        match failure.advice() {
            Some(advice) => row.advice(advice),
            None => row,
        }
    }

    pub(super) fn of_party(mut self, party: &str) -> Self {
        self.party = Some(party.to_owned());
        self
    }

    /// About this one of several of a kind.
    pub(super) fn about(mut self, name: &str) -> Self {
        self.detail = format!("{name}: {}", self.detail);
        self
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.status == Status::Unknown
    }

    /// What to do about it.
    pub(super) fn advice(mut self, advice: impl AsRef<str>) -> Self {
        self.advice = Some(printable(advice.as_ref(), 1000));
        self
    }

    /// With what csign lint found: notes change nothing, warnings and errors make it fail.
    pub(super) fn with(mut self, findings: Vec<Finding>) -> Self {
        let serious: Vec<&Finding> = findings.iter().filter(|finding| finding.severity != Severity::Note).collect();
        if let Some(first) = serious.first() {
            let more = match serious.len() {
                1 => String::new(),
                count => format!(" (and {} more)", count - 1),
            };
            let found = format!("{}{more} [{}]", first.message, first.rule);
            self.detail = match self.status {
                Status::Failed => format!("{}; {found}", self.detail),
                _ => found,
            };
            self.status = Status::Failed;
            self.advice.get_or_insert_with(|| first.fix.to_owned());
        } else if self.status == Status::Ok && !findings.is_empty() {
            let notes: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
            self.detail = format!("{}; note: {}", self.detail, notes.join("; "));
        }
        let clean = |finding: Finding| Finding {
            file: printable(&finding.file, 300),
            pointer: printable(&finding.pointer, 300),
            ..finding
        };
        self.findings = findings.into_iter().map(clean).collect();
        self
    }
}

/// The verdict over all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// Everything that was asked for holds.
    Ready,
    /// Something does not.
    Rejected,
    /// Something could not be checked.
    CouldNotCheck,
    /// Something was not given.
    Incomplete,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::Rejected => "REJECTED",
            Self::CouldNotCheck => "COULD NOT CHECK",
            Self::Incomplete => "INCOMPLETE",
        }
    }
}

/// All rows.
#[derive(Debug, Serialize)]
pub(super) struct Table<'a> {
    verdict: Verdict,
    image: &'a Pinned,
    party: &'a str,
    contract: Digest,
    rows: Vec<Row>,
    /// The contract against the one that was approved before.
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<Difference>,
    /// What the person goes without.
    without: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) fn new(
        image: &'a Pinned,
        party: &'a str,
        contract: Digest,
        rows: Vec<Row>,
        difference: Option<Difference>,
        without: &[Part],
    ) -> Self {
        let has = |status: Status| rows.iter().any(|row| row.status == status);
        let meant = |row: &Row| row.part.is_some_and(|part| without.contains(&part));
        let verdict = if has(Status::Failed) {
            Verdict::Rejected
        } else if has(Status::Unknown) {
            Verdict::CouldNotCheck
        } else if rows.iter().any(|row| row.status == Status::NotGiven && !meant(row)) {
            Verdict::Incomplete
        } else {
            Verdict::Ready
        };
        let without = without.iter().map(|part| part.name()).collect();
        Self { verdict, image, party, contract, rows, difference, without }
    }

    pub(super) const fn status(&self) -> ExitStatus {
        match self.verdict {
            Verdict::Ready => ExitStatus::Success,
            Verdict::Rejected => ExitStatus::Rejected,
            Verdict::CouldNotCheck | Verdict::Incomplete => ExitStatus::CouldNotCheck,
        }
    }

    /// The table, what to do, what changed in the contract, the verdict.
    pub(super) fn text(&self) -> String {
        let party = |row: &Row| row.party.clone().unwrap_or_default();
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| {
                let detail = printable(&row.detail, WIDTH);
                vec![row.check.to_owned(), party(row), row.status.word().to_owned(), detail]
            })
            .collect();
        let mut out = table(&["CHECK", "PARTY", "STATUS", "DETAIL"], &rows);
        let open = |row: &&Row| matches!(row.status, Status::Failed | Status::Unknown | Status::NotGiven);
        for row in self.rows.iter().filter(open) {
            if let Some(advice) = &row.advice {
                let party = row.party.as_ref().map(|party| format!(" {party}")).unwrap_or_default();
                out.push_str(&format!("do: {}{party}: {advice}\n", row.check));
            }
        }
        if let Some(difference) = self.difference.as_ref().filter(|difference| !difference.is_empty()) {
            let Difference { old, new, .. } = difference;
            out.push_str(&format!("The contract was {old} and is {new}:\n{}", difference.text()));
        }
        let count = |status: Status| self.rows.iter().filter(|row| row.status == status).count();
        let counted: Vec<String> = [
            (Status::Failed, "failed"),
            (Status::Unknown, "unknown"),
            (Status::NotGiven, "not given"),
            (Status::Awaited, "awaited"),
        ]
        .into_iter()
        .filter(|(status, _)| count(*status) > 0)
        .map(|(status, word)| format!("{} {word}", count(status)))
        .collect();
        let counted = if counted.is_empty() { "everything holds".to_owned() } else { counted.join(", ") };
        out.push_str(&format!("{} {} for {}: {counted}\n", self.verdict.word(), self.image, self.party));
        out
    }
}
