//! Private keys: made from the system's random bytes, read from DER, used to sign.

use std::{fmt, str::FromStr};

use csign_envelope::{PublicKey, SignatureAlgorithm};
use p256::ecdsa::signature::{RandomizedSigner as _, SignatureEncoding as _, Signer as _, hazmat::PrehashSigner as _};
use pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, ObjectIdentifier as Oid, PrivateKeyInfoRef, SecretDocument};
use rsa::{
    RsaPrivateKey, pkcs1::DecodeRsaPrivateKey as _, pkcs1v15, pss, rand_core::UnwrapErr, traits::PublicKeyParts as _,
};
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use crate::{
    KeysError,
    digest::{Hash, digest},
};

const EC_PUBLIC_KEY: Oid = Oid::new_unwrap("1.2.840.10045.2.1");
const P256: Oid = Oid::new_unwrap("1.2.840.10045.3.1.7");
const P384: Oid = Oid::new_unwrap("1.3.132.0.34");
const RSA: Oid = Oid::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: Oid = Oid::new_unwrap("1.3.101.112");

/// Object identifiers of other key types and curves, for the error text only.
const OTHER_TYPES: [(Oid, &str); 5] = [
    (Oid::new_unwrap("1.2.840.113549.1.1.10"), "RSA restricted to PSS"),
    (Oid::new_unwrap("1.3.101.113"), "Ed448"),
    (Oid::new_unwrap("1.3.132.0.33"), "ECDSA P-224"),
    (Oid::new_unwrap("1.3.132.0.35"), "ECDSA P-521"),
    (Oid::new_unwrap("1.3.132.0.10"), "ECDSA secp256k1"),
];

/// The type of a key pair to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// ECDSA over P-256.
    P256,
    /// ECDSA over P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA of this many bits: 2048, 3072 or 4096.
    Rsa(u16),
}

impl KeyType {
    /// Every type and its name.
    pub const ALL: [(&str, Self); 6] = [
        ("p256", Self::P256),
        ("p384", Self::P384),
        ("ed25519", Self::Ed25519),
        ("rsa-2048", Self::Rsa(2048)),
        ("rsa-3072", Self::Rsa(3072)),
        ("rsa-4096", Self::Rsa(4096)),
    ];

    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, kind)| *kind == self).map_or("rsa", |(name, _)| name)
    }

    /// Does Confidential Space read signatures of such keys?
    pub const fn is_read_by_confidential_space(self) -> bool {
        matches!(self, Self::P256 | Self::Rsa(_))
    }
}

impl FromStr for KeyType {
    type Err = KeysError;

    /// # Errors
    /// Another name.
    fn from_str(text: &str) -> Result<Self, KeysError> {
        let found = Self::ALL.into_iter().find(|(name, _)| *name == text).map(|(_, kind)| kind);
        found.ok_or(KeysError::Invalid("a key type is p256, p384, ed25519, rsa-2048, rsa-3072 or rsa-4096"))
    }
}

/// A private key. It is wiped when dropped, cannot be copied, and prints nothing but its key id.
pub struct PrivateKey {
    secret: Material,
    public: PublicKey,
}

enum Material {
    P256(p256::SecretKey),
    P384(p384::SecretKey),
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Rsa(Box<RsaPrivateKey>),
}

impl PrivateKey {
    /// Makes a new P-256 key from the operating system's random bytes.
    ///
    /// # Errors
    /// The operating system gives none.
    pub fn generate() -> Result<Self, KeysError> {
        Self::generate_type(KeyType::P256)
    }

    /// Makes a new key from the operating system's random bytes. A large RSA key takes seconds.
    ///
    /// # Errors
    /// The operating system gives none.
    pub fn generate_type(kind: KeyType) -> Result<Self, KeysError> {
        match kind {
            KeyType::P256 => {
                Self::new(Material::P256(scalar::<32, _>(|bytes| p256::SecretKey::from_slice(bytes).ok())?))
            }
            KeyType::P384 => {
                Self::new(Material::P384(scalar::<48, _>(|bytes| p384::SecretKey::from_slice(bytes).ok())?))
            }
            KeyType::Ed25519 => {
                let key = scalar::<32, _>(|bytes| Some(ed25519_dalek::SigningKey::from_bytes(bytes)))?;
                Self::new(Material::Ed25519(Box::new(key)))
            }
            KeyType::Rsa(bits) => {
                let key = RsaPrivateKey::new(&mut random()?, bits.into()).map_err(|_| KeysError::Random)?;
                Self::new(Material::Rsa(Box::new(key)))
            }
        }
    }

