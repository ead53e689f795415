//! Public keys: one canonical form, one id, one verification per key.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_STANDARD_NO_PAD};
use csign_oci::Digest;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::{
    RsaPublicKey, pkcs1::DecodeRsaPublicKey as _, pkcs1v15, pss, signature::Verifier, traits::PublicKeyParts as _,
};
use serde::{Deserialize, Serialize, de};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use spki::{EncodePublicKey as _, ObjectIdentifier, SubjectPublicKeyInfoRef};

use crate::{algorithm::SignatureAlgorithm, key_id::KeyId};

// RFC 5480, RFC 8017 appendix C and RFC 8410.
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const SECP256K1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.10");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// What stands before the 32 bytes of an Ed25519 key (RFC 8410, section 4).
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A public key that csign can verify with, and the one algorithm that it verifies with.
///
/// Two of them are equal if key and algorithm are; the [`KeyId`] names the key alone, so a key under two algorithms is
/// still one signer.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    material: Material,
    algorithm: SignatureAlgorithm,
    der: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
    Rsa(RsaPublicKey),
}

impl Material {
    const fn usual_algorithm(&self) -> SignatureAlgorithm {
        match self {
            Self::P256(_) => SignatureAlgorithm::EcdsaP256Sha256,
            Self::P384(_) => SignatureAlgorithm::EcdsaP384Sha384,
            Self::Ed25519(_) => SignatureAlgorithm::Ed25519,
            Self::Rsa(_) => SignatureAlgorithm::RsaPkcs1v15Sha256,
        }
    }
}

/// Why a text is not a public key that csign accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A private key where a public one belongs.
    #[error("this is a private key; a public key is needed here (csign public-key prints it)")]
    Private,
    /// A certificate where a key belongs.
    #[error(
        "this is a certificate; a public key is needed here (csign verify --certificate-identity checks certificates)"
    )]
    Certificate,
    /// No `BEGIN PUBLIC KEY` or `BEGIN RSA PUBLIC KEY` block, or something beside it.
    #[error("not exactly one PEM block \"PUBLIC KEY\" (SubjectPublicKeyInfo); csign public-key writes one")]
    Pem,
    /// The key is of a type that csign does not verify.
    #[error(
        "the key is {0}; accepted are ECDSA P-256 and P-384, Ed25519, and RSA of 2048 to 4096 bits with exponent 65537"
    )]
    Type(&'static str),
    /// Not a key: malformed, or not a point of its curve.
    #[error("the public key is malformed or not a point of its curve")]
    Malformed,
    /// The algorithm belongs to another type of key.
    #[error("{algorithm} is not an algorithm of {key} keys")]
    Algorithm {
        /// The algorithm asked for.
        algorithm: SignatureAlgorithm,
        /// The key's type.
        key: &'static str,
    },
}

