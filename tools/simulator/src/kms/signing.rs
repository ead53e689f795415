//! Signing keys of each algorithm: their public halves, and what they sign.

use ed25519_dalek::Signer as _;
use p256::{
    ecdsa::signature::hazmat::PrehashSigner as _,
    pkcs8::{EncodePublicKey as _, LineEnding},
};
use rsa::{
    RsaPrivateKey, pkcs1v15, pss,
    signature::{SignatureEncoding as _, hazmat::RandomizedPrehashSigner as _},
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::{
    Error, Result,
    derive::{SeededRng, derive, p256_key},
};

/// The algorithms of signing keys, with the API's names and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// `EC_SIGN_P256_SHA256`
    P256Sha256,
    /// `EC_SIGN_P384_SHA384`
    P384Sha384,
    /// `EC_SIGN_ED25519`, which signs the data itself
    Ed25519,
    /// `RSA_SIGN_PKCS1_2048_SHA256`
    RsaPkcs1Sha256,
    /// `RSA_SIGN_PKCS1_4096_SHA512`
    RsaPkcs1Sha512,
    /// `RSA_SIGN_PSS_2048_SHA256`
    RsaPssSha256,
    /// `RSA_SIGN_PSS_4096_SHA512`
    RsaPssSha512,
}

impl SigningAlgorithm {
    /// Name and number in the API.
    pub(super) const fn wire(self) -> (&'static str, u8) {
        match self {
            Self::P256Sha256 => ("EC_SIGN_P256_SHA256", 12),
            Self::P384Sha384 => ("EC_SIGN_P384_SHA384", 13),
            Self::Ed25519 => ("EC_SIGN_ED25519", 40),
            Self::RsaPkcs1Sha256 => ("RSA_SIGN_PKCS1_2048_SHA256", 5),
            Self::RsaPkcs1Sha512 => ("RSA_SIGN_PKCS1_4096_SHA512", 16),
            Self::RsaPssSha256 => ("RSA_SIGN_PSS_2048_SHA256", 2),
            Self::RsaPssSha512 => ("RSA_SIGN_PSS_4096_SHA512", 15),
        }
    }

    /// The algorithm of this number; `None` for one that the simulator does not have. 0 asks for the default.
    pub(super) fn of_number(number: i32) -> Option<Self> {
        const ALL: [SigningAlgorithm; 7] = [
            SigningAlgorithm::P256Sha256,
            SigningAlgorithm::P384Sha384,
            SigningAlgorithm::Ed25519,
            SigningAlgorithm::RsaPkcs1Sha256,
            SigningAlgorithm::RsaPkcs1Sha512,
            SigningAlgorithm::RsaPssSha256,
            SigningAlgorithm::RsaPssSha512,
        ];
        let default = (number == 0).then_some(Self::P256Sha256);
        default.or_else(|| ALL.into_iter().find(|algorithm| i32::from(algorithm.wire().1) == number))
    }

    /// The member of `digest` that a request must have, and its length in bytes; `None` for a key that signs data.
    pub(super) const fn digest(self) -> Option<(&'static str, usize)> {
        match self {
            Self::P256Sha256 | Self::RsaPkcs1Sha256 | Self::RsaPssSha256 => Some(("sha256", 32)),
            Self::P384Sha384 => Some(("sha384", 48)),
            Self::RsaPkcs1Sha512 | Self::RsaPssSha512 => Some(("sha512", 64)),
            Self::Ed25519 => None,
        }
    }
}

/// A signing key.
pub(super) struct SigningKey {
    algorithm: SigningAlgorithm,
    secret: Secret,
}

enum Secret {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Rsa(Box<RsaPrivateKey>),
}

