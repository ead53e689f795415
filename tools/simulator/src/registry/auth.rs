//! Who may do what: HTTP basic authentication, or bearer tokens from the registry's own token service at `/v2/token`.

use std::collections::{HashMap, HashSet};

use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use csign_oci::Digest;

/// What callers must present.
#[derive(Clone)]
pub enum Auth {
    /// User and password with every request.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token, which the token service gives to the user.
    Bearer {
        /// The user.
        user: String,
        /// The password.
        password: String,
        /// Accepted as a refresh token in place of user and password.
        identity_token: Option<String>,
        /// What the challenge names; `None` for this registry's own token service.
        realm: Option<String>,
        /// Whether a token for reading is given to everyone.
        anonymous_pull: bool,
    },
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic",
            Self::Bearer { .. } => "Bearer",
        })
    }
}

/// The tokens given out: token → `(repository, action)`.
#[derive(Default)]
pub(super) struct Tokens {
    granted: HashMap<String, HashSet<(String, String)>>,
}

impl Tokens {
    /// Gives a token for `scopes`, each `repository:NAME:ACTION[,ACTION]`. `None` if the caller may not have it.
    pub(super) fn grant(
        &mut self,
        auth: &Auth,
        headers: &HeaderMap,
        refresh_token: Option<&str>,
        scopes: &[String],
    ) -> Option<String> {
        let Auth::Bearer { user, password, identity_token, anonymous_pull, .. } = auth else { return None };
        let known = match (refresh_token, headers.contains_key(header::AUTHORIZATION)) {
            (Some(given), _) => {
                if identity_token.as_deref() != Some(given) {
                    return None;
                }
                true
            }
            (None, true) => {
                if !is_basic(headers, user, password) {
                    return None;
                }
                true
            }
            (None, false) => false,
        };
        let mut rights = HashSet::new();
        for scope in scopes.iter().flat_map(|scope| scope.split(' ')) {
            let Some((name, actions)) = scope.strip_prefix("repository:").and_then(|s| s.rsplit_once(':')) else {
                continue;
            };
            for action in actions.split(',') {
                if known || (*anonymous_pull && action == "pull") {
                    rights.insert((name.to_owned(), action.to_owned()));
                }
            }
        }
        if !known && rights.is_empty() {
            return None;
        }
        let token = Digest::of(format!("{user}\n{password}\n{}", self.granted.len())).hex();
        self.granted.insert(token.clone(), rights);
        Some(token)
    }

    /// Withdraws all tokens, as if they had expired.
    pub(super) fn revoke_all(&mut self) {
        self.granted.values_mut().for_each(HashSet::clear);
    }

    /// Whether the request may do `action` on the repository `name`.
    pub(super) fn allows(&self, auth: &Auth, headers: &HeaderMap, name: Option<&str>, action: &str) -> bool {
        match auth {
            Auth::Basic { user, password } => is_basic(headers, user, password),
            Auth::Bearer { .. } => {
                let token = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()?.strip_prefix("Bearer "));
                token.and_then(|token| self.granted.get(token)).is_some_and(|rights| {
                    name.is_none_or(|name| rights.contains(&(name.to_owned(), action.to_owned())))
                })
            }
        }
    }
}

/// The user whom a request's credentials name, for the audit log: nothing that would let anyone in.
pub(super) fn principal(auth: Option<&Auth>, headers: &HeaderMap) -> &'static str {
    match (auth, headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok())) {
        (_, None) => "anonymous",
        (Some(_), Some(value)) if value.starts_with("Basic ") => "a user with a password",
        (Some(_), Some(value)) if value.starts_with("Bearer ") => "the bearer of a token",
        (_, Some(_)) => "somebody with credentials that are not looked at",
    }
}

impl Auth {
    /// The `WWW-Authenticate` header for a request that lacks rights.
    pub(super) fn challenge(&self, headers: &HeaderMap, name: Option<&str>, action: &str) -> String {
        match self {
            Self::Basic { .. } => r#"Basic realm="simulator""#.to_owned(),
            Self::Bearer { realm, .. } => {
                let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or("localhost");
                let realm = realm.clone().unwrap_or_else(|| format!("http://{host}/v2/token"));
                let scope = name.map(|name| {
                    let actions = if action == "pull" { "pull" } else { "pull,push,delete" };
                    format!(r#",scope="repository:{name}:{actions}""#)
                });
                format!(r#"Bearer realm="{realm}",service="{host}"{}"#, scope.unwrap_or_default())
            }
        }
    }
}

fn is_basic(headers: &HeaderMap, user: &str, password: &str) -> bool {
    let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    headers.get(header::AUTHORIZATION).is_some_and(|given| given.as_bytes() == expected.as_bytes())
}
