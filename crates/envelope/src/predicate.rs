//! The attestation types that cosign users know by name, and how each wraps what it is given.

use std::{fmt, str::FromStr};

use csign_oci::json;
use serde_json::{Value, json};

/// What cosign wraps any file in: `{"Data": …, "Timestamp": …}`.
pub const CUSTOM: &str = "https://cosign.sigstore.dev/attestation/v1";
/// The same type as older cosign wrote it.
const CUSTOM_OLD: &str = "cosign.sigstore.dev/attestation/v1";

/// The type of an attestation: a name that stands for a predicate type URI, or the URI itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredicateType {
    name: Option<&'static str>,
    uri: String,
    form: Form,
}

/// How a predicate is made of the file that is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A string beside a time stamp.
    Custom,
    /// A JSON string.
    Text,
    /// A JSON object with at least these members.
    Object(&'static [&'static str]),
}

/// Name, URI, form.
const KNOWN: [(&str, &str, Form); 10] = [
    ("custom", CUSTOM, Form::Custom),
    ("slsaprovenance", "https://slsa.dev/provenance/v0.2", Form::Object(&["builder", "buildType"])),
    ("slsaprovenance02", "https://slsa.dev/provenance/v0.2", Form::Object(&["builder", "buildType"])),
    ("slsaprovenance1", "https://slsa.dev/provenance/v1", Form::Object(&["buildDefinition", "runDetails"])),
    ("spdx", "https://spdx.dev/Document", Form::Text),
    ("spdxjson", "https://spdx.dev/Document", Form::Object(&["spdxVersion"])),
    ("cyclonedx", "https://cyclonedx.org/bom", Form::Object(&["bomFormat"])),
    ("link", "https://in-toto.io/Link/v1", Form::Object(&["name", "command", "materials", "products", "byproducts"])),
    ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1", Form::Object(&["invocation", "scanner", "metadata"])),
    ("openvex", "https://openvex.dev/ns", Form::Object(&["@context", "statements"])),
];

/// Why a text is no attestation type, or a file no predicate of that type.
#[derive(Debug, thiserror::Error)]
pub enum PredicateError {
    /// Neither a known name nor a URI.
    #[error("{0:?} is no attestation type: neither one of {names} nor a URI", names = names())]
    Unknown(String),
    /// Not UTF-8 where the predicate is text.
    #[error("a predicate of type {0} is text, and this is not UTF-8")]
    Text(String),
    /// Not JSON where the predicate is JSON.
    #[error("a predicate of type {kind} is a JSON object: {source}")]
    Json {
        /// The type.
        kind: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// JSON, but no object.
    #[error("a predicate of type {0} is a JSON object, and this is something else")]
    NotAnObject(String),
    /// A member that every reader of the type needs.
    #[error("a predicate of type {kind} has a member {member:?}, and this one has not")]
    Member {
        /// The type.
        kind: String,
        /// The member's name.
        member: &'static str,
    },
}

fn names() -> String {
    KNOWN.map(|(name, _, _)| name).join(", ")
}

impl PredicateType {
    /// Every known name with its URI.
    pub fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
        KNOWN.into_iter().map(|(name, uri, _)| (name, uri))
    }

    /// The predicate type that is written.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Is `uri` this type? The custom type is also known without its scheme, as older cosign wrote it.
    pub fn is(&self, uri: &str) -> bool {
        self.uri == uri || (self.uri == CUSTOM && uri == CUSTOM_OLD)
    }

