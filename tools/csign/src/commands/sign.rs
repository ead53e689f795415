//! `csign sign`: sign an image and attach the signature, without losing anyone else's.

use std::{collections::BTreeMap, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::{
    bundle::Bundle,
    dsse::{Envelope, IN_TOTO, pae},
    simple_signing,
    statement::Statement,
};
use csign_keys::Signer;
use csign_oci::Pinned;
use csign_trust::ExitStatus;
use serde_json::json;

use super::{KeyArgs, annotation, annotations, approve::signer_of, attach::attach};
use crate::{
    bundles::{self, Format},
    context::{CommandResult, Context, Output, write},
    failure::Failure,
    signature::Signature,
};

/// Sign an image and attach the signature in the formats that Confidential Space and cosign read
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign sign registry.example/team/app@sha256:… --key cosign.key\n  csign sign registry.example/team/app@sha256:… --key gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1\n  csign sign registry.example/team/app@sha256:… --key cosign.key --upload=false --output-signature app.sig --output-payload app.payload"
)]
pub(crate) struct Args {
    /// Image with its digest; a tag is refused
    #[arg(value_name = "IMAGE@DIGEST")]
    image: String,
    #[command(flatten)]
    key: KeyArgs,
    /// Refuse unless the image and the key are this contract's
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    /// Accept a contract for the simulator, whose verdicts no hardware protects
    #[arg(long, requires = "contract")]
    allow_simulated: bool,
    /// Annotation to sign along
    #[arg(long = "annotation", short, visible_alias = "annotations", value_name = "NAME=VALUE", value_parser = annotation)]
    annotation: Vec<(String, String)>,
    /// Format to write; the default is both under a contract where the registry lists referrers, else legacy
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Attach the signature; =false only makes it, without any network but that of the key
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    upload: bool,
    /// Write the legacy signature to this file, in base64
    #[arg(long, value_name = "FILE")]
    output_signature: Option<PathBuf>,
    /// Write the legacy payload, which the signature is over, to this file
    #[arg(long, value_name = "FILE")]
    output_payload: Option<PathBuf>,
    /// Write the sigstore bundle to this file
    #[arg(long, value_name = "FILE", visible_alias = "bundle")]
    output_bundle: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let image = Pinned::parse(&args.image)?;
    let annotations = annotations(&args.annotation)?;
    let contract = args.contract.as_deref().map(|path| context.contract(path, args.allow_simulated)).transpose()?;
    if let Some(contract) = &contract
        && contract.image.repository != image.repository
    {
        return Err(Failure::rejected(format_args!(
            "the contract is about {}, not {}",
            contract.image.repository, image.repository
        )));
    }
    let client = args.upload.then(|| context.registry()).transpose()?;
    let signer = context.signer(&args.key).await?;
    let (signer, party) = match &contract {
        Some(contract) => signer_of(contract, signer).map(|(signer, party)| (signer, Some(party)))?,
        None => (signer, None),
    };
    let format = match &client {
        Some(client) => {
            Format::choose(args.format, contract.is_some(), client, &context.attachments_of(&image)).await?
        }
        None => args.format.unwrap_or_else(|| args.format_of_outputs()),
    };
    refuse_outputs_without_format(args, format, context)?;
    let legacy = match format.has_legacy() {
        true => Some(legacy(&image, &signer, &annotations).await?),
        false => None,
    };
    let bundle = match format.has_bundle() {
        true => Some(bundle(&image, &signer, &annotations).await?),
        false => None,
    };
    // Files before the network: what was signed is not lost when the registry cannot be reached.
    if let Some(signature) = &legacy {
        write_output(args.output_signature.as_ref(), BASE64_STANDARD.encode(signature.bytes()).as_bytes())?;
        write_output(args.output_payload.as_ref(), signature.payload())?;
    }
    if let Some(bundle) = &bundle {
        write_output(args.output_bundle.as_ref(), &bundles::to_bytes(bundle)?)?;
    }
    if let Some(client) = &client {
        if let Some(signature) = &legacy {
            attach(client, &image, std::slice::from_ref(signature), context).await?;
        }
        if let Some(bundle) = &bundle {
            bundles::attach_signature(client, &image, bundle, signer.public_key(), &annotations, context).await?;
        }
    }
    let key_id = signer.public_key().id();
    let mut data =
        json!({"image": image, "keyId": key_id, "party": party, "format": format.name(), "uploaded": args.upload});
    let signature = legacy.as_ref().map(|signature| BASE64_STANDARD.encode(signature.bytes()));
    if !args.upload {
        data["signature"] = json!(signature);
        data["payload"] = json!(legacy.as_ref().map(|signature| String::from_utf8_lossy(signature.payload())));
        data["bundle"] = json!(bundle);
    }
    context.print(&data, || match (&party, args.upload) {
        (Some(party), true) => format!("{image} signed by {party} ({key_id})"),
        (None, true) => format!("{image} signed with {key_id}"),
        // As cosign does: what was made, unless a file holds it.
        (_, false) => match (signature, bundle) {
            (Some(signature), _) if args.output_signature.is_none() => signature,
            (_, Some(bundle)) if args.output_bundle.is_none() => serde_json::to_string(&bundle).unwrap_or_default(),
            _ => String::new(),
        },
    })?;
    Ok(ExitStatus::Success)
}

impl Args {
    /// Are there files for the legacy signature?
    const fn has_legacy_outputs(&self) -> bool {
        self.output_signature.is_some() || self.output_payload.is_some()
    }

    /// Without upload: what there are files for.
    const fn format_of_outputs(&self) -> Format {
        match (self.has_legacy_outputs(), self.output_bundle.is_some()) {
            (true, true) => Format::Both,
            (false, true) => Format::Bundle,
            (_, false) => Format::Legacy,
        }
    }
}

/// A file that would stay empty is a mistake of the caller, and so is a signature that goes nowhere.
fn refuse_outputs_without_format(args: &Args, format: Format, context: &Context) -> Result<(), Failure> {
    if args.has_legacy_outputs() && !format.has_legacy() {
        return Err(Failure::usage("--output-signature and --output-payload need --format legacy or both"));
    }
    if args.output_bundle.is_some() && !format.has_bundle() {
        return Err(Failure::usage("--output-bundle needs --format bundle or both"));
    }
    let is_printed = context.output == Output::Json;
    let has_file = args.output_signature.is_some() || args.output_bundle.is_some();
    if !args.upload && !is_printed && format == Format::Both && !has_file {
        return Err(Failure::usage("stdout does not hold both formats")
            .hint("give --output-signature, --output-bundle, or --output json"));
    }
    Ok(())
}

async fn legacy(image: &Pinned, signer: &Signer, extra: &BTreeMap<String, String>) -> Result<Signature, Failure> {
    let key = signer.public_key();
    let annotations = simple_signing::annotations(key, extra);
    let payload = simple_signing::payload(&image.repository, &image.digest, &annotations);
    let bytes = signer.sign(&payload).await?;
    Signature::new(image, payload, bytes, key.clone())
}

async fn bundle(image: &Pinned, signer: &Signer, annotations: &BTreeMap<String, String>) -> Result<Bundle, Failure> {
    let statement = Statement::signature(&image.digest, annotations).to_bytes()?;
    let signature = signer.sign(&pae(IN_TOTO, &statement)).await?;
    Ok(Bundle::new(Envelope::new(IN_TOTO, &statement, &signature), signer.public_key()))
}

fn write_output(path: Option<&PathBuf>, bytes: &[u8]) -> Result<(), Failure> {
    path.map_or(Ok(()), |path| write(path, bytes, true))
}
