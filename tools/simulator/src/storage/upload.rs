//! `objects.insert` in its three forms: the bytes alone, metadata and bytes in one multipart body, and a resumable
//! session that takes the bytes in pieces.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    body::Body,
    http::{HeaderMap, Response, StatusCode, header},
};
use futures_util::StreamExt as _;
use serde_json::Value;

use super::{
    blob::Writer,
    serve::{Target, empty, object_reply},
    store::{About, Conditions, Refusal, Storage},
};
use crate::{
    fields::Fields,
    iam::hex,
    respond::{self, ApiError, Code},
};

/// Largest object, in bytes.
const MAX_OBJECT: u64 = 1 << 30;
/// Largest multipart body, which is read as a whole; clients use sessions for more.
const MAX_MULTIPART: usize = 32 << 20;
/// Largest description of an object.
const MAX_ABOUT: usize = 64 * 1024;
/// Most open sessions.
const MAX_SESSIONS: usize = 256;

/// Open resumable sessions by their id, which is as good as a token for the one object that it is about.
#[derive(Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<HashMap<String, Slot>>>);

/// Empty once the session is over; a request that takes a while holds it.
type Slot = Arc<tokio::sync::Mutex<Option<Session>>>;

struct Session {
    target: Target,
    token: Option<String>,
    about: About,
    conditions: Conditions,
    writer: Writer,
}

type Outcome = Result<Response<Body>, Refusal>;

impl Storage {
    /// `POST /upload/storage/v1/b/BUCKET/o`
    pub(super) async fn upload(
        &self,
        mut target: Target,
        headers: &HeaderMap,
        query: Option<&str>,
        body: Body,
    ) -> Outcome {
        let token = respond::bearer(headers).map(str::to_owned);
        let conditions = Conditions::parse(query)?;
        let name = respond::parameter(query, "name");
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
        match respond::parameter(query, "uploadType").as_deref() {
            Some("media") => {
                target.object = name.ok_or_else(|| invalid("Required parameter: name"))?;
                self.may_create(&target, token.as_deref())?;
                let mut writer = Writer::new(self.directory.path())?;
                fill(&mut writer, body).await?;
                let about = About { content_type, ..About::default() };
                self.commit(&target, token.as_deref(), writer, about, conditions)
            }
            Some("multipart") => {
                let body = respond::body(body, MAX_MULTIPART).await?;
                let boundary = boundary(content_type.as_deref().unwrap_or_default());
                let parts = boundary.and_then(|boundary| parts(&body, &boundary));
                let (about, data_type, data) = parts.ok_or_else(|| invalid("Malformed multipart body."))?;
                let about = Fields::parse(about)?;
                target.object = self::name(name, &about)?;
                self.may_create(&target, token.as_deref())?;
                let about = describe(&about, data_type)?;
                let mut writer = Writer::new(self.directory.path())?;
                writer.write(data)?;
                self.commit(&target, token.as_deref(), writer, about, conditions)
            }
            Some("resumable") => {
                let body = respond::body(body, MAX_ABOUT).await?;
                let fields = Fields::parse(&body)?;
                target.object = self::name(name, &fields)?;
                self.may_create(&target, token.as_deref())?;
                let kind = headers.get("x-upload-content-type").and_then(|v| v.to_str().ok()).map(str::to_owned);
                let about = describe(&fields, kind)?;
                let writer = Writer::new(self.directory.path())?;
                let location = format!("{}/upload/storage/v1/b/{}/o", target.endpoint, target.bucket);
                let id = self.sessions.open(Session { target, token, about, conditions, writer })?;
                let mut response = empty(StatusCode::OK);
                let location = format!("{location}?uploadType=resumable&upload_id={id}").parse();
                let location = location.map_err(|_| invalid("The bucket's name fits no header."))?;
                response.headers_mut().insert(header::LOCATION, location);
                Ok(response)
            }
            _ => Err(invalid("uploadType must be media, multipart or resumable.").into()),
        }
    }

    /// `PUT` of a session's URL: a piece, the last piece, or the question how much has arrived. What arrived before a
    /// connection broke stays.
    pub(super) async fn resume(&self, headers: &HeaderMap, query: Option<&str>, body: Body) -> Outcome {
        let id = respond::parameter(query, "upload_id").unwrap_or_default();
        let missing = || ApiError::new(Code::NotFound, "No such upload.");
        let slot = self.sessions.find(&id).ok_or_else(missing)?;
        let mut slot = slot.lock().await;
        let session = slot.as_mut().ok_or_else(missing)?;
        let range = headers.get(header::CONTENT_RANGE).map(|value| value.to_str().unwrap_or_default());
        let (start, total) = match range.map(content_range) {
            None => (Some(0), None),
            Some(parsed) => parsed.ok_or_else(|| invalid("Invalid Content-Range."))?,
        };
        if start.is_some_and(|start| start == session.writer.size) {
            fill(&mut session.writer, body).await?;
        }
        if total == Some(session.writer.size) || range.is_none() {
            self.sessions.close(&id);
            let Session { target, token, about, conditions, writer } = slot.take().ok_or_else(missing)?;
            return self.commit(&target, token.as_deref(), writer, about, conditions);
        }
        let mut response = empty(StatusCode::PERMANENT_REDIRECT);
        if let Some(last) = session.writer.size.checked_sub(1)
            && let Ok(value) = format!("bytes=0-{last}").parse()
        {
            response.headers_mut().insert(header::RANGE, value);
        }
        Ok(response)
    }

