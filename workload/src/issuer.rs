//! The attestation issuer's keys: discovery document, then key set, within size and time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use csign_attestation::{Discovery, Jwks, JwksError, Keys, LIMITS, PkiRoots, RootPin, Thumbprint};
use csign_contract::{Contract, Environment};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::sleep;

use crate::endpoints::{EndpointError, Endpoints};

/// For one document, from connecting to its last byte.
const TIMEOUT: Duration = Duration::from_secs(10);
/// For all attempts, but for the last one's time-out.
const PATIENCE: Duration = Duration::from_secs(8);
/// Before the second attempt; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// Before keys are fetched anew because a token names one that is not among them.
const ROTATION_PAUSE: Duration = Duration::from_secs(1);

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
        /// May the same request be answered a little later?
        passing: bool,
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
    /// The contract pins something that is no fingerprint of a root certificate.
    #[error("the contract's environment.issuer_roots has {0:?}, which is not a sha256")]
    Root(String),
}

/// Fetches the issuer's keys; what may pass (no answer, 429, 5xx) is tried again, with growing pauses, for [`PATIENCE`].
///
/// There is no cache to go stale: keys are fetched when a token is to be verified, and used for nothing else.
///
/// # Errors
/// See [`IssuerError`].
pub(crate) async fn keys(contract: &Contract, endpoints: &Endpoints) -> Result<Jwks, IssuerError> {
    let client = client()?;
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match fetch_keys(&client, contract, endpoints).await {
            Err(error @ IssuerError::Fetch { passing: true, .. }) => error,
            other => return other,
        };
        let pausing = jittered(pause);
        if began.elapsed() + pausing > PATIENCE {
            return Err(error);
        }
        sleep(pausing).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Verifies under `keys`; a token that names a key which is not among them, as after a rotation, is tried once more under
/// keys that were fetched anew. Once: whoever sends tokens with invented names cannot make the issuer's load.
///
/// # Errors
/// What `verify` says, or what became of fetching.
pub(crate) async fn with_rotation<T, E: From<IssuerError>>(
    contract: &Contract,
    endpoints: &Endpoints,
    keys: &Keys,
    is_unknown_key: impl Fn(&E) -> bool,
    verify: impl Fn(&Keys) -> Result<T, E>,
) -> Result<T, E> {
    match verify(keys) {
        Err(error) if matches!(keys, Keys::Oidc(_)) && is_unknown_key(&error) => {
            // A new key is published before it signs; a second is for copies of the key set that lag behind.
            sleep(jittered(ROTATION_PAUSE)).await;
            verify(&self::keys(contract, endpoints).await?.into())
        }
        other => other,
    }
}

/// The steps: 1. The discovery document, which must be the issuer's own. 2. The key set that it names. 3. Under a
/// simulated contract, only the keys that the contract pins.
async fn fetch_keys(client: &reqwest::Client, contract: &Contract, endpoints: &Endpoints) -> Result<Jwks, IssuerError> {
    let issuer = contract.environment.issuer();
    // 1.
    let document = fetch(client, &endpoints.issuer_document(&format!("{issuer}{}", Discovery::PATH))?).await?;
    let discovery = Discovery::parse(&document, issuer)?;
    // 2.
    let jwks = Jwks::parse(&fetch(client, &endpoints.issuer_document(&discovery.jwks_uri)?).await?)?;
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

/// Between a half and the whole of `pause`, so that many workloads do not ask in step.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness the whole pause is as good.
    let _ = getrandom::fill(&mut byte);
    pause.mul_f64(1.0 - f64::from(byte[0]) / 510.0)
}

/// The roots that a PKI token may lead to: Google's, or under a simulated contract those that it pins.
///
/// # Errors
/// The contract pins something that is no fingerprint.
pub(crate) fn roots(contract: &Contract) -> Result<PkiRoots, IssuerError> {
    match &contract.environment {
        Environment::Google {} => Ok(PkiRoots::google()),
        Environment::Simulated { issuer_roots, .. } => {
            let pins = issuer_roots.iter().map(|pin| RootPin::parse(pin).ok_or_else(|| IssuerError::Root(pin.clone())));
            Ok(PkiRoots::pinned(pins.collect::<Result<Vec<_>, _>>()?))
        }
    }
}

fn client() -> Result<reqwest::Client, IssuerError> {
    let failed = |why: String| IssuerError::Fetch { url: "the issuer".to_owned(), why, passing: false };
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
    let failed = |why: String, passing| IssuerError::Fetch { url: url.to_owned(), why, passing };
    let broken = |error: reqwest::Error| {
        let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        failed(format!("{}{cause}", error.without_url()), true)
    };
    // After a rotation, a copy on the way would be the old one.
    let request = client.get(url).header(reqwest::header::CACHE_CONTROL, "no-cache");
    let mut answer = request.send().await.map_err(broken)?;
    let status = answer.status();
    if status != reqwest::StatusCode::OK {
        let passing = status.is_server_error() || status == reqwest::StatusCode::TOO_MANY_REQUESTS;
        return Err(failed(format!("the answer is {status}"), passing));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > LIMITS.issuer_document_bytes {
            return Err(failed(format!("more than {} bytes", LIMITS.issuer_document_bytes), false));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
