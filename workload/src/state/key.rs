//! The state's key: made by the first workload, wrapped by Cloud KMS, and unwrapped only for a workload that is attested.

use std::time::Duration;

use csign_contract::{Contract, StateKey as Table};
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_kms_v1::client::KeyManagementService;
use zeroize::Zeroizing;

use super::{codec::StateKey, error::StateError};
use crate::{credentials, endpoints::Endpoints, kms::causes, launcher::Launcher};

/// For one request, with the launcher's and STS's part.
const TIMEOUT: Duration = Duration::from_secs(45);
/// Bytes of a wrapped key; KMS adds under 100 to its 32.
const WRAPPED_LIMIT: usize = 4096;

/// Wraps and unwraps with the key that the contract names.
pub(super) struct Wrapping<'a> {
    table: &'a Table,
    client: KeyManagementService,
    additional_data: Vec<u8>,
}

impl<'a> Wrapping<'a> {
    pub(super) async fn new(
        contract: &Contract,
        table: &'a Table,
        endpoints: &Endpoints,
        launcher: &Launcher,
    ) -> Result<Self, StateError> {
        let credentials = credentials::collaborator(launcher, endpoints, &table.identity_provider)
            .map_err(|error| StateError::Key(causes(&error)))?;
        let client = KeyManagementService::builder()
            .with_endpoint(endpoints.kms())
            .with_credentials(credentials)
            .build()
            .await
            .map_err(|error| StateError::Key(causes(&error)))?;
        Ok(Self { table, client, additional_data: contract.state_key_additional_data() })
    }

    /// A new random key, wrapped. It is used only after it was stored, read back and unwrapped.
    pub(super) async fn make(&self) -> Result<Vec<u8>, StateError> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice()).map_err(|_| StateError::Cryptography)?;
        let request = self
            .client
            .encrypt()
            .set_name(&self.table.kms_key)
            .set_plaintext(key.to_vec())
            .set_plaintext_crc32c(checksum(key.as_slice()))
            .set_additional_authenticated_data(self.additional_data.clone())
            .set_additional_authenticated_data_crc32c(checksum(&self.additional_data))
            .with_attempt_timeout(TIMEOUT);
        let answer = timely(request.send()).await?;
        let whole = answer.verified_plaintext_crc32c
            && answer.verified_additional_authenticated_data_crc32c
            && answer.ciphertext_crc32c == Some(checksum(&answer.ciphertext));
        if !whole {
            return Err(StateError::Key("a checksum of KMS's answer is absent or wrong".to_owned()));
        }
        Ok(answer.ciphertext.to_vec())
    }

    /// Unwraps the key that the store holds.
    pub(super) async fn unwrap(&self, wrapped: &[u8]) -> Result<StateKey, StateError> {
        if wrapped.len() > WRAPPED_LIMIT {
            return Err(StateError::tampered(format!("its wrapped key has {} bytes", wrapped.len())));
        }
        let request = self
            .client
            .decrypt()
            .set_name(&self.table.kms_key)
            .set_ciphertext(wrapped.to_vec())
            .set_ciphertext_crc32c(checksum(wrapped))
            .set_additional_authenticated_data(self.additional_data.clone())
            .set_additional_authenticated_data_crc32c(checksum(&self.additional_data))
            .with_attempt_timeout(TIMEOUT);
        let answer = timely(request.send()).await?;
        if answer.plaintext_crc32c != Some(checksum(&answer.plaintext)) {
            return Err(StateError::Key("the checksum of KMS's answer is absent or wrong".to_owned()));
        }
        let key = <[u8; 32]>::try_from(answer.plaintext.as_ref())
            .map_err(|_| StateError::Key("what KMS unwrapped is no state key".to_owned()))?;
        Ok(StateKey::new(Zeroizing::new(key)))
    }
}

async fn timely<T>(request: impl Future<Output = Result<T, google_cloud_gax::error::Error>>) -> Result<T, StateError> {
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(StateError::Key(causes(&error))),
        Err(_) => Err(StateError::Key(format!("no answer within {} seconds", TIMEOUT.as_secs()))),
    }
}

fn checksum(bytes: &[u8]) -> i64 {
    i64::from(crc32c::crc32c(bytes))
}
