//! Gathers an image's signatures from its registry for [`csign_trust::ImageCheck`], which judges them.
//!
//! `csign verify` and the workload's boot both come here. One request fetches the `.sig` manifest; a payload is fetched
//! only where its digest does not tell what it says and somebody is still missing.

use csign_envelope::sig_image::MAX_SIGNATURES;
use csign_oci::{
    Descriptor, Manifest, Repository, Tag, json,
    manifest::{DOCKER_MANIFEST, IMAGE_MANIFEST},
};
use csign_trust::{ImageCheck, Need, report::printable};
use futures_util::{StreamExt as _, stream};

use crate::{Client, TagOrDigest};

/// Payloads on their way at the same time.
const AT_ONCE: usize = 8;
/// A payload is a few hundred bytes; a larger one is an attack on memory.
const MAX_PAYLOAD: u64 = 64 << 10;

/// Hands every signature under the image's `.sig` tag to `check`. What cannot be read is recorded there as unchecked.
pub async fn gather(client: &Client, check: &mut ImageCheck<'_>) {
    let image = check.image().clone();
    let tag = Tag::for_digest(&image.digest, ".sig");
    let fetched = match client.manifest(&image.repository, &TagOrDigest::Tag(tag.clone())).await {
        Ok(Some(fetched)) => fetched,
        Ok(None) => return,
        Err(error) => return check.unchecked(format!("{error} ({})", error.hint())),
    };
    if ![IMAGE_MANIFEST, DOCKER_MANIFEST].contains(&fetched.media_type.as_str()) {
        return check.unchecked(format!("{tag} is {:?}, not an image manifest", printable(&fetched.media_type, 80)));
    }
    let layers = match json::from_slice::<Manifest>(&fetched.bytes) {
        Ok(manifest) => manifest.layers,
        Err(error) => return check.unchecked(format!("parsing the manifest under {tag}: {error}")),
    };
    if layers.len() > MAX_SIGNATURES {
        return check
            .unchecked(format!("{tag} holds {} signatures; more than {MAX_SIGNATURES} are not read", layers.len()));
    }
    let needed: Vec<&Descriptor> = layers.iter().filter(|layer| check.layer(layer) == Need::Payload).collect();
    let mut fetches = Vec::new();
    for layer in &needed {
        fetches.push(payload(client, &image.repository, layer));
    }
    let mut fetched = stream::iter(fetches).buffered(AT_ONCE);
    for layer in &needed {
        match fetched.next().await {
            Some(Ok(bytes)) => check.payload(layer, &bytes),
            Some(Err(reason)) => check.unchecked(reason),
            None => check.unchecked(format!("the payload {} was not fetched", layer.digest)),
        }
    }
}

async fn payload(client: &Client, repository: &Repository, layer: &Descriptor) -> Result<Vec<u8>, String> {
    if layer.size > MAX_PAYLOAD {
        return Err(format!("the payload {} has {} bytes; no honest one has", layer.digest, layer.size));
    }
    client.blob(repository, layer).await.map_err(|error| format!("{error} ({})", error.hint()))
}
