//! What only the holder of the control token may do: have a program launched, or take a subject token for a client.
//!
//! The token is random, made at start and told only to whoever started the simulator; a program that merely reaches the
//! port, or a page in a browser, has no use of these endpoints.

use std::{collections::BTreeMap, convert::Infallible, fmt, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode, header},
};
use bytes::Bytes;
use csign_oci::Reference;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Console;
use crate::{
    Error, LaunchRequest, Launcher, Result, Running,
    attestation::{Container, TokenOptions, Vm},
    audit::Decision,
    config::Client,
    iam::hex,
    launcher::{Lines, RestartPolicy, Stream},
    respond,
};

const MAX_BODY: usize = 1 << 20;
/// A command of gcloud with the files that it reads.
const MAX_GCLOUD: usize = 4 << 20;

/// The control token, and what it gives access to.
#[derive(Clone)]
pub(crate) struct Control {
    token: Arc<str>,
    launcher: Launcher,
    machine: Vm,
    client: Option<(Client, Container)>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("machine", &self.machine).field("client", &self.client).finish_non_exhaustive()
    }
}

/// The body of a launch.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// Instance metadata, `tee-image-reference` and so on.
    pub metadata: BTreeMap<String, String>,
    /// Members of the machine that differ from the configuration's.
    #[serde(default)]
    pub machine: serde_json::Map<String, serde_json::Value>,
}

/// One line of a launch's answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// A line that the program wrote to standard output.
    Stdout(String),
    /// A line that the program wrote to standard error.
    Stderr(String),
    /// A message of the launcher.
    Launcher(String),
    /// The program has ended for good, with this status (`None`: by a signal).
    Ended(Option<i32>),
}

impl Control {
    pub(crate) fn new(launcher: Launcher, machine: Vm, client: Option<Client>) -> Result<Self> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|e| Error::Key(format!("no randomness: {e}")))?;
        let client = client.map(|client| container_of(&client).map(|container| (client, container))).transpose()?;
        Ok(Self { token: hex(&random).into(), launcher, machine, client })
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) async fn launch(&self, launch: Launch) -> Result<Running> {
        self.launcher.launch(request_of(&self.machine, launch)?).await
    }

    /// Launches what a command for the real platform describes, which does not say where the simulator is.
    pub(crate) async fn boot(&self, launch: Launch) -> Result<Running> {
        let request = request_of(&self.machine, launch)?;
        self.launcher.launch(LaunchRequest { tells_address: true, ..request }).await
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        respond::bearer(headers).is_some_and(|given| same(given.as_bytes(), self.token.as_bytes()))
    }
}

/// What the client's workload would be attested as.
fn container_of(client: &Client) -> Result<Container> {
    let image = match Reference::parse(&client.image) {
        Ok(Reference::Pinned(pinned)) => pinned,
        Ok(Reference::Tagged(..)) => {
            return Err(Error::Config(format!("client.image: {} is not pinned", client.image)));
        }
        Err(error) => return Err(Error::Config(format!("client.image: {error}"))),
    };
    Ok(Container {
        image_reference: image.to_string(),
        image_digest: image.digest,
        image_id: image.digest,
        restart_policy: RestartPolicy::Never.as_str().to_owned(),
        args: Vec::new(),
        env: BTreeMap::new(),
        env_override: BTreeMap::new(),
        cmd_override: Vec::new(),
        image_signatures: Vec::new(),
    })
}

/// Compares without stopping at the first difference.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

/// Says no, in the log too.
fn refused(console: &Console, method: &str, resource: &str) -> Response<Body> {
    let decision = Decision { service: "simulator", method, principal: "unknown", resource };
    console.services.audit.deny(decision, "the control token is missing or wrong");
    let message =
        "this needs the header `Authorization: Bearer TOKEN` with the control token that `simulator up` prints\n";
    respond::text(StatusCode::UNAUTHORIZED, message)
}

