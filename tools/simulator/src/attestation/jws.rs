//! Compact JWS, RS256 only (RFC 7515): writing it, and verifying it as STS does.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::key::IssuerKey;
use crate::Result;

/// Longest token that STS reads.
const MAX_TOKEN: usize = 64 * 1024;

/// Signs `claims` under `header`; the signature is always RS256, whatever the header says, so that tests can lie.
pub(crate) fn sign_with_header(key: &IssuerKey, header: &Value, claims: &Value) -> Result<String> {
    sign_raw(key, header.to_string().as_bytes(), claims.to_string().as_bytes())
}

/// The same for bytes that need not be JSON.
pub(crate) fn sign_raw(key: &IssuerKey, header: &[u8], claims: &[u8]) -> Result<String> {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes())?);
    Ok(format!("{input}.{signature}"))
}

pub(crate) fn sign(key: &IssuerKey, claims: &Value) -> Result<String> {
    sign_with_header(key, &json!({"alg": "RS256", "kid": key.thumbprint(), "typ": "JWT"}), claims)
}

/// The claims of `token` if one of `keys` signed it; otherwise why not. Times and audience are the caller's to check.
pub(crate) fn verify(keys: &[Arc<IssuerKey>], token: &str) -> Result<Map<String, Value>, &'static str> {
    if token.len() > MAX_TOKEN {
        return Err("the token is longer than 64 KiB");
    }
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("the token does not have three parts");
    };
    let fields = object(header).ok_or("the token's header is not base64url JSON")?;
    if fields.get("alg").and_then(Value::as_str) != Some("RS256") {
        return Err("the token's algorithm is not RS256");
    }
    let kid = fields.get("kid").and_then(Value::as_str);
    let key =
        keys.iter().find(|key| kid == Some(key.thumbprint())).ok_or("the token's kid names no key of the issuer")?;
    if ["crit", "jku", "jwk", "x5u", "x5c"].iter().any(|name| fields.contains_key(*name)) {
        return Err("the token's header brings its own key or an extension");
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "the token's signature is not base64url")?;
    let signed = &token[..header.len() + 1 + payload.len()];
    if !key.verify(signed.as_bytes(), &signature) {
        return Err("the token's signature is wrong");
    }
    object(payload).ok_or("the token's claims are not a JSON object")
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
