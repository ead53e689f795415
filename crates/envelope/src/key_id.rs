//! The id of a public key.

use std::fmt;

use csign_oci::Digest;
use serde::{Deserialize, Serialize, de};

/// The id that Confidential Space gives to a key: sha256 over the DER bytes of its SubjectPublicKeyInfo.
///
/// It is always computed over the canonical encoding, so a key has one id however it was written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub(crate) Digest);

impl KeyId {
    /// Parses 64 lowercase hexadecimal digits, as they stand in a token's `image_signatures[].key_id`.
    pub fn parse(hex: &str) -> Option<Self> {
        Digest::parse(&format!("sha256:{hex}")).ok().map(Self)
    }

    /// The raw 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.hex())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("a key id is 64 lowercase hexadecimal digits"))
    }
}
