//! Dates and times inside of files.

use std::sync::LazyLock;

use regex_lite::Regex;

use super::{claim::Claim, tools, tree::Tree};
use crate::report::CauseKind;

/// Dates and times as programs write them: ISO 8601, RFC 2822, `date`, `asctime`, `__DATE__`, `__TIME__`, and digits
/// without separators.
static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let month = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*";
    let day = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? ";
    let clock = r"\d{1,2}:\d\d(?::\d\d)?(?:\.\d+)?";
    let zone = r"(?: ?(?:Z|UTC|GMT|[A-Z]{3,4}|[+-]\d\d:?\d\d))?";
    let year = r"(?:19|20)\d\d";
    let forms = [
        format!(r"{year}[-/](?:0[1-9]|1[0-2])[-/](?:0[1-9]|[12]\d|3[01])(?:[T ]{clock}{zone})?"),
        format!(r"(?:{day})?\d{{1,2}} {month} {year}(?: {clock}{zone})?"),
        format!(r"(?:{day})?{month} +\d{{1,2}} {clock}{zone} {year}"),
        format!(r"(?:{day})?{month} [ \d]\d,? {year}(?: {clock}{zone})?"),
        format!(r"{year}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])T?\d{{4,6}}Z?"),
        clock.to_owned(),
    ];
    Regex::new(&forms.join("|")).ok()
});

/// Seconds since 1970 between 2001 and 2033, or their thousandths, millionths or billionths.
static EPOCH: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b1\d{9}(?:\d{3}|\d{6}|\d{9})?(?:\.\d+)?\b").ok());

pub(super) fn embedded(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::Timestamp);
    for pair in tree.pairs() {
        // A compiler's own date belongs to its version.
        if tools::names_tool(pair.a) || tools::names_tool(pair.b) {
            continue;
        }
        if let Some((a, b)) = times_of(pair.a, pair.b) {
            claim.part(tree, pair.leaf, pair.part, Some(a), Some(b));
        }
    }
    claim.explains_texts(tree);
    let (_, a, b) = claim.first()?;
    let summary = format!("{} holds a time of the build: {a} and {b}", claim.place());
    claim.says(
        summary,
        "let the build take its time from SOURCE_DATE_EPOCH (compilers do for __DATE__; a build script must read it), or leave the time out",
    )
}

/// The times of two texts that are the same but for them, or that both have one at the same place.
pub(super) fn times_of(a: &str, b: &str) -> Option<(String, String)> {
    for form in [&TIME, &EPOCH] {
        let form = form.as_ref()?;
        let (of_a, of_b): (Vec<&str>, Vec<&str>) = (
            form.find_iter(a).map(|found| found.as_str()).collect(),
            form.find_iter(b).map(|found| found.as_str()).collect(),
        );
        let differing = of_a.iter().zip(&of_b).find(|(a, b)| a != b);
        if let Some((x, y)) = differing {
            let rest = |text| form.replace_all(text, "\u{1}").into_owned();
            // Digits alone may mean anything: everything else must be the same.
            if std::ptr::eq(form, TIME.as_ref()?) || rest(a) == rest(b) {
                return Some(((*x).to_owned(), (*y).to_owned()));
            }
        }
    }
    None
}
