//! A trusted root from PEM files, one for each service: what cosign's `SIGSTORE_*` variables name.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::{PublicKey, SignatureAlgorithm};
use rsa::{RsaPublicKey, pkcs8::DecodePublicKey as _, traits::PublicKeyParts as _};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use x509_cert::{
    Certificate,
    der::{DateTime, Decode as _},
    ext::pkix::{BasicConstraints, KeyUsage},
};

use crate::{KeylessError, MAX_TRUSTED_ROOT, TrustedRoot};

/// Most certificates of one service.
const MAX_CERTIFICATES: usize = 32;
const FULCIO: &str = "Fulcio";
const REKOR: &str = "Rekor";
const CT_LOG: &str = "the certificate transparency log";
const TSA: &str = "the time stamp authority";
/// No file says where a service is, and nothing is fetched from it; the format wants an address.
const NO_ADDRESS: &str = "https://unknown.invalid";

/// The services that are trusted, each as the text of a PEM file.
#[derive(Clone, Copy, Debug)]
pub struct PemRoots<'a> {
    /// Fulcio's root and intermediate certificates, in any order. Each of them is trusted by itself.
    pub fulcio: &'a str,
    /// Rekor's key: one.
    pub rekor: &'a str,
    /// The certificate transparency log's key: one.
    pub ct_log: &'a str,
    /// The time stamp authority's chain: its certificate, intermediates, root, in this order. Without it no time stamp is
    /// trusted.
    pub tsa: Option<&'a str>,
}

impl TrustedRoot {
    /// A trusted root of these services.
    ///
    /// PEM says less than a `trusted_root.json`, so this is what holds: a key is valid at all times, and the id of its log
    /// is the SHA-256 of the key (RFC 6962, section 3.2; what Rekor v1 does, and Rekor v2 with an ECDSA key). A certificate
    /// is trusted for its own validity, a chain while all of it is valid.
    ///
    /// # Errors
    /// A file with something else in it: no or several keys, a private key, a certificate for a key or a key for a
    /// certificate, a certificate that may not certify where an authority's belongs, a chain in another order; a key
    /// that [`PublicKey`] refuses; more than [`MAX_TRUSTED_ROOT`] bytes.
    pub fn from_pem(pem: &PemRoots<'_>) -> Result<Self, KeylessError> {
        let fulcio = certificates(FULCIO, pem.fulcio)?;
        for (certificate, _) in &fulcio {
            check_authority(FULCIO, certificate)?;
        }
        let fulcio = fulcio.into_iter().map(|one| authority(&[one]));
        let tsa =
            pem.tsa.map(|pem| certificates(TSA, pem).and_then(|chain| time_stamp_authority(&chain))).transpose()?;
        let root = json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(REKOR, pem.rekor)?],
            "ctlogs": [log(CT_LOG, pem.ct_log)?],
            "certificateAuthorities": fulcio.collect::<Vec<_>>(),
            "timestampAuthorities": tsa.into_iter().collect::<Vec<_>>(),
        });
        Self::parse(root.to_string().as_bytes())
    }
}

fn refused(service: &'static str, why: impl ToString) -> KeylessError {
    KeylessError::Pem { service, why: why.to_string() }
}

fn log(service: &'static str, pem: &str) -> Result<Value, KeylessError> {
    check_size(pem)?;
    let key = PublicKey::from_pem(pem).map_err(|error| refused(service, error))?;
    Ok(json!({
        "baseUrl": NO_ADDRESS,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": BASE64_STANDARD.encode(key.der()),
            "keyDetails": key_details(&key).ok_or_else(|| refused(service, "RSA keys have 2048, 3072 or 4096 bits"))?,
            "validFor": {"start": "1970-01-01T00:00:00Z"},
        },
        "logId": {"keyId": BASE64_STANDARD.encode(Sha256::digest(key.der()))},
    }))
}

/// The name of key and algorithm in sigstore's protobuf-specs (`PublicKeyDetails`).
fn key_details(key: &PublicKey) -> Option<&'static str> {
    match key.usual_algorithm() {
        SignatureAlgorithm::EcdsaP256Sha256 => Some("PKIX_ECDSA_P256_SHA_256"),
        SignatureAlgorithm::EcdsaP384Sha384 => Some("PKIX_ECDSA_P384_SHA_384"),
        SignatureAlgorithm::Ed25519 => Some("PKIX_ED25519"),
        SignatureAlgorithm::RsaPkcs1v15Sha256 => match RsaPublicKey::from_public_key_der(key.der()).ok()?.size() {
            256 => Some("PKIX_RSA_PKCS1V15_2048_SHA256"),
            384 => Some("PKIX_RSA_PKCS1V15_3072_SHA256"),
            512 => Some("PKIX_RSA_PKCS1V15_4096_SHA256"),
            _ => None,
        },
        _ => None,
    }
}

