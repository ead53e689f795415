//! in-toto statements and the two predicates that csign writes: the sigstore signature and "reproduced".

use std::collections::BTreeMap;

use csign_oci::{Digest, json};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `_type` of statements that csign writes.
pub const STATEMENT_V1: &str = "https://in-toto.io/Statement/v1";
/// Predicate of cosign v3's image signatures. A signature is this predicate and no other.
pub const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
/// Predicate of "I rebuilt it and got this digest"; see [`Reproduced`].
pub const REPRODUCED_PREDICATE: &str = "https://csign.dev/attestation/reproduced/v1";

/// An in-toto statement (spec v1, statement.md).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// [`STATEMENT_V1`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// What the statement is about.
    pub subject: Vec<Subject>,
    /// What kind of statement it is.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// The statement itself.
    pub predicate: Value,
}

/// One subject of a statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// Repository, where the writer names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Digests by algorithm.
    pub digest: BTreeMap<String, String>,
    /// `-a` pairs of a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, Value>>,
}

/// What a party states that rebuilt the image: sources, recipe and tools, and the digest that came out (the subject).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reproduced {
    /// Canonical digest of the contract.
    pub contract: Digest,
    /// The recipe that was run.
    pub recipe: String,
    /// Source revision that was built, as version control names it; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_revision: Option<String>,
    /// sha256 of the lock file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_file: Option<Digest>,
    /// `rustc -vV`, first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolchain: Option<String>,
    /// Did this party rebuild the image itself, or does it rely on the request?
    pub rebuilt: bool,
}

/// Why a statement is refused.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not the expected JSON.
    #[error("parsing the in-toto statement: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version of in-toto, or something else.
    #[error("the statement's _type is {0:?}, not {STATEMENT_V1:?}")]
    Type(String),
    /// Not what was asked for.
    #[error("the statement's predicate is {got:?}, not {want:?}")]
    Predicate {
        /// The predicate asked for.
        want: String,
        /// The predicate found.
        got: String,
    },
    /// About another image.
    #[error("the statement is not about {0}")]
    Subject(Digest),
}

impl Statement {
    /// The statement by which cosign v3 signs an image.
    pub fn signature(digest: &Digest, annotations: &BTreeMap<String, String>) -> Self {
        let annotations =
            annotations.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
        Self {
            kind: STATEMENT_V1.to_owned(),
            subject: vec![Subject {
                name: None,
                digest: BTreeMap::from([("sha256".to_owned(), digest.hex())]),
                annotations: Some(annotations),
            }],
            predicate_type: SIGN_PREDICATE.to_owned(),
            predicate: Value::Object(serde_json::Map::new()),
        }
    }

    /// "I rebuilt `repository` and got `digest`."
    ///
    /// # Errors
    /// None in practice; serialization of [`Reproduced`] does not fail.
    pub fn reproduced(repository: &str, digest: &Digest, what: &Reproduced) -> Result<Self, StatementError> {
        Ok(Self {
            kind: STATEMENT_V1.to_owned(),
            subject: vec![Subject {
                name: Some(repository.to_owned()),
                digest: BTreeMap::from([("sha256".to_owned(), digest.hex())]),
                annotations: None,
            }],
            predicate_type: REPRODUCED_PREDICATE.to_owned(),
            predicate: serde_json::to_value(what)?,
        })
    }

    /// The bytes to sign and keep: compact JSON.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StatementError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Parses a statement that must have `predicate` and be about `digest`.
    ///
    /// # Errors
    /// Malformed JSON, duplicate members, another `_type` or predicate, a subject without our sha256.
    pub fn parse_about(bytes: &[u8], predicate: &str, digest: &Digest) -> Result<Self, StatementError> {
        let statement: Self = json::from_slice(bytes)?;
        if statement.kind != STATEMENT_V1 {
            return Err(StatementError::Type(statement.kind));
        }
        if statement.predicate_type != predicate {
            return Err(StatementError::Predicate { want: predicate.to_owned(), got: statement.predicate_type });
        }
        let hex = digest.hex();
        let about = statement.subject.iter().any(|subject| subject.digest.get("sha256") == Some(&hex));
        if about { Ok(statement) } else { Err(StatementError::Subject(*digest)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_statement_is_cosigns() {
        let digest = Digest::of(b"image");
        let bytes = Statement::signature(&digest, &BTreeMap::new()).to_bytes().expect("writes");
        let want = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{}"}},"annotations":{{}}}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{{}}}}"#,
            digest.hex()
        );
        assert_eq!(String::from_utf8(bytes).expect("utf-8"), want);
    }

    #[test]
    fn another_predicate_or_subject_is_refused() {
        let digest = Digest::of(b"image");
        let bytes = Statement::signature(&digest, &BTreeMap::new()).to_bytes().expect("writes");
        assert!(Statement::parse_about(&bytes, SIGN_PREDICATE, &digest).is_ok());
        assert!(matches!(
            Statement::parse_about(&bytes, REPRODUCED_PREDICATE, &digest),
            Err(StatementError::Predicate { .. })
        ));
        assert!(matches!(
            Statement::parse_about(&bytes, SIGN_PREDICATE, &Digest::of(b"other")),
            Err(StatementError::Subject(_))
        ));
        let sha512_only = String::from_utf8(bytes).expect("utf-8").replace("\"sha256\"", "\"sha512\"");
        assert!(Statement::parse_about(sha512_only.as_bytes(), SIGN_PREDICATE, &digest).is_err());
    }
}
