//! Forms of answers that several services share: JSON bodies and Google's two kinds of error.

use axum::{
    body::Body,
    http::{HeaderMap, Response, StatusCode, header},
};
use serde_json::{Value, json};

pub(crate) fn json(status: StatusCode, body: &Value) -> Response<Body> {
    with_type(status, "application/json; charset=UTF-8", body.to_string())
}

pub(crate) fn text(status: StatusCode, body: impl Into<String>) -> Response<Body> {
    with_type(status, "text/plain; charset=utf-8", body.into())
}

fn with_type(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// The canonical codes of `google.rpc.Status` that the simulated services answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidArgument,
    FailedPrecondition,
    Unauthenticated,
    PermissionDenied,
    NotFound,
    AlreadyExists,
    ResourceExhausted,
}

/// An error of a Google API, before it becomes HTTP or gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The REST form, `{"error":{"code","message","status"}}`.
    pub(crate) fn into_http(self) -> Response<Body> {
        let (http, status) = match self.code {
            Code::InvalidArgument => (400, "INVALID_ARGUMENT"),
            Code::FailedPrecondition => (400, "FAILED_PRECONDITION"),
            Code::Unauthenticated => (401, "UNAUTHENTICATED"),
            Code::PermissionDenied => (403, "PERMISSION_DENIED"),
            Code::NotFound => (404, "NOT_FOUND"),
            Code::AlreadyExists => (409, "ALREADY_EXISTS"),
            Code::ResourceExhausted => (429, "RESOURCE_EXHAUSTED"),
        };
        let body = json!({"error": {"code": http, "message": self.message, "status": status}});
        json(StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &body)
    }

    /// The gRPC form.
    pub(crate) fn into_status(self) -> tonic::Status {
        let code = match self.code {
            Code::InvalidArgument => tonic::Code::InvalidArgument,
            Code::FailedPrecondition => tonic::Code::FailedPrecondition,
            Code::Unauthenticated => tonic::Code::Unauthenticated,
            Code::PermissionDenied => tonic::Code::PermissionDenied,
            Code::NotFound => tonic::Code::NotFound,
            Code::AlreadyExists => tonic::Code::AlreadyExists,
            Code::ResourceExhausted => tonic::Code::ResourceExhausted,
        };
        tonic::Status::new(code, self.message)
    }
}

/// The token of an `Authorization: Bearer` header, if there is exactly one such header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A request's body up to `limit` bytes.
pub(crate) async fn body(body: Body, limit: usize) -> Result<bytes::Bytes, ApiError> {
    axum::body::to_bytes(body, limit).await.map_err(|_| {
        ApiError::new(Code::InvalidArgument, format!("Request payload size exceeds the limit: {limit} bytes."))
    })
}
