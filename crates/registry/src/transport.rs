//! Connections: name resolution, time-outs, and TLS that is set up only when the first https request needs it.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};

use crate::{
    address::{Class, Reach},
    error::{Error, Result},
    host,
};

pub(crate) struct Transport {
    pub(crate) simulator: Option<SocketAddr>,
    /// Authorities in place of the built-in ones; never empty.
    pub(crate) authorities: Option<Vec<CertificateDer<'static>>>,
    pub(crate) https_proxy: Option<String>,
    pub(crate) no_proxy: String,
    pub(crate) user_agent: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    /// Addresses of names, in place of the system's resolver.
    pub(crate) names: Arc<HashMap<String, Vec<IpAddr>>>,
    pub(crate) plain: OnceLock<reqwest::Client>,
    /// Connections for each [`Reach`], which never share one: an idle connection was judged for its own reach only.
    pub(crate) tls: [OnceLock<reqwest::Client>; 4],
    /// The class of the address at which each registry answered last, by host and port.
    pub(crate) classes: Mutex<HashMap<String, Class>>,
}

/// A name resolves to an address to which the registry may not send csign.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to an address that is not allowed here")]
pub(crate) struct ForbiddenAddress;

impl Transport {
    /// The client for `url`'s scheme. Without TLS only the loopback interface is spoken to ([`host::check_step`]), so
    /// there are no names to judge.
    pub(crate) fn client(&self, url: &Url, reach: Reach) -> Result<&reqwest::Client> {
        let secure = url.scheme() == "https";
        let [own, public, private, loopback] = &self.tls;
        let slot = match reach {
            _ if !secure => &self.plain,
            Reach::Own => own,
            Reach::From(Class::Private) => private,
            Reach::From(Class::Loopback) => loopback,
            Reach::From(Class::Public | Class::Never) => public,
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = self.build(secure, reach)?;
        Ok(slot.get_or_init(|| client))
    }

    /// Notes the address at which `registry` answered. A proxy's says nothing.
    pub(crate) fn learn(&self, registry: &Url, address: Option<SocketAddr>) {
        if let Some(address) = address.filter(|_| self.https_proxy.is_none() || registry.scheme() != "https") {
            let mut classes = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
            classes.insert(host::name(registry), Class::of(address.ip()));
        }
    }

    /// The class of the registry's address: public, which allows the least, until it has answered.
    pub(crate) fn class(&self, registry: &Url) -> Class {
        let classes = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        classes.get(&host::name(registry)).copied().unwrap_or(Class::Public)
    }

    fn build(&self, secure: bool, reach: Reach) -> Result<reqwest::Client> {
        let setup = |e: &dyn std::fmt::Display| Error::Setup(e.to_string());
        let roots = match &self.authorities {
            _ if !secure => RootCertStore::empty(),
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                for authority in authorities {
                    roots.add(authority.clone()).map_err(|e| setup(&format!("the CA file: {e}")))?;
                }
                roots
            }
        };
        let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| setup(&e))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let proxy = self.https_proxy.as_deref().and_then(|proxy| Url::parse(proxy).ok());
        let proxy = proxy.and_then(|proxy| proxy.host_str().map(str::to_owned));
        let resolver = Resolver { simulator: self.simulator, names: self.names.clone(), reach, proxy };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .dns_resolver(Arc::new(resolver))
            .user_agent(&self.user_agent)
            .connect_timeout(self.connect_timeout)
            .read_timeout(self.read_timeout);
        if let Some(proxy) = self.https_proxy.as_ref().filter(|_| secure) {
            let local = reqwest::NoProxy::from_string(&format!("localhost,127.0.0.0/8,::1,{}", self.no_proxy));
            builder = builder.proxy(reqwest::Proxy::https(proxy).map_err(|e| setup(&e))?.no_proxy(local));
        }
        builder.build().map_err(|e| setup(&e))
    }
}

/// The certificates of a PEM file.
pub(crate) fn parse_authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    use rustls::pki_types::pem::PemObject as _;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|e| Error::Setup(format!("the CA file is not PEM: {e}")))?;
    if certificates.is_empty() {
        return Err(Error::Setup("the CA file holds no certificate".to_owned()));
    }
    Ok(certificates)
}