    /// Asked before a byte is stored; [`Storage::commit`] asks again and writes the log.
    fn may_create(&self, target: &Target, token: Option<&str>) -> Result<(), Refusal> {
        self.iam.authorize("storage", "objects.create", token, CREATE, &target.resource())?;
        Ok(())
    }

    fn commit(
        &self,
        target: &Target,
        token: Option<&str>,
        writer: Writer,
        about: About,
        conditions: Conditions,
    ) -> Outcome {
        let object = self.perform(token, CREATE, &target.resource(), || {
            self.insert(&target.bucket, &target.object, writer.finish()?, about, conditions)
        })?;
        Ok(object_reply(&object, target))
    }
}

const CREATE: &str = "storage.objects.create";

impl Sessions {
    fn open(&self, session: Session) -> Result<String, Refusal> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| Refusal::Disk(std::io::Error::other(error.to_string())))?;
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MAX_SESSIONS {
            return Err(ApiError::new(Code::FailedPrecondition, "Too many open uploads.").into());
        }
        let id = hex(&random);
        sessions.insert(id.clone(), Arc::new(tokio::sync::Mutex::new(Some(session))));
        Ok(id)
    }

    fn find(&self, id: &str) -> Option<Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn close(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

impl Conditions {
    pub(super) fn parse(query: Option<&str>) -> Result<Self, Refusal> {
        let number = |name| match respond::parameter(query, name) {
            None => Ok(None),
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| invalid(format!("Invalid argument: {name}."))),
        };
        Ok(Self {
            generation: number("ifGenerationMatch")?,
            not_generation: number("ifGenerationNotMatch")?,
            metageneration: number("ifMetagenerationMatch")?,
            not_metageneration: number("ifMetagenerationNotMatch")?,
        })
    }
}

async fn fill(writer: &mut Writer, body: Body) -> Result<(), Refusal> {
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| invalid("The upload ended before its time."))?;
        if writer.size + piece.len() as u64 > MAX_OBJECT {
            return Err(invalid(format!("An object of the simulator has at most {MAX_OBJECT} bytes.")).into());
        }
        writer.write(&piece)?;
    }
    Ok(())
}

/// The query's name wins over that of the description.
fn name(query: Option<String>, about: &Fields) -> Result<String, ApiError> {
    let name = query.map_or_else(|| about.text("name"), Ok)?;
    if name.is_empty() { Err(invalid("Required parameter: name")) } else { Ok(name) }
}

fn describe(about: &Fields, data_type: Option<String>) -> Result<About, ApiError> {
    let text = |name: &str| about.text(name).map(|text| Some(text).filter(|text| !text.is_empty()));
    let mut metadata = BTreeMap::new();
    if let Some(Value::Object(members)) = about.get("metadata") {
        for (key, value) in members {
            let value = value.as_str().ok_or_else(|| invalid("metadata must be strings."))?;
            metadata.insert(key.clone(), value.to_owned());
        }
    }
    let content_type = text("contentType")?.or(data_type);
    Ok(About { content_type, metadata, crc32c: text("crc32c")?, md5: text("md5Hash")? })
}

/// The boundary of `multipart/related; boundary=…`, quoted or not.
fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    kind.trim().eq_ignore_ascii_case("multipart/related").then_some(())?;
    let mut parameters = parameters.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.eq_ignore_ascii_case("boundary"))?;
    Some(value.trim_matches(['"', '\'']).to_owned()).filter(|boundary| !boundary.is_empty())
}

/// The description, the type of the data, and the data of a body with exactly these two parts (RFC 2387).
fn parts<'a>(body: &'a [u8], boundary: &str) -> Option<(&'a [u8], Option<String>, &'a [u8])> {
    let first = format!("--{boundary}");
    let (_, rest) = split(body, first.as_bytes())?;
    let next = format!("\n--{boundary}");
    let (about, rest) = split(rest, next.as_bytes())?;
    // The data may contain anything but the line that ends it, which is the last one.
    let end = format!("\n--{boundary}--");
    let at = rest.windows(end.len()).rposition(|window| window == end.as_bytes())?;
    let (_, about) = part(without_return(about))?;
    let (kind, data) = part(without_return(rest.get(..at)?))?;
    Some((about, kind, data))
}

fn without_return(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// The type and the content of one part, which begins behind its boundary.
fn part(bytes: &[u8]) -> Option<(Option<String>, &[u8])> {
    let (head, content) = split(bytes, b"\r\n\r\n").or_else(|| split(bytes, b"\n\n"))?;
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let kind = lines.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-type"));
    Some((kind.map(|(_, value)| value.trim().to_owned()), content))
}

fn split<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    Some((bytes.get(..at)?, bytes.get(at + mark.len()..)?))
}

/// The first byte of `bytes A-B/TOTAL`, none for `bytes */TOTAL`; the total, none for `*`.
fn content_range(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    let start = if range == "*" { None } else { Some(range.split_once('-')?.0.parse().ok()?) };
    Some((start, total))
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::InvalidArgument, message)
}
