//! Resource names of Cloud KMS: keys, and versions of keys.

use std::{fmt, str::FromStr};

use crate::KeysError;

pub(super) const SCHEME: &str = "gcpkms://";

/// A Cloud KMS key: `projects/P/locations/L/keyRings/R/cryptoKeys/K`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KmsKey {
    name: String,
}

impl KmsKey {
    /// The resource name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for KmsKey {
    type Err = KeysError;

    /// Parses a resource name, with or without `gcpkms://` before it.
    ///
    /// # Errors
    /// Anything else, also a key version.
    fn from_str(text: &str) -> Result<Self, KeysError> {
        let (key, rest) = split(text.strip_prefix(SCHEME).unwrap_or(text), text)?;
        if !rest.is_empty() {
            let why = "a version stands behind the key; decryption finds the version by itself, leave it out";
            return Err(KeysError::Uri { uri: text.to_owned(), why });
        }
        Ok(key)
    }
}

impl fmt::Display for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A version of a Cloud KMS key: `…/cryptoKeys/K/cryptoKeyVersions/N`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KmsKeyVersion {
    name: String,
}

impl KmsKeyVersion {
    /// The resource name, always with `cryptoKeyVersions`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn parse(name: &str, uri: &str) -> Result<Self, KeysError> {
        let error = |why| KeysError::Uri { uri: uri.to_owned(), why };
        let (key, rest) = split(name, uri)?;
        if rest.is_empty() {
            let example = format!(
                "{}/cryptoKeyVersions/1; gcloud kms keys versions list shows the versions",
                uri.trim_end_matches('/')
            );
            return Err(KeysError::Unpinned { uri: uri.to_owned(), example });
        }
        let version = match rest[..] {
            ["cryptoKeyVersions" | "versions", version] => version,
            _ => return Err(error("what follows the key must be cryptoKeyVersions/N")),
        };
        let number = super::version(version).ok_or_else(|| error("the key version must be a number from 1 on"))?;
        Ok(Self { name: format!("{key}/cryptoKeyVersions/{number}") })
    }
}

impl FromStr for KmsKeyVersion {
    type Err = KeysError;

    /// Parses a resource name, with or without `gcpkms://` before it; `versions/N` is accepted for
    /// `cryptoKeyVersions/N`.
    ///
    /// # Errors
    /// Anything else; a key without a version is [`KeysError::Unpinned`].
    fn from_str(text: &str) -> Result<Self, KeysError> {
        Self::parse(text.strip_prefix(SCHEME).unwrap_or(text), text)
    }
}

impl fmt::Display for KmsKeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for KmsKeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Takes `name` apart into the key and the segments behind it.
fn split<'a>(name: &'a str, uri: &str) -> Result<(KmsKey, Vec<&'a str>), KeysError> {
    let error = |why| KeysError::Uri { uri: uri.to_owned(), why };
    let mut segments = name.split('/');
    for collection in ["projects", "locations", "keyRings", "cryptoKeys"] {
        if segments.next() != Some(collection) {
            return Err(error("a Cloud KMS key is projects/P/locations/L/keyRings/R/cryptoKeys/K"));
        }
        // Project ids may carry a domain ("example.com:name").
        let id = segments.next().unwrap_or_default();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if id.is_empty() || id.len() > 100 || !id.chars().all(allowed) || id.chars().all(|c| c == '.') {
            return Err(error("a name in it is empty or has characters that Cloud KMS does not allow"));
        }
    }
    let rest: Vec<&str> = segments.collect();
    let tail: usize = rest.iter().map(|segment| segment.len() + 1).sum();
    Ok((KmsKey { name: name[..name.len() - tail].to_owned() }, rest))
}
