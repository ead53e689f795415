//! What comes to the port and is neither HTTP nor h2c: TLS, and `CONNECT` for names that the simulator answers for.

use std::{io, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Response, StatusCode, header},
    middleware::{self, Next},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

use super::{Authority, names};
use crate::{
    audit::{Audit, Decision},
    respond,
    server::connection,
};

/// Longest head of a `CONNECT` request, in bytes.
const MAX_HEAD: usize = 8 * 1024;
/// Time for a handshake, and for the head of a `CONNECT` request.
const PATIENCE: Duration = Duration::from_secs(10);

/// The TLS side of the simulator; clones share it.
#[derive(Clone)]
pub(crate) struct Gate {
    acceptor: TlsAcceptor,
    router: Router,
    audit: Audit,
}

impl Gate {
    /// Serves `router` to clients that name a served host.
    pub(crate) fn new(authority: &Authority, router: Router, audit: Audit) -> Self {
        let router = router.layer(middleware::from_fn(only_served));
        Self { acceptor: TlsAcceptor::from(authority.server()), router, audit }
    }

    /// Serves a connection that started with a TLS record.
    pub(crate) async fn tls(&self, stream: TcpStream) {
        match tokio::time::timeout(PATIENCE, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => connection(stream, self.router.clone()).await,
            Ok(Err(error)) => self.deny("handshake", "a TLS client", &error.to_string()),
            Err(_) => self.deny("handshake", "a TLS client", "the handshake took too long"),
        }
    }

    /// Serves a connection that started with a `C`: only `CONNECT` does.
    pub(crate) async fn connect(&self, mut stream: TcpStream) {
        let target = match tokio::time::timeout(PATIENCE, target(&mut stream)).await {
            Ok(Ok(target)) => target,
            Ok(Err(error)) => return self.refuse(stream, "400 Bad Request", "-", &error.to_string()).await,
            Err(_) => return self.refuse(stream, "408 Request Timeout", "-", "the request took too long").await,
        };
        let served = target.rsplit_once(':').is_some_and(|(host, port)| port == "443" && names::serves(host));
        if !served {
            let reason = format!(
                "the simulator's proxy leads to port 443 of these names only, and to the simulator itself: {}",
                names::NAMES.join(", ")
            );
            return self.refuse(stream, "403 Forbidden", &target, &reason).await;
        }
        let decision = Decision { service: "proxy", method: "CONNECT", principal: "a local client", resource: &target };
        self.audit.allow(decision, "the simulator answers for this name");
        if stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_ok() {
            self.tls(stream).await;
        }
    }

    async fn refuse(&self, mut stream: TcpStream, status: &str, target: &str, reason: &str) {
        self.deny("CONNECT", target, reason);
        let (length, body) = (reason.len() + 1, reason);
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}\n"
        );
        // If the client has gone, the log still says what it wanted.
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }

    fn deny(&self, method: &str, resource: &str, reason: &str) {
        self.audit.deny(Decision { service: "proxy", method, principal: "a local client", resource }, reason);
    }
}

/// Reads the head of a `CONNECT` request and not one byte more; what it wants to be connected to.
async fn target(stream: &mut TcpStream) -> io::Result<String> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(invalid("the request's head is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| invalid("the request line is not text"))?;
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["CONNECT", target, "HTTP/1.1" | "HTTP/1.0"] => Ok(target.to_owned()),
        _ => Err(invalid("not a CONNECT request")),
    }
}

/// A host that is not served has no business on a connection that was made for one that is.
async fn only_served(request: Request, next: Next) -> Response<Body> {
    let named = request.uri().authority().map(|authority| authority.as_str());
    let named = named.or_else(|| request.headers().get(header::HOST)?.to_str().ok());
    let host = named.map(|named| named.rsplit_once(':').map_or(named, |(host, _)| host));
    if host.is_some_and(names::serves) {
        next.run(request).await
    } else {
        respond::text(StatusCode::MISDIRECTED_REQUEST, "the simulator does not answer for this host over TLS\n")
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

/// How a connection starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Tls,
    Connect,
    Http,
}

impl Start {
    /// By the first byte, which stays unread. A TLS record of a handshake starts with 0x16 (RFC 8446, section 5.1); of
    /// the methods of HTTP, CONNECT alone starts with a C.
    pub(crate) async fn of(stream: &TcpStream) -> io::Result<Self> {
        let mut first = [0];
        match stream.peek(&mut first).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(match first[0] {
                0x16 => Self::Tls,
                b'C' => Self::Connect,
                _ => Self::Http,
            }),
        }
    }
}
