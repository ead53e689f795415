//! The way of one request: through which connections it may go, and what it teaches about the registry's address.

use csign_oci::Repository;
use reqwest::{RequestBuilder, Response, Url};

use crate::{
    address::{Class, Reach},
    client::Client,
    error::{Error, Result},
    host,
    request::transport,
    transport::{ForbiddenAddress, Transport},
};

/// Why an address is refused.
const FORBIDDEN: &str = "an address that a registry at its own address may not send csign to";

/// The way to `url` on behalf of a registry.
pub(crate) struct Route<'a> {
    doing: &'a str,
    url: &'a Url,
    registry: Url,
    reach: Reach,
    transport: &'a Transport,
}

impl Client {
    /// The way to `url`, which is the registry's own address or one that it named.
    ///
    /// # Errors
    /// [`Error::Insecure`] for an address to which the registry may not send csign; [`Error::NoSimulator`].
    pub(crate) fn route<'a>(&'a self, doing: &'a str, repository: &Repository, url: &'a Url) -> Result<Route<'a>> {
        let transport = &self.inner.transport;
        if url.host_str().is_some_and(host::is_simulator) && transport.simulator.is_none() {
            return Err(Error::NoSimulator { host: host::name(url) });
        }
        let registry = host::url(repository, "")?;
        let reach = match host::same_origin(&registry, url) {
            true => Reach::Own,
            false => Reach::From(Class::of_host(&registry).unwrap_or_else(|| transport.class(&registry))),
        };
        let route = Route { doing, url, registry, reach, transport };
        match Class::of_host(url) {
            Some(class) if !reach.allows(class) => Err(route.forbidden()),
            _ => Ok(route),
        }
    }
}

impl Route<'_> {
    /// The connections to use.
    pub(crate) fn connections(&self) -> Result<&reqwest::Client> {
        self.transport.client(self.url, self.reach)
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|source| {
            let is_forbidden = causes(&source).any(|cause| cause.is::<ForbiddenAddress>());
            if is_forbidden { self.forbidden() } else { transport(self.doing, self.url, source) }
        })?;
        if self.reach == Reach::Own {
            self.transport.learn(&self.registry, response.remote_addr());
        }
        Ok(response)
    }

    fn forbidden(&self) -> Error {
        let to = format!("{}://{}", self.url.scheme(), host::name(self.url));
        Error::Insecure { doing: self.doing.to_owned(), from: host::name(&self.registry), to, why: FORBIDDEN }
    }
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}
