//! Connections: name resolution, time-outs, and TLS that is set up only when the first https request needs it.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};

use crate::{
    error::{Error, Result},
    host,
};

pub(crate) struct Transport {
    pub(crate) simulator: Option<SocketAddr>,
    /// Authorities in place of the built-in ones; never empty.
    pub(crate) authorities: Option<Vec<CertificateDer<'static>>>,
    pub(crate) https_proxy: Option<String>,
    pub(crate) user_agent: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) plain: OnceLock<reqwest::Client>,
    pub(crate) tls: OnceLock<reqwest::Client>,
}

impl Transport {
    /// The client for `url`'s scheme.
    pub(crate) fn client(&self, url: &Url) -> Result<&reqwest::Client> {
        let secure = url.scheme() == "https";
        let slot = if secure { &self.tls } else { &self.plain };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = self.build(secure)?;
        Ok(slot.get_or_init(|| client))
    }

    fn build(&self, secure: bool) -> Result<reqwest::Client> {
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
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .dns_resolver(Arc::new(Resolver { simulator: self.simulator }))
            .user_agent(&self.user_agent)
            .connect_timeout(self.connect_timeout)
            .read_timeout(self.read_timeout);
        if let Some(proxy) = self.https_proxy.as_ref().filter(|_| secure) {
            let local = reqwest::NoProxy::from_string("localhost,127.0.0.0/8,::1");
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

/// Keeps the names of RFC 6761 on the loopback interface, whatever the system's resolver would say.
struct Resolver {
    simulator: Option<SocketAddr>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let simulator = self.simulator;
        Box::pin(async move {
            let host = name.as_str();
            let addresses: Vec<SocketAddr> = if host::is_simulator(host) {
                simulator.into_iter().collect()
            } else if host::is_loopback(host) {
                vec![(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()]
            } else {
                tokio::net::lookup_host((host, 0)).await?.collect()
            };
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
