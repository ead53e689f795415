//! The keys that exist, their purpose, and whether their version is enabled.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::signing::{SigningAlgorithm, SigningKey};
use crate::{
    Error, Result,
    audit::Audit,
    derive::derive,
    iam::Iam,
    respond::{ApiError, Code},
};

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Purpose {
    /// `ENCRYPT_DECRYPT` with `GOOGLE_SYMMETRIC_ENCRYPTION`.
    EncryptDecrypt,
    /// `ASYMMETRIC_SIGN`, with `EC_SIGN_P256_SHA256` unless [`Kms::create_signing_key`] says otherwise.
    AsymmetricSign,
}

/// Cloud KMS; clones share the keys. Every key has one version, `1`.
#[derive(Clone)]
pub struct Kms {
    seed: Arc<str>,
    keys: Arc<Mutex<BTreeMap<String, Entry>>>,
    pub(super) iam: Iam,
    pub(super) audit: Audit,
}

#[derive(Clone)]
struct Entry {
    purpose: Purpose,
    enabled: bool,
    material: Arc<Material>,
}

pub(super) enum Material {
    Symmetric([u8; 32]),
    Signing(SigningKey),
}

impl fmt::Debug for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kms").finish_non_exhaustive()
    }
}

impl Kms {
    pub(crate) fn new(seed: &str, iam: Iam, audit: Audit) -> Self {
        Self { seed: seed.into(), keys: Arc::default(), iam, audit }
    }

    /// Creates the key `projects/P/locations/L/keyRings/R/cryptoKeys/K` with its version 1.
    ///
    /// # Errors
    /// A name of another form, or one that exists.
    pub fn create_key(&self, name: &str, purpose: Purpose) -> Result<()> {
        match purpose {
            Purpose::EncryptDecrypt => {
                self.insert(name, purpose, || Ok(Material::Symmetric(derive(&self.seed, "aes-256", name))))
            }
            Purpose::AsymmetricSign => self.create_signing_key(name, SigningAlgorithm::P256Sha256),
        }
    }

    /// Creates a signing key of this algorithm with its version 1.
    ///
    /// # Errors
    /// As [`Kms::create_key`].
    pub fn create_signing_key(&self, name: &str, algorithm: SigningAlgorithm) -> Result<()> {
        self.insert(name, Purpose::AsymmetricSign, || {
            Ok(Material::Signing(SigningKey::derive(&self.seed, name, algorithm)?))
        })
    }

    fn insert(&self, name: &str, purpose: Purpose, material: impl FnOnce() -> Result<Material>) -> Result<()> {
        if !is_key_name(name) {
            return Err(Error::Config(format!("{name:?} is not projects/P/locations/L/keyRings/R/cryptoKeys/K")));
        }
        let material = Arc::new(material()?);
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.contains_key(name) {
            return Err(Error::Resource(format!("the key {name} exists already")));
        }
        keys.insert(name.to_owned(), Entry { purpose, enabled: true, material });
        Ok(())
    }

    /// All keys, by name.
    pub fn keys(&self) -> Vec<crate::config::Key> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|(name, entry)| crate::config::Key { name: name.clone(), purpose: entry.purpose }).collect()
    }

    /// Enables or disables version 1 of a key.
    ///
    /// # Errors
    /// There is no such key.
    pub fn set_enabled(&self, name: &str, enabled: bool) -> Result<()> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = keys.get_mut(name).ok_or_else(|| Error::Resource(format!("there is no key {name}")))?;
        entry.enabled = enabled;
        Ok(())
    }

    /// The public key of a signing key, as SPKI PEM.
    ///
    /// # Errors
    /// There is no such signing key.
    pub fn public_key_pem(&self, name: &str) -> Result<String> {
        match self.material(name, Purpose::AsymmetricSign).as_deref() {
            Ok(Material::Signing(key)) => key.pem(),
            _ => Err(Error::Resource(format!("there is no signing key {name}"))),
        }
    }

    /// The material of an enabled key with this purpose.
    pub(super) fn material(&self, name: &str, purpose: Purpose) -> Result<Arc<Material>, ApiError> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let entry =
            keys.get(name).ok_or_else(|| ApiError::new(Code::NotFound, format!("CryptoKey {name} not found.")))?;
        if entry.purpose != purpose {
            return Err(ApiError::new(
                Code::FailedPrecondition,
                format!("{name} has purpose {:?}, which does not allow this operation.", entry.purpose),
            ));
        }
        if !entry.enabled {
            return Err(ApiError::new(
                Code::FailedPrecondition,
                format!("{name}/cryptoKeyVersions/1 is not enabled, current state is: DISABLED."),
            ));
        }
        Ok(Arc::clone(&entry.material))
    }
}

fn is_key_name(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    let ["projects", project, "locations", location, "keyRings", ring, "cryptoKeys", key] = parts[..] else {
        return false;
    };
    let id_like = |id: &&str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    [project, location, ring, key].iter().all(id_like)
}
