//! The secrets that exist, and what may be done with the states of their versions.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::messages as pb;
use crate::{
    Error, Result,
    clock::Clock,
    iam::{Call, Iam},
    respond::{ApiError, Code, Timestamp},
};

/// Largest payload of a version, in bytes.
const MAX_PAYLOAD: usize = 64 * 1024;

/// What a version can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// It can be accessed.
    Enabled,
    /// It cannot until it is enabled.
    Disabled,
    /// Its data is gone.
    Destroyed,
}

impl SecretState {
    /// Name and number in the API.
    pub(super) const fn wire(self) -> (&'static str, i32) {
        match self {
            Self::Enabled => ("ENABLED", 1),
            Self::Disabled => ("DISABLED", 2),
            Self::Destroyed => ("DESTROYED", 3),
        }
    }
}

/// Secret Manager; clones share the secrets.
#[derive(Clone)]
pub struct Secrets {
    secrets: Arc<Mutex<BTreeMap<String, Secret>>>,
    iam: Iam,
    clock: Clock,
}

struct Secret {
    created: u64,
    /// Version `n` is at `n - 1`.
    versions: Vec<Version>,
}

struct Version {
    state: SecretState,
    created: u64,
    destroyed: Option<u64>,
    data: Vec<u8>,
    checked: bool,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

type Answer<T> = Result<T, ApiError>;

impl Secrets {
    pub(crate) fn new(iam: Iam, clock: Clock) -> Self {
        Self { secrets: Arc::default(), iam, clock }
    }

    /// Adds a version to `projects/P/secrets/S`, which is created if there is none; the version's resource name.
    ///
    /// # Errors
    /// A name of another form; too much data.
    pub fn add(&self, secret: &str, data: impl Into<Vec<u8>>) -> Result<String> {
        let created = match self.create(secret) {
            Err(error) if error.code != Code::AlreadyExists => Err(error),
            _ => self.add_version(secret, pb::Payload { data: data.into(), data_crc32c: None }),
        };
        created.map(|version| version.name).map_err(resource)
    }

    /// Sets the state of a version by its resource name; destroying it takes its data.
    ///
    /// # Errors
    /// There is no such version, or it is destroyed.
    pub fn set_state(&self, version: &str, state: SecretState) -> Result<()> {
        self.transition(version, state).map(|_| ()).map_err(resource)
    }

    pub(super) fn perform<T>(
        &self,
        method: &str,
        token: Option<&str>,
        permission: &str,
        resource: &str,
        work: impl FnOnce() -> Answer<T>,
    ) -> Answer<T> {
        self.iam.perform(Call { service: "secretmanager", method, token, permission, resource }, work)
    }

