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
    Aborted,
}

impl Code {
    /// The status of the REST form, and the code's name.
    pub(crate) const fn http(self) -> (u16, &'static str) {
        match self {
            Self::InvalidArgument => (400, "INVALID_ARGUMENT"),
            Self::FailedPrecondition => (400, "FAILED_PRECONDITION"),
            Self::Unauthenticated => (401, "UNAUTHENTICATED"),
            Self::PermissionDenied => (403, "PERMISSION_DENIED"),
            Self::NotFound => (404, "NOT_FOUND"),
            Self::AlreadyExists => (409, "ALREADY_EXISTS"),
            Self::ResourceExhausted => (429, "RESOURCE_EXHAUSTED"),
            Self::Aborted => (409, "ABORTED"),
        }
    }
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
        let (http, status) = self.code.http();
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
            Code::Aborted => tonic::Code::Aborted,
        };
        tonic::Status::new(code, self.message)
    }
}

/// A REST call below `/v1/`, its body read.
pub(crate) struct Rest<'a> {
    pub(crate) method: &'a axum::http::Method,
    /// The path after `/v1/`.
    pub(crate) resource: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) token: Option<&'a str>,
    pub(crate) body: &'a [u8],
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

/// The value of a query's parameter.
pub(crate) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// `google.protobuf.Timestamp`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

impl Timestamp {
    /// `time` is in seconds since the Unix epoch.
    pub(crate) fn of(time: u64) -> Self {
        Self { seconds: i64::try_from(time).unwrap_or(i64::MAX), nanos: 0 }
    }

    /// RFC 3339 in UTC, as JSON has it.
    pub(crate) fn text(&self) -> String {
        let (days, second) = (self.seconds.div_euclid(86_400), self.seconds.rem_euclid(86_400));
        // Days since 1 March of the year 0, in cycles of 400 years.
        let shifted = days.saturating_add(719_468);
        let (cycle, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_cycle = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = cycle * 400 + year_of_cycle + i64::from(month <= 2);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_757_097_315, "2025-09-05T18:35:15Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
        ] {
            assert_eq!(Timestamp::of(seconds).text(), text);
        }
    }
}
