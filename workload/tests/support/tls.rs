//! Clients of the ingest endpoint, and servers that pretend to be it.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection, SignatureScheme,
    StreamOwned, SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    version::{TLS12, TLS13},
};

use super::{
    COLLABORATORS, PARTIES, Running, Site,
    authority::{Authority, Identity},
    kms_key,
};

pub const NAMES: [&str; 2] = ["one.ingest", "two.ingest"];

pub struct Scene {
    pub site: Site,
    pub authorities: [Authority; 2],
}

impl Scene {
    pub async fn new() -> Self {
        let authorities = ["one", "two"].map(Authority::new);
        let mut site = Site::with_contract(|text| {
            let mut text = text.replace("[messages]", "[ingest]\nport = 0\n[messages]");
            for (index, collaborator) in COLLABORATORS.into_iter().enumerate() {
                let table = format!(
                    "[party.collaborator.ingest]\nserver_name = \"{}\"\nclient_ca = \"\"\"\n{}\"\"\"\n",
                    NAMES[index],
                    authorities[index].pem()
                );
                let key = kms_key(collaborator);
                let line = text.lines().find(|line| line.contains(&format!("kms_key = \"{key}\""))).unwrap().to_owned();
                let start = text.find(&line).unwrap();
                let end = text[start..].find("identity_provider").unwrap() + start;
                let end = text[end..].find('\n').unwrap() + end + 1;
                text.insert_str(end, &table);
            }
            text
        })
        .await;
        site.sign_in_token(&PARTIES);
        site.listen(Arc::new(|_, _| {}));
        Self { site, authorities }
    }

    pub fn client(&self, index: usize) -> Client {
        Client {
            server_name: NAMES[index].to_owned(),
            identity: Some(self.authorities[index].client()),
            ..Client::default()
        }
    }
}

pub fn address(running: &Running) -> SocketAddr {
    let events = running.log.events();
    let event = events.iter().find(|event| event["event"] == "listening" && event["port"] == "ingest").unwrap();
    event["address"].as_str().unwrap().parse().unwrap()
}

/// How a test connects.
#[derive(Default)]
pub struct Client {
    pub server_name: String,
    pub identity: Option<Identity>,
    pub tls12: bool,
}

pub type Stream = StreamOwned<ClientConnection, TcpStream>;

impl Client {
    pub fn named(server_name: &str) -> Self {
        Self { server_name: server_name.to_owned(), ..Self::default() }
    }

    /// The handshake, including the server's verdict about the client's certificate. In TLS 1.3 that arrives with the
    /// first answer, so one is asked for.
    pub fn connect(self, address: SocketAddr) -> Result<Stream, std::io::Error> {
        let provider = Arc::new(rustls_graviola::default_provider());
        let versions = if self.tls12 { vec![&TLS12] } else { vec![&TLS13] };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)));
        let config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from(identity.certificate)],
                    PrivateKeyDer::Pkcs8(identity.key.into()),
                )
                .unwrap(),
        };
        let (name, sni) = match self.server_name.as_str() {
            "" => (ServerName::from(address.ip()), false),
            name => (ServerName::try_from(name.to_owned()).unwrap(), true),
        };
        let mut config = config;
        config.enable_sni = sni;
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        stream.conn.complete_io(&mut stream.sock)?;
        let (status, _) = ask(&mut stream, "GET", "/nothing", b"")?;
        assert_eq!(status, 404);
        Ok(stream)
    }
}

#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
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

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
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

/// One request and its answer.
pub fn ask(stream: &mut Stream, method: &str, path: &str, body: &[u8]) -> Result<(u16, String), std::io::Error> {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat())?;
    stream.flush()?;
    answer(stream)
}

pub fn answer(stream: &mut Stream) -> Result<(u16, String), std::io::Error> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body)?;
    Ok((head.split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap()))
}

/// The bytes of one answer.
pub fn answer_bytes(stream: &mut Stream) -> Result<Vec<u8>, std::io::Error> {
    let (status, body) = answer(stream)?;
    Ok(format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

/// A server of anyone's: it asks for no certificate.
pub fn server(versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
    let identity = Authority::new("impostor").server();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(identity.certificate)], PrivateKeyDer::Pkcs8(identity.key.into()));
    Arc::new(config.unwrap())
}

pub type Accepted = StreamOwned<ServerConnection, TcpStream>;

/// Ends the handshake, as far as the client lets it.
pub fn accept(socket: TcpStream, config: Arc<ServerConfig>) -> Accepted {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
    while stream.conn.is_handshaking() && stream.conn.complete_io(&mut stream.sock).is_ok() {}
    stream
}

/// What the ends of a connection share.
pub fn binding(connection: &ServerConnection) -> String {
    let material = connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""));
    material.map(|material| BASE64_URL_SAFE_NO_PAD.encode(material)).unwrap_or_default()
}
