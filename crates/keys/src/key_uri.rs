//! Key references as they stand on the command line and in a contract: a file, or a resource of a key provider.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::KeysError;

const GCPKMS: &str = "gcpkms://";

/// Providers that cosign knows and csign does not have yet.
const UNSUPPORTED: [&str; 8] =
    ["awskms:", "azurekms:", "hashivault:", "openbao:", "pkcs11:", "k8s:", "gitlab:", "github:"];

/// Where a signing key is. A new provider is a variant here, an arm in [`KeyUri::from_str`] and an arm in
/// [`crate::Signer::open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyUri {
    /// A file in cosign's encrypted format.
    File(PathBuf),
    /// A version of a Cloud KMS key.
    GcpKms(KmsKeyVersion),
}

impl FromStr for KeyUri {
    type Err = KeysError;

    /// # Errors
    /// A provider that is not supported, a malformed resource name, a KMS key without a version.
    fn from_str(text: &str) -> Result<Self, KeysError> {
        if let Some(name) = text.strip_prefix(GCPKMS) {
            return KmsKeyVersion::parse(name, text).map(Self::GcpKms);
        }
        if let Some(scheme) = UNSUPPORTED.iter().find(|scheme| text.starts_with(**scheme)) {
            return Err(KeysError::UnsupportedProvider(scheme.trim_end_matches(':').to_owned()));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(KeysError::UnsupportedProvider(scheme.to_owned()));
        }
        if text.is_empty() {
            return Err(KeysError::Uri { uri: String::new(), why: "it is empty" });
        }
        Ok(Self::File(text.into()))
    }
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::GcpKms(version) => write!(f, "{GCPKMS}{version}"),
        }
    }
}

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
        let (key, rest) = split(text.strip_prefix(GCPKMS).unwrap_or(text), text)?;
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

    fn parse(name: &str, uri: &str) -> Result<Self, KeysError> {
        let error = |why| KeysError::Uri { uri: uri.to_owned(), why };
        let (key, rest) = split(name, uri)?;
        if rest.is_empty() {
            return Err(KeysError::Unpinned(uri.to_owned()));
        }
        let version = match rest[..] {
            ["cryptoKeyVersions" | "versions", version] => version,
            _ => return Err(error("what follows the key must be cryptoKeyVersions/N")),
        };
        // One spelling per version: 1, never 01 or +1.
        match version.parse::<u32>() {
            Ok(number) if number > 0 && number.to_string() == version => {
                Ok(Self { name: format!("{key}/cryptoKeyVersions/{number}") })
            }
            _ => Err(error("the key version must be a number from 1 on")),
        }
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
        Self::parse(text.strip_prefix(GCPKMS).unwrap_or(text), text)
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

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "projects/p-1/locations/europe-west3/keyRings/r/cryptoKeys/k";

    fn uri(text: &str) -> Result<KeyUri, KeysError> {
        text.parse()
    }

    #[test]
    fn both_spellings_of_a_version_are_one_key() {
        let long = uri(&format!("gcpkms://{KEY}/cryptoKeyVersions/3")).expect("long");
        assert_eq!(uri(&format!("gcpkms://{KEY}/versions/3")).expect("short"), long);
        assert_eq!(long.to_string(), format!("gcpkms://{KEY}/cryptoKeyVersions/3"));
        assert_eq!(uri("keys/cosign.key").expect("file"), KeyUri::File("keys/cosign.key".into()));
    }

    #[test]
    fn an_unpinned_kms_key_is_refused_with_an_explanation() {
        let text = format!("gcpkms://{KEY}");
        let error = uri(&text).expect_err("unpinned");
        assert!(matches!(error, KeysError::Unpinned(_)), "{error:?}");
        assert!(error.hint().expect("hint").contains(&format!("{text}/cryptoKeyVersions/1")));
    }

    #[test]
    fn malformed_names_are_refused() {
        for tail in [
            "/",
            "/cryptoKeyVersions/0",
            "/cryptoKeyVersions/01",
            "/cryptoKeyVersions/latest",
            "/cryptoKeyVersions/1/x",
        ] {
            assert!(matches!(uri(&format!("gcpkms://{KEY}{tail}")), Err(KeysError::Uri { .. })), "{tail}");
        }
        for name in [
            "projects/p",
            "projects//locations/l/keyRings/r/cryptoKeys/k/versions/1",
            "",
            "projects/../locations/l/keyRings/r/cryptoKeys/k/versions/1",
        ] {
            assert!(matches!(uri(&format!("gcpkms://{name}")), Err(KeysError::Uri { .. })), "{name}");
        }
        assert!(matches!(uri(""), Err(KeysError::Uri { .. })));
    }

    #[test]
    fn other_providers_are_named_and_never_taken_for_files() {
        for text in [
            "awskms:///alias/x",
            "azurekms://v/k",
            "hashivault://k",
            "pkcs11:token=x",
            "s3://b/k",
            "env://COSIGN_PRIVATE_KEY",
        ] {
            assert!(matches!(uri(text), Err(KeysError::UnsupportedProvider(_))), "{text}");
        }
    }

    #[test]
    fn an_encryption_key_has_no_version() {
        assert_eq!(KEY.parse::<KmsKey>().expect("key").name(), KEY);
        assert_eq!(format!("gcpkms://{KEY}").parse::<KmsKey>().expect("key").name(), KEY);
        assert!(format!("{KEY}/cryptoKeyVersions/1").parse::<KmsKey>().is_err());
    }
}
