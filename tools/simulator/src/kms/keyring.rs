//! The keys that exist, their purposes, and the state of each of their versions.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use rsa::RsaPrivateKey;
use serde::{Deserialize, Serialize};

use super::signing::{SigningAlgorithm, SigningKey};
use crate::{
    Error, Result,
    clock::Clock,
    derive::{SeededRng, derive},
    iam::Iam,
    respond::{ApiError, Code},
};

/// Seconds between a request to destroy a version and its destruction: 30 days.
const DESTROY_DELAY: u64 = 30 * 24 * 3600;
/// Bits of a key to decrypt with; its algorithm is `RSA_DECRYPT_OAEP_2048_SHA256`.
const DECRYPTION_BITS: usize = 2048;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Purpose {
    /// `ENCRYPT_DECRYPT` with `GOOGLE_SYMMETRIC_ENCRYPTION`.
    EncryptDecrypt,
    /// `ASYMMETRIC_SIGN`, with `EC_SIGN_P256_SHA256` unless [`Kms::create_signing_key`] says otherwise.
    AsymmetricSign,
    /// `ASYMMETRIC_DECRYPT` with `RSA_DECRYPT_OAEP_2048_SHA256`.
    AsymmetricDecrypt,
}

impl Purpose {
    /// Name and number in the API.
    pub(super) const fn wire(self) -> (&'static str, i32) {
        match self {
            Self::EncryptDecrypt => ("ENCRYPT_DECRYPT", 1),
            Self::AsymmetricSign => ("ASYMMETRIC_SIGN", 5),
            Self::AsymmetricDecrypt => ("ASYMMETRIC_DECRYPT", 6),
        }
    }
}

/// Where a key is said to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Protection {
    #[default]
    Software,
    Hsm,
}

impl Protection {
    pub(super) const ALL: [Self; 2] = [Self::Software, Self::Hsm];

    /// Name and number in the API.
    pub(super) const fn wire(self) -> (&'static str, i32) {
        match self {
            Self::Software => ("SOFTWARE", 1),
            Self::Hsm => ("HSM", 2),
        }
    }

    /// The level of this number; 0 asks for the default.
    pub(super) fn of_number(number: i32) -> Option<Self> {
        let default = (number == 0).then_some(Self::Software);
        default.or_else(|| Self::ALL.into_iter().find(|level| level.wire().1 == number))
    }
}

/// What a key version can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionState {
    /// Everything.
    Enabled,
    /// Nothing until it is enabled.
    Disabled,
    /// Nothing, ever: its key is gone.
    Destroyed,
    /// Nothing, and in 30 days it is destroyed.
    DestroyScheduled,
}

impl VersionState {
    pub(super) const ALL: [Self; 4] = [Self::Enabled, Self::Disabled, Self::Destroyed, Self::DestroyScheduled];

    /// Name and number in the API.
    pub(super) const fn wire(self) -> (&'static str, i32) {
        match self {
            Self::Enabled => ("ENABLED", 1),
            Self::Disabled => ("DISABLED", 2),
            Self::Destroyed => ("DESTROYED", 3),
            Self::DestroyScheduled => ("DESTROY_SCHEDULED", 4),
        }
    }
}

/// Cloud KMS; clones share the keys.
#[derive(Clone)]
pub struct Kms {
    seed: Arc<str>,
    keys: Arc<Mutex<BTreeMap<String, Entry>>>,
    pub(super) iam: Iam,
    clock: Clock,
}

/// A key. Cloning shares the versions' material.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) purpose: Purpose,
    /// Of a signing key.
    algorithm: Option<SigningAlgorithm>,
    /// What the API says of it; the simulator keeps all keys in its memory.
    pub(super) protection: Protection,
    pub(super) created: u64,
    /// The version that encrypts, of a symmetric key.
    pub(super) primary: Option<u32>,
    pub(super) versions: BTreeMap<u32, Version>,
}

#[derive(Clone)]
pub(super) struct Version {
    pub(super) state: VersionState,
    pub(super) created: u64,
    pub(super) destroy_at: Option<u64>,
    material: Arc<Material>,
}

pub(super) enum Material {
    Symmetric([u8; 32]),
    Signing(SigningKey),
    Decryption(Box<RsaPrivateKey>),
}

impl fmt::Debug for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kms").finish_non_exhaustive()
    }
}

