//! Envelopes: messages under a data key that Cloud KMS wrapped, so that one request of Cloud KMS serves many messages.
//!
//! The data of such a message, after which nothing follows:
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | version of this format, 1 |
//! | 2 | length of the wrapped key, big endian, 1 to [`MAX_WRAPPED_KEY`] |
//! | … | the wrapped key: Cloud KMS's ciphertext of 32 bytes, bound to [`Binding::data_key`] |
//! | 12 | nonce, random |
//! | … | AES-256-GCM ciphertext, bound to [`Binding::message`], followed by its tag of 16 bytes |
//!
//! [`Binding::data_key`]: crate::message::Binding::data_key
//! [`Binding::message`]: crate::message::Binding::message

use std::fmt;

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use zeroize::Zeroizing;

/// The version that is written and read.
const VERSION: u8 = 1;
const TAG: usize = 16;

/// Bytes of a data key.
pub const DATA_KEY: usize = 32;
/// Bytes of a nonce.
pub const NONCE: usize = 12;
/// Most bytes of a wrapped key: Cloud KMS makes some 110 of a data key, and a cache of wrapped keys must stay small.
pub const MAX_WRAPPED_KEY: usize = 1024;
/// Most bytes of a message in the clear: what a receiver holds many of at a time must be small.
pub const MAX_PLAINTEXT: usize = 1 << 20;
/// Most bytes of an envelope.
pub const MAX_ENVELOPE: usize = 3 + MAX_WRAPPED_KEY + NONCE + MAX_PLAINTEXT + TAG;
/// Most messages under one data key. NIST SP 800-38D (8.3) allows 2³² random nonces per key; with these, two nonces are
/// equal with a probability of 2⁻⁵⁷.
pub const MAX_USES: u32 = 1 << 20;

/// An envelope's parts. Nothing of it is proven before [`DataKey::open`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The data key as Cloud KMS wrapped it.
    pub wrapped_key: &'a [u8],
    nonce: &'a [u8; NONCE],
    sealed: &'a [u8],
}

/// What is wrong with an envelope. It never says anything about the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not this format, or cut short.
    #[error("the data is no envelope of version 1")]
    Malformed,
    /// More bytes than [`MAX_PLAINTEXT`].
    #[error("the message has more than {MAX_PLAINTEXT} bytes")]
    TooLarge,
    /// What was unwrapped is no data key.
    #[error("the data key has {0} bytes, not {DATA_KEY}")]
    DataKey(usize),
    /// The wrapped key cannot stand in an envelope.
    #[error("the wrapped data key has {0} bytes, not 1 to {MAX_WRAPPED_KEY}")]
    WrappedKey(usize),
    /// Another key, contract, collaborator or message than it was sealed for, or a byte was changed.
    #[error("the envelope was not sealed with this key for this contract, collaborator and message")]
    NotAuthentic,
    /// A new data key is needed: this one has sealed [`MAX_USES`] messages.
    #[error("the data key has sealed {MAX_USES} messages, the most that are safe")]
    WornOut,
}

impl<'a> Envelope<'a> {
    /// Takes an envelope apart.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`] or [`EnvelopeError::TooLarge`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_ENVELOPE {
            return Err(EnvelopeError::TooLarge);
        }
        let (header, rest) = bytes.split_first_chunk::<3>().ok_or(EnvelopeError::Malformed)?;
        let length = usize::from(u16::from_be_bytes([header[1], header[2]]));
        if header[0] != VERSION || !(1..=MAX_WRAPPED_KEY).contains(&length) {
            return Err(EnvelopeError::Malformed);
        }
        let (wrapped_key, rest) = rest.split_at_checked(length).ok_or(EnvelopeError::Malformed)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(EnvelopeError::Malformed)?;
        match sealed.len().checked_sub(TAG) {
            None => Err(EnvelopeError::Malformed),
            Some(plaintext) if plaintext > MAX_PLAINTEXT => Err(EnvelopeError::TooLarge),
            Some(_) => Ok(Self { wrapped_key, nonce, sealed }),
        }
    }
}

impl fmt::Debug for Envelope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({} bytes)", self.sealed.len())
    }
}

/// A data key in the clear: overwritten when dropped, not shown by `Debug`, not to be cloned.
pub struct DataKey(Aes256Gcm);

impl DataKey {
    /// A key from what was unwrapped.
    ///
    /// # Errors
    /// Not [`DATA_KEY`] bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        Aes256Gcm::new_from_slice(bytes).map(Self).map_err(|_| EnvelopeError::DataKey(bytes.len()))
    }

    /// Opens an envelope that was sealed for `additional_data`.
    ///
    /// # Errors
    /// [`EnvelopeError::NotAuthentic`].
    pub fn open(&self, envelope: &Envelope<'_>, additional_data: &[u8]) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
        let payload = Payload { msg: envelope.sealed, aad: additional_data };
        let opened = self.0.decrypt(&Nonce::from(*envelope.nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| EnvelopeError::NotAuthentic)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}

/// Seals messages under one data key, and counts them.
#[derive(Debug)]
pub struct Sealer {
    key: DataKey,
    wrapped_key: Vec<u8>,
    left: u32,
}

impl Sealer {
    /// A sealer for a fresh random `key`, and what Cloud KMS made of it.
    ///
    /// # Errors
    /// Either has an impossible length.
    pub fn new(key: &[u8], wrapped_key: Vec<u8>) -> Result<Self, EnvelopeError> {
        if !(1..=MAX_WRAPPED_KEY).contains(&wrapped_key.len()) {
            return Err(EnvelopeError::WrappedKey(wrapped_key.len()));
        }
        Ok(Self { key: DataKey::new(key)?, wrapped_key, left: MAX_USES })
    }

    /// Seals one message. The caller brings the nonce, fresh from a random source for every message.
    ///
    /// # Errors
    /// Too large, or the key is worn out.
    pub fn seal(
        &mut self,
        nonce: [u8; NONCE],
        plaintext: &[u8],
        additional_data: &[u8],
    ) -> Result<Vec<u8>, EnvelopeError> {
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(EnvelopeError::TooLarge);
        }
        let length = u16::try_from(self.wrapped_key.len()).map_err(|_| EnvelopeError::Malformed)?;
        self.left = self.left.checked_sub(1).ok_or(EnvelopeError::WornOut)?;
        let payload = Payload { msg: plaintext, aad: additional_data };
        let sealed = self.key.0.encrypt(&Nonce::from(nonce), payload).map_err(|_| EnvelopeError::TooLarge)?;
        Ok([&[VERSION], &length.to_be_bytes()[..], &self.wrapped_key, &nonce, &sealed].concat())
    }
}
