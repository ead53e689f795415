//! Keys and their versions as the API manages them: created, described, enabled, disabled, destroyed, restored.

use super::{
    keyring::{self, Kms, Protection, Purpose, VersionState},
    messages as pb,
    operations::{Answer, invalid, suits, version_of},
    signing::SigningAlgorithm,
};
use crate::respond::{ApiError, Code, Timestamp};

impl Kms {
    pub(super) fn get_key(&self, token: Option<&str>, request: pb::Name) -> Answer<pb::CryptoKey> {
        self.perform("getCryptoKey", token, "cloudkms.cryptoKeys.get", &request.name, || self.describe(&request.name))
    }

    pub(super) fn create_key_call(&self, token: Option<&str>, request: pb::CreateKeyRequest) -> Answer<pb::CryptoKey> {
        self.perform("createCryptoKey", token, "cloudkms.cryptoKeys.create", &request.parent, || {
            let name = format!("{}/cryptoKeys/{}", request.parent, request.crypto_key_id);
            let wanted = request.crypto_key.clone().unwrap_or_default();
            let (algorithm, level) =
                wanted.version_template.map_or((0, 0), |template| (template.algorithm, template.protection_level));
            let protection = Protection::of_number(level)
                .ok_or_else(|| invalid(format!("The simulator has no protection level {level}.")))?;
            let made = match (wanted.purpose, algorithm) {
                (1, 0 | 1) => self.insert(&name, Purpose::EncryptDecrypt, None, protection),
                (6, 8) => self.insert(&name, Purpose::AsymmetricDecrypt, None, protection),
                (5, number) => match SigningAlgorithm::of_number(number) {
                    Some(algorithm) => self.insert(&name, Purpose::AsymmetricSign, Some(algorithm), protection),
                    None => return Err(invalid(format!("The simulator has no algorithm {number} to sign with."))),
                },
                (purpose, algorithm) => {
                    return Err(invalid(format!(
                        "The simulator has no keys of purpose {purpose} with algorithm {algorithm}."
                    )));
                }
            };
            made.map_err(|error| match error {
                crate::Error::Resource(_) => {
                    ApiError::new(Code::AlreadyExists, format!("CryptoKey {name} already exists."))
                }
                other => invalid(other.to_string()),
            })?;
            self.describe(&name)
        })
    }

    pub(super) fn get_version(&self, token: Option<&str>, request: pb::Name) -> Answer<pb::CryptoKeyVersion> {
        self.perform("getCryptoKeyVersion", token, "cloudkms.cryptoKeyVersions.get", &request.name, || {
            self.describe_version(&request.name)
        })
    }

    pub(super) fn list_versions(
        &self,
        token: Option<&str>,
        request: pb::ListVersionsRequest,
    ) -> Answer<pb::ListVersionsResponse> {
        let key = &request.parent;
        self.perform("listCryptoKeyVersions", token, "cloudkms.cryptoKeyVersions.list", key, || {
            let entry = self.key(key)?;
            let versions: Vec<_> = entry.versions.keys().map(|number| describe(key, *number, &entry)).collect();
            let total_size = i32::try_from(versions.len()).unwrap_or(i32::MAX);
            Ok(pb::ListVersionsResponse { crypto_key_versions: versions, total_size })
        })
    }

    pub(super) fn create_version_call(
        &self,
        token: Option<&str>,
        request: pb::ListVersionsRequest,
    ) -> Answer<pb::CryptoKeyVersion> {
        let key = &request.parent;
        self.perform("createCryptoKeyVersion", token, "cloudkms.cryptoKeyVersions.create", key, || {
            self.key(key)?;
            let number = self.create_version(key).map_err(|error| invalid(error.to_string()))?;
            self.describe_version(&format!("{key}/cryptoKeyVersions/{number}"))
        })
    }