impl PublicKey {
    /// Parses one PEM block `PUBLIC KEY` (or `RSA PUBLIC KEY`, PKCS#1). Line endings, line width and a compressed point
    /// do not matter: the key is brought to its canonical form. It gets the algorithm that is usual for its type:
    /// SHA-256 with P-256, SHA-384 with P-384, Ed25519 over the message itself, PKCS#1 v1.5 with SHA-256 for RSA;
    /// [`PublicKey::with_algorithm`] states another.
    ///
    /// # Errors
    /// A private key, another key type, a malformed block, text before or after the block.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.contains("PRIVATE KEY") {
            return Err(KeyError::Private);
        }
        if pem.contains("BEGIN CERTIFICATE") {
            return Err(KeyError::Certificate);
        }
        let body = |label: &str| {
            let rest = pem.trim().strip_prefix(&format!("-----BEGIN {label}-----"))?;
            let body = rest.strip_suffix(&format!("-----END {label}-----"))?;
            BASE64_STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
        };
        if let Some(pkcs1) = body("RSA PUBLIC KEY") {
            let key = RsaPublicKey::from_pkcs1_der(&pkcs1).map_err(|_| KeyError::Malformed)?;
            return Self::canonical(Material::Rsa(key));
        }
        Self::from_der(&body("PUBLIC KEY").ok_or(KeyError::Pem)?)
    }

    /// Parses a SubjectPublicKeyInfo in DER, with the algorithm as in [`PublicKey::from_pem`].
    ///
    /// # Errors
    /// Another key type, a malformed key.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| KeyError::Malformed)?;
        let malformed = |_| KeyError::Malformed;
        let material = match info.algorithm.oids().map_err(|_| KeyError::Malformed)? {
            (EC, Some(P256)) => Material::P256(p256::ecdsa::VerifyingKey::try_from(info).map_err(malformed)?),
            (EC, Some(P384)) => Material::P384(p384::ecdsa::VerifyingKey::try_from(info).map_err(malformed)?),
            (ED25519, None) => {
                let bytes = info.subject_public_key.as_bytes().and_then(|bytes| bytes.try_into().ok());
                let key = ed25519_dalek::VerifyingKey::from_bytes(bytes.ok_or(KeyError::Malformed)?);
                // A key of small order verifies signatures that nobody made.
                Material::Ed25519(key.ok().filter(|key| !key.is_weak()).ok_or(KeyError::Malformed)?)
            }
            (RSA, _) => Material::Rsa(RsaPublicKey::try_from(info).map_err(malformed)?),
            (EC, curve) => return Err(KeyError::Type(other_curve(curve))),
            (RSA_PSS, _) => return Err(KeyError::Type("RSA restricted to PSS")),
            _ => return Err(KeyError::Type("of another type")),
        };
        Self::canonical(material)
    }

    /// The canonical form of a P-256 key.
    ///
    /// # Errors
    /// Never for a valid key; encoding is fallible in the library's signature.
    pub fn new(key: p256::ecdsa::VerifyingKey) -> Result<Self, KeyError> {
        Self::canonical(Material::P256(key))
    }

    fn canonical(material: Material) -> Result<Self, KeyError> {
        let der = match &material {
            Material::P256(key) => key.to_public_key_der().map(spki::Document::into_vec),
            Material::P384(key) => key.to_public_key_der().map(spki::Document::into_vec),
            Material::Ed25519(key) => Ok([&ED25519_PREFIX[..], key.as_bytes()].concat()),
            Material::Rsa(key) => {
                // Small exponents have broken PKCS#1 v1.5 verifiers before, and Confidential Space takes no other one.
                let exponent = key.e().to_be_bytes_trimmed_vartime();
                if *exponent != [1, 0, 1] || !(2048..=4096).contains(&key.n().bits_vartime()) {
                    return Err(KeyError::Type("RSA of another size or exponent"));
                }
                key.to_public_key_der().map(spki::Document::into_vec)
            }
        };
        let algorithm = material.usual_algorithm();
        Ok(Self { material, algorithm, der: der.map_err(|_| KeyError::Malformed)? })
    }

    /// The same key, verified with `algorithm`.
    ///
    /// # Errors
    /// An algorithm of another type of key.
    pub fn with_algorithm(mut self, algorithm: SignatureAlgorithm) -> Result<Self, KeyError> {
        use SignatureAlgorithm::{
            EcdsaP256Sha256, EcdsaP384Sha256, EcdsaP384Sha384, Ed25519, Ed25519Ph, RsaPkcs1v15Sha256,
            RsaPkcs1v15Sha512, RsaPssSha256, RsaPssSha512,
        };
        let fits = match &self.material {
            Material::P256(_) => matches!(algorithm, EcdsaP256Sha256),
            Material::P384(_) => matches!(algorithm, EcdsaP384Sha384 | EcdsaP384Sha256),
            Material::Ed25519(_) => matches!(algorithm, Ed25519 | Ed25519Ph),
            Material::Rsa(_) => {
                matches!(algorithm, RsaPkcs1v15Sha256 | RsaPkcs1v15Sha512 | RsaPssSha256 | RsaPssSha512)
            }
        };
        if !fits {
            return Err(KeyError::Algorithm { algorithm, key: self.type_name() });
        }
        self.algorithm = algorithm;
        Ok(self)
    }

    /// The key's type, for people.
    pub const fn type_name(&self) -> &'static str {
        match &self.material {
            Material::P256(_) => "ECDSA P-256",
            Material::P384(_) => "ECDSA P-384",
            Material::Ed25519(_) => "Ed25519",
            Material::Rsa(_) => "RSA",
        }
    }

    /// Canonical SubjectPublicKeyInfo in DER: named curve, uncompressed point.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Canonical PEM: 64 columns, LF, ending with a newline. This is what cosign writes as `cosign.pub`.
    pub fn pem(&self) -> String {
        let base64 = BASE64_STANDARD.encode(&self.der);
        let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
        for line in base64.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem + "-----END PUBLIC KEY-----\n"
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

    /// The algorithm that this key verifies with.
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The algorithm that a key of this type has unless another is stated.
    pub const fn usual_algorithm(&self) -> SignatureAlgorithm {
        self.material.usual_algorithm()
    }

    /// Does `signature` over exactly `message` verify under the key's own algorithm? ECDSA signatures are ASN.1 DER, and
    /// both (r, s) and (r, n−s) verify: they are one signer. Ed25519 is checked strictly (no small-order points).
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        use SignatureAlgorithm::{EcdsaP384Sha256, Ed25519Ph, RsaPkcs1v15Sha512, RsaPssSha256, RsaPssSha512};
        match &self.material {
            Material::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(&Sha256::digest(message), &signature).is_ok()),
            Material::P384(key) => p384::ecdsa::Signature::from_der(signature).is_ok_and(|signature| {
                let verified = match self.algorithm {
                    EcdsaP384Sha256 => key.verify_prehash(&Sha256::digest(message), &signature),
                    _ => key.verify_prehash(&Sha384::digest(message), &signature),
                };
                verified.is_ok()
            }),
            Material::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature).is_ok_and(|signature| {
                let verified = match self.algorithm {
                    Ed25519Ph => key.verify_prehashed_strict(Sha512::new_with_prefix(message), None, &signature),
                    _ => key.verify_strict(message, &signature),
                };
                verified.is_ok()
            }),
            Material::Rsa(key) => {
                let (key, pkcs1v15, pss) =
                    (key.clone(), pkcs1v15::Signature::try_from(signature), pss::Signature::try_from(signature));
                match self.algorithm {
                    RsaPssSha256 => {
                        rsa_verifies(&pss::VerifyingKey::<Sha256>::new_with_auto_salt_len(key), message, pss)
                    }
                    RsaPssSha512 => {
                        rsa_verifies(&pss::VerifyingKey::<Sha512>::new_with_auto_salt_len(key), message, pss)
                    }
                    RsaPkcs1v15Sha512 => rsa_verifies(&pkcs1v15::VerifyingKey::<Sha512>::new(key), message, pkcs1v15),
                    _ => rsa_verifies(&pkcs1v15::VerifyingKey::<Sha256>::new(key), message, pkcs1v15),
                }
            }
        }
    }
}

fn rsa_verifies<S>(verifier: &impl Verifier<S>, message: &[u8], signature: rsa::signature::Result<S>) -> bool {
    signature.is_ok_and(|signature| verifier.verify(message, &signature).is_ok())
}

fn other_curve(curve: Option<ObjectIdentifier>) -> &'static str {
    match curve {
        Some(P521) => "ECDSA P-521",
        Some(SECP256K1) => "ECDSA secp256k1",
        _ => "ECDSA on another curve",
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.id(), self.algorithm)
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
    use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};

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
