//! Verification of a token: a compact JWS (RFC 7515) with RS256 (RFC 7518, section 3.3), and nothing else.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use csign_oci::json;
use serde_json::Value;

use crate::{
    claims::{self, Claims},
    error::TokenError,
    jwks::Jwks,
    pki::{Chain, PkiRoots},
};

/// Bounds on what an issuer or a token may cost its reader.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a token: a huge one would be decoded and hashed before its signature is known to be good.
    pub token_bytes: usize,
    /// Bytes of a discovery document or a key set: stops an endless answer.
    pub issuer_document_bytes: usize,
    /// Keys of a set: each costs an arithmetic check.
    pub keys: usize,
    /// Seconds between `iat` and `exp`: a token that lives for years is a stolen credential that lives for years.
    pub lifetime_seconds: u64,
    /// Nonces in one token; the service makes at most six.
    pub nonces: usize,
    /// Signatures in one token; the service reads at most 300.
    pub image_signatures: usize,
    /// Characters of one certificate in a PKI token's header: each is parsed before any signature is known to be good.
    pub certificate_text_bytes: usize,
}

/// The bounds that this crate enforces.
pub const LIMITS: Limits = Limits {
    token_bytes: 64 << 10,
    issuer_document_bytes: 256 << 10,
    keys: 64,
    lifetime_seconds: 24 * 60 * 60,
    nonces: 6,
    image_signatures: 300,
    certificate_text_bytes: 16 << 10,
};

/// A token as it travels: a bearer credential. Its `Debug` shows only its length, and it cannot be cloned.
pub struct Token(String);

impl Token {
    /// Takes a token as the launcher hands it out; white space around it, as in the default token file, is dropped.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The text, for [`verify`] and for the exchange at STS. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} bytes)", self.0.len())
    }
}

/// What a token's signature is verified with: the kind is the caller's choice, never the token's.
#[derive(Clone, Debug)]
pub enum Keys {
    /// An OIDC token: its `kid` names one of these keys, and it brings no certificates.
    Oidc(Jwks),
    /// A PKI token: its `x5c` is a chain up to one of these roots, and it names no key.
    Pki(PkiRoots),
}

impl From<Jwks> for Keys {
    fn from(jwks: Jwks) -> Self {
        Self::Oidc(jwks)
    }
}

impl From<PkiRoots> for Keys {
    fn from(roots: PkiRoots) -> Self {
        Self::Pki(roots)
    }
}

/// What a token must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Exactly this `iss`.
    pub issuer: &'a str,
    /// Exactly this `aud`.
    pub audience: &'a str,
    /// This must be among the token's nonces. `None` only for the default token file, which has none.
    pub nonce: Option<&'a str>,
    /// The caller's time in Unix seconds.
    pub now: u64,
    /// By how many seconds the issuer's clock may differ from the caller's.
    pub leeway: u32,
}

/// Verifies `token` under the issuer's keys and reads its claims.
///
/// 1. The token has at most [`Limits::token_bytes`] bytes.
/// 2. It is three parts of base64url without padding.
/// 3. Its header is strict JSON; `alg` is RS256; no member brings a key or changes what is signed.
/// 4. OIDC: its `kid` names one of the keys. PKI: its `x5c` is a chain up to one of the roots, valid now.
/// 5. Its signature verifies under that key or the chain's leaf, over the bytes as received.
/// 6. Its payload is strict JSON; only now is anything in it looked at.
/// 7. `iss` is exactly the expected one.
/// 8. `aud` is exactly the expected one: a string, or an array of one string.
/// 9. `exp`, `nbf` and `iat` are there, now lies between them, the lifetime is at most [`Limits::lifetime_seconds`].
/// 10. `eat_nonce` holds the expected nonce.
/// 11. Every other claim has the form that [`Claims`] asks for.
///
/// # Errors
/// The first step that fails. None of them means "could not check": the token is not trusted.
pub fn verify(token: &str, keys: &Keys, expect: &Expected<'_>) -> Result<Claims, TokenError> {
    // 1. Size.
    if token.len() > LIMITS.token_bytes {
        return Err(TokenError::TooLarge { limit: LIMITS.token_bytes, got: token.len() });
    }
    // 2. Compact form.
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Compact("it has no dots"))?;
    let (header, payload) = signed.split_once('.').ok_or(TokenError::Compact("it has only one dot"))?;
    let [header, payload, signature] = [header, payload, signature].map(|part| BASE64_URL_SAFE_NO_PAD.decode(part));
    let header = header.map_err(|_| TokenError::Compact("its header is not unpadded base64url"))?;
    let payload = payload.map_err(|_| TokenError::Compact("its payload is not unpadded base64url"))?;
    let signature = signature.map_err(|_| TokenError::Compact("its signature is not unpadded base64url"))?;
    // 3. Algorithm.
    let header = acceptable_header(&header)?;
    // 4. and 5. Key and signature.
    match keys {
        Keys::Oidc(jwks) => {
            let kid = key_id(&header)?;
            if !jwks.verify(kid, signed.as_bytes(), &signature).ok_or_else(|| TokenError::UnknownKey(shorten(kid)))? {
                return Err(TokenError::Signature);
            }
        }
        Keys::Pki(roots) => {
            chain(&header)?.verify(roots, (expect.now, expect.leeway), signed.as_bytes(), &signature)?;
        }
    }
    // 6. Payload.
    let payload = json::value_from_slice(&payload).map_err(|source| TokenError::Json { part: "payload", source })?;
    // 7. and 8. Issuer and audience.
    expect_text("iss", claims::text("iss", payload.get("iss"))?, expect.issuer)?;
    expect_text("aud", claims::audience(payload.get("aud"))?, expect.audience)?;
    // 9. to 11. Times, nonce and the other claims.
    let claims = Claims::from_payload(&payload)?;
    check_times(&claims, expect)?;
    check_nonce(&claims, expect)?;
    Ok(claims)
}

