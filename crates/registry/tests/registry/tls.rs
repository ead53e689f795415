//! TLS: whose certificates are trusted.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::Arc,
};

use bytes::Bytes;
use csign_registry::{Client, Error};
use rustls::{
    ServerConfig, ServerConnection, Stream,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use simulator::registry::{Effect, Fault};

use crate::support::{Bench, blob, builder};

const AUTHORITY: &[u8] = include_bytes!("../fixtures/tls/ca.pem");
const CONTENT: &[u8] = b"content";

/// Answers every connection to `localhost` with [`CONTENT`]; returns the port. A test's process ends it.
fn serve() -> u16 {
    let certificate =
        CertificateDer::from_pem_slice(include_bytes!("../fixtures/tls/server.pem")).expect("certificate");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../fixtures/tls/server.key")).expect("key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("configuration");
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").expect("a port"));
    let port = listener.local_addr().expect("address").port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut tcp = connection.expect("connection");
            let mut tls = ServerConnection::new(config.clone()).expect("connection");
            let mut stream = Stream::new(&mut tls, &mut tcp);
            // A client that does not trust the certificate ends the handshake.
            if stream.read(&mut [0; 4096]).is_ok() {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", CONTENT.len());
                stream.write_all(&[head.as_bytes(), CONTENT].concat()).expect("answer");
                stream.flush().expect("answer");
            }
        }
    });
    port
}

/// Fetches a blob that the registry has on a host with TLS, which it refers to as `host`.
async fn fetch(client: Client, host: &str) -> Result<Vec<u8>, Error> {
    let bench = Bench::new().await;
    let location = format!("https://{host}:{}/blob", serve());
    let redirect = Effect::Answer(307, vec![("location", location)], Bytes::new());
    bench.registry.inject(Fault::on("/blobs/", redirect).times(9));
    client.blob(&bench.repository, &blob(CONTENT)).await
}

#[tokio::test]
async fn a_certificate_of_the_given_authority_is_trusted() {
    let client = builder().authorities(AUTHORITY.to_vec()).build().expect("client");
    assert_eq!(fetch(client, "localhost").await.expect("trusted"), CONTENT);
}

#[tokio::test]
async fn other_certificates_are_refused_at_once() {
    let default_roots = builder().build().expect("client");
    let error = fetch(default_roots, "localhost").await.expect_err("unknown authority");
    assert!(matches!(error, Error::Certificate { .. }), "{error:?}");
    let client = builder().authorities(AUTHORITY.to_vec()).build().expect("client");
    let error = fetch(client, "127.0.0.1").await.expect_err("a certificate for another name");
    assert!(matches!(error, Error::Certificate { .. }), "{error:?}");
}
