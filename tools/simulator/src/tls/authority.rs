//! The certificate authority and the one server certificate that it issues.
//!
//! The keys are random at every start unless the configuration gives a seed: whoever has put this authority among the
//! trusted ones of a machine would otherwise trust everybody who can read a public seed. It is confined to the trees of
//! the names that are served (RFC 5280, section 4.2.1.10) either way.

use std::{fmt, sync::Arc};

use p256::{
    ecdsa::{DerSignature, signature::Signer as _},
    pkcs8::EncodePrivateKey as _,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyIdMethod, KeyUsagePurpose, NameConstraints, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
    SigningKey,
};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};

use super::names::{self, NAMES, TREES};
use crate::{Error, Result, derive, iam::hex};

/// First and last year of both certificates: fixed, so that a seed determines every byte.
const YEARS: (i32, i32) = (2024, 2064);

/// The authority's certificate, and what the server needs.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    pem: String,
    server: Arc<ServerConfig>,
}

impl Authority {
    /// Makes keys and certificates: of this seed, or random ones.
    pub(crate) fn new(seed: Option<&str>) -> Result<Self> {
        let seed = match seed {
            Some(seed) => seed.to_owned(),
            None => {
                let mut random = [0; 32];
                getrandom::fill(&mut random).map_err(|e| Error::Key(format!("no randomness: {e}")))?;
                hex(&random)
            }
        };
        let wrong = |e: rcgen::Error| Error::Key(format!("a certificate: {e}"));
        let authority = Key::derive(&seed, "certificate authority")?;
        let server = Key::derive(&seed, "server")?;
        let mut params = params("Simulator (worthless outside simulations)", &authority);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: TREES.map(|tree| GeneralSubtree::DnsName(tree.to_owned())).to_vec(),
            excluded_subtrees: Vec::new(),
        });
        let root = params.self_signed(&authority).map_err(wrong)?;
        let issuer = Issuer::new(params, authority);
        let mut leaf = self::params("simulator", &server);
        let names = NAMES.iter().map(|name| name.to_string().try_into().map(SanType::DnsName));
        leaf.subject_alt_names = names.collect::<std::result::Result<_, _>>().map_err(wrong)?;
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = leaf.signed_by(&server, &issuer).map_err(wrong)?;
        let server = server_config(vec![leaf.der().clone()], server.pkcs8()?)?;
        Ok(Self { pem: root.pem(), server: Arc::new(server) })
    }

    /// The authority's certificate, for clients to trust.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }
}

/// What both certificates have in common.
fn params(name: &str, key: &Key) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    let id = &Sha256::digest(&key.point)[..16];
    // A serial number is a positive integer: the first bit must not be set.
    let mut serial = id.to_vec();
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from(serial));
    params.key_identifier_method = KeyIdMethod::PreSpecified(id.to_vec());
    params.not_before = rcgen::date_time_ymd(YEARS.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(YEARS.1, 1, 1);
    params
}

fn server_config(
    chain: Vec<rustls::pki_types::CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig> {
    let wrong = |e: rustls::Error| Error::Key(format!("TLS: {e}"));
    let provider = rustls_graviola::default_provider();
    let key = provider.key_provider.load_private_key(key).map_err(wrong)?;
    let only = OnlyServed(Arc::new(CertifiedKey::new(chain, key)));
    let builder = ServerConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(wrong)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(only));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Answers only clients that name a served host.
#[derive(Debug)]
struct OnlyServed(Arc<CertifiedKey>);

impl ResolvesServerCert for OnlyServed {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        hello.server_name().is_some_and(names::serves).then(|| Arc::clone(&self.0))
    }
}

/// A P-256 key as rcgen wants it.
struct Key {
    private: p256::ecdsa::SigningKey,
    point: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

impl Key {
    fn derive(seed: &str, name: &str) -> Result<Self> {
        let private = derive::p256_key(seed, &format!("tls {name}"))?;
        let point = private.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Ok(Self { private, point })
    }

    fn pkcs8(&self) -> Result<PrivateKeyDer<'static>> {
        let der = p256::SecretKey::from(&self.private).to_pkcs8_der();
        let der = der.map_err(|e| Error::Key(format!("the server's key: {e}")))?;
        Ok(PrivatePkcs8KeyDer::from(der.as_bytes().to_vec()).into())
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, rcgen::Error> {
        let signature: DerSignature = self.private.try_sign(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_determines_every_byte_and_without_one_every_authority_differs() {
        let pem = |seed| Authority::new(seed).expect("makes").pem;
        assert_eq!(pem(Some("a")), pem(Some("a")));
        assert_ne!(pem(Some("a")), pem(Some("b")));
        assert_ne!(pem(None), pem(None));
    }
}