/// `GET /simulator/token?audience=A`: the attestation token that the configured client's workload would present to A.
/// This is the `credential_source` of the credentials file that `simulator up` writes.
pub(super) async fn subject_token(State(console): State<Console>, request: Request) -> Response<Body> {
    if !console.control.admits(request.headers()) {
        return refused(&console, "token", "the client's workload");
    }
    let Some((client, container)) = &console.control.client else {
        return respond::text(
            StatusCode::NOT_FOUND,
            "the configuration has no [client], so there is no workload to attest\n",
        );
    };
    let query = request.uri().query().unwrap_or_default();
    let audience = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "audience");
    let audience = audience.map_or_else(|| client.audience(), |(_, audience)| audience.into_owned());
    let options = TokenOptions { audience, ..TokenOptions::default() };
    match console.services.issuer.token(&console.control.machine, container, &options) {
        Ok(token) => respond::text(StatusCode::OK, token),
        Err(error) => respond::text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

/// `POST /simulator/launch`: launches and reports, one [`Report`] a line. The program ends with the connection.
pub(super) async fn launch(State(console): State<Console>, request: Request) -> Response<Body> {
    if !console.control.admits(request.headers()) {
        return refused(&console, "launch", "a program");
    }
    let body = match respond::body(request.into_body(), MAX_BODY).await {
        Ok(body) => body,
        Err(error) => return respond::text(StatusCode::PAYLOAD_TOO_LARGE, error.message),
    };
    let launched = match csign_oci::json::from_slice::<Launch>(&body) {
        Ok(launch) => console.control.launch(launch).await,
        Err(error) => Err(Error::Metadata(format!("the request: {error}"))),
    };
    match launched {
        Ok(running) => {
            let lines = running.follow();
            let mut response = Response::new(Body::from_stream(stream::unfold(Some((running, lines)), report)));
            let kind = header::HeaderValue::from_static("application/jsonl; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        Err(error) => respond::json(StatusCode::UNPROCESSABLE_ENTITY, &json!({"error": error.to_string()})),
    }
}

/// `POST /simulator/gcloud`: a command of gcloud, as the owner of every project.
pub(super) async fn gcloud(State(console): State<Console>, request: Request) -> Response<Body> {
    if !console.control.admits(request.headers()) {
        return refused(&console, "gcloud", "the simulated cloud");
    }
    let body = match respond::body(request.into_body(), MAX_GCLOUD).await {
        Ok(body) => body,
        Err(error) => return respond::text(StatusCode::PAYLOAD_TOO_LARGE, error.message),
    };
    let command = match csign_oci::json::from_slice::<crate::gcloud::Request>(&body) {
        Ok(command) => command,
        Err(error) => return respond::text(StatusCode::BAD_REQUEST, format!("the request: {error}\n")),
    };
    // It makes keys and waits for machines to end.
    let answer =
        tokio::task::spawn_blocking(move || console.gcloud.answer(&console.services, &console.control, &command));
    match answer.await.map(serde_json::to_value) {
        Ok(Ok(answer)) => respond::json(StatusCode::OK, &answer),
        _ => respond::text(StatusCode::INTERNAL_SERVER_ERROR, "the command broke off\n"),
    }
}

/// The configured machine with the launch's differences, and the metadata.
fn request_of(machine: &Vm, launch: Launch) -> Result<LaunchRequest> {
    let wrong = |e: serde_json::Error| Error::Metadata(format!("the machine: {e}"));
    let mut vm = serde_json::to_value(machine).map_err(wrong)?;
    for (name, value) in launch.machine {
        match vm.get_mut(&name) {
            Some(member) => *member = value,
            None => return Err(Error::Metadata(format!("a machine has no member {name:?}"))),
        }
    }
    LaunchRequest::from_metadata(&launch.metadata, serde_json::from_value(vm).map_err(wrong)?)
}

type Reporting = Option<(Running, Lines)>;

async fn report(state: Reporting) -> Option<(std::result::Result<Bytes, Infallible>, Reporting)> {
    let (running, mut lines) = state?;
    let (report, next) = match lines.next().await {
        Some(line) => {
            let report = match line.stream {
                Stream::Stdout => Report::Stdout(line.text),
                Stream::Stderr => Report::Stderr(line.text),
                Stream::Launcher => Report::Launcher(line.text),
            };
            (report, Some((running, lines)))
        }
        None => (Report::Ended(running.wait().await.ok().and_then(|status| status.code())), None),
    };
    let mut line = serde_json::to_vec(&report).unwrap_or_default();
    line.push(b'\n');
    Some((Ok(Bytes::from(line)), next))
}
