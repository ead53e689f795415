//! One request: authentication, redirects, and what every status means.

use std::time::Duration;

use bytes::Bytes;
use csign_oci::{Digest, Repository};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::{Response, Url};
use serde::Deserialize;

use crate::{
    blob::Upload,
    challenge,
    client::Client,
    error::{Error, Result, quote},
    host,
};

/// The most that is read of an answer only to quote its error message or to reuse the connection, in bytes.
const ERROR_LIMIT: usize = 64 << 10;

/// What the caller needs the right to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Pull,
    Push,
}

/// A request to make, possibly several times.
pub(crate) struct Ask<'a> {
    pub(crate) doing: &'a str,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) repository: &'a Repository,
    pub(crate) action: Action,
    pub(crate) accept: &'static str,
    pub(crate) body: Body<'a>,
    /// A blob: redirects are followed and the whole may take its time.
    pub(crate) blob: bool,
}

/// What a request carries.
pub(crate) enum Body<'a> {
    None,
    Bytes { media_type: &'a str, bytes: Bytes },
    Upload(&'a Upload),
}

impl<'a> Ask<'a> {
    /// A request for reading `path` of `repository`.
    pub(crate) fn get(doing: &'a str, repository: &'a Repository, path: &str) -> Result<Self> {
        Ok(Self {
            doing,
            method: Method::GET,
            url: host::url(repository, path)?,
            repository,
            action: Action::Pull,
            accept: "*/*",
            body: Body::None,
            blob: false,
        })
    }

    /// The same with another method.
    pub(crate) fn method(mut self, method: Method) -> Self {
        if method != Method::GET && method != Method::HEAD {
            self.action = Action::Push;
        }
        self.method = method;
        self
    }
}

/// The error document of the distribution specification.
#[derive(Default, Deserialize)]
struct ErrorDocument {
    #[serde(default)]
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: Option<String>,
}

impl Client {
    /// Makes the request, answers a challenge, follows a blob's redirects. The result may have any status but 401, 403,
    /// 429 and 5xx, which are errors.
    pub(crate) async fn send(&self, ask: &Ask<'_>) -> Result<Response> {
        let registry = host::url(ask.repository, "")?;
        // An upload may go to another host, which gets neither a token nor an answer to its challenge.
        let ours = host::same_origin(&registry, &ask.url);
        let mut authorization = if ours { self.inner.auth.cached(ask.repository, ask.action) } else { None };
        let mut response = self.dispatch(ask, &ask.url, authorization.as_ref()).await?;
        if response.status() == StatusCode::UNAUTHORIZED && ours {
            let values = response.headers().get_all(header::WWW_AUTHENTICATE).iter();
            let challenge = challenge::choose(values.filter_map(|value| value.to_str().ok()));
            drain(response).await;
            let fresh = self.answer_challenge(ask, challenge, authorization.as_ref()).await?;
            response = self.dispatch(ask, &ask.url, Some(&fresh)).await?;
            authorization = Some(fresh);
        }
        if ask.blob && matches!(ask.method, Method::GET | Method::HEAD) {
            response = self.follow(ask, response, authorization).await?;
        }
        check_status(ask.doing, response).await
    }

    /// Follows redirects; credentials stay with the registry's own origin.
    async fn follow(
        &self,
        ask: &Ask<'_>,
        mut response: Response,
        mut authorization: Option<HeaderValue>,
    ) -> Result<Response> {
        let mut here = ask.url.clone();
        for _ in 0..self.inner.limits.redirects {
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            let there = location(ask.doing, &here, response.headers())?;
            drain(response).await;
            if !host::same_origin(&here, &there) {
                authorization = None;
            }
            response = self.dispatch(ask, &there, authorization.as_ref()).await?;
            here = there;
        }
        if is_redirect(response.status()) {
            let limit = self.inner.limits.redirects as u64;
            return Err(Error::TooLarge { doing: ask.doing.to_owned(), limit, unit: "redirects" });
        }
        Ok(response)
    }

    async fn dispatch(&self, ask: &Ask<'_>, url: &Url, authorization: Option<&HeaderValue>) -> Result<Response> {
        let route = self.route(ask.doing, ask.repository, url)?;
        let mut request = route.connections()?.request(ask.method.clone(), url.clone());
        request = request.header(header::ACCEPT, ask.accept);
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization.clone());
        }
        request = match &ask.body {
            Body::None if ask.method == Method::POST => request.header(header::CONTENT_LENGTH, 0),
            Body::None => request,
            Body::Bytes { media_type, bytes } => request.header(header::CONTENT_TYPE, *media_type).body(bytes.clone()),
            Body::Upload(upload) => {
                let (length, body) = upload.body().await?;
                request
                    .header(header::CONTENT_TYPE, "application/octet-stream")
                    .header(header::CONTENT_LENGTH, length)
                    .body(body)
            }
        };
        if !ask.blob {
            request = request.timeout(self.inner.limits.answer);
        }
        route.send(request).await
    }
}

/// The error of a failed connection.
pub(crate) fn transport(doing: &str, url: &Url, source: reqwest::Error) -> Error {
    let (doing, host) = (doing.to_owned(), host::name(url));
    if is_certificate(&source) {
        return Error::Certificate { doing, host, source };
    }
    if source.is_connect() {
        Error::Unreachable { doing, host, source }
    } else {
        Error::Interrupted { doing, host, source }
    }
}

