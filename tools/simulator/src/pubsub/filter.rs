//! The filter language of subscriptions: conditions on attributes with `AND`, `OR`, `NOT` and parentheses.
//!
//! Grammar: <https://cloud.google.com/pubsub/docs/subscription-message-filter>.

use std::collections::BTreeMap;

/// Longest filter, in bytes, as the service has it.
const LIMIT: usize = 256;
/// Parentheses and `NOT`s inside each other; a filter of 256 bytes could otherwise nest that deep.
const DEPTH: usize = 32;

/// A parsed filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    All,
    Has(String),
    Equals(String, String),
    Prefix(String, String),
    Not(Box<Filter>),
    And(Vec<Filter>),
    Or(Vec<Filter>),
}

impl Filter {
    /// Parses a filter; the empty one lets everything pass.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LIMIT {
            return Err(format!("the filter has {} bytes; at most {LIMIT} are allowed", text.len()));
        }
        let tokens = tokens(text)?;
        if tokens.is_empty() {
            return Ok(Self::All);
        }
        let mut parser = Parser { tokens: &tokens, depth: 0 };
        let filter = parser.terms()?;
        match parser.tokens.first() {
            None => Ok(filter),
            Some(token) => Err(format!("{token:?} is not expected there")),
        }
    }

    /// Does a message with these attributes pass? `!=` is true of an attribute that is absent.
    pub(super) fn matches(&self, attributes: &BTreeMap<String, String>) -> bool {
        match self {
            Self::All => true,
            Self::Has(key) => attributes.contains_key(key),
            Self::Equals(key, value) => attributes.get(key) == Some(value),
            Self::Prefix(key, prefix) => attributes.get(key).is_some_and(|value| value.starts_with(prefix)),
            Self::Not(inner) => !inner.matches(attributes),
            Self::And(terms) => terms.iter().all(|term| term.matches(attributes)),
            Self::Or(terms) => terms.iter().any(|term| term.matches(attributes)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(&'static str),
}

const SIGNS: [&str; 8] = ["!=", "=", "(", ")", ",", ".", ":", "-"];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            rest = rest.get(sign.len()..).unwrap_or_default();
        } else if first == '"' {
            let (value, after) = quoted(rest)?;
            tokens.push(Token::Text(value));
            rest = after;
        } else {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let (word, after) = rest.split_at_checked(end).filter(|(word, _)| !word.is_empty()).ok_or_else(|| {
                format!("{first:?} is not expected there; values are quoted and names are letters, digits and _")
            })?;
            tokens.push(Token::Word(word.to_owned()));
            rest = after;
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

/// The value of a string that starts with a quotation mark, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                _ => return Err("only \\\" and \\\\ are escapes".to_owned()),
            },
            c => value.push(c),
        }
    }
    Err("a string does not end".to_owned())
}

