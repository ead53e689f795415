//! The JSON API's routes: who asks for what, and how objects and errors are written.

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, Response, StatusCode, Uri, header},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::store::{Conditions, Object, Refusal, Storage};
use crate::{
    fields::Fields,
    respond::{self, ApiError, Code},
};

/// Largest body of a request that carries no object.
const MAX_BODY: usize = 64 * 1024;

type Outcome = Result<Response<Body>, Refusal>;

/// The object that a request is about, and where the client reached us.
pub(super) struct Target {
    pub(super) endpoint: String,
    pub(super) bucket: String,
    pub(super) object: String,
}

impl Target {
    fn new(headers: &HeaderMap, bucket: String, object: String) -> Self {
        Self { endpoint: endpoint(headers), bucket, object }
    }

    /// The name that bindings use.
    pub(super) fn resource(&self) -> String {
        match self.object.as_str() {
            "" => format!("projects/_/buckets/{}", self.bucket),
            object => format!("projects/_/buckets/{}/objects/{object}", self.bucket),
        }
    }
}

/// The routes of the JSON API, uploads and downloads among them.
pub(crate) fn routes(storage: &Storage) -> Router {
    let objects = || get(get_object).delete(delete_object);
    Router::new()
        .route("/storage/v1/b", get(list_buckets).post(create_bucket))
        .route("/storage/v1/b/{bucket}", get(get_bucket))
        .route("/storage/v1/b/{bucket}/iam", get(get_policy).put(set_policy))
        .route("/storage/v1/b/{bucket}/iam/testPermissions", get(test_permissions))
        .route("/storage/v1/b/{bucket}/o", get(list_objects))
        .route("/storage/v1/b/{bucket}/o/{*object}", objects())
        .route("/download/storage/v1/b/{bucket}/o/{*object}", objects())
        .route("/upload/storage/v1/b/{bucket}/o", post(upload).put(resume))
        .route("/resumable/upload/storage/v1/b/{bucket}/o", post(upload).put(resume))
        .with_state(storage.clone())
}

async fn create_bucket(State(storage): State<Storage>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let outcome = async {
        let body = Fields::parse(&respond::body(body, MAX_BODY).await?)?;
        let project = respond::parameter(parts.uri.query(), "project").unwrap_or_default();
        let name = body.text("name")?;
        let token = respond::bearer(&parts.headers);
        storage.perform(token, "storage.buckets.create", &format!("projects/{project}"), || {
            Ok(storage.insert_bucket(&name)?)
        })
    };
    answer(outcome.await.map(ok))
}

async fn list_buckets(State(storage): State<Storage>, headers: HeaderMap, uri: Uri) -> Response<Body> {
    let project = format!("projects/{}", respond::parameter(uri.query(), "project").unwrap_or_default());
    let token = respond::bearer(&headers);
    answer(storage.perform(token, "storage.buckets.list", &project, || Ok(storage.list_buckets())).map(ok))
}

async fn get_bucket(State(storage): State<Storage>, Path(bucket): Path<String>, headers: HeaderMap) -> Response<Body> {
    let target = Target::new(&headers, bucket, String::new());
    let token = respond::bearer(&headers);
    let work = || Ok(storage.bucket(&target.bucket)?);
    answer(storage.perform(token, "storage.buckets.get", &target.resource(), work).map(ok))
}

async fn get_policy(State(storage): State<Storage>, Path(bucket): Path<String>, headers: HeaderMap) -> Response<Body> {
    let target = Target::new(&headers, bucket, String::new());
    let policy = storage.iam.read_policy(respond::bearer(&headers), target.resource());
    answer(policy.map(ok).map_err(Refusal::Api))
}

async fn set_policy(State(storage): State<Storage>, Path(bucket): Path<String>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let target = Target::new(&parts.headers, bucket, String::new());
    let outcome = async {
        let policy = Fields::parse(&respond::body(body, MAX_BODY).await?)?;
        storage.iam.write_policy(respond::bearer(&parts.headers), target.resource(), Some(&policy))
    };
    answer(outcome.await.map(ok).map_err(Refusal::Api))
}

