//! The launcher's token service: the unix socket `teeserver.sock`, and the default token's file beside it.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, Response, StatusCode},
    routing::get,
};
use serde::Deserialize;
use tokio::{net::UnixListener, task::JoinHandle};

use crate::{
    Error, Result,
    attestation::{Container, Issuer, LIFETIME, TokenKind, TokenOptions, Vm},
    respond,
    server::Server,
};

/// Audience of the default token.
const DEFAULT_AUDIENCE: &str = "https://sts.googleapis.com";
const TOKEN_FILE: &str = "attestation_verifier_claims_token";
const SOCKET: &str = "teeserver.sock";
const MAX_BODY: usize = 64 * 1024;
/// How often the default token's age is looked at: the simulator's clock may be moved.
const WATCH: Duration = Duration::from_millis(500);
/// `sun_path` holds 108 bytes with its terminator.
const MAX_SOCKET_PATH: usize = 107;

/// Serves tokens for one container until it is dropped.
#[derive(Debug)]
pub(super) struct TeeServer {
    token_file: PathBuf,
    refresh: JoinHandle<()>,
    _server: Server,
}

impl Drop for TeeServer {
    fn drop(&mut self) {
        self.refresh.abort();
    }
}

#[derive(Clone)]
struct Tee {
    issuer: Issuer,
    vm: Arc<Vm>,
    container: Arc<Container>,
}

impl TeeServer {
    /// Writes the default token and listens, both in `directory`, which exists.
    pub(super) fn start(directory: &Path, issuer: Issuer, vm: Vm, container: Container) -> Result<Self> {
        let tee = Tee { issuer, vm: Arc::new(vm), container: Arc::new(container) };
        let token_file = directory.join(TOKEN_FILE);
        replace(&token_file, &tee.default_token()?).map_err(Error::io("writing the default token"))?;
        let listener = listen(directory).map_err(Error::io("listening on teeserver.sock"))?;
        let methods = get(default).post(custom).fallback(other_method);
        let router = Router::new().route("/v1/token", methods).with_state(tee.clone());
        let file = token_file.clone();
        let mut due = tee.next_refresh();
        let refresh = tokio::spawn(async move {
            loop {
                tokio::time::sleep(WATCH).await;
                if tee.issuer.clock().now() < due {
                    continue;
                }
                due = tee.next_refresh();
                if let Ok(token) = tee.default_token() {
                    // The old token stays until the next round.
                    let _ = replace(&file, &token);
                }
            }
        });
        Ok(Self { token_file, refresh, _server: Server::unix(listener, router) })
    }

    pub(super) fn token_file(&self) -> &Path {
        &self.token_file
    }
}

impl Tee {
    fn default_token(&self) -> Result<String> {
        let options = TokenOptions { audience: DEFAULT_AUDIENCE.to_owned(), nonces: Vec::new() };
        self.issuer.token(&self.vm, &self.container, &options)
    }

    /// Some moment between 70 and 90 % of a new token's life.
    fn next_refresh(&self) -> u64 {
        let mut random = [0];
        let jitter = getrandom::fill(&mut random).map_or(50, |()| u64::from(random[0]) * 100 / 255);
        self.issuer.clock().now() + LIFETIME * 7 / 10 + LIFETIME * 2 / 10 * jitter / 100
    }
}

/// Writes beside the file and renames: a reader sees the old token or the new one.
fn replace(file: &Path, token: &str) -> io::Result<()> {
    let temporary = file.with_extension("new");
    fs::write(&temporary, token)?;
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o644))?;
    fs::rename(&temporary, file)
}

/// Everyone in the container may connect. A path that is too long for a socket goes through the directory's descriptor.
fn listen(directory: &Path) -> io::Result<UnixListener> {
    let path = directory.join(SOCKET);
    let listener = if path.as_os_str().len() <= MAX_SOCKET_PATH {
        UnixListener::bind(&path)?
    } else {
        let opened = fs::File::open(directory)?;
        let short = format!("/proc/self/fd/{}/{SOCKET}", std::os::fd::AsRawFd::as_raw_fd(&opened));
        UnixListener::bind(short)?
    };
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

async fn default(State(tee): State<Tee>) -> Response<Body> {
    match tee.default_token() {
        Ok(token) => respond::text(StatusCode::OK, token),
        Err(error) => respond::text(StatusCode::INTERNAL_SERVER_ERROR, failed(&error.to_string())),
    }
}

/// The body of `POST /v1/token`. Unknown members are refused, at every depth.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    audience: String,
    #[serde(default)]
    nonces: Option<Vec<String>>,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    aws_principal_tag_options: Option<AwsOptions>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AwsOptions {
    allowed_principal_tags: Option<AllowedTags>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AllowedTags {
    container_image_signatures: Option<Signatures>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Signatures {
    key_ids: Option<Vec<String>>,
}

impl AwsOptions {
    fn key_ids(self) -> Vec<String> {
        let signatures = self.allowed_principal_tags.and_then(|tags| tags.container_image_signatures);
        signatures.and_then(|signatures| signatures.key_ids).unwrap_or_default()
    }
}

async fn custom(State(tee): State<Tee>, request: Request) -> Response<Body> {
    match grant(&tee, request).await {
        Ok(token) => respond::text(StatusCode::OK, token),
        Err((status, message)) => respond::text(status, message),
    }
}

/// The real one knows GET and POST, and says so with 400.
async fn other_method(method: Method) -> Response<Body> {
    respond::text(StatusCode::BAD_REQUEST, format!("TEE server received an invalid HTTP method: {method}"))
}

async fn grant(tee: &Tee, request: Request) -> Result<String, (StatusCode, String)> {
    let refused = |message: &str| (StatusCode::BAD_REQUEST, message.to_owned());
    let unreadable = |why: String| refused(&format!("failed to parse POST body as TokenOptions: {why}"));
    let body = respond::body(request.into_body(), MAX_BODY).await.map_err(|e| unreadable(e.message))?;
    let asked: Asked = serde_json::from_slice(&body).map_err(|e| unreadable(e.to_string()))?;
    if asked.audience.is_empty() {
        return Err(refused("use GET request for the default identity token"));
    }
    if asked.token_type.is_empty() {
        return Err(refused("token_type is a required parameter"));
    }
    let kind = match asked.token_type.as_str() {
        "PKI" => TokenKind::Pki,
        "LIMITED_AWS" => TokenKind::LimitedAws,
        "AWS_PRINCIPALTAGS" => {
            TokenKind::AwsPrincipalTags { key_ids: asked.aws_principal_tag_options.unwrap_or_default().key_ids() }
        }
        // Any other type gets the default profile, and AWS options of another type are passed over, as the real service
        // does.
        _ => TokenKind::Oidc,
    };
    let options = TokenOptions { audience: asked.audience, nonces: asked.nonces.unwrap_or_default() };
    tee.issuer.token_of(&kind, &tee.vm, &tee.container, &options).map_err(|error| {
        let status = match error {
            Error::Token(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, failed(&error.to_string()))
    })
}

fn failed(why: &str) -> String {
    format!("failed to retrieve custom attestation service token: {why}")
}