struct Parser<'a> {
    tokens: &'a [Token],
    depth: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.tokens.first(), Some(Token::Word(w)) if w == word)
    }

    fn sign(&mut self, sign: &'static str) -> Result<(), String> {
        match self.next() {
            Some(Token::Sign(found)) if found == sign => Ok(()),
            found => Err(format!("{sign:?} is expected, not {found:?}")),
        }
    }

    /// Terms that are joined by `AND` alone, or by `OR` alone: a mixture needs parentheses.
    fn terms(&mut self) -> Result<Filter, String> {
        let mut terms = vec![self.term()?];
        let word = if self.is_word("OR") { "OR" } else { "AND" };
        while self.is_word(word) {
            self.next();
            terms.push(self.term()?);
        }
        if self.is_word("AND") || self.is_word("OR") {
            return Err("AND and OR together need parentheses".to_owned());
        }
        Ok(match (terms.len(), word) {
            (1, _) => terms.swap_remove(0),
            (_, "OR") => Filter::Or(terms),
            _ => Filter::And(terms),
        })
    }

    fn term(&mut self) -> Result<Filter, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("it nests more than {DEPTH} deep"));
        }
        let term = match self.next() {
            Some(Token::Sign("-")) => Filter::Not(Box::new(self.term()?)),
            Some(Token::Word(word)) if word == "NOT" => Filter::Not(Box::new(self.term()?)),
            Some(Token::Sign("(")) => {
                let inner = self.terms()?;
                self.sign(")")?;
                inner
            }
            Some(Token::Word(word)) if word == "hasPrefix" => {
                self.sign("(")?;
                let Some(Token::Word(attributes)) = self.next() else {
                    return Err("hasPrefix takes attributes.KEY".to_owned());
                };
                let key = self.key(&attributes, ".")?;
                self.sign(",")?;
                let prefix = self.text()?;
                self.sign(")")?;
                Filter::Prefix(key, prefix)
            }
            Some(Token::Word(word)) => self.comparison(&word)?,
            found => return Err(format!("a condition is expected, not {found:?}")),
        };
        self.depth -= 1;
        Ok(term)
    }

    fn comparison(&mut self, word: &str) -> Result<Filter, String> {
        if self.tokens.first() == Some(&Token::Sign(":")) {
            return Ok(Filter::Has(self.key(word, ":")?));
        }
        let key = self.key(word, ".")?;
        match self.next() {
            Some(Token::Sign("=")) => Ok(Filter::Equals(key, self.text()?)),
            Some(Token::Sign("!=")) => Ok(Filter::Not(Box::new(Filter::Equals(key, self.text()?)))),
            found => Err(format!("= or != is expected, not {found:?}")),
        }
    }

    fn key(&mut self, attributes: &str, separator: &'static str) -> Result<String, String> {
        if attributes != "attributes" {
            return Err(format!("{attributes:?} is no field; filters see attributes only"));
        }
        self.sign(separator)?;
        match self.next() {
            Some(Token::Word(key) | Token::Text(key)) => Ok(key),
            found => Err(format!("an attribute's name is expected, not {found:?}")),
        }
    }

    fn text(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Token::Text(text)) => Ok(text),
            found => Err(format!("a quoted value is expected, not {found:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(filter: &str, attributes: &[(&str, &str)]) -> bool {
        let attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Filter::parse(filter).unwrap_or_else(|e| panic!("{filter}: {e}")).matches(&attributes)
    }

    #[test]
    fn conditions_mean_what_the_documentation_says() {
        let order: &[(&str, &str)] = &[("kind", "order"), ("region", "europe-west4"), ("a b", "x\"y")];
        for (filter, wanted) in [
            ("", true),
            ("attributes:kind", true),
            ("attributes:other", false),
            ("attributes.kind = \"order\"", true),
            ("attributes.kind=\"orde\"", false),
            ("attributes.kind != \"order\"", false),
            ("attributes.other != \"order\"", true),
            ("hasPrefix(attributes.region, \"europe-\")", true),
            ("hasPrefix(attributes.other, \"\")", false),
            ("attributes.\"a b\" = \"x\\\"y\"", true),
            ("NOT attributes:kind", false),
            ("-attributes:other AND attributes:kind", true),
            ("attributes:other OR attributes:kind", true),
            ("attributes:kind AND (attributes:other OR NOT attributes:third)", true),
        ] {
            assert_eq!(passes(filter, order), wanted, "{filter}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_and_never_passes_everything() {
        let deep = format!("{}attributes:k{}", "(".repeat(100), ")".repeat(100));
        let long = format!("attributes:{}", "k".repeat(256));
        for filter in [
            "attributes.kind",
            "attributes.kind = order",
            "attributes.kind = \"order",
            "data = \"x\"",
            "attributes:a AND attributes:b OR attributes:c",
            "attributes:a attributes:b",
            "hasPrefix(attributes:a, \"x\")",
            "(attributes:a",
            "NOT",
            "attributes.kind > \"a\"",
            "\u{e9}",
            deep.as_str(),
            long.as_str(),
        ] {
            assert!(Filter::parse(filter).is_err(), "{filter:?} was accepted");
        }
    }
}
