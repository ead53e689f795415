//! The log over HTTP: `GET /simulator/audit` as JSON lines, `GET /simulator/audit/stream` as server-sent events.
//!
//! Both take the query of [`Filter`] and `since=N`: only entries with a sequence number of at least `N`. The first also
//! takes `limit=N`; its headers `audit-next` and `audit-lost` say where to go on and how many entries are gone,
//! `audit-total` how many there ever were.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Response, StatusCode, header},
    routing::get,
};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{Audit, Filter, Read};
use crate::respond;

/// Entries in one answer, unless the query asks for fewer.
const MAX_ENTRIES: usize = 10_000;
/// Entries that a stream sends at once.
const BATCH: usize = 500;
/// Live views at the same time.
const MAX_STREAMS: usize = 64;
/// A comment as a sign of life, and so that a reader who has gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

const NEXT: HeaderName = HeaderName::from_static("audit-next");
const LOST: HeaderName = HeaderName::from_static("audit-lost");
const TOTAL: HeaderName = HeaderName::from_static("audit-total");

#[derive(Clone)]
struct Service {
    audit: Audit,
    streams: Arc<Semaphore>,
}

/// Both endpoints.
pub(crate) fn routes(audit: &Audit) -> Router {
    let service = Service { audit: audit.clone(), streams: Arc::new(Semaphore::new(MAX_STREAMS)) };
    Router::new().route("/simulator/audit", get(list)).route("/simulator/audit/stream", get(follow)).with_state(service)
}

/// What a request asks for.
#[derive(Default)]
struct Query {
    filter: Filter,
    since: u64,
    limit: Option<usize>,
}

impl Query {
    fn parse(query: Option<&str>) -> Result<Self, String> {
        let mut parsed = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let number = || value.parse::<u64>().map_err(|_| format!("{name} is a number, not {value:?}"));
            match &*name {
                "since" => parsed.since = number()?,
                "limit" => parsed.limit = Some(usize::try_from(number()?).unwrap_or(usize::MAX)),
                _ if parsed.filter.take(&name, &value)? => {}
                _ => {
                    return Err(format!(
                        "no parameter {name:?}; there are since, limit, service, allowed, principal and text"
                    ));
                }
            }
        }
        Ok(parsed)
    }
}

async fn list(State(service): State<Service>, request: Request) -> Response<Body> {
    let query = match Query::parse(request.uri().query()) {
        Ok(query) => query,
        Err(why) => return respond::text(StatusCode::BAD_REQUEST, why + "\n"),
    };
    let limit = query.limit.unwrap_or(MAX_ENTRIES).min(MAX_ENTRIES);
    let read = service.audit.read(query.since, &query.filter, limit);
    let mut body = Vec::new();
    for entry in &read.entries {
        if serde_json::to_writer(&mut body, &**entry).is_err() {
            return respond::text(StatusCode::INTERNAL_SERVER_ERROR, "an entry cannot be written as JSON\n");
        }
        body.push(b'\n');
    }
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/jsonl; charset=utf-8"));
    headers.insert(NEXT, read.next.into());
    headers.insert(LOST, read.lost.into());
    headers.insert(TOTAL, service.audit.total().into());
    response
}

async fn follow(State(service): State<Service>, request: Request) -> Response<Body> {
    let query = match Query::parse(request.uri().query()) {
        Ok(query) => query,
        Err(why) => return respond::text(StatusCode::BAD_REQUEST, why + "\n"),
    };
    let Ok(permit) = Arc::clone(&service.streams).try_acquire_owned() else {
        let message = format!("there are {MAX_STREAMS} live views already\n");
        return respond::text(StatusCode::SERVICE_UNAVAILABLE, message);
    };
    let since = match last_event(request.headers()) {
        None => query.since,
        Some(last) if last < service.audit.total() => last + 1,
        Some(_) => 0, // The reader followed a simulator that ran here before.
    };
    let total = service.audit.watch();
    let live = Live { audit: service.audit, total, filter: query.filter, next: since, _permit: permit };
    let mut response = Response::new(Body::from_stream(stream::unfold(live, |mut live| async move {
        let text = live.events().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), live))
    })));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

/// What a browser sends when it connects again.
fn last_event(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// One reader of the stream.
struct Live {
    audit: Audit,
    total: watch::Receiver<u64>,
    filter: Filter,
    next: u64,
    _permit: OwnedSemaphorePermit,
}

impl Live {
    /// The next events, or a heartbeat; `None` when the simulator ends.
    async fn events(&mut self) -> Option<String> {
        loop {
            let total = *self.total.borrow_and_update();
            let Read { entries, next, lost } = self.audit.read(self.next, &self.filter, BATCH);
            self.next = next;
            if lost > 0 || !entries.is_empty() {
                let lost = (lost > 0).then(|| format!("event: lost\ndata: {lost}\n\n"));
                let entries = entries.iter().filter_map(|entry| {
                    let json = serde_json::to_string(&**entry).ok()?;
                    Some(format!("id: {}\ndata: {json}\n\n", entry.sequence))
                });
                return Some(lost.into_iter().chain(entries).collect());
            }
            if self.next < total {
                continue;
            }
            match tokio::time::timeout(HEARTBEAT, self.total.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) => return Some(": alive\n\n".to_owned()),
            }
        }
    }
}
