//! Issues attestation tokens. The launcher asks it; tests may ask it for tokens that no launcher would get.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};

use super::{
    claims::{Container, TokenOptions, Vm, claims},
    jws,
    key::IssuerKey,
};
use crate::{
    Error, Result,
    audit::{Audit, Decision},
    clock::Clock,
};

/// Seconds that an attestation token lives.
const LIFETIME: u64 = 3600;

/// The attestation token issuer; clones share the key.
#[derive(Clone)]
pub struct Issuer {
    name: String,
    key: Arc<IssuerKey>,
    clock: Clock,
    audit: Audit,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("name", &self.name).field("kid", &self.key.thumbprint()).finish_non_exhaustive()
    }
}

impl Issuer {
    pub(crate) fn new(name: String, key: IssuerKey, clock: Clock, audit: Audit) -> Self {
        Self { name, key: Arc::new(key), clock, audit }
    }

    /// The `iss` of its tokens.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// RFC 7638 thumbprints of its keys: what a simulated contract pins.
    pub fn key_thumbprints(&self) -> Vec<String> {
        vec![self.key.thumbprint().to_owned()]
    }

    pub(crate) fn jwks(&self) -> Value {
        serde_json::json!({"keys": [self.key.jwk()]})
    }

    /// A token for `container` on `vm`.
    ///
    /// # Errors
    /// An audience or nonces that the attestation service does not accept.
    pub fn token(&self, vm: &Vm, container: &Container, options: &TokenOptions) -> Result<String> {
        let decision =
            Decision { service: "attestation", method: "token", principal: &vm.instance, resource: &options.audience };
        if let Some(reason) = options.refusal() {
            self.audit.deny(decision, reason.clone());
            return Err(Error::Token(reason));
        }
        let claims = claims(&self.name, vm, container, options, self.clock.now(), LIFETIME);
        let token = jws::sign(&self.key, &claims)?;
        self.audit.allow(decision, format!("{:?} image, container {}", vm.image, container.image_digest));
        Ok(token)
    }

    /// The claims that [`Issuer::token`] would sign, for a test to change before [`Issuer::sign_anything`].
    pub fn claims(&self, vm: &Vm, container: &Container, options: &TokenOptions) -> Value {
        claims(&self.name, vm, container, options, self.clock.now(), LIFETIME)
    }

    /// Signs whatever a test wants to attack with: true signature, arbitrary claims and, if given, header.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign_anything(&self, header: Option<&Value>, claims: &Value) -> Result<String> {
        match header {
            Some(header) => jws::sign_with_header(&self.key, header, claims),
            None => jws::sign(&self.key, claims),
        }
    }

    /// Signs bytes that need not even be JSON: header and claims as they will stand in the token.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign_raw(&self, header: &[u8], claims: &[u8]) -> Result<String> {
        jws::sign_raw(&self.key, header, claims)
    }

    pub(crate) fn verify(&self, token: &str) -> Result<Map<String, Value>, &'static str> {
        jws::verify(&self.key, token)
    }
}
