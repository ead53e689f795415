//! Faults on purpose: requests whose path contains a text are answered late, with an error, or with a changed answer.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Response, StatusCode, header},
    middleware::Next,
};
use serde_json::Value;

/// Bytes of an answer that is changed.
const LIMIT: usize = 16 << 20;

/// What goes wrong.
#[derive(Clone)]
pub enum Fault {
    /// The request is processed so much later.
    Delay(Duration),
    /// The request is not processed; this is the answer, with a body in JSON.
    Answer(u16, Value),
    /// The request is processed, and its answer in JSON is changed.
    Edit(Arc<dyn Fn(&mut Value) + Send + Sync>),
}

/// The faults that are in force; clones share them.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<(String, Fault)>>>);

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faults({})", self.rules().len())
    }
}

impl Faults {
    /// From now on, `fault` happens to requests whose path contains `path`. An earlier one for the same text ends.
    pub fn set(&self, path: &str, fault: Fault) {
        let mut rules = self.rules();
        rules.retain(|(text, _)| text != path);
        rules.push((path.to_owned(), fault));
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.rules().clear();
    }

    fn of(&self, path: &str) -> Vec<Fault> {
        let rules = self.rules();
        rules.iter().filter(|(text, _)| path.contains(text.as_str())).map(|(_, fault)| fault.clone()).collect()
    }

    fn rules(&self) -> MutexGuard<'_, Vec<(String, Fault)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Middleware of all routes.
pub(crate) async fn apply(State(faults): State<Faults>, request: Request, next: Next) -> Response<Body> {
    let mut edits = Vec::new();
    for fault in faults.of(request.uri().path()) {
        match fault {
            Fault::Delay(time) => tokio::time::sleep(time).await,
            Fault::Answer(status, body) => return json(status, &body),
            Fault::Edit(edit) => edits.push(edit),
        }
    }
    let response = next.run(request).await;
    if edits.is_empty() {
        return response;
    }
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), LIMIT).await.unwrap_or_default();
    let mut body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    edits.iter().for_each(|edit| edit(&mut body));
    json(status, &body)
}

fn json(status: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
