//! Regular expressions as OPA reads them: `\d`, `\w`, `\s` and `\b` are about ASCII.
//!
//! The regex library matches all of Unicode with them, so that `^\d+$` would let a digit of another script pass that
//! cosign refuses.

/// The same expression in the library's syntax.
pub(crate) fn as_opa_reads_it(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str("[\\t\\n\\f\\r ]"),
                Some('S') => out.push_str("[^\\t\\n\\f\\r ]"),
                Some(boundary @ ('b' | 'B')) if !in_class => out.push_str(&format!("(?-u:\\{boundary})")),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            // The library's nested classes and class operators are plain characters to OPA, except `[:name:]`.
            '[' if in_class && !chars.as_str().starts_with(':') => out.push_str("\\["),
            '&' | '~' if in_class => out.extend(['\\', c]),
            '[' => {
                in_class = true;
                out.push(c);
                if chars.as_str().starts_with('^') {
                    chars.next();
                    out.push('^');
                }
                // A bracket that comes first is a member of the class.
                if chars.as_str().starts_with(']') {
                    chars.next();
                    out.push_str("\\]");
                }
            }
            ']' if in_class => {
                in_class = closes_name(&out);
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// Does the bracket that follows close a `[:name:]`, so that the class stays open?
fn closes_name(out: &str) -> bool {
    out.ends_with(':') && out.rfind("[:").is_some_and(|start| !out.get(start..).unwrap_or_default().contains(']'))
}

#[cfg(test)]
mod tests {
    use super::as_opa_reads_it;

    fn matches(pattern: &str, text: &str) -> bool {
        regex::Regex::new(&as_opa_reads_it(pattern)).expect("a regular expression").is_match(text)
    }

    #[test]
    fn digits_and_letters_of_other_scripts_are_not_matched() {
        for (pattern, yes, no) in [
            (r"^\d$", "3", "\u{663}"),
            (r"^[\d.]$", "3", "\u{663}"),
            (r"^\w$", "_", "\u{e9}"),
            (r"^\D$", "\u{663}", "3"),
            (r"^[^\d]$", "\u{663}", "3"),
            (r"^\s$", " ", "\u{a0}"),
            (r"\ba", "\u{e9}a", "ba"),
            (r"^[[:alpha:]x1]$", "1", "2"),
            (r"^[[a]$", "[", "b"),
            (r"^[]a]$", "]", "b"),
            (r"^[^]a]$", "b", "]"),
            (r"^[a&&b]$", "&", "c"),
            (r"^\\d$", "\\d", "3"),
        ] {
            assert!(matches(pattern, yes), "{pattern} {yes}");
            assert!(!matches(pattern, no), "{pattern} {no}");
        }
    }
}
