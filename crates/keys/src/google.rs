//! How Google is reached: credentials, TLS, time limits, and what a service's error means.

use std::{error::Error as _, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use google_cloud_auth::credentials::{
    Builder as ApplicationDefault, CacheableResource, Credentials, CredentialsProvider, EntityTag,
};
use google_cloud_gax::{
    backoff_policy::BackoffPolicy,
    error::{Error as GaxError, rpc::Code},
    exponential_backoff::ExponentialBackoffBuilder,
    retry_policy::{Aip194Strict, RetryPolicy, RetryPolicyExt as _},
};
use http::{Extensions, HeaderMap, HeaderValue, header::AUTHORIZATION};

use crate::{KeysError, Secret, Service, ServiceFault, call::printable};

/// Longest time for one operation with all its retries.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Longest time for one attempt.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Which Google: the real one, or a simulator on this machine with a token of its own. Application default credentials
/// can never go to another address, and the simulator can never be another machine.
#[derive(Debug)]
pub struct GcpClientOptions(Mode);

#[derive(Debug)]
enum Mode {
    ApplicationDefault,
    Token(Arc<Secret>),
    Simulator { endpoint: SocketAddr, token: Arc<Secret> },
}

impl GcpClientOptions {
    /// Google, with application default credentials (`GOOGLE_APPLICATION_CREDENTIALS`, the file that `gcloud auth
    /// application-default login` writes, or the metadata server).
    pub fn application_default() -> Self {
        Self(Mode::ApplicationDefault)
    }

    /// Google, with an access token that the caller has already.
    pub fn access_token(token: Secret) -> Self {
        Self(Mode::Token(Arc::new(token)))
    }

    /// A simulator that speaks plain http at `endpoint` and knows `token`.
    ///
    /// # Errors
    /// The address is not a loopback address.
    pub fn simulator(endpoint: SocketAddr, token: Secret) -> Result<Self, KeysError> {
        if !endpoint.ip().is_loopback() {
            return Err(KeysError::NotLoopback(endpoint));
        }
        Ok(Self(Mode::Simulator { endpoint, token: Arc::new(token) }))
    }

    pub(crate) fn endpoint(&self) -> Option<String> {
        match &self.0 {
            Mode::ApplicationDefault | Mode::Token(_) => None,
            Mode::Simulator { endpoint, .. } => Some(format!("http://{endpoint}")),
        }
    }

    pub(crate) fn credentials(&self) -> Result<Credentials, KeysError> {
        install_crypto_provider();
        match &self.0 {
            Mode::ApplicationDefault => {
                ApplicationDefault::default().with_scopes([SCOPE]).build().map_err(|error| credentials_error(&error))
            }
            Mode::Token(token) | Mode::Simulator { token, .. } => Ok(Credentials::from(StaticToken(Arc::clone(token)))),
        }
    }
}

/// An access token of the account in use, for instance for Artifact Registry (user `oauth2accesstoken`).
///
/// # Errors
/// No credentials are found, or they cannot be exchanged for a token.
pub async fn google_access_token(options: &GcpClientOptions) -> Result<Secret, KeysError> {
    install_crypto_provider();
    match &options.0 {
        Mode::Token(token) | Mode::Simulator { token, .. } => Secret::new(token.expose()),
        Mode::ApplicationDefault => {
            let credentials = ApplicationDefault::default()
                .with_scopes([SCOPE])
                .build_access_token_credentials()
                .map_err(|error| credentials_error(&error))?;
            match tokio::time::timeout(TIME_LIMIT, credentials.access_token()).await {
                Ok(Ok(token)) => Secret::new(token.token),
                Ok(Err(error)) => Err(credentials_error(&error)),
                Err(_) => Err(KeysError::Credentials(no_answer())),
            }
        }
    }
}

/// Makes graviola the TLS provider of this process, unless one was installed before. Every client of this crate calls
/// it; a program that opens TLS connections by other means may call it too.
pub fn install_crypto_provider() {
    // An error says that a provider is installed already, which is all that is wanted.
    let _ = rustls_graviola::default_provider().install_default();
}

/// Retries what may be retried, never longer than [`TIME_LIMIT`].
pub(crate) fn retry_policy() -> impl RetryPolicy {
    Aip194Strict.continue_on_too_many_requests().with_attempt_limit(5).with_time_limit(TIME_LIMIT)
}

/// A quarter of a second to two seconds between attempts: a person waits for the answer.
pub(crate) fn backoff_policy() -> impl BackoffPolicy {
    ExponentialBackoffBuilder::new()
        .with_initial_delay(Duration::from_millis(250))
        .with_maximum_delay(Duration::from_secs(2))
        .clamp()
}

/// Waits for `operation` at most [`TIME_LIMIT`]: the retry policy does not cover the time that credentials take.
pub(crate) async fn bounded<T, E>(
    doing: &'static str,
    resource: &str,
    operation: impl Future<Output = Result<T, E>>,
    error: impl FnOnce(E) -> KeysError,
) -> Result<T, KeysError> {
    match tokio::time::timeout(TIME_LIMIT, operation).await {
        Ok(result) => result.map_err(error),
        Err(_) => Err(KeysError::Service {
            service: Service::Google,
            doing,
            resource: resource.to_owned(),
            fault: ServiceFault::Unavailable,
            message: no_answer(),
        }),
    }
}

/// What a client could not be built for: no credentials, no certificates, a malformed endpoint.
pub(crate) fn credentials_error(error: &(dyn std::error::Error + 'static)) -> KeysError {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        source = inner.source();
    }
    KeysError::Credentials(printable(&message))
}

/// Sorts an error of Google's clients into the classes that call for different actions.
pub(crate) fn service_error(doing: &'static str, resource: &str, error: &GaxError) -> KeysError {
    // A retry loop that gave up wraps the last attempt's error.
    let mut error = error;
    while let Some(inner) = error.source().and_then(|source| source.downcast_ref::<GaxError>()) {
        error = inner;
    }
    if error.is_authentication() {
        return credentials_error(error);
    }
    if error.is_deserialization() {
        let why = "the answer is not in this service's format";
        return KeysError::Integrity { doing, resource: resource.to_owned(), why };
    }
    let (fault, message) = match (error.status(), error.http_status_code()) {
        (Some(status), _) => (fault_of_code(status.code), status.message.clone()),
        (None, Some(http)) => (fault_of_http(http), format!("HTTP status {http}")),
        (None, None) => (ServiceFault::Unavailable, error.to_string()),
    };
    let (resource, message) = (resource.to_owned(), printable(&message));
    KeysError::Service { service: Service::Google, doing, resource, fault, message }
}

fn fault_of_code(code: Code) -> ServiceFault {
    match code {
        Code::Unauthenticated => ServiceFault::Unauthenticated,
        Code::PermissionDenied => ServiceFault::PermissionDenied,
        Code::NotFound => ServiceFault::NotFound,
        Code::FailedPrecondition => ServiceFault::Unusable,
        Code::ResourceExhausted => ServiceFault::Throttled,
        Code::InvalidArgument | Code::OutOfRange | Code::AlreadyExists | Code::Unimplemented => ServiceFault::Refused,
        _ => ServiceFault::Unavailable,
    }
}

fn fault_of_http(status: u16) -> ServiceFault {
    match status {
        401 => ServiceFault::Unauthenticated,
        403 => ServiceFault::PermissionDenied,
        404 => ServiceFault::NotFound,
        429 => ServiceFault::Throttled,
        400..=499 => ServiceFault::Refused,
        _ => ServiceFault::Unavailable,
    }
}

fn no_answer() -> String {
    format!("no answer within {} seconds", TIME_LIMIT.as_secs())
}

/// Credentials that are one fixed token.
#[derive(Debug)]
struct StaticToken(Arc<Secret>);

impl CredentialsProvider for StaticToken {
    async fn headers(
        &self,
        _: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, google_cloud_gax::error::CredentialsError> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0.expose()))
            .map_err(|_| google_cloud_gax::error::CredentialsError::from_msg(false, "the token is malformed"))?;
        value.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data: headers })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulator_on_another_machine_is_refused() {
        for address in ["192.0.2.1:80", "0.0.0.0:80", "[2001:db8::1]:80"] {
            let token = Secret::new("t").expect("token");
            let refused = GcpClientOptions::simulator(address.parse().expect("address"), token);
            assert!(matches!(refused, Err(KeysError::NotLoopback(_))), "{address}");
        }
    }

    #[test]
    fn debug_output_of_the_options_has_no_token() {
        let token = Secret::new("secret-token").expect("token");
        let options = GcpClientOptions::simulator("127.0.0.1:1".parse().expect("address"), token).expect("options");
        assert!(!format!("{options:?}").contains("secret-token"));
    }
}
