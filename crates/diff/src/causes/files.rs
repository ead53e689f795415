//! What a layer or an archive says about its files: their set, modes, owners, times, compression.

use super::{claim::Claim, tree::Tree};
use crate::report::{CauseKind, Change, Kind, Node, Side};

/// Files that only one side has.
pub(super) fn set(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::FileSet);
    let (mut only_a, mut only_b) = (0, 0);
    for (index, leaf) in tree.leaves.iter().enumerate() {
        let Change::Only { side } = leaf.change else { continue };
        if !matches!(leaf.node.kind, Kind::Entry | Kind::Layer) {
            continue;
        }
        let has = Some(leaf.node.name.clone());
        let (a, b) = if *side == Side::A { (has, None) } else { (None, has) };
        *(if *side == Side::A { &mut only_a } else { &mut only_b }) += 1;
        claim.part(tree, index, 1000, a, b);
    }
    let summary = match (only_a, only_b) {
        (0, 1) => format!("{} is only in B", claim.place()),
        (1, 0) => format!("{} is only in A", claim.place()),
        _ => format!("{only_a} files are only in A, {only_b} only in B"),
    };
    claim.says(summary, "compare what both builds copy into the image: ignored and untracked files, caches, files left by an earlier build")
}

pub(super) fn permissions(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::Permissions);
    for (index, _) in tree.attributes(&["mode", "ar_mode"]) {
        claim.leaf(tree, index);
    }
    let (_, a, b) = claim.first()?;
    let summary = format!("permissions of {} differ: {a} and {b}{}", claim.place(), umask(a, b));
    claim.says(summary, "set the modes when the archive is made (install -m, tar --mode, rules' own modes) instead of taking them from the umask")
}

/// Says so if one mode is the other without bits that a umask takes away.
fn umask(a: &str, b: &str) -> &'static str {
    let number = |text: &str| u32::from_str_radix(text, 8).or_else(|_| text.parse()).unwrap_or_default();
    let differ = number(a) ^ number(b);
    if differ != 0 && differ & !0o077 == 0 { ", as another umask makes them" } else { "" }
}

pub(super) fn owners(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::UserOrHost);
    for (index, _) in tree.attributes(&["uid", "gid", "uname", "gname", "owner", "group", "ar_uid", "ar_gid"]) {
        claim.leaf(tree, index);
    }
    let (name, a, b) = claim.first()?;
    let summary = format!("the owner of {} differs: {name} {a} and {b}", claim.place());
    claim.says(summary, "set the owner when the archive is made (tar --owner=0 --group=0 --numeric-owner)")
}

/// Times of files, of members of archives, in headers of gzip, and of the configuration.
pub(super) fn times(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::Timestamp);
    for (index, leaf) in tree.leaves.iter().enumerate() {
        let Some((name, ..)) = leaf.attribute() else { continue };
        let word = name.rsplit(['/', '.', ' ']).next().unwrap_or(name).to_ascii_lowercase();
        let is_time = matches!(word.as_str(), "mtime" | "ar_date" | "atime" | "ctime" | "created" | "time");
        // The time in a zip's extra field.
        if is_time || name == "extra" && leaf.node.kind == Kind::Member {
            claim.leaf(tree, index);
        }
    }
    for (index, leaf) in tree.leaves.iter().enumerate() {
        if matches!(leaf.change, Change::CompressionOnly) && is_timed(leaf.node) {
            claim.leaf(tree, index);
        }
    }
    let (name, a, b) = claim.first()?;
    let place = claim.place();
    let of = if place == name { String::new() } else { format!(" of {place}") };
    let summary = format!("the time {name}{of} differs: {a} and {b}");
    claim.says(
        summary,
        "set all times to SOURCE_DATE_EPOCH or to a fixed time (tar --mtime, gzip -n, ar D, zip -X after touch)",
    )
}

/// The same content in other compressed bytes. If the header's time is all that differs, that is why.
pub(super) fn compression(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::Compression);
    for (index, leaf) in tree.leaves.iter().enumerate() {
        let parameter = leaf.attribute().is_some_and(|(name, ..)| is_parameter(name));
        if matches!(leaf.change, Change::CompressionOnly) && !is_timed(leaf.node) || parameter {
            claim.leaf(tree, index);
        }
    }
    let summary = format!("{} holds the same content, compressed differently", claim.place());
    claim.says(summary, "pin the tool and the level that compress (gzip and pigz differ, and so do versions of zlib), or do not compress")
}

/// Is a header's time the only parameter of the compression that differs?
fn is_timed(node: &Node) -> bool {
    let named = |wanted: fn(&str) -> bool| {
        node.changes.iter().any(|change| matches!(change, Change::Attribute { name, .. } if wanted(name)))
    };
    named(|name| name.eq_ignore_ascii_case("gzip.mtime")) && !named(is_parameter)
}

fn is_parameter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_header = ["gzip.", "zstd."].iter().any(|format| name.starts_with(format));
    is_header && name != "gzip.mtime" || matches!(name.as_str(), "compression" | "method" | "mediatype")
}
