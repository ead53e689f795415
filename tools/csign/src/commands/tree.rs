//! `csign tree`: what is attached to an image, to any depth.

use std::collections::BTreeMap;

use csign_envelope::simple_signing::{self, SIGNATURE_ANNOTATION};
use csign_oci::{Descriptor, Digest, Pinned, json as strict};
use csign_registry::{Client, Graph, Source, attachments::Node};
use csign_trust::{ExitStatus, report::printable};
use serde::{Deserialize, Serialize};

use super::clean::word;
use crate::{
    claimed::Signer,
    context::{CommandResult, Context},
    failure::Failure,
};

/// When content was made, as it says itself (OCI image specification 1.1, annotations.md).
const CREATED: &str = "org.opencontainers.image.created";
/// The time that cosign writes where there is none.
const NO_TIME: &str = "0001-01-01T00:00:00Z";
/// Largest payload, bundle or configuration that is read, in bytes: this is a look, not a verification.
const MAX_DOCUMENT: u64 = 1 << 20;
/// Most of them: each is a request.
const MAX_READ: usize = 600;

/// Show what is attached to an image: signatures, attestations, SBOMs, referrers, and what is attached to those
///
/// Signers and dates are what the attachments claim of themselves; nothing is verified.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  csign tree registry.example/team/app@sha256:…")]
pub(crate) struct Args {
    /// Image with its digest
    #[arg(value_name = "IMAGE@DIGEST")]
    image: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// The tag, or "referrer", or "platform".
    via: String,
    /// What it says it is.
    kind: &'static str,
    digest: String,
    artifact_type: String,
    /// Bytes of the manifest and everything in it.
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    predicate_type: Option<String>,
    layers: Vec<LayerRow>,
    attached: Vec<Row>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayerRow {
    digest: String,
    media_type: String,
    size: u64,
    /// Who claims to have signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<Signer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    predicate_type: Option<String>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let image = Pinned::parse(&args.image)?;
    let client = context.registry()?;
    let source = context.source(&client, &image).await?;
    let graph = source.graph(client.limits(), |_| true).await?;
    let mut tree = Tree { graph: &graph, documents: BTreeMap::new() };
    let mut unread = graph.remarks.unread.clone();
    unread.extend(tree.read(&client, &source).await);
    let mut seen = Vec::new();
    let root = tree.row(&image.digest, "image".to_owned(), "image", &mut seen);
    graph.remarks.gone.iter().for_each(|gone| context.note(format_args!("note: {gone}")));
    let data = serde_json::json!({
        "image": image,
        "size": root.as_ref().map(|root| root.size),
        "created": root.as_ref().and_then(|root| root.created.clone()),
        "attached": root.as_ref().map_or(&[][..], |root| &root.attached),
        "unread": unread,
    });
    context.print(&data, || text(&image, root.as_ref()))?;
    if let Some(unread) = unread.first() {
        return Err(Failure::could_not_check(format_args!("not everything attached can be read: {unread}")));
    }
    Ok(ExitStatus::Success)
}

struct Tree<'a> {
    graph: &'a Graph,
    /// Payloads, bundles and configurations, by digest.
    documents: BTreeMap<Digest, Vec<u8>>,
}

impl<'a> Tree<'a> {
    /// Reads what tells who signed and when something was made, as far as the bounds allow. Says what could not be read.
    async fn read(&mut self, client: &Client, source: &Source) -> Vec<String> {
        let mut wanted: Vec<&'a Descriptor> = Vec::new();
        for node in self.graph.nodes.values() {
            let contents = &node.contents;
            wanted
                .extend(contents.layers().iter().filter(|layer| layer.annotations.contains_key(SIGNATURE_ANNOTATION)));
            wanted.extend(contents.bundle());
            if contents.subject.is_none() && !contents.layers().iter().any(is_simple_signing) {
                wanted.extend(contents.blobs.first());
            }
        }
        wanted.retain(|descriptor| descriptor.size <= MAX_DOCUMENT);
        wanted.sort_by_key(|descriptor| descriptor.digest);
        wanted.dedup_by_key(|descriptor| descriptor.digest);
        let mut unread = Vec::new();
        if wanted.len() > MAX_READ {
            unread.push(format!("{} signatures; signers are shown for {MAX_READ}", wanted.len()));
            wanted.truncate(MAX_READ);
        }
        for (descriptor, read) in source.blobs(client, wanted).await {
            match read {
                Ok(bytes) => drop(self.documents.insert(descriptor.digest, bytes)),
                Err(error) => unread.push(error.to_string()),
            }
        }
        unread
    }

