//! `csign collect`: check everyone's approvals against the contract, attach them in one write, and verify.

use std::{collections::BTreeMap, path::PathBuf};

use csign_envelope::{
    PredicateType,
    bundle::Bundle,
    statement::{REPRODUCED_PREDICATE, Reproduced, RevisionFrom},
};
use csign_registry::evidence::{self, Place};
use csign_trust::{
    ExitStatus, ImageCheck, PartyStatus, Roster,
    exchange::{Approval, Request},
    report::printable,
};

use super::{ContractArgs, attach::attach, verify};
use crate::{
    bundles::{self, Format},
    context::{CommandResult, Context, read},
    failure::Failure,
    signature::Signature,
};

/// Check the parties' approvals, attach all of them in one write, and verify the result
///
/// The bundles hold each party's signature once more and its statement of what it rebuilt, for cosign and others.
/// Nothing is written unless the approvals and what is attached already meet the contract's threshold.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  csign collect --request request.json alice.json bob.json")]
pub(crate) struct Args {
    #[command(flatten)]
    contract: ContractArgs,
    /// The request that was approved
    #[arg(long, value_name = "FILE", default_value = "request.json")]
    request: PathBuf,
    /// The parties' approvals
    #[arg(value_name = "APPROVAL", required = true)]
    approvals: Vec<PathBuf>,
    /// Attach what there is, even if parties are still missing
    #[arg(long)]
    partial: bool,
    /// Format to write; the default is both where the registry lists referrers, else legacy
    #[arg(long, value_enum)]
    format: Option<Format>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let contract = context.contract(&args.contract.contract, args.contract.allow_simulated)?;
    let roster = Roster::of_contract(&contract)?;
    let image = Request::parse(&read(&args.request)?)?.check(&contract)?;
    let (mut signatures, mut approvals) = (Vec::new(), Vec::new());
    for path in &args.approvals {
        let approval = Approval::parse(&read(path)?)?.check(&contract, &image)?;
        let how = how(approval.get().what_was_rebuilt().as_ref());
        context.note(format_args!("{} approves and {how}", approval.get().party));
        signatures.push(Signature::of_approval(&image, approval.get())?);
        approvals.push(approval.into_inner());
    }

    let client = context.registry()?;
    let mut before = ImageCheck::new(&image, &roster);
    let place = context.attachments_of(&image);
    let attached = Place::Registry(&client, place.clone());
    evidence::gather(&attached, &mut before).await;
    let before = before.report();
    let approved = |key_id| signatures.iter().any(|signature| Some(signature.key().id()) == key_id);
    let missing: Vec<&str> = before
        .parties
        .iter()
        .filter(|row| !matches!(row.status, PartyStatus::Signed { .. }) && !approved(row.key_id))
        .map(|row| row.party.as_str())
        .collect();
    let have = before.parties.len() - missing.len();
    if have < before.required && !args.partial {
        if !before.unchecked.is_empty() {
            return Err(Failure::could_not_check(format_args!(
                "reading what is attached: {}",
                before.unchecked.join("; ")
            )));
        }
        return Err(Failure::rejected(format_args!(
            "{have} of {} required parties signed; missing: {}; nothing was written",
            before.required,
            missing.join(", ")
        ))
        .hint("add the missing approvals, let the party run csign sign, or use --partial to attach what there is"));
    }

    let format = Format::choose(args.format, true, &client, &place).await?;
    if format.has_legacy() {
        attach(&client, &image, &signatures, context).await?;
    }
    if format.has_bundle() {
        let reproduced: PredicateType = REPRODUCED_PREDICATE.parse().map_err(Failure::usage)?;
        for (signature, approval) in signatures.iter().zip(&approvals) {
            let key = signature.key();
            let none = BTreeMap::new();
            bundles::attach_signature(&client, &image, &approval.bundle, key, &none, context).await?;
            let bundle = Bundle::new(approval.reproduced.clone(), key);
            bundles::attach_attestation(&client, &image, &bundle, key, &reproduced, context).await?;
        }
    }
    let mut after = ImageCheck::new(&image, &roster);
    evidence::gather(&attached, &mut after).await;
    let after = after.report();
    for signature in &signatures {
        let lost = after
            .parties
            .iter()
            .find(|row| row.key_id == Some(signature.key().id()) && !matches!(row.status, PartyStatus::Signed { .. }));
        if let Some(row) = lost {
            return Err(Failure::could_not_check(format_args!(
                "the signature of {} was attached but is not there any more",
                row.party
            ))
            .hint("something else overwrites the signature tag; stop it, then run csign attach --repair"));
        }
    }
    let status = verify::print(&after, context)?;
    Ok(if args.partial { ExitStatus::Success } else { status })
}

/// What a party states about its own build, for people.
fn how(reproduced: Option<&Reproduced>) -> String {
    let Some(said) = reproduced.filter(|said| said.rebuilt) else { return "did not rebuild it".to_owned() };
    let Some(rebuild) = &said.rebuild else { return "rebuilt it".to_owned() };
    let revision = said.source_revision.as_deref().unwrap_or("no revision");
    let own = if rebuild.revision_from == RevisionFrom::Party { ", which the request does not name" } else { "" };
    let tool = rebuild.bazel.as_deref().or(said.toolchain.as_deref()).unwrap_or("an unnamed toolchain");
    // Signed is not the same as harmless on a terminal.
    let text = format!("rebuilt it: {revision}{own}; {tool}; network: {}", rebuild.network);
    printable(&text, 300)
}
