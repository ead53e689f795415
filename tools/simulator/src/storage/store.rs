//! The buckets that exist and the objects in them, with their generations.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    blob::{Blob, Writer},
    upload::Sessions,
};
use crate::{
    Error, Result,
    clock::Clock,
    iam::{Call, Iam},
    respond::{ApiError, Code, Timestamp},
};

/// Cloud Storage; clones share the buckets.
#[derive(Clone)]
pub struct Storage {
    buckets: Arc<Mutex<BTreeMap<String, Bucket>>>,
    pub(super) sessions: Sessions,
    pub(super) directory: Arc<TempDir>,
    pub(super) iam: Iam,
    clock: Clock,
}

pub(super) struct Bucket {
    created: u64,
    pub(super) objects: BTreeMap<String, Object>,
    /// The last generation that was given out.
    generation: u64,
}

/// An object. Cloning shares its bytes.
#[derive(Clone)]
pub(super) struct Object {
    pub(super) blob: Blob,
    pub(super) generation: u64,
    created: u64,
    pub(super) about: About,
}

/// What an upload says of its object.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    pub(super) content_type: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    /// Checksums that the bytes must have, in base64.
    pub(super) crc32c: Option<String>,
    pub(super) md5: Option<String>,
}

/// `ifGenerationMatch` and its kind; a generation of 0 means that there is no object.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Conditions {
    pub(super) generation: Option<u64>,
    pub(super) not_generation: Option<u64>,
    pub(super) metageneration: Option<u64>,
    pub(super) not_metageneration: Option<u64>,
}

/// Why a request is not answered, before it becomes the JSON API's form.
#[derive(Debug)]
pub(super) enum Refusal {
    Api(ApiError),
    /// 412
    Precondition,
    /// 416
    Range,
    /// 304
    NotModified,
    /// 500
    Disk(std::io::Error),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(error)
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").finish_non_exhaustive()
    }
}

impl Storage {
    pub(crate) fn new(iam: Iam, clock: Clock) -> Result<Self> {
        let directory = TempDir::new().map_err(Error::io("creating the directory of objects"))?;
        Ok(Self { buckets: Arc::default(), sessions: Sessions::default(), directory: Arc::new(directory), iam, clock })
    }

    /// Creates a bucket.
    ///
    /// # Errors
    /// A malformed name, or one that exists.
    pub fn create_bucket(&self, name: &str) -> Result<()> {
        self.insert_bucket(name).map(|_| ()).map_err(|error| Error::Resource(error.message))
    }

    /// Whether there is a bucket of this name.
    pub fn has_bucket(&self, name: &str) -> bool {
        self.buckets().contains_key(name)
    }

    /// Removes a bucket with its objects.
    ///
    /// # Errors
    /// There is no such bucket.
    pub fn remove_bucket(&self, name: &str) -> Result<()> {
        let missing = || Error::Resource("The specified bucket does not exist.".to_owned());
        self.buckets().remove(name).map(drop).ok_or_else(missing)
    }

    /// Puts an object into a bucket without asking IAM.
    ///
    /// # Errors
    /// There is no such bucket; a malformed name; the disk.
    pub fn put(&self, bucket: &str, object: &str, data: &[u8]) -> Result<()> {
        let blob = || {
            let mut writer = Writer::new(self.directory.path())?;
            writer.write(data)?;
            writer.finish()
        };
        let blob = blob().map_err(Error::io("writing an object"))?;
        self.insert(bucket, object, blob, About::default(), Conditions::default()).map(|_| ()).map_err(|refusal| {
            match refusal {
                Refusal::Api(error) => Error::Resource(error.message),
                other => Error::Resource(format!("{other:?}")),
            }
        })
    }

    /// Asks whether the call is allowed, does its work, and writes the outcome to the log.
    pub(super) fn perform<T>(
        &self,
        token: Option<&str>,
        permission: &str,
        resource: &str,
        work: impl FnOnce() -> std::result::Result<T, Refusal>,
    ) -> std::result::Result<T, Refusal> {
        let method = permission.trim_start_matches("storage.");
        let call = Call { service: "storage", method, token, permission, resource };
        let mut other = None;
        let outcome = self.iam.perform(call, || {
            work().map_err(|refusal| match refusal {
                Refusal::Api(error) => error,
                refusal => {
                    let message = format!("{refusal:?}");
                    other = Some(refusal);
                    ApiError::new(Code::FailedPrecondition, message)
                }
            })
        });
        outcome.map_err(|error| other.unwrap_or(Refusal::Api(error)))
    }

    pub(super) fn insert_bucket(&self, name: &str) -> std::result::Result<Value, ApiError> {
        let valid = (3..=222).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
        if !valid {
            return Err(ApiError::new(Code::InvalidArgument, format!("Invalid bucket name: '{name}'")));
        }
        let mut buckets = self.buckets();
        if buckets.contains_key(name) {
            return Err(ApiError::new(
                Code::AlreadyExists,
                "The requested bucket name is not available. The bucket namespace is shared by all users of the system. \
                 Please select a different name and try again.",
            ));
        }
        let created = self.clock.now();
        buckets.insert(name.to_owned(), Bucket { created, objects: BTreeMap::new(), generation: 0 });
        Ok(describe_bucket(name, created))
    }

    pub(super) fn bucket(&self, name: &str) -> std::result::Result<Value, ApiError> {
        self.within(name, |bucket| Ok(describe_bucket(name, bucket.created)))
    }

