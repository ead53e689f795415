//! Decryption with one collaborator's key in Cloud KMS, with checksums both ways, and what its errors mean.

use std::{fmt, time::Duration};

use bytes::Bytes;
use csign_contract::Collaborator;
use google_cloud_gax::{
    error::{Error, rpc::Code, rpc::StatusDetails},
    options::RequestOptionsBuilder as _,
    retry_policy::NeverRetry,
};
use google_cloud_kms_v1::client::KeyManagementService;
use tokio::{sync::Mutex, time::Instant};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    circuit::Severity,
    credentials,
    endpoints::Endpoints,
    launcher::Launcher,
    metrics::{Call, LaneState, Metrics},
    workers::Outcome,
};

/// For one attempt, with the launcher's and STS's part where a token is needed first.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A collaborator's data in the clear. No `Clone`, and `Debug` shows only its size.
pub(crate) enum Plaintext {
    /// As Cloud KMS's answer held it.
    Answer(Bytes),
    /// Of an envelope.
    Opened(Zeroizing<Vec<u8>>),
}

impl Plaintext {
    pub(crate) fn expose(&self) -> &[u8] {
        match self {
            Self::Answer(bytes) => bytes,
            Self::Opened(bytes) => bytes,
        }
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        if let Self::Answer(bytes) = self
            && let Ok(mut bytes) = std::mem::take(bytes).try_into_mut()
        {
            bytes.as_mut().zeroize();
        }
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({} bytes)", self.expose().len())
    }
}

/// Why there is no plaintext.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum DecryptError {
    /// Not a ciphertext of this key for this collaborator, contract and message. Trying again cannot help.
    #[error("the ciphertext does not decrypt under this collaborator's key for this message")]
    Undecryptable,
    /// The collaborator does not let this workload decrypt, or not yet.
    #[error("denied: {0}")]
    Denied(String),
    /// The key, or the version that encrypted this, is disabled, scheduled for destruction or not there.
    #[error("the key cannot be used: {0}")]
    Unusable(String),
    /// Too many requests; how long the service asks to wait.
    #[error("throttled: {0}")]
    Throttled(String, Option<Duration>),
    /// KMS, STS or the launcher cannot be used now.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

impl DecryptError {
    /// A stable code for logs and state.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Undecryptable => "undecryptable",
            Self::Denied(_) => "denied",
            Self::Unusable(_) => "key-unusable",
            Self::Throttled(..) => "throttled",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// What the collaborator or the operator can do about it.
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::Undecryptable => "publish again with csign publish under this contract",
            Self::Denied(_) => {
                "the collaborator grants cloudkms.cryptoKeyVersions.useToDecrypt to this image's identities; nothing is lost"
            }
            Self::Unusable(_) => "the collaborator enables or restores the key version; nothing is lost",
            Self::Throttled(..) => "raise the project's quota of cryptographic requests; nothing is lost",
            Self::Unavailable(_) => "it is tried again; nothing is lost",
        }
    }

    /// Can the same request succeed within seconds?
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(self, Self::Throttled(..) | Self::Unavailable(_))
    }

    pub(crate) const fn severity(&self) -> Severity {
        match self {
            Self::Denied(_) => Severity::Certain,
            _ => Severity::Possible,
        }
    }

    pub(crate) const fn outcome(&self) -> Outcome {
        match self {
            Self::Throttled(..) | Self::Unavailable(_) => Outcome::Overloaded,
            _ => Outcome::Other,
        }
    }

    const fn call(&self) -> Call {
        match self {
            Self::Undecryptable => Call::Impossible,
            Self::Denied(_) | Self::Unusable(_) => Call::Denied,
            Self::Throttled(..) | Self::Unavailable(_) => Call::Unavailable,
        }
    }

    pub(crate) const fn lane_state(&self) -> LaneState {
        match self {
            Self::Denied(_) | Self::Unusable(_) => LaneState::Denied,
            _ => LaneState::Unavailable,
        }
    }

    /// How long the service asks to wait.
    pub(crate) const fn wait(&self) -> Option<Duration> {
        match self {
            Self::Throttled(_, wait) => *wait,
            _ => None,
        }
    }

    /// What an answer that is an error means, by its status: <https://google.aip.dev/193>.
    fn of(error: &Error) -> Self {
        let why = causes(error);
        if error.is_authentication() {
            // STS refuses for good, or cannot be reached; the library says which.
            return if error.is_transient_and_before_rpc() { Self::Unavailable(why) } else { Self::Denied(why) };
        }
        match error.status().map(|status| (status.code, &status.details)) {
            Some((Code::InvalidArgument, _)) => Self::Undecryptable,
            Some((Code::PermissionDenied, _)) => Self::Denied(why),
            Some((Code::FailedPrecondition | Code::NotFound, _)) => Self::Unusable(why),
            Some((Code::ResourceExhausted, details)) => Self::Throttled(why, retry_info(details)),
            _ => Self::Unavailable(why),
        }
    }
}

fn retry_info(details: &[StatusDetails]) -> Option<Duration> {
    details.iter().find_map(|detail| match detail {
        StatusDetails::RetryInfo(info) => {
            let delay = info.retry_delay.as_ref()?;
            Some(Duration::from_secs(u64::try_from(delay.seconds()).ok()?))
        }
        _ => None,
    })
}

