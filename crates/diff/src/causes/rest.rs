//! What no rule explains: damage, if it is very little; otherwise other sources.

use super::{
    claim::Claim,
    tree::{Leaf, Tree},
};
use crate::report::{CauseKind, Change, Kind};

/// Bytes of one file that may differ to be taken for damage.
const FEW: u64 = 8;

/// Few bytes that differ while the size, the build id and all else stayed the same. A linker that had known of them would
/// have written another build id; a person who edits a text seldom changes a single bit.
pub(super) fn damage(tree: &Tree<'_>, claims: &[Claim]) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::Corruption);
    let mut bytes = 0;
    for (unit, of) in tree.units.iter().enumerate().filter(|(_, of)| of.kind == Kind::Entry) {
        let inside =
            || tree.of_unit(unit).filter(|(_, leaf)| leaf.node.kind != Kind::Entry || leaf.attribute().is_none());
        let explained = inside().any(|(index, leaf)| leaf.weight > 0 && claims.iter().any(|claim| claim.covers(index)));
        let resized =
            tree.of_unit(unit).any(|(_, leaf)| leaf.attribute().is_some_and(|(name, ..)| SIZES.contains(&name)));
        let whole =
            inside().find(|(_, leaf)| leaf.node.kind == Kind::Entry && matches!(leaf.change, Change::Bytes { .. }));
        let Some((index, Change::Bytes { offset, differing, a, b, from })) =
            whole.map(|(index, leaf)| (index, leaf.change))
        else {
            continue;
        };
        let is_text = !of.is_elf && tree.of_unit(unit).any(|(_, leaf)| leaf.node.kind == Kind::Entry && leaf.is_text());
        if explained || resized || *differing == 0 || *differing > FEW || is_text && bits(a, b) != 1 {
            continue;
        }
        bytes += differing;
        let at = usize::try_from(offset - from).unwrap_or_default() * 2;
        let shown =
            |hex: &str| Some(format!("{} at {offset:#x}", hex.get(at..(at + 16).min(hex.len())).unwrap_or_default()));
        claim.part(tree, index, 1000, shown(a), shown(b));
        inside().for_each(|(index, _)| claim.leaf(tree, index));
    }
    let count = if bytes == 1 { "one byte differs" } else { "few bytes differ" };
    let summary = format!("in {} {count} and nothing else does, as after damage or tampering", claim.place());
    claim.says(summary, "do not trust either copy: build again from the sources and compare with both")
}

/// What a change of the size, or the linker, would have changed too.
const SIZES: &[&str] = &["size", "NT_GNU_BUILD_ID"];

/// How many bits differ in two excerpts.
fn bits(a: &str, b: &str) -> u32 {
    let digit = |c: char| c.to_digit(16).unwrap_or_default();
    a.chars().zip(b.chars()).map(|(a, b)| (digit(a) ^ digit(b)).count_ones()).sum()
}

/// Whatever nothing else explains.
pub(super) fn sources(tree: &Tree<'_>, claims: &[Claim]) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::Sources);
    let mut left: Vec<(usize, &Leaf<'_>)> =
        tree.leaves.iter().enumerate().filter(|(_, leaf)| leaf.weight > 0).collect();
    left.retain(|(index, _)| !claims.iter().any(|claim| claim.covers(*index)));
    // Texts say more than bytes.
    left.sort_by_key(|(_, leaf)| match leaf.change {
        Change::Lines { .. } => 0,
        Change::Attribute { .. } | Change::Only { .. } => 1,
        _ => 2,
    });
    for (index, leaf) in left {
        let first = |side| match leaf.change {
            Change::Lines { hunks, .. } => {
                let lines = hunks.iter().flat_map(|hunk| &hunk.lines);
                lines.filter(|line| line.side == Some(side)).map(|line| line.text.clone()).next()
            }
            _ => None,
        };
        match leaf.change {
            Change::Lines { .. } => {
                claim.part(tree, index, 1000, first(crate::report::Side::A), first(crate::report::Side::B));
            }
            _ => claim.leaf(tree, index),
        }
    }
    let place = claim.place();
    let summary =
        format!("{place} was made from other sources, or by other instructions: no other cause was recognized");
    claim.says(summary, "compare the revisions, the instructions and the inputs of both builds")
}
