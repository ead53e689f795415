//! `csign attach attestation`: attach statements that were signed elsewhere.

use std::path::PathBuf;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::{
    PublicKey,
    bundle::{Bundle, BundleError},
    dsse::Envelope,
    statement::{Statement, StatementError},
};
use csign_oci::{Pinned, json as strict};
use csign_registry::AttestationLayer;
use csign_trust::ExitStatus;
use serde_json::{Value, json};

use crate::{
    bundles,
    context::{CommandResult, Context, read_public_key, read_up_to},
    failure::Failure,
};

/// Largest attestation that is read, in bytes.
const MAX_ATTESTATION: u64 = 24 << 20;

/// Attach attestations: DSSE envelopes go under the .att tag, sigstore bundles become referrers
///
/// Everything is read and checked before anything is written: the statement must be about the image, and with --key one
/// of the keys must have signed it.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  csign attach attestation registry.example/team/app@sha256:… --attestation a.json --attestation b.json --key alice.pub"
)]
pub(crate) struct Args {
    /// Image with its digest; a tag is refused
    #[arg(value_name = "IMAGE@DIGEST")]
    image: String,
    /// A DSSE envelope or a sigstore bundle, as csign attest --no-upload prints them; give it once for each
    #[arg(long, value_name = "FILE", required = true)]
    attestation: Vec<PathBuf>,
    /// Refuse unless one of these keys signed; without it signatures are not looked at
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
}

/// An attestation that was read.
enum Attestation {
    Envelope(AttestationLayer),
    Bundle(Vec<u8>, String),
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let image = Pinned::parse(&args.image)?;
    let keys = args.key.iter().map(|path| read_public_key(path)).collect::<Result<Vec<_>, _>>()?;
    let mut envelopes = Vec::new();
    let mut bundles = Vec::new();
    let mut types = Vec::new();
    for path in &args.attestation {
        let in_file = |failure: Failure| failure.in_file(path);
        match read(read_up_to(path, MAX_ATTESTATION)?, &image, &keys).map_err(in_file)? {
            Attestation::Envelope(layer) => {
                types.push(layer.predicate_type.clone());
                envelopes.push(layer);
            }
            Attestation::Bundle(bytes, kind) => {
                types.push(kind.clone());
                bundles.push((bytes, kind));
            }
        }
    }
    if keys.is_empty() {
        context.note("note: without --key nobody has checked who signed");
    }
    let client = context.registry()?;
    if !envelopes.is_empty() {
        client.attach_attestations(&context.attachments_of(&image), &envelopes).await?;
    }
    for (bytes, kind) in &bundles {
        bundles::attach_foreign(&client, &image, bytes, kind, context).await?;
    }
    context.print(&json!({"image": image, "attached": types}), || {
        types.iter().map(|kind| format!("{image} has an attestation {kind}\n")).collect()
    })?;
    Ok(ExitStatus::Success)
}

fn read(bytes: Vec<u8>, image: &Pinned, keys: &[PublicKey]) -> Result<Attestation, Failure> {
    let bytes = bytes.trim_ascii().to_vec();
    let value: Value = strict::value_from_slice(&bytes).map_err(Failure::usage)?;
    if value.get("mediaType").is_none() {
        let envelope = Envelope::parse(&bytes).map_err(Failure::usage)?;
        let predicate_type = check(&envelope, image, keys)?;
        return Ok(Attestation::Envelope(AttestationLayer { envelope: bytes, predicate_type }));
    }
    let envelope = match Bundle::parse(&bytes) {
        Ok(bundle) => bundle.dsse_envelope,
        Err(BundleError::Certificate) if keys.is_empty() => {
            let envelope = value.get("dsseEnvelope").cloned().unwrap_or_default();
            serde_json::from_value(envelope).map_err(|_| Failure::usage("the bundle holds no DSSE envelope"))?
        }
        Err(BundleError::Certificate) => {
            return Err(Failure::rejected("the bundle is signed with a certificate, not with one of the keys"));
        }
        Err(error) => return Err(Failure::usage(error)),
    };
    let kind = check(&envelope, image, keys)?;
    Ok(Attestation::Bundle(bytes, kind))
}

/// The predicate type, if the statement is about the image and one of `keys` signed it.
fn check(envelope: &Envelope, image: &Pinned, keys: &[PublicKey]) -> Result<String, Failure> {
    let payload = match keys {
        [] => BASE64_STANDARD
            .decode(&envelope.payload)
            .map_err(|_| Failure::usage("the envelope's payload is not base64"))?,
        keys => keys.iter().find_map(|key| envelope.verify(key).ok()).ok_or_else(|| {
            Failure::rejected("none of the keys signed it").hint("is it the right key, and the file as it was made?")
        })?,
    };
    let statement = Statement::parse(&payload)?;
    match statement.require_subject(&image.digest, &[]) {
        Ok(()) | Err(StatementError::Repository { .. }) => Ok(statement.predicate_type),
        Err(error) => Err(Failure::rejected(error)),
    }
}
