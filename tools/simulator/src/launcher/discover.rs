//! Signature discovery: `<repo>:sha256-<hex>.sig` in each of the operator's signed-image repositories.

use std::time::Duration;

use csign_oci::{Digest, Repository};

use super::{pull::Puller, signature};
use crate::attestation::ImageSignature;

const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
/// More signatures than this make the attestation service refuse the token.
const MAX_SIGNATURES: usize = 300;
/// Largest simple-signing payload.
const MAX_PAYLOAD: u64 = 64 * 1024;

/// What discovery found, and what it passed over.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) signatures: Vec<ImageSignature>,
    pub(super) notes: Vec<String>,
}

/// Collects the valid signatures of `image`. A repository that does not answer is passed over: whoever relies on
/// signatures must require them in the token.
pub(super) async fn discover(puller: &Puller, repositories: &[Repository], image: &Digest) -> Result<Found, String> {
    let mut found = Found::default();
    let mut seen = 0;
    for repository in repositories {
        match candidates(puller, repository, image).await {
            Ok(candidates) => {
                seen += candidates.len();
                if seen > MAX_SIGNATURES {
                    return Err(format!(
                        "{image} has more than {MAX_SIGNATURES} signatures, so the attestation service grants no token"
                    ));
                }
                for candidate in candidates {
                    match candidate.and_then(|(payload, text)| signature::verify(image, &payload, &text)) {
                        Ok(entry) => found.signatures.push(entry),
                        Err(why) => found.notes.push(format!("a signature in {repository} does not count: {why}")),
                    }
                }
            }
            Err(why) => found.notes.push(format!("no signatures from {repository}: {why}")),
        }
    }
    Ok(found)
}

type Candidate = Result<(Vec<u8>, String), String>;

/// Payload and signature of every layer under the tag, after up to three tries.
async fn candidates(puller: &Puller, repository: &Repository, image: &Digest) -> Result<Vec<Candidate>, String> {
    let tag = format!("sha256-{}.sig", image.hex());
    let mut last = String::new();
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let manifest = match puller.tagged(repository, &tag).await {
            Ok(Some(manifest)) => manifest,
            Ok(None) => {
                last = format!("there is no tag {tag}");
                continue;
            }
            Err(why) => {
                last = why;
                continue;
            }
        };
        let mut candidates = Vec::new();
        for layer in manifest.layers.iter().take(MAX_SIGNATURES + 1) {
            let Some(signature) = layer.annotations.get(SIGNATURE) else {
                candidates.push(Err(format!("layer {} has no signature annotation", layer.digest)));
                continue;
            };
            if layer.size > MAX_PAYLOAD {
                candidates.push(Err(format!("the payload {} has {} bytes", layer.digest, layer.size)));
                continue;
            }
            let payload = puller.blob(repository, layer).await;
            candidates.push(payload.map(|payload| (payload, signature.clone())));
        }
        return Ok(candidates);
    }
    Err(last)
}
