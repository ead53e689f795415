//! Random values: UUIDs, hash seeds, names of temporary files.

use std::sync::LazyLock;

use regex_lite::Regex;

use super::{claim::Claim, tree::Tree};
use crate::report::CauseKind;

static UUID: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}").ok());
/// 64 and 128 bits; 160 and 256 bits are digests of something that differs itself.
static HEX: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b(?:0x)?(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{16})\b").ok());
static TEMPORARY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:/tmp/[A-Za-z0-9._-]*|\.tmp|tmp\.|rustc|cc)[A-Za-z0-9]{6,10}(?:\b|/)").ok());

pub(super) fn value(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::Randomness);
    for pair in tree.pairs() {
        let found = [&UUID, &HEX, &TEMPORARY].into_iter().find_map(|form| values_of(form.as_ref()?, pair.a, pair.b));
        if let Some((a, b)) = found {
            claim.part(tree, pair.leaf, pair.part, Some(a), Some(b));
        }
    }
    claim.explains_texts(tree);
    let (_, a, b) = claim.first()?;
    let summary = format!("{} holds a random value: {a} and {b}", claim.place());
    claim.says(
        summary,
        "derive the value from what is built (a digest of it), or seed the generator with a fixed number",
    )
}

/// Values of one form that differ in texts which are the same otherwise.
fn values_of(form: &Regex, a: &str, b: &str) -> Option<(String, String)> {
    let mut both = form.find_iter(a).zip(form.find_iter(b)).map(|(a, b)| (a.as_str(), b.as_str()));
    let (x, y) = both.find(|(a, b)| a != b)?;
    let rest = |text| form.replace_all(text, "\u{1}").into_owned();
    (rest(a) == rest(b)).then(|| (x.to_owned(), y.to_owned()))
}
