//! One connection: the handshake, whose it is, what it proves.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::server::Acceptor;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use super::{Ingest, request::Client};
use crate::listener::{HEAD_LIMIT, HEAD_TIME};

/// From the first byte to the end of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Label of the exported keying material (RFC 9266, section 4.2): `tls-exporter`.
const EXPORTER: &[u8] = b"EXPORTER-Channel-Binding";

/// Serves one connection to its end. Whoever does not get through the handshake learns no more than TLS says.
pub(super) async fn serve(ingest: &Arc<Ingest>, stream: TcpStream) {
    let Ok(Ok((stream, collaborator))) = timeout(HANDSHAKE, handshake(ingest, stream)).await else { return };
    let Some(places) = ingest.places.get(&collaborator) else { return };
    let Ok(_place) = places.try_acquire() else {
        ingest.log.error("too many ingest connections", &[("collaborator", collaborator.into())]);
        return;
    };
    let Some(binding) = binding(&stream) else { return };
    let client = Arc::new(Client::new(Arc::clone(ingest), collaborator, binding));
    let service = service_fn(move |request| {
        let client = Arc::clone(&client);
        async move { Ok::<_, Infallible>(client.respond(request).await) }
    });
    // A client that breaks off is told nothing; it sends again under the same id.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// The steps: 1. The client says which server it wants; there is one for each collaborator. 2. It proves a certificate
/// under that collaborator's authority.
async fn handshake(ingest: &Ingest, stream: TcpStream) -> io::Result<(TlsStream<TcpStream>, String)> {
    // 1.
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let Some(door) = ingest.doors.find(start.client_hello().server_name()).cloned() else {
        return Err(io::ErrorKind::NotFound.into());
    };
    // 2.
    let stream = start.into_stream(door.config).await?;
    Ok((stream, door.collaborator))
}

/// Material that only the two ends of this connection can compute, in 43 characters: as a nonce in an attestation token
/// it says that the attested workload is one of them.
fn binding(stream: &TlsStream<TcpStream>) -> Option<String> {
    let material = stream.get_ref().1.export_keying_material([0; 32], EXPORTER, Some(b"")).ok()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(material))
}
