//! Languages and character sets: quotation marks, decimal marks, names of months, translations, sorting.

use std::sync::LazyLock;

use regex_lite::Regex;

use super::{claim::Claim, tree::Tree};
use crate::report::{CauseKind, Change};

static SETTING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:LANG|LANGUAGE|LC_[A-Z]+)=[^ ;]*|\b[a-z]{2}_[A-Z]{2}(?:\.[Uu][Tt][Ff]-?8|@[a-z]+)|\bC\.UTF-?8\b")
        .ok()
});
static DECIMAL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(\d)[.,](\d)").ok());

/// Words that programs translate, and names of days and months, one language in a row.
const WORDS: &[(&str, &[&str])] = &[
    (
        "en",
        &[
            "error",
            "warning",
            "file",
            "directory",
            "no such",
            "total",
            "january",
            "march",
            "may",
            "october",
            "december",
            "tuesday",
            "wednesday",
        ],
    ),
    (
        "de",
        &[
            "fehler",
            "warnung",
            "datei",
            "verzeichnis",
            "insgesamt",
            "januar",
            "märz",
            "mär",
            "mai",
            "oktober",
            "dezember",
            "dienstag",
            "mittwoch",
        ],
    ),
    (
        "fr",
        &[
            "erreur",
            "avertissement",
            "fichier",
            "répertoire",
            "dossier",
            "janvier",
            "mars",
            "mai",
            "octobre",
            "décembre",
            "mardi",
            "mercredi",
        ],
    ),
    (
        "es",
        &[
            "aviso",
            "archivo",
            "fichero",
            "directorio",
            "enero",
            "marzo",
            "mayo",
            "octubre",
            "diciembre",
            "martes",
            "miércoles",
        ],
    ),
];

pub(super) fn language(tree: &Tree<'_>) -> Option<Claim> {
    let mut claim = Claim::new(CauseKind::Locale);
    for pair in tree.pairs() {
        if differs_by_language(pair.a, pair.b) {
            claim.part(tree, pair.leaf, pair.part, Some(pair.a.to_owned()), Some(pair.b.to_owned()));
        }
    }
    for (index, leaf) in tree.leaves.iter().enumerate() {
        if let Change::Order { a, b } = leaf.change
            && sorts_differently(a, b)
        {
            claim.part(tree, index, 1000, Some(a.join(", ")), Some(b.join(", ")));
        }
    }
    claim.explains_texts(tree);
    let (_, a, b) = claim.first()?;
    let summary = format!("{} was written in another language or character set: {a} and {b}", claim.place());
    claim.says(summary, "set LC_ALL=C.UTF-8 (or C) in the build, and unset LANG and LANGUAGE")
}

fn differs_by_language(a: &str, b: &str) -> bool {
    if a.is_empty() || b.is_empty() {
        return false;
    }
    let plain = |text: &str| text.replace(['‘', '’', '‚', '`'], "'").replace(['“', '”', '„', '«', '»'], "\"");
    let settings = |text| {
        SETTING.as_ref().map(|form| form.find_iter(text).map(|found| found.as_str().to_owned()).collect::<Vec<_>>())
    };
    let decimals = |text| DECIMAL.as_ref().map(|form| form.replace_all(text, "$1.$2").into_owned());
    let (of_a, of_b) = (settings(a).unwrap_or_default(), settings(b).unwrap_or_default());
    plain(a) == plain(b)
        || decimals(a) == decimals(b)
        || !of_a.is_empty() && !of_b.is_empty() && of_a != of_b
        || languages(a, b)
}

/// Has each side words of a language that the other has none of?
fn languages(a: &str, b: &str) -> bool {
    let of = |text: &str| -> Vec<usize> {
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower.split(|c: char| !c.is_alphabetic()).collect();
        let knows =
            |list: &&[&str]| list.iter().any(|word| words.contains(word) || word.contains(' ') && lower.contains(word));
        WORDS.iter().enumerate().filter(|(_, (_, list))| knows(list)).map(|(index, _)| index).collect()
    };
    let (of_a, of_b) = (of(a), of(b));
    !of_a.is_empty() && !of_b.is_empty() && of_a.iter().all(|language| !of_b.contains(language))
}

/// Is one side sorted by bytes and the other as a language sorts, without regard to case?
pub(super) fn sorts_differently(a: &[String], b: &[String]) -> bool {
    let by_bytes = |names: &[String]| names.is_sorted();
    let by_language = |names: &[String]| names.is_sorted_by_key(|name| folded(name));
    let pair = |a: &[String], b: &[String]| by_bytes(a) && !by_bytes(b) && by_language(b) && !by_language(a);
    a.len() > 1 && (pair(a, b) || pair(b, a))
}

fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).map(unaccented).collect()
}

fn unaccented(c: char) -> char {
    match c {
        'ä' | 'à' | 'á' | 'â' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ö' | 'ó' | 'ò' | 'ô' => 'o',
        'ü' | 'ú' | 'ù' | 'û' => 'u',
        other => other,
    }
}
