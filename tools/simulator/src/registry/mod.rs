//! An OCI distribution 1.1 registry in memory, with authentication, a request log and faults to order.

mod auth;
mod fault;
mod route;
mod serve;
mod store;
mod upload;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::Router;
use bytes::Bytes;
use csign_oci::Digest;

use crate::audit::{Audit, Decision};

pub use self::{
    auth::Auth,
    fault::{Effect, Fault},
    store::StoredManifest,
};
use self::{auth::Tokens, store::Store};

/// The largest manifest that is accepted, in bytes, as the distribution specification suggests.
pub const MANIFEST_LIMIT: usize = 4 << 20;

/// How a [`Registry`] behaves.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// Whether the referrers API exists; without it the path answers 404, as OCI 1.0 registries do.
    pub referrers: bool,
    /// What callers must present; `None` lets everyone read and write.
    pub auth: Option<Auth>,
    /// Entries in one page of a tags or referrers listing, if the caller asks for no smaller page.
    pub page_size: usize,
    /// The largest blob that is accepted, in bytes.
    pub blob_limit: usize,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self { referrers: true, auth: None, page_size: 1000, blob_limit: 1 << 30 }
    }
}

/// One answered request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The method in capital letters.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The status that was answered.
    pub status: u16,
    /// Whether the request carried an `Authorization` header.
    pub authorized: bool,
}

/// The registry. Clones share their content.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    options: RegistryOptions,
    store: Mutex<Store>,
    tokens: Mutex<Tokens>,
    faults: Mutex<Vec<Fault>>,
    log: Mutex<Vec<Logged>>,
    audit: Option<Audit>,
}

impl Registry {
    /// An empty registry.
    pub fn new(options: RegistryOptions) -> Self {
        Self::with(options, None)
    }

    /// One that writes pulls, pushes, deletions and what it denies to the audit log.
    pub(crate) fn audited(options: RegistryOptions, audit: Audit) -> Self {
        Self::with(options, Some(audit))
    }

    fn with(options: RegistryOptions, audit: Option<Audit>) -> Self {
        Self {
            inner: Arc::new(Inner {
                options,
                store: Mutex::default(),
                tokens: Mutex::default(),
                faults: Mutex::default(),
                log: Mutex::default(),
                audit,
            }),
        }
    }

    /// Everything under `/v2/`.
    pub fn router(&self) -> Router {
        serve::router(self.clone())
    }

    /// Serves on a loopback port that the system picks, until the runtime ends; returns the address.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn serve_standalone(&self) -> io::Result<SocketAddr> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let router = self.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(address)
    }

    /// Orders a fault for requests to come. Faults apply in the order in which they were ordered.
    pub fn inject(&self, fault: Fault) {
        lock(&self.inner.faults).push(fault);
    }

    /// Forgets all faults that have not happened yet.
    pub fn clear_faults(&self) {
        lock(&self.inner.faults).clear();
    }

    /// Withdraws all bearer tokens, as if they had expired.
    pub fn expire_tokens(&self) {
        lock(&self.inner.tokens).revoke_all();
    }

    /// All requests answered so far, in the order of their answers.
    pub fn requests(&self) -> Vec<Logged> {
        lock(&self.inner.log).clone()
    }

    /// How many requests so far satisfy `wanted`.
    pub fn count(&self, wanted: impl Fn(&Logged) -> bool) -> usize {
        lock(&self.inner.log).iter().filter(|request| wanted(request)).count()
    }

    /// Empties the request log.
    pub fn clear_log(&self) {
        lock(&self.inner.log).clear();
    }

    /// The manifest that `reference`, a tag or a digest, names in the repository `name`.
    pub fn manifest(&self, name: &str, reference: &str) -> Option<StoredManifest> {
        self.store().manifest(name, reference)
    }

    /// A blob of the repository `name`.
    pub fn blob(&self, name: &str, digest: &Digest) -> Option<Bytes> {
        self.store().blob(name, digest)
    }

    /// The tags of the repository `name`, sorted.
    pub fn tags(&self, name: &str) -> Vec<String> {
        self.store().tags(name).unwrap_or_default()
    }

    /// Stores a blob without a request.
    pub fn put_blob(&self, name: &str, bytes: impl Into<Bytes>) -> Digest {
        self.store().put_blob(name, bytes.into())
    }

    /// Stores a manifest without a request; `reference` is a tag or the digest. Nothing is checked.
    pub fn put_manifest(&self, name: &str, reference: &str, media_type: &str, bytes: impl Into<Bytes>) -> Digest {
        self.store().put_manifest(name, reference, media_type, bytes.into())
    }

    /// Removes a tag, or a manifest with all its tags, without a request. Says whether it was there.
    pub fn delete_manifest(&self, name: &str, reference: &str) -> bool {
        self.store().delete_manifest(name, reference)
    }

    /// Writes what became of a request to the audit log: a denial, or that it was served and why it might be.
    fn note(&self, method: &str, principal: &str, resource: &str, denied: Option<&str>) {
        let Some(audit) = &self.inner.audit else { return };
        let decision = Decision { service: "registry", method, principal, resource };
        match (denied, &self.inner.options.auth) {
            (Some(why), _) => audit.deny(decision, why),
            (None, Some(_)) => audit.allow(decision, "the caller presented what the registry asks for"),
            (None, None) => audit.allow(decision, "the registry asks for no credentials"),
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.inner.store)
    }
}

/// A test that panicked while it held the lock must not take the others with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