impl Entry {
    /// Number of the algorithm in the API.
    pub(super) fn algorithm(&self) -> i32 {
        match (self.purpose, self.algorithm) {
            (Purpose::EncryptDecrypt, _) => 1,
            (Purpose::AsymmetricDecrypt, _) => 8,
            (Purpose::AsymmetricSign, algorithm) => algorithm.map_or(12, |algorithm| i32::from(algorithm.wire().1)),
        }
    }
}

impl Kms {
    pub(crate) fn new(seed: &str, iam: Iam, clock: Clock) -> Self {
        Self { seed: seed.into(), keys: Arc::default(), iam, clock }
    }

    /// Creates the key `projects/P/locations/L/keyRings/R/cryptoKeys/K` with its version 1.
    ///
    /// # Errors
    /// A name of another form, or one that exists.
    pub fn create_key(&self, name: &str, purpose: Purpose) -> Result<()> {
        self.insert(name, purpose, None, Protection::default())
    }

    /// Creates a signing key of this algorithm with its version 1.
    ///
    /// # Errors
    /// As [`Kms::create_key`].
    pub fn create_signing_key(&self, name: &str, algorithm: SigningAlgorithm) -> Result<()> {
        self.insert(name, Purpose::AsymmetricSign, Some(algorithm), Protection::default())
    }

    pub(super) fn insert(
        &self,
        name: &str,
        purpose: Purpose,
        algorithm: Option<SigningAlgorithm>,
        protection: Protection,
    ) -> Result<()> {
        if !is_key_name(name) {
            return Err(Error::Config(format!("{name:?} is not projects/P/locations/L/keyRings/R/cryptoKeys/K")));
        }
        let primary = (purpose == Purpose::EncryptDecrypt).then_some(1);
        let entry =
            Entry { purpose, algorithm, protection, created: self.clock.now(), primary, versions: BTreeMap::new() };
        // RSA keys take seconds: not under the lock.
        let first = self.new_version(name, &entry, 1)?;
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.contains_key(name) {
            return Err(Error::Resource(format!("the key {name} exists already")));
        }
        keys.insert(name.to_owned(), Entry { versions: BTreeMap::from([(1, first)]), ..entry });
        Ok(())
    }

