//! A signing key that is ready to use, wherever it lives. Every signature is verified before it is handed out.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use csign_envelope::{PublicKey, SignatureAlgorithm};
use zeroize::Zeroizing;

#[cfg(feature = "awskms")]
use crate::awskms::{AwsKmsClient, AwsOptions};
#[cfg(feature = "gcpkms")]
use crate::gcpkms::KmsClient;
#[cfg(feature = "plugins")]
use crate::plugin::{PluginClient, PluginOptions};
#[cfg(feature = "transit")]
use crate::transit::{TransitClient, TransitOptions};
use crate::{
    KeyUri, KeysError, Password, PrivateKey,
    cosign_pem::{self, SealedKey},
};

/// What opening a key can need beyond its URI.
pub struct OpenOptions<'a> {
    /// Asked for the password of the key file that is named; only called for files.
    pub password: &'a (dyn Fn(&Path) -> Result<Password, KeysError> + Sync),
    /// How Google is reached; only used for `gcpkms://`.
    #[cfg(feature = "google")]
    pub google: &'a crate::GcpClientOptions,
    /// How transit secrets engines are reached; only used for `hashivault://` and `openbao://`.
    #[cfg(feature = "transit")]
    pub transit: &'a TransitOptions,
    /// How AWS is reached; only used for `awskms://`.
    #[cfg(feature = "awskms")]
    pub aws: &'a AwsOptions,
    /// Where programs of other providers are; only used for schemes that csign does not know.
    #[cfg(feature = "plugins")]
    pub plugins: &'a PluginOptions,
}

/// A signer whose public key is known.
pub struct Signer {
    provider: Provider,
    uri: String,
    public_key: PublicKey,
}

enum Provider {
    File(PrivateKey),
    #[cfg(feature = "gcpkms")]
    GcpKms(KmsClient, crate::KmsKeyVersion),
    #[cfg(feature = "transit")]
    Transit(TransitClient, crate::TransitKeyVersion),
    #[cfg(feature = "awskms")]
    AwsKms(Box<AwsKmsClient>, crate::AwsKey),
    #[cfg(feature = "plugins")]
    Plugin(PluginClient),
}

impl Signer {
    /// Opens the key behind `uri`: decrypts the file, or fetches the public key from the provider. A file needs no
    /// network. The signer has the algorithm that the provider states, or that is usual for the key's type.
    ///
    /// # Errors
    /// Unreadable or malformed key file, wrong password, a provider that refuses or cannot be reached.
    pub async fn open(uri: &KeyUri, options: &OpenOptions<'_>) -> Result<Self, KeysError> {
        let (provider, public_key) = match uri {
            KeyUri::File(path) => {
                let sealed = SealedKey::parse(&read_key_file(path)?)?;
                return Ok(Self::from_private_key(sealed.open(&(options.password)(path)?)?));
            }
            #[cfg(feature = "gcpkms")]
            KeyUri::GcpKms(version) => {
                let client = KmsClient::connect(options.google).await?;
                let public_key = client.public_key(version).await?;
                (Provider::GcpKms(client, version.clone()), public_key)
            }
            #[cfg(feature = "transit")]
            KeyUri::Transit(version) => {
                let client = TransitClient::connect(version.key(), options.transit)?;
                let public_key = client.public_key(version).await?;
                (Provider::Transit(client, version.clone()), public_key)
            }
            #[cfg(feature = "awskms")]
            KeyUri::AwsKms(key) => {
                let client = AwsKmsClient::connect(key, options.aws).await?;
                let public_key = client.public_key(key).await?;
                (Provider::AwsKms(Box::new(client), key.clone()), public_key)
            }
            #[cfg(feature = "plugins")]
            KeyUri::Plugin(key) => {
                let client = PluginClient::find(key, options.plugins)?;
                let public_key = client.public_key().await?;
                (Provider::Plugin(client), public_key)
            }
            #[cfg(not(all(feature = "gcpkms", feature = "transit", feature = "awskms", feature = "plugins")))]
            other => return Err(KeysError::UnsupportedProvider(format!("{other} (left out of this build)"))),
        };
        Ok(Self { provider, uri: uri.to_string(), public_key })
    }

