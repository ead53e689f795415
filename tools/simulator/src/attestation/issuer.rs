//! Issues attestation tokens. The launcher asks it; tests may ask it for tokens that no launcher would get.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value};

use super::{
    claims::claims,
    jws,
    key::IssuerKey,
    options::{TokenKind, TokenOptions},
    pki::Pki,
    vm::{Container, Vm},
};
use crate::{
    Error, Result,
    audit::{Audit, Decision},
    clock::Clock,
};

/// Seconds that an attestation token lives.
pub(crate) const LIFETIME: u64 = 3600;

/// The attestation token issuer; clones share the keys.
#[derive(Clone)]
pub struct Issuer {
    name: String,
    seed: String,
    keys: Arc<Mutex<Keys>>,
    pki: Pki,
    clock: Clock,
    audit: Audit,
}

/// Published keys: the first signs, the others only verify.
struct Keys {
    live: Vec<Arc<IssuerKey>>,
    generation: u32,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("name", &self.name)
            .field("kids", &self.key_thumbprints())
            .finish_non_exhaustive()
    }
}

impl Issuer {
    pub(crate) fn new(name: String, seed: &str, clock: Clock, audit: Audit) -> Result<Self> {
        let keys = Keys { live: vec![Arc::new(IssuerKey::of_generation(seed, 0)?)], generation: 0 };
        let (keys, pki) = (Arc::new(Mutex::new(keys)), Pki::new(seed));
        Ok(Self { name, seed: seed.to_owned(), keys, pki, clock, audit })
    }

    /// The `iss` of its tokens.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn pki(&self) -> &Pki {
        &self.pki
    }

    /// RFC 7638 thumbprints of its published keys, the signing one first: what a simulated contract pins.
    pub fn key_thumbprints(&self) -> Vec<String> {
        self.live().iter().map(|key| key.thumbprint().to_owned()).collect()
    }

    /// The thumbprint of the key that [`Issuer::rotate`] would make, so that a contract can pin it beforehand.
    ///
    /// # Errors
    /// The key cannot be derived.
    pub fn next_key_thumbprint(&self) -> Result<String> {
        let next = self.keys.lock().unwrap_or_else(PoisonError::into_inner).generation + 1;
        Ok(IssuerKey::of_generation(&self.seed, next)?.thumbprint().to_owned())
    }

    /// Publishes a new key and signs with it from now on. Earlier keys stay published until [`Issuer::retire`].
    ///
    /// # Errors
    /// The key cannot be derived.
    pub fn rotate(&self) -> Result<String> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let key = IssuerKey::of_generation(&self.seed, keys.generation + 1)?;
        let thumbprint = key.thumbprint().to_owned();
        keys.generation += 1;
        keys.live.insert(0, Arc::new(key));
        Ok(thumbprint)
    }

    /// Publishes the signing key alone: tokens of earlier keys no longer verify.
    pub fn retire(&self) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).live.truncate(1);
    }

    /// sha256 of the root of its PKI tokens, in hex: what a simulated contract pins.
    ///
    /// # Errors
    /// The chain cannot be made.
    pub fn root_fingerprint(&self) -> Result<String> {
        Ok(self.pki.chain()?.root_fingerprint())
    }

    /// The root of its PKI tokens in PEM.
    ///
    /// # Errors
    /// The chain cannot be made.
    pub fn root_pem(&self) -> Result<String> {
        Ok(self.pki.chain()?.root_pem())
    }

    pub(crate) fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.live().iter().map(|key| key.jwk()).collect();
        serde_json::json!({"keys": keys})
    }

    /// An OIDC token for `container` on `vm`.
    ///
    /// # Errors
    /// An audience or nonces that the attestation service does not accept.
    pub fn token(&self, vm: &Vm, container: &Container, options: &TokenOptions) -> Result<String> {
        self.token_of(&TokenKind::Oidc, vm, container, options)
    }

    /// A token of `kind` for `container` on `vm`.
    ///
    /// # Errors
    /// As [`Issuer::token`].
    pub fn token_of(&self, kind: &TokenKind, vm: &Vm, container: &Container, options: &TokenOptions) -> Result<String> {
        let method = match kind {
            TokenKind::Oidc => "token",
            TokenKind::Pki => "PKI token",
            TokenKind::LimitedAws | TokenKind::AwsPrincipalTags { .. } => "AWS token",
        };
        let decision =
            Decision { service: "attestation", method, principal: &vm.instance, resource: &options.audience };
        if let Some(reason) = options.refusal() {
            self.audit.deny(decision, reason.clone());
            return Err(Error::Token(reason));
        }
        let claims = self.claims_of(kind, vm, container, options);
        let token = match kind {
            TokenKind::Pki => self.sign_anything_pki(None, &claims)?,
            _ => self.sign_anything(None, &claims)?,
        };
        self.audit.allow(decision, format!("{:?} image, container {}", vm.image, container.image_digest));
        Ok(token)
    }

    /// The claims that [`Issuer::token`] would sign, for a test to change before [`Issuer::sign_anything`].
    pub fn claims(&self, vm: &Vm, container: &Container, options: &TokenOptions) -> Value {
        self.claims_of(&TokenKind::Oidc, vm, container, options)
    }

    fn claims_of(&self, kind: &TokenKind, vm: &Vm, container: &Container, options: &TokenOptions) -> Value {
        claims(&self.name, kind, (vm, container), options, (self.clock.now(), LIFETIME))
    }

    /// Signs whatever a test wants to attack with: true signature, arbitrary claims and, if given, header.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign_anything(&self, header: Option<&Value>, claims: &Value) -> Result<String> {
        let key = self.signer()?;
        match header {
            Some(header) => jws::sign_with_header(&key, header, claims),
            None => jws::sign(&key, claims),
        }
    }

    /// Signs bytes that need not even be JSON: header and claims as they will stand in the token.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign_raw(&self, header: &[u8], claims: &[u8]) -> Result<String> {
        let key = self.signer()?;
        jws::sign_raw(&key, header, claims)
    }

    /// [`Issuer::sign_anything`] under the leaf of the PKI chain; the header without further ado is that of a PKI token.
    ///
    /// # Errors
    /// The chain cannot be made, or its leaf cannot sign.
    pub fn sign_anything_pki(&self, header: Option<&Value>, claims: &Value) -> Result<String> {
        let chain = self.pki.chain()?;
        jws::sign_with_header(&chain.leaf, header.unwrap_or(&chain.header()), claims)
    }

    /// The header of a PKI token, for a test to change.
    ///
    /// # Errors
    /// The chain cannot be made.
    pub fn pki_header(&self) -> Result<Value> {
        Ok(self.pki.chain()?.header())
    }

    /// What STS checks: an OIDC token under one of the published keys.
    pub(crate) fn verify(&self, token: &str) -> Result<Map<String, Value>, &'static str> {
        jws::verify(&self.live(), token)
    }

    fn live(&self) -> Vec<Arc<IssuerKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).live.clone()
    }

    fn signer(&self) -> Result<Arc<IssuerKey>> {
        self.live().into_iter().next().ok_or_else(|| Error::Key("the issuer has no key".to_owned()))
    }
}
