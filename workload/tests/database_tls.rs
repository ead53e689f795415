//! The way to a database that somebody else may try to stand in for.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use axum::{Router, http::Uri};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_contract::Contract;
use csign_tests::postgres::{Postgres, USER};
use p256::{ecdsa::signature::Signer as _, pkcs8::EncodePrivateKey as _};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyIdMethod, PKCS_ECDSA_P256_SHA256, SignatureAlgorithm,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use support::{contract_toml, words};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use workload::{Metrics, Recorded, Setting, State, StateError};

const PASSWORD: &str = "correct-horse-battery";
const SECRET: &str = "projects/operator/secrets/database/versions/1";

/// A key that certificates are made with.
struct Key {
    key: p256::ecdsa::SigningKey,
    point: Vec<u8>,
}

impl Key {
    fn new(seed: u8) -> Self {
        let key = p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap();
        let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Self { key, point }
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: p256::ecdsa::Signature = self.key.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

/// A certificate authority.
struct Authority {
    params: CertificateParams,
    key: Key,
}

impl Authority {
    fn new(seed: u8) -> Self {
        let mut params = params(seed, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { params, key: Key::new(seed) }
    }

    fn pem(&self) -> String {
        self.params.self_signed(&self.key).unwrap().pem()
    }

    fn der(&self) -> CertificateDer<'static> {
        self.params.self_signed(&self.key).unwrap().der().clone()
    }

    /// A server's certificate and key.
    fn server(&self, seed: u8, name: &str) -> (rcgen::Certificate, Key) {
        let key = Key::new(seed);
        let issuer = Issuer::from_params(&self.params, &self.key);
        (params(seed, &[name]).signed_by(&key, &issuer).unwrap(), key)
    }
}

fn params(seed: u8, names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    params.serial_number = Some(u64::from(seed).into());
    params.key_identifier_method = KeyIdMethod::PreSpecified(vec![seed; 20]);
    params
}

/// A server that demands TLS and a password from everyone but the test itself.
fn server(authority: &Authority, name: &str) -> Option<Postgres> {
    let (certificate, key) = authority.server(2, name);
    let change = |data: &Path| {
        fs::write(data.join("server.crt"), certificate.pem()).unwrap();
        let key_file = data.join("server.key");
        fs::write(&key_file, key.key.to_pkcs8_pem(p256::pkcs8::LineEnding::LF).unwrap()).unwrap();
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
        let hba = data.join("pg_hba.conf");
        let trust = fs::read_to_string(&hba).unwrap();
        let rules = "hostssl all remote all scram-sha-256\nhostnossl all remote all reject\n";
        fs::write(&hba, format!("{rules}{trust}")).unwrap();
    };
    let server = Postgres::start_with(&["ssl=on"], change)?;
    server.query(
        USER,
        &format!("CREATE ROLE remote LOGIN PASSWORD '{PASSWORD}'; GRANT CREATE ON DATABASE {USER} TO remote"),
    );
    Some(server)
}

/// The metadata server and Secret Manager, as far as a password goes.
async fn secret_manager(password: &str, checksum: u32) -> SocketAddr {
    let secret = BASE64_STANDARD.encode(password);
    let answer = move |uri: Uri| async move {
        if uri.path() == format!("/v1/{SECRET}:access") {
            format!(r#"{{"name":"{SECRET}","payload":{{"data":"{secret}","dataCrc32c":"{checksum}"}}}}"#)
        } else {
            r#"{"access_token":"machine-token","expires_in":3600,"token_type":"Bearer"}"#.to_owned()
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
    address
}

fn contract(host: &str, port: u16, authority: Option<&Authority>) -> Contract {
    let ca = authority.map(|authority| format!("ca = \"\"\"\n{}\"\"\"\n", authority.pem())).unwrap_or_default();
    let url = format!("postgresql://remote@{host}:{port}/{USER}");
    let state = format!("[state]\nkind = \"postgres\"\nurl = \"{url}\"\npassword_secret = \"{SECRET}\"\n{ca}");
    Contract::from_toml(&(contract_toml(&["pin".to_owned()]) + &state)).unwrap()
}

async fn open(contract: &Contract, password: &str) -> Result<State, StateError> {
    open_with(contract, password, crc32c::crc32c(password.as_bytes())).await
}

async fn open_with(contract: &Contract, password: &str, checksum: u32) -> Result<State, StateError> {
    let _ = rustls_graviola::default_provider().install_default();
    let simulator = secret_manager(password, checksum).await.to_string();
    let setting = Setting { root: "/nonexistent".into(), simulator: Some(simulator) };
    State::open(contract, &setting, &Metrics::new(contract)).await
}

#[tokio::test]
async fn a_database_is_reached_over_tls_with_a_password_from_secret_manager() {
    let authority = Authority::new(1);
    let Some(server) = server(&authority, "localhost") else { return };
    let contract = contract("localhost", server.port(), Some(&authority));
    let state = open(&contract, PASSWORD).await.unwrap();
    let counted = state.count("c1", "m1", &words(&[("alice", 1)])).await.unwrap();
    assert!(matches!(counted, Recorded::Counted(_)));
    let sessions =
        "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'remote' AND ssl";
    let sessions: u32 = server.query(USER, sessions)[0][0].as_deref().unwrap().parse().unwrap();
    assert!(sessions >= 1);
}

#[tokio::test]
async fn a_database_that_cannot_prove_who_it_is_gets_no_password() {
    let authority = Authority::new(1);
    let Some(server) = server(&authority, "localhost") else { return };
    let refused = async |contract: &Contract, password: &str, reason: &str| {
        let error = open(contract, password).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains(PASSWORD) && !error.contains("machine-token"), "{error}");
    };
    // Another authority, another name, no TLS in the contract, another password.
    refused(&contract("localhost", server.port(), Some(&Authority::new(9))), PASSWORD, "certificate").await;
    refused(&contract("127.0.0.1", server.port(), Some(&authority)), PASSWORD, "certificate").await;
    refused(&contract("localhost", server.port(), None), PASSWORD, "pg_hba.conf rejects connection").await;
    refused(&contract("localhost", server.port(), Some(&authority)), "wrong", "password authentication failed").await;
    let damaged = open_with(&contract("localhost", server.port(), Some(&authority)), PASSWORD, 7).await.unwrap_err();
    assert_eq!(damaged, StateError::Password("the checksum of the secret is wrong".to_owned()));
    // A server without TLS is not talked to in the clear instead.
    let Some(plain) = Postgres::start() else { return };
    refused(&contract("localhost", plain.port(), Some(&authority)), PASSWORD, "TLS").await;
}

/// Ends the client's TLS with a certificate that the client accepts, and passes everything on to the real server over TLS
/// of its own.
async fn relay(server: u16, certificate: &rcgen::Certificate, key: &Key, authority: &Authority) -> u16 {
    const REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    let provider = Arc::new(rustls_graviola::default_provider());
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.key.to_pkcs8_der().unwrap().as_bytes().to_vec()));
    let mut accepting = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    accepting.alpn_protocols = vec![b"postgresql".to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let connecting = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (acceptor, connector) = (TlsAcceptor::from(Arc::new(accepting)), TlsConnector::from(Arc::new(connecting)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (acceptor, connector) = (acceptor.clone(), connector.clone());
            tokio::spawn(async move {
                let mut asked = [0; 8];
                client.read_exact(&mut asked).await?;
                client.write_all(b"S").await?;
                let mut client = acceptor.accept(client).await?;
                let mut upstream = TcpStream::connect(("127.0.0.1", server)).await?;
                upstream.write_all(&REQUEST).await?;
                upstream.read_exact(&mut asked[..1]).await?;
                let mut upstream = connector.connect("localhost".try_into().unwrap(), upstream).await?;
                copy_bidirectional(&mut client, &mut upstream).await
            });
        }
    });
    port
}

#[tokio::test]
async fn a_relay_with_a_certificate_of_the_same_authority_gets_nothing_out_of_the_password() {
    let authority = Authority::new(1);
    let Some(server) = server(&authority, "localhost") else { return };
    // With the server's own certificate and key it is the server.
    let (certificate, key) = authority.server(2, "localhost");
    let port = relay(server.port(), &certificate, &key, &authority).await;
    open(&contract("localhost", port, Some(&authority)), PASSWORD).await.unwrap();
    // With another one, the proof of the password is bound to the wrong channel.
    let (certificate, key) = authority.server(3, "localhost");
    let port = relay(server.port(), &certificate, &key, &authority).await;
    let error = open(&contract("localhost", port, Some(&authority)), PASSWORD).await.unwrap_err();
    assert!(error.to_string().contains("SCRAM channel binding check failed"), "{error}");
}
