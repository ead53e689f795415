//! PKI tokens: the certificate chain of the header (`x5c`, RFC 7515, section 4.1.6), up to a root that the caller pins.

use std::{collections::BTreeSet, fmt, marker::PhantomData, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rsa::{
    RsaPublicKey,
    pkcs1::DecodeRsaPublicKey as _,
    pkcs1v15::{Signature, VerifyingKey},
    pkcs8::{
        AssociatedOid,
        der::{
            self, Decode as _, SliceReader, Tag, Tagged as _,
            asn1::{AnyRef, GeneralizedTime, UtcTime},
        },
    },
    signature::Verifier as _,
    traits::PublicKeyParts as _,
};
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, UnixTime, alg_id,
};
use serde::{Deserialize, Serialize, de};
use serde_json::Value;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, anchor_from_trusted_cert};

use crate::{error::TokenError, token::LIMITS};

/// sha256 of a root certificate's DER bytes, written in lowercase hex: what a contract pins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RootPin([u8; 32]);

impl RootPin {
    /// The root of Google's attestation service, which `<issuer>/.well-known/attestation-pki-root` names.
    pub const GOOGLE: Self = Self([
        0x14, 0x8b, 0x29, 0x38, 0x21, 0xbb, 0x0c, 0x6a, 0x31, 0x7f, 0x41, 0x3c, 0x8b, 0xa4, 0x75, 0x81, 0x40, 0x91,
        0xcb, 0x22, 0xd4, 0x9b, 0x9e, 0x3c, 0x94, 0x19, 0x8d, 0xb8, 0xe8, 0xf8, 0x6c, 0x39,
    ]);

    /// Parses 64 lowercase hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: &u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let digits: Vec<u8> = text.as_bytes().iter().map(digit).collect::<Option<_>>()?;
        let bytes: Vec<u8> = digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect();
        if digits.len() == 64 { bytes.try_into().ok().map(Self) } else { None }
    }

    /// Of the certificate with these DER bytes.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for RootPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RootPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RootPin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RootPin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("a root's sha256 is 64 lowercase hex digits"))
    }
}

/// The roots that a PKI token's chain may end in. An empty set accepts no token.
#[derive(Clone, Debug)]
pub struct PkiRoots(BTreeSet<RootPin>);

impl PkiRoots {
    /// Google's root and no other.
    pub fn google() -> Self {
        Self::pinned([RootPin::GOOGLE])
    }

    /// These roots and no others.
    pub fn pinned(pins: impl IntoIterator<Item = RootPin>) -> Self {
        Self(pins.into_iter().collect())
    }
}

