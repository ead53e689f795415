//! The attestation issuer's keys: discovery document, then key set, within size and time.

use std::{sync::Arc, time::Duration};

use csign_attestation::{Discovery, Jwks, JwksError, LIMITS, Thumbprint};
use csign_contract::{Contract, Environment};
use rustls::{ClientConfig, RootCertStore};

use crate::endpoints::{EndpointError, Endpoints};

/// For one document, from connecting to its last byte.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why there are no keys to verify the token with.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The issuer could not be read.
    #[error("fetching {url}: {why}")]
    Fetch {
        /// What was fetched.
        url: String,
        /// The answer or the system's error.
        why: String,
    },
    /// The issuer's documents are not what they must be.
    #[error(transparent)]
    Document(#[from] JwksError),
    /// The key set is elsewhere than the contract allows.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The contract pins something that is no thumbprint.
    #[error("the contract's environment.issuer_keys has {0:?}, which is not an RFC 7638 thumbprint")]
    Pin(String),
}

/// Fetches the issuer's keys: 1. the discovery document, which must be the issuer's own; 2. the key set that it names;
/// 3. under a simulated contract, only the keys that the contract pins.
///
/// # Errors
/// See [`IssuerError`].
pub(crate) async fn keys(contract: &Contract, endpoints: &Endpoints) -> Result<Jwks, IssuerError> {
    let issuer = contract.environment.issuer();
    let client = client()?;
    // 1.
    let document = fetch(&client, &endpoints.issuer_document(&format!("{issuer}{}", Discovery::PATH))?).await?;
    let discovery = Discovery::parse(&document, issuer)?;
    // 2.
    let jwks = Jwks::parse(&fetch(&client, &endpoints.issuer_document(&discovery.jwks_uri)?).await?)?;
    // 3.
    match &contract.environment {
        Environment::Google {} => Ok(jwks),
        Environment::Simulated { issuer_keys, .. } => {
            let pins: Vec<_> = issuer_keys
                .iter()
                .map(|pin| Thumbprint::parse(pin).ok_or_else(|| IssuerError::Pin(pin.clone())))
                .collect::<Result<_, _>>()?;
            Ok(jwks.pinned(&pins)?)
        }
    }
}

fn client() -> Result<reqwest::Client, IssuerError> {
    let failed = |why: String| IssuerError::Fetch { url: "the issuer".to_owned(), why };
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| failed(error.to_string()))
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, IssuerError> {
    let failed = |why: String| IssuerError::Fetch { url: url.to_owned(), why };
    let broken = |error: reqwest::Error| {
        let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        failed(format!("{}{cause}", error.without_url()))
    };
    let mut answer = client.get(url).send().await.map_err(broken)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(failed(format!("the answer is {}", answer.status())));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > LIMITS.issuer_document_bytes {
            return Err(failed(format!("more than {} bytes", LIMITS.issuer_document_bytes)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