/// Keeps the names of RFC 6761 on the loopback interface, whatever the system's resolver would say, and refuses names of
/// addresses that are out of reach.
struct Resolver {
    simulator: Option<SocketAddr>,
    names: Arc<HashMap<String, Vec<IpAddr>>>,
    reach: Reach,
    /// The proxy's host is the user's word, not a registry's. Targets behind it are resolved by the proxy.
    proxy: Option<String>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (simulator, names) = (self.simulator, self.names.clone());
        let reach = if self.proxy.as_deref() == Some(name.as_str()) { Reach::Own } else { self.reach };
        Box::pin(async move {
            let host = name.as_str();
            let addresses: Vec<SocketAddr> = if host::is_simulator(host) {
                simulator.into_iter().collect()
            } else if host::is_loopback(host) {
                vec![(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()]
            } else if let Some(addresses) = names.get(host) {
                addresses.iter().map(|address| (*address, 0).into()).collect()
            } else {
                tokio::net::lookup_host((host, 0)).await?.collect()
            };
            // One bad address among good ones is no accident.
            if !addresses.iter().all(|address| reach.allows(Class::of(address.ip()))) {
                return Err(ForbiddenAddress.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "this is a test")]
mod tests {
    use super::*;
    use crate::Client;

    #[test]
    fn a_registrys_class_is_that_of_the_address_that_answered_and_never_its_proxys() {
        let registry: Url = "https://r.example/v2/".parse().expect("url");
        let private = Some((Ipv4Addr::new(10, 0, 0, 1), 443).into());
        let client = Client::builder().build().expect("client");
        let transport = &client.inner.transport;
        assert_eq!(transport.class(&registry), Class::Public, "before it answered");
        transport.learn(&registry, private);
        assert_eq!(transport.class(&registry), Class::Private);
        let other: Url = "https://r.example:5000/v2/".parse().expect("url");
        assert_eq!(transport.class(&other), Class::Public, "another registry");
        let proxied = Client::builder().https_proxy("http://proxy.example:3128").build().expect("client");
        proxied.inner.transport.learn(&registry, private);
        assert_eq!(proxied.inner.transport.class(&registry), Class::Public);
    }

    #[tokio::test]
    async fn a_proxy_at_a_private_address_is_found_and_its_neighbours_are_not() {
        let names = [("proxy.example", "10.0.0.1"), ("other.example", "10.0.0.2")];
        let names = names.map(|(name, address)| (name.to_owned(), vec![address.parse().expect("address")]));
        let (names, proxy) = (Arc::new(HashMap::from(names)), Some("proxy.example".to_owned()));
        let resolver = Resolver { simulator: None, names, reach: Reach::From(Class::Public), proxy };
        let resolve = |name: &str| resolver.resolve(name.parse().expect("name"));
        assert!(resolve("proxy.example").await.is_ok());
        assert!(resolve("other.example").await.is_err_and(|error| error.is::<ForbiddenAddress>()));
        assert!(resolve("a.localhost").await.is_err_and(|error| error.is::<ForbiddenAddress>()));
    }

    /// The first byte that a client sends to each of two listeners: the registry and the proxy.
    async fn first_bytes(exempt: &str) -> (Option<u8>, Option<u8>) {
        use tokio::io::AsyncReadExt as _;
        let registry = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let name = format!("r.example:{}/app", registry.local_addr().expect("address").port());
        let client = Client::builder()
            .resolve("r.example", vec![Ipv4Addr::LOCALHOST.into()])
            .https_proxy(format!("http://{}", proxy.local_addr().expect("address")))
            .no_proxy(exempt)
            .build()
            .expect("client");
        let repository = csign_oci::Repository::parse(&name).expect("repository");
        let tag = "v1".parse::<csign_oci::Tag>().expect("tag");
        let byte = async |listener: &tokio::net::TcpListener| {
            let (mut stream, _) = listener.accept().await.ok()?;
            stream.read_u8().await.ok()
        };
        tokio::select! {
            byte = byte(&registry) => (byte, None),
            byte = byte(&proxy) => (None, byte),
            _ = client.resolve(&repository, &tag) => (None, None),
        }
    }

    #[tokio::test]
    async fn a_registry_is_reached_through_the_proxy_unless_it_needs_none() {
        let (hello, connect) = (Some(0x16), Some(b'C'));
        assert_eq!(first_bytes("").await, (None, connect));
        assert_eq!(first_bytes("other.example").await, (None, connect));
        assert_eq!(first_bytes("other.example,r.example").await, (hello, None));
    }
}
