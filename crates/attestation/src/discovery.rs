//! OpenID Connect discovery document (OpenID Connect Discovery 1.0, section 3), as far as csign needs it.

use csign_oci::json;
use serde::Deserialize;

use crate::{error::JwksError, token::LIMITS};

/// Where an issuer publishes its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// Address of the key set, as the issuer wrote it. The caller decides which hosts and schemes it follows.
    pub jwks_uri: String,
}

impl Discovery {
    /// Path of the document below the issuer's address.
    pub const PATH: &str = "/.well-known/openid-configuration";

    /// Parses a document that must be of exactly `issuer`: same bytes, no tolerance for a trailing slash or case.
    ///
    /// # Errors
    /// Malformed JSON, duplicate members, too many bytes, another issuer.
    pub fn parse(bytes: &[u8], issuer: &str) -> Result<Self, JwksError> {
        const WHAT: &str = "discovery document";
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
            jwks_uri: String,
        }
        if bytes.len() > LIMITS.issuer_document_bytes {
            return Err(JwksError::TooLarge { what: WHAT, limit: LIMITS.issuer_document_bytes });
        }
        let document: Document = json::from_slice(bytes).map_err(|source| JwksError::Json { what: WHAT, source })?;
        if document.issuer == issuer {
            Ok(Self { jwks_uri: document.jwks_uri })
        } else {
            let got = document.issuer.chars().take(200).collect();
            Err(JwksError::Issuer { want: issuer.to_owned(), got })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://confidentialcomputing.googleapis.com";

    #[test]
    fn only_the_exact_issuer_is_accepted() {
        let document = |issuer: &str| format!(r#"{{"issuer":"{issuer}","jwks_uri":"https://k.example/jwks","x":1}}"#);
        let good = Discovery::parse(document(ISSUER).as_bytes(), ISSUER).expect("parses");
        assert_eq!(good.jwks_uri, "https://k.example/jwks");
        for bad in [
            "https://confidentialcomputing.googleapis.com/",
            "https://Confidentialcomputing.googleapis.com",
            "http://confidentialcomputing.googleapis.com",
            "https://fake-issuer-for-testing",
            "",
        ] {
            let refused = Discovery::parse(document(bad).as_bytes(), ISSUER);
            assert!(matches!(refused, Err(JwksError::Issuer { .. })), "{bad:?} was accepted");
        }
    }

    #[test]
    fn ambiguous_incomplete_or_huge_documents_are_refused() {
        let twice = format!(r#"{{"issuer":"https://evil","issuer":"{ISSUER}","jwks_uri":"u"}}"#);
        let no_keys = format!(r#"{{"issuer":"{ISSUER}"}}"#);
        let huge = format!(r#"{{"issuer":"{ISSUER}","jwks_uri":"{}"}}"#, "u".repeat(LIMITS.issuer_document_bytes));
        for bad in [twice.as_str(), &no_keys, &huge, "", "[]"] {
            assert!(Discovery::parse(bad.as_bytes(), ISSUER).is_err());
        }
    }
}