impl SigningKey {
    /// The key of this seed and name. A 4096-bit RSA key takes seconds.
    pub(super) fn derive(seed: &str, name: &str, algorithm: SigningAlgorithm) -> Result<Self> {
        let rsa = |bits| {
            RsaPrivateKey::new(&mut SeededRng::new(derive(seed, "rsa", name)), bits)
                .map(|key| Secret::Rsa(Box::new(key)))
                .map_err(|e| Error::Key(format!("making an RSA key: {e}")))
        };
        let secret = match algorithm {
            SigningAlgorithm::P256Sha256 => Secret::P256(p256_key(seed, name)?),
            SigningAlgorithm::P384Sha384 => {
                let bytes = [derive(seed, "p384 a", name), derive(seed, "p384 b", name)].concat();
                let key = p384::ecdsa::SigningKey::from_slice(&bytes[..48]);
                Secret::P384(key.map_err(|_| Error::Key(format!("no valid P-384 scalar for {name}")))?)
            }
            SigningAlgorithm::Ed25519 => {
                Secret::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&derive(seed, "ed25519", name))))
            }
            SigningAlgorithm::RsaPkcs1Sha256 | SigningAlgorithm::RsaPssSha256 => rsa(2048)?,
            SigningAlgorithm::RsaPkcs1Sha512 | SigningAlgorithm::RsaPssSha512 => rsa(4096)?,
        };
        Ok(Self { algorithm, secret })
    }

    pub(super) fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// The public half as SPKI PEM.
    pub(super) fn pem(&self) -> Result<String> {
        match &self.secret {
            Secret::P256(key) => p256::PublicKey::from(*key.verifying_key()).to_public_key_pem(LineEnding::LF),
            Secret::P384(key) => p384::PublicKey::from(*key.verifying_key()).to_public_key_pem(LineEnding::LF),
            Secret::Ed25519(key) => key.verifying_key().to_public_key_pem(LineEnding::LF),
            Secret::Rsa(key) => key.to_public_key().to_public_key_pem(LineEnding::LF),
        }
        .map_err(|e| Error::Key(format!("encoding a public key: {e}")))
    }

    /// Signs data whose digest, where there is one, is made here.
    pub(super) fn sign_data(&self, data: &[u8]) -> Option<Vec<u8>> {
        match self.algorithm.digest() {
            None => self.sign(data),
            Some((_, 32)) => self.sign(&Sha256::digest(data)),
            Some((_, 48)) => self.sign(&Sha384::digest(data)),
            Some(_) => self.sign(&Sha512::digest(data)),
        }
    }

    /// Signs a digest, or for Ed25519 the data.
    pub(super) fn sign(&self, input: &[u8]) -> Option<Vec<u8>> {
        let mut random = SeededRng::new(Sha256::digest(input).into());
        match (&self.secret, self.algorithm) {
            (Secret::P256(key), _) => {
                let signature: p256::ecdsa::DerSignature = key.sign_prehash(input).ok()?;
                Some(signature.as_bytes().to_vec())
            }
            (Secret::P384(key), _) => {
                let signature: p384::ecdsa::DerSignature = key.sign_prehash(input).ok()?;
                Some(signature.as_bytes().to_vec())
            }
            (Secret::Ed25519(key), _) => Some(key.sign(input).to_bytes().to_vec()),
            (Secret::Rsa(key), SigningAlgorithm::RsaPkcs1Sha512) => {
                let key = pkcs1v15::SigningKey::<Sha512>::new(key.as_ref().clone());
                Some(key.sign_prehash(input).ok()?.to_vec())
            }
            (Secret::Rsa(key), SigningAlgorithm::RsaPssSha256) => {
                let key = pss::SigningKey::<Sha256>::new(key.as_ref().clone());
                Some(key.sign_prehash_with_rng(&mut random, input).ok()?.to_vec())
            }
            (Secret::Rsa(key), SigningAlgorithm::RsaPssSha512) => {
                let key = pss::SigningKey::<Sha512>::new(key.as_ref().clone());
                Some(key.sign_prehash_with_rng(&mut random, input).ok()?.to_vec())
            }
            (Secret::Rsa(key), _) => {
                let key = pkcs1v15::SigningKey::<Sha256>::new(key.as_ref().clone());
                Some(key.sign_prehash(input).ok()?.to_vec())
            }
        }
    }
}
