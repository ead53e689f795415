//! The attestation issuer's documents: discovery, then the key set. Under the simulator's name it is the address of
//! `CSIGN_SIMULATOR`.

use std::{sync::Arc, time::Duration};

use csign_attestation::{Discovery, Jwks, LIMITS};
use csign_contract::{SIMULATOR_SUFFIX, SIMULATOR_VARIABLE};
use csign_trust::report::printable;
use rustls::{ClientConfig, RootCertStore};

use crate::{context::Context, failure::Failure};

/// For one document, from connecting to its last byte.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Is this the name of a simulator's issuer?
pub(crate) fn is_simulated(issuer: &str) -> bool {
    issuer
        .strip_prefix("http://")
        .is_some_and(|rest| rest.split('/').next().unwrap_or(rest).ends_with(SIMULATOR_SUFFIX))
}

/// The keys that `issuer` publishes now.
pub(crate) async fn jwks(issuer: &str, context: &Context) -> Result<Jwks, Failure> {
    let client = client()?;
    let document = fetch(&client, &address(&format!("{issuer}{}", Discovery::PATH), context)?).await?;
    let discovery = Discovery::parse(&document, issuer).map_err(Failure::rejected)?;
    let set = fetch(&client, &address(&discovery.jwks_uri, context)?).await?;
    Jwks::parse(&set).map_err(Failure::rejected)
}

/// Where a document is fetched: https as it stands, or the simulator in place of a simulator's name.
fn address(url: &str, context: &Context) -> Result<String, Failure> {
    if url.starts_with("https://") {
        return Ok(url.to_owned());
    }
    let path = url.strip_prefix("http://").filter(|_| is_simulated(url)).and_then(|rest| rest.split_once('/'));
    let Some((_, path)) = path else {
        return Err(Failure::rejected(format_args!("the issuer's address {} is not https", printable(url, 200))));
    };
    match context.environment.simulator {
        Some(address) => Ok(format!("http://{address}/{path}")),
        None => Err(Failure::usage("the issuer is a simulator, but where it is was not given")
            .hint(format_args!("set {SIMULATOR_VARIABLE} to what simulator up prints, or give --jwks"))),
    }
}

fn client() -> Result<reqwest::Client, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::could_not_check(format_args!("preparing TLS: {error}"));
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| failed(&error))
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::could_not_check(format_args!("fetching {}: {why}", printable(url, 200)))
            .hint("--jwks FILE verifies with a copy of the issuer's keys")
    };
    let mut answer = client.get(url).send().await.map_err(|error| failed(&error.without_url()))?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(failed(&answer.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&error.without_url()))? {
        if body.len() + chunk.len() > LIMITS.issuer_document_bytes {
            return Err(failed(&format_args!("more than {} bytes", LIMITS.issuer_document_bytes)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
