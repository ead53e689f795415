//! Who the workload is: to each collaborator an identity of its own, to Pub/Sub and the registry the machine's account.

use std::{fmt, sync::Arc, time::Duration};

use csign_registry::{CredentialSource, Credentials as RegistryCredentials, Secret, credentials::CredentialFuture};
use google_cloud_auth::{
    build_errors::Error as BuildError,
    credentials::{
        Credentials, external_account, mds,
        subject_token::{Builder as SubjectTokenBuilder, SubjectToken, SubjectTokenProvider},
    },
    errors::SubjectTokenProviderError,
};

use crate::{
    endpoints::Endpoints,
    launcher::{Launcher, LauncherError},
};

const SUBJECT_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);

/// Credentials for one collaborator's project: a custom token with the collaborator's provider as audience, exchanged
/// at STS. No token of one collaborator works at another. The library caches what STS gives and renews it in time.
///
/// # Errors
/// None in practice: every field that is required is set.
pub(crate) fn collaborator(
    launcher: &Launcher,
    endpoints: &Endpoints,
    identity_provider: &str,
) -> Result<Credentials, BuildError> {
    let source = CustomToken { launcher: launcher.clone(), audience: identity_provider.to_owned() };
    external_account::ProgrammaticBuilder::new(Arc::new(source))
        .with_audience(identity_provider)
        .with_subject_token_type(SUBJECT_TOKEN_TYPE)
        .with_token_url(endpoints.sts())
        .build()
}

/// Credentials of the machine's own service account, from the metadata server. Nothing on disk or in the environment
/// is looked at for credentials, unlike with application default credentials. The library does let `GCE_METADATA_HOST`
/// and proxy variables move its requests: a boot is refused where the operator set any variable.
///
/// # Errors
/// None in practice.
pub(crate) fn machine(endpoints: &Endpoints) -> Result<Credentials, BuildError> {
    mds::Builder::default().with_endpoint(endpoints.metadata()).build()
}

#[derive(Debug)]
struct CustomToken {
    launcher: Launcher,
    audience: String,
}

impl SubjectTokenProvider for CustomToken {
    type Error = NoSubjectToken;

    async fn subject_token(&self) -> Result<SubjectToken, NoSubjectToken> {
        let token = self.launcher.token(&self.audience, None).await.map_err(NoSubjectToken)?;
        Ok(SubjectTokenBuilder::new(token.expose()).build())
    }
}

/// The launcher gave no token; it may later.
#[derive(Debug)]
struct NoSubjectToken(LauncherError);

impl fmt::Display for NoSubjectToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for NoSubjectToken {}

impl SubjectTokenProviderError for NoSubjectToken {
    fn is_transient(&self) -> bool {
        true
    }
}

/// The machine's account for Google's registries, and under a simulated contract for the simulator's.
pub(crate) struct MachineAccount(pub(crate) Endpoints);

impl CredentialSource for MachineAccount {
    fn credentials<'a>(&'a self, registry: &'a str) -> CredentialFuture<'a> {
        Box::pin(async move {
            let google = registry.ends_with(".pkg.dev") || registry == "gcr.io" || registry.ends_with(".gcr.io");
            if !google && self.0 == Endpoints::Google {
                return Ok(None);
            }
            let failed = |why: String| csign_registry::Error::Credentials { host: registry.to_owned(), why };
            let account = mds::Builder::default()
                .with_endpoint(self.0.metadata())
                .build_access_token_credentials()
                .map_err(|error| failed(error.to_string()))?;
            let token = tokio::time::timeout(METADATA_TIMEOUT, account.access_token())
                .await
                .map_err(|_| failed("the metadata server does not answer".to_owned()))?
                .map_err(|error| failed(error.to_string()))?;
            let password = Secret::new(token.token);
            Ok(Some(RegistryCredentials::Basic { user: "oauth2accesstoken".to_owned(), password }))
        })
    }
}
