//! `csign lint`: known mistakes in contracts, images, conditions, bindings and exports.

use std::path::{Path, PathBuf};

use csign_contract::Contract;
use csign_lint::{Document, Finding, Kind, MAX_DOCUMENT, Rule, Severity, lint, rule, rules, sarif};
use csign_trust::{ExitStatus, report::table};
use serde_json::json;

use crate::{
    context::{CommandResult, Context, read_up_to, write},
    failure::Failure,
};

/// Find known mistakes in contracts, images, requests, policies, and in what gcloud, Terraform, Vault and AWS export
///
/// Conditions, bindings, roles and trust policies are judged by whom they let in: they are evaluated over the token that the right
/// workload gets, and over tokens that differ from it in one way each. What belongs together, as a provider and the policy of
/// a key, is judged together if it is given together.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign lint collaboration.toml image\n  gcloud iam workload-identity-pools providers describe attestation-verifier --location=global --workload-identity-pool=pool --format=json > provider.json\n  gcloud kms keys get-iam-policy key1 --keyring=kr1 --location=global --format=json > policy.json\n  csign lint provider.json policy.json --contract collaboration.toml\n  terraform show -json plan > plan.json && csign lint plan.json --sarif lint.sarif\n  csign lint --explain admits-debug\n\ndocs/lint.md describes every rule.\n\nExit status:\n  0  no error was found\n  1  an error was found, or with --deny warnings a warning\n  2  called wrongly, or an input that is nothing that lint knows\n  3  an input could not be read"
)]
pub(crate) struct Args {
    /// Files, layout directories or image references; - is stdin
    #[arg(value_name = "PATH|IMAGE", required_unless_present_any = ["rules", "explain"])]
    inputs: Vec<String>,
    /// What the inputs are, where their content does not say so
    #[arg(long, value_name = "contract|image|request|rego|condition|json", value_parser = kind)]
    kind: Option<Kind>,
    /// The contract that says what is right
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    /// Turn a rule off; may be repeated
    #[arg(long, value_name = "RULE", value_parser = known_rule)]
    allow: Vec<&'static Rule>,
    /// Fail on warnings too
    #[arg(long, value_name = "warnings", value_parser = ["warnings"])]
    deny: Option<String>,
    /// Also write the findings as SARIF 2.1.0
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// List all rules
    #[arg(long, conflicts_with_all = ["inputs", "explain"])]
    rules: bool,
    /// Explain a rule
    #[arg(long, value_name = "RULE", value_parser = known_rule, conflicts_with = "inputs")]
    explain: Option<&'static Rule>,
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::ALL.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind).ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|(name, _)| *name).collect();
        format!("the kinds are {}", names.join(", "))
    })
}

fn known_rule(id: &str) -> Result<&'static Rule, String> {
    rule(id).ok_or_else(|| "there is no such rule; csign lint --rules lists them".to_owned())
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    if args.rules {
        let all: Vec<&Rule> = rules().collect();
        let rows: Vec<Vec<String>> = all
            .iter()
            .map(|rule| {
                vec![rule.id.to_owned(), rule.area.to_owned(), rule.severity.name().to_owned(), rule.title.to_owned()]
            })
            .collect();
        context.print(&all, || table(&["RULE", "ABOUT", "SEVERITY", ""], &rows))?;
        return Ok(ExitStatus::Success);
    }
    if let Some(rule) = args.explain {
        let Rule { id, area, severity, title, explanation, fix } = rule;
        context
            .print(rule, || format!("{id} ({area}, {}): {title}\n\n{explanation}\n\nFix: {fix}", severity.name()))?;
        return Ok(ExitStatus::Success);
    }
    // A simulated contract is looked at, not relied on.
    let contract = args.contract.as_ref().map(|path| context.contract(path, true)).transpose()?;
    let mut documents = Vec::new();
    for input in &args.inputs {
        documents.push(document(input, args.kind, context).await?);
    }
    report(args, &documents, contract.as_ref(), context)
}

async fn document(input: &str, kind: Option<Kind>, context: &Context) -> Result<Document, Failure> {
    let path = Path::new(input);
    let is_file =
        input == "-" || path.exists() || matches!(input.rsplit('.').next(), Some("json" | "toml" | "rego" | "cel"));
    if !is_file || path.is_dir() {
        let configured = context.image_config(input).await?;
        return Ok(Document::of_image(input, configured.config));
    }
    let bytes = read_up_to(path, MAX_DOCUMENT as u64)?;
    Document::read(input, &bytes, kind).map_err(|error| {
        let failure = Failure::usage(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

fn report(args: &Args, documents: &[Document], contract: Option<&Contract>, context: &Context) -> CommandResult {
    let mut findings = lint(documents, contract);
    findings.retain(|finding| !args.allow.iter().any(|allowed| allowed.id == finding.rule));
    if let Some(path) = &args.sarif {
        let mut document = serde_json::to_vec_pretty(&sarif(&findings, env!("CARGO_PKG_VERSION")))
            .map_err(Failure::could_not_check)?;
        document.push(b'\n');
        write(path, &document, true)?;
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
    let data = json!({"findings": findings, "errors": errors, "warnings": warnings, "notes": notes});
    context.print(&data, || {
        let mut text: String = findings.iter().map(line).collect();
        text.push_str(&format!("errors: {errors}, warnings: {warnings}, notes: {notes}"));
        text
    })?;
    let denied = errors > 0 || (args.deny.is_some() && warnings > 0);
    Ok(if denied { ExitStatus::Rejected } else { ExitStatus::Success })
}

/// `FILE:LINE: error[RULE]: MESSAGE`, with the place and the fix below.
fn line(finding: &Finding) -> String {
    let Finding { rule, severity, file, line, pointer, message, fix } = finding;
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    let place =
        if pointer.is_empty() { String::new() } else { format!(" ({})", csign_trust::report::printable(pointer, 200)) };
    format!("{file}{line}: {}[{rule}]: {message}{place}\n  fix: {fix}\n", severity.name())
}
