//! A TLS connection to a workload's ingest endpoint, and what binds an attestation token to it.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use csign_attestation::LIMITS;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls13_signature},
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::failure::Failure;

/// From connecting to the end of the handshake, and for each answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Label of the exported keying material (RFC 9266, section 4.2): `tls-exporter`.
const EXPORTER: &[u8] = b"EXPORTER-Channel-Binding";

/// What a client shows: certificates, its own first, and their key.
pub(crate) struct Identity {
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// A connection whose other end is nobody yet: until a token with [`Connection::binding`] in it is verified, nothing that
/// matters may be sent.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    binding: String,
}

impl Connection {
    /// Connects with TLS 1.3 and asks for `server_name`.
    ///
    /// Whatever certificate the server shows is taken, because no authority could vouch for a key that was made inside
    /// the machine. The server must still prove its key, or the keying material would not be of one connection.
    pub(crate) async fn open(address: SocketAddr, server_name: &str, identity: Identity) -> Result<Self, Failure> {
        let provider = Arc::new(rustls_graviola::default_provider());
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(Failure::could_not_check)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ProvenByToken(provider)))
            .with_client_auth_cert(identity.certificates, identity.key)
            .map_err(|error| Failure::usage(format_args!("the client's certificate and key: {error}")))?;
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(server_name.to_owned()).map_err(Failure::usage)?;
        let handshake = async {
            let stream = TcpStream::connect(address).await?;
            TlsConnector::from(Arc::new(config)).connect(name, stream).await
        };
        let stream = tokio::time::timeout(TIMEOUT, handshake)
            .await
            .map_err(|_| Failure::could_not_check(format_args!("{address} does not answer")))?
            .map_err(|error| {
                Failure::could_not_check(format_args!("connecting to {address} with TLS 1.3: {error}"))
                    .hint("is this the ingest port, and is the certificate signed by the contract's client_ca?")
            })?;
        let material = stream
            .get_ref()
            .1
            .export_keying_material([0; 32], EXPORTER, Some(b""))
            .map_err(|error| Failure::could_not_check(format_args!("exporting keying material: {error}")))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unanswered)?;
        tokio::spawn(connection);
        Ok(Self { sender, binding: BASE64_URL_SAFE_NO_PAD.encode(material) })
    }

    /// What only the two ends of this connection know: the nonce that the token must have.
    pub(crate) fn binding(&self) -> &str {
        &self.binding
    }

    /// One request and its answer, whose body is cut off nowhere: more than a token may have is refused.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "workload")
            .body(Full::new(body))
            .map_err(Failure::could_not_check)?;
        let exchange = async {
            let answer = self.sender.send_request(request).await.map_err(unanswered)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LIMITS.token_bytes).collect().await;
            Ok((status, body.map_err(unanswered)?.to_bytes()))
        };
        tokio::time::timeout(TIMEOUT, exchange).await.map_err(unanswered)?
    }
}

fn unanswered(error: impl fmt::Display) -> Failure {
    Failure::could_not_check(format_args!("the endpoint does not answer: {error}"))
        .hint("is the certificate signed by the contract's client_ca of this collaborator?")
}

/// Takes any certificate, and insists that its key signs this handshake.
#[derive(Debug)]
struct ProvenByToken(Arc<CryptoProvider>);

impl ServerCertVerifier for ProvenByToken {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    /// TLS 1.2 is not offered.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::HandshakeNotComplete)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