/// A certificate, and its DER as it stood in the file.
type Listed = (Certificate, CertificateDer<'static>);

/// Text between the blocks is no matter (OpenSSL writes some); a block that is no certificate is.
fn certificates(service: &'static str, pem: &str) -> Result<Vec<Listed>, KeylessError> {
    check_size(pem)?;
    if pem.contains("PRIVATE KEY") {
        return Err(refused(service, "a private key is in it; only certificates are needed"));
    }
    let blocks = pem.matches("-----BEGIN").count();
    if blocks > MAX_CERTIFICATES {
        return Err(KeylessError::TooLarge { what: "certificates of one service", limit: MAX_CERTIFICATES });
    }
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let read = read.map_err(|error| refused(service, error))?;
    if read.is_empty() || read.len() != blocks {
        return Err(refused(service, "not PEM blocks \"CERTIFICATE\" alone"));
    }
    let parse = |der: CertificateDer<'static>| match Certificate::from_der(&der) {
        Ok(certificate) => Ok((certificate, der)),
        Err(error) => Err(refused(service, format_args!("a certificate is malformed: {error}"))),
    };
    read.into_iter().map(parse).collect()
}

fn check_size(pem: &str) -> Result<(), KeylessError> {
    if pem.len() > MAX_TRUSTED_ROOT {
        return Err(KeylessError::TooLarge { what: "a PEM file, in bytes", limit: MAX_TRUSTED_ROOT });
    }
    Ok(())
}

/// May it certify (RFC 5280, sections 4.2.1.3 and 4.2.1.9)? Of a trust anchor the library does not ask this, and trusting
/// a signer's certificate must not make the signer an authority.
fn check_authority(service: &'static str, certificate: &Certificate) -> Result<(), KeylessError> {
    let tbs = &certificate.tbs_certificate;
    let malformed = |error| refused(service, format_args!("a certificate is malformed: {error}"));
    let authority = tbs.get::<BasicConstraints>().map_err(malformed)?.is_some_and(|(_, constraints)| constraints.ca);
    let signs = tbs.get::<KeyUsage>().map_err(malformed)?.is_none_or(|(_, usage)| usage.key_cert_sign());
    if authority && signs {
        return Ok(());
    }
    Err(refused(service, format_args!("the certificate of \"{}\" is not an authority's", tbs.subject)))
}

fn time_stamp_authority(chain: &[Listed]) -> Result<Value, KeylessError> {
    if chain.len() < 2 {
        return Err(refused(TSA, "not a chain of at least two certificates, the authority's first and the root last"));
    }
    for ((certificate, _), (issuer, _)) in chain.iter().zip(chain.iter().skip(1).chain(chain.last())) {
        if certificate.tbs_certificate.issuer != issuer.tbs_certificate.subject {
            return Err(refused(TSA, "each certificate must be followed by its issuer's, and the root must be last"));
        }
        check_authority(TSA, issuer)?;
    }
    Ok(authority(chain))
}

fn authority(chain: &[Listed]) -> Value {
    let list: Vec<Value> = chain.iter().map(|(_, der)| json!({"rawBytes": BASE64_STANDARD.encode(der)})).collect();
    json!({"uri": NO_ADDRESS, "certChain": {"certificates": list}, "validFor": valid_for(chain)})
}

