//! The issuer's HTTP side: OIDC discovery and the key set.

use axum::{Router, http::StatusCode, routing::get};
use serde_json::json;

use super::Issuer;
use crate::respond;

const JWKS_PATH: &str = "/service_accounts/v1/metadata/jwk/signer@confidentialspace-sign.iam.gserviceaccount.com";

/// Discovery document and JWKS. The `jwks_uri` is under the issuer's own name, wherever it listens.
pub(crate) fn routes(issuer: &Issuer) -> Router {
    let discovery = json!({
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
    let jwks = issuer.jwks();
    Router::new()
        .route(
            "/.well-known/openid-configuration",
            get(move || std::future::ready(respond::json(StatusCode::OK, &discovery))),
        )
        .route(JWKS_PATH, get(move || std::future::ready(respond::json(StatusCode::OK, &jwks))))
}