    fn row(&self, digest: &Digest, via: String, kind: &'static str, seen: &mut Vec<Digest>) -> Option<Row> {
        let node = self.graph.node(digest)?;
        let contents = &node.contents;
        let mut attached = Vec::new();
        // One that was shown is not entered again.
        if !seen.contains(digest) {
            seen.push(*digest);
            for child in &contents.manifests {
                attached.extend(self.row(&child.digest, format!("platform{}", platform(child)), "platform", seen));
            }
            for one in self.graph.attachments.iter().filter(|one| one.subject == *digest) {
                let via = one.tag.as_ref().map_or_else(|| "referrer".to_owned(), ToString::to_string);
                attached.extend(self.row(&one.digest, via, word(one.kind), seen));
            }
        }
        Some(Row {
            via,
            kind,
            digest: digest.to_string(),
            artifact_type: printable(contents.artifact_type.as_ref().unwrap_or(&node.manifest.media_type), 120),
            // Sizes are what descriptors say; their sum may be beyond all numbers.
            size: contents
                .blobs
                .iter()
                .fold(node.manifest.bytes.len() as u64, |sum, blob| sum.saturating_add(blob.size)),
            created: self.created(node),
            predicate_type: contents.predicate_type().map(|uri| printable(uri, 120)),
            layers: contents.layers().iter().map(|layer| self.layer(layer)).collect(),
            attached,
        })
    }

    fn layer(&self, layer: &Descriptor) -> LayerRow {
        let document = self.documents.get(&layer.digest).map(Vec::as_slice);
        let signer = if is_simple_signing(layer) || layer.annotations.contains_key(SIGNATURE_ANNOTATION) {
            Some(Signer::of_layer(layer, document))
        } else {
            document.map(Signer::of_bundle)
        };
        LayerRow {
            digest: layer.digest.to_string(),
            media_type: printable(&layer.media_type, 120),
            size: layer.size,
            signer: signer.filter(|signer| *signer != Signer::default()),
            predicate_type: layer.annotations.get("predicateType").map(|uri| printable(uri, 120)),
        }
    }

    fn created(&self, node: &Node) -> Option<String> {
        #[derive(Deserialize)]
        struct Config {
            created: Option<String>,
        }
        let config = || {
            let bytes = self.documents.get(&node.contents.blobs.first()?.digest)?;
            strict::from_slice::<Config>(bytes).ok()?.created
        };
        let created = node.contents.annotations.get(CREATED).cloned().or_else(config)?;
        Some(printable(&created, 40)).filter(|created| created != NO_TIME)
    }
}

fn is_simple_signing(layer: &Descriptor) -> bool {
    layer.media_type == simple_signing::MEDIA_TYPE
}

fn platform(child: &Descriptor) -> String {
    let part = |name: &str| child.extra.get("platform").and_then(|p| p.get(name)).and_then(|value| value.as_str());
    match (part("os"), part("architecture")) {
        (Some(os), Some(architecture)) => printable(&format!(" {os}/{architecture}"), 60),
        _ => String::new(),
    }
}

fn text(image: &Pinned, root: Option<&Row>) -> String {
    let mut out = format!("{image}");
    if let Some(root) = root {
        out.push_str(&format!(" ({})", details(root)));
    }
    out.push('\n');
    match root {
        Some(root) if !root.attached.is_empty() => branches(&root.attached, "", &mut out),
        _ => out.push_str("└─ nothing is attached\n"),
    }
    out
}

fn details(row: &Row) -> String {
    let mut words = vec![format!("{} bytes", row.size)];
    words.extend(row.created.as_ref().map(|created| format!("created {created}")));
    words.extend(row.predicate_type.as_ref().map(|uri| format!("predicate {uri}")));
    words.join(", ")
}

fn branches(rows: &[Row], stem: &str, out: &mut String) {
    for (index, row) in rows.iter().enumerate() {
        let (branch, more) = if index + 1 == rows.len() { ("└─", "   ") } else { ("├─", "│  ") };
        let (via, kind, digest) = (&row.via, row.kind, &row.digest);
        out.push_str(&format!("{stem}{branch} {kind} {via} {digest} ({}, {})\n", row.artifact_type, details(row)));
        let below = format!("{stem}{more}");
        for (index, layer) in row.layers.iter().enumerate() {
            let last = index + 1 == row.layers.len() && row.attached.is_empty();
            let mut words = vec![layer.media_type.clone(), format!("{} bytes", layer.size)];
            words.extend(layer.predicate_type.as_ref().map(|uri| format!("predicate {uri}")));
            words.extend(layer.signer.as_ref().and_then(Signer::text));
            let branch = if last { "└─" } else { "├─" };
            out.push_str(&format!("{below}{branch} {} ({})\n", layer.digest, words.join(", ")));
        }
        branches(&row.attached, &below, out);
    }
}