/// While every certificate is valid. The library does not look at a trust anchor's own dates.
fn valid_for(chain: &[Listed]) -> Value {
    let dates = || chain.iter().map(|(certificate, _)| &certificate.tbs_certificate.validity);
    let start = dates().map(|validity| validity.not_before.to_date_time()).max();
    // The last second of the year 9999 stands for no end (RFC 5280, section 4.1.2.5); the library cannot hold that time.
    let ends = dates().map(|validity| validity.not_after.to_date_time()).filter(|end| *end != DateTime::INFINITY);
    json!({"start": start.map(|date| date.to_string()), "end": ends.min().map(|date| date.to_string())})
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_cert::{
        der::{asn1::OctetString, oid::AssociatedOid as _},
        time::Time,
    };

    /// The first of June.
    fn date(year: u16) -> Time {
        let date = DateTime::new(year, 6, 1, 0, 0, 0).expect("a date");
        Time::UtcTime(x509_cert::der::asn1::UtcTime::from_date_time(date).expect("before 2050"))
    }

    fn fixture() -> Value {
        serde_json::from_str(include_str!("../../../tests/fixtures/keyless/trusted_root.json")).expect("JSON")
    }

    fn chain(of: &str) -> Vec<Listed> {
        let certificates = fixture()[of][0]["certChain"]["certificates"].take();
        let list = certificates.as_array().expect("a chain").iter();
        list.map(|one| {
            let der = BASE64_STANDARD.decode(one["rawBytes"].as_str().expect("text")).expect("base64");
            (Certificate::from_der(&der).expect("a certificate"), CertificateDer::from(der))
        })
        .collect()
    }

    #[test]
    fn an_authority_that_expired_is_trusted_for_its_own_time_alone() {
        let window = json!({"start": "2026-01-02T03:04:05Z", "end": "2027-01-02T03:04:05Z"});
        assert_eq!(valid_for(&chain("certificateAuthorities")), window);
        let mut stamps = chain("timestampAuthorities");
        assert_eq!(valid_for(&stamps), window);
        let validity = &mut stamps[0].0.tbs_certificate.validity;
        (validity.not_before, validity.not_after) = (date(2025), date(2030));
        assert_eq!(valid_for(&stamps), window);
        let validity = &mut stamps[0].0.tbs_certificate.validity;
        (validity.not_before, validity.not_after) = (date(2026), Time::INFINITY);
        stamps[1].0.tbs_certificate.validity.not_after = Time::INFINITY;
        assert_eq!(valid_for(&stamps), json!({"start": "2026-06-01T00:00:00Z", "end": null}));
    }

    #[test]
    fn an_authority_may_certify_by_its_constraints_and_by_its_usage() {
        let root = &chain("certificateAuthorities")[0].0;
        assert!(check_authority(FULCIO, root).is_ok());
        for (id, other, allowed) in [
            (BasicConstraints::OID, None, false),
            (BasicConstraints::OID, Some(vec![0x30, 0]), false),
            (KeyUsage::OID, Some(vec![3, 2, 7, 0x80]), false),
            (KeyUsage::OID, None, true),
        ] {
            let mut edited = root.clone();
            let list = edited.tbs_certificate.extensions.as_mut().expect("extensions");
            match other {
                None => list.retain(|extension| extension.extn_id != id),
                Some(value) => {
                    let extension = list.iter_mut().find(|extension| extension.extn_id == id).expect("the extension");
                    extension.extn_value = OctetString::new(value).expect("short");
                }
            }
            assert_eq!(check_authority(FULCIO, &edited).is_ok(), allowed, "{id}");
        }
    }

    #[test]
    fn a_chain_of_time_stamps_needs_issuers_that_may_certify_and_a_root() {
        let good = chain("timestampAuthorities");
        assert!(time_stamp_authority(&good).is_ok());
        let mut no_authority = good.clone();
        no_authority[1].0.tbs_certificate.extensions = None;
        assert!(time_stamp_authority(&no_authority).is_err());
        let mut no_root = good;
        no_root[1].0.tbs_certificate.issuer = "CN=another".parse().expect("a name");
        assert!(time_stamp_authority(&no_root).is_err());
    }

    #[test]
    fn keys_of_every_type_have_the_names_of_the_specification() {
        let keys = |name: &str| {
            let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../envelope/tests/fixtures/keys");
            std::fs::read_to_string(format!("{directory}/{name}.pem")).expect("a key")
        };
        for (name, details) in [
            ("p256", "PKIX_ECDSA_P256_SHA_256"),
            ("p384", "PKIX_ECDSA_P384_SHA_384"),
            ("ed25519", "PKIX_ED25519"),
            ("rsa2048", "PKIX_RSA_PKCS1V15_2048_SHA256"),
            ("rsa4096", "PKIX_RSA_PKCS1V15_4096_SHA256"),
        ] {
            assert_eq!(log(REKOR, &keys(name)).expect(name)["publicKey"]["keyDetails"], details);
        }
    }
}
