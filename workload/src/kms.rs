//! Decryption with one collaborator's key in Cloud KMS, with checksums both ways.

use std::{fmt, time::Duration};

use bytes::Bytes;
use csign_contract::Collaborator;
use google_cloud_gax::{error::rpc::Code, options::RequestOptionsBuilder as _};
use google_cloud_kms_v1::client::KeyManagementService;
use tokio::sync::Mutex;

use crate::{credentials, endpoints::Endpoints, launcher::Launcher};

/// For one request, with the launcher's and STS's part where a token is needed first.
const TIMEOUT: Duration = Duration::from_secs(45);

/// A collaborator's data in the clear. No `Clone`, and `Debug` shows only its size.
pub(crate) struct Plaintext(Bytes);

impl Plaintext {
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({} bytes)", self.0.len())
    }
}

/// Why there is no plaintext.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecryptError {
    /// Not a ciphertext of this key for this collaborator, contract and message. Trying again cannot help.
    #[error("the ciphertext does not decrypt under this collaborator's key for this message")]
    Undecryptable,
    /// The collaborator does not let this workload decrypt, or not yet.
    #[error("denied: {0}")]
    Denied(String),
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
            Self::Unavailable(_) => "unavailable",
        }
    }
}

/// One collaborator's key, with the credentials for it.
pub(crate) struct Decrypter {
    collaborator: Collaborator,
    endpoints: Endpoints,
    launcher: Launcher,
    /// Made at first use, and anew after its credentials failed: the library gives up on them for ever.
    client: Mutex<Option<KeyManagementService>>,
}

impl Decrypter {
    pub(crate) fn new(collaborator: &Collaborator, endpoints: Endpoints, launcher: &Launcher) -> Self {
        Self { collaborator: collaborator.clone(), endpoints, launcher: launcher.clone(), client: Mutex::new(None) }
    }

    /// Decrypts a ciphertext that is bound to `additional_data`.
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
        let client = self.client().await?;
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
            Ok(Err(error)) => return Err(self.refused(&error).await),
            Err(_) => {
                *self.client.lock().await = None;
                return Err(DecryptError::Unavailable(format!("no answer within {} seconds", TIMEOUT.as_secs())));
            }
        };
        if answer.plaintext_crc32c != Some(checksum(&answer.plaintext)) {
            return Err(DecryptError::Unavailable("the answer's checksum is absent or wrong".to_owned()));
        }
        Ok(Plaintext(answer.plaintext))
    }

    async fn refused(&self, error: &google_cloud_gax::error::Error) -> DecryptError {
        if error.is_authentication() {
            *self.client.lock().await = None;
        }
        let why = causes(error);
        match error.status().map(|status| status.code) {
            Some(Code::InvalidArgument) => DecryptError::Undecryptable,
            Some(Code::PermissionDenied) => DecryptError::Denied(why),
            _ => DecryptError::Unavailable(why),
        }
    }

    async fn client(&self) -> Result<KeyManagementService, DecryptError> {
        let mut slot = self.client.lock().await;
        if let Some(client) = slot.as_ref() {
            return Ok(client.clone());
        }
        let credentials =
            credentials::collaborator(&self.launcher, &self.endpoints, &self.collaborator.identity_provider)
                .map_err(|error| DecryptError::Unavailable(error.to_string()))?;
        let client = KeyManagementService::builder()
            .with_endpoint(self.endpoints.kms())
            .with_credentials(credentials)
            .build()
            .await
            .map_err(|error| DecryptError::Unavailable(error.to_string()))?;
        Ok(slot.insert(client).clone())
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
