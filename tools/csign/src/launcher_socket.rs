//! The launcher's token service: HTTP over its unix socket.

use std::{path::Path, time::Duration};

use csign_attestation::{LIMITS, Token};
use csign_trust::report::printable;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::failure::Failure;

/// For one token: the launcher asks the attestation service, which takes seconds on a bad day.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Asks for a token: with this body, or for the default one.
pub(crate) async fn token(socket: &Path, body: Option<&Value>) -> Result<Token, Failure> {
    let (status, answer) = tokio::time::timeout(TIMEOUT, exchange(socket, body)).await.map_err(|_| {
        Failure::could_not_check(format_args!("the launcher did not answer within {} seconds", TIMEOUT.as_secs()))
    })??;
    let text = String::from_utf8_lossy(&answer);
    if status == StatusCode::OK {
        return Ok(Token::new(&text));
    }
    let message = format!("the launcher refused a token ({status}): {}", printable(text.trim(), 300));
    Err(if status.is_client_error() { Failure::usage(message) } else { Failure::could_not_check(message) })
}

async fn exchange(socket: &Path, body: Option<&Value>) -> Result<(StatusCode, Bytes), Failure> {
    let stream = UnixStream::connect(socket).await.map_err(|error| {
        Failure::could_not_check(format_args!("connecting to {}: {error}", socket.display()))
            .hint("the socket is there inside a Confidential Space machine's container only")
    })?;
    let failed = |error: hyper::Error| Failure::could_not_check(format_args!("asking the launcher: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let (method, bytes) = match body {
        Some(body) => (Method::POST, Bytes::from(body.to_string())),
        None => (Method::GET, Bytes::new()),
    };
    let request = Request::builder()
        .method(method)
        .uri("/v1/token")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(bytes))
        .map_err(|error| Failure::could_not_check(format_args!("asking the launcher: {error}")))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LIMITS.token_bytes).collect().await;
        let body =
            body.map_err(|error| Failure::could_not_check(format_args!("reading the launcher's answer: {error}")));
        Ok((status, body?.to_bytes()))
    };
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => {
            ended.map_err(failed)?;
            exchange.await
        }
    }
}
