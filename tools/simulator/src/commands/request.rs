//! Requests of the program to a simulator that runs: plain HTTP on the loopback interface.

use std::{env, net::SocketAddr};

use axum::http::{HeaderMap, Method, Request, Response, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

use super::{Result, Usage};

/// The variable that says where a simulator listens.
const ADDRESS: &str = "CSIGN_SIMULATOR";

/// The address that was given, else that of the environment. Nothing but loopback: what is sent may be a secret.
pub(super) fn address(given: Option<&str>) -> Result<SocketAddr> {
    let from_environment = || env::var(ADDRESS).ok();
    let text = given.map(str::to_owned).or_else(from_environment);
    let text = text.ok_or_else(|| Usage(format!("no simulator is named: use --address, or set {ADDRESS}")))?;
    let address: SocketAddr =
        text.parse().map_err(|_| Usage(format!("{text:?} is not an address such as 127.0.0.1:8080")))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(Usage(format!("{address} is not on the loopback interface")).into())
    }
}

/// Sends a request; the answer's head has arrived, its body has not.
pub(super) async fn send(
    address: SocketAddr,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: impl Into<Bytes>,
) -> Result<Response<Incoming>> {
    let mut request = Request::builder().method(method).uri(format!("http://{address}{path}"));
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.body(Full::new(body.into()))?).await;
    Ok(response.map_err(|e| format!("no simulator answers at {address}: {}", source(&e)))?)
}

/// The innermost reason: the others say only that there was one.
fn source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(inner) => source(inner),
        None => error.to_string(),
    }
}

/// The whole body of an answer, of at most `limit` bytes, as text.
pub(super) async fn text(response: Response<Incoming>, limit: usize) -> Result<String> {
    let body = http_body_util::Limited::new(response.into_body(), limit).collect().await;
    let bytes = body.map_err(|e| format!("reading the simulator's answer: {e}"))?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A number in the answer's head.
pub(super) fn number(headers: &HeaderMap, name: &str) -> Result<u64> {
    let value = headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
    value.ok_or_else(|| format!("the answer has no header {name}: this is no simulator, or another version").into())
}

/// An answer's body, line by line.
pub(super) struct BodyLines {
    body: Incoming,
    buffer: Vec<u8>,
}

/// Longest line that is read.
const MAX_LINE: usize = 1 << 20;

impl BodyLines {
    pub(super) fn new(response: Response<Incoming>) -> Self {
        Self { body: response.into_body(), buffer: Vec::new() }
    }

    /// The next line without its end; `None` when the answer is over.
    pub(super) async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            if self.buffer.len() > MAX_LINE {
                return Err("the simulator sent a line that is too long".into());
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    let frame = frame.map_err(|e| format!("the simulator's answer broke off: {}", source(&e)))?;
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
            }
        }
    }
}
