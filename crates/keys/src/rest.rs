//! HTTP for key services that have no client library here: bounded in size and time, tried again where that helps,
//! encrypted unless it stays on this machine.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, Method, header::RETRY_AFTER};
use reqwest::{Response, Url};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject as _};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::{KeysError, ServiceFault, call::Call};

/// Longest answer that is read, in bytes: a real one has a few thousand.
pub(crate) const MAX_ANSWER: usize = 1 << 20;
/// Longest time for one operation with all its tries.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Longest time for one try.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// What a service's answer means: success, or a fault and the service's words.
pub(crate) type Judge = fn(u16, &[u8]) -> Result<(), (ServiceFault, String)>;

/// A request that can be sent several times.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// Those that carry secrets are marked as sensitive.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A client without proxies, redirects and cookies.
pub(crate) struct Rest {
    client: reqwest::Client,
}

impl Rest {
    /// Trusts `authorities` (PEM) instead of the built-in certificate authorities. Nothing is sent yet.
    ///
    /// # Errors
    /// `authorities` holds no certificate.
    pub(crate) fn new(authorities: Option<&[u8]>) -> Result<Self, KeysError> {
        const FAILED: KeysError = KeysError::Invalid("TLS cannot be set up");
        let roots = match authorities {
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
            Some(pem) => {
                const NONE: KeysError =
                    KeysError::Invalid("the file of certificate authorities holds no PEM certificate");
                let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
                let mut roots = RootCertStore::empty();
                let (added, _) = roots.add_parsable_certificates(certificates.map_err(|_| NONE)?);
                if added == 0 {
                    return Err(NONE);
                }
                roots
            }
        };
        let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| FAILED)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // RFC 6761: this name never leaves the machine, whatever the system's resolver would say.
        let loopback = [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .resolve_to_addrs("localhost", &loopback)
            .user_agent(concat!("csign/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(ATTEMPT_TIMEOUT)
            .timeout(ATTEMPT_TIMEOUT)
            .build()
            .map_err(|_| FAILED)?;
        Ok(Self { client })
    }

    /// Sends the request and returns the body of a good answer. What `judge` calls throttled or unavailable is tried
    /// again, a few times.
    ///
    /// # Errors
    /// No answer, a fault, an answer that is too long.
    pub(crate) async fn send(
        &self,
        call: &Call<'_>,
        request: &Request,
        judge: Judge,
    ) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        for tried in 1.. {
            let (error, wished) = match self.attempt(call, request, judge).await {
                Err((
                    error @ KeysError::Service { fault: ServiceFault::Unavailable | ServiceFault::Throttled, .. },
                    wished,
                )) => (error, wished),
                other => return other.map_err(|(error, _)| error),
            };
            let wait = wished.unwrap_or_else(|| jitter(pause));
            if tried >= TRIES || start.elapsed() + wait + ATTEMPT_TIMEOUT > TIME_LIMIT {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        Err(call.fault(ServiceFault::Unavailable, "no answer"))
    }

    /// One try; an error comes with the time that the service wants to be left alone.
    async fn attempt(
        &self,
        call: &Call<'_>,
        request: &Request,
        judge: Judge,
    ) -> Result<Zeroizing<Vec<u8>>, (KeysError, Option<Duration>)> {
        let response = self
            .client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .body(request.body.clone())
            .send()
            .await
            .map_err(|error| (transport(call, error), None))?;
        let (status, wished) = (response.status(), retry_after(response.headers()));
        if status.is_redirection() {
            // A token goes to the address that was configured and to no other.
            let message = "the service answers with a redirect, which is not followed: configure the address it is at";
            return Err((call.fault(ServiceFault::Refused, message), None));
        }
        let body = read(call, response).await.map_err(|error| (error, None))?;
        match judge(status.as_u16(), &body) {
            Ok(()) => Ok(body),
            Err((fault, message)) => Err((call.fault(fault, &message), wished)),
        }
    }
}

/// The address in `setting`: https, or http on the loopback interface; no credentials, no query.
///
/// # Errors
/// Any other address.
pub(crate) fn address(setting: &'static str, text: &str) -> Result<Url, KeysError> {
    // What stands before '@' can be a password.
    let shown = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
    let error = |why| KeysError::Address { setting, address: crate::call::printable(shown), why };
    let url = Url::parse(text).map_err(|_| error("it is no URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(error("it carries a user name or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(error("it has a query or a fragment"));
    }
    match (url.scheme(), url.host_str()) {
        ("https", Some(_)) => Ok(url),
        ("http", Some(host)) if is_loopback(host) => Ok(url),
        ("http", _) => Err(error("it is not encrypted and not on the loopback interface")),
        _ => Err(error("it is neither https nor http")),
    }
}

/// Does this host (IPv6 with or without brackets) never leave the machine?
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn read(call: &Call<'_>, mut response: Response) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(call, error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(call.integrity("the answer is longer than any that a key service gives"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// No answer. The chain of causes says whether it was the name, the connection or a certificate.
fn transport(call: &Call<'_>, error: reqwest::Error) -> KeysError {
    let error = error.without_url();
    let mut message = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        message = format!("{message}: {inner}");
        source = inner.source();
    }
    call.fault(ServiceFault::Unavailable, &message)
}

/// `Retry-After` in seconds; a date is not read, as this crate reads no clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// A random duration between half of `most` and `most`, so that clients which failed together do not return together.
fn jitter(most: Duration) -> Duration {
    // Without randomness the pause is merely the longest one.
    let share = getrandom::u32().map_or(1.0, |r| 0.5 + 0.5 * f64::from(r) / f64::from(u32::MAX));
    most.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_spoken_to_without_tls_and_passwords_in_addresses_are_not_repeated() {
        for good in
            ["https://vault.example:8200", "http://127.0.0.1:8200/", "http://[::1]:1/x", "http://localhost:8200"]
        {
            assert!(address("VAULT_ADDR", good).is_ok(), "{good}");
        }
        for bad in [
            "http://vault.example:8200",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://10.0.0.1",
            "https://user:secret@vault.example",
            "https://vault.example/?a=b",
            "unix:///run/vault",
            "vault.example:8200",
            "",
        ] {
            let refused = address("VAULT_ADDR", bad).expect_err(bad);
            assert!(matches!(refused, KeysError::Address { .. }), "{bad}: {refused:?}");
            assert!(!format!("{refused} {refused:?}").contains("secret"), "{refused}");
        }
    }
}
