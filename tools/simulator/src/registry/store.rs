//! What the registry holds: blobs, manifests, tags and unfinished uploads, each in its repository.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use csign_oci::{Descriptor, Digest};
use serde_json::Value;

/// A manifest as it was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredManifest {
    /// The `Content-Type` that it was pushed with.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// Their digest.
    pub digest: Digest,
}

#[derive(Default)]
pub(super) struct Store {
    repositories: BTreeMap<String, Repository>,
    uploads: HashMap<u64, Upload>,
    next_upload: u64,
}

#[derive(Default)]
struct Repository {
    blobs: HashMap<Digest, Bytes>,
    manifests: BTreeMap<Digest, StoredManifest>,
    tags: BTreeMap<String, Digest>,
}

struct Upload {
    repository: String,
    bytes: Vec<u8>,
}

impl Store {
    pub(super) fn manifest(&self, name: &str, reference: &str) -> Option<StoredManifest> {
        let repository = self.repositories.get(name)?;
        let digest = match Digest::parse(reference) {
            Ok(digest) => digest,
            Err(_) => *repository.tags.get(reference)?,
        };
        repository.manifests.get(&digest).cloned()
    }

    pub(super) fn put_manifest(&mut self, name: &str, reference: &str, media_type: &str, bytes: Bytes) -> Digest {
        let digest = Digest::of(&bytes);
        let repository = self.repositories.entry(name.to_owned()).or_default();
        repository.manifests.insert(digest, StoredManifest { media_type: media_type.to_owned(), bytes, digest });
        if Digest::parse(reference).is_err() {
            repository.tags.insert(reference.to_owned(), digest);
        }
        digest
    }

    pub(super) fn delete_manifest(&mut self, name: &str, reference: &str) -> bool {
        let Some(repository) = self.repositories.get_mut(name) else { return false };
        match Digest::parse(reference) {
            Ok(digest) => {
                repository.tags.retain(|_, tagged| *tagged != digest);
                repository.manifests.remove(&digest).is_some()
            }
            Err(_) => repository.tags.remove(reference).is_some(),
        }
    }

    pub(super) fn blob(&self, name: &str, digest: &Digest) -> Option<Bytes> {
        self.repositories.get(name)?.blobs.get(digest).cloned()
    }

    pub(super) fn put_blob(&mut self, name: &str, bytes: Bytes) -> Digest {
        let digest = Digest::of(&bytes);
        self.repositories.entry(name.to_owned()).or_default().blobs.insert(digest, bytes);
        digest
    }

    pub(super) fn delete_blob(&mut self, name: &str, digest: &Digest) -> bool {
        self.repositories.get_mut(name).is_some_and(|repository| repository.blobs.remove(digest).is_some())
    }

    /// The tags in lexical order; `None` if there is no such repository.
    pub(super) fn tags(&self, name: &str) -> Option<Vec<String>> {
        Some(self.repositories.get(name)?.tags.keys().cloned().collect())
    }

    pub(super) fn start_upload(&mut self, name: &str) -> u64 {
        self.next_upload += 1;
        self.uploads.insert(self.next_upload, Upload { repository: name.to_owned(), bytes: Vec::new() });
        self.next_upload
    }

    /// The bytes received so far, for appending.
    pub(super) fn upload(&mut self, name: &str, id: u64) -> Option<&mut Vec<u8>> {
        self.uploads.get_mut(&id).filter(|upload| upload.repository == name).map(|upload| &mut upload.bytes)
    }

    pub(super) fn take_upload(&mut self, name: &str, id: u64) -> Option<Vec<u8>> {
        self.upload(name, id)?;
        self.uploads.remove(&id).map(|upload| upload.bytes)
    }

    /// Descriptors of all manifests whose `subject` is `digest`, by digest.
    pub(super) fn referrers(&self, name: &str, digest: &Digest, artifact_type: Option<&str>) -> Vec<Descriptor> {
        let Some(repository) = self.repositories.get(name) else { return Vec::new() };
        let referrer = |manifest: &StoredManifest| -> Option<Descriptor> {
            let json: Value = serde_json::from_slice(&manifest.bytes).ok()?;
            let subject = json.pointer("/subject/digest")?.as_str()?;
            if subject != digest.to_string() {
                return None;
            }
            let kind = json.get("artifactType").or_else(|| json.pointer("/config/mediaType")).and_then(Value::as_str);
            let mut descriptor = Descriptor::of(&manifest.media_type, &manifest.bytes);
            if let Some(kind) = kind {
                descriptor.extra.insert("artifactType".to_owned(), kind.into());
            }
            if let Some(Value::Object(annotations)) = json.get("annotations") {
                descriptor.annotations =
                    annotations.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
            }
            Some(descriptor)
        };
        repository
            .manifests
            .values()
            .filter_map(referrer)
            .filter(|found| artifact_type.is_none_or(|wanted| found.artifact_type() == Some(wanted)))
            .collect()
    }

    /// The first blob or manifest that `manifest` needs and the repository lacks.
    pub(super) fn missing_content(&self, name: &str, manifest: &Value) -> Option<String> {
        let repository = self.repositories.get(name);
        let digests = |key: &str| -> Vec<String> {
            let entries = match manifest.get(key) {
                Some(Value::Array(entries)) => entries.as_slice(),
                Some(entry) => std::slice::from_ref(entry),
                None => &[],
            };
            entries.iter().filter_map(|e| e.get("digest")?.as_str().map(str::to_owned)).collect()
        };
        let lacks = |text: &String, has: &dyn Fn(&Repository, &Digest) -> bool| match Digest::parse(text) {
            Ok(digest) => !repository.is_some_and(|repository| has(repository, &digest)),
            Err(_) => true,
        };
        let blobs = digests("config").into_iter().chain(digests("layers"));
        let manifests = digests("manifests").into_iter();
        blobs
            .filter(|d| lacks(d, &|repository, digest| repository.blobs.contains_key(digest)))
            .chain(manifests.filter(|d| lacks(d, &|repository, digest| repository.manifests.contains_key(digest))))
            .next()
    }
}
