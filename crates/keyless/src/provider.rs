//! The cryptography that the sigstore library calls, in Rust alone: no C compiler is needed to build it.

use ed25519_dalek::Signature as Ed25519Signature;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::{RsaPublicKey, pkcs1::DecodeRsaPublicKey as _, pkcs1v15, pss};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use sigstore_verify::{
    crypto::{CryptoProvider, Error, HashContext, Result, SigningScheme, install_default_provider},
    types::HashAlgorithm,
};

/// Makes [`RustCrypto`] the library's provider. The library keeps one for the whole process; whoever was first stays, and
/// without the library's `aws-lc-rs` feature nobody else is there.
pub(crate) fn install() {
    let _ = install_default_provider(&RustCrypto);
}

/// Verification only.
#[derive(Debug)]
struct RustCrypto;

impl CryptoProvider for RustCrypto {
    fn hash(&self, algorithm: HashAlgorithm) -> Result<Box<dyn HashContext>> {
        match algorithm {
            HashAlgorithm::Sha2256 => Ok(Box::new(Hasher(Sha256::new()))),
            HashAlgorithm::Sha2384 => Ok(Box::new(Hasher(Sha384::new()))),
            HashAlgorithm::Sha2512 => Ok(Box::new(Hasher(Sha512::new()))),
            other => Err(Error::UnsupportedAlgorithm(other.to_string())),
        }
    }

    fn verify_raw(&self, scheme: SigningScheme, key: &[u8], data: &[u8], signature: &[u8]) -> Result<()> {
        match scheme.hash_algorithm() {
            Some(HashAlgorithm::Sha2256) => self.verify_prehashed(scheme, key, &Sha256::digest(data), signature),
            Some(HashAlgorithm::Sha2384) => self.verify_prehashed(scheme, key, &Sha384::digest(data), signature),
            Some(HashAlgorithm::Sha2512) => self.verify_prehashed(scheme, key, &Sha512::digest(data), signature),
            None if scheme == SigningScheme::Ed25519 => ed25519(key, data, signature).ok_or_else(|| invalid(scheme)),
            _ => Err(Error::UnsupportedAlgorithm(scheme.name().to_owned())),
        }
    }

    fn verify_prehashed(&self, scheme: SigningScheme, key: &[u8], digest: &[u8], signature: &[u8]) -> Result<()> {
        let verified = match scheme {
            SigningScheme::EcdsaP256Sha256 | SigningScheme::EcdsaP256Sha384 => p256(key, digest, signature),
            SigningScheme::EcdsaP384Sha256 | SigningScheme::EcdsaP384Sha384 => p384(key, digest, signature),
            SigningScheme::RsaPkcs1Sha256 => pkcs1(key, pkcs1v15::VerifyingKey::<Sha256>::new, digest, signature),
            SigningScheme::RsaPkcs1Sha384 => pkcs1(key, pkcs1v15::VerifyingKey::<Sha384>::new, digest, signature),
            SigningScheme::RsaPkcs1Sha512 => pkcs1(key, pkcs1v15::VerifyingKey::<Sha512>::new, digest, signature),
            SigningScheme::RsaPssSha256 => pss(key, pss::VerifyingKey::<Sha256>::new, digest, signature),
            SigningScheme::RsaPssSha384 => pss(key, pss::VerifyingKey::<Sha384>::new, digest, signature),
            SigningScheme::RsaPssSha512 => pss(key, pss::VerifyingKey::<Sha512>::new, digest, signature),
            _ => return Err(Error::UnsupportedAlgorithm(scheme.name().to_owned())),
        };
        verified.ok_or_else(|| invalid(scheme))
    }
}

fn invalid(scheme: SigningScheme) -> Error {
    Error::Verification(format!("the {} signature does not verify", scheme.name()))
}

struct Hasher<D>(D);

impl<D: sha2::Digest + Send> HashContext for Hasher<D> {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

fn p256(key: &[u8], digest: &[u8], signature: &[u8]) -> Option<()> {
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
    key.verify_prehash(digest, &p256::ecdsa::Signature::from_der(signature).ok()?).ok()
}

fn p384(key: &[u8], digest: &[u8], signature: &[u8]) -> Option<()> {
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
    key.verify_prehash(digest, &p384::ecdsa::Signature::from_der(signature).ok()?).ok()
}

fn ed25519(key: &[u8], data: &[u8], signature: &[u8]) -> Option<()> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
    key.verify_strict(data, &Ed25519Signature::from_slice(signature).ok()?).ok()
}

