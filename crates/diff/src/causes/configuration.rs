//! The image's own documents: configuration, contract, and how they are written.

use super::{
    claim::{Claim, text},
    tree::Tree,
};
use crate::report::{CauseKind, Kind};

/// The contract that is baked into the image, and labels that name it.
pub(super) fn contract(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::Contract);
    let path = csign_contract::PATH_IN_IMAGE.trim_start_matches('/');
    let mut fields = Vec::new();
    for (index, leaf) in tree.leaves.iter().enumerate() {
        let unit = tree.units.get(leaf.unit);
        let inside = unit.is_some_and(|unit| unit.kind == Kind::Entry && unit.name.trim_start_matches('/') == path);
        let label = unit.is_some_and(|unit| unit.kind == Kind::Config)
            && leaf.attribute().is_some_and(|(name, ..)| name.to_ascii_lowercase().contains("contract"));
        if !inside && !label {
            continue;
        }
        // Another time of the file is no other contract.
        let own = leaf.node.kind == Kind::Entry && leaf.attribute().is_some_and(|(name, ..)| !name.starts_with('/'));
        if own {
            continue;
        }
        if let (true, Some((name, a, b))) = (inside, leaf.attribute()) {
            let value = |value: Option<&crate::report::Value>| value.map_or_else(|| "nothing".to_owned(), text);
            fields.push(format!("{name} ({} and {})", value(a), value(b)));
        }
        claim.leaf(tree, index);
    }
    let more = fields.len().saturating_sub(2);
    fields.truncate(2);
    let mut summary = "the contract inside is another one".to_owned();
    if !fields.is_empty() {
        summary = format!("{summary}: {}", fields.join(", "));
    }
    if more > 0 {
        summary = format!("{summary} and {more} more");
    }
    claim.says(
        summary,
        "compare `csign contract digest` on both sides; build with the contract that all parties agreed on",
    )
}

/// Labels, entry point, user, environment and the like.
pub(super) fn settings(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::Configuration);
    for (index, leaf) in tree.leaves.iter().enumerate().filter(|(_, leaf)| leaf.weight > 0) {
        let kind = tree.units.get(leaf.unit).map(|unit| unit.kind);
        let Some((name, ..)) = leaf.attribute() else { continue };
        let lower = name.to_ascii_lowercase();
        let other = lower.ends_with("created") || lower.contains("contract") || lower == "serialization";
        let annotation = kind == Some(Kind::Manifest) && lower.contains("annotation");
        if (kind == Some(Kind::Config) || annotation) && !other {
            claim.leaf(tree, index);
        }
    }
    let (name, a, b) = claim.first()?;
    let summary = format!("the configuration differs in {name}: {a} and {b}");
    claim.says(summary, "compare labels, entry point, user and environment in both builds' instructions")
}

/// The same document, written differently.
pub(super) fn serialization(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::Serialization);
    for (index, _) in tree.attributes(&["serialization", "mediaType", "/mediaType"]) {
        claim.leaf(tree, index);
    }
    let summary = format!("{} says the same and is written differently", claim.place());
    claim.says(
        summary,
        "copy images with a tool that keeps their bytes (csign copy, crane copy, skopeo copy --preserve-digests)",
    )
}
