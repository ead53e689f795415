//! in-toto statements and the two predicates that csign writes: the sigstore signature and "reproduced".

use std::collections::BTreeMap;

use csign_oci::{Digest, Reference, json};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::reproduced::{Rebuild, Reproduced, RevisionFrom, Tool};

/// `_type` of statements in sigstore bundles.
pub const STATEMENT_V1: &str = "https://in-toto.io/Statement/v1";
/// `_type` of statements under cosign's `.att` tag.
pub const STATEMENT_V01: &str = "https://in-toto.io/Statement/v0.1";
/// Predicate of cosign v3's image signatures. A signature is this predicate and no other.
pub const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
/// Predicate of "I rebuilt it and got this digest"; see [`Reproduced`].
pub const REPRODUCED_PREDICATE: &str = "https://csign.dev/attestation/reproduced/v1";

/// An in-toto statement (spec v1, statement.md; v0.1 has the same members).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// [`STATEMENT_V1`] or [`STATEMENT_V01`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// What the statement is about.
    pub subject: Vec<Subject>,
    /// What kind of statement it is.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// The statement itself; absent is as good as `null`.
    #[serde(default)]
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

/// Why a statement is refused.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not the expected JSON.
    #[error("parsing the in-toto statement: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version of in-toto, or something else.
    #[error("the statement's _type is {0:?}, neither {STATEMENT_V1:?} nor {STATEMENT_V01:?}")]
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
    #[error("the statement is not about {want} but about {}", .got.as_deref().unwrap_or("nothing with a sha256"))]
    Subject {
        /// The image in question.
        want: Digest,
        /// The first sha256 that the statement names.
        got: Option<String>,
    },
    /// About the same digest in another repository.
    #[error("the statement is about the image in {got:?}")]
    Repository {
        /// The subject's name.
        got: String,
    },
}

/// The name of a repository that a signer wrote down, held against the repositories that it may be.
///
/// Both are compared as repositories (`index.docker.io` is `docker.io`, a tag behind the name does not matter); text that
/// names no repository must be equal.
pub fn is_same_repository(name: &str, repository: &str) -> bool {
    let normal = |text: &str| {
        let text = text.split_once('@').map_or(text, |(name, _)| name);
        let Ok(reference) = Reference::parse(text) else { return text.to_owned() };
        let name = reference.repository().to_string();
        match name.strip_prefix("index.docker.io/") {
            Some(path) => format!("docker.io/{path}"),
            None => name,
        }
    };
    name == repository || normal(name) == normal(repository)
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

    /// A statement of `predicate_type` about `digest` in `repository`, in the form that `.att` tags (`v01`) or bundles hold.
    pub fn attestation(
        kind: &str,
        repository: Option<&str>,
        digest: &Digest,
        predicate_type: &str,
        predicate: Value,
    ) -> Self {
        Self {
            kind: kind.to_owned(),
            subject: vec![Subject {
                name: repository.map(str::to_owned),
                digest: BTreeMap::from([("sha256".to_owned(), digest.hex())]),
                annotations: None,
            }],
            predicate_type: predicate_type.to_owned(),
            predicate,
        }
    }

    /// Parses a statement of either version.
    ///
    /// # Errors
    /// Malformed JSON, duplicate members, another `_type`.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        let statement: Self = json::from_slice(bytes)?;
        if [STATEMENT_V1, STATEMENT_V01].contains(&statement.kind.as_str()) {
            Ok(statement)
        } else {
            Err(StatementError::Type(statement.kind.chars().take(120).collect()))
        }
    }

    /// Is it about `digest`, and if its subject names a repository, is that one of `repositories`? Only sha256 counts: an
    /// algorithm that nobody computed binds nothing.
    ///
    /// # Errors
    /// No subject with this sha256; one under a name that is none of `repositories`.
    pub fn require_subject(&self, digest: &Digest, repositories: &[String]) -> Result<(), StatementError> {
        let sha256 = |subject: &&Subject| subject.digest.get("sha256").is_some_and(|hex| *hex == digest.hex());
        let Some(first) = self.subject.iter().find(sha256) else {
            let got = self.subject.iter().find_map(|subject| subject.digest.get("sha256"));
            return Err(StatementError::Subject { want: *digest, got: got.map(|hex| hex.chars().take(64).collect()) });
        };
        // A name that cannot be a repository ("_", a file name) says nothing about where the image is.
        let names_repository = |name: &str| Reference::parse(name).is_ok();
        let fits = |subject: &Subject| {
            subject.name.as_deref().is_none_or(|name| {
                !names_repository(name) || repositories.iter().any(|known| is_same_repository(name, known))
            })
        };
        if self.subject.iter().filter(sha256).any(fits) {
            return Ok(());
        }
        Err(StatementError::Repository { got: first.name.as_deref().unwrap_or_default().chars().take(200).collect() })
    }

    /// Parses a statement that must have `predicate` and be about `digest`, whatever its subject is called.
    ///
    /// # Errors
    /// As [`Statement::parse`]; another predicate, a subject without our sha256.
    pub fn parse_about(bytes: &[u8], predicate: &str, digest: &Digest) -> Result<Self, StatementError> {
        let statement = Self::parse(bytes)?;
        if statement.predicate_type != predicate {
            return Err(StatementError::Predicate { want: predicate.to_owned(), got: statement.predicate_type });
        }
        match statement.require_subject(digest, &[]) {
            Ok(()) | Err(StatementError::Repository { .. }) => Ok(statement),
            Err(error) => Err(error),
        }
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
            Err(StatementError::Subject { .. })
        ));
        let sha512_only = String::from_utf8(bytes).expect("utf-8").replace("\"sha256\"", "\"sha512\"");
        assert!(Statement::parse_about(sha512_only.as_bytes(), SIGN_PREDICATE, &digest).is_err());
    }
    #[test]
    fn a_subject_binds_by_sha256_and_by_the_repository_that_it_names() {
        let digest = Digest::of(b"image");
        let about = |name: Option<&str>, repositories: &[&str]| {
            let repositories: Vec<String> = repositories.iter().map(|name| (*name).to_owned()).collect();
            Statement::attestation(STATEMENT_V01, name, &digest, "p", Value::Null)
                .require_subject(&digest, &repositories)
        };
        assert!(about(None, &["r.example/a"]).is_ok());
        assert!(about(Some("r.example/a"), &["r.example/a"]).is_ok());
        assert!(about(Some("index.docker.io/library/x"), &["docker.io/library/x"]).is_ok());
        assert!(about(Some("app.tar"), &["r.example/a"]).is_ok(), "a file name is no repository");
        assert!(matches!(about(Some("r.example/b"), &["r.example/a"]), Err(StatementError::Repository { .. })));
        assert!(matches!(about(Some("r.example/b"), &[]), Err(StatementError::Repository { .. })));
        assert!(about(Some("r.example/b"), &["r.example/a", "r.example/b"]).is_ok());

        // One subject with our digest under another name does not spoil one that fits, nor does it count for it.
        let mut two = Statement::attestation(STATEMENT_V1, Some("r.example/b"), &digest, "p", Value::Null);
        two.subject.push(
            Statement::attestation("", Some("r.example/a"), &Digest::of(b"other"), "", Value::Null).subject.remove(0),
        );
        assert!(two.require_subject(&digest, &["r.example/a".into()]).is_err());
        two.subject.push(Statement::attestation("", None, &digest, "", Value::Null).subject.remove(0));
        assert!(two.require_subject(&digest, &["r.example/a".into()]).is_ok());
    }
}
