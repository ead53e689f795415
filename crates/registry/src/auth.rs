//! Answers to a registry's challenge: basic credentials, or a token from its token service; kept per scope.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_oci::Repository;
use http::{HeaderValue, StatusCode, header};
use reqwest::Url;
use serde::Deserialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::{
    challenge::Challenge,
    client::Client,
    credentials::{CredentialSource, Credentials, Secret},
    error::{Error, Result},
    host,
    request::{Action, Ask, read_body, refusal},
};

/// The largest answer of a token service, in bytes.
const TOKEN_LIMIT: u64 = 256 << 10;

/// Headers that worked, and where new ones come from.
pub(crate) struct Auth {
    source: Option<Arc<dyn CredentialSource>>,
    cache: Mutex<HashMap<Key, Entry>>,
}

/// Basic credentials count for a registry, tokens for a repository and an action.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Registry(String),
    Scope(Repository, Action),
}

struct Entry {
    header: HeaderValue,
    expires: Option<Instant>,
}

/// A token service's answer (distribution's token authentication specification, and OAuth 2.0).
#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    access_token: Option<Secret>,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Auth {
    pub(crate) fn new(source: Option<Arc<dyn CredentialSource>>) -> Self {
        Self { source, cache: Mutex::default() }
    }

    /// A header for `action` on `repository`; the right to push includes the right to pull.
    pub(crate) fn cached(&self, repository: &Repository, action: Action) -> Option<HeaderValue> {
        let keys = [
            Key::Scope(repository.clone(), action),
            Key::Scope(repository.clone(), Action::Push),
            Key::Registry(repository.registry().to_owned()),
        ];
        let cache = self.cache();
        let entry = keys.iter().filter_map(|key| cache.get(key)).find(|entry| entry.is_valid())?;
        Some(entry.header.clone())
    }

    fn keep(&self, key: Key, header: &HeaderValue, lifetime: Option<Duration>) {
        let expires = lifetime.map(|lifetime| Instant::now() + lifetime);
        self.cache().insert(key, Entry { header: header.clone(), expires });
    }

    fn forget(&self, header: &HeaderValue) {
        self.cache().retain(|_, entry| entry.header != *header);
    }

    fn cache(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_valid(&self) -> bool {
        self.expires.is_none_or(|expires| Instant::now() < expires)
    }
}

