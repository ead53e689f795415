//! The configuration of an image, from a layout or a registry, without its layers.

use std::path::Path;

use csign_oci::{Digest, ImageConfig, Layout, Manifest, Pinned, Reference, json};
use csign_registry::TagOrDigest;

use crate::{context::Context, failure::Failure};

/// Largest configuration that is read, in bytes.
const MAX_CONFIG: u64 = 4 << 20;

/// An image's digest and configuration.
pub(crate) struct Configured {
    /// `REPOSITORY@DIGEST` if the repository is known.
    pub(crate) image: Option<Pinned>,
    /// Its digest.
    pub(crate) digest: Digest,
    /// Its configuration.
    pub(crate) config: ImageConfig,
}

impl Context {
    /// Reads the configuration of the image in a layout directory, or of a reference.
    pub(crate) async fn image_config(&self, name: &str) -> Result<Configured, Failure> {
        let directory = Path::new(name);
        if directory.join("oci-layout").is_file() {
            let layout = Layout::open(directory)?;
            let digest = layout.image()?.0.digest;
            return Ok(Configured { image: None, digest, config: layout.config()? });
        }
        let reference = Reference::parse(name)?;
        let client = self.registry()?;
        let image = self.resolve(&client, &reference).await?;
        let missing = |what: &str| Failure::could_not_check(format_args!("{image} {what}"));
        let manifest = client
            .manifest(&image.repository, &TagOrDigest::Digest(image.digest))
            .await?
            .ok_or_else(|| missing("is not in the registry"))?;
        let manifest: Manifest = json::from_slice(&manifest.bytes).map_err(|error| {
            missing(&format!("is no image for one platform: {error}")).hint("name the platform's own digest")
        })?;
        if manifest.config.size > MAX_CONFIG {
            return Err(missing("has a configuration that is larger than any is"));
        }
        let config = client.blob(&image.repository, &manifest.config).await?;
        Ok(Configured { digest: image.digest, image: Some(image), config: ImageConfig::parse(&config)? })
    }
}
