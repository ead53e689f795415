//! How something was compiled: debug information, stripping, optimization, kinds of output.

use std::sync::LazyLock;

use regex_lite::Regex;

use super::{
    binaries::{self, Binary},
    claim::Claim,
    tree::Tree,
};
use crate::report::{CauseKind, Change, Side};

/// Flags that a compiler records (`-grecord-gcc-switches`), after its name and version.
static RECORDED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"GNU [A-Za-z+]+\d* [0-9.]+ (-.*)").ok());

/// Sections `.debug_…` that only one side has.
pub(super) fn debug_information(tree: &Tree<'_>) -> Option<Claim> {
    // Other sections of debug information come and go with other flags.
    one_sided(tree, |name| name == ".debug_info" || name == ".zdebug_info").1?;
    let (claim, side) = one_sided(tree, |name| name.starts_with(".debug_") || name.starts_with(".zdebug_"));
    let (with, without) = sides(side?);
    let summary = format!("{} has debug information in {with} and none in {without}", claim.place());
    claim.says(summary, "set debug and strip in the profile (or -g0), and build with the same profile")
}

/// A symbol table that only one side has, while both have the same debug information.
pub(super) fn stripping(tree: &Tree<'_>) -> Option<Claim> {
    let (claim, side) = one_sided(tree, |name| matches!(name, ".symtab" | ".strtab"));
    let (with, without) = sides(side?);
    let summary = format!("{} has symbols in {with} and is stripped in {without}", claim.place());
    claim.says(summary, "set strip in the profile, and do not strip afterwards with another tool")
}

fn sides(side: Side) -> (&'static str, &'static str) {
    if side == Side::A { ("A", "B") } else { ("B", "A") }
}

fn one_sided(tree: &Tree<'_>, wanted: impl Fn(&str) -> bool) -> (Claim, Option<Side>) {
    let mut claim = Claim::new(CauseKind::CompilerFlags);
    let mut found = None;
    for (index, leaf) in tree.leaves.iter().enumerate() {
        let Change::Only { side } = leaf.change else { continue };
        if leaf.node.kind == crate::report::Kind::Section && wanted(&leaf.node.name) {
            let has = Some(leaf.node.name.clone());
            let (a, b) = if *side == Side::A { (has, None) } else { (None, has) };
            claim.part(tree, index, 1000, a, b);
            found = Some(*side);
        }
    }
    claim.explains_binaries(tree);
    (claim, found)
}

/// Flags that were recorded, another kind of file, overflow checks, other flags of the dynamic section.
pub(super) fn options(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::CompilerFlags);
    for pair in tree.pairs() {
        let recorded = |text| Some(RECORDED.as_ref()?.captures(text)?.get(1)?.as_str().to_owned());
        let check = |text: &str| text.contains("with overflow");
        let dynamic = |text: &str| text.starts_with("FLAGS") || text == "BIND_NOW";
        match (recorded(pair.a), recorded(pair.b)) {
            (Some(a), Some(b)) if a != b => claim.part(tree, pair.leaf, pair.part, Some(a), Some(b)),
            _ if check(pair.a) != check(pair.b) || dynamic(pair.a) && dynamic(pair.b) => {
                let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
                claim.part(tree, pair.leaf, pair.part, text(pair.a), text(pair.b));
            }
            _ => {}
        }
    }
    for (index, _) in tree.attributes(&["e_type", "e_flags"]) {
        claim.leaf(tree, index);
    }
    claim.explains_binaries(tree);
    let (_, a, b) = claim.first()?;
    let summary = format!("{} was compiled with other flags: {a} and {b}", claim.place());
    claim.says(summary, FLAGS)
}

const FLAGS: &str = "compare the profile, RUSTFLAGS, CFLAGS and .cargo/config.toml of both builds; unset them in the environment of the build";

/// Code that differs while its sources seem not to: functions of the standard library have other sizes, or functions are
/// inlined on one side only, and no string came or went.
pub(super) fn optimization(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::CompilerFlags);
    for binary in binaries::all(tree) {
        let Binary { library, own, other_strings, code } = &binary;
        if code.is_none() || *other_strings || library.is_empty() && !binary.is_inlined() {
            continue;
        }
        for (leaf, name, a, b) in library.iter().chain(own) {
            let size = |size: &Option<String>| size.as_ref().map(|size| format!("{name}: {size}"));
            claim.part(tree, *leaf, 1000, size(a), size(b));
        }
    }
    claim.explains_binaries(tree);
    let summary = format!(
        "{} has the same functions and strings, but other code: it was compiled with other flags",
        claim.place()
    );
    claim.says(summary, FLAGS)
}
