//! A registry on a port of its own, and clients that lose no time between tries.

use std::time::Duration;

use csign_oci::{Descriptor, Manifest, Pinned, Repository, manifest::IMAGE_CONFIG};
use csign_registry::{Client, ClientBuilder, Limits, RetryPolicy};
use simulator::registry::{Registry, RegistryOptions};

pub(crate) struct Bench {
    pub(crate) registry: Registry,
    pub(crate) repository: Repository,
}

/// The path of every test's repository.
pub(crate) const NAME: &str = "team/app";

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(RegistryOptions::default()).await
    }

    pub(crate) async fn with(options: RegistryOptions) -> Self {
        let registry = Registry::new(options);
        let address = registry.serve_standalone().await.expect("a port");
        let repository = Repository::parse(&format!("{address}/{NAME}")).expect("repository");
        Self { registry, repository }
    }

    /// Puts a small image into the registry, without a request.
    pub(crate) fn image(&self) -> Pinned {
        self.registry.put_blob(NAME, &b"{}"[..]);
        let config = Descriptor::of(IMAGE_CONFIG, b"{}");
        let manifest = Manifest::new(config, Vec::new());
        let bytes = manifest.to_bytes().expect("json");
        let media_type = manifest.media_type.expect("type");
        let digest = self.registry.put_manifest(NAME, "v1", &media_type, bytes);
        self.repository.at(digest)
    }

    /// Requests with this method whose path contains `path`.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        self.registry.count(|request| request.method == method && request.path.contains(path))
    }

    /// Requests that change something.
    pub(crate) fn writes(&self) -> usize {
        self.registry.count(|request| !["GET", "HEAD"].contains(&request.method.as_str()))
    }
}

/// A registry with the referrers API, and one without.
pub(crate) async fn both_kinds() -> [Bench; 2] {
    let old = RegistryOptions { referrers: false, ..RegistryOptions::default() };
    [Bench::new().await, Bench::with(old).await]
}

pub(crate) fn builder() -> ClientBuilder {
    Client::builder().retry(RetryPolicy {
        tries: 3,
        first_pause: Duration::from_millis(2),
        longest_pause: Duration::from_millis(10),
        total: Duration::from_secs(30),
    })
}

pub(crate) fn client() -> Client {
    builder().build().expect("client")
}

pub(crate) fn client_with(limits: Limits) -> Client {
    builder().limits(limits).build().expect("client")
}

/// A descriptor of `bytes` with a type that nobody looks at.
pub(crate) fn blob(bytes: &[u8]) -> Descriptor {
    Descriptor::of("application/octet-stream", bytes)
}
