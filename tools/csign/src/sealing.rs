//! Sealing envelopes under data keys that Cloud KMS wraps: a new one at first, and when one is worn out.

use csign_contract::{
    envelope::{DATA_KEY, EnvelopeError, NONCE, Sealer},
    message::{Binding, Encryption},
};
use csign_keys::{KmsKey, gcpkms::KmsClient};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Seals one collaborator's messages.
pub(crate) struct Sealing<'a> {
    kms: &'a KmsClient,
    binding: Binding,
    collaborator: &'a str,
    kms_key: &'a str,
    sealer: Option<Sealer>,
}

impl<'a> Sealing<'a> {
    /// Nothing is asked of Cloud KMS yet.
    pub(crate) fn new(kms: &'a KmsClient, binding: Binding, collaborator: &'a str, kms_key: &'a str) -> Self {
        Self { kms, binding, collaborator, kms_key, sealer: None }
    }

    /// Seals one message.
    pub(crate) async fn seal(&mut self, message: &str, plaintext: &[u8]) -> Result<Vec<u8>, Failure> {
        let additional = self.binding.message(Encryption::Envelope, self.collaborator, message);
        if let Some(sealer) = &mut self.sealer {
            match sealer.seal(nonce()?, plaintext, &additional) {
                Err(EnvelopeError::WornOut) => {}
                sealed => return sealed.map_err(Failure::usage),
            }
        }
        let sealer = self.sealer.insert(new_key(self.kms, &self.binding, self.collaborator, self.kms_key).await?);
        sealer.seal(nonce()?, plaintext, &additional).map_err(Failure::usage)
    }
}

async fn new_key(kms: &KmsClient, binding: &Binding, collaborator: &str, kms_key: &str) -> Result<Sealer, Failure> {
    let mut key = Zeroizing::new([0; DATA_KEY]);
    getrandom::fill(&mut *key).map_err(Failure::could_not_check)?;
    let kms_key: KmsKey = kms_key.parse()?;
    let wrapped = kms.encrypt(&kms_key, &*key, &binding.data_key(collaborator)).await?;
    Sealer::new(&*key, wrapped).map_err(Failure::could_not_check)
}

fn nonce() -> Result<[u8; NONCE], Failure> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(Failure::could_not_check)?;
    Ok(nonce)
}
