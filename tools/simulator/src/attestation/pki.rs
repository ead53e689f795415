//! The certificates of PKI tokens: root, intermediate and leaf, which follow from the seed as the keys do. Made when
//! first asked for, so that starting the simulator stays quick.

use std::sync::{Arc, OnceLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose,
    PublicKeyData, SignatureAlgorithm, SigningKey, date_time_ymd,
};
use rsa::pkcs1::EncodeRsaPublicKey as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::key::IssuerKey;
use crate::{Error, Result, iam::hex};

/// The chain of one simulator; clones share it.
#[derive(Clone)]
pub(crate) struct Pki {
    seed: Arc<str>,
    chain: Arc<OnceLock<Chain>>,
}

/// DER of leaf, intermediate and root, and the leaf's key.
pub(crate) struct Chain {
    certificates: [Vec<u8>; 3],
    pub(crate) leaf: IssuerKey,
}

impl Pki {
    pub(crate) fn new(seed: &str) -> Self {
        Self { seed: seed.into(), chain: Arc::default() }
    }

    /// The chain, made now if it was not yet.
    pub(crate) fn chain(&self) -> Result<&Chain> {
        if let Some(chain) = self.chain.get() {
            return Ok(chain);
        }
        // Two that make it at once make the same one.
        let chain = Chain::of(&self.seed)?;
        Ok(self.chain.get_or_init(|| chain))
    }
}

impl Chain {
    fn of(seed: &str) -> Result<Self> {
        let key = |name| IssuerKey::named(seed, name).and_then(Key::new);
        let [root_key, intermediate_key, leaf_key] = [key("pki root")?, key("pki intermediate")?, key("pki leaf")?];
        let failed = |error: rcgen::Error| Error::Key(format!("a certificate: {error}"));
        let authority = |name| {
            let mut params = params(name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params
        };
        let root_params = authority("Simulator Attestation Root");
        let root = root_params.self_signed(&root_key).map_err(failed)?;
        let root_issuer = Issuer::new(root_params, root_key);
        let intermediate_params = authority("Simulator Attestation Intermediate");
        let intermediate = intermediate_params.signed_by(&intermediate_key, &root_issuer).map_err(failed)?;
        let issuer = Issuer::new(intermediate_params, intermediate_key);
        let mut leaf_params = params("Simulator Attestation Signer");
        leaf_params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let leaf = leaf_params.signed_by(&leaf_key, &issuer).map_err(failed)?;
        let certificates = [leaf, intermediate, root].map(|certificate| certificate.der().to_vec());
        Ok(Self { certificates, leaf: leaf_key.key })
    }

    /// The header of a PKI token: standard base64, leaf first, no `kid`.
    pub(crate) fn header(&self) -> Value {
        let x5c = self.certificates.each_ref().map(|der| STANDARD.encode(der));
        json!({"alg": "RS256", "typ": "JWT", "x5c": x5c})
    }

    /// sha256 of the root's DER in hex: what a contract pins.
    pub(crate) fn root_fingerprint(&self) -> String {
        let [.., root] = &self.certificates;
        hex(&Sha256::digest(root))
    }

    /// The root in PEM.
    pub(crate) fn root_pem(&self) -> String {
        let [.., root] = &self.certificates;
        let text = STANDARD.encode(root);
        let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }
}

/// The dates are fixed: the same seed has the same certificates, and a moved clock does not leave them.
fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Simulator, worth nothing");
    params.distinguished_name.push(DnType::CommonName, name);
    let id = Sha256::digest(name);
    params.serial_number = Some(id[..8].iter().map(|byte| byte & 0x7f | 1).collect::<Vec<u8>>().into());
    params.key_identifier_method = KeyIdMethod::PreSpecified(id[..20].to_vec());
    params.use_authority_key_identifier_extension = true;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params
}

/// An RSA key as rcgen takes one.
struct Key {
    key: IssuerKey,
    public: Vec<u8>,
}

impl Key {
    fn new(key: IssuerKey) -> Result<Self> {
        let public = key.public().to_pkcs1_der().map_err(|e| Error::Key(format!("encoding a public key: {e}")))?;
        Ok(Self { public: public.as_bytes().to_vec(), key })
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.key.sign(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEMO_SEED;

    #[test]
    fn one_seed_has_one_chain() {
        let [one, two] = [(); 2].map(|()| Chain::of(DEMO_SEED).expect("makes"));
        assert_eq!(one.certificates, two.certificates);
        assert_eq!(one.root_fingerprint().len(), 64);
    }
}
