//! Pulls over plain HTTP from a registry on the loopback interface; nothing is used before its size and digest fit.

use std::net::SocketAddr;

use axum::http::{StatusCode, Uri, header};
use bytes::Bytes;
use csign_oci::{
    Descriptor, Digest, Index, Manifest, Pinned, Repository,
    manifest::{DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, IMAGE_INDEX, IMAGE_MANIFEST},
};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

use crate::{Error, Result};

/// Largest manifest: registries accept no larger one.
const MAX_MANIFEST: u64 = 4 << 20;
/// Largest layer or configuration.
const MAX_BLOB: u64 = 512 << 20;

/// Registries that are the simulator itself, whatever is in front of these names.
const OWN: [&str; 2] = [".simulator.localhost", ".pkg.dev"];

/// A client of the registries that the launcher may ask.
#[derive(Clone, Debug)]
pub(super) struct Puller {
    http: Client<HttpConnector, Empty<Bytes>>,
    simulator: SocketAddr,
}

/// A pulled image, still packed.
#[derive(Debug)]
pub(super) struct Pulled {
    pub(super) config_digest: Digest,
    pub(super) config: Vec<u8>,
    pub(super) layers: Vec<(Descriptor, Vec<u8>)>,
}

impl Puller {
    pub(super) fn new(simulator: SocketAddr) -> Self {
        Self { http: Client::builder(TokioExecutor::new()).build_http(), simulator }
    }

    /// The image that `pinned` names: for an index, its manifest for linux on this machine's processor.
    pub(super) async fn image(&self, pinned: &Pinned) -> Result<Pulled> {
        let fail = |reason: String| Error::Pull { reference: pinned.to_string(), reason };
        self.pull(pinned).await.map_err(fail)
    }

    async fn pull(&self, pinned: &Pinned) -> Result<Pulled, String> {
        let repository = &pinned.repository;
        let mut bytes = self.by_digest(repository, "manifests", &pinned.digest, None, MAX_MANIFEST).await?;
        if let Some(chosen) = platform_of(&bytes)? {
            bytes = self.by_digest(repository, "manifests", &chosen.digest, Some(chosen.size), MAX_MANIFEST).await?;
        }
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| format!("not an image manifest: {e}"))?;
        let config = self.blob(repository, &manifest.config).await?;
        let mut layers = Vec::new();
        for layer in manifest.layers {
            let blob = self.blob(repository, &layer).await?;
            layers.push((layer, blob));
        }
        Ok(Pulled { config_digest: manifest.config.digest, config, layers })
    }

    /// The manifest of a tag, whatever it is; `None` if there is none.
    pub(super) async fn tagged(&self, repository: &Repository, tag: &str) -> Result<Option<Manifest>, String> {
        let Some(bytes) = self.get(repository, &format!("manifests/{tag}"), MAX_MANIFEST).await? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| format!("tag {tag} is not an image manifest: {e}"))
    }

    pub(super) async fn blob(&self, repository: &Repository, descriptor: &Descriptor) -> Result<Vec<u8>, String> {
        self.by_digest(repository, "blobs", &descriptor.digest, Some(descriptor.size), MAX_BLOB).await
    }

    async fn by_digest(
        &self,
        repository: &Repository,
        kind: &str,
        digest: &Digest,
        size: Option<u64>,
        limit: u64,
    ) -> Result<Vec<u8>, String> {
        if let Some(size) = size.filter(|size| *size > limit) {
            return Err(format!("{digest} has {size} bytes, at most {limit} are read"));
        }
        let bytes = self.get(repository, &format!("{kind}/{digest}"), size.unwrap_or(limit)).await?;
        let bytes = bytes.ok_or_else(|| format!("the registry does not have {kind}/{digest}"))?;
        if let Some(want) = size.filter(|size| *size != bytes.len() as u64) {
            return Err(format!("{digest} has {} bytes, its descriptor says {want}", bytes.len()));
        }
        let got = Digest::of(&bytes);
        if got != *digest {
            return Err(format!("the registry answered with content of digest {got} for {digest}"));
        }
        Ok(bytes)
    }

    async fn get(&self, repository: &Repository, item: &str, limit: u64) -> Result<Option<Vec<u8>>, String> {
        let address = self.address_of(repository)?;
        let uri = format!("http://{address}/v2/{}/{item}", repository.path());
        let uri: Uri = uri.parse().map_err(|e| format!("{uri}: {e}"))?;
        let accept = [IMAGE_MANIFEST, IMAGE_INDEX, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST].join(", ");
        let request = axum::http::Request::get(uri)
            .header(header::HOST, repository.registry())
            .header(header::ACCEPT, accept)
            .body(Empty::new())
            .map_err(|e| e.to_string())?;
        let response = self.http.request(request).await.map_err(|e| format!("GET {item}: {e}"))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(format!("GET {item}: the registry answered {status}")),
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let body = Limited::new(response.into_body(), limit).collect().await;
        Ok(Some(body.map_err(|e| format!("GET {item}: {e}"))?.to_bytes().into()))
    }

    /// Where the repository's registry listens: the simulator itself, or another registry on the loopback interface.
    fn address_of(&self, repository: &Repository) -> Result<SocketAddr, String> {
        let host = repository.host();
        if host == "simulator.localhost" || OWN.iter().any(|parent| host.ends_with(parent)) {
            return Ok(self.simulator);
        }
        let address: Option<SocketAddr> = repository.registry().replace("localhost:", "127.0.0.1:").parse().ok();
        address.filter(|address| address.ip().is_loopback()).ok_or_else(|| {
            format!(
                "the launcher pulls from *.simulator.localhost, *.pkg.dev (which is the simulator here) and loopback \
                 addresses with a port only, not from {}",
                repository.registry()
            )
        })
    }
}

/// If `bytes` are an index: its entry for this platform.
fn platform_of(bytes: &[u8]) -> Result<Option<Descriptor>, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|e| format!("not a manifest: {e}"))?;
    if value.get("manifests").is_none() {
        return Ok(None);
    }
    let index: Index = serde_json::from_value(value).map_err(|e| format!("not an image index: {e}"))?;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let fits = |descriptor: &Descriptor| {
        let platform = descriptor.extra.get("platform");
        let is = |name: &str, wanted: &str| platform.and_then(|p| p.get(name)).is_some_and(|value| value == wanted);
        is("os", "linux") && is("architecture", architecture)
    };
    let chosen = index.manifests.into_iter().find(fits);
    chosen.map(Some).ok_or_else(|| format!("the index has no image for linux/{architecture}"))
}
