//! Who the ingest endpoint is, and whom it lets in: a key of its own that never leaves the machine, and one certificate
//! authority for each collaborator.

use std::{collections::BTreeMap, sync::Arc};

use csign_contract::{CollaboratorIngest, Contract};
use p256::{
    ecdsa::{Signature, signature::Signer as _},
    pkcs8::EncodePrivateKey as _,
};
use rcgen::{
    CertificateParams, DnType, PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm, SigningKey,
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No key could be made.
    #[error("making the ingest endpoint's key: {0}")]
    Key(String),
    /// A collaborator's certificate authority is none.
    #[error("the client_ca of {collaborator}: {why}")]
    Authority {
        /// Whose.
        collaborator: String,
        /// What is wrong with it.
        why: String,
    },
}

/// How to speak TLS with one collaborator's clients.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) collaborator: String,
    pub(crate) config: Arc<ServerConfig>,
}

/// One door for each server name. A client that asks for no name, or another, finds none.
pub(crate) struct Doors(BTreeMap<String, Door>);

impl Doors {
    /// Makes a fresh key and a certificate for it, and one configuration for each collaborator that sends over TLS.
    ///
    /// # Errors
    /// No randomness, or a `client_ca` that is no certificate.
    pub(crate) fn new(contract: &Contract) -> Result<Self, IdentityError> {
        let provider = Arc::new(rustls_graviola::default_provider());
        let names = contract.collaborators().filter_map(|(_, collaborator)| collaborator.ingest.as_ref());
        let key = fresh_key(names.map(|ingest| ingest.server_name.clone()).collect(), &provider)?;
        let mut doors = BTreeMap::new();
        for (party, collaborator) in contract.collaborators() {
            let Some(ingest) = &collaborator.ingest else { continue };
            let config = config(ingest, &provider, &key)
                .map_err(|why| IdentityError::Authority { collaborator: party.name.clone(), why })?;
            let door = Door { collaborator: party.name.clone(), config: Arc::new(config) };
            doors.insert(ingest.server_name.clone(), door);
        }
        Ok(Self(doors))
    }

    /// The door behind a server name.
    pub(crate) fn find(&self, server_name: Option<&str>) -> Option<&Door> {
        self.0.get(&server_name?.to_ascii_lowercase())
    }

    pub(crate) fn collaborators(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|door| door.collaborator.as_str())
    }
}

/// TLS 1.3 only; a client certificate under this collaborator's authority is required; no resumption, so that every
/// connection proves it anew, and no early data, which could be replayed.
fn config(
    ingest: &CollaboratorIngest,
    provider: &Arc<CryptoProvider>,
    key: &Arc<SingleCertAndKey>,
) -> Result<ServerConfig, String> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from(ingest.client_ca.der().to_vec());
    roots.add(authority).map_err(|error| error.to_string())?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| error.to_string())?;
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::<SingleCertAndKey>::clone(key));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A P-256 key and a certificate that it signs itself. Nobody trusts the certificate: a client believes the attestation
/// token that names the connection.
fn fresh_key(names: Vec<String>, provider: &CryptoProvider) -> Result<Arc<SingleCertAndKey>, IdentityError> {
    let failed = |why: &dyn std::fmt::Display| IdentityError::Key(why.to_string());
    let key = loop {
        let mut scalar = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(scalar.as_mut()).map_err(|error| failed(&error))?;
        // One in 2^32 candidates is no scalar of the curve.
        if let Ok(key) = p256::ecdsa::SigningKey::from_slice(scalar.as_ref()) {
            break key;
        }
    };
    let der = key.to_pkcs8_der().map_err(|error| failed(&error))?;
    let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
    let mut params = CertificateParams::new(names).map_err(|error| failed(&error))?;
    params.distinguished_name.push(DnType::CommonName, "csign ingest");
    // There is only one certificate of this issuer.
    params.serial_number = Some(SerialNumber::from(1_u64));
    let certificate = params.self_signed(&CertificateKey { key, point }).map_err(|error| failed(&error))?;
    let private = PrivateKeyDer::Pkcs8(der.as_bytes().to_vec().into());
    let signer = provider.key_provider.load_private_key(private).map_err(|error| failed(&error))?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signer).into()))
}

struct CertificateKey {
    key: p256::ecdsa::SigningKey,
    /// Uncompressed (SEC 1, section 2.3.3).
    point: Vec<u8>,
}

impl PublicKeyData for CertificateKey {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for CertificateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature = self.key.try_sign(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature.to_der().as_bytes().to_vec())
    }
}
