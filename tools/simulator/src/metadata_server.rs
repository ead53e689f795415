//! The GCE metadata server: tokens of the machine's own service account. One machine at a time has it.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode, header},
    routing::get,
};
use serde_json::json;

use crate::{
    audit::{Audit, Decision},
    iam::{Iam, Identity, TOKEN_LIFETIME},
    respond,
};

const FLAVOR: header::HeaderName = header::HeaderName::from_static("metadata-flavor");
const PREFIX: &str = "/computeMetadata/v1/";

/// Whose tokens are handed out: a fixed member, or the account of the machine that booted last.
#[derive(Clone, Debug)]
pub(crate) struct MetadataIdentity {
    fixed: bool,
    member: Arc<Mutex<Option<String>>>,
}

impl MetadataIdentity {
    /// A machine with this service account has booted.
    pub(crate) fn booted(&self, service_account: &str) {
        if !self.fixed {
            *self.member.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(format!("serviceAccount:{service_account}"));
        }
    }

    fn current(&self) -> Option<String> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The metadata server; clones share the identity.
#[derive(Clone, Debug)]
pub(crate) struct MetadataServer {
    identity: MetadataIdentity,
    iam: Iam,
    audit: Audit,
}

impl MetadataServer {
    pub(crate) fn new(fixed: Option<String>, iam: Iam, audit: Audit) -> Self {
        Self { identity: MetadataIdentity { fixed: fixed.is_some(), member: Arc::new(Mutex::new(fixed)) }, iam, audit }
    }

    pub(crate) fn identity(&self) -> &MetadataIdentity {
        &self.identity
    }
}

/// The metadata server's routes.
pub(crate) fn routes(server: &MetadataServer) -> Router {
    Router::new().route(&format!("{PREFIX}{{*item}}"), get(answer)).with_state(server.clone())
}

async fn answer(State(server): State<MetadataServer>, request: Request) -> Response<Body> {
    let headers = request.headers();
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    let decision = Decision { service: "metadata", method: "get", principal: "a local client", resource: path };
    if headers.get(&FLAVOR).is_none_or(|value| value != "Google") || headers.contains_key("x-forwarded-for") {
        server
            .audit
            .deny(decision, "no header Metadata-Flavor: Google, or one that says that the request was forwarded");
        return respond::text(StatusCode::FORBIDDEN, "Missing required header: Metadata-Flavor: Google\n");
    }
    let Some(member) = server.identity.current() else {
        server.audit.deny(decision, "no machine has booted, and no metadata identity is configured");
        return respond::text(StatusCode::NOT_FOUND, "no machine has booted, and no metadata identity is configured\n");
    };
    let mut response = match path {
        "instance/service-accounts/default/token" => match server.iam.issue(Identity::Member(member.clone())) {
            Ok(token) => {
                server.audit.allow(Decision { method: "token", ..decision }, format!("an access token of {member}"));
                let body = json!({"access_token": token, "expires_in": TOKEN_LIFETIME, "token_type": "Bearer"});
                respond::json(StatusCode::OK, &body)
            }
            Err(error) => respond::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        "instance/service-accounts/default/email" => {
            respond::text(StatusCode::OK, member.split_once(':').map_or(member.as_str(), |(_, email)| email))
        }
        "universe/universe-domain" | "universe/universe_domain" => respond::text(StatusCode::OK, "googleapis.com"),
        _ => respond::text(StatusCode::NOT_FOUND, "the simulator's metadata server has no such item\n"),
    };
    response.headers_mut().insert(FLAVOR, header::HeaderValue::from_static("Google"));
    response
}