    /// Enables or disables: nothing else of a version can be changed.
    pub(super) fn update_version(
        &self,
        token: Option<&str>,
        request: pb::UpdateVersionRequest,
    ) -> Answer<pb::CryptoKeyVersion> {
        let wanted = request.crypto_key_version.unwrap_or_default();
        self.perform("updateCryptoKeyVersion", token, "cloudkms.cryptoKeyVersions.update", &wanted.name, || {
            if request.update_mask.is_none_or(|mask| mask.paths != ["state"]) {
                return Err(invalid("The update mask must be \"state\"."));
            }
            let switchable = [VersionState::Enabled, VersionState::Disabled];
            let to = switchable.into_iter().find(|state| state.wire().1 == wanted.state);
            let to = to.ok_or_else(|| invalid("The state can be updated to ENABLED or DISABLED only."))?;
            self.transition(&wanted.name, &switchable, to)
        })
    }

    pub(super) fn update_primary(
        &self,
        token: Option<&str>,
        request: pb::UpdatePrimaryRequest,
    ) -> Answer<pb::CryptoKey> {
        let key = &request.name;
        self.perform("updateCryptoKeyPrimaryVersion", token, "cloudkms.cryptoKeys.update", key, || {
            let full = format!("{key}/cryptoKeyVersions/{}", request.crypto_key_version_id);
            let (_, version) = version_of(&full)?;
            let (entry, _) = self.usable(key, version)?;
            suits(&entry, Purpose::EncryptDecrypt, key)?;
            self.set_primary(key, version)
                .map_err(|error| ApiError::new(Code::FailedPrecondition, error.to_string()))?;
            self.describe(key)
        })
    }

    pub(super) fn destroy(&self, token: Option<&str>, request: pb::Name) -> Answer<pb::CryptoKeyVersion> {
        self.perform("destroyCryptoKeyVersion", token, "cloudkms.cryptoKeyVersions.destroy", &request.name, || {
            let from = [VersionState::Enabled, VersionState::Disabled];
            self.transition(&request.name, &from, VersionState::DestroyScheduled)
        })
    }

    pub(super) fn restore(&self, token: Option<&str>, request: pb::Name) -> Answer<pb::CryptoKeyVersion> {
        self.perform("restoreCryptoKeyVersion", token, "cloudkms.cryptoKeyVersions.restore", &request.name, || {
            self.transition(&request.name, &[VersionState::DestroyScheduled], VersionState::Disabled)
        })
    }

    fn transition(&self, name: &str, from: &[VersionState], to: VersionState) -> Answer<pb::CryptoKeyVersion> {
        let (key, version) = version_of(name)?;
        let state = self.key(key)?.versions.get(&version).map(|version| version.state);
        let state = state.ok_or_else(|| keyring::no_version(name))?;
        if !from.contains(&state) {
            let states: Vec<&str> = from.iter().map(|state| state.wire().0).collect();
            return Err(ApiError::new(
                Code::FailedPrecondition,
                format!(
                    "{name} has state {}, which does not allow this operation; it needs {}.",
                    state.wire().0,
                    states.join(" or ")
                ),
            ));
        }
        self.set_state(key, version, to).map_err(|_| keyring::no_version(name))?;
        self.describe_version(name)
    }

    fn describe(&self, key: &str) -> Answer<pb::CryptoKey> {
        let entry = self.key(key)?;
        Ok(pb::CryptoKey {
            name: key.to_owned(),
            primary: entry.primary.map(|number| describe(key, number, &entry)),
            purpose: entry.purpose.wire().1,
            create_time: Some(Timestamp::of(entry.created)),
            version_template: Some(pb::Template {
                protection_level: entry.protection.wire().1,
                algorithm: entry.algorithm(),
            }),
        })
    }

    fn describe_version(&self, name: &str) -> Answer<pb::CryptoKeyVersion> {
        let (key, version) = version_of(name)?;
        let entry = self.key(key)?;
        if !entry.versions.contains_key(&version) {
            return Err(keyring::no_version(name));
        }
        Ok(describe(key, version, &entry))
    }
}

fn describe(key: &str, number: u32, entry: &keyring::Entry) -> pb::CryptoKeyVersion {
    let version = entry.versions.get(&number);
    pb::CryptoKeyVersion {
        name: format!("{key}/cryptoKeyVersions/{number}"),
        state: version.map_or(0, |version| version.state.wire().1),
        create_time: version.map(|version| Timestamp::of(version.created)),
        destroy_time: version.and_then(|version| version.destroy_at).map(Timestamp::of),
        protection_level: entry.protection.wire().1,
        algorithm: entry.algorithm(),
    }
}
