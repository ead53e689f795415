//! Listings: tags, and what refers to an image. A listing is complete or it is an error.

use csign_oci::{
    Descriptor, Index, Pinned, Repository, Tag, json,
    manifest::{EMPTY_JSON, IMAGE_INDEX},
};
use http::{StatusCode, header};
use reqwest::{Response, Url};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    client::Client,
    error::{Error, Result},
    host,
    manifest::TagOrDigest,
    request::{Ask, absence, read_body, refusal},
};

#[derive(Deserialize)]
struct TagsPage {
    /// Some registries write `null` for a repository without tags.
    #[serde(default)]
    tags: Option<Vec<Tag>>,
}

impl Client {
    /// All manifests that refer to `image`, of this artifact type if one is given, and those of which the listing does not
    /// tell the type; only the manifest does ([`Client::referrer`]). Registries without the referrers API
    /// are asked for the index under the tag `sha256-<hex>` (distribution specification 1.1, "Unavailable Referrers
    /// API").
    ///
    /// # Errors
    /// Any answer that does not prove the listing complete; more entries or pages than the limits allow.
    pub async fn referrers(&self, image: &Pinned, artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        if let Some(found) = self.referrers_api(image, artifact_type).await? {
            return Ok(found);
        }
        let tag = Tag::for_digest(&image.digest, "");
        let doing = format!("listing what refers to {image}");
        let Some(index) = self.manifest(&image.repository, &TagOrDigest::Tag(tag)).await? else {
            return Ok(Vec::new());
        };
        let index = parse_index(&doing, image.repository.registry(), &index.bytes)?;
        self.bounded(&doing, index.manifests.len())?;
        Ok(of_type(index.manifests, artifact_type))
    }

    /// Does the registry list by itself what refers to `image`?
    ///
    /// # Errors
    /// As [`Client::referrers`].
    pub async fn lists_referrers(&self, image: &Pinned) -> Result<bool> {
        Ok(self.referrers_api(image, None).await?.is_some())
    }

    /// The same from the referrers API alone; `None` if the registry has no such API.
    pub(crate) async fn referrers_api(
        &self,
        image: &Pinned,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Descriptor>>> {
        let doing = format!("listing what refers to {image}");
        let mut url = host::url(&image.repository, &format!("referrers/{}", image.digest))?;
        if let Some(kind) = artifact_type {
            url.query_pairs_mut().append_pair("artifactType", kind);
        }
        let parse = |bytes: &[u8]| parse_index(&doing, image.repository.registry(), bytes).map(|index| index.manifests);
        let found = self.pages(&doing, &image.repository, url, parse, |_| true).await?;
        Ok(found.map(|found| of_type(found, artifact_type)))
    }

    /// All tags of a repository; none if the registry knows no such repository.
    ///
    /// # Errors
    /// As [`Client::referrers`].
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<Tag>> {
        let doing = format!("listing the tags of {repository}");
        let url = host::url(repository, "tags/list")?;
        let parse = |bytes: &[u8]| {
            let page: TagsPage = parse(&doing, repository.registry(), bytes)?;
            Ok(page.tags.unwrap_or_default())
        };
        Ok(self.pages(&doing, repository, url, parse, |_| false).await?.unwrap_or_default())
    }

    /// Follows the `Link` headers from `url` on. `None` if the first page answers 404: for any 404 if
    /// `absent_without_code`, else only for one with a registry's error code.
    async fn pages<T>(
        &self,
        doing: &str,
        repository: &Repository,
        url: Url,
        parse: impl Fn(&[u8]) -> Result<Vec<T>>,
        absent_without_code: impl Fn(&Response) -> bool,
    ) -> Result<Option<Vec<T>>> {
        let mut entries = Vec::new();
        let mut next = Some(url.clone());
        for page in 0..self.inner.limits.pages {
            let Some(url) = next else { return Ok(Some(entries)) };
            let fetch = async || {
                let mut ask = Ask::get(doing, repository, "")?;
                ask.url = url.clone();
                let response = self.send(&ask).await?;
                match response.status() {
                    StatusCode::OK => {}
                    StatusCode::NOT_FOUND if page == 0 => {
                        if !absent_without_code(&response) {
                            absence(doing, response).await?;
                        }
                        return Ok(None);
                    }
                    _ => return Err(refusal(doing, response).await),
                }
                let link = next_page(doing, &url, &response)?;
                let bytes = read_body(doing, response, self.inner.limits.manifest).await?;
                Ok(Some((parse(&bytes)?, link)))
            };
            let Some((found, link)) = self.inner.retry.run(fetch).await? else { return Ok(None) };
            entries.extend(found);
            self.bounded(doing, entries.len())?;
            next = link;
        }
        match next {
            None => Ok(Some(entries)),
            Some(_) => {
                let limit = self.inner.limits.pages as u64;
                Err(Error::TooLarge { doing: doing.to_owned(), limit, unit: "pages" })
            }
        }
    }

    pub(crate) fn bounded(&self, doing: &str, entries: usize) -> Result<()> {
        let limit = self.inner.limits.entries;
        if entries > limit {
            return Err(Error::TooLarge { doing: doing.to_owned(), limit: limit as u64, unit: "entries" });
        }
        Ok(())
    }
}

/// Registries may ignore the filter. Where cosign 3 writes the fallback index, entries have no type but that of their
/// empty configuration: such an entry may be of any.
fn of_type(mut found: Vec<Descriptor>, artifact_type: Option<&str>) -> Vec<Descriptor> {
    if let Some(wanted) = artifact_type {
        found.retain(|entry| entry.artifact_type().is_none_or(|kind| kind == wanted || kind == EMPTY_JSON));
    }
    found
}

pub(crate) fn parse_index(doing: &str, host: &str, bytes: &[u8]) -> Result<Index> {
    let index: Index = parse(doing, host, bytes)?;
    match index.media_type.as_deref() {
        None | Some(IMAGE_INDEX) => Ok(index),
        Some(_) => Err(Error::Malformed {
            doing: doing.to_owned(),
            host: host.to_owned(),
            why: "a listing that is no image index".to_owned(),
        }),
    }
}

fn parse<T: DeserializeOwned>(doing: &str, host: &str, bytes: &[u8]) -> Result<T> {
    json::from_slice(bytes).map_err(|e| Error::Malformed {
        doing: doing.to_owned(),
        host: host.to_owned(),
        why: format!("a malformed listing: {e}"),
    })
}

/// The address of the next page (RFC 8288), which must be of the same registry.
fn next_page(doing: &str, here: &Url, response: &Response) -> Result<Option<Url>> {
    let malformed =
        |why: &str| Error::Malformed { doing: doing.to_owned(), host: host::name(here), why: why.to_owned() };
    for value in response.headers().get_all(header::LINK) {
        let text = value.to_str().map_err(|_| malformed("an unreadable Link header"))?;
        let Some((target, parameters)) = text.trim().strip_prefix('<').and_then(|rest| rest.split_once('>')) else {
            return Err(malformed("a malformed Link header"));
        };
        let parameters = parameters.to_ascii_lowercase();
        if !parameters.split(';').any(|p| matches!(p.trim(), "rel=next" | "rel=\"next\"")) {
            continue;
        }
        let next = here.join(target).map_err(|_| malformed("a malformed Link header"))?;
        if !host::same_origin(here, &next) {
            return Err(malformed("a next page on another host"));
        }
        return Ok(Some(next));
    }
    Ok(None)
}
