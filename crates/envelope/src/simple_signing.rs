//! Simple-signing payloads: what cosign's legacy format signs, and what Confidential Space reads.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use csign_oci::{Digest, Repository, json};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::key::PublicKey;

/// Media type of a `.sig` layer.
pub const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Layer annotation with the standard base64 of the signature.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// Member of `optional` with the signer's public key; Confidential Space requires it.
pub const PUB: &str = "dev.cosignproject.cosign/pub";
/// Member of `optional` with the signature algorithm; Confidential Space requires it.
pub const SIGALG: &str = "dev.cosignproject.cosign/sigalg";
/// The only value of `critical.type`.
pub const TYPE: &str = "cosign container image signature";

/// A parsed payload. Unknown members under `critical` are refused, as the name asks.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// What a verifier must check.
    pub critical: Critical,
    /// Annotations.
    pub optional: Option<BTreeMap<String, Value>>,
}

/// The part of a payload that a verifier must check.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Critical {
    /// Which repository the signer named.
    pub identity: Identity,
    /// Which image the signer named.
    pub image: Image,
    /// Always [`TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
}

/// The repository that a signer named. cosign and Confidential Space ignore it; csign reports it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Repository without tag.
    #[serde(rename = "docker-reference")]
    pub docker_reference: String,
}

/// The image that a signer named.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Digest of the manifest.
    #[serde(rename = "docker-manifest-digest")]
    pub docker_manifest_digest: Digest,
}

impl Payload {
    /// Parses a payload.
    ///
    /// # Errors
    /// Malformed JSON, duplicate or unknown members, another `critical.type`.
    pub fn parse(bytes: &[u8]) -> Result<Self, PayloadError> {
        let payload: Self = json::from_slice(bytes)?;
        if payload.critical.kind != TYPE {
            return Err(PayloadError::Type(payload.critical.kind.chars().take(80).collect()));
        }
        Ok(payload)
    }
}

/// The public key that a payload says it is signed with; whether it is, only verification tells.
pub fn claimed_key(payload: &[u8]) -> Option<PublicKey> {
    let payload = Payload::parse(payload).ok()?;
    let text = payload.optional.as_ref()?.get(PUB)?.as_str()?;
    let pem = BASE64_STANDARD_NO_PAD.decode(text).ok()?;
    PublicKey::from_pem(std::str::from_utf8(&pem).ok()?).ok()
}

/// Why bytes are not a payload.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Not the expected JSON.
    #[error("parsing the simple-signing payload: {0}")]
    Json(#[from] serde_json::Error),
    /// Signed for something else.
    #[error("the payload's type is {0:?}, not {TYPE:?}")]
    Type(String),
}

/// The annotations under which csign signs by default: the key and its algorithm, which Confidential Space requires, and
/// `extra`. They are written for every algorithm, so that repository, digest and key determine the payload's bytes;
/// Confidential Space itself ignores algorithms that it does not know.
pub fn annotations(key: &PublicKey, extra: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = extra.clone();
    all.insert(PUB.to_owned(), key.confidential_space_pub());
    all.insert(SIGALG.to_owned(), key.algorithm().name().to_owned());
    all
}

/// The payload's exact bytes as cosign writes them (reference section 1): compact, fixed member order, sorted
/// annotations, Go's escapes of `<`, `>`, `&`, U+2028 and U+2029. Without annotations `optional` is `null`.
pub fn payload(repository: &Repository, digest: &Digest, annotations: &BTreeMap<String, String>) -> Vec<u8> {
    let optional = (!annotations.is_empty())
        .then(|| annotations.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect());
    let payload = Payload {
        critical: Critical {
            identity: Identity { docker_reference: repository.to_string() },
            image: Image { docker_manifest_digest: *digest },
            kind: TYPE.to_owned(),
        },
        optional,
    };
    // These types always serialize; an empty payload would only ever fail to verify.
    go_escape(&serde_json::to_string(&payload).unwrap_or_default()).into_bytes()
}

/// Go's `encoding/json` escapes these characters; in JSON they can only stand inside strings.
pub(crate) fn go_escape(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> Digest {
        Digest::of(b"image")
    }

    fn repository() -> Repository {
        Repository::parse("r.example/a/b").expect("repository")
    }

    #[test]
    fn bytes_are_cosigns() {
        let hex = digest().hex();
        let plain = payload(&repository(), &digest(), &BTreeMap::new());
        assert_eq!(
            String::from_utf8(plain).expect("utf-8"),
            format!(
                r#"{{"critical":{{"identity":{{"docker-reference":"r.example/a/b"}},"image":{{"docker-manifest-digest":"sha256:{hex}"}},"type":"cosign container image signature"}},"optional":null}}"#
            )
        );
        let annotated = payload(
            &repository(),
            &digest(),
            &BTreeMap::from([("b".into(), "<&>\u{2028}".into()), ("a".into(), "1".into())]),
        );
        let text = String::from_utf8(annotated.clone()).expect("utf-8");
        assert!(text.ends_with(r#""optional":{"a":"1","b":"\u003c\u0026\u003e\u2028"}}"#), "{text}");
        let parsed = Payload::parse(&annotated).expect("parses");
        assert_eq!(parsed.optional.expect("optional")["b"], Value::String("<&>\u{2028}".into()));
    }

    #[test]
    fn ambiguous_or_foreign_payloads_are_refused() {
        let good = String::from_utf8(payload(&repository(), &digest(), &BTreeMap::new())).expect("utf-8");
        let twice = good.replace(r#""type":"#, r#""type":"x","type":"#);
        let unknown = good.replace(r#""type":"#, r#""also":1,"type":"#);
        let other = good.replace(TYPE, "atomic container signature");
        for bad in [twice, unknown, other, good.replace("sha256:", "sha512:"), format!("{good} x"), String::new()] {
            assert!(Payload::parse(bad.as_bytes()).is_err(), "{bad} was accepted");
        }
    }
}