    /// The predicate made of `file`. `timestamp` (RFC 3339) goes into the custom type alone.
    ///
    /// # Errors
    /// A file that is no predicate of this type.
    pub fn predicate(&self, file: &[u8], timestamp: &str) -> Result<Value, PredicateError> {
        let text = || std::str::from_utf8(file).map_err(|_| PredicateError::Text(self.to_string()));
        match self.form {
            Form::Custom => Ok(json!({"Data": text()?, "Timestamp": timestamp})),
            Form::Text => Ok(Value::String(text()?.to_owned())),
            Form::Object(members) => {
                let value = json::value_from_slice(file)
                    .map_err(|source| PredicateError::Json { kind: self.to_string(), source })?;
                let object = value.as_object().ok_or_else(|| PredicateError::NotAnObject(self.to_string()))?;
                match members.iter().find(|member| !object.contains_key(**member)) {
                    Some(member) => Err(PredicateError::Member { kind: self.to_string(), member }),
                    None => Ok(value),
                }
            }
        }
    }
}

impl FromStr for PredicateType {
    type Err = PredicateError;

    fn from_str(text: &str) -> Result<Self, PredicateError> {
        if let Some((name, uri, form)) = KNOWN.into_iter().find(|(name, _, _)| *name == text) {
            return Ok(Self { name: Some(name), uri: uri.to_owned(), form });
        }
        // RFC 3986, section 3: a scheme, a colon, something behind it, no white space.
        let is_uri = text.split_once(':').is_some_and(|(scheme, rest)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
                && !rest.trim_matches('/').is_empty()
                && text.chars().all(|c| c.is_ascii_graphic())
        });
        if is_uri && text.len() <= 512 {
            let form = if text == CUSTOM { Form::Custom } else { Form::Object(&[]) };
            return Ok(Self { name: None, uri: text.to_owned(), form });
        }
        Err(PredicateError::Unknown(text.chars().take(80).collect()))
    }
}

/// The name, or the URI where there is none.
impl fmt::Display for PredicateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.unwrap_or(&self.uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> PredicateType {
        text.parse().expect(text)
    }

    #[test]
    fn names_and_uris_are_told_apart_and_nonsense_is_refused() {
        assert_eq!(kind("slsaprovenance1").uri(), "https://slsa.dev/provenance/v1");
        assert_eq!(kind("https://example.com/x/v1").uri(), "https://example.com/x/v1");
        assert_eq!(kind("urn:example:x").to_string(), "urn:example:x");
        for bad in ["", "customs", "http:", "https://", "a b:c", ":x", "1:x", "https://example.com/a b"] {
            assert!(bad.parse::<PredicateType>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_custom_type_is_known_with_and_without_its_scheme() {
        assert!(kind("custom").is(CUSTOM));
        assert!(kind("custom").is(CUSTOM_OLD));
        assert!(!kind("vuln").is(CUSTOM_OLD));
        assert!(!kind("custom").is("https://slsa.dev/provenance/v1"));
    }

    #[test]
    fn each_type_wraps_its_file_as_cosign_does() {
        let now = "2026-01-02T03:04:05Z";
        let custom = kind("custom").predicate(b"{\"foo\":\"bar\"}", now).expect("custom");
        assert_eq!(custom, json!({"Data": "{\"foo\":\"bar\"}", "Timestamp": now}));
        assert_eq!(
            kind("spdx").predicate(b"SPDXVersion: SPDX-2.3", now).expect("spdx"),
            json!("SPDXVersion: SPDX-2.3")
        );
        let object = br#"{"buildDefinition":{},"runDetails":{}}"#;
        assert_eq!(kind("slsaprovenance1").predicate(object, now).expect("slsa")["runDetails"], json!({}));
        assert_eq!(kind("https://x.example/y").predicate(b"{}", now).expect("any"), json!({}));
    }

    #[test]
    fn files_that_are_no_predicate_of_their_type_are_refused() {
        for (name, file) in [
            ("slsaprovenance1", &b"{}"[..]),
            ("slsaprovenance1", br#"{"buildDefinition":{}}"#),
            ("vuln", b"[]"),
            ("link", b"text"),
            ("cyclonedx", br#"{"bomFormat":"CycloneDX","bomFormat":"x"}"#),
            ("custom", b"\xff"),
            ("https://x.example/y", b"1"),
        ] {
            assert!(kind(name).predicate(file, "").is_err(), "{name} {file:?}");
        }
    }
}
