//! TLS to the database: one certificate authority, the host's name in the certificate, and the channel bound into the
//! password's proof, so that a proof for one server is worth nothing at another.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use csign_contract::Certificate;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

use crate::state::error::StateError;

/// Makes TLS connections to one server.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    pub(super) fn new(host: &str, ca: &Certificate) -> Result<Self, StateError> {
        let wrong = |why: &str| StateError::Contract(format!("ca: {why}"));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(ca.der().to_vec())).map_err(|error| wrong(&error.to_string()))?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).map_err(|_| wrong("the host is no server name"))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

impl TlsConnect<TcpStream> for Tls {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move { Ok(Stream(self.connector.connect(self.name, stream).await?)) })
    }
}

/// A connection under TLS.
pub(super) struct Stream(tokio_rustls::client::TlsStream<TcpStream>);

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        let certificates = self.0.get_ref().1.peer_certificates();
        let end_point = certificates.and_then(|chain| end_point(chain.first()?));
        end_point.map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// RFC 5929, section 4.1: the certificate's hash under its signature's hash function, or SHA-256 for an older one.
/// `None` where the signature has no one hash function, as Ed25519 and RSA-PSS: the connection is refused then.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    let (0x30, content, _) = element(certificate)? else { return None };
    let (_, _, rest) = element(content)?;
    let (0x30, algorithm, _) = element(rest)? else { return None };
    let (0x06, identifier, _) = element(algorithm)? else { return None };
    let (last, family) = identifier.split_last()?;
    match (family, last) {
        // MD5 and SHA-1 with RSA count as SHA-256.
        (RSA, 4 | 5 | 11) | (ECDSA_SHA2, 2) => Some(Sha256::digest(certificate).to_vec()),
        (RSA, 12) | (ECDSA_SHA2, 3) => Some(Sha384::digest(certificate).to_vec()),
        (RSA, 13) | (ECDSA_SHA2, 4) => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

/// The first DER element: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        length @ 0..=0x7f => (usize::from(*length), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate as far as its end point goes: body, signature algorithm, signature.
    fn certificate(identifier: &[u8]) -> Vec<u8> {
        let mut algorithm = vec![0x06, u8::try_from(identifier.len()).expect("short")];
        algorithm.extend(identifier);
        let mut content = vec![0x30, 0x01, 0x00, 0x30, u8::try_from(algorithm.len()).expect("short")];
        content.extend(algorithm);
        content.extend([0x03, 0x01, 0x00]);
        let mut der = vec![0x30, u8::try_from(content.len()).expect("short")];
        der.extend(content);
        der
    }

    #[test]
    fn the_end_point_is_hashed_as_the_certificate_was_signed() {
        let rsa = |last| certificate(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last]);
        let ecdsa = |last| certificate(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, last]);
        for (certificate, length) in
            [(rsa(5), 32), (rsa(11), 32), (rsa(12), 48), (rsa(13), 64), (ecdsa(2), 32), (ecdsa(3), 48), (ecdsa(4), 64)]
        {
            assert_eq!(end_point(&certificate).expect("known").len(), length);
        }
        assert_eq!(end_point(&rsa(10)), None, "RSA-PSS names its hash elsewhere");
        assert_eq!(end_point(&certificate(&[0x2b, 0x65, 0x70])), None, "Ed25519 has none");
        let whole = rsa(11);
        for length in 0..whole.len() - 3 {
            assert_eq!(end_point(&whole[..length]), None, "cut after {length} bytes");
        }
    }
}
