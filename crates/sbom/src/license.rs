//! Licences as crates declare them, brought into the form that SPDX asks for (SPDX 2.3, annex D).

use spdx::{Expression, ParseMode};

/// Longest expression that is looked at; the longest on crates.io is far shorter.
const MAX: usize = 1000;

/// The declared text as a licence expression; none if it is not one. `/` is how crates once wrote `OR`.
pub(crate) fn expression(declared: &str) -> Option<String> {
    let declared = declared.trim();
    if declared.is_empty() || declared.len() > MAX {
        return None;
    }
    let text = Expression::canonicalize(declared).ok()?.unwrap_or_else(|| declared.to_owned());
    let mode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };
    Expression::parse_mode(&text, mode).ok()?;
    // A reference to a text is an expression only in a document that holds the text.
    let refers = text.contains("LicenseRef-") || text.contains("DocumentRef-") || text.contains("AdditionRef-");
    if refers { None } else { Some(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_licences_become_expressions_or_nothing() {
        for (declared, want) in [
            ("MIT OR Apache-2.0", Some("MIT OR Apache-2.0")),
            ("MIT/Apache-2.0", Some("MIT OR Apache-2.0")),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", Some("(MIT OR Apache-2.0) AND Unicode-3.0")),
            ("Apache-2.0 WITH LLVM-exception", Some("Apache-2.0 WITH LLVM-exception")),
            ("", None),
            ("my own", None),
            ("MIT OR", None),
            ("GPL-2.0", Some("GPL-2.0-only")),
            ("LicenseRef-secret", None),
            ("MIT\nOR Evil-1.0", None),
        ] {
            assert_eq!(expression(declared).as_deref(), want, "{declared:?}");
        }
        assert_eq!(expression(&"(".repeat(100_000)), None);
        assert_eq!(expression(&format!("{}MIT{}", "(".repeat(400), ")".repeat(400))).map(|e| e.len()), Some(803));
    }
}
