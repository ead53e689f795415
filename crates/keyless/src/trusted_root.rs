//! The services that are trusted: certificate authorities, logs, time stamp authorities (sigstore `trusted_root.json`).

use csign_oci::json;
use sigstore_verify::{
    Verifier as Library,
    trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot as Parsed},
};

use crate::{KeylessError, provider};

/// Largest trusted root that is read, in bytes.
pub const MAX_TRUSTED_ROOT: usize = 1 << 20;

/// When the youngest part of [`TrustedRoot::public_good`] came into force (RFC 3339). A test holds it to the file.
pub const PUBLIC_GOOD_AS_OF: &str = "2025-09-23T00:00:00Z";

const MEDIA_TYPES: [&str; 3] = [
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot+json;version=0.2",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
];

/// A trusted root whose every key and certificate was parsed.
#[derive(Clone, Debug)]
pub struct TrustedRoot {
    pub(crate) parsed: Parsed,
}

impl TrustedRoot {
    /// Parses a `trusted_root.json` (sigstore protobuf-specs, `TrustedRoot`).
    ///
    /// # Errors
    /// More than [`MAX_TRUSTED_ROOT`] bytes, malformed JSON, duplicate members, an unknown version, a key or certificate
    /// that does not parse, a log that is listed twice; no certificate authority, log or certificate transparency log,
    /// since nothing could be verified then.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeylessError> {
        provider::install();
        if bytes.len() > MAX_TRUSTED_ROOT {
            return Err(KeylessError::TooLarge { what: "the trusted root, in bytes", limit: MAX_TRUSTED_ROOT });
        }
        let json_error = |source| KeylessError::Json { what: "the trusted root", source };
        let parsed: Parsed = json::from_slice(bytes).map_err(json_error)?;
        let refused = |why: &str| KeylessError::TrustedRoot(why.to_owned());
        if !MEDIA_TYPES.contains(&parsed.media_type.as_str()) {
            let found: String = parsed.media_type.chars().take(80).collect();
            return Err(KeylessError::TrustedRoot(format!("its media type is {found:?}, not {:?}", MEDIA_TYPES[0])));
        }
        if parsed.certificate_authorities.is_empty() {
            return Err(refused("it names no certificate authority (certificateAuthorities)"));
        }
        if parsed.tlogs.is_empty() {
            return Err(refused("it names no transparency log (tlogs)"));
        }
        if parsed.ctlogs.is_empty() {
            return Err(refused("it names no certificate transparency log (ctlogs)"));
        }
        Library::new(&parsed).map_err(|error| KeylessError::TrustedRoot(error.to_string()))?;
        Ok(Self { parsed })
    }

    /// The root of the public sigstore services as it came with the library; see [`PUBLIC_GOOD_AS_OF`] for its age. It is
    /// never updated by itself: a key that was withdrawn since is still trusted, a new one is not. Tell the user so.
    ///
    /// # Errors
    /// None in practice; a test parses it.
    pub fn public_good() -> Result<Self, KeylessError> {
        Self::parse(SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn edited(edit: impl FnOnce(&mut Value)) -> Result<TrustedRoot, KeylessError> {
        let mut root = serde_json::from_str(SIGSTORE_PRODUCTION_TRUSTED_ROOT).expect("JSON");
        edit(&mut root);
        TrustedRoot::parse(root.to_string().as_bytes())
    }

    #[test]
    fn the_public_root_is_as_old_as_we_say() {
        let root: Value = serde_json::from_str(SIGSTORE_PRODUCTION_TRUSTED_ROOT).expect("JSON");
        let mut starts = Vec::new();
        for (list, path) in [
            ("tlogs", "/publicKey/validFor/start"),
            ("ctlogs", "/publicKey/validFor/start"),
            ("certificateAuthorities", "/validFor/start"),
            ("timestampAuthorities", "/validFor/start"),
        ] {
            let members = root.get(list).and_then(Value::as_array).expect("a list");
            starts.extend(members.iter().filter_map(|member| member.pointer(path)?.as_str()));
        }
        assert_eq!(starts.iter().max().copied(), Some(PUBLIC_GOOD_AS_OF));
        assert!(TrustedRoot::public_good().is_ok());
    }

    #[test]
    fn a_root_that_could_verify_nothing_is_refused() {
        assert!(edited(|_| ()).is_ok());
        for list in ["tlogs", "ctlogs", "certificateAuthorities"] {
            let error = edited(|root| root[list] = Value::Array(Vec::new())).expect_err(list);
            assert!(error.to_string().contains(list), "{error}");
            assert!(error.hint().expect("a hint").contains("cosign trusted-root create"));
        }
    }

    #[test]
    fn unknown_versions_broken_keys_and_duplicates_are_refused() {
        assert!(edited(|root| root["mediaType"] = "application/json".into()).is_err());
        assert!(edited(|root| root["tlogs"][0]["publicKey"]["rawBytes"] = "AAAA".into()).is_err());
        assert!(edited(|root| root["tlogs"][1] = root["tlogs"][0].clone()).is_err());
        let twice = SIGSTORE_PRODUCTION_TRUSTED_ROOT.replacen('{', r#"{"tlogs":[],"#, 1);
        assert!(matches!(TrustedRoot::parse(twice.as_bytes()), Err(KeylessError::Json { .. })));
    }
}
