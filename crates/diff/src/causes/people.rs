//! Names of users and machines inside of files.

use std::sync::LazyLock;

use regex_lite::Regex;

use super::{claim::Claim, tree::Tree};
use crate::report::CauseKind;

static ADDRESS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}@[A-Za-z0-9][A-Za-z0-9.-]*").ok());
/// What stands before a name.
static TITLE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i)(?:\b|_)(?:user|username|user name|host|hostname|host name|nodename|machine|built by|builder|login|logname|by|on)["']?\s*[:=]?\s*["']?$"#).ok()
});
static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[A-Za-z0-9_][A-Za-z0-9._-]*").ok());

pub(super) fn name(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::UserOrHost);
    for pair in tree.pairs() {
        let titled = pair.context.rsplit('/').next().is_some_and(is_title) && is_word(pair.a) && is_word(pair.b);
        let found = if titled { Some((pair.a.to_owned(), pair.b.to_owned())) } else { names_of(pair.a, pair.b) };
        if let Some((a, b)) = found {
            claim.part(tree, pair.leaf, pair.part, Some(a), Some(b));
        }
    }
    claim.explains_texts(tree);
    let (_, a, b) = claim.first()?;
    let summary = format!("{} holds the name of a user or a machine: {a} and {b}", claim.place());
    claim.says(summary, "set USER, LOGNAME and HOSTNAME to fixed values in the build, or leave the name out")
}

/// Addresses `user@host` that differ, or words after a title that differ.
fn names_of(a: &str, b: &str) -> Option<(String, String)> {
    let form = ADDRESS.as_ref()?;
    let mut both = form.find_iter(a).zip(form.find_iter(b)).map(|(a, b)| (a.as_str(), b.as_str()));
    if let Some((a, b)) = both.find(|(a, b)| a != b) {
        return Some((a.to_owned(), b.to_owned()));
    }
    let common = a.char_indices().zip(b.chars()).find(|((_, a), b)| a != b).map(|((at, _), _)| at)?;
    // Back to the beginning of the word.
    let start =
        a.get(..common)?.rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))).map_or(0, |at| at + 1);
    let (before, of_a, of_b) = (a.get(..start)?, a.get(start..)?, b.get(start..)?);
    let word = WORD.as_ref()?;
    let (x, y) = (word.find(of_a)?.as_str(), word.find(of_b)?.as_str());
    let is_name = |word: &str| word.starts_with(|c: char| c.is_ascii_alphabetic());
    (is_title(before) && is_name(x) && is_name(y)).then(|| (x.to_owned(), y.to_owned()))
}

fn is_title(text: &str) -> bool {
    TITLE.as_ref().is_some_and(|title| title.is_match(text))
}

fn is_word(text: &str) -> bool {
    WORD.as_ref().and_then(|word| word.find(text)).is_some_and(|found| found.end() == text.len())
}
