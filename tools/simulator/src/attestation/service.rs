//! The issuer's HTTP side: OIDC discovery, the key set, and the root of PKI tokens.

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderValue, Response, StatusCode, header},
    routing::get,
};
use serde_json::{Value, json};

use super::Issuer;
use crate::respond;

const JWKS_PATH: &str = "/service_accounts/v1/metadata/jwk/signer@confidentialspace-sign.iam.gserviceaccount.com";
const ROOT_PATH: &str = "/.well-known/confidential_space_root.crt";
/// Seconds that a key set may be kept: Google's says some hours, a simulator's changes within a test.
const KEEP: u32 = 300;

/// Every address is under the issuer's own name, wherever it listens.
pub(crate) fn routes(issuer: &Issuer) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/.well-known/attestation-pki-root", get(pki_root))
        .route(ROOT_PATH, get(root))
        .route(JWKS_PATH, get(key_set))
        .with_state(issuer.clone())
}

async fn discovery(State(issuer): State<Issuer>) -> Response<Body> {
    let document = json!({
        "issuer": issuer.name(),
        "jwks_uri": format!("{}{JWKS_PATH}", issuer.name()),
        "subject_types_supported": ["public"],
        "response_types_supported": ["id_token"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid"],
        "claims_supported": [
            "sub", "aud", "exp", "iat", "iss", "jti", "nbf", "dbgstat", "eat_nonce", "eat_profile",
            "google_service_accounts", "hwmodel", "oemid", "secboot", "submods", "swname", "swversion",
        ],
    });
    keepable(&document)
}

async fn key_set(State(issuer): State<Issuer>) -> Response<Body> {
    keepable(&issuer.jwks())
}

async fn pki_root(State(issuer): State<Issuer>) -> Response<Body> {
    keepable(&json!({"root_ca_uri": format!("{}{ROOT_PATH}", issuer.name())}))
}

async fn root(State(issuer): State<Issuer>) -> Response<Body> {
    match issuer.pki().chain() {
        Ok(chain) => respond::text(StatusCode::OK, chain.root_pem()),
        Err(error) => respond::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn keepable(document: &Value) -> Response<Body> {
    let mut response = respond::json(StatusCode::OK, document);
    let keep = format!("public, max-age={KEEP}, must-revalidate, no-transform");
    if let Ok(keep) = HeaderValue::from_str(&keep) {
        response.headers_mut().insert(header::CACHE_CONTROL, keep);
    }
    response
}