async fn test_permissions(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Response<Body> {
    let target = Target::new(&headers, bucket, String::new());
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let permissions = pairs.filter(|(name, _)| name == "permissions").map(|(_, value)| value.into_owned()).collect();
    let held = storage.iam.held_permissions(respond::bearer(&headers), target.resource(), permissions);
    answer(held.map(ok).map_err(Refusal::Api))
}

async fn list_objects(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Response<Body> {
    let target = Target::new(&headers, bucket, String::new());
    let token = respond::bearer(&headers);
    let work = || storage.list(&target.endpoint, &target.bucket, uri.query());
    answer(storage.perform(token, "storage.objects.list", &target.resource(), work).map(ok))
}

async fn get_object(
    State(storage): State<Storage>,
    Path((bucket, object)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Response<Body> {
    let target = Target::new(&headers, bucket, object);
    let token = respond::bearer(&headers);
    let outcome = storage.perform(token, "storage.objects.get", &target.resource(), || {
        let object = current(&storage, &target, uri.query())?;
        let conditions = Conditions::parse(uri.query())?;
        if conditions.not_generation == Some(object.generation) || conditions.not_metageneration == Some(1) {
            return Err(Refusal::NotModified);
        }
        conditions.check(Some(&object))?;
        if respond::parameter(uri.query(), "alt").as_deref() == Some("media") {
            return media(&object, &headers);
        }
        Ok(object_reply(&object, &target))
    });
    answer(outcome)
}

async fn delete_object(
    State(storage): State<Storage>,
    Path((bucket, object)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Response<Body> {
    let target = Target::new(&headers, bucket, object);
    let outcome = storage.perform(respond::bearer(&headers), "storage.objects.delete", &target.resource(), || {
        current(&storage, &target, uri.query())?;
        storage.delete(&target.bucket, &target.object, Conditions::parse(uri.query())?)
    });
    answer(outcome.map(|()| empty(StatusCode::NO_CONTENT)))
}

async fn upload(State(storage): State<Storage>, Path(bucket): Path<String>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let target = Target::new(&parts.headers, bucket, String::new());
    answer(storage.upload(target, &parts.headers, parts.uri.query(), body).await)
}

async fn resume(State(storage): State<Storage>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    answer(storage.resume(&parts.headers, parts.uri.query(), body).await)
}

/// The object, unless the request names another generation than the one there is.
fn current(storage: &Storage, target: &Target, query: Option<&str>) -> Result<Object, Refusal> {
    let object = storage.object(&target.bucket, &target.object)?;
    match respond::parameter(query, "generation") {
        Some(wanted) if wanted != object.generation.to_string() => {
            let Target { bucket, object, .. } = target;
            Err(ApiError::new(Code::NotFound, format!("No such object: {bucket}/{object}#{wanted}")).into())
        }
        _ => Ok(object),
    }
}

pub(super) fn object_reply(object: &Object, target: &Target) -> Response<Body> {
    ok(object.resource(&target.endpoint, &target.bucket, &target.object))
}

/// The bytes, or the range of them that was asked for.
fn media(object: &Object, headers: &HeaderMap) -> Outcome {
    let size = object.blob.size;
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let (status, start, length) = match range.and_then(|range| range.strip_prefix("bytes=")) {
        None => (StatusCode::OK, 0, size),
        Some(range) => {
            let (start, end) = bounds(range, size).ok_or(Refusal::Range)?;
            (StatusCode::PARTIAL_CONTENT, start, end - start)
        }
    };
    let kind = object.about.content_type.as_deref().unwrap_or("application/octet-stream");
    let hash = format!(
        "crc32c={},md5={}",
        STANDARD.encode(object.blob.crc32c.to_be_bytes()),
        STANDARD.encode(object.blob.md5)
    );
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_LENGTH, length)
        .header(header::CONTENT_TYPE, kind)
        .header(header::ETAG, object.etag())
        .header(header::ACCEPT_RANGES, "bytes")
        .header("x-goog-hash", hash)
        .header("x-goog-generation", object.generation)
        .header("x-goog-metageneration", 1)
        .header("x-goog-storage-class", "STANDARD")
        .header("x-goog-stored-content-length", size);
    if status == StatusCode::PARTIAL_CONTENT {
        let last = (start + length).saturating_sub(1);
        response = response.header(header::CONTENT_RANGE, format!("bytes {start}-{last}/{size}"));
    }
    let body = object.blob.body(start, length)?;
    response
        .body(body)
        .map_err(|_| ApiError::new(Code::FailedPrecondition, "The object's content type fits no header.").into())
}

/// First byte and the one after the last of `A-B`, `A-` or `-N`; `None` if nothing of it is there.
fn bounds(range: &str, size: u64) -> Option<(u64, u64)> {
    let (start, end) = range.split_once('-')?;
    let (start, end) = match (start, end) {
        ("", suffix) => (size.saturating_sub(suffix.parse().ok()?), size),
        (start, "") => (start.parse().ok()?, size),
        (start, end) => (start.parse().ok()?, end.parse::<u64>().ok()?.checked_add(1)?.min(size)),
    };
    (start < end).then_some((start, end))
}

/// Clients that came by a real host name came over TLS; loopback addresses and `*.localhost` are plain.
fn endpoint(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("storage.googleapis.com");
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let plain = name == "localhost" || name.ends_with(".localhost") || name.parse::<std::net::Ipv4Addr>().is_ok();
    format!("{}://{host}", if plain { "http" } else { "https" })
}

/// An object's name in a URL's path.
pub(super) fn encode(name: &str) -> String {
    form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

fn ok(body: Value) -> Response<Body> {
    respond::json(StatusCode::OK, &body)
}

pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn answer(outcome: Outcome) -> Response<Body> {
    outcome.unwrap_or_else(|refusal| {
        let (status, reason, message) = match refusal {
            Refusal::Precondition => {
                (412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.".to_owned())
            }
            Refusal::Range => (416, "requestedRangeNotSatisfiable", "Request range not satisfiable".to_owned()),
            Refusal::NotModified => return empty(StatusCode::NOT_MODIFIED),
            Refusal::Disk(error) => (500, "internalError", format!("The simulator's disk: {error}")),
            Refusal::Api(ApiError { code, message }) => match code {
                Code::Unauthenticated => (401, "required", message),
                Code::PermissionDenied => (403, "forbidden", message),
                Code::NotFound => (404, "notFound", message),
                Code::AlreadyExists | Code::Aborted => (409, "conflict", message),
                Code::ResourceExhausted => (429, "rateLimitExceeded", message),
                Code::InvalidArgument | Code::FailedPrecondition => (400, "invalid", message),
            },
        };
        let errors = json!([{"message": message, "domain": "global", "reason": reason}]);
        let body = json!({"error": {"code": status, "message": message, "errors": errors}});
        respond::json(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &body)
    })
}
