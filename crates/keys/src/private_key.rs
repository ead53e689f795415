//! ECDSA P-256 private keys: made from the system's random bytes, read from DER, used to sign.

use std::fmt;

use csign_envelope::PublicKey;
use p256::{
    SecretKey,
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::EncodePrivateKey as _,
};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef, SecretDocument, der::asn1::ObjectIdentifier as Oid};
use zeroize::Zeroizing;

use crate::KeysError;

const EC_PUBLIC_KEY: Oid = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: Oid = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// Object identifiers of key types and curves, for the error text only.
const OTHER_TYPES: [(Oid, &str); 7] = [
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"), "RSA"),
    (ObjectIdentifier::new_unwrap("1.3.101.112"), "Ed25519"),
    (ObjectIdentifier::new_unwrap("1.3.101.113"), "Ed448"),
    (ObjectIdentifier::new_unwrap("1.3.132.0.33"), "ECDSA P-224"),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), "ECDSA P-384"),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), "ECDSA P-521"),
    (ObjectIdentifier::new_unwrap("1.3.132.0.10"), "ECDSA secp256k1"),
];

/// An ECDSA P-256 private key. It is wiped when dropped, cannot be copied, and prints nothing but its key id.
pub struct PrivateKey {
    secret: SecretKey,
    public: PublicKey,
}

impl PrivateKey {
    /// Makes a new key from the operating system's random bytes.
    ///
    /// # Errors
    /// The operating system gives none.
    pub fn generate() -> Result<Self, KeysError> {
        let mut bytes = Zeroizing::new([0; 32]);
        // A random string is outside the range of the curve's scalars once in 2^32 tries.
        for _ in 0..16 {
            getrandom::fill(&mut *bytes).map_err(|_| KeysError::Random)?;
            if let Ok(secret) = SecretKey::from_slice(&*bytes) {
                return Self::new(secret);
            }
        }
        Err(KeysError::Random)
    }

    /// Reads a PKCS#8 `PrivateKeyInfo` in DER.
    ///
    /// # Errors
    /// Another key type, which the error names; a malformed key.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeysError> {
        const MALFORMED: KeysError = KeysError::Malformed("its content is not a PKCS#8 private key");
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| MALFORMED)?;
        let curve = info.algorithm.parameters_oid().ok();
        if (info.algorithm.oid, curve) != (EC_PUBLIC_KEY, Some(P256)) {
            let found = if info.algorithm.oid == EC_PUBLIC_KEY { curve } else { Some(info.algorithm.oid) };
            return Err(KeysError::KeyType(name(found)));
        }
        Self::new(SecretKey::try_from(info).map_err(|_| MALFORMED)?)
    }

    /// Reads a private key that is not encrypted: one PEM block `PRIVATE KEY` (PKCS#8) or `EC PRIVATE KEY` (SEC1).
    /// Only for importing; signing takes encrypted files.
    ///
    /// # Errors
    /// Another PEM block, another key type, a malformed key.
    pub fn from_unencrypted_pem(pem: &str) -> Result<Self, KeysError> {
        let (label, der) = SecretDocument::from_pem(pem.trim()).map_err(|_| not_importable(pem))?;
        match label {
            "PRIVATE KEY" => Self::from_pkcs8_der(der.as_bytes()),
            "EC PRIVATE KEY" => match SecretKey::from_sec1_der(der.as_bytes()) {
                Ok(secret) => Self::new(secret),
                Err(_) => Err(KeysError::Malformed("the EC PRIVATE KEY is damaged or not a P-256 key")),
            },
            "RSA PRIVATE KEY" => Err(KeysError::KeyType("RSA")),
            _ => Err(not_importable(pem)),
        }
    }

    /// PKCS#8 in DER, as Go's `x509.MarshalPKCS8PrivateKey` writes it.
    ///
    /// # Errors
    /// Never for a valid key; encoding is fallible in the library's signature.
    pub(crate) fn to_pkcs8_der(&self) -> Result<SecretDocument, KeysError> {
        self.secret.to_pkcs8_der().map_err(|_| KeysError::Malformed("the key cannot be encoded"))
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// ASN.1 DER signature over sha256 of `message`, deterministic (RFC 6979).
    ///
    /// # Errors
    /// The library could not sign.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        let signature: Signature = SigningKey::from(&self.secret)
            .try_sign(message)
            .map_err(|_| KeysError::Invalid("the private key gave no signature"))?;
        Ok(signature.to_der().as_bytes().to_vec())
    }

    fn new(secret: SecretKey) -> Result<Self, KeysError> {
        let public = PublicKey::new(secret.public_key().into())
            .map_err(|_| KeysError::Malformed("its public key cannot be encoded"))?;
        Ok(Self { secret, public })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, …)", self.public.id())
    }
}

fn name(oid: Option<Oid>) -> &'static str {
    OTHER_TYPES.iter().find(|(known, _)| Some(*known) == oid).map_or("unknown", |(_, name)| name)
}

fn not_importable(pem: &str) -> KeysError {
    if pem.contains("PUBLIC KEY-----") {
        return KeysError::Public;
    }
    if pem.contains("-----BEGIN ENCRYPTED") {
        return KeysError::Malformed("it is encrypted; only a plain PKCS#8 or SEC1 key can be imported");
    }
    KeysError::Malformed("not exactly one PEM block PRIVATE KEY (PKCS#8) or EC PRIVATE KEY (SEC1)")
}