    /// A signer with a key that is already in memory.
    pub fn from_private_key(key: PrivateKey) -> Self {
        Self { public_key: key.public_key().clone(), uri: "the key file".to_owned(), provider: Provider::File(key) }
    }

    /// The same key with a stated algorithm.
    ///
    /// # Errors
    /// The algorithm is none of this key's type, or the provider has fixed another one.
    pub fn with_algorithm(mut self, algorithm: SignatureAlgorithm) -> Result<Self, KeysError> {
        #[cfg(feature = "gcpkms")]
        if matches!(self.provider, Provider::GcpKms(..)) && self.public_key.algorithm() != algorithm {
            return Err(KeysError::Invalid("a key version of Cloud KMS signs with its own algorithm alone"));
        }
        self.public_key = self.public_key.with_algorithm(algorithm).map_err(KeysError::Algorithm)?;
        Ok(self)
    }

    /// The key that verifies what this signer signs, with its algorithm.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Signs exactly `message`; the answer has been verified with the public key. ECDSA signatures are ASN.1 DER.
    ///
    /// # Errors
    /// The provider refuses or cannot be reached, or what it returned does not verify.
    pub async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        let algorithm = self.public_key.algorithm();
        let signature = match &self.provider {
            Provider::File(key) => key.sign_with(algorithm, message)?,
            #[cfg(feature = "gcpkms")]
            Provider::GcpKms(client, version) => client.sign(version, algorithm, message).await?,
            #[cfg(feature = "transit")]
            Provider::Transit(client, version) => client.sign(version, algorithm, message).await?,
            #[cfg(feature = "awskms")]
            Provider::AwsKms(client, key) => client.sign(key, algorithm, message).await?,
            #[cfg(feature = "plugins")]
            Provider::Plugin(client) => client.sign(algorithm, message).await?,
        };
        if !self.public_key.verify(message, &signature) {
            return Err(KeysError::Integrity {
                doing: crate::error::SIGNING,
                resource: self.uri.clone(),
                why: "the signature does not verify with the key's own public key",
            });
        }
        Ok(signature)
    }
}

/// The public key behind `uri`, to verify with: a file holds one in PEM, a provider is asked.
///
/// # Errors
/// Unreadable or malformed file, a private key, a provider that refuses or cannot be reached.
pub async fn public_key(uri: &KeyUri, options: &OpenOptions<'_>) -> Result<PublicKey, KeysError> {
    if let KeyUri::File(path) = uri {
        let text = read_bounded("reading public key", path, cosign_pem::MAX_LEN)?;
        return PublicKey::from_pem(&text).map_err(|error| KeysError::PublicKey { path: path.clone(), error });
    }
    Ok(Signer::open(uri, options).await?.public_key)
}

/// Reads a key file as text; never more than a key file can have.
///
/// # Errors
/// The file cannot be read, is too large or not text.
pub fn read_key_file(path: &Path) -> Result<Zeroizing<String>, KeysError> {
    read_bounded("reading private key", path, cosign_pem::MAX_LEN)
}

/// Reads a small file of settings: a token, a profile, certificates.
#[cfg(feature = "rest")]
pub(crate) fn read_setting(doing: &'static str, path: &Path) -> Result<Zeroizing<String>, KeysError> {
    read_bounded(doing, path, 1 << 20)
}

fn read_bounded(doing: &'static str, path: &Path, limit: usize) -> Result<Zeroizing<String>, KeysError> {
    let io = |source: io::Error| KeysError::Io { doing, path: path.to_owned(), source };
    // All at once, so that no copy of a secret is left behind by a growing buffer.
    let mut text = Zeroizing::new(String::with_capacity(limit + 64));
    let file = File::open(path).map_err(io)?;
    file.take(limit as u64 + 1).read_to_string(&mut text).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => KeysError::Malformed("the file is not text"),
        _ => io(source),
    })?;
    if text.len() > limit {
        return Err(KeysError::Malformed("the file is far too large"));
    }
    Ok(text)
}
