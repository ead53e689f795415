//! Where user names, passwords and tokens come from.

use std::{fmt, future::Future, pin::Pin};

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::error::Result;

/// Text that never appears in a log, an error or debug output.
pub struct Secret(Zeroizing<String>);

/// How a caller shows a registry who it is.
#[derive(Debug)]
pub enum Credentials {
    /// User and password. Google's registries take the user `oauth2accesstoken` and an access token as the password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token that goes to the registry as it is, in answer to a bearer challenge.
    Bearer(Secret),
    /// A refresh token, which the registry's token service exchanges for a bearer token.
    IdentityToken(Secret),
}

/// What [`CredentialSource::credentials`] returns.
pub type CredentialFuture<'a> = Pin<Box<dyn Future<Output = Result<Option<Credentials>>> + Send + 'a>>;

/// Gives credentials for a registry. It is asked only after the registry has answered 401.
pub trait CredentialSource: Send + Sync {
    /// Credentials for `registry` (host, and port if any, as in the reference); `None` to try without.
    fn credentials<'a>(&'a self, registry: &'a str) -> CredentialFuture<'a>;
}

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_secrets() {
        let shown = format!(
            "{:?} {:?}",
            Credentials::Basic { user: "u".into(), password: Secret::new("hunter2") },
            Credentials::Bearer(Secret::new("hunter2"))
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
