//! Is this the image that [`crate::image`] would make around the same program? What Bazel's rules made is held against it.

use std::collections::BTreeMap;

use csign_oci::{Access, ContainerConfig, ImageConfig, LayerLimits, Layout, Node, OciError, read_layer};
use serde_json::Value;

use crate::PROGRAM;

/// How an image differs from the one that the contract asks for.
#[derive(Debug, thiserror::Error)]
pub enum Difference {
    /// The layout does not hold one image.
    #[error("its layout has {0} images")]
    Images(usize),
    /// It is for other machines.
    #[error("it is for {0}")]
    Platform(String),
    /// What a container runs differs.
    #[error("its configuration is {got}, by the contract it is {want}")]
    Configuration {
        /// As the contract asks, in JSON.
        want: String,
        /// As found, in JSON.
        got: String,
    },
    /// The program is missing, or others than root may write it.
    #[error("/{PROGRAM} is no file of root's that everyone may run and nobody may write")]
    Program,
    /// A file or directory that belongs to every image is missing or differs.
    #[error("/{0} is missing, or not as the contract asks")]
    Missing(String),
    /// Something is there that belongs to no image.
    #[error("it holds /{0}, which is no part of it")]
    Extra(String),
    /// Two entries of one name, or a whiteout.
    #[error("one layer hides what another one holds at /{0}")]
    Hidden(String),
    /// The layout or a layer cannot be read.
    #[error(transparent)]
    Oci(#[from] OciError),
}

/// Everything in the image by its path, but for directories as they come about by themselves.
type Tree = BTreeMap<String, (Access, Node)>;

/// Compares the one image of `layout` with what `contract` (canonical bytes), labels and ports make of its own program,
/// and returns that program. Layers may be divided and compressed otherwise, and dates and histories are not compared.
///
/// # Errors
/// The first [`Difference`].
pub fn compare(
    layout: &Layout,
    contract: &[u8],
    labels: BTreeMap<String, String>,
    ports: &[u16],
) -> Result<Vec<u8>, Difference> {
    let images = layout.index().manifests.len();
    if images != 1 {
        return Err(Difference::Images(images));
    }
    let (_, manifest) = layout.image()?;
    let mut config = layout.config()?;
    let want = crate::image(Vec::new(), contract, labels, ports)?;
    let mut blobs = want.blobs.iter().map(|(_, bytes)| bytes);
    let want_config = ImageConfig::parse(blobs.next().map_or(&[][..], Vec::as_slice))?;
    if (&config.os, &config.architecture) != (&want_config.os, &want_config.architecture) {
        return Err(Difference::Platform(format!("{}/{}", config.os, config.architecture)));
    }
    // No port is no port, however it is written.
    if config.config.extra.get("ExposedPorts").and_then(Value::as_object).is_some_and(serde_json::Map::is_empty) {
        config.config.extra.remove("ExposedPorts");
    }
    if config.config != want_config.config {
        let text = |config: &ContainerConfig| serde_json::to_string(config).unwrap_or_default();
        return Err(Difference::Configuration { want: text(&want_config.config), got: text(&config.config) });
    }
    let (mut got, mut wanted) = (Tree::new(), Tree::new());
    for layer in &manifest.layers {
        add(&mut got, &layout.blob(layer)?)?;
    }
    for layer in blobs {
        add(&mut wanted, layer)?;
    }
    wanted.remove(PROGRAM);
    let Some((Access { mode: 0o555, uid: 0, gid: 0 }, Node::File(program))) = got.remove(PROGRAM) else {
        return Err(Difference::Program);
    };
    if let Some(path) = wanted.keys().find(|path| got.get(*path) != wanted.get(*path)) {
        return Err(Difference::Missing(path.clone()));
    }
    if let Some(path) = got.keys().find(|path| !wanted.contains_key(*path)) {
        return Err(Difference::Extra(path.clone()));
    }
    Ok(program)
}

fn add(tree: &mut Tree, layer: &[u8]) -> Result<(), Difference> {
    for entry in read_layer(layer, &LayerLimits::default())?.entries {
        if entry.node == Node::Directory && entry.access == Access::root(0o755) {
            continue;
        }
        let whiteout = entry.path.rsplit('/').next().is_some_and(|name| name.starts_with(".wh."));
        if whiteout || tree.insert(entry.path.clone(), (entry.access, entry.node)).is_some() {
            return Err(Difference::Hidden(entry.path));
        }
    }
    Ok(())
}
