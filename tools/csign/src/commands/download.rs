//! `csign download`: what is attached to an image, as files that other tools read. Nothing is verified.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Subcommand;
use csign_envelope::{dsse::Envelope, predicate::PredicateType, simple_signing::SIGNATURE_ANNOTATION};
use csign_oci::{Descriptor, Pinned, json as strict};
use csign_registry::{Client, Kind, Source, attachments::Node};
use csign_trust::{ExitStatus, report::printable};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    claimed,
    context::{CommandResult, Context, Output, write_stdout},
    failure::Failure,
};

/// The largest payload, envelope or bundle, in bytes.
const MAX_DOCUMENT: u64 = 16 << 20;
/// Annotations of a layer with what a transparency log or a time stamp authority said.
const BUNDLE: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// Print what is attached to an image, without verifying it
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign download signature registry.example/team/app@sha256:…\n  csign download sbom registry.example/team/app@sha256:… > sbom.json"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Print signatures, one JSON object on a line: what cosign prints for the .sig tag, and bundles
    #[command(after_help = "Example:\n  csign download signature registry.example/team/app@sha256:…")]
    Signature(Image),
    /// Print attestations, one JSON object on a line: envelopes of the .att tag, and bundles
    #[command(
        after_help = "Example:\n  csign download attestation registry.example/team/app@sha256:… --predicate-type slsaprovenance1"
    )]
    Attestation {
        #[command(flatten)]
        image: Image,
        /// Only this predicate type: a name that cosign knows, or a URI
        #[arg(long, value_name = "TYPE")]
        predicate_type: Option<PredicateType>,
    },
    /// Print the SBOM that is attached by the .sbom tag, else the one SBOM among the referrers
    #[command(after_help = "Example:\n  csign download sbom registry.example/team/app@sha256:… > sbom.json")]
    Sbom(Image),
}

#[derive(clap::Args)]
struct Image {
    /// Image with its digest; a tag is refused
    #[arg(value_name = "IMAGE@DIGEST")]
    image: String,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let (image, kind) = match &args.what {
        What::Signature(image) => (image, Kind::Signature),
        What::Attestation { image, .. } => (image, Kind::Attestation),
        What::Sbom(image) => (image, Kind::Sbom),
    };
    let image = Pinned::parse(&image.image)?;
    let client = context.registry()?;
    let source = context.source(&client, &image).await?;
    let (mut found, remarks) = source.attachments(|one| one == kind).await?;
    if let Some(unread) = remarks.unread.first() {
        return Err(Failure::could_not_check(format_args!("not everything attached can be read: {unread}")));
    }
    // csign's own records repeat what the tags hold.
    found.retain(|(one, _)| !one.record);
    let nodes: Vec<Node> = found.into_iter().map(|(_, node)| node).collect();
    context.note("note: nothing of this is verified; csign verify does that");
    let get = Get { client: &client, source: &source };
    let lines = match &args.what {
        What::Signature(_) => get.signatures(&nodes).await?,
        What::Attestation { predicate_type, .. } => get.attestations(&nodes, predicate_type.as_ref()).await?,
        What::Sbom(_) => return get.sbom(&image, &nodes, context).await,
    };
    if lines.is_empty() {
        return Err(nothing(&image));
    }
    let text = match context.output {
        Output::Text => lines.iter().map(|line| format!("{line}\n")).collect(),
        Output::Json => format!("{}\n", Value::Array(lines)),
    };
    write_stdout(text.as_bytes())?;
    Ok(ExitStatus::Success)
}

fn nothing(image: &Pinned) -> Failure {
    Failure::rejected(format_args!("nothing of this kind is attached to {image}"))
        .hint("csign tree IMAGE@DIGEST shows what is attached")
}

struct Get<'a> {
    client: &'a Client,
    source: &'a Source,
}