/// Whether the cause is a certificate. I/O errors hide what they wrap from the chain of sources.
fn is_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return matches!(tls, rustls::Error::InvalidCertificate(_));
    }
    match error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref()) {
        Some(inner) => is_certificate(inner),
        None => error.source().is_some_and(is_certificate),
    }
}

/// Turns the statuses that mean the same everywhere into errors.
pub(crate) async fn check_status(doing: &str, response: Response) -> Result<Response> {
    // None was asked for, and a few bytes could become any number.
    if response.headers().get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        let (host, why) = (host::name(response.url()), "an answer with a Content-Encoding".to_owned());
        return Err(Error::Malformed { doing: doing.to_owned(), host, why });
    }
    match response.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {}
        status if status.is_server_error() => {}
        _ => return Ok(response),
    }
    Err(refusal(doing, response).await)
}

/// The error for a status that is not what the caller needs.
pub(crate) async fn refusal(doing: &str, response: Response) -> Error {
    let (host, status, doing) = (host::name(response.url()), response.status(), doing.to_owned());
    let retry_after = retry_after(response.headers());
    let (_, message) = error_document(response).await;
    match status {
        StatusCode::UNAUTHORIZED => Error::Unauthorized { doing, host, why: message },
        StatusCode::FORBIDDEN => Error::Forbidden { doing, host, message },
        StatusCode::NOT_FOUND => Error::NotFound { doing, message },
        StatusCode::TOO_MANY_REQUESTS => Error::TooManyRequests { doing, host, retry_after },
        status if status.is_server_error() => {
            Error::Server { doing, host, status: status.as_u16(), message, retry_after }
        }
        status => Error::Refused { doing, host, status: status.as_u16(), message },
    }
}

/// For a 404: the registry's words if it is the registry that knows no such thing. A 404 without the specification's
/// error document may come from anything between here and there, and proves nothing.
pub(crate) async fn absence(doing: &str, response: Response) -> Result<String> {
    let host = host::name(response.url());
    let (codes, message) = error_document(response).await;
    // NOT_FOUND is what Harbor answers.
    if codes.iter().any(|code| matches!(code.as_str(), "MANIFEST_UNKNOWN" | "NAME_UNKNOWN" | "NOT_FOUND")) {
        return Ok(message);
    }
    let why = format!("a 404 without a registry's error code ({message})");
    Err(Error::Malformed { doing: doing.to_owned(), host, why })
}

/// Codes and first message of the specification's error document; else the text's beginning.
async fn error_document(response: Response) -> (Vec<String>, String) {
    let bytes = read_some(response).await;
    match serde_json::from_slice::<ErrorDocument>(&bytes) {
        Ok(document) if !document.errors.is_empty() => {
            let message = document.errors.iter().find_map(|e| e.message.clone());
            let codes: Vec<String> = document.errors.into_iter().map(|e| e.code).collect();
            let message = format!("{} {}", codes.join(" "), message.unwrap_or_default());
            (codes, quote(&message))
        }
        _ => (Vec::new(), quote(&String::from_utf8_lossy(&bytes))),
    }
}

/// Reads the rest of an answer so that its connection can be used again.
async fn drain(response: Response) {
    read_some(response).await;
}

async fn read_some(mut response: Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ERROR_LIMIT - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if bytes.len() == ERROR_LIMIT {
            break;
        }
    }
    bytes
}

/// The whole body, of at most `limit` bytes.
pub(crate) async fn read_body(doing: &str, mut response: Response, limit: u64) -> Result<Vec<u8>> {
    let too_large = || Error::TooLarge { doing: doing.to_owned(), limit, unit: "bytes" };
    let expected = response.content_length();
    if expected.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let url = response.url().clone();
    let mut bytes = Vec::with_capacity(usize::try_from(expected.unwrap_or(0)).unwrap_or(0));
    while let Some(chunk) = response.chunk().await.map_err(|source| transport(doing, &url, source))? {
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The `Location` header, resolved, if csign may go there.
pub(crate) fn location(doing: &str, here: &Url, headers: &HeaderMap) -> Result<Url> {
    let text = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let there = text.and_then(|text| here.join(text).ok()).ok_or_else(|| Error::Malformed {
        doing: doing.to_owned(),
        host: host::name(here),
        why: "no usable Location header".to_owned(),
    })?;
    host::check_step(doing, here, &there)?;
    Ok(there)
}

/// Compares `Docker-Content-Digest`, where there is one, with the digest of what was sent or received.
pub(crate) fn check_digest_header(doing: &str, response: &Response, want: &Digest) -> Result<()> {
    match digest_header(doing, response)? {
        Some(got) if got != *want => Err(Error::DigestMismatch { doing: doing.to_owned(), want: *want, got }),
        _ => Ok(()),
    }
}

/// The `Docker-Content-Digest` header.
pub(crate) fn digest_header(doing: &str, response: &Response) -> Result<Option<Digest>> {
    let Some(value) = response.headers().get("docker-content-digest") else { return Ok(None) };
    let digest = value.to_str().ok().and_then(|text| Digest::parse(text).ok());
    digest.map(Some).ok_or_else(|| Error::Malformed {
        doing: doing.to_owned(),
        host: host::name(response.url()),
        why: "a Docker-Content-Digest header that is no sha256 digest".to_owned(),
    })
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// `Retry-After` in seconds; the form with a date is ignored, as this crate reads no clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
