//! Who signed, as the certificate says it, and who was meant to.

use std::fmt;

use regex_lite::Regex;
use serde::Serialize;

use crate::KeylessError;

/// Who signed: the subject and who vouched for it. Two certificates of one identity are one signer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Identity {
    /// The certificate's one subject alternative name: an e-mail address or a URI.
    pub san: String,
    /// What `san` is.
    pub san_kind: SanKind,
    /// The OIDC issuer that authenticated the subject (extension 1.3.6.1.4.1.57264.1.8, else .1.1).
    pub issuer: String,
}

/// Kinds of subject alternative names that Fulcio writes and csign reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SanKind {
    /// rfc822Name
    Email,
    /// uniformResourceIdentifier
    Uri,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (by {})", self.san, self.issuer)
    }
}

/// One text, or all texts that a regular expression matches from their first letter to their last.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// Exactly this text.
    Exact(String),
    /// Texts that match as a whole: `a.c` does not match `abcd`, where cosign's search would find it.
    Regexp {
        /// As it was given.
        source: String,
        /// `source`, anchored at both ends.
        anchored: Regex,
    },
}

impl Pattern {
    /// Exactly `text`.
    ///
    /// # Errors
    /// An empty text.
    pub fn exact(text: &str) -> Result<Self, KeylessError> {
        if text.is_empty() {
            return Err(KeylessError::Policy { what: "identity or issuer", why: "it must not be empty".to_owned() });
        }
        Ok(Self::Exact(text.to_owned()))
    }

    /// Texts that `source` matches as a whole.
    ///
    /// # Errors
    /// Not a regular expression, or an empty one.
    pub fn regexp(source: &str) -> Result<Self, KeylessError> {
        let refused = |why: String| KeylessError::Policy { what: "regular expression", why };
        if source.is_empty() {
            return Err(refused("it must not be empty".to_owned()));
        }
        // Alone first: "a)|(?:b" is no expression, but would be one between the anchors.
        Regex::new(source).map_err(|error| refused(error.to_string()))?;
        let anchored = Regex::new(&format!("^(?:{source})$")).map_err(|error| refused(error.to_string()))?;
        Ok(Self::Regexp { source: source.to_owned(), anchored })
    }

    /// Does the whole of `text` match?
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(want) => want == text,
            Self::Regexp { anchored, .. } => anchored.find(text).is_some_and(|found| found.range() == (0..text.len())),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Regexp { source, .. } => write!(f, "anything that is /{source}/ as a whole"),
        }
    }
}

/// Who is to have signed. Both parts are required: a subject means nothing without the one who vouches for it.
#[derive(Clone, Debug)]
pub struct IdentityPolicy {
    /// The subject.
    pub identity: Pattern,
    /// The OIDC issuer.
    pub issuer: Pattern,
}

impl IdentityPolicy {
    /// Is `identity` the one that was meant?
    ///
    /// # Errors
    /// Another subject or another issuer.
    pub fn check(&self, identity: &Identity) -> Result<(), KeylessError> {
        if !self.issuer.matches(&identity.issuer) {
            return Err(KeylessError::Issuer { want: self.issuer.to_string(), got: identity.issuer.clone() });
        }
        if !self.identity.matches(&identity.san) {
            return Err(KeylessError::Identity { want: self.identity.to_string(), got: identity.san.clone() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(san: &str, issuer: &str) -> Identity {
        Identity { san: san.to_owned(), san_kind: SanKind::Email, issuer: issuer.to_owned() }
    }

    #[test]
    fn a_regular_expression_must_match_the_whole_text() {
        let pattern = Pattern::regexp(r"a(lice|nn)@example\.com").expect("a regular expression");
        for good in ["alice@example.com", "ann@example.com"] {
            assert!(pattern.matches(good), "{good}");
        }
        for bad in ["alice@example.com.evil.org", "malice@example.com", "alice@example.com\n", "\nann@example.com", ""]
        {
            assert!(!pattern.matches(bad), "{bad}");
        }
        // Alternatives and flags do not reach over the anchors.
        assert!(!Pattern::regexp("a|b").expect("valid").matches("ax"));
        assert!(!Pattern::regexp("(?m)a").expect("valid").matches("a\nb"));
        assert!(Pattern::regexp("ab|abc").expect("valid").matches("abc"));
    }

    #[test]
    fn an_expression_that_closes_our_group_is_refused() {
        for bad in ["a)|(?:b", "(", "", "(?x) a # "] {
            assert!(Pattern::regexp(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn subject_and_issuer_must_both_be_the_ones_that_were_meant() {
        let policy = IdentityPolicy {
            identity: Pattern::exact("a@example.com").expect("text"),
            issuer: Pattern::exact("https://issuer.example").expect("text"),
        };
        assert!(policy.check(&identity("a@example.com", "https://issuer.example")).is_ok());
        assert!(matches!(
            policy.check(&identity("a@example.com", "https://issuer.example.evil.org")),
            Err(KeylessError::Issuer { .. })
        ));
        for other in ["A@example.com", "b@example.com", "a@example.com ", ""] {
            assert!(matches!(
                policy.check(&identity(other, "https://issuer.example")),
                Err(KeylessError::Identity { .. })
            ));
        }
        assert!(Pattern::exact("").is_err());
    }
}