fn pkcs1<V>(key: &[u8], verifier: impl FnOnce(RsaPublicKey) -> V, digest: &[u8], signature: &[u8]) -> Option<()>
where
    V: PrehashVerifier<pkcs1v15::Signature>,
{
    let verifier = verifier(RsaPublicKey::from_pkcs1_der(key).ok()?);
    verifier.verify_prehash(digest, &pkcs1v15::Signature::try_from(signature).ok()?).ok()
}

fn pss<V>(key: &[u8], verifier: impl FnOnce(RsaPublicKey) -> V, digest: &[u8], signature: &[u8]) -> Option<()>
where
    V: PrehashVerifier<pss::Signature>,
{
    let verifier = verifier(RsaPublicKey::from_pkcs1_der(key).ok()?);
    verifier.verify_prehash(digest, &pss::Signature::try_from(signature).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sigstore_verify::{
        crypto::VerificationKey,
        types::{DerPublicKey, SignatureBytes},
    };
    use std::{fs, path::PathBuf};

    fn file(name: &str) -> Vec<u8> {
        let keys = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../envelope/tests/fixtures/keys");
        fs::read(keys.join(name)).expect("a fixture")
    }

    /// Through the library, as it calls us.
    fn verifies(key: &str, scheme: SigningScheme, message: &[u8], signature: &[u8]) -> bool {
        install();
        let key = DerPublicKey::from_pem(&String::from_utf8(file(key)).expect("PEM")).expect("a key");
        let key = VerificationKey::from_spki_with_scheme(&key, scheme).expect("a key of this scheme");
        key.verify(message, &SignatureBytes::from_bytes(signature)).is_ok()
    }

    #[test]
    fn what_openssl_signed_verifies_under_its_own_scheme_alone() {
        use SigningScheme::{
            EcdsaP256Sha256, EcdsaP256Sha384, EcdsaP384Sha256, EcdsaP384Sha384, Ed25519, RsaPkcs1Sha256,
            RsaPkcs1Sha384, RsaPkcs1Sha512, RsaPssSha256, RsaPssSha384, RsaPssSha512,
        };
        let rsa = [RsaPkcs1Sha256, RsaPkcs1Sha384, RsaPkcs1Sha512, RsaPssSha256, RsaPssSha384, RsaPssSha512];
        let p256 = [EcdsaP256Sha256, EcdsaP256Sha384];
        let p384 = [EcdsaP384Sha256, EcdsaP384Sha384];
        let cases: &[(&str, &str, SigningScheme, &[SigningScheme])] = &[
            ("p256.pem", "p256.sha256.sig", EcdsaP256Sha256, &p256),
            ("p384.pem", "p384.sha256.sig", EcdsaP384Sha256, &p384),
            ("p384.pem", "p384.sha384.sig", EcdsaP384Sha384, &p384),
            ("ed25519.pem", "ed25519.sig", Ed25519, &[Ed25519]),
            ("rsa2048.pem", "rsa2048.pkcs1v15.sha256.sig", RsaPkcs1Sha256, &rsa),
            ("rsa2048.pem", "rsa2048.pkcs1v15.sha512.sig", RsaPkcs1Sha512, &rsa),
            ("rsa4096.pem", "rsa4096.pss.sha256.sig", RsaPssSha256, &rsa),
            ("rsa4096.pem", "rsa4096.pss.sha512.sig", RsaPssSha512, &rsa),
        ];
        for (key, name, own, schemes) in cases {
            let mut signature = file(name);
            for scheme in *schemes {
                assert_eq!(
                    verifies(key, *scheme, b"message", &signature),
                    scheme == own,
                    "{name} as {}",
                    scheme.name()
                );
            }
            assert!(!verifies(key, *own, b"massage", &signature), "{name} over another message");
            *signature.last_mut().expect("bytes") ^= 1;
            assert!(!verifies(key, *own, b"message", &signature), "{name} with a flipped bit");
            assert!(!verifies(key, *own, b"message", b""), "nothing for {name}");
        }
    }
}
