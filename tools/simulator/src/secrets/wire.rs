//! Secret Manager's calls, each with its permission, over REST and gRPC.

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{Method, Response},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{SecretState, Secrets, messages as pb};
use crate::{
    fields::Fields,
    grpc::{unary, unknown},
    respond::{self, ApiError, Code, Rest, Timestamp},
};

type Answer<T> = Result<T, ApiError>;
type Token<'a> = Option<&'a str>;

impl Secrets {
    fn create_call(&self, token: Token<'_>, request: &pb::CreateSecretRequest) -> Answer<pb::Secret> {
        self.perform("createSecret", token, "secretmanager.secrets.create", &request.parent, || {
            self.create(&format!("{}/secrets/{}", request.parent, request.secret_id))
        })
    }

    fn get_call(&self, token: Token<'_>, request: &pb::Name) -> Answer<pb::Secret> {
        self.perform("getSecret", token, "secretmanager.secrets.get", &request.name, || self.describe(&request.name))
    }

    fn delete_call(&self, token: Token<'_>, request: &pb::Name) -> Answer<()> {
        self.perform("deleteSecret", token, "secretmanager.secrets.delete", &request.name, || {
            self.delete(&request.name)
        })
    }

    fn add_call(&self, token: Token<'_>, request: pb::AddVersionRequest) -> Answer<pb::SecretVersion> {
        self.perform("addSecretVersion", token, "secretmanager.versions.add", &request.parent, || {
            let payload = request.payload.clone();
            let missing = || ApiError::new(Code::InvalidArgument, "The payload is missing.");
            self.add_version(&request.parent, payload.ok_or_else(missing)?)
        })
    }

    fn version_call(&self, token: Token<'_>, request: &pb::Name) -> Answer<pb::SecretVersion> {
        self.perform("getSecretVersion", token, "secretmanager.versions.get", &request.name, || {
            self.version(&request.name)
        })
    }

    fn access_call(&self, token: Token<'_>, request: &pb::Name) -> Answer<pb::AccessResponse> {
        self.perform("accessSecretVersion", token, "secretmanager.versions.access", &request.name, || {
            self.access(&request.name)
        })
    }

    fn state_call(&self, token: Token<'_>, request: &pb::Name, to: SecretState) -> Answer<pb::SecretVersion> {
        let (method, permission) = match to {
            SecretState::Enabled => ("enableSecretVersion", "secretmanager.versions.enable"),
            SecretState::Disabled => ("disableSecretVersion", "secretmanager.versions.disable"),
            SecretState::Destroyed => ("destroySecretVersion", "secretmanager.versions.destroy"),
        };
        self.perform(method, token, permission, &request.name, || self.transition(&request.name, to))
    }

    /// Answers a REST call, if it is one of these.
    pub(crate) fn rest(&self, rest: &Rest<'_>) -> Option<Result<Value, ApiError>> {
        let (name, verb) = rest.resource.rsplit_once(':').map_or((rest.resource, ""), |(name, verb)| (name, verb));
        let parts: Vec<&str> = name.split('/').collect();
        let request = pb::Name { name: name.to_owned() };
        let token = rest.token;
        let state = |to| Some(self.state_call(token, &request, to).map(|version| version_json(&version)));
        match (rest.method, &parts[..], verb) {
            (&Method::POST, ["projects", _, "secrets"], "") => {
                let parent = name.strip_suffix("/secrets").unwrap_or_default().to_owned();
                let secret_id = respond::parameter(rest.query, "secretId").unwrap_or_default();
                let request = pb::CreateSecretRequest { parent, secret_id };
                Some(self.create_call(token, &request).map(|secret| secret_json(&secret)))
            }
            (&Method::GET, ["projects", _, "secrets", _], "") => {
                Some(self.get_call(token, &request).map(|secret| secret_json(&secret)))
            }
            (&Method::DELETE, ["projects", _, "secrets", _], "") => {
                Some(self.delete_call(token, &request).map(|()| json!({})))
            }
            (&Method::POST, ["projects", _, "secrets", _], "addVersion") => Some(self.add_json(rest, name)),
            (&Method::GET, ["projects", _, "secrets", _, "versions", _], "") => {
                Some(self.version_call(token, &request).map(|version| version_json(&version)))
            }
            (&Method::GET, ["projects", _, "secrets", _, "versions", _], "access") => {
                Some(self.access_call(token, &request).map(|reply| {
                    let payload = reply.payload.unwrap_or_default();
                    let crc = payload.data_crc32c.map(|crc| crc.to_string());
                    json!({"name": reply.name, "payload": {"data": STANDARD.encode(&payload.data), "dataCrc32c": crc}})
                }))
            }
            (&Method::POST, ["projects", _, "secrets", _, "versions", _], "enable") => state(SecretState::Enabled),
            (&Method::POST, ["projects", _, "secrets", _, "versions", _], "disable") => state(SecretState::Disabled),
            (&Method::POST, ["projects", _, "secrets", _, "versions", _], "destroy") => state(SecretState::Destroyed),
            _ => None,
        }
    }

    fn add_json(&self, rest: &Rest<'_>, parent: &str) -> Answer<Value> {
        let payload = Fields::parse(rest.body)?.object("payload")?;
        let payload = pb::Payload { data: payload.bytes("data")?, data_crc32c: payload.int("dataCrc32c")? };
        let request = pb::AddVersionRequest { parent: parent.to_owned(), payload: Some(payload) };
        self.add_call(rest.token, request).map(|version| version_json(&version))
    }
}

fn secret_json(secret: &pb::Secret) -> Value {
    let created = secret.create_time.as_ref().map(Timestamp::text);
    json!({"name": secret.name, "createTime": created, "replication": {"automatic": {}}})
}

fn version_json(version: &pb::SecretVersion) -> Value {
    let states = [SecretState::Enabled, SecretState::Disabled, SecretState::Destroyed];
    let state = states.into_iter().map(SecretState::wire).find(|(_, number)| *number == version.state);
    let mut value = json!({
        "name": version.name,
        "createTime": version.create_time.as_ref().map(Timestamp::text),
        "state": state.map(|(name, _)| name),
    });
    if let Some(time) = &version.destroy_time {
        value["destroyTime"] = json!(time.text());
    }
    value
}

/// The gRPC routes.
pub(crate) fn routes(secrets: &Secrets) -> Router {
    let path = "/google.cloud.secretmanager.v1.SecretManagerService/{method}";
    Router::new().route(path, post(handle)).with_state(secrets.clone())
}

async fn handle(State(secrets): State<Secrets>, Path(method): Path<String>, request: Request) -> Response<Body> {
    let state = match method.as_str() {
        "EnableSecretVersion" => Some(SecretState::Enabled),
        "DisableSecretVersion" => Some(SecretState::Disabled),
        "DestroySecretVersion" => Some(SecretState::Destroyed),
        _ => None,
    };
    if let Some(to) = state {
        return unary(request, move |token, q| secrets.state_call(token, &q, to)).await;
    }
    match method.as_str() {
        "CreateSecret" => unary(request, move |token, q| secrets.create_call(token, &q)).await,
        "GetSecret" => unary(request, move |token, q| secrets.get_call(token, &q)).await,
        "DeleteSecret" => unary(request, move |token, q| secrets.delete_call(token, &q)).await,
        "AddSecretVersion" => unary(request, move |token, q| secrets.add_call(token, q)).await,
        "GetSecretVersion" => unary(request, move |token, q| secrets.version_call(token, &q)).await,
        "AccessSecretVersion" => unary(request, move |token, q| secrets.access_call(token, &q)).await,
        _ => unknown(&method),
    }
}
