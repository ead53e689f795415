//! `csign attest`: state something about an image, signed, and attach it without losing anyone else's statements.

use std::path::PathBuf;

use csign_envelope::{
    PredicateType,
    bundle::Bundle,
    dsse::{Envelope, IN_TOTO, pae},
    statement::{STATEMENT_V01, STATEMENT_V1, Statement},
};
use csign_keys::Signer;
use csign_oci::Pinned;
use csign_registry::AttestationLayer;
use csign_sbom::provenance::SLSA1;
use csign_trust::ExitStatus;
use serde_json::{Value, json};

use super::{KeyArgs, predicate_type};
use crate::{
    bundles::{self, Format},
    context::{CommandResult, Context, read_up_to, write, write_stdout},
    failure::Failure,
    provenance::{self, AutoArgs},
};

/// Largest predicate that is read, in bytes: an SBOM of a large image has a few megabytes.
const MAX_PREDICATE: u64 = 16 << 20;

/// Attach a signed statement about an image: provenance, an SBOM, a scan, anything
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign attest registry.example/team/app@sha256:… --type custom --predicate foo.json --key cosign.key\n  csign attest registry.example/team/app@sha256:… --type cyclonedx --predicate app.cdx.json --key cosign.key --no-upload --output-attestation app.att.json\n  csign attest registry.example/team/app@sha256:… --type slsaprovenance1 --auto --layout image --source . --key cosign.key"
)]
#[command(group = clap::ArgGroup::new("stated").required(true))]
pub(crate) struct Args {
    /// Image with its digest; a tag is refused
    #[arg(value_name = "IMAGE@DIGEST")]
    image: String,
    #[command(flatten)]
    key: KeyArgs,
    /// What is stated: custom, slsaprovenance, slsaprovenance02, slsaprovenance1, spdx, spdxjson, cyclonedx, link, vuln,
    /// openvex, or the URI of a predicate type
    #[arg(long = "type", value_name = "TYPE", default_value = "custom", value_parser = predicate_type)]
    kind: PredicateType,
    /// File with the predicate, which is what is stated; - is stdin
    #[arg(long, value_name = "FILE", group = "stated")]
    predicate: Option<PathBuf>,
    /// Make the predicate of what csign build knows (slsaprovenance1 only; see the options under Provenance)
    #[arg(long, group = "stated")]
    auto: bool,
    /// Format to write; the default is both under a contract about this repository (--contract) where the registry lists
    /// referrers, else legacy
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Only make the attestation, without any network but that of the key
    #[arg(long)]
    no_upload: bool,
    /// Write the attestation to this file: a DSSE envelope, or with --format bundle a bundle
    #[arg(long, value_name = "FILE")]
    output_attestation: Option<PathBuf>,
    #[command(flatten)]
    provenance: AutoArgs,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let image = Pinned::parse(&args.image)?;
    let predicate = predicate(args, &image, context)?;
    let client = (!args.no_upload).then(|| context.registry()).transpose()?;
    // One file holds one attestation.
    let asked = args.format.or(args.output_attestation.as_ref().map(|_| Format::Legacy));
    let format = match &client {
        Some(client) => {
            Format::choose(asked, has_contract(args, &image, context), client, &context.attachments_of(&image)).await?
        }
        None => args.format.unwrap_or(Format::Legacy),
    };
    if format == Format::Both && (args.no_upload || args.output_attestation.is_some()) {
        return Err(Failure::usage("one file holds one attestation").hint("give --format legacy or --format bundle"));
    }
    let signer = context.signer(&args.key).await?;
    let key = signer.public_key();
    let legacy = match format.has_legacy() {
        true => {
            let name = image.repository.to_string();
            let uri = args.kind.uri();
            let statement = Statement::attestation(STATEMENT_V01, Some(&name), &image.digest, uri, predicate.clone());
            let envelope = sign(&signer, &statement).await?;
            Some(serde_json::to_vec(&envelope).map_err(Failure::could_not_check)?)
        }
        false => None,
    };
    let bundle = match format.has_bundle() {
        true => {
            let name = image.repository.to_string();
            let statement =
                Statement::attestation(STATEMENT_V1, Some(&name), &image.digest, args.kind.uri(), predicate);
            Some(Bundle::new(sign(&signer, &statement).await?, key))
        }
        false => None,
    };
    // Files before the network: what was signed is not lost when the registry cannot be reached.
    let made = match (&legacy, &bundle) {
        (Some(envelope), _) => envelope.clone(),
        (None, Some(bundle)) => bundles::to_bytes(bundle)?,
        (None, None) => Vec::new(),
    };
    if let Some(path) = &args.output_attestation {
        write(path, &made, true)?;
    } else if client.is_none() {
        write_stdout(&[made, b"\n".to_vec()].concat())?;
        return Ok(ExitStatus::Success);
    }
    if let Some(client) = &client {
        if let Some(envelope) = legacy {
            let layer = AttestationLayer { envelope, predicate_type: args.kind.uri().to_owned() };
            client.attach_attestations(&context.attachments_of(&image), &[layer]).await?;
        }
        if let Some(bundle) = &bundle {
            bundles::attach_attestation(client, &image, bundle, key, &args.kind, context).await?;
        }
    }
    let data = json!({
        "image": image, "keyId": key.id(), "predicateType": args.kind.uri(), "format": format.name(),
        "uploaded": client.is_some(),
    });
    context.print(&data, || match client {
        Some(_) => format!("{image} has the attestation {} of {}", args.kind, key.id()),
        None => String::new(),
    })?;
    Ok(ExitStatus::Success)
}

/// Does a contract ask for Confidential Space for this image's repository? It chooses a format and decides nothing.
fn has_contract(args: &Args, image: &Pinned, context: &Context) -> bool {
    let path = &args.provenance.contract.contract;
    path.is_file() && context.contract(path, true).is_ok_and(|contract| contract.image.repository == image.repository)
}

fn predicate(args: &Args, image: &Pinned, context: &Context) -> Result<Value, Failure> {
    if args.auto {
        if args.kind.uri() != SLSA1 {
            return Err(Failure::usage(format_args!("--auto makes no predicate of type {}", args.kind))
                .hint("--type slsaprovenance1 --auto makes provenance; csign sbom makes documents to attest"));
        }
        return provenance::auto(&args.provenance, image, context);
    }
    let Some(path) = &args.predicate else {
        return Err(Failure::usage("there is nothing to state").hint("give --predicate FILE"));
    };
    let file = read_up_to(path, MAX_PREDICATE)?;
    args.kind.predicate(&file, &context.timestamp()?).map_err(|error| {
        Failure::usage(format_args!("{}: {error}", path.display()))
            .hint("--type says what the file is; a URI takes any JSON object")
    })
}

async fn sign(signer: &Signer, statement: &Statement) -> Result<Envelope, Failure> {
    let payload = statement.to_bytes()?;
    let signature = signer.sign(&pae(IN_TOTO, &payload)).await?;
    Ok(Envelope::new(IN_TOTO, &payload, &signature))
}
