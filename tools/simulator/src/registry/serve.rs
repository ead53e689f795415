//! The endpoints of the distribution specification, over the store.

use std::collections::HashMap;

use axum::{
    Router,
    body::Body,
    extract::{Query, Request, State},
    http::{HeaderMap, Method, Response, StatusCode, Uri, header},
    routing::any,
};
use bytes::Bytes;
use csign_oci::{Digest, Tag, manifest::IMAGE_INDEX};
use serde_json::{Value, json};

use super::{
    Effect, Fault, Logged, MANIFEST_LIMIT, Registry, StoredManifest, auth, lock,
    route::{Route, Unroutable},
    upload::{continue_upload, start_upload},
};

pub(super) type Answer = Result<Response<Body>, Refusal>;

/// A status with the specification's error code.
pub(super) struct Refusal(pub(super) StatusCode, pub(super) &'static str, pub(super) String);

pub(super) fn router(registry: Registry) -> Router {
    Router::new()
        .route("/v2", any(handle))
        .route("/v2/", any(handle))
        .route("/v2/{*rest}", any(handle))
        .with_state(registry)
}

async fn handle(State(registry): State<Registry>, request: Request) -> Response<Body> {
    let method = request.method().clone();
    let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let authorized = request.headers().contains_key(header::AUTHORIZATION);
    let effect = Fault::take(&mut lock(&registry.inner.faults), &method, &path);
    match &effect {
        Some(Effect::Delay(pause)) => tokio::time::sleep(*pause).await,
        Some(Effect::Before(action)) => action(&registry),
        _ => {}
    }
    let response = match effect.as_ref().and_then(Effect::instead) {
        Some(response) => response,
        None => {
            let response = answer(&registry, request).await;
            match effect {
                Some(effect) => effect.spoil(response).await,
                None => response,
            }
        }
    };
    let status = response.status().as_u16();
    lock(&registry.inner.log).push(Logged { method: method.to_string(), path, status, authorized });
    response
}

async fn answer(registry: &Registry, request: Request) -> Response<Body> {
    let head = request.method() == Method::HEAD;
    let response = match process(registry, request).await {
        Ok(response) => response,
        Err(Refusal(status, code, message)) => {
            let document = json!({"errors": [{"code": code, "message": message}]}).to_string();
            reply(status, &[(header::CONTENT_TYPE.as_str(), "application/json")], document)
        }
    };
    if !head {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    if let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await {
        parts.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    }
    Response::from_parts(parts, Body::empty())
}

async fn process(registry: &Registry, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let (method, headers, uri) = (parts.method, parts.headers, parts.uri);
    let path = uri.path().to_owned();
    let query = Query::<HashMap<String, String>>::try_from_uri(&uri).map(|q| q.0).unwrap_or_default();
    let route = Route::parse(&path).map_err(|why| unroutable(why, &path))?;
    if route == Route::Token {
        return token(registry, &method, &headers, &uri, body).await;
    }
    if let Some(challenge) = challenge(registry, &method, &headers, &route) {
        let document = json!({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}).to_string();
        let principal = auth::principal(registry.inner.options.auth.as_ref(), &headers);
        registry.note(action(&method), principal, &path, Some("the caller did not present what the registry asks for"));
        return Ok(reply(StatusCode::UNAUTHORIZED, &[("www-authenticate", &challenge)], document));
    }
    let told = told(&method, &route);
    let answer = endpoint(registry, &method, &headers, route, (&path, &query), body).await;
    if let (Some((what, resource)), Ok(_)) = (told, &answer) {
        let principal = auth::principal(registry.inner.options.auth.as_ref(), &headers);
        registry.note(what, principal, &resource, None);
    }
    answer
}

/// What the audit log is told of a request that succeeds. Listings, existence checks and blobs that are read are left
/// out: a manifest says which blobs belong to it.
fn told(method: &Method, route: &Route<'_>) -> Option<(&'static str, String)> {
    let at = |name: &str, reference: &str| {
        if reference.contains(':') { format!("{name}@{reference}") } else { format!("{name}:{reference}") }
    };
    match (method.as_str(), route) {
        ("GET", Route::Manifest { name, reference }) => Some(("pull", at(name, reference))),
        ("PUT", Route::Manifest { name, reference }) => Some(("push", at(name, reference))),
        ("DELETE", Route::Manifest { name, reference }) => Some(("delete", at(name, reference))),
        ("DELETE", Route::Blob { name, digest }) => Some(("delete", at(name, &digest.to_string()))),
        _ => None,
    }
}

pub(super) fn unroutable(why: Unroutable<'_>, path: &str) -> Refusal {
    match why {
        Unroutable::Endpoint => Refusal(StatusCode::NOT_FOUND, "UNSUPPORTED", format!("no endpoint {path}")),
        Unroutable::Name(name) => {
            Refusal(StatusCode::BAD_REQUEST, "NAME_INVALID", format!("{name:?} is no repository's name"))
        }
        Unroutable::Digest(digest) => {
            let message = format!("{digest:?} is no sha256 digest, and this registry has no other algorithm");
            Refusal(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message)
        }
        Unroutable::Upload(id) => Refusal(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", format!("no upload {id:?}")),
    }
}

async fn endpoint(
    registry: &Registry,
    method: &Method,
    headers: &HeaderMap,
    route: Route<'_>,
    (path, query): (&str, &HashMap<String, String>),
    body: Body,
) -> Answer {
    let reading = method == Method::GET || method == Method::HEAD;
    match route {
        Route::Base if reading => Ok(reply(StatusCode::OK, &[], "{}")),
        Route::Blob { name, digest } if reading => {
            let bytes = registry.store().blob(name, &digest).ok_or_else(|| no_blob(name, &digest))?;
            blob(headers, &digest, bytes)
        }
        Route::Blob { name, digest } if method == Method::DELETE => {
            if registry.store().delete_blob(name, &digest) {
                Ok(reply(StatusCode::ACCEPTED, &[], ""))
            } else {
                Err(no_blob(name, &digest))
            }
        }
        Route::Uploads { name } if method == Method::POST => start_upload(registry, name, query, body).await,
        Route::Upload { name, id } => continue_upload(registry, method, headers, (name, id), query, body).await,
        Route::Manifest { name, reference } if reading => {
            let manifest = registry.store().manifest(name, reference);
            let unknown = || Refusal(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", format!("no {reference} in {name}"));
            let StoredManifest { media_type, bytes, digest } = manifest.ok_or_else(unknown)?;
            let digest = digest.to_string();
            Ok(reply(StatusCode::OK, &[("content-type", &media_type), ("docker-content-digest", &digest)], bytes))
        }
        Route::Manifest { name, reference } if method == Method::PUT => {
            let bytes = axum::body::to_bytes(body, MANIFEST_LIMIT).await.map_err(|_| {
                Refusal(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", format!("more than {MANIFEST_LIMIT} bytes"))
            })?;
            put_manifest(registry, headers, name, reference, bytes)
        }
        Route::Manifest { name, reference } if method == Method::DELETE => {
            if registry.delete_manifest(name, reference) {
                Ok(reply(StatusCode::ACCEPTED, &[], ""))
            } else {
                Err(Refusal(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", format!("no {reference} in {name}")))
            }
        }
        Route::Tags { name } if method == Method::GET => {
            let tags = registry.store().tags(name);
            let tags =
                tags.ok_or_else(|| Refusal(StatusCode::NOT_FOUND, "NAME_UNKNOWN", format!("no repository {name}")))?;
            let (page, link) = page(registry, path, query, tags, Clone::clone)?;
            Ok(listing(json!({"name": name, "tags": page}), "application/json", link, &[]))
        }
        Route::Referrers { name, digest } if method == Method::GET => {
            if !registry.inner.options.referrers {
                return Ok(reply(StatusCode::NOT_FOUND, &[("content-type", "text/plain")], "404 page not found\n"));
            }
            let kind = query.get("artifactType").map(String::as_str);
            let found = registry.store().referrers(name, &digest, kind);
            let (page, link) = page(registry, path, query, found, |descriptor| descriptor.digest.to_string())?;
            let filters = kind.map(|_| ("oci-filters-applied", "artifactType"));
            let index = json!({"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": page});
            Ok(listing(index, IMAGE_INDEX, link, filters.as_slice()))
        }
        _ => Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", format!("{method} {path}"))),
    }
}

fn action(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "pull",
        Method::DELETE => "delete",
        _ => "push",
    }
}

fn no_blob(name: &str, digest: &Digest) -> Refusal {
    Refusal(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", format!("no blob {digest} in {name}"))
}

/// A blob, or the one range of it that is asked for. Several ranges, and units other than bytes, get the whole blob, as
/// HTTP allows.
fn blob(headers: &HeaderMap, digest: &Digest, bytes: Bytes) -> Answer {
    let (digest, size) = (digest.to_string(), bytes.len());
    let common = [
        ("content-type", "application/octet-stream"),
        ("docker-content-digest", digest.as_str()),
        ("accept-ranges", "bytes"),
    ];
    let asked = headers.get(header::RANGE).and_then(|v| v.to_str().ok()?.strip_prefix("bytes="));
    let Some((first, last)) = asked.and_then(|range| range.split_once('-')).filter(|(_, last)| !last.contains(','))
    else {
        return Ok(reply(StatusCode::OK, &common, bytes));
    };
    let (start, end) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(start), Ok(end)) => (start, end.saturating_add(1).min(size)),
        (Ok(start), Err(_)) if last.is_empty() => (start, size),
        (Err(_), Ok(suffix)) if first.is_empty() => (size.saturating_sub(suffix), size),
        _ => return Ok(reply(StatusCode::OK, &common, bytes)),
    };
    if start >= end {
        let headers = [("content-range", format!("bytes */{size}")), ("content-type", "application/json".to_owned())];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let document = json!({"errors": [{"code": "SIZE_INVALID", "message": format!("the blob has {size} bytes")}]});
        return Ok(reply(StatusCode::RANGE_NOT_SATISFIABLE, &headers, document.to_string()));
    }
    let range = format!("bytes {start}-{}/{size}", end - 1);
    let headers = [&common[..], &[("content-range", range.as_str())]].concat();
    Ok(reply(StatusCode::PARTIAL_CONTENT, &headers, bytes.slice(start..end)))
}

/// The `WWW-Authenticate` header for a request that lacks the right to be processed.
fn challenge(registry: &Registry, method: &Method, headers: &HeaderMap, route: &Route<'_>) -> Option<String> {
    let auth = registry.inner.options.auth.as_ref()?;
    let action = action(method);
    let allowed = lock(&registry.inner.tokens).allows(auth, headers, route.name(), action);
    (!allowed).then(|| auth.challenge(headers, route.name(), action))
}

async fn token(registry: &Registry, method: &Method, headers: &HeaderMap, uri: &Uri, body: Body) -> Answer {
    let denied = |why: &str| Refusal(StatusCode::UNAUTHORIZED, "DENIED", why.to_owned());
    let Some(auth) = &registry.inner.options.auth else { return Err(denied("no token is needed")) };
    let text = if method == Method::POST {
        let bytes = axum::body::to_bytes(body, 1 << 16).await.map_err(|_| denied("reading the form"))?;
        String::from_utf8_lossy(&bytes).into_owned()
    } else {
        uri.query().unwrap_or_default().to_owned()
    };
    let form = format!("http://localhost/?{text}")
        .parse()
        .ok()
        .and_then(|uri: Uri| Query::<Vec<(String, String)>>::try_from_uri(&uri).map(|pairs| pairs.0).ok());
    let form = form.ok_or_else(|| denied("the form is malformed"))?;
    let scopes: Vec<String> = form.iter().filter(|(k, _)| k == "scope").map(|(_, v)| v.clone()).collect();
    let refresh = form.iter().find(|(k, _)| k == "refresh_token").map(|(_, v)| v.as_str());
    let granted = lock(&registry.inner.tokens).grant(auth, headers, refresh, &scopes);
    let token = granted.ok_or_else(|| denied("wrong user, password or refresh token"))?;
    let document = json!({"token": token, "access_token": token, "expires_in": 300}).to_string();
    Ok(reply(StatusCode::OK, &[("content-type", "application/json")], document))
}

fn put_manifest(registry: &Registry, headers: &HeaderMap, name: &str, reference: &str, bytes: Bytes) -> Answer {
    let invalid =
        |code: &'static str, message: String| Err(Refusal(StatusCode::BAD_REQUEST, code, format!("{name}: {message}")));
    let digest = Digest::of(&bytes);
    if reference.contains(':') && reference != digest.to_string() {
        return invalid("DIGEST_INVALID", format!("want {reference}, got {digest}"));
    }
    if !reference.contains(':') && Tag::parse(reference).is_err() {
        return invalid("TAG_INVALID", format!("{reference} is not a tag"));
    }
    let Ok(manifest) = serde_json::from_slice::<Value>(&bytes) else {
        return invalid("MANIFEST_INVALID", "the manifest is not JSON".to_owned());
    };
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let declared = manifest.get("mediaType").and_then(Value::as_str).unwrap_or(content_type);
    if content_type.is_empty() || declared != content_type {
        return invalid("MANIFEST_INVALID", format!("Content-Type is {content_type:?}, mediaType is {declared:?}"));
    }
    let mut store = registry.store();
    if let Some(missing) = store.missing_content(name, &manifest) {
        return invalid("MANIFEST_BLOB_UNKNOWN", format!("{missing} was not pushed"));
    }
    store.put_manifest(name, reference, content_type, bytes);
    let (location, digest) = (format!("/v2/{name}/manifests/{digest}"), digest.to_string());
    let subject = manifest.pointer("/subject/digest").and_then(Value::as_str);
    let mut headers = vec![("location", location.as_str()), ("docker-content-digest", &digest)];
    headers.extend(subject.filter(|_| registry.inner.options.referrers).map(|subject| ("oci-subject", subject)));
    Ok(reply(StatusCode::CREATED, &headers, ""))
}

/// One page of a sorted listing, and the address of the next.
fn page<T>(
    registry: &Registry,
    path: &str,
    query: &HashMap<String, String>,
    entries: Vec<T>,
    key: impl Fn(&T) -> String,
) -> Result<(Vec<T>, Option<String>), Refusal> {
    let wanted = match query.get("n") {
        None => usize::MAX,
        Some(n) => n.parse().map_err(|_| {
            Refusal(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", format!("{n:?} is no number of entries"))
        })?,
    };
    let size = wanted.min(registry.inner.options.page_size);
    let mut rest = entries.into_iter().filter(|entry| query.get("last").is_none_or(|last| key(entry) > *last));
    let page: Vec<T> = rest.by_ref().take(size).collect();
    let more = rest.next().is_some();
    let link = page.last().filter(|_| more).map(|last| {
        let mut next = form_urlencoded::Serializer::new(String::new());
        next.append_pair("n", &size.to_string()).append_pair("last", &key(last));
        next.extend_pairs(query.get("artifactType").map(|kind| ("artifactType", kind)));
        format!("<{path}?{}>; rel=\"next\"", next.finish())
    });
    Ok((page, link))
}

fn listing(body: Value, media_type: &str, link: Option<String>, extra: &[(&str, &str)]) -> Response<Body> {
    let mut headers = vec![("content-type", media_type)];
    headers.extend(link.as_deref().map(|link| ("link", link)));
    headers.extend(extra);
    reply(StatusCode::OK, &headers, body.to_string())
}

pub(super) fn reply(status: StatusCode, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}
