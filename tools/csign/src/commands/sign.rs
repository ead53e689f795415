//! `csign sign`: sign an image and attach the signature, without losing anyone else's.

use std::{collections::BTreeMap, path::PathBuf};

use csign_envelope::simple_signing;
use csign_oci::Pinned;
use csign_trust::ExitStatus;
use serde_json::json;

use super::{KeyArgs, approve::party_of, attach::attach};
use crate::{
    context::{CommandResult, Context},
    failure::Failure,
    signature::Signature,
};

/// Sign an image and attach the signature in the format that Confidential Space reads
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign sign registry.example/team/app@sha256:… --key cosign.key\n  csign sign registry.example/team/app@sha256:… --key gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
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
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = annotation)]
    annotation: Vec<(String, String)>,
}

fn annotation(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((simple_signing::PUB | simple_signing::SIGALG, _)) => Err("csign sets this annotation itself".to_owned()),
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("an annotation is NAME=VALUE".to_owned()),
    }
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let image = Pinned::parse(&args.image)?;
    let contract = args.contract.as_deref().map(|path| context.contract(path, args.allow_simulated)).transpose()?;
    if let Some(contract) = &contract
        && contract.image.repository != image.repository
    {
        return Err(Failure::rejected(format_args!(
            "the contract is about {}, not {}",
            contract.image.repository, image.repository
        )));
    }
    let client = context.registry()?;
    let signer = context.signer(&args.key).await?;
    let party = contract.as_ref().map(|contract| party_of(contract, signer.public_key())).transpose()?;
    let extra: BTreeMap<String, String> = args.annotation.iter().cloned().collect();
    let annotations = simple_signing::annotations(signer.public_key(), &extra);
    let payload = simple_signing::payload(&image.repository, &image.digest, &annotations);
    let bytes = signer.sign(&payload).await?;
    let signature = Signature::new(&image, payload, bytes, signer.public_key().clone())?;
    attach(&client, &image, &[signature], context).await?;
    let key_id = signer.public_key().id();
    context.print(&json!({"image": image, "keyId": key_id, "party": party}), || match &party {
        Some(party) => format!("{image} signed by {party} ({key_id})"),
        None => format!("{image} signed with {key_id}"),
    })?;
    Ok(ExitStatus::Success)
}
