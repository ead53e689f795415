//! What a descriptor points to: taken from the descriptor itself where its `data` is there, else fetched.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_oci::{Descriptor, Digest, Pinned, Repository};

use crate::{
    client::Client,
    error::{Error, Result, quote},
    manifest::FetchedManifest,
    push_referrer::entry,
};

impl Client {
    /// The content of `descriptor`: inlined (image specification 1.1, descriptor.md, "data"), else the blob. Size, then
    /// digest, are checked either way.
    ///
    /// # Errors
    /// A mismatch, also of inlined content that a request could replace; as [`Client::blob`].
    pub async fn content(&self, repository: &Repository, descriptor: &Descriptor) -> Result<Vec<u8>> {
        match inlined(repository, descriptor)? {
            Some(bytes) => Ok(bytes),
            None => self.blob(repository, descriptor).await,
        }
    }

    /// The manifest that a listing of the referrers of `image` names: inlined, else fetched. It is returned only if its
    /// size and digest are the descriptor's and its subject is `image`; a listing may say anything.
    ///
    /// # Errors
    /// [`Error::WrongSubject`] if it refers to another image or to none; a mismatch; [`Error::NotFound`] if it is listed
    /// and the registry does not have it.
    pub async fn referrer(&self, image: &Pinned, descriptor: &Descriptor) -> Result<FetchedManifest> {
        let (repository, limit) = (&image.repository, self.inner.limits.manifest);
        let doing = format!("fetching referrer {} of {image}", descriptor.digest);
        if descriptor.size > limit {
            return Err(Error::TooLarge { doing, limit, unit: "bytes" });
        }
        let (bytes, header) = match inlined(repository, descriptor)? {
            Some(bytes) => (bytes, descriptor.media_type.clone()),
            None => {
                let fetched = self.required_manifest(repository, descriptor.digest).await?;
                (fetched.bytes, fetched.media_type)
            }
        };
        if bytes.len() as u64 != descriptor.size {
            return Err(Error::SizeMismatch { doing, want: descriptor.size, got: bytes.len() as u64 });
        }
        let found = entry(image, &bytes, Some(&header))?;
        if found.media_type != descriptor.media_type {
            let why = format!("a manifest of type {:?} listed as {:?}", found.media_type, descriptor.media_type);
            return Err(Error::Malformed { doing, host: repository.registry().to_owned(), why: quote(&why) });
        }
        Ok(FetchedManifest { media_type: found.media_type, digest: found.digest, bytes })
    }
}

/// The content in the descriptor, if there is any.
pub(crate) fn inlined(repository: &Repository, descriptor: &Descriptor) -> Result<Option<Vec<u8>>> {
    let Some(data) = descriptor.extra.get("data").filter(|data| !data.is_null()) else { return Ok(None) };
    let doing = format!("reading the inlined content of {} in {repository}", descriptor.digest);
    let bytes = data.as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
    let bytes = bytes.ok_or_else(|| Error::Malformed {
        doing: doing.clone(),
        host: repository.registry().to_owned(),
        why: "a descriptor whose data is not base64".to_owned(),
    })?;
    if bytes.len() as u64 != descriptor.size {
        return Err(Error::SizeMismatch { doing, want: descriptor.size, got: bytes.len() as u64 });
    }
    let got = Digest::of(&bytes);
    if got != descriptor.digest {
        return Err(Error::DigestMismatch { doing, want: descriptor.digest, got });
    }
    Ok(Some(bytes))
}