    /// All buckets, whatever their project: the simulator's buckets have none.
    pub(super) fn list_buckets(&self) -> Value {
        let buckets = self.buckets();
        let items: Vec<Value> = buckets.iter().map(|(name, bucket)| describe_bucket(name, bucket.created)).collect();
        json!({"kind": "storage#buckets", "items": items})
    }

    pub(super) fn object(&self, bucket: &str, name: &str) -> std::result::Result<Object, ApiError> {
        self.within(bucket, |found| found.objects.get(name).cloned().ok_or_else(|| no_object(bucket, name)))
    }

    /// Replaces the object if the conditions hold and the bytes have the promised checksums.
    pub(super) fn insert(
        &self,
        bucket: &str,
        name: &str,
        blob: Blob,
        about: About,
        conditions: Conditions,
    ) -> std::result::Result<Object, Refusal> {
        if name.is_empty() || name.len() > 1024 || name.contains(['\r', '\n']) || name == "." || name == ".." {
            return Err(ApiError::new(Code::InvalidArgument, "The specified object name is not valid.").into());
        }
        let mismatch = |what: &str, given: &str, actual: String| {
            ApiError::new(
                Code::InvalidArgument,
                format!("Provided {what} hash \"{given}\" doesn't match calculated {what} hash \"{actual}\"."),
            )
        };
        let crc32c = STANDARD.encode(blob.crc32c.to_be_bytes());
        if let Some(given) = about.crc32c.as_deref().filter(|given| *given != crc32c) {
            return Err(mismatch("CRC32C", given, crc32c).into());
        }
        let md5 = STANDARD.encode(blob.md5);
        if let Some(given) = about.md5.as_deref().filter(|given| *given != md5) {
            return Err(mismatch("MD5", given, md5).into());
        }
        let now = self.clock.now();
        self.within(bucket, |found| {
            conditions.check(found.objects.get(name))?;
            // Microseconds as Google writes them, and never the same twice.
            found.generation = (now * 1_000_000).max(found.generation + 1);
            let object = Object { blob, generation: found.generation, created: now, about };
            found.objects.insert(name.to_owned(), object.clone());
            Ok(object)
        })
    }

    pub(super) fn delete(&self, bucket: &str, name: &str, conditions: Conditions) -> std::result::Result<(), Refusal> {
        self.within(bucket, |found| {
            let object = found.objects.get(name).ok_or_else(|| no_object(bucket, name))?;
            conditions.check(Some(object))?;
            found.objects.remove(name);
            Ok(())
        })
    }

    pub(super) fn within<T, E: From<ApiError>>(
        &self,
        bucket: &str,
        work: impl FnOnce(&mut Bucket) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let mut buckets = self.buckets();
        let missing = || ApiError::new(Code::NotFound, "The specified bucket does not exist.");
        work(buckets.get_mut(bucket).ok_or_else(missing)?)
    }

    fn buckets(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Conditions {
    /// Whether they hold for the object that is there now.
    pub(super) fn check(&self, object: Option<&Object>) -> std::result::Result<(), Refusal> {
        let generation = object.map_or(0, |object| object.generation);
        let metageneration = u64::from(object.is_some());
        let holds = self.generation.is_none_or(|wanted| wanted == generation)
            && self.not_generation.is_none_or(|unwanted| unwanted != generation)
            && self.metageneration.is_none_or(|wanted| wanted == metageneration)
            && self.not_metageneration.is_none_or(|unwanted| unwanted != metageneration);
        if holds { Ok(()) } else { Err(Refusal::Precondition) }
    }
}

impl Object {
    /// The object's resource; `endpoint` is where links point to.
    pub(super) fn resource(&self, endpoint: &str, bucket: &str, name: &str) -> Value {
        let encoded = super::serve::encode(name);
        let time = Timestamp::of(self.created).text();
        let mut value = json!({
            "kind": "storage#object",
            "id": format!("{bucket}/{name}/{}", self.generation),
            "selfLink": format!("{endpoint}/storage/v1/b/{bucket}/o/{encoded}"),
            "mediaLink": format!("{endpoint}/download/storage/v1/b/{bucket}/o/{encoded}?generation={}&alt=media", self.generation),
            "name": name,
            "bucket": bucket,
            "generation": self.generation.to_string(),
            "metageneration": "1",
            "storageClass": "STANDARD",
            "size": self.blob.size.to_string(),
            "crc32c": STANDARD.encode(self.blob.crc32c.to_be_bytes()),
            "md5Hash": STANDARD.encode(self.blob.md5),
            "etag": self.etag(),
            "timeCreated": time,
            "updated": time,
        });
        if let Some(kind) = &self.about.content_type {
            value["contentType"] = json!(kind);
        }
        if !self.about.metadata.is_empty() {
            value["metadata"] = json!(self.about.metadata);
        }
        value
    }

    pub(super) fn etag(&self) -> String {
        STANDARD.encode(self.generation.to_be_bytes())
    }
}

fn describe_bucket(name: &str, created: u64) -> Value {
    let time = Timestamp::of(created).text();
    json!({
        "kind": "storage#bucket", "id": name, "name": name, "location": "US", "storageClass": "STANDARD",
        "metageneration": "1", "timeCreated": time, "updated": time,
    })
}

fn no_object(bucket: &str, name: &str) -> ApiError {
    ApiError::new(Code::NotFound, format!("No such object: {bucket}/{name}"))
}