/// One collaborator's key, with the credentials for it.
pub(crate) struct Decrypter {
    name: String,
    collaborator: Collaborator,
    endpoints: Endpoints,
    launcher: Launcher,
    /// Made at first use, and anew after its credentials failed: the library gives up on them for ever.
    client: Mutex<Client>,
    metrics: Metrics,
}

#[derive(Default)]
struct Client {
    made: u64,
    client: Option<KeyManagementService>,
}

impl Decrypter {
    pub(crate) fn new(
        name: &str,
        collaborator: &Collaborator,
        endpoints: Endpoints,
        launcher: &Launcher,
        metrics: &Metrics,
    ) -> Self {
        Self {
            name: name.to_owned(),
            collaborator: collaborator.clone(),
            endpoints,
            launcher: launcher.clone(),
            client: Mutex::default(),
            metrics: metrics.clone(),
        }
    }

    /// Asks once to decrypt a ciphertext that is bound to `additional_data`.
    ///
    /// KMS reports a request that was damaged on its way with the same code as a forged ciphertext, so a message is
    /// called undecryptable only when KMS said so twice.
    pub(crate) async fn decrypt(&self, ciphertext: &Bytes, additional_data: &[u8]) -> Result<Plaintext, DecryptError> {
        match self.decrypt_once(ciphertext, additional_data).await {
            Err(DecryptError::Undecryptable) => self.decrypt_once(ciphertext, additional_data).await,
            other => other,
        }
    }

    async fn decrypt_once(&self, ciphertext: &Bytes, additional_data: &[u8]) -> Result<Plaintext, DecryptError> {
        let began = Instant::now();
        let answer = self.ask(ciphertext, additional_data).await;
        self.metrics.kms_call(
            &self.name,
            answer.as_ref().err().map_or(Call::Answered, DecryptError::call),
            began.elapsed(),
        );
        answer
    }

    async fn ask(&self, ciphertext: &Bytes, additional_data: &[u8]) -> Result<Plaintext, DecryptError> {
        let (made, client) = self.client().await?;
        let request = client
            .decrypt()
            .set_name(&self.collaborator.kms_key)
            .set_ciphertext(ciphertext.clone())
            .set_ciphertext_crc32c(checksum(ciphertext))
            .set_additional_authenticated_data(additional_data.to_vec())
            .set_additional_authenticated_data_crc32c(checksum(additional_data))
            .with_attempt_timeout(TIMEOUT);
        let answer = match tokio::time::timeout(TIMEOUT, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                // A token that is not accepted any more is one that a new client has not.
                let rejected = error.status().is_some_and(|status| status.code == Code::Unauthenticated);
                if rejected || error.is_authentication() {
                    self.forget(made).await;
                }
                return Err(DecryptError::of(&error));
            }
            Err(_) => {
                self.forget(made).await;
                return Err(DecryptError::Unavailable(format!("no answer within {} seconds", TIMEOUT.as_secs())));
            }
        };
        let plaintext = Plaintext::Answer(answer.plaintext);
        if answer.plaintext_crc32c != Some(checksum(plaintext.expose())) {
            return Err(DecryptError::Unavailable("the answer's checksum is absent or wrong".to_owned()));
        }
        Ok(plaintext)
    }

    /// Forgets a client, unless there is a newer one.
    async fn forget(&self, made: u64) {
        let mut slot = self.client.lock().await;
        if slot.made == made {
            slot.client = None;
        }
    }

    async fn client(&self) -> Result<(u64, KeyManagementService), DecryptError> {
        let mut slot = self.client.lock().await;
        if let Some(client) = slot.client.as_ref() {
            return Ok((slot.made, client.clone()));
        }
        let credentials =
            credentials::collaborator(&self.launcher, &self.endpoints, &self.collaborator.identity_provider)
                .map_err(|error| DecryptError::Unavailable(error.to_string()))?;
        let client = KeyManagementService::builder()
            .with_endpoint(self.endpoints.kms())
            .with_credentials(credentials)
            // The lane retries: it knows what the other requests met.
            .with_retry_policy(NeverRetry)
            .build()
            .await
            .map_err(|error| DecryptError::Unavailable(error.to_string()))?;
        slot.made += 1;
        slot.client = Some(client.clone());
        Ok((slot.made, client))
    }
}

fn checksum(bytes: &[u8]) -> i64 {
    i64::from(crc32c::crc32c(bytes))
}

/// An error with its causes on one line; none of them holds content or a token.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use google_cloud_gax::error::rpc::Status;

    #[test]
    fn only_an_invalid_argument_is_the_messages_own_fault() {
        let of = |code| DecryptError::of(&Error::service(Status::default().set_code(code))).code();
        assert_eq!(of(Code::InvalidArgument), "undecryptable");
        assert_eq!(of(Code::PermissionDenied), "denied");
        for code in [Code::FailedPrecondition, Code::NotFound] {
            assert_eq!(of(code), "key-unusable");
        }
        assert_eq!(of(Code::ResourceExhausted), "throttled");
        for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Internal, Code::Aborted, Code::Unknown] {
            assert_eq!(of(code), "unavailable");
        }
    }

    #[test]
    fn plaintext_is_not_in_debug_output() {
        let plaintext = Plaintext::Answer(Bytes::from_static(b"alice"));
        assert_eq!(format!("{plaintext:?}"), "Plaintext(5 bytes)");
    }
}
