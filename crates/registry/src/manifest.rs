//! Manifests and indexes: fetching, resolving, pushing.

use std::fmt;

use bytes::Bytes;
use csign_oci::{
    Descriptor, Digest, Repository, Tag, json,
    manifest::{DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, IMAGE_INDEX, IMAGE_MANIFEST},
};
use http::{Method, StatusCode, header};
use reqwest::Response;
use serde::Deserialize;

use crate::{
    client::Client,
    error::{Error, Result},
    request::{Ask, Body, absence, check_digest_header, digest_header, read_body, refusal},
};

pub(crate) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// Names a manifest within a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagOrDigest {
    /// Whatever the tag points to now.
    Tag(Tag),
    /// Exactly this one.
    Digest(Digest),
}

/// A manifest or index as the registry sent it. The digest is computed over `bytes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedManifest {
    /// The media type.
    pub media_type: String,
    /// The digest of `bytes`.
    pub digest: Digest,
    /// The exact bytes.
    pub bytes: Vec<u8>,
}

/// What a registry said about a manifest that it stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedManifest {
    /// The digest of the bytes that were pushed.
    pub digest: Digest,
    /// Whether the registry lists it as a referrer of its subject (header `OCI-Subject`).
    pub subject_listed: bool,
}

impl FetchedManifest {
    /// The descriptor.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(&self.media_type, &self.bytes)
    }
}

impl Client {
    /// Fetches a manifest. `None` only if the registry itself says that it has none (404 with `MANIFEST_UNKNOWN` or
    /// `NAME_UNKNOWN`).
    ///
    /// # Errors
    /// Everything else that keeps it from being read; another digest than asked for or than the registry declares.
    pub async fn manifest(&self, repository: &Repository, reference: &TagOrDigest) -> Result<Option<FetchedManifest>> {
        let doing = &format!("fetching manifest {reference} of {repository}");
        self.inner.retry.run(async || self.manifest_once(doing, repository, reference).await).await
    }

