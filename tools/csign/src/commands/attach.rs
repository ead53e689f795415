//! `csign attach`: attach what was made elsewhere, without losing anyone else's.

use std::path::PathBuf;

use csign_oci::Pinned;
use csign_registry::Client;
use csign_trust::{ExitStatus, exchange::Approval};
use serde_json::json;

use super::{attach_attestation, attach_sbom};
use crate::{
    context::{CommandResult, Context, read, read_public_key},
    failure::Failure,
    signature::Signature,
};

/// Attach what was made elsewhere: signatures, attestations, SBOMs; nobody else's is lost
///
/// Without a subcommand it attaches signatures, as csign attach signature does. Each is verified before anything is
/// written. Any number of attaches may run at the same time.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  csign attach registry.example/team/app@sha256:… alice.json bob.json\n  csign attach signature registry.example/team/app@sha256:… --payload payload.json --signature payload.sig --key alice.pub\n  csign attach attestation registry.example/team/app@sha256:… --attestation app.att.json --key alice.pub\n  csign attach registry.example/team/app@sha256:… --repair"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    signature: Option<SignatureArgs>,
}

#[derive(clap::Subcommand)]
enum What {
    /// Attach signatures: approvals, or a payload with its signature
    #[command(
        after_help = "Examples:\n  csign attach signature registry.example/team/app@sha256:… alice.json bob.json\n  csign attach signature registry.example/team/app@sha256:… --payload payload.json --signature payload.sig --key alice.pub"
    )]
    Signature(SignatureArgs),
    Attestation(attach_attestation::Args),
    Sbom(attach_sbom::Args),
}

#[derive(clap::Args)]
struct SignatureArgs {
    /// Image with its digest; a tag is refused
    #[arg(value_name = "IMAGE@DIGEST")]
    image: String,
    /// Approvals whose signatures are attached
    #[arg(value_name = "APPROVAL")]
    approvals: Vec<PathBuf>,
    /// File with the payload that was signed, as csign generate prints it
    #[arg(long, value_name = "FILE", requires = "signature")]
    payload: Option<PathBuf>,
    /// File with the signature over the payload, in base64
    #[arg(long, value_name = "FILE", requires = "payload")]
    signature: Option<PathBuf>,
    /// Public key of that signature, where the payload does not name it
    #[arg(long, value_name = "FILE", requires = "payload")]
    key: Option<PathBuf>,
    /// Merge what every signer stored into the shared tags again, after another tool overwrote them
    #[arg(long)]
    repair: bool,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    match (&args.what, &args.signature) {
        (Some(What::Attestation(args)), _) => attach_attestation::run(args, context).await,
        (Some(What::Sbom(args)), _) => attach_sbom::run(args, context).await,
        (Some(What::Signature(args)), _) | (None, Some(args)) => signatures(args, context).await,
        (None, None) => Err(Failure::usage("there is nothing to attach").hint("csign attach --help shows what can be")),
    }
}

async fn signatures(args: &SignatureArgs, context: &Context) -> CommandResult {
    let image = Pinned::parse(&args.image)?;
    let mut signatures = Vec::new();
    for path in &args.approvals {
        let approval = Approval::parse(&read(path)?)?;
        signatures.push(Signature::of_approval(&image, &approval)?);
    }
    if let (Some(payload), Some(signature)) = (&args.payload, &args.signature) {
        let key = args.key.as_deref().map(read_public_key).transpose()?;
        signatures.push(Signature::parse(&image, read(payload)?, &read(signature)?, key)?);
    }
    if signatures.is_empty() && !args.repair {
        return Err(Failure::usage("there is nothing to attach")
            .hint("give approvals, or --payload and --signature, or --repair"));
    }
    let client = context.registry()?;
    attach(&client, &image, &signatures, context).await?;
    if args.repair {
        client.repair(&context.attachments_of(&image)).await?;
        client.repair_referrers(&context.attachments_of(&image)).await?;
    }
    let keys: Vec<_> = signatures.iter().map(|signature| signature.key().id()).collect();
    context.print(&json!({"image": image, "attached": keys}), || {
        keys.iter().map(|id| format!("{image} has the signature of {id}\n")).collect()
    })?;
    Ok(ExitStatus::Success)
}

/// Attaches `signatures` in one write; with none of them, repairs the signature tag.
pub(crate) async fn attach(
    client: &Client,
    image: &Pinned,
    signatures: &[Signature],
    context: &Context,
) -> Result<(), Failure> {
    let layers: Vec<_> = signatures.iter().map(Signature::layer).collect();
    let attached = client.attach(&context.attachments_of(image), &layers, &Signature::same_signer(signatures)).await?;
    if attached.rounds > 1 {
        context.note(format_args!("others wrote at the same time; merged in {} rounds", attached.rounds));
    }
    Ok(())
}
