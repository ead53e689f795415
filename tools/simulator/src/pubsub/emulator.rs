//! Google's own Pub/Sub emulator in the place of ours: calls go through as they come, so one port still serves
//! everything. The emulator knows no permissions; what passes is in the audit log.

use std::{io, net::SocketAddr, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{Response, Uri, header::HeaderName, uri::PathAndQuery},
    routing::post,
};
use bytes::{BufMut as _, BytesMut};
use http_body_util::BodyExt as _;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use prost::Message;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};
use tonic::Status;

use super::{convert, messages as pb};
use crate::{
    Error, Result,
    audit::{Audit, Decision},
    config::{PubSubOptions, Subscription as Setting},
    respond,
};

const PROGRAM: &str = "cloud-pubsub-emulator";
/// Where Google's packages put it, for those who have not put it on `PATH`.
const PACKAGED: &str = "/usr/lib/google-cloud-sdk/platform/pubsub-emulator/bin";
/// For a Java program to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Google's clients say here which resource a call is about.
const PARAMETERS: HeaderName = HeaderName::from_static("x-goog-request-params");

/// A running emulator; clones share it. One that was started here ends with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct Emulator {
    client: Client<HttpConnector, Body>,
    address: SocketAddr,
    audit: Audit,
    _program: Option<Arc<Child>>,
}

impl Emulator {
    /// The emulator that the options ask for, if any, started where they ask for that.
    ///
    /// # Errors
    /// The address is none, the program is missing or does not start.
    pub(crate) async fn of(options: &PubSubOptions, audit: &Audit) -> Result<Option<Self>> {
        let (address, program) = match (&options.emulator, options.google_emulator) {
            (None, false) => return Ok(None),
            (Some(_), true) => {
                let message = "pubsub.emulator and pubsub.google_emulator exclude each other";
                return Err(Error::Config(message.to_owned()));
            }
            (Some(address), false) => {
                let address = address.parse().map_err(|_| {
                    Error::Config(format!("pubsub.emulator is {address:?}, but must be an address like 127.0.0.1:8085"))
                })?;
                (address, None)
            }
            (None, true) => {
                let (address, child) = start().await?;
                (address, Some(Arc::new(child)))
            }
        };
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        Ok(Some(Self { client, address, audit: audit.clone(), _program: program }))
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// What the emulator says.
    pub(crate) async fn create_topic(&self, name: &str) -> Result<()> {
        self.call("/google.pubsub.v1.Publisher/CreateTopic", &pb::Topic { name: name.to_owned() }).await
    }

    /// Creates a subscription.
    ///
    /// # Errors
    /// What the emulator says.
    pub(crate) async fn create_subscription(&self, setting: &Setting) -> Result<()> {
        let subscription = pb::Subscription { state: 0, ..convert::describe(setting) };
        self.call("/google.pubsub.v1.Subscriber/CreateSubscription", &subscription).await
    }

    /// A unary call whose answer does not matter.
    async fn call(&self, path: &'static str, message: &impl Message) -> Result<()> {
        let failed = |why: String| Error::Resource(format!("Google's emulator refused {path}: {why}"));
        let mut frame = BytesMut::new();
        frame.put_u8(0);
        frame.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
        message.encode(&mut frame).map_err(|e| failed(e.to_string()))?;
        let request = axum::http::Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Body::from(frame.freeze()))
            .map_err(|e| failed(e.to_string()))?;
        let answer = self.client.request(request).await.map_err(|e| failed(e.to_string()))?;
        let (parts, body) = answer.into_parts();
        let collected = body.collect().await.map_err(|e| failed(e.to_string()))?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let status = Status::from_header_map(&trailers).or_else(|| Status::from_header_map(&parts.headers));
        match status {
            Some(status) if status.code() == tonic::Code::Ok => Ok(()),
            Some(status) => Err(failed(status.to_string())),
            None => Err(failed(format!("no gRPC status came with HTTP status {}", parts.status))),
        }
    }
}

/// Routes that pass everything on.
pub(crate) fn routes(emulator: &Emulator) -> Router {
    Router::new()
        .route("/google.pubsub.v1.Publisher/{method}", post(pass))
        .route("/google.pubsub.v1.Subscriber/{method}", post(pass))
        .with_state(emulator.clone())
}

async fn pass(State(emulator): State<Emulator>, Path(method): Path<String>, mut request: Request) -> Response<Body> {
    let parameters = request.headers().get(&PARAMETERS).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let resource =
        form_urlencoded::parse(parameters.as_bytes()).map(|(_, v)| v.into_owned()).next().unwrap_or_default();
    let who = if respond::bearer(request.headers()).is_some() { "the bearer of a token" } else { "anonymous" };
    if !matches!(method.as_str(), "Acknowledge" | "ModifyAckDeadline") {
        let decision = Decision { service: "pubsub", method: &method, principal: who, resource: &resource };
        emulator.audit.allow(decision, "Google's emulator checks no permissions");
    }
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let Ok(uri) = format!("http://{}{path}", emulator.address).parse::<Uri>() else {
        return Status::internal("the path is no path").into_http();
    };
    *request.uri_mut() = uri;
    match emulator.client.request(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => Status::unavailable(format!("Google's emulator does not answer: {error}")).into_http(),
    }
}

/// Starts the emulator on a free port. It cannot pick one itself: so one is looked for first.
async fn start() -> Result<(SocketAddr, Child)> {
    let missing = |path: PathBuf, reason: &str| Error::File { path, reason: reason.to_owned() };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = std::env::split_paths(&path)
        .chain([PathBuf::from(PACKAGED)])
        .map(|directory| directory.join(PROGRAM))
        .find(|program| program.is_file())
        .ok_or_else(|| missing(PathBuf::from(PROGRAM), "install Google's Pub/Sub emulator, or put it on PATH"))?;
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    let address = free.map_err(Error::io("looking for a free port"))?;
    let mut child = Command::new(&program)
        .args(["--host=127.0.0.1".to_owned(), format!("--port={}", address.port())])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::io(format!("starting {}", program.display())))?;
    let listens = timeout(PATIENCE, async {
        loop {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(io::Error::other(format!("it ended: {status}")));
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    match listens {
        Ok(Ok(())) => Ok((address, child)),
        Ok(Err(error)) => Err(missing(program, &error.to_string())),
        Err(_) => Err(missing(program, "it does not listen")),
    }
}
