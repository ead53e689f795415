//! Uploads of blobs: in one request, in one piece, in chunks, and mounted from another repository.

use std::collections::HashMap;

use axum::{
    body::Body,
    http::{HeaderMap, Method, Response, StatusCode, header},
};
use bytes::Bytes;
use csign_oci::Digest;

use super::{
    Registry,
    route::Unroutable,
    serve::{Answer, Refusal, reply, unroutable},
};

pub(super) async fn start_upload(
    registry: &Registry,
    name: &str,
    query: &HashMap<String, String>,
    body: Body,
) -> Answer {
    if let (Some(digest), Some(from)) = (query.get("mount"), query.get("from")) {
        let mut store = registry.store();
        if let Some(bytes) = Digest::parse(digest).ok().and_then(|digest| store.blob(from, &digest)) {
            return Ok(created_blob(name, &store.put_blob(name, bytes)));
        }
    } else if let Some(digest) = query.get("digest") {
        let bytes = receive(registry, body).await?;
        return finish_blob(registry, name, digest, bytes);
    }
    let id = registry.store().start_upload(name);
    let location = format!("/v2/{name}/blobs/uploads/{id}");
    Ok(reply(StatusCode::ACCEPTED, &[("location", &location), ("range", "0-0")], ""))
}

pub(super) async fn continue_upload(
    registry: &Registry,
    method: &Method,
    headers: &HeaderMap,
    (name, id): (&str, u64),
    query: &HashMap<String, String>,
    body: Body,
) -> Answer {
    let unknown = || Refusal(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", format!("no upload {id} in {name}"));
    let location = format!("/v2/{name}/blobs/uploads/{id}");
    let received = registry.store().upload(name, id).map(|bytes| bytes.len()).ok_or_else(unknown)?;
    match *method {
        Method::GET => {
            let range = format!("0-{}", received.saturating_sub(1));
            Ok(reply(StatusCode::NO_CONTENT, &[("location", &location), ("range", &range)], ""))
        }
        Method::DELETE => {
            registry.store().take_upload(name, id);
            Ok(reply(StatusCode::NO_CONTENT, &[], ""))
        }
        Method::PATCH => {
            let chunk = receive(registry, body).await?;
            let mut store = registry.store();
            let bytes = store.upload(name, id).ok_or_else(unknown)?;
            append(registry, headers, bytes, &chunk)?;
            let range = format!("0-{}", bytes.len().saturating_sub(1));
            Ok(reply(StatusCode::ACCEPTED, &[("location", &location), ("range", &range)], ""))
        }
        Method::PUT => {
            let last = receive(registry, body).await?;
            let digest = query.get("digest").ok_or_else(|| {
                Refusal(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "the digest parameter is missing".to_owned())
            })?;
            let bytes = {
                let mut store = registry.store();
                append(registry, headers, store.upload(name, id).ok_or_else(unknown)?, &last)?;
                store.take_upload(name, id).ok_or_else(unknown)?
            };
            finish_blob(registry, name, digest, bytes.into())
        }
        _ => Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", format!("{method} on an upload"))),
    }
}

/// Appends a chunk, which must begin where the upload ends and be as long as it says.
fn append(registry: &Registry, headers: &HeaderMap, bytes: &mut Vec<u8>, chunk: &[u8]) -> Result<(), Refusal> {
    if let Some(range) = headers.get(header::CONTENT_RANGE) {
        let bounds = range.to_str().ok().and_then(|range| range.trim_start_matches("bytes ").split_once('-'));
        let bounds = bounds.and_then(|(first, last)| Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?)));
        let fits = |(first, last): (usize, usize)| {
            first == bytes.len() && last.checked_sub(first) == chunk.len().checked_sub(1)
        };
        if !bounds.is_some_and(fits) {
            let message = format!("the chunk is not what its Content-Range says; the next byte is {}", bytes.len());
            return Err(Refusal(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", message));
        }
    }
    let limit = registry.inner.options.blob_limit;
    if bytes.len() + chunk.len() > limit {
        return Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", format!("more than {limit} bytes")));
    }
    bytes.extend_from_slice(chunk);
    Ok(())
}

async fn receive(registry: &Registry, body: Body) -> Result<Bytes, Refusal> {
    let limit = registry.inner.options.blob_limit;
    let refuse =
        |_| Refusal(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", format!("more than {limit} bytes, or cut off"));
    axum::body::to_bytes(body, limit).await.map_err(refuse)
}

fn finish_blob(registry: &Registry, name: &str, digest: &str, bytes: Bytes) -> Answer {
    if Digest::parse(digest).is_err() {
        return Err(unroutable(Unroutable::Digest(digest), ""));
    }
    let got = Digest::of(&bytes);
    if digest != got.to_string() {
        return Err(Refusal(StatusCode::BAD_REQUEST, "DIGEST_INVALID", format!("want {digest}, got {got}")));
    }
    Ok(created_blob(name, &registry.store().put_blob(name, bytes)))
}

fn created_blob(name: &str, digest: &Digest) -> Response<Body> {
    let location = format!("/v2/{name}/blobs/{digest}");
    reply(StatusCode::CREATED, &[("location", &location), ("docker-content-digest", &digest.to_string())], "")
}