    /// Reads a PKCS#8 `PrivateKeyInfo` in DER.
    ///
    /// # Errors
    /// Another key type, which the error names; a malformed key.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeysError> {
        const MALFORMED: KeysError = KeysError::Malformed("its content is not a PKCS#8 private key");
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| MALFORMED)?;
        let curve = info.algorithm.parameters_oid().ok();
        Self::new(match (info.algorithm.oid, curve) {
            (EC_PUBLIC_KEY, Some(P256)) => Material::P256(p256::SecretKey::try_from(info).map_err(|_| MALFORMED)?),
            (EC_PUBLIC_KEY, Some(P384)) => Material::P384(p384::SecretKey::try_from(info).map_err(|_| MALFORMED)?),
            (ED25519, None) => {
                let key = ed25519_dalek::SigningKey::try_from(info).map_err(|_| MALFORMED)?;
                Material::Ed25519(Box::new(key))
            }
            (RSA, _) => Material::Rsa(Box::new(RsaPrivateKey::try_from(info).map_err(|_| MALFORMED)?)),
            (EC_PUBLIC_KEY, curve) => return Err(KeysError::KeyType(name(curve))),
            (other, _) => return Err(KeysError::KeyType(name(Some(other)))),
        })
    }

    /// Reads a private key that is not encrypted: one PEM block `PRIVATE KEY` (PKCS#8), `RSA PRIVATE KEY` (PKCS#1) or
    /// `EC PRIVATE KEY` (SEC1). Only for importing; signing takes encrypted files.
    ///
    /// # Errors
    /// Another PEM block, another key type, a malformed key.
    pub fn from_unencrypted_pem(pem: &str) -> Result<Self, KeysError> {
        let (label, der) = SecretDocument::from_pem(pem.trim()).map_err(|_| not_importable(pem))?;
        let der = der.as_bytes();
        match label {
            "PRIVATE KEY" => Self::from_pkcs8_der(der),
            "EC PRIVATE KEY" => match (p256::SecretKey::from_sec1_der(der), p384::SecretKey::from_sec1_der(der)) {
                (Ok(secret), _) => Self::new(Material::P256(secret)),
                (_, Ok(secret)) => Self::new(Material::P384(secret)),
                _ => Err(KeysError::Malformed("the EC PRIVATE KEY is damaged or not a P-256 or P-384 key")),
            },
            "RSA PRIVATE KEY" => match RsaPrivateKey::from_pkcs1_der(der) {
                Ok(secret) => Self::new(Material::Rsa(Box::new(secret))),
                Err(_) => Err(KeysError::Malformed("the RSA PRIVATE KEY is damaged")),
            },
            _ => Err(not_importable(pem)),
        }
    }

    /// PKCS#8 in DER, as Go's `x509.MarshalPKCS8PrivateKey` writes it.
    ///
    /// # Errors
    /// Never for a valid key; encoding is fallible in the library's signature.
    pub(crate) fn to_pkcs8_der(&self) -> Result<SecretDocument, KeysError> {
        let der = match &self.secret {
            Material::P256(key) => key.to_pkcs8_der(),
            Material::P384(key) => key.to_pkcs8_der(),
            // Version 1, without the public key.
            Material::Ed25519(key) => {
                ed25519_dalek::pkcs8::KeypairBytes { secret_key: key.to_bytes(), public_key: None }.to_pkcs8_der()
            }
            Material::Rsa(key) => key.to_pkcs8_der(),
        };
        der.map_err(|_| KeysError::Malformed("the key cannot be encoded"))
    }

    /// The public half, with the algorithm that is usual for the type.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs with the algorithm that is usual for the type.
    ///
    /// # Errors
    /// The library could not sign.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        self.sign_with(self.public.algorithm(), message)
    }

    /// Signs with `algorithm`. ECDSA signatures are ASN.1 DER and deterministic (RFC 6979), as are those of Ed25519 and
    /// PKCS#1 v1.5; PSS takes a random salt as long as the hash.
    ///
    /// # Errors
    /// The algorithm is not one of this key's type; the library could not sign.
    pub fn sign_with(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        use SignatureAlgorithm as A;
        const FAILED: KeysError = KeysError::Invalid("the private key gave no signature");
        let signature = match (&self.secret, algorithm) {
            (Material::P256(key), A::EcdsaP256Sha256) => {
                let signature: Option<p256::ecdsa::Signature> =
                    p256::ecdsa::SigningKey::from(key).try_sign(message).ok();
                signature.map(|signature| signature.to_der().as_bytes().to_vec())
            }
            (Material::P384(key), A::EcdsaP384Sha384 | A::EcdsaP384Sha256) => {
                let hash = if algorithm == A::EcdsaP384Sha384 { Hash::Sha384 } else { Hash::Sha256 };
                let key = p384::ecdsa::SigningKey::from(key);
                let signature: Option<p384::ecdsa::Signature> = key.sign_prehash(&digest(hash, message)).ok();
                signature.map(|signature| signature.to_der().as_bytes().to_vec())
            }
            (Material::Ed25519(key), A::Ed25519) => key.try_sign(message).ok().map(|s| s.to_bytes().to_vec()),
            (Material::Ed25519(key), A::Ed25519Ph) => {
                use sha2::Digest as _;
                key.sign_prehashed(Sha512::new_with_prefix(message), None).ok().map(|s| s.to_bytes().to_vec())
            }
            // With random blinding, so that the time it takes tells nothing about the key.
            (Material::Rsa(key), A::RsaPkcs1v15Sha256) => pkcs1v15::SigningKey::<Sha256>::new(key.as_ref().clone())
                .try_sign_with_rng(&mut getrandom::SysRng, message)
                .ok()
                .map(|signature| signature.to_vec()),
            (Material::Rsa(key), A::RsaPkcs1v15Sha512) => pkcs1v15::SigningKey::<Sha512>::new(key.as_ref().clone())
                .try_sign_with_rng(&mut getrandom::SysRng, message)
                .ok()
                .map(|signature| signature.to_vec()),
            (Material::Rsa(key), A::RsaPssSha256) => pss::SigningKey::<Sha256>::new(key.as_ref().clone())
                .try_sign_with_rng(&mut getrandom::SysRng, message)
                .ok()
                .map(|signature| signature.to_vec()),
            (Material::Rsa(key), A::RsaPssSha512) => pss::SigningKey::<Sha512>::new(key.as_ref().clone())
                .try_sign_with_rng(&mut getrandom::SysRng, message)
                .ok()
                .map(|signature| signature.to_vec()),
            _ => {
                return Err(self
                    .public
                    .clone()
                    .with_algorithm(algorithm)
                    .map(|_| FAILED)
                    .unwrap_or_else(KeysError::Algorithm));
            }
        };
        signature.ok_or(FAILED)
    }

    fn new(secret: Material) -> Result<Self, KeysError> {
        const FAILED: KeysError = KeysError::Malformed("its public key cannot be encoded");
        let der = match &secret {
            Material::P256(key) => key.public_key().to_public_key_der(),
            Material::P384(key) => key.public_key().to_public_key_der(),
            Material::Ed25519(key) => key.verifying_key().to_public_key_der(),
            Material::Rsa(key) => {
                if !(2048..=4096).contains(&key.n().bits_vartime()) {
                    return Err(KeysError::KeyType("RSA of another size"));
                }
                key.to_public_key().to_public_key_der()
            }
        };
        let public = PublicKey::from_der(der.map_err(|_| FAILED)?.as_bytes()).map_err(|_| FAILED)?;
        Ok(Self { secret, public })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, …)", self.public.id())
    }
}

