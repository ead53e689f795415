//! Versions of dependencies: in paths of registries and vendored sources, lock files, package databases.

use std::sync::LazyLock;

use regex_lite::Regex;

use super::{claim::Claim, tree::Tree};
use crate::report::{CauseKind, Change, Side};

/// A directory `name-1.2.3`.
static DIRECTORY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:^|[/ \n])([A-Za-z][A-Za-z0-9_-]*)-(\d+\.\d+\.\d+(?:[-+][A-Za-z0-9.+-]*)?)").ok());
/// The line of a version.
static VERSION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"^\s*"?(?:version|Version|V)"?\s*[:=]\s*"?([0-9][^",]*)"?,?$"#).ok());
/// The end of a pointer to an element's version.
static POINTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"/\[?([^/\[\]]+)\]?/version$").ok());

pub(super) fn dependency(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::DependencyVersion);
    for pair in tree.pairs() {
        let found = of(pair.a, pair.b).or_else(|| in_list(pair.context, pair.a, pair.b));
        if let Some((name, a, b)) = found {
            claim.part(tree, pair.leaf, pair.part, Some(format!("{name} {a}")), Some(format!("{name} {b}")));
        }
    }
    for (index, leaf) in tree.leaves.iter().enumerate() {
        if claim.covers(index) {
            continue;
        }
        // Strings of a binary lie in another order when one of them changes.
        let Change::Lines { hunks, .. } = leaf.change else { continue };
        let lines = |side| {
            let lines = hunks.iter().flat_map(|hunk| &hunk.lines).filter(move |line| line.side == Some(side));
            lines.map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
        };
        if let Some((name, a, b)) = of(&lines(Side::A), &lines(Side::B)) {
            claim.part(tree, index, 500, Some(format!("{name} {a}")), Some(format!("{name} {b}")));
        }
    }
    claim.explains_binaries(tree);
    let (_, a, b) = claim.first()?;
    let summary = format!("{} has another version of a dependency: {a} and {b}", claim.place());
    claim.says(
        summary,
        "build with the locked versions (cargo build --locked, and the same lock file), from the same registry",
    )
}

/// A name with two versions, as a directory.
pub(super) fn of(a: &str, b: &str) -> Option<(String, String, String)> {
    let form = DIRECTORY.as_ref()?;
    let all = |text| -> Vec<(&str, &str)> {
        let captures = form.captures_iter(text);
        captures
            .filter_map(|found: regex_lite::Captures<'_>| Some((found.get(1)?.as_str(), found.get(2)?.as_str())))
            .collect()
    };
    let (of_a, of_b) = (all(a), all(b));
    of_a.iter().find_map(|(name, version)| {
        let other = of_b.iter().find(|(other, of_other)| other == name && of_other != version);
        let kept = of_b.contains(&(*name, *version));
        other.filter(|_| !kept).map(|(_, other)| ((*name).to_owned(), (*version).to_owned(), (*other).to_owned()))
    })
}

/// A version in a list, whose name stands before it.
fn in_list(context: &str, a: &str, b: &str) -> Option<(String, String, String)> {
    if let Some(name) = POINTER.as_ref()?.captures(context).and_then(|found| found.get(1)) {
        return Some((name.as_str().to_owned(), a.to_owned(), b.to_owned()));
    }
    let name = context.split([':', '=']).nth(1)?.trim().trim_matches(['"', ',']);
    let version = |text| -> Option<String> { Some(VERSION.as_ref()?.captures(text)?.get(1)?.as_str().to_owned()) };
    Some((name.to_owned(), version(a)?, version(b)?))
}
