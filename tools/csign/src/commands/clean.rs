//! `csign clean`: remove what is attached to an image, after asking.

use std::io::{self, BufRead as _, IsTerminal as _};

use clap::ValueEnum;
use csign_oci::Pinned;
use csign_registry::{Attachment, Kind, attachments::Node};
use csign_trust::ExitStatus;
use serde_json::json;

use crate::{
    context::{CommandResult, Context},
    failure::Failure,
};

/// Remove signatures, attestations or SBOMs from an image, after asking
///
/// Deletes cosign's tags, what csign keeps for each signer, and bundles of that type. The image itself, other referrers,
/// and what is attached to attachments stay. Without --type it removes all
/// three kinds, as cosign does.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign clean registry.example/team/app@sha256:… --type sbom\n  csign clean registry.example/team/app@sha256:… --type signature --yes"
)]
pub(crate) struct Args {
    /// Image with its digest; a tag is refused
    #[arg(value_name = "IMAGE@DIGEST")]
    image: String,
    /// What to remove
    #[arg(long = "type", value_enum, default_value_t = What::All, value_name = "TYPE")]
    what: What,
    /// Do not ask
    #[arg(long, short, visible_short_alias = 'f', visible_alias = "force")]
    yes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Signature,
    Attestation,
    Sbom,
    /// All three
    All,
}

impl What {
    fn includes(self, kind: Kind) -> bool {
        match self {
            Self::Signature => kind == Kind::Signature,
            Self::Attestation => kind == Kind::Attestation,
            Self::Sbom => kind == Kind::Sbom,
            Self::All => kind != Kind::Referrer,
        }
    }
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let image = Pinned::parse(&args.image)?;
    let client = context.registry()?;
    let source = context.source(&client, &image).await?;
    let (found, remarks) = source.attachments(|kind| args.what.includes(kind)).await?;
    remarks.unread.iter().for_each(|unread| context.note(format_args!("note: {unread}; it stays")));
    if found.is_empty() {
        context.print(&json!({"image": image, "deleted": []}), || "nothing to remove".to_owned())?;
        return Ok(ExitStatus::Success);
    }
    if !args.yes && !confirmed(&image, &found)? {
        return Err(Failure::usage("nothing was removed"));
    }
    let done = client.detach(&image, &found).await?;
    context.print(&json!({"image": image, "deleted": done.deleted, "left": done.left}), || {
        done.deleted.iter().map(|name| format!("removed {name}\n")).collect()
    })?;
    if done.left.is_empty() {
        return Ok(ExitStatus::Success);
    }
    Err(Failure::could_not_check(format_args!("not everything was removed:\n  {}", done.left.join("\n  "))))
}

/// Shows what would be deleted and asks. Where nobody can answer, the answer is not guessed.
fn confirmed(image: &Pinned, found: &[(Attachment, Node)]) -> Result<bool, Failure> {
    let mut question = format!("This removes from {image}:\n");
    for (one, node) in found {
        let name = one.tag.as_ref().map_or_else(|| one.digest.to_string(), ToString::to_string);
        let count = node.contents.layers().len();
        question.push_str(&format!(
            "  {name} ({}, {count} {})\n",
            word(one.kind),
            if count == 1 { "layer" } else { "layers" }
        ));
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format_args!("{question}nobody can be asked: stdin is no terminal"))
            .hint("--yes removes it without asking"));
    }
    let _ = io::Write::write_all(&mut io::stderr(), format!("{question}Remove? [y/N] ").as_bytes());
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|e| Failure::could_not_check(format_args!("asking: {e}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// A kind, as a person reads it.
pub(crate) fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Signature => "signature",
        Kind::Attestation => "attestation",
        Kind::Sbom => "SBOM",
        Kind::Referrer => "referrer",
    }
}
