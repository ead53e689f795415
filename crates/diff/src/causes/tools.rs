//! Compilers and linkers by what they leave in their output.

use std::sync::LazyLock;

use regex_lite::Regex;

use super::{claim::Claim, tree::Tree};
use crate::report::{CauseKind, Change};

/// Versions as compilers write them into `.comment`, into debug information and into paths of their libraries.
static COMPILER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let forms = [
        r"rustc version \d[^)]*\)?",
        r"/rustc/[0-9a-f]{9,40}",
        r"GCC: \([^)]*\) [0-9.]+",
        r"GNU (?:C|C\+\+|AS|Fortran|Ada|D|Go)\d* [0-9.]+",
        r"clang version [0-9][^ ]*",
        r"\bgo1\.\d+(?:\.\d+)?\b",
        r"rustc \d+\.\d+\.\d+[^)]*\)?",
    ];
    Regex::new(&forms.join("|")).ok()
});
static LINKER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"Linker: .*|GNU (?:ld|gold) .*|(?:mold|LLD) \d[^ ]*(?: \([^)]*\))?").ok());

/// Does the text name a compiler or a linker?
pub(super) fn names_tool(text: &str) -> bool {
    [&COMPILER, &LINKER].into_iter().any(|form| form.as_ref().is_some_and(|form| form.is_match(text)))
}

pub(super) fn toolchain(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = named(tree, CauseKind::Toolchain, &COMPILER, true);
    claim.explains_binaries(tree);
    let (_, a, b) = claim.first()?;
    let summary = format!("{} was made by another compiler: {a} and {b}", claim.place());
    claim.says(
        summary,
        "pin the toolchain (rust-toolchain.toml, a compiler's image by digest) and build with the same one",
    )
}

pub(super) fn linker(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = named(tree, CauseKind::Linker, &LINKER, false);
    claim.explains_binaries(tree);
    let (_, a, b) = claim.first()?;
    let named = |name: &str| match name {
        "nothing" => "one that leaves no name, as GNU ld".to_owned(),
        name => name.to_owned(),
    };
    let (a, b) = (named(a), named(b));
    let summary = format!("{} was linked by another linker: {a} and {b}", claim.place());
    claim.says(summary, "use the toolchain's own linker (-C linker-flavor, rust-lld) or pin the system's linker")
}

/// A build id that differs while nothing else in the file does.
pub(super) fn build_id(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::Linker);
    let ids = |leaf: &super::tree::Leaf<'_>| match leaf.change {
        Change::Attribute { name, .. } => name == "NT_GNU_BUILD_ID",
        Change::Only { .. } => leaf.node.name == ".note.gnu.build-id",
        _ => false,
    };
    for (index, leaf) in tree.leaves.iter().enumerate().filter(|(_, leaf)| leaf.weight > 0) {
        if ids(leaf) {
            claim.leaf(tree, index);
        }
    }
    claim.explains_texts(tree);
    let summary = format!("the build id of {} differs, the code does not", claim.place());
    claim.says(summary, "make the linker leave the build id out (--build-id=none), or compute it from the content (--build-id=sha1), everywhere")
}

/// Texts of one form that differ, or that only one side has. Where one must not be missing, both are wanted.
fn named(tree: &Tree<'_>, kind: CauseKind, form: &LazyLock<Option<Regex>>, both: bool) -> Claim {
    let mut claim = Claim::new(kind);
    let Some(form) = form.as_ref() else { return claim };
    for pair in tree.pairs() {
        let all = |text| form.find_iter(text).map(|found: regex_lite::Match<'_>| found.as_str()).collect::<Vec<_>>();
        let (of_a, of_b) = (all(pair.a), all(pair.b));
        let of = |list: &[&str], other: &[&str]| {
            list.iter().find(|text| !other.contains(text)).map(|text| (*text).to_owned())
        };
        match (of(&of_a, &of_b), of(&of_b, &of_a)) {
            (Some(a), Some(b)) => claim.part(tree, pair.leaf, pair.part, Some(a), Some(b)),
            (None, None) => {}
            (a, b) if !both => claim.part(tree, pair.leaf, pair.part, a, b),
            _ => {}
        }
    }
    claim
}
