//! What others published: each collaborator's provider and key policy, and the operator's machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use csign_contract::LogRedirect;
use csign_lint::{Admission, Document, Finding, Machine, Severity, admission, lint, machine, printable};

use super::{
    Subject,
    row::{Part, Row, Status},
};
use crate::{context::read, failure::Failure};

/// Most files of one party.
const MAX_FILES: usize = 50;

impl Subject<'_> {
    /// Findings without the rules that are turned off, and without what the contract itself says is meant.
    pub(super) fn allowed(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        findings.retain(|finding| !self.args.allow.iter().any(|rule| rule.id == finding.rule));
        let agreed = self.contract.launch.log_redirect == LogRedirect::Always;
        for finding in findings.iter_mut().filter(|finding| agreed && finding.rule == "image-log-redirect") {
            finding.severity = Severity::Note;
        }
        findings
    }
}

/// One row for every other collaborator, and for the party itself if it gave its own.
pub(super) fn policies(subject: &Subject<'_>) -> Vec<Row> {
    const CHECK: &str = "policy";
    let mut rows = Vec::new();
    for (party, _) in subject.contract.collaborators() {
        let paths: Vec<&Path> = given(subject, &party.name).collect();
        if paths.is_empty() {
            if party.name != subject.args.party {
                let row = Row::not_given(CHECK, Part::Policies, "unknown whom it releases its key to");
                rows.push(row.of_party(&party.name).advice(format!(
                    "ask for its provider and its key's IAM policy (gcloud … --format=json), then --policy {}=DIR",
                    party.name
                )));
            }
            continue;
        }
        let row = policy(subject, &party.name, &paths).unwrap_or_else(|failure| Row::of_failure(CHECK, &failure));
        rows.push(row.of_party(&party.name));
    }
    rows
}

fn given<'a>(subject: &Subject<'a>, party: &'a str) -> impl Iterator<Item = &'a Path> {
    let args = subject.args;
    args.policies.iter().filter(move |(name, _)| name == party).map(|(_, path)| path.as_path())
}

fn policy(subject: &Subject<'_>, party: &str, paths: &[&Path]) -> Result<Row, Failure> {
    let mut documents = Vec::new();
    for file in files(paths)? {
        documents.push(document(&file)?);
    }
    let Subject { contract, image, args, .. } = subject;
    let found = admission(&documents, contract, party, &image.digest, &args.also)
        .map_err(|error| Failure::rejected(&error).hint("csign lint says what is wrong with it"))?;
    let findings = subject.allowed(lint(&documents, Some(contract)));
    let Admission { missing, refused, strangers, tokens } = found;
    let row = if let Some(stranger) = strangers.first() {
        let more = if strangers.len() > 1 { format!(" (and {} more)", strangers.len() - 1) } else { String::new() };
        Row::new("policy", Status::Failed, format!("it lets in {stranger}{more}"))
            .advice("that party must correct it; csign explain shows every clause")
    } else if let Some(why) = refused.first() {
        Row::new("policy", Status::Failed, format!("it refuses the agreed image: {why}"))
            .advice("that party must correct it; csign explain shows every clause")
    } else if !missing.is_empty() {
        Row::not_given("policy", Part::Policies, format!("not given: {}", missing.join(", ")))
            .advice("ask that party for it (gcloud … --format=json)")
    } else {
        let detail = format!(
            "it lets in the agreed image and none of {} others",
            tokens.saturating_sub(contract.platform.hardware.len())
        );
        Row::new("policy", Status::Ok, detail)
    };
    Ok(row.with(findings))
}

/// The files that are meant, those of directories sorted by name.
fn files(paths: &[&Path]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.to_path_buf());
            continue;
        }
        let failed = |error: std::io::Error| Failure::reading(path, &error);
        let mut inside = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            if file.extension().is_some_and(|extension| extension == "json") {
                inside.push(file);
            }
            if inside.len() > MAX_FILES {
                return Err(Failure::could_not_check(format_args!(
                    "{} has more than {MAX_FILES} files",
                    path.display()
                )));
            }
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

fn document(path: &Path) -> Result<Document, Failure> {
    let name = printable(&path.display().to_string(), 300);
    Document::read(&name, &read(path)?, None).map_err(|error| Failure::could_not_check(&error))
}

/// Is the machine the one that the contract describes, with this very image?
pub(super) fn instance(subject: &Subject<'_>) -> Row {
    const CHECK: &str = "instance";
    let Some(path) = &subject.args.instance else {
        return Row::not_given(CHECK, Part::Instance, "unknown what the operator starts")
            .advice("ask for gcloud compute instances describe … --format=json, then --instance FILE");
    };
    let documents = match document(path) {
        Ok(document) => [document],
        Err(failure) => return Row::of_failure(CHECK, &failure),
    };
    let Machine { wrong, unknown } = machine(&documents, subject.contract, &subject.image.digest);
    let row = if let Some(first) = wrong.first() {
        Row::new(CHECK, Status::Failed, first).advice("the operator must start the agreed image")
    } else if unknown.is_empty() {
        Row::new(CHECK, Status::Ok, "image, project, account, secure boot and metadata are the contract's")
    } else {
        Row::new(CHECK, Status::Unknown, format!("it does not say: {}", unknown.join(", ")))
            .advice("export the running machine: gcloud compute instances describe … --format=json")
    };
    row.with(subject.allowed(lint(&documents, Some(subject.contract))))
}