impl Get<'_> {
    async fn document(&self, layer: &Descriptor) -> Result<Vec<u8>, Failure> {
        if layer.size > MAX_DOCUMENT {
            let text = format!("{} has {} bytes; no honest one has", layer.digest, layer.size);
            return Err(Failure::could_not_check(text));
        }
        Ok(self.source.blob(self.client, layer).await?)
    }

    async fn json(&self, layer: &Descriptor) -> Result<Value, Failure> {
        let bytes = self.document(layer).await?;
        strict::value_from_slice(&bytes)
            .map_err(|error| Failure::could_not_check(format_args!("parsing {}: {error}", layer.digest)))
    }

    /// Signatures in cosign's members, and bundles as they are.
    async fn signatures(&self, nodes: &[Node]) -> Result<Vec<Value>, Failure> {
        let mut lines = Vec::new();
        for node in nodes {
            if let Some(bundle) = node.contents.bundle() {
                lines.push(self.json(bundle).await?);
                continue;
            }
            for layer in node.contents.layers() {
                let Some(signature) = layer.annotations.get(SIGNATURE_ANNOTATION) else { continue };
                let payload = self.document(layer).await?;
                let annotation = |name: &str| match layer.annotations.get(name) {
                    None => Ok(Value::Null),
                    Some(text) => strict::value_from_slice(text.as_bytes())
                        .map_err(|error| Failure::could_not_check(format_args!("parsing annotation {name}: {error}"))),
                };
                let raw = |der: Vec<u8>| json!({"Raw": BASE64_STANDARD.encode(der)});
                let certificates = |name: &str| {
                    let pem = layer.annotations.get(name).map_or("", String::as_str);
                    claimed::pem_certificates(pem).into_iter().map(raw).collect::<Vec<Value>>()
                };
                let chain = certificates(claimed::CHAIN);
                lines.push(json!({
                    "Base64Signature": signature,
                    "Payload": BASE64_STANDARD.encode(payload),
                    "Cert": certificates(claimed::CERTIFICATE).into_iter().next(),
                    "Chain": if chain.is_empty() { Value::Null } else { Value::Array(chain) },
                    "Bundle": annotation(BUNDLE)?,
                    "RFC3161Timestamp": annotation(TIMESTAMP)?,
                }));
            }
        }
        Ok(lines)
    }

    async fn attestations(&self, nodes: &[Node], wanted: Option<&PredicateType>) -> Result<Vec<Value>, Failure> {
        let mut lines = Vec::new();
        for node in nodes {
            for layer in node.contents.layers() {
                let value = self.json(layer).await?;
                let envelope = value.get("dsseEnvelope").unwrap_or(&value);
                let is_wanted = wanted.is_none_or(|wanted| predicate(envelope).is_some_and(|uri| wanted.is(&uri)));
                if is_wanted {
                    lines.push(value);
                }
            }
        }
        Ok(lines)
    }

    async fn sbom(&self, image: &Pinned, nodes: &[Node], context: &Context) -> CommandResult {
        let layers: Vec<&Descriptor> = nodes.iter().flat_map(|node| node.contents.layers()).collect();
        let layer = match layers.as_slice() {
            [] => return Err(nothing(image)),
            [layer] => layer,
            several => {
                return Err(Failure::could_not_check(format_args!("{} SBOMs are attached to {image}", several.len()))
                    .hint("csign tree shows them; fetch the one that you mean by its digest"));
            }
        };
        context.note(format_args!("media type: {}", printable(&layer.media_type, 120)));
        write_stdout(&self.document(layer).await?)?;
        Ok(ExitStatus::Success)
    }
}

/// The predicate type that an envelope's payload states.
fn predicate(envelope: &Value) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        predicate_type: String,
    }
    let envelope: Envelope = serde_json::from_value(envelope.clone()).ok()?;
    let payload = BASE64_STANDARD.decode(envelope.payload).ok()?;
    Some(strict::from_slice::<Head>(&payload).ok()?.predicate_type)
}
