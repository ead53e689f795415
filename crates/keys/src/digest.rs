//! Digests of messages, for key services that sign these.

use csign_envelope::SignatureAlgorithm;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// The hash of an algorithm that signs a digest; `None` for Ed25519 over the message itself.
pub(crate) fn hash_of(algorithm: SignatureAlgorithm) -> Option<Hash> {
    match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256
        | SignatureAlgorithm::EcdsaP384Sha256
        | SignatureAlgorithm::RsaPkcs1v15Sha256
        | SignatureAlgorithm::RsaPssSha256 => Some(Hash::Sha256),
        SignatureAlgorithm::EcdsaP384Sha384 => Some(Hash::Sha384),
        SignatureAlgorithm::RsaPkcs1v15Sha512 | SignatureAlgorithm::RsaPssSha512 | SignatureAlgorithm::Ed25519Ph => {
            Some(Hash::Sha512)
        }
        SignatureAlgorithm::Ed25519 => None,
    }
}

/// The digest of `message`.
pub(crate) fn digest(hash: Hash, message: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha256 => Sha256::digest(message).to_vec(),
        Hash::Sha384 => Sha384::digest(message).to_vec(),
        Hash::Sha512 => Sha512::digest(message).to_vec(),
    }
}
