//! What a collaborator's client may ask: a token for this connection, and that a message is counted.

use std::{sync::Arc, time::Duration};

use csign_attestation::Token;
use csign_contract::message::is_message_id;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Bytes, Incoming},
};
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex, Semaphore},
    time::timeout,
};

use super::Ingest;
use crate::{
    listener::answer,
    sink::{SinkError, Taken},
};

/// Bytes of one message.
const MESSAGE_LIMIT: usize = 1 << 20;
/// From the first to the last byte of a message: stops who sends one byte at a time.
const MESSAGE_TIME: Duration = Duration::from_secs(30);
/// Messages of one connection at work; HTTP/1.1 answers in order anyway.
const AT_A_TIME: usize = 1;
const JSON: &str = "application/json";

/// A client whose certificate was verified, on one connection.
pub(super) struct Client {
    ingest: Arc<Ingest>,
    collaborator: String,
    binding: String,
    /// The token of this connection: its nonce is the connection's, so one is enough for its life.
    token: Mutex<Option<Token>>,
    work: Semaphore,
}

/// Why a request is refused, as a status and a code.
type Refusal = (StatusCode, &'static str);

impl Client {
    pub(super) fn new(ingest: Arc<Ingest>, collaborator: String, binding: String) -> Self {
        Self { ingest, collaborator, binding, token: Mutex::new(None), work: Semaphore::new(AT_A_TIME) }
    }

    pub(super) async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let outcome = match (request.method().clone(), path.strip_prefix("/messages/")) {
            (Method::GET, None) if path == "/connect" => return self.connect(&request).await,
            (Method::POST, Some(id)) => self.message(id, request).await,
            (_, Some(_)) => Err((StatusCode::METHOD_NOT_ALLOWED, "method")),
            (_, None) if path == "/connect" => Err((StatusCode::METHOD_NOT_ALLOWED, "method")),
            _ => Err((StatusCode::NOT_FOUND, "unknown-path")),
        };
        match outcome {
            Ok(body) => answer(StatusCode::OK, JSON, body.to_string()),
            Err((status, code)) => self.refuse(status, code),
        }
    }

    fn refuse(&self, status: StatusCode, code: &'static str) -> Response<Full<Bytes>> {
        let collaborator = self.collaborator.as_str().into();
        self.ingest.log.error("ingest refused", &[("collaborator", collaborator), ("code", code.into())]);
        answer(status, JSON, json!({"error": code}).to_string())
    }

    /// An attestation token whose audience is the contract's and whose nonce is this connection's binding.
    async fn connect(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !request.body().is_end_stream() {
            return self.refuse(StatusCode::PAYLOAD_TOO_LARGE, "body");
        }
        let mut slot = self.token.lock().await;
        if slot.is_none() {
            let asked =
                self.ingest.launcher.token_of(self.ingest.token_type, &self.ingest.audience, Some(&self.binding)).await;
            self.ingest.metrics.token_request(asked.is_ok());
            match asked {
                Ok(token) => *slot = Some(token),
                Err(error) => {
                    self.ingest.log.error("no token for a client", &[("reason", error.to_string().into())]);
                    return self.refuse(StatusCode::SERVICE_UNAVAILABLE, "no-token");
                }
            }
        }
        let token = slot.as_ref().map(|token| token.expose().to_owned()).unwrap_or_default();
        answer(StatusCode::OK, "application/jwt", token)
    }

    /// Counts a message of the collaborator that the certificate proved. The steps: 1. The id is one. 2. The body is there,
    /// within size and time. 3. It is text, and its words are in the counts for good before the answer says so.
    async fn message(&self, id: &str, request: Request<Incoming>) -> Result<Value, Refusal> {
        // 1.
        if !is_message_id(id) {
            return Err((StatusCode::BAD_REQUEST, "malformed-message-id"));
        }
        // 2.
        let size = request.body().size_hint();
        if size.lower() > MESSAGE_LIMIT as u64 {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, "too-large"));
        }
        let _turn = self.work.acquire().await.map_err(|_| (StatusCode::SERVICE_UNAVAILABLE, "stopping"))?;
        let body = timeout(MESSAGE_TIME, Limited::new(request.into_body(), MESSAGE_LIMIT).collect()).await;
        let body = match body {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                return Err((StatusCode::PAYLOAD_TOO_LARGE, "too-large"));
            }
            Ok(Err(_)) => return Err((StatusCode::BAD_REQUEST, "incomplete")),
            Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "too-slow")),
        };
        self.ingest.metrics.ingested(&self.collaborator);
        // 3.
        match self.ingest.sink.count(&self.collaborator, id, &body).await {
            Ok(Taken::Counted { words }) => Ok(json!({"message": id, "status": "counted", "words": words})),
            Ok(Taken::Before) => Ok(json!({"message": id, "status": "already-counted"})),
            Err(SinkError::Poison(code)) => Err((StatusCode::UNPROCESSABLE_ENTITY, code)),
            Err(SinkError::State(error)) => {
                self.ingest.log.error("keeping a result failed", &[("reason", error.to_string().into())]);
                Err((StatusCode::SERVICE_UNAVAILABLE, "state"))
            }
        }
    }
}
