//! Further evidence at boot: the signatures under the image's `.sig` tag.

use std::{sync::Arc, time::Duration};

use csign_envelope::sig_image::{MAX_SIGNATURES, SigImage};
use csign_oci::Tag;
use csign_registry::{Client, TagOrDigest};
use csign_trust::{BootCheck, Need};

use crate::{credentials::MachineAccount, endpoints::Endpoints};

/// Hands every layer of `.sig` to the check. What cannot be read is noted there: then a party that is missing could not
/// be checked, which is not the same as unsigned.
pub(crate) async fn gather(check: &mut BootCheck<'_>, endpoints: &Endpoints) {
    if let Err(reason) = read(check, endpoints).await {
        check.image().unchecked(reason);
    }
}

async fn read(check: &mut BootCheck<'_>, endpoints: &Endpoints) -> Result<(), String> {
    let image = check.pinned().clone();
    let client = client(endpoints).map_err(|error| error.to_string())?;
    let tag = TagOrDigest::Tag(Tag::for_digest(&image.digest, ".sig"));
    let found = client.manifest(&image.repository, &tag).await.map_err(|error| error.to_string())?;
    let Some(manifest) = found else { return Ok(()) };
    let signatures = SigImage::parse(&manifest.bytes).map_err(|error| format!("{tag}: {error}"))?;
    if signatures.layers().len() > MAX_SIGNATURES {
        return Err(format!("{tag} has more than {MAX_SIGNATURES} signatures; Confidential Space refuses that too"));
    }
    for layer in signatures.layers() {
        if check.image().layer(layer) == Need::Payload {
            match client.blob(&image.repository, layer).await {
                Ok(bytes) => check.image().payload(layer, &bytes),
                Err(error) => check.image().unchecked(error.to_string()),
            }
        }
    }
    Ok(())
}

fn client(endpoints: &Endpoints) -> csign_registry::Result<Client> {
    let builder = Client::builder()
        .credentials(Arc::new(MachineAccount(*endpoints)))
        .timeouts(Duration::from_secs(10), Duration::from_secs(10));
    match endpoints.simulator() {
        Some(address) => builder.simulator(address).build(),
        None => builder.build(),
    }
}