impl Client {
    /// The header that answers `challenge`. `refused` is the header that the registry has just refused.
    pub(crate) async fn answer_challenge(
        &self,
        ask: &Ask<'_>,
        challenge: Option<Challenge>,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue> {
        let registry = ask.repository.registry();
        let unauthorized = |why: &str| Error::Unauthorized {
            doing: ask.doing.to_owned(),
            host: registry.to_owned(),
            why: why.to_owned(),
        };
        if let Some(refused) = refused {
            self.inner.auth.forget(refused);
        }
        let challenge = challenge.ok_or_else(|| unauthorized("it names no way to authenticate that csign knows"))?;
        let credentials = match &self.inner.auth.source {
            Some(source) => source.credentials(registry).await?,
            None => None,
        };
        let (key, header, lifetime) = match (challenge, credentials) {
            (Challenge::Basic, Some(Credentials::Basic { user, password })) => {
                let header = basic(&user, password.expose());
                (Key::Registry(registry.to_owned()), header, None)
            }
            (Challenge::Basic, Some(_)) => {
                return Err(unauthorized("it wants user and password, there is only a token"));
            }
            (Challenge::Basic, None) => return Err(unauthorized("there are no credentials for it")),
            (Challenge::Bearer { .. }, Some(Credentials::Bearer(token))) => {
                (Key::Registry(registry.to_owned()), bearer(token.expose()), None)
            }
            (Challenge::Bearer { realm, service, scope }, credentials) => {
                let scope = scope.unwrap_or_else(|| default_scope(ask));
                let (header, lifetime) = self.token(ask, &realm, service, &scope, credentials).await?;
                (Key::Scope(ask.repository.clone(), ask.action), header, Some(lifetime))
            }
        };
        let header = header.ok_or_else(|| unauthorized("the credentials cannot be sent in a header"))?;
        if refused == Some(&header) {
            return Err(unauthorized("it refuses the credentials"));
        }
        self.inner.auth.keep(key, &header, lifetime);
        Ok(header)
    }

    /// Asks the token service `realm` for a token.
    async fn token(
        &self,
        ask: &Ask<'_>,
        realm: &str,
        service: Option<String>,
        scope: &str,
        credentials: Option<Credentials>,
    ) -> Result<(Option<HeaderValue>, Duration)> {
        let doing = format!("{}: getting a token", ask.doing);
        let malformed = |host: String, why: &str| Error::Malformed { doing: doing.clone(), host, why: why.to_owned() };
        let registry = host::url(ask.repository, "")?;
        let mut url =
            Url::parse(realm).map_err(|_| malformed(host::name(&registry), "a token realm that is no address"))?;
        host::check_step(&doing, &registry, &url)?;
        // Whoever can answer in the name of a registry without TLS must not choose who hears the password.
        let is_loopback = url.host_str().is_some_and(host::is_loopback);
        if credentials.is_some() && registry.scheme() == "http" && !is_loopback {
            let (from, to) = (host::name(&registry), format!("{}://{}", url.scheme(), host::name(&url)));
            let why = "which gets no credentials for a registry without TLS";
            return Err(Error::Insecure { doing: doing.clone(), from, to, why });
        }
        let mut form: Vec<(&str, &str)> = Vec::new();
        form.extend(service.as_deref().map(|service| ("service", service)));
        form.push(("scope", scope));
        let address = url.clone();
        let route = self.route(&doing, ask.repository, &address)?;
        let client = route.connections()?;
        let request = match &credentials {
            Some(Credentials::IdentityToken(token)) => {
                form.extend([
                    ("grant_type", "refresh_token"),
                    ("client_id", "csign"),
                    ("refresh_token", token.expose()),
                ]);
                client.post(url.clone()).form(&form)
            }
            credentials => {
                url.query_pairs_mut().extend_pairs(&form);
                let request = client.get(url.clone());
                match credentials {
                    Some(Credentials::Basic { user, password }) => match basic(user, password.expose()) {
                        Some(header) => request.header(header::AUTHORIZATION, header),
                        None => request,
                    },
                    _ => request,
                }
            }
        };
        let response = route.send(request.timeout(self.inner.limits.answer)).await?;
        if response.status() != StatusCode::OK {
            return Err(refusal(&doing, response).await);
        }
        let bytes = Zeroizing::new(read_body(&doing, response, TOKEN_LIMIT).await?);
        // The parser's error could quote the token: it is dropped.
        let token: Token =
            serde_json::from_slice(&bytes).map_err(|_| malformed(host::name(&url), "no JSON document with a token"))?;
        let lifetime = Duration::from_secs(token.expires_in.unwrap_or(60)).saturating_sub(Duration::from_secs(10));
        let text = token.token.or(token.access_token).filter(|text| !text.expose().is_empty());
        let text = text.ok_or_else(|| malformed(host::name(&url), "an answer without a token"))?;
        Ok((bearer(text.expose()), lifetime.min(Duration::from_secs(24 * 3600))))
    }
}

fn default_scope(ask: &Ask<'_>) -> String {
    let actions = match ask.action {
        Action::Pull => "pull",
        Action::Push => "pull,push",
    };
    format!("repository:{}:{actions}", ask.repository.path())
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let pair = Zeroizing::new(format!("{user}:{password}"));
    let text = Zeroizing::new(format!("Basic {}", Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes())).as_str()));
    sensitive(&text)
}

fn bearer(token: &str) -> Option<HeaderValue> {
    sensitive(&Zeroizing::new(format!("Bearer {token}")))
}

/// A header that debug output elides and HTTP/2 does not index.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}