    async fn manifest_once(
        &self,
        doing: &str,
        repository: &Repository,
        reference: &TagOrDigest,
    ) -> Result<Option<FetchedManifest>> {
        let mut ask = Ask::get(doing, repository, &format!("manifests/{reference}"))?;
        ask.accept = ACCEPT;
        let response = self.send(&ask).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return absence(doing, response).await.map(|_| None),
            _ => return Err(refusal(doing, response).await),
        }
        let declared = digest_header(doing, &response)?;
        let content_type = content_type(&response);
        let bytes = read_body(doing, response, self.inner.limits.manifest).await?;
        let got = Digest::of(&bytes);
        let wanted = match reference {
            TagOrDigest::Digest(digest) => Some(*digest),
            TagOrDigest::Tag(_) => None,
        };
        for want in [wanted, declared].into_iter().flatten() {
            if want != got {
                return Err(Error::DigestMismatch { doing: doing.to_owned(), want, got });
            }
        }
        let media_type = media_type(&bytes, content_type).ok_or_else(|| Error::Malformed {
            doing: doing.to_owned(),
            host: repository.registry().to_owned(),
            why: "something that is no manifest".to_owned(),
        })?;
        Ok(Some(FetchedManifest { media_type, digest: got, bytes }))
    }

    /// What `reference` points to now, without its content where the registry's headers say enough. `None` as in
    /// [`Client::manifest`].
    ///
    /// # Errors
    /// As [`Client::manifest`].
    pub async fn describe(&self, repository: &Repository, reference: &TagOrDigest) -> Result<Option<Descriptor>> {
        let doing = &format!("looking up {reference} of {repository}");
        let found = self
            .inner
            .retry
            .run(async || {
                let mut ask = Ask::get(doing, repository, &format!("manifests/{reference}"))?.method(Method::HEAD);
                ask.accept = ACCEPT;
                let response = self.send(&ask).await?;
                if response.status() != StatusCode::OK {
                    return Ok(None);
                }
                let size = response.headers().get(header::CONTENT_LENGTH);
                let size = size.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
                let digest = digest_header(doing, &response)?;
                if let (TagOrDigest::Digest(want), Some(got)) = (reference, digest)
                    && *want != got
                {
                    return Err(Error::DigestMismatch { doing: doing.clone(), want: *want, got });
                }
                Ok(match (content_type(&response), size, digest) {
                    (Some(media_type), Some(size), Some(digest)) if is_manifest(&media_type) => {
                        let mut descriptor = Descriptor::of(&media_type, b"");
                        (descriptor.size, descriptor.digest) = (size, digest);
                        Some(descriptor)
                    }
                    _ => None,
                })
            })
            .await?;
        match found {
            Some(descriptor) => Ok(Some(descriptor)),
            // The headers do not say, or it is not there: the full answer says which.
            None => Ok(self.manifest(repository, reference).await?.map(|manifest| manifest.descriptor())),
        }
    }

    /// The digest that `tag` points to now. Whoever can push can move it.
    ///
    /// # Errors
    /// As [`Client::manifest`]; [`Error::NotFound`] if there is no such tag.
    pub async fn resolve(&self, repository: &Repository, tag: &Tag) -> Result<Digest> {
        let found = self.describe(repository, &TagOrDigest::Tag(tag.clone())).await?;
        found.map(|descriptor| descriptor.digest).ok_or_else(|| Error::NotFound {
            doing: format!("resolving {repository}:{tag}"),
            message: "the repository has no such tag".to_owned(),
        })
    }

    /// Stores a manifest. What it refers to must have been pushed before.
    ///
    /// # Errors
    /// A refusal; a registry that stored something else.
    pub async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &TagOrDigest,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<PushedManifest> {
        let doing = &format!("pushing manifest {reference} to {repository}");
        let digest = Digest::of(bytes);
        if bytes.len() as u64 > self.inner.limits.manifest {
            let limit = self.inner.limits.manifest;
            return Err(Error::TooLarge { doing: doing.clone(), limit, unit: "bytes" });
        }
        if let TagOrDigest::Digest(want) = reference
            && *want != digest
        {
            return Err(Error::DigestMismatch { doing: doing.clone(), want: *want, got: digest });
        }
        let bytes = Bytes::copy_from_slice(bytes);
        self.inner
            .retry
            .run(async || {
                let mut ask = Ask::get(doing, repository, &format!("manifests/{reference}"))?.method(Method::PUT);
                ask.body = Body::Bytes { media_type, bytes: bytes.clone() };
                let response = self.send(&ask).await?;
                if !response.status().is_success() {
                    return Err(refusal(doing, response).await);
                }
                check_digest_header(doing, &response, &digest)?;
                let subject_listed = response.headers().contains_key("oci-subject");
                Ok(PushedManifest { digest, subject_listed })
            })
            .await
    }

    /// Removes a tag, or a manifest with all its tags. Says whether it was there.
    ///
    /// # Errors
    /// [`Error::Undeletable`] if the registry does not allow it; any answer that proves neither.
    pub async fn delete_manifest(&self, repository: &Repository, reference: &TagOrDigest) -> Result<bool> {
        let doing = &format!("deleting manifest {reference} of {repository}");
        self.inner
            .retry
            .run(async || {
                let ask = Ask::get(doing, repository, &format!("manifests/{reference}"))?.method(Method::DELETE);
                let response = self.send(&ask).await?;
                match response.status() {
                    StatusCode::ACCEPTED | StatusCode::OK | StatusCode::NO_CONTENT => Ok(true),
                    StatusCode::NOT_FOUND => absence(doing, response).await.map(|_| false),
                    StatusCode::METHOD_NOT_ALLOWED => {
                        Err(Error::Undeletable { doing: doing.clone(), host: repository.registry().to_owned() })
                    }
                    _ => Err(refusal(doing, response).await),
                }
            })
            .await
    }
}

impl Client {
    /// As [`Client::manifest`], but absence is an error.
    pub(crate) async fn required_manifest(&self, repository: &Repository, digest: Digest) -> Result<FetchedManifest> {
        let found = self.manifest(repository, &TagOrDigest::Digest(digest)).await?;
        found.ok_or_else(|| Error::NotFound {
            doing: format!("fetching manifest {digest} of {repository}"),
            message: format!("{} has no such manifest", repository.registry()),
        })
    }
}

fn content_type(response: &Response) -> Option<String> {
    let value = response.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase())
}

fn is_manifest(media_type: &str) -> bool {
    [IMAGE_MANIFEST, IMAGE_INDEX, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST].contains(&media_type)
}

/// The type that the manifest states of itself, else the header's.
pub(crate) fn media_type(bytes: &[u8], header: Option<String>) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Probe {
        #[serde(default)]
        media_type: Option<String>,
    }
    let probe: Probe = json::from_slice(bytes).ok()?;
    probe.media_type.or(header)
}

impl fmt::Display for TagOrDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl From<Tag> for TagOrDigest {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<Digest> for TagOrDigest {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}
