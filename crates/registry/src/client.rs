//! The client: how it is built, and the limits on what it accepts.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use crate::{
    auth::Auth,
    credentials::CredentialSource,
    error::{Error, Result},
    retry::RetryPolicy,
    transport::{Transport, parse_authorities},
};

/// Bounds on what a registry may make csign read or keep.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest manifest, index or page of a listing, in bytes: a hostile one would fill the memory.
    pub manifest: u64,
    /// Largest blob that is read into memory, in bytes. Larger ones only go to files.
    pub blob: u64,
    /// Most pages of one listing: a hostile registry could send pages for ever.
    pub pages: usize,
    /// Most entries of one listing, over all its pages.
    pub entries: usize,
    /// Most redirects followed for one blob.
    pub redirects: usize,
    /// Longest time for one request that is not a blob: a server could send one byte now and then.
    pub answer: Duration,
    /// Most writes of `.sig` in one attach: another tool could overwrite it for ever.
    pub attach_rounds: u32,
    /// The pause after somebody else has written `.sig`; the real one is between half of it and all of it.
    pub attach_pause: Duration,
    /// Longest time for one attach.
    pub attach_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest: 4 << 20,
            blob: 32 << 20,
            pages: 100,
            entries: 10_000,
            redirects: 5,
            answer: Duration::from_secs(60),
            attach_rounds: 50,
            attach_pause: Duration::from_millis(200),
            attach_time: Duration::from_secs(180),
        }
    }
}

/// A client for any number of registries. Clones share connections and tokens.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) transport: Transport,
    pub(crate) auth: Auth,
    pub(crate) retry: RetryPolicy,
    pub(crate) limits: Limits,
    pub(crate) attached_elsewhere: bool,
}

/// Builds a [`Client`].
pub struct ClientBuilder {
    simulator: Option<SocketAddr>,
    authorities: Option<Vec<u8>>,
    https_proxy: Option<String>,
    no_proxy: String,
    names: HashMap<String, Vec<IpAddr>>,
    credentials: Option<Arc<dyn CredentialSource>>,
    retry: RetryPolicy,
    limits: Limits,
    attached_elsewhere: bool,
    connect_timeout: Duration,
    read_timeout: Duration,
}

impl Client {
    /// A builder with the default limits, without credentials.
    pub fn builder() -> ClientBuilder {
        ClientBuilder {
            simulator: None,
            authorities: None,
            https_proxy: None,
            no_proxy: String::new(),
            names: HashMap::new(),
            credentials: None,
            retry: RetryPolicy::default(),
            limits: Limits::default(),
            attached_elsewhere: false,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
        }
    }

    /// The limits that this client keeps.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }
}

impl ClientBuilder {
    /// Connects names under `.simulator.localhost` to `address`, whatever port their service has. It moves packets,
    /// never trust.
    #[must_use]
    pub fn simulator(mut self, address: SocketAddr) -> Self {
        self.simulator = Some(address);
        self
    }

    /// Trusts these certificate authorities (PEM) instead of the built-in ones.
    #[must_use]
    pub fn authorities(mut self, pem: Vec<u8>) -> Self {
        self.authorities = Some(pem);
        self
    }

    /// Sends https requests through this proxy. Plain http on the loopback interface never uses one.
    #[must_use]
    pub fn https_proxy(mut self, url: impl Into<String>) -> Self {
        self.https_proxy = Some(url.into());
        self
    }

    /// Hosts, domains and networks, with commas between them, to which https requests go without the proxy; the loopback
    /// interface always is one.
    #[must_use]
    pub fn no_proxy(mut self, hosts: impl Into<String>) -> Self {
        self.no_proxy = hosts.into();
        self
    }

    /// Uses these addresses for the host `name` instead of the system's resolver's. Like those they are refused where a
    /// registry may not send csign, and TLS still asks for the name's certificate.
    #[must_use]
    pub fn resolve(mut self, name: impl Into<String>, addresses: Vec<IpAddr>) -> Self {
        self.names.insert(name.into(), addresses);
        self
    }

    /// Asks `source` for credentials when a registry answers 401.
    #[must_use]
    pub fn credentials(mut self, source: Arc<dyn CredentialSource>) -> Self {
        self.credentials = Some(source);
        self
    }

    /// How faults that pass are tried again.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// What is accepted at most.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What is attached to images is in repositories that need not hold the images themselves (cosign's
    /// `COSIGN_REPOSITORY`).
    #[must_use]
    pub fn attached_elsewhere(mut self, elsewhere: bool) -> Self {
        self.attached_elsewhere = elsewhere;
        self
    }

    /// The longest time to wait for a connection, and for the next byte of an answer.
    #[must_use]
    pub fn timeouts(mut self, connect: Duration, read: Duration) -> Self {
        (self.connect_timeout, self.read_timeout) = (connect, read);
        self
    }

    /// The client. Nothing is connected or set up before the first request.
    ///
    /// # Errors
    /// [`Error::Setup`] for a simulator address that is not on the loopback interface, or a malformed CA file.
    pub fn build(self) -> Result<Client> {
        if let Some(address) = self.simulator.filter(|address| !address.ip().is_loopback()) {
            return Err(Error::Setup(format!("the simulator's address {address} is not on the loopback interface")));
        }
        let transport = Transport {
            simulator: self.simulator,
            authorities: self.authorities.map(|pem| parse_authorities(&pem)).transpose()?,
            https_proxy: self.https_proxy,
            no_proxy: self.no_proxy,
            user_agent: format!("csign/{}", env!("CARGO_PKG_VERSION")),
            connect_timeout: self.connect_timeout,
            read_timeout: self.read_timeout,
            names: Arc::new(self.names),
            plain: OnceLock::new(),
            tls: Default::default(),
            classes: Mutex::default(),
        };
        let auth = Auth::new(self.credentials);
        let (retry, limits, attached_elsewhere) = (self.retry, self.limits, self.attached_elsewhere);
        Ok(Client { inner: Arc::new(Inner { transport, auth, retry, limits, attached_elsewhere }) })
    }
}
