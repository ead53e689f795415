//! A signing key that is ready to use, wherever it lives. Every signature is verified before it is handed out.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use csign_envelope::PublicKey;
use zeroize::Zeroizing;

use crate::{
    KeyUri, KeysError, Password, PrivateKey,
    cosign_pem::{self, SealedKey},
};
#[cfg(feature = "gcpkms")]
use crate::{KmsKeyVersion, gcpkms::KmsClient};

/// What opening a key can need beyond its URI.
pub struct OpenOptions<'a> {
    /// Asked for the password of the key file that is named; only called for files.
    pub password: &'a (dyn Fn(&Path) -> Result<Password, KeysError> + Sync),
    /// How Google is reached; only used for `gcpkms://`.
    #[cfg(feature = "google")]
    pub google: &'a crate::GcpClientOptions,
}

/// A signer whose public key is known.
pub struct Signer {
    provider: Provider,
    public_key: PublicKey,
}

enum Provider {
    File(PrivateKey),
    #[cfg(feature = "gcpkms")]
    GcpKms(KmsClient, KmsKeyVersion),
}

impl Signer {
    /// Opens the key behind `uri`: decrypts the file, or fetches the public key from the provider. A file needs no
    /// network.
    ///
    /// # Errors
    /// Unreadable or malformed key file, wrong password, a provider that refuses or cannot be reached.
    pub async fn open(uri: &KeyUri, options: &OpenOptions<'_>) -> Result<Self, KeysError> {
        match uri {
            KeyUri::File(path) => {
                let sealed = SealedKey::parse(&read_key_file(path)?)?;
                Ok(Self::from_private_key(sealed.open(&(options.password)(path)?)?))
            }
            #[cfg(feature = "gcpkms")]
            KeyUri::GcpKms(version) => {
                let client = KmsClient::connect(options.google).await?;
                let public_key = client.public_key(version).await?;
                Ok(Self { provider: Provider::GcpKms(client, version.clone()), public_key })
            }
            #[cfg(not(feature = "gcpkms"))]
            KeyUri::GcpKms(_) => Err(KeysError::UnsupportedProvider("gcpkms (left out of this build)".to_owned())),
        }
    }

    /// A signer with a key that is already in memory.
    pub fn from_private_key(key: PrivateKey) -> Self {
        Self { public_key: key.public_key().clone(), provider: Provider::File(key) }
    }

    /// The key that verifies what this signer signs.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Signs exactly `message` (its sha256); the answer is ASN.1 DER and has been verified with the public key.
    ///
    /// # Errors
    /// The provider refuses or cannot be reached, or what it returned does not verify.
    pub async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        let (signature, resource) = match &self.provider {
            Provider::File(key) => (key.sign(message)?, "the key file"),
            #[cfg(feature = "gcpkms")]
            Provider::GcpKms(client, version) => (client.sign(version, message).await?, version.name()),
        };
        if !self.public_key.verify(message, &signature) {
            return Err(KeysError::Integrity {
                doing: crate::error::SIGNING,
                resource: resource.to_owned(),
                why: "the signature does not verify with the key's own public key",
            });
        }
        Ok(signature)
    }
}

/// Reads a key file as text; never more than a key file can have.
///
/// # Errors
/// The file cannot be read, is too large or not text.
pub fn read_key_file(path: &Path) -> Result<Zeroizing<String>, KeysError> {
    let io = |source: io::Error| KeysError::Io { doing: "reading private key", path: path.to_owned(), source };
    // All at once, so that no copy of an unencrypted key is left behind by a growing buffer.
    let mut text = Zeroizing::new(String::with_capacity(cosign_pem::MAX_LEN + 64));
    let file = File::open(path).map_err(io)?;
    file.take(cosign_pem::MAX_LEN as u64 + 1).read_to_string(&mut text).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => KeysError::Malformed("the file is not text"),
        _ => io(source),
    })?;
    if text.len() > cosign_pem::MAX_LEN {
        return Err(KeysError::Malformed("the file is far too large"));
    }
    Ok(text)
}
