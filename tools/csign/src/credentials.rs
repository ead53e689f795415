//! Registry logins: Docker's configuration first, then Google's access token for Google's registries.

use csign_keys::{GcpClientOptions, google_access_token};
use csign_registry::{CredentialSource, Credentials, DockerConfig, Error, Secret, credentials::CredentialFuture};

/// Where registry credentials come from.
pub(crate) struct Logins {
    /// Docker's configuration directory, if there is one.
    pub(crate) docker: Option<DockerConfig>,
    /// `GOOGLE_OAUTH_ACCESS_TOKEN`
    pub(crate) access_token: Option<String>,
}

/// The user that Google's registries expect with an access token.
const GOOGLE_USER: &str = "oauth2accesstoken";

impl CredentialSource for Logins {
    fn credentials<'a>(&'a self, registry: &'a str) -> CredentialFuture<'a> {
        Box::pin(async move {
            if let Some(docker) = &self.docker
                && let Some(found) = docker.credentials(registry).await?
            {
                return Ok(Some(found));
            }
            if !is_google(registry) {
                return Ok(None);
            }
            let password = match &self.access_token {
                Some(token) => Secret::new(token.clone()),
                None => {
                    let token = google_access_token(&GcpClientOptions::application_default()).await;
                    let token = token
                        .map_err(|error| Error::Credentials { host: registry.to_owned(), why: error.to_string() })?;
                    Secret::new(token.expose())
                }
            };
            Ok(Some(Credentials::Basic { user: GOOGLE_USER.to_owned(), password }))
        })
    }
}

fn is_google(registry: &str) -> bool {
    let host = registry.split(':').next().unwrap_or(registry);
    host == "gcr.io" || host.ends_with(".gcr.io") || host.ends_with(".pkg.dev")
}
