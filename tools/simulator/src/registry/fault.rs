//! Faults to order: what a registry, or the network before it, may do to a client.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header},
};
use bytes::Bytes;

use super::Registry;

/// A fault for the next requests that match.
#[derive(Clone, Debug)]
pub struct Fault {
    method: Option<Method>,
    path: String,
    times: usize,
    skip: usize,
    effect: Effect,
}

/// What happens to a request.
#[derive(Clone)]
pub enum Effect {
    /// This status with an error document and `Retry-After`, if given, in seconds; the request is not processed.
    Status(u16, Option<u64>),
    /// This status with these headers and body; the request is not processed.
    Answer(u16, Vec<(&'static str, String)>, Bytes),
    /// The answer's headers are as they should be, the connection closes after half of the body.
    Truncate,
    /// The answer's headers are as they should be, the body is this one.
    Body(Bytes),
    /// The answer carries this header instead of its own.
    Header(&'static str, String),
    /// The answer comes so much later.
    Delay(Duration),
    /// This runs before the request is processed, for instance to write what another client would.
    Before(Arc<dyn Fn(&Registry) + Send + Sync>),
}

impl Fault {
    /// `effect` on the next request whose path and query contain `path`.
    pub fn on(path: impl Into<String>, effect: Effect) -> Self {
        Self { method: None, path: path.into(), times: 1, skip: 0, effect }
    }

    /// Only for requests with this method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// For so many requests instead of one.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Lets so many matching requests pass first.
    #[must_use]
    pub fn after(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    /// The first due fault for a request; faults that have run out are dropped.
    pub(super) fn take(faults: &mut Vec<Self>, method: &Method, path: &str) -> Option<Effect> {
        let mut due = None;
        for fault in faults.iter_mut() {
            if fault.method.as_ref().is_some_and(|m| m != method) || !path.contains(&fault.path) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
            } else {
                fault.times = fault.times.saturating_sub(1);
                due = Some(fault.effect.clone());
                break;
            }
        }
        faults.retain(|fault| fault.times > 0);
        due
    }
}

impl Effect {
    /// What is answered without processing the request.
    pub(super) fn instead(&self) -> Option<Response<Body>> {
        let (status, headers, body) = match self {
            Self::Status(status, retry_after) => {
                let headers = retry_after.map(|seconds| ("retry-after", seconds.to_string()));
                let document = r#"{"errors":[{"code":"UNKNOWN","message":"a fault that was ordered"}]}"#;
                (*status, headers.into_iter().collect(), Bytes::from_static(document.as_bytes()))
            }
            Self::Answer(status, headers, body) => (*status, headers.clone(), body.clone()),
            _ => return None,
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in headers {
            set(response.headers_mut(), name, &value);
        }
        Some(response)
    }

    /// What is done to the answer.
    pub(super) async fn spoil(self, response: Response<Body>) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        match self {
            Self::Truncate => {
                let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
                set(&mut parts.headers, header::CONTENT_LENGTH.as_str(), &bytes.len().to_string());
                let half = bytes.slice(..bytes.len() / 2);
                let cut = [Ok(half), Err(std::io::Error::other("cut off"))];
                // The pause lets the first half reach the wire before the connection is torn down.
                let stream = futures_util::stream::unfold(cut.into_iter(), |mut rest| async move {
                    let next = rest.next()?;
                    if next.is_err() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Some((next, rest))
                });
                Response::from_parts(parts, Body::from_stream(stream))
            }
            Self::Body(bytes) => {
                parts.headers.remove(header::CONTENT_LENGTH);
                Response::from_parts(parts, Body::from(bytes))
            }
            Self::Header(name, value) => {
                set(&mut parts.headers, name, &value);
                Response::from_parts(parts, body)
            }
            Self::Status(..) | Self::Answer(..) | Self::Delay(_) | Self::Before(_) => Response::from_parts(parts, body),
        }
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status(..) => "Status",
            Self::Answer(..) => "Answer",
            Self::Truncate => "Truncate",
            Self::Body(_) => "Body",
            Self::Header(..) => "Header",
            Self::Delay(_) => "Delay",
            Self::Before(_) => "Before",
        })
    }
}
