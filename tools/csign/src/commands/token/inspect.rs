//! `csign token inspect`: what does this token say? Nothing is verified.

use std::path::PathBuf;

use csign_trust::ExitStatus;
use serde_json::json;

use super::parts::{Parts, read_token};
use crate::context::{CommandResult, Context};

/// Show what a token says, without verifying it
///
/// Anyone can write a token: use csign token verify before believing one. The signature is not shown.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign token inspect token\n  csign token inspect - --output json < /run/container_launcher/attestation_verifier_claims_token"
)]
pub(super) struct Args {
    /// The token's file; - is stdin
    file: PathBuf,
}

pub(super) fn run(args: &Args, context: &Context) -> CommandResult {
    show(&Parts::of(&read_token(&args.file)?)?, context)?;
    Ok(ExitStatus::Success)
}

/// Prints header and claims, and says that they are nobody's word.
pub(super) fn show(parts: &Parts, context: &Context) -> Result<(), crate::failure::Failure> {
    context.note("warning: not verified: anyone can write such a token");
    let data = json!({"verified": false, "header": parts.shown_header(), "claims": parts.claims});
    context.print(&data, || parts.table())
}