/// Step 3: strict JSON, RS256, and nothing in it that would have to be understood.
fn acceptable_header(header: &[u8]) -> Result<Value, TokenError> {
    /// Keys and addresses of keys that the token brings itself (RFC 7515, section 4.1), extensions that would have to be
    /// understood, and RFC 7797, which changes what is signed.
    const NEVER: [&str; 7] = ["crit", "jku", "jwk", "x5u", "b64", "zip", "enc"];
    let header = json::value_from_slice(header).map_err(|source| TokenError::Json { part: "header", source })?;
    match header.get("alg") {
        Some(Value::String(alg)) if alg == "RS256" => {}
        Some(Value::String(alg)) => return Err(TokenError::Algorithm(shorten(alg))),
        _ => return Err(TokenError::Algorithm(String::new())),
    }
    match NEVER.into_iter().find(|member| header.get(member).is_some()) {
        Some(member) => Err(TokenError::HeaderMember(member)),
        None => Ok(header),
    }
}

/// Step 4 of an OIDC token.
fn key_id(header: &Value) -> Result<&str, TokenError> {
    if header.get("x5c").is_some() {
        return Err(TokenError::HeaderMember("x5c"));
    }
    match header.get("kid") {
        Some(Value::String(kid)) if !kid.is_empty() => Ok(kid),
        _ => Err(TokenError::NoKeyId),
    }
}

/// Step 4 of a PKI token. One that also names a key would leave open which of the two signed.
fn chain(header: &Value) -> Result<Chain, TokenError> {
    if header.get("kid").is_some() {
        return Err(TokenError::HeaderMember("kid"));
    }
    Chain::parse(header.get("x5c").ok_or(TokenError::NoChain)?)
}

fn expect_text(claim: &'static str, got: String, want: &str) -> Result<(), TokenError> {
    if got == want { Ok(()) } else { Err(TokenError::Mismatch { claim, want: want.to_owned(), got: shorten(&got) }) }
}

/// Step 9.
fn check_times(claims: &Claims, expect: &Expected<'_>) -> Result<(), TokenError> {
    let (now, leeway) = (expect.now, u64::from(expect.leeway));
    if now >= claims.expires_at.saturating_add(leeway) {
        return Err(TokenError::Expired { exp: claims.expires_at, now });
    }
    for (claim, at) in [("nbf", claims.not_before), ("iat", claims.issued_at)] {
        if at > now.saturating_add(leeway) {
            return Err(TokenError::NotYetValid { claim, at, now });
        }
    }
    match claims.expires_at.checked_sub(claims.issued_at) {
        Some(1..) if claims.expires_at - claims.issued_at <= LIMITS.lifetime_seconds => Ok(()),
        _ => {
            Err(TokenError::Lifetime { iat: claims.issued_at, exp: claims.expires_at, limit: LIMITS.lifetime_seconds })
        }
    }
}

/// Step 10.
fn check_nonce(claims: &Claims, expect: &Expected<'_>) -> Result<(), TokenError> {
    let Some(want) = expect.nonce else { return Ok(()) };
    match claims.nonces.as_slice() {
        [] => Err(TokenError::Missing("eat_nonce")),
        nonces if nonces.iter().any(|nonce| nonce == want) => Ok(()),
        nonces => {
            Err(TokenError::Mismatch { claim: "eat_nonce", want: want.to_owned(), got: shorten(&nonces.join(" ")) })
        }
    }
}

/// Error texts quote foreign input: keep them short.
fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}