    /// All keys, by name.
    pub fn keys(&self) -> Vec<crate::config::Key> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|(name, entry)| crate::config::Key { name: name.clone(), purpose: entry.purpose }).collect()
    }

    /// A new enabled version of a key; its number. It becomes primary only when [`Kms::set_primary`] says so.
    ///
    /// # Errors
    /// There is no such key.
    pub fn create_version(&self, name: &str) -> Result<u32> {
        let entry = self.key(name).map_err(resource)?;
        let number = entry.versions.keys().next_back().map_or(1, |last| last + 1);
        let version = self.new_version(name, &entry, number)?;
        self.change(name, |entry| {
            // Two callers at once: the later one comes after.
            let number = entry.versions.keys().next_back().map_or(1, |last| last + 1).max(number);
            entry.versions.insert(number, version);
            number
        })
        .map_err(resource)
    }

    /// Makes a version of a symmetric key the one that encrypts.
    ///
    /// # Errors
    /// There is no such version, or it is not enabled, or the key has no primary version.
    pub fn set_primary(&self, name: &str, version: u32) -> Result<()> {
        self.usable(name, version).map_err(resource)?;
        let set = self.change(name, |entry| entry.primary.is_some() && entry.primary.replace(version).is_some());
        match set.map_err(resource)? {
            true => Ok(()),
            false => Err(Error::Resource(format!("the key {name} has no primary version"))),
        }
    }

    /// Enables or disables version 1 of a key.
    ///
    /// # Errors
    /// There is no such key.
    pub fn set_enabled(&self, name: &str, enabled: bool) -> Result<()> {
        self.set_state(name, 1, if enabled { VersionState::Enabled } else { VersionState::Disabled })
    }

    /// Sets the state of a version, whatever it was; what the API allows is narrower.
    ///
    /// # Errors
    /// There is no such version.
    pub fn set_state(&self, name: &str, version: u32, state: VersionState) -> Result<()> {
        let destroy_at = match state {
            VersionState::DestroyScheduled => Some(self.clock.now().saturating_add(DESTROY_DELAY)),
            _ => None,
        };
        let found = self.change(name, |entry| {
            let found = entry.versions.get_mut(&version);
            found.map(|version| (version.state, version.destroy_at) = (state, destroy_at)).is_some()
        });
        match found.map_err(resource)? {
            true => Ok(()),
            false => Err(Error::Resource(format!("the key {name} has no version {version}"))),
        }
    }

    /// The public key of version 1 of an asymmetric key, as SPKI PEM.
    ///
    /// # Errors
    /// There is no such key, or its version is not enabled.
    pub fn public_key_pem(&self, name: &str) -> Result<String> {
        let (_, version) = self.usable(name, 1).map_err(resource)?;
        version.public_key_pem().ok_or_else(|| Error::Resource(format!("there is no asymmetric key {name}")))
    }

    /// The key as it is now.
    pub(super) fn key(&self, name: &str) -> Result<Entry, ApiError> {
        self.change(name, |entry| entry.clone())
    }

    /// The key and an enabled version of it.
    pub(super) fn usable(&self, name: &str, version: u32) -> Result<(Entry, Version), ApiError> {
        let entry = self.key(name)?;
        let full = format!("{name}/cryptoKeyVersions/{version}");
        let found = entry.versions.get(&version).cloned().ok_or_else(|| no_version(&full))?;
        if found.state != VersionState::Enabled {
            let state = found.state.wire().0;
            return Err(ApiError::new(
                Code::FailedPrecondition,
                format!("{full} is not enabled, current state is: {state}."),
            ));
        }
        Ok((entry, found))
    }

    /// Works on a key under the lock, after what was to be destroyed by now is.
    pub(super) fn change<T>(&self, name: &str, work: impl FnOnce(&mut Entry) -> T) -> Result<T, ApiError> {
        let now = self.clock.now();
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let entry =
            keys.get_mut(name).ok_or_else(|| ApiError::new(Code::NotFound, format!("CryptoKey {name} not found.")))?;
        for version in entry.versions.values_mut() {
            if version.destroy_at.is_some_and(|at| at <= now) {
                version.state = VersionState::Destroyed;
                version.destroy_at = None;
            }
        }
        Ok(work(entry))
    }

    fn new_version(&self, key: &str, entry: &Entry, number: u32) -> Result<Version> {
        // Version 1 has the key's own name, so that a key keeps its material when it gets versions.
        let name = if number == 1 { key.to_owned() } else { format!("{key}/cryptoKeyVersions/{number}") };
        let material = match entry.purpose {
            Purpose::EncryptDecrypt => Material::Symmetric(derive(&self.seed, "aes-256", &name)),
            Purpose::AsymmetricSign => {
                let algorithm = entry.algorithm.unwrap_or(SigningAlgorithm::P256Sha256);
                Material::Signing(SigningKey::derive(&self.seed, &name, algorithm)?)
            }
            Purpose::AsymmetricDecrypt => {
                let mut random = SeededRng::new(derive(&self.seed, "rsa decryption", &name));
                let key = RsaPrivateKey::new(&mut random, DECRYPTION_BITS)
                    .map_err(|e| Error::Key(format!("making an RSA key: {e}")))?;
                Material::Decryption(Box::new(key))
            }
        };
        Ok(Version {
            state: VersionState::Enabled,
            created: self.clock.now(),
            destroy_at: None,
            material: Arc::new(material),
        })
    }
}

impl Version {
    pub(super) fn material(&self) -> &Material {
        &self.material
    }

    pub(super) fn public_key_pem(&self) -> Option<String> {
        use p256::pkcs8::{EncodePublicKey as _, LineEnding};
        match self.material() {
            Material::Symmetric(_) => None,
            Material::Signing(key) => key.pem().ok(),
            Material::Decryption(key) => key.to_public_key().to_public_key_pem(LineEnding::LF).ok(),
        }
    }
}

pub(super) fn no_version(name: &str) -> ApiError {
    ApiError::new(Code::NotFound, format!("CryptoKeyVersion {name} not found."))
}

fn resource(error: ApiError) -> Error {
    Error::Resource(error.message)
}

fn is_key_name(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    let ["projects", project, "locations", location, "keyRings", ring, "cryptoKeys", key] = parts[..] else {
        return false;
    };
    let id_like = |id: &&str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    [project, location, ring, key].iter().all(id_like)
}