/// The chain that a header brings: parsed, not trusted.
pub(crate) struct Chain([CertificateDer<'static>; 3]);

impl Chain {
    /// Reads `x5c`: exactly leaf, intermediate and root, each DER in standard base64 with padding.
    pub(crate) fn parse(x5c: &Value) -> Result<Self, TokenError> {
        let malformed = TokenError::Chain;
        let entries = x5c.as_array().ok_or(malformed("x5c is not an array"))?;
        let [leaf, intermediate, root] = entries.as_slice() else {
            return Err(malformed("x5c does not have exactly a leaf, an intermediate and a root"));
        };
        let decode = |entry: &Value| {
            let text = entry.as_str().ok_or(malformed("an entry of x5c is not a string"))?;
            if text.len() > LIMITS.certificate_text_bytes {
                return Err(malformed("an entry of x5c is too large"));
            }
            let der = BASE64_STANDARD.decode(text).map_err(|_| malformed("an entry of x5c is not standard base64"))?;
            Ok(CertificateDer::from(der))
        };
        Ok(Self([decode(leaf)?, decode(intermediate)?, decode(root)?]))
    }

    /// Does `signature` over `message` verify under the leaf, and the leaf under a root of `roots`?
    ///
    /// 1. The root is a pinned one, and its own validity holds. 2. The path is leaf, intermediate, root: signatures of
    ///    RSA with SHA-2, each certificate valid, issuers are authorities, the leaf is none; unknown critical extensions
    ///    are refused. 3. The leaf's key verifies the signature: RSA with SHA-256.
    pub(crate) fn verify(
        &self,
        roots: &PkiRoots,
        (now, leeway): (u64, u32),
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenError> {
        let [leaf, intermediate, root] = &self.0;
        // 1.
        let pin = RootPin::of(root);
        if !roots.0.contains(&pin) {
            return Err(TokenError::UnknownRoot(pin));
        }
        let untrusted = |error: Error| TokenError::Certificate(error.to_string());
        let valid = validity(root).map_err(|_| TokenError::Chain("the root's validity is malformed"))?;
        if now.saturating_add(leeway.into()) < valid.0 || now.saturating_sub(leeway.into()) > valid.1 {
            return Err(TokenError::Chain("the root is not valid now"));
        }
        // 2.
        let anchors = [anchor_from_trusted_cert(root).map_err(untrusted)?];
        let certificate = EndEntityCert::try_from(leaf).map_err(untrusted)?;
        let path = |at: u64| {
            let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
            let intermediates = std::slice::from_ref(intermediate);
            let path = certificate.verify_for_usage(ALGORITHMS, &anchors, intermediates, at, AnyUsage, None, None)?;
            Ok(path.intermediate_certificates().count())
        };
        let used = path(now).or_else(|error| match error {
            Error::CertExpired { .. } => path(now.saturating_sub(leeway.into())).map_err(|_| error),
            Error::CertNotValidYet { .. } => path(now.saturating_add(leeway.into())).map_err(|_| error),
            error => Err(error),
        });
        if used.map_err(untrusted)? != 1 {
            return Err(TokenError::Chain("the leaf was not issued by the intermediate"));
        }
        // 3.
        certificate.verify_signature(SHA256, message, signature).map_err(|_| TokenError::Signature)
    }
}

/// For the fuzzer: is this a chain of three? Nobody has signed anything with it.
#[doc(hidden)]
pub fn parses_x5c(bytes: &[u8]) -> bool {
    let Ok(x5c) = csign_oci::json::value_from_slice(bytes) else { return false };
    let Ok(chain) = Chain::parse(&x5c) else { return false };
    let pins = PkiRoots::pinned(chain.0.last().map(|root| RootPin::of(root)));
    assert!(chain.verify(&pins, (1_800_000_000, 0), b"message", b"signature").is_err(), "a forged signature");
    true
}

/// The service's certificates state no purpose, and none is asked for: what they may sign is decided by the pin.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, iter: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        iter.into_iter().try_for_each(|purpose| purpose.map(drop))
    }
}

/// RSASSA-PKCS1-v1_5 with one hash, of keys with 2048 bits or more.
#[derive(Debug)]
struct RsaPkcs1<D> {
    id: AlgorithmIdentifier,
    hash: PhantomData<fn() -> D>,
}

const SHA256: &dyn SignatureVerificationAlgorithm =
    &RsaPkcs1::<Sha256> { id: alg_id::RSA_PKCS1_SHA256, hash: PhantomData };
const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    SHA256,
    &RsaPkcs1::<Sha384> { id: alg_id::RSA_PKCS1_SHA384, hash: PhantomData },
    &RsaPkcs1::<Sha512> { id: alg_id::RSA_PKCS1_SHA512, hash: PhantomData },
];

impl<D: sha2::Digest + AssociatedOid + fmt::Debug> SignatureVerificationAlgorithm for RsaPkcs1<D> {
    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let key = RsaPublicKey::from_pkcs1_der(public_key).map_err(|_| InvalidSignature)?;
        let exponent = key.e_bytes();
        if key.n().bits() < 2048 || exponent.len() < 3 || exponent.last().is_none_or(|low| low % 2 == 0) {
            return Err(InvalidSignature);
        }
        let signature = Signature::try_from(signature).map_err(|_| InvalidSignature)?;
        VerifyingKey::<D>::new(key).verify(message, &signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.id
    }
}

/// Not before and not after of a certificate in Unix seconds (RFC 5280, section 4.1). For the root only: as a trust
/// anchor it is taken for its name and key.
fn validity(certificate: &[u8]) -> der::Result<(u64, u64)> {
    let signed = AnyRef::decode(&mut inside(AnyRef::from_der(certificate)?)?)?;
    let mut fields = inside(signed)?;
    if Tag::peek(&fields)?.is_context_specific() {
        AnyRef::decode(&mut fields)?;
    }
    for _serial_algorithm_issuer in 0..3 {
        AnyRef::decode(&mut fields)?;
    }
    let mut period = inside(AnyRef::decode(&mut fields)?)?;
    let mut next = || {
        let time = AnyRef::decode(&mut period)?;
        Ok::<_, der::Error>(match time.tag() {
            Tag::UtcTime => time.decode_as::<UtcTime>()?.to_unix_duration().as_secs(),
            _ => time.decode_as::<GeneralizedTime>()?.to_unix_duration().as_secs(),
        })
    };
    Ok((next()?, next()?))
}

/// The members of a sequence.
fn inside(sequence: AnyRef<'_>) -> der::Result<SliceReader<'_>> {
    sequence.tag().assert_eq(Tag::Sequence)?;
    SliceReader::new(sequence.value())
}
