//! `csign contract`: check a contract, print its digest, compare two.

use std::path::PathBuf;

use clap::Subcommand;
use csign_contract::{Contract, Threshold, diff::difference, lint};
use csign_trust::{ExitStatus, report::table};
use serde_json::json;

use crate::context::{CommandResult, Context};

/// Check a contract, print its digest, or compare two
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign contract check\n  csign contract digest collaboration.toml\n  csign contract diff old.toml collaboration.toml"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Check that the contract makes sense; print the parties and what a careful reader would ask
    #[command(after_help = "Example:\n  csign contract check collaboration.toml")]
    Check {
        /// The contract
        #[arg(default_value = "collaboration.toml")]
        file: PathBuf,
    },
    /// Print the digest of the canonical form, which requests, approvals and messages carry
    #[command(after_help = "Example:\n  csign contract digest --canonical > contract.json")]
    Digest {
        /// The contract
        #[arg(default_value = "collaboration.toml")]
        file: PathBuf,
        /// Print the canonical form itself, as it stands in the image
        #[arg(long)]
        canonical: bool,
    },
    /// Show what changed between two contracts, by meaning; what concerns trust comes first, with a mark
    #[command(
        after_help = "Example:\n  csign contract diff old.toml collaboration.toml\n\nEither may be contract.json out of an image.\n\nExit status:\n  0  they are the same\n  1  they differ\n  2  called wrongly\n  3  a file could not be read"
    )]
    Diff {
        /// The contract as it was
        old: PathBuf,
        /// The contract as it is
        #[arg(default_value = "collaboration.toml")]
        new: PathBuf,
    },
}

pub(crate) fn run(args: &Args, context: &Context) -> CommandResult {
    match &args.action {
        Action::Check { file } => check(&context.contract(file, true)?, context)?,
        Action::Digest { file, canonical } => {
            let contract = context.contract(file, true)?;
            if *canonical {
                let text = String::from_utf8_lossy(&contract.canonical()).into_owned();
                crate::context::write_stdout(text.as_bytes())?;
            } else {
                context.print(&json!({"digest": contract.digest()}), || contract.digest().to_string())?;
            }
        }
        Action::Diff { old, new } => {
            let found = difference(&context.contract(old, true)?, &context.contract(new, true)?);
            context.print(&found, || if found.is_empty() { "no difference".to_owned() } else { found.text() })?;
            if !found.is_empty() {
                return Ok(ExitStatus::Rejected);
            }
        }
    }
    Ok(ExitStatus::Success)
}

fn check(contract: &Contract, context: &Context) -> Result<(), crate::failure::Failure> {
    let warnings = lint::lint(contract);
    for warning in &warnings {
        context.note(format_args!("warning: {} [{}]", warning.text, warning.rule));
    }
    let data = json!({
        "name": contract.name,
        "digest": contract.digest(),
        "repository": contract.image.repository,
        "required": contract.signatures.threshold.required(contract.parties.len()),
        "parties": contract.parties.iter().map(|party| json!({
            "party": party.name, "keyId": party.public_key.id(), "collaborator": party.collaborator.is_some(),
        })).collect::<Vec<_>>(),
        "warnings": warnings,
    });
    context.print(&data, || {
        let rows: Vec<Vec<String>> = contract
            .parties
            .iter()
            .map(|party| {
                let data = if party.collaborator.is_some() { "sends data" } else { "" };
                vec![party.name.clone(), party.public_key.id().to_string(), data.to_owned()]
            })
            .collect();
        let threshold = match contract.signatures.threshold {
            Threshold::All => "all of them must sign".to_owned(),
            Threshold::AtLeast(count) => format!("{count} of them must sign"),
        };
        format!("{}\n{}\n{threshold}\n{}", contract.name, contract.digest(), table(&["PARTY", "KEY ID", ""], &rows))
    })
}
