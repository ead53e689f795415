//! What an image in a layout holds, read from its layers and compared with what its configuration says.

use csign_contract::Contract;
use csign_oci::{Digest, LayerLimits, Layout};
use csign_sbom::Contents;

use crate::failure::Failure;

/// All layers together may unpack to this many bytes.
pub(crate) const MAX_UNPACKED: u64 = 4 << 30;

/// An image's contents.
pub(crate) struct ImageContents {
    /// The image's digest.
    pub(crate) digest: Digest,
    /// Its configuration.
    pub(crate) config: csign_oci::ImageConfig,
    /// Its layers, base first.
    pub(crate) layers: Vec<Contents>,
}

impl ImageContents {
    /// Reads every layer.
    pub(crate) fn read(layout: &Layout) -> Result<Self, Failure> {
        let (descriptor, manifest) = layout.image()?;
        let config = layout.config()?;
        let (layers, ids) = (&manifest.layers, &config.rootfs.diff_ids);
        if layers.len() != ids.len() {
            return Err(Failure::rejected(format_args!(
                "the image has {} layers, its configuration names {}",
                layers.len(),
                ids.len()
            )));
        }
        let mut left = MAX_UNPACKED;
        let mut read = Vec::with_capacity(layers.len());
        for (layer, diff_id) in layers.iter().zip(ids) {
            let default = LayerLimits::default();
            let limits = LayerLimits { unpacked: default.unpacked.min(left), ..default };
            if layer.size > limits.unpacked {
                return Err(Failure::could_not_check(format_args!("layer {} is too large to be read", layer.digest)));
            }
            let contents = Contents::read(layer, &layout.blob(layer)?, diff_id, &limits)?;
            left = left.saturating_sub(contents.files.iter().map(|file| file.size).sum());
            read.push(contents);
        }
        Ok(Self { digest: descriptor.digest, config, layers: read })
    }

    /// Refuses an image that was built for another contract, or for none, or in which a later layer hides the contract.
    pub(crate) fn require_contract(&self, contract: &Contract) -> Result<(), Failure> {
        let path = csign_contract::PATH_IN_IMAGE.trim_start_matches('/');
        let files = self.layers.iter().flat_map(|layer| &layer.files).filter(|file| file.path == path);
        let (want, got): (_, Vec<Digest>) = (contract.digest(), files.map(|file| file.sha256).collect());
        let refused = match got.as_slice() {
            [digest] if *digest == want => match self.on_the_way(path) {
                None => return Ok(()),
                Some((other, what)) => Failure::rejected(format_args!(
                    "what is at /{path} in a container is not the contract in the image: /{other} ({what})"
                )),
            },
            [digest] => {
                Failure::rejected(format_args!("the image holds the contract {digest}, the given one is {want}"))
            }
            [] => Failure::rejected(format_args!("the image holds no contract at /{path}")),
            several => Failure::rejected(format_args!("{} layers have a contract at /{path}", several.len())),
        };
        Err(refused.hint("give the contract that the image was built with"))
    }

    /// A link, a deletion or a file in place of the file `path` or of a directory above it.
    fn on_the_way(&self, path: &str) -> Option<(String, String)> {
        let covers = |place: &str| {
            place.is_empty() || path == place || path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'))
        };
        for layer in &self.layers {
            if let Some(other) = layer.others.iter().find(|(other, _)| covers(&meant(other))) {
                return Some(other.clone());
            }
            if let Some(file) = layer.files.iter().find(|file| file.path != path && covers(&file.path)) {
                return Some((file.path.clone(), "a file".to_owned()));
            }
        }
        None
    }

    /// The program that a container runs, as a path without leading slash.
    pub(crate) fn program(&self) -> Option<String> {
        let config = &self.config.config;
        let first = config.entrypoint.first().or_else(|| config.cmd.first())?;
        first.strip_prefix('/').map(str::to_owned)
    }
}

/// The path that an entry is about: of a whiteout, what it deletes (OCI image specification, "Whiteouts").
fn meant(path: &str) -> String {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name.strip_prefix(".wh.") {
        None => path.to_owned(),
        Some(".wh..opq") => directory.to_owned(),
        Some(name) if directory.is_empty() => name.to_owned(),
        Some(name) => format!("{directory}/{name}"),
    }
}
