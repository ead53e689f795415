//! Certificate authorities of collaborators, and what their clients present: honest and not.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::EncodePrivateKey as _,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm, date_time_ymd,
};

/// A key of P-256.
pub struct Key {
    signing: SigningKey,
    point: Vec<u8>,
}

/// A certificate and its key, in DER.
pub struct Identity {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

/// A collaborator's certificate authority.
pub struct Authority {
    issuer: Issuer<'static, Key>,
    certificate: Vec<u8>,
}

/// PEM of DER bytes.
pub fn pem(label: &str, der: &[u8]) -> String {
    let lines = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = lines.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

impl Key {
    fn new() -> Self {
        let mut scalar = [0; 32];
        getrandom::fill(&mut scalar).unwrap();
        let signing = SigningKey::from_slice(&scalar).unwrap();
        let point = signing.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Self { signing, point }
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature = self.signing.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = Key::new();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(1_u64.into());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub fn pem(&self) -> String {
        csign_contract::Certificate::from_der(&self.certificate).unwrap().pem()
    }

    /// What an honest client presents.
    pub fn client(&self) -> Identity {
        self.issue(|_| {})
    }

    pub fn expired(&self) -> Identity {
        self.issue(|params| params.not_after = date_time_ymd(2001, 1, 1))
    }

    /// For servers only.
    pub fn server(&self) -> Identity {
        self.issue(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])
    }

    /// Signed by its own key.
    pub fn own(&self) -> Identity {
        let key = Key::new();
        let certificate = client_params().self_signed(&key).unwrap().der().to_vec();
        Identity { certificate, key: key.signing.to_pkcs8_der().unwrap().as_bytes().to_vec() }
    }

    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = Key::new();
        let mut params = client_params();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Identity { certificate, key: key.signing.to_pkcs8_der().unwrap().as_bytes().to_vec() }
    }
}

fn client_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "client");
    params.serial_number = Some(2_u64.into());
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}