/// Random bytes that `make` accepts: a random string is outside the range of a curve's scalars once in 2^32 tries.
fn scalar<const N: usize, T>(make: impl Fn(&[u8; N]) -> Option<T>) -> Result<T, KeysError> {
    let mut bytes = Zeroizing::new([0; N]);
    for _ in 0..16 {
        getrandom::fill(&mut *bytes).map_err(|_| KeysError::Random)?;
        if let Some(made) = make(&bytes) {
            return Ok(made);
        }
    }
    Err(KeysError::Random)
}

/// The operating system's random bytes, after a look whether it gives any: the library that takes them cannot fail.
fn random() -> Result<UnwrapErr<getrandom::SysRng>, KeysError> {
    getrandom::u32().map_err(|_| KeysError::Random)?;
    Ok(UnwrapErr(getrandom::SysRng))
}

fn name(oid: Option<Oid>) -> &'static str {
    OTHER_TYPES.iter().find(|(known, _)| Some(*known) == oid).map_or("unknown", |(_, name)| name)
}

fn not_importable(pem: &str) -> KeysError {
    if pem.contains("PUBLIC KEY-----") {
        return KeysError::Public;
    }
    if pem.contains("-----BEGIN ENCRYPTED") || pem.contains("Proc-Type: 4,ENCRYPTED") {
        return KeysError::Malformed("it is encrypted; only a plain PKCS#8, PKCS#1 or SEC1 key can be imported");
    }
    KeysError::Malformed(
        "not exactly one PEM block PRIVATE KEY (PKCS#8), RSA PRIVATE KEY (PKCS#1) or EC PRIVATE KEY (SEC1)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_of_every_type_signs_with_every_algorithm_of_its_type_and_with_no_other() {
        for (name, kind) in KeyType::ALL {
            if kind == KeyType::Rsa(3072) || kind == KeyType::Rsa(4096) {
                continue; // As 2048, and slow to make.
            }
            let key = PrivateKey::generate_type(kind).expect(name);
            let again = PrivateKey::from_pkcs8_der(key.to_pkcs8_der().expect(name).as_bytes()).expect(name);
            assert_eq!(again.public_key().id(), key.public_key().id(), "{name}");
            let mut own = 0;
            for algorithm in SignatureAlgorithm::ALL {
                match key.public_key().clone().with_algorithm(algorithm) {
                    Ok(public) => {
                        let signature = key.sign_with(algorithm, b"message").expect(name);
                        assert!(public.verify(b"message", &signature), "{name} {algorithm:?}");
                        assert!(!public.verify(b"messagf", &signature), "{name} {algorithm:?}");
                        own += 1;
                    }
                    Err(_) => {
                        let refused = key.sign_with(algorithm, b"message").expect_err(name);
                        assert!(matches!(refused, KeysError::Algorithm(_)), "{name} {algorithm:?}: {refused:?}");
                    }
                }
            }
            assert_eq!(
                own,
                match kind {
                    KeyType::P256 => 1,
                    KeyType::Rsa(_) => 4,
                    _ => 2,
                },
                "{name}"
            );
        }
    }
}
