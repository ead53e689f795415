//! An image with one byte changed: the program still runs, and it is another image.

use std::path::Path;

use csign_oci::{Digest, Layer, LayerBuilder, LayerLimits, Layout, Node, assemble, read_layer};

use super::Result;

/// Offset of the first padding byte of an ELF file's identification, which nothing reads.
const PADDING: usize = 9;

/// Copies the image of `from` to `to` with one byte of its program changed. Returns the new digest.
pub(super) fn one_byte(from: &Path, to: &Path, program: &str) -> Result<Digest> {
    let layout = Layout::open(from)?;
    let (_, manifest) = layout.image()?;
    let mut layers = Vec::new();
    let mut changed = false;
    for descriptor in &manifest.layers {
        let bytes = layout.blob(descriptor)?;
        let unpacked = read_layer(&bytes, &LayerLimits::default())?;
        let mut layer = Layer { bytes, diff_id: unpacked.diff_id };
        for entry in unpacked.entries {
            if let (Node::File(mut content), true) = (entry.node, entry.path == program)
                && let Some(byte) = content.get_mut(PADDING)
            {
                *byte ^= 1;
                let mut builder = LayerBuilder::new();
                builder.file(&entry.path, entry.access, content)?;
                layer = builder.build()?;
                changed = true;
            }
        }
        layers.push((layer, "one byte changed"));
    }
    if !changed {
        return Err(format!("the image has no file {program}").into());
    }
    let image = assemble(layout.config()?.config, layers)?;
    let builder = Layout::create(to)?;
    let descriptor = builder.add_image(&image)?;
    let digest = descriptor.digest;
    builder.finish(vec![descriptor])?;
    Ok(digest)
}
