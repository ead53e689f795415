//! Merging what `.sig` or `.att` holds at the destination with what was found at the source.

use csign_oci::{Descriptor, Pinned};

use super::Job;
use crate::{
    attach::LayersTag,
    error::Result,
    merge::{Kept, Merge},
    records::Family,
};

/// What `wanted` has and `present` lacks, each once.
pub(super) fn missing(
    family: Family,
    wanted: impl IntoIterator<Item = Descriptor>,
    present: &[Descriptor],
) -> Vec<Descriptor> {
    let mut out: Vec<Descriptor> = Vec::new();
    for layer in wanted {
        if !present.iter().chain(&out).any(|known| family.same(known, &layer)) {
            out.push(layer);
        }
    }
    out
}

impl Job<'_> {
    /// Adds `layers`, whose blobs are there, to the tag, as an attach would: each is kept first, so that no concurrent writer
    /// loses it. Says how often the tag was written.
    pub(super) async fn merge_layers(&self, image: &Pinned, family: Family, layers: Vec<Descriptor>) -> Result<u32> {
        let mut merge = Merge::new(self.client, image, LayersTag::new(self.client, image, family));
        let view = merge.look().await?;
        for layer in missing(family, layers.iter().cloned(), &kept(&view.listing.kept)) {
            // The record's name is for messages and for a tag's name.
            let payload = self.source.blob(self.client, &layer).await?;
            merge.shared.records.keep(&layer, &payload, &layer.digest.hex()).await?;
        }
        // A layer that is neither signature nor attestation cannot be kept, but it is merged all the same.
        merge.see(layers.into_iter().map(|entry| Kept { name: format!("of payload {}", entry.digest), entry }));
        Ok(merge.run(None, &|_| Vec::new()).await?.rounds)
    }
}

fn kept(kept: &[Kept]) -> Vec<Descriptor> {
    kept.iter().map(|kept| kept.entry.clone()).collect()
}
