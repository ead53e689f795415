//! Public keys: one canonical form, one id, one verification per key.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_STANDARD_NO_PAD};
use csign_oci::Digest;
use p256::{
    ecdsa::{Signature, VerifyingKey, signature::Verifier as _},
    pkcs8::{DecodePublicKey as _, EncodePublicKey as _, LineEnding},
};
use serde::{Deserialize, Serialize, de};

/// The signature algorithms of Confidential Space's `sigalg` annotation. The hash belongs to the algorithm and is never
/// guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignatureAlgorithm {
    /// ECDSA over P-256 with SHA-256, ASN.1 DER signatures.
    #[serde(rename = "ECDSA_P256_SHA256")]
    EcdsaP256Sha256,
}

impl SignatureAlgorithm {
    /// The name in the `sigalg` annotation and in the token's `signature_algorithm`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256Sha256 => "ECDSA_P256_SHA256",
        }
    }
}

/// The id that Confidential Space gives to a key: sha256 over the DER bytes of its SubjectPublicKeyInfo.
///
/// It is always computed over the canonical encoding, so a key has one id however it was written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Digest);

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

/// A public key that csign can verify with.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    der: Vec<u8>,
}

/// Why a text is not a public key that csign accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A private key where a public one belongs.
    #[error("this is a private key; a public key is needed here (csign public-key prints it)")]
    Private,
    /// No `BEGIN PUBLIC KEY` block, or something beside it.
    #[error("not exactly one PEM block \"PUBLIC KEY\" (SubjectPublicKeyInfo); csign public-key writes one")]
    Pem,
    /// The key is of a type that csign does not verify.
    #[error("the key is not an ECDSA P-256 public key, the only type accepted (found {0})")]
    Type(&'static str),
    /// Not a point of the curve.
    #[error("the public key is malformed or not a point on P-256")]
    Malformed,
}

impl PublicKey {
    /// Parses one PEM block `PUBLIC KEY`. Line endings, line width and a compressed point do not matter: the key is
    /// brought to its canonical form.
    ///
    /// # Errors
    /// A private key, another key type, a malformed block, text before or after the block.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.contains("PRIVATE KEY") {
            return Err(KeyError::Private);
        }
        let body = pem
            .trim()
            .strip_prefix("-----BEGIN PUBLIC KEY-----")
            .and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"))
            .ok_or(KeyError::Pem)?;
        let base64: String = body.split_ascii_whitespace().collect();
        Self::from_der(&BASE64_STANDARD.decode(base64).map_err(|_| KeyError::Pem)?)
    }

    /// Parses a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// Another key type, a malformed key.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_public_key_der(der).map_err(|_| match other_type(der) {
            Some(name) => KeyError::Type(name),
            None => KeyError::Malformed,
        })?;
        Self::new(key)
    }

    /// The canonical form of `key`.
    ///
    /// # Errors
    /// Never for a valid key; encoding is fallible in the library's signature.
    pub fn new(key: VerifyingKey) -> Result<Self, KeyError> {
        let der = key.to_public_key_der().map_err(|_| KeyError::Malformed)?.into_vec();
        Ok(Self { key, der })
    }

    /// Canonical SubjectPublicKeyInfo in DER: named curve, uncompressed point.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Canonical PEM: 64 columns, LF, ending with a newline. This is what cosign writes as `cosign.pub`.
    pub fn pem(&self) -> String {
        self.key.to_public_key_pem(LineEnding::LF).unwrap_or_default()
    }

    /// The key id as Confidential Space computes it.
    pub fn id(&self) -> KeyId {
        KeyId(Digest::of(&self.der))
    }

    /// The hint that a sigstore bundle gives for this key: base64 of the sha256 of the DER.
    pub fn bundle_hint(&self) -> String {
        BASE64_STANDARD.encode(self.id().as_bytes())
    }

    /// The value of the annotation `dev.cosignproject.cosign/pub`: unpadded base64 of the canonical PEM.
    pub fn confidential_space_pub(&self) -> String {
        BASE64_STANDARD_NO_PAD.encode(self.pem())
    }

    /// The algorithm that this key signs with.
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::EcdsaP256Sha256
    }

    /// Does `signature` (ASN.1 DER) over exactly `message` verify? Both (r, s) and (r, n−s) do: they are one signer.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_der(signature).is_ok_and(|signature| self.key.verify(message, &signature).is_ok())
    }
}

/// Names the type of a SubjectPublicKeyInfo by its object identifiers, for the error text only.
fn other_type(der: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 5] = [
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01], "RSA"),
        (&[0x2b, 0x65, 0x70], "Ed25519"),
        (&[0x2b, 0x81, 0x04, 0x00, 0x22], "ECDSA P-384"),
        (&[0x2b, 0x81, 0x04, 0x00, 0x23], "ECDSA P-521"),
        (&[0x2b, 0x81, 0x04, 0x00, 0x0a], "ECDSA secp256k1"),
    ];
    let head = der.get(..der.len().min(40))?;
    KNOWN.iter().find(|(oid, _)| head.windows(oid.len()).any(|window| window == *oid)).map(|(_, name)| *name)
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.pem())
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_pem(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::{SigningKey, signature::Signer as _};

    fn pair() -> (SigningKey, PublicKey) {
        let signing = SigningKey::from_slice(&[7; 32]).expect("scalar");
        let public = PublicKey::new(*signing.verifying_key()).expect("public");
        (signing, public)
    }

    #[test]
    fn every_encoding_of_a_key_has_one_id() {
        let (signing, public) = pair();
        let crlf = public.pem().replace('\n', "\r\n");
        let one_line =
            public.pem().replace('\n', " ").replace("-----BEGIN PUBLIC KEY----- ", "-----BEGIN PUBLIC KEY-----\n");
        let compressed = {
            // SEQUENCE { SEQUENCE { ecPublicKey, prime256v1 }, BIT STRING { 02|03, x } }
            let point = signing.verifying_key().to_sec1_point(true);
            let mut der = vec![0x30, 0x39, 0x30, 0x13];
            der.extend_from_slice(&public.der()[4..23]);
            der.extend_from_slice(&[0x03, 0x22, 0x00]);
            der.extend_from_slice(point.as_bytes());
            der
        };
        for other in [PublicKey::from_pem(&crlf), PublicKey::from_pem(&one_line), PublicKey::from_der(&compressed)] {
            assert_eq!(other.expect("same key").id(), public.id());
        }
    }

    #[test]
    fn trailing_bytes_private_keys_and_other_types_are_refused() {
        let (_, public) = pair();
        assert_eq!(PublicKey::from_pem(&format!("{}x", public.pem())), Err(KeyError::Pem));
        assert_eq!(PublicKey::from_pem(&public.pem().repeat(2)), Err(KeyError::Pem));
        assert_eq!(
            PublicKey::from_pem("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n-----END"),
            Err(KeyError::Private)
        );
        let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        assert_eq!(PublicKey::from_pem(ed25519), Err(KeyError::Type("Ed25519")));
    }

    #[test]
    fn a_signature_counts_over_exactly_its_bytes() {
        let (signing, public) = pair();
        let signature: Signature = signing.sign(b"message");
        let der = signature.to_der();
        assert!(public.verify(b"message", der.as_bytes()));
        assert!(!public.verify(b"messagf", der.as_bytes()));
        assert!(!public.verify(b"message", &der.as_bytes()[1..]));
        assert!(!public.verify(b"message", b""));
    }
}
