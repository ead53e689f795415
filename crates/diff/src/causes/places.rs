//! Directories of a builder's machine inside of files.

use std::sync::LazyLock;

use regex_lite::Regex;

use super::{claim::Claim, tools, tree::Tree, versions};
use crate::report::CauseKind;

static PATH: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"/?(?:[A-Za-z0-9._+@%~-]+/)+[A-Za-z0-9._+@%~-]+").ok());

/// Where builds happen.
const PLACES: &[&str] = &[
    "/home/",
    "/root/",
    "/tmp/",
    "/var/tmp/",
    "/build/",
    "/builds/",
    "/workspace/",
    "/src/",
    "/mnt/",
    "/opt/",
    "/srv/",
    "/github/",
    "/Users/",
    "/usr/src/",
    "/private/",
    "/proc/self/cwd/",
    "/execroot/",
];

pub(super) fn path(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::EmbeddedPath);
    for pair in tree.pairs() {
        if let Some((a, b)) = paths_of(pair.a, pair.b) {
            claim.part(tree, pair.leaf, pair.part, Some(a), Some(b));
        }
    }
    claim.explains_texts(tree);
    let (_, a, b) = claim.first()?;
    let (a, b) = directories(a, b);
    let summary = format!("{} holds directories of the builder's machine: {a} and {b}", claim.place());
    claim.says(
        summary,
        "build in the same directory, or map it: --remap-path-prefix=$PWD=. for rustc, -ffile-prefix-map=$PWD=. for C compilers, \
         trimmed paths for other tools",
    )
}

/// Two paths at the same place that lead to the same file from different directories.
fn paths_of(a: &str, b: &str) -> Option<(String, String)> {
    let form = PATH.as_ref()?;
    // What follows a colon or a slash is a part of an address.
    let all = |text| {
        form.find_iter(text)
            .filter(|found| !text.get(..found.start()).is_some_and(|before: &str| before.ends_with([':', '/'])))
    };
    let both = all(a).zip(all(b));
    let mut differing = both.map(|(a, b)| (a.as_str(), b.as_str())).filter(|(a, b)| a != b);
    differing.find(|(a, b)| is_place(a, b)).map(|(a, b)| (a.to_owned(), b.to_owned()))
}

fn is_place(a: &str, b: &str) -> bool {
    // Standard library paths name the compiler, paths with versions the dependency.
    let others = tools::names_tool(a) || tools::names_tool(b) || versions::of(a, b).is_some();
    let starts =
        |path: &str| PLACES.iter().any(|place| path.contains(place) || path.starts_with(place.trim_start_matches('/')));
    let last = |path: &str| path.rsplit('/').next().map(str::to_owned);
    // A relative path is one if it ends with a file's name.
    let is_path =
        |path: &str| path.starts_with('/') || last(path).is_some_and(|name| name.trim_start_matches('.').contains('.'));
    !others && is_path(a) && is_path(b) && (last(a) == last(b) || starts(a) && starts(b))
}

/// Both without what they end with alike.
fn directories<'p>(a: &'p str, b: &'p str) -> (&'p str, &'p str) {
    let (mut end_a, mut end_b) = (a, b);
    while let (Some((front_a, last_a)), Some((front_b, last_b))) = (end_a.rsplit_once('/'), end_b.rsplit_once('/')) {
        if last_a != last_b || front_a.is_empty() || front_b.is_empty() {
            break;
        }
        (end_a, end_b) = (front_a, front_b);
    }
    (end_a, end_b)
}