    pub(super) fn create(&self, name: &str) -> Answer<pb::Secret> {
        let parts: Vec<&str> = name.split('/').collect();
        let id_like = |id: &str| {
            !id.is_empty() && id.len() <= 255 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        match parts[..] {
            ["projects", project, "secrets", id] if !project.is_empty() && id_like(id) => {}
            _ => return Err(invalid(format!("{name:?} is not projects/P/secrets/S."))),
        }
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if secrets.contains_key(name) {
            return Err(ApiError::new(Code::AlreadyExists, format!("Secret [{name}] already exists.")));
        }
        let created = self.clock.now();
        secrets.insert(name.to_owned(), Secret { created, versions: Vec::new() });
        Ok(pb::Secret { name: name.to_owned(), create_time: Some(Timestamp::of(created)) })
    }

    pub(super) fn describe(&self, name: &str) -> Answer<pb::Secret> {
        self.within(name, |secret| {
            Ok(pb::Secret { name: name.to_owned(), create_time: Some(Timestamp::of(secret.created)) })
        })
    }

    pub(super) fn delete(&self, name: &str) -> Answer<()> {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.remove(name).map(|_| ()).ok_or_else(|| not_found(name))
    }

    pub(super) fn add_version(&self, name: &str, payload: pb::Payload) -> Answer<pb::SecretVersion> {
        if payload.data.is_empty() || payload.data.len() > MAX_PAYLOAD {
            return Err(invalid(format!("The payload must have 1 to {MAX_PAYLOAD} bytes.")));
        }
        if payload.data_crc32c.is_some_and(|claimed| claimed != i64::from(crc32c::crc32c(&payload.data))) {
            return Err(invalid("The checksum in field data_crc32c did not match the data in field data."));
        }
        let now = self.clock.now();
        self.within(name, |secret| {
            secret.versions.push(Version {
                state: SecretState::Enabled,
                created: now,
                destroyed: None,
                data: payload.data,
                checked: payload.data_crc32c.is_some(),
            });
            Ok(describe(name, secret.versions.len(), secret.versions.last()))
        })
    }

    pub(super) fn version(&self, name: &str) -> Answer<pb::SecretVersion> {
        self.with_version(name, |secret, number, version| Ok(describe(secret, number, Some(version))))
    }

    pub(super) fn access(&self, name: &str) -> Answer<pb::AccessResponse> {
        self.with_version(name, |secret, number, version| {
            let full = format!("{secret}/versions/{number}");
            if version.state != SecretState::Enabled {
                let state = version.state.wire().0;
                return Err(ApiError::new(
                    Code::FailedPrecondition,
                    format!("Secret Version [{full}] is in {state} state."),
                ));
            }
            let data_crc32c = Some(i64::from(crc32c::crc32c(&version.data)));
            Ok(pb::AccessResponse {
                name: full,
                payload: Some(pb::Payload { data: version.data.clone(), data_crc32c }),
            })
        })
    }

    pub(super) fn transition(&self, name: &str, to: SecretState) -> Answer<pb::SecretVersion> {
        let now = self.clock.now();
        self.with_version(name, |secret, number, version| {
            if version.state == SecretState::Destroyed && to != SecretState::Destroyed {
                return Err(ApiError::new(
                    Code::FailedPrecondition,
                    format!("Secret Version [{secret}/versions/{number}] is in DESTROYED state."),
                ));
            }
            version.state = to;
            if to == SecretState::Destroyed {
                version.data.clear();
                version.destroyed = version.destroyed.or(Some(now));
            }
            Ok(describe(secret, number, Some(version)))
        })
    }

    fn within<T>(&self, name: &str, work: impl FnOnce(&mut Secret) -> Answer<T>) -> Answer<T> {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        work(secrets.get_mut(name).ok_or_else(|| not_found(name))?)
    }

    /// Works on `…/versions/N` or `…/versions/latest`, which is the newest one whatever its state.
    fn with_version<T>(&self, name: &str, work: impl FnOnce(&str, usize, &mut Version) -> Answer<T>) -> Answer<T> {
        let (secret, which) = name.split_once("/versions/").ok_or_else(|| not_found(name))?;
        self.within(secret, |found| {
            let number = match which {
                "latest" => Some(found.versions.len()),
                text => text.parse::<usize>().ok().filter(|number| number.to_string() == text),
            };
            let number = number.ok_or_else(|| not_found(name))?;
            let version = number.checked_sub(1).and_then(|index| found.versions.get_mut(index));
            work(secret, number, version.ok_or_else(|| not_found(name))?)
        })
    }
}

fn describe(secret: &str, number: usize, version: Option<&Version>) -> pb::SecretVersion {
    pb::SecretVersion {
        name: format!("{secret}/versions/{number}"),
        create_time: version.map(|version| Timestamp::of(version.created)),
        destroy_time: version.and_then(|version| version.destroyed).map(Timestamp::of),
        state: version.map_or(0, |version| version.state.wire().1),
        client_specified_payload_checksum: version.is_some_and(|version| version.checked),
    }
}

fn not_found(name: &str) -> ApiError {
    let what = if name.contains("/versions/") { "Secret Version" } else { "Secret" };
    ApiError::new(Code::NotFound, format!("{what} [{name}] not found."))
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::InvalidArgument, message)
}

fn resource(error: ApiError) -> Error {
    Error::Resource(error.message)
}
