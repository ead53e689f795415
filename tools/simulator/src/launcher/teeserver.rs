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
    http::{Response, StatusCode},
    routing::get,
};
use serde::Deserialize;
use tokio::{net::UnixListener, task::JoinHandle};

use crate::{
    Error, Result,
    attestation::{Container, Issuer, TokenOptions, Vm},
    respond,
    server::Server,
};

/// Audience of the default token.
const DEFAULT_AUDIENCE: &str = "https://sts.googleapis.com";
const TOKEN_FILE: &str = "attestation_verifier_claims_token";
const SOCKET: &str = "teeserver.sock";
const MAX_BODY: usize = 64 * 1024;
/// The default token lives an hour and is replaced at 80 % of that.
const REFRESH: Duration = Duration::from_secs(2880);
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
        let router = Router::new().route("/v1/token", get(default).post(custom)).with_state(tee.clone());
        let file = token_file.clone();
        let refresh = tokio::spawn(async move {
            loop {
                tokio::time::sleep(REFRESH).await;
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

/// The body of `POST /v1/token`. Unknown members are refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    audience: String,
    #[serde(default)]
    nonces: Vec<String>,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    aws_principal_tag_options: Option<serde_json::Value>,
}

async fn custom(State(tee): State<Tee>, request: Request) -> Response<Body> {
    match grant(&tee, request).await {
        Ok(token) => respond::text(StatusCode::OK, token),
        Err(message) => respond::text(StatusCode::BAD_REQUEST, message),
    }
}

async fn grant(tee: &Tee, request: Request) -> Result<String, String> {
    let unreadable = |why: String| format!("failed to parse POST body as TokenOptions: {why}");
    let body = respond::body(request.into_body(), MAX_BODY).await.map_err(|e| unreadable(e.message))?;
    let asked: Asked = serde_json::from_slice(&body).map_err(|e| unreadable(e.to_string()))?;
    if asked.audience.is_empty() {
        return Err("use GET request for the default identity token".to_owned());
    }
    if asked.token_type.is_empty() {
        return Err("token_type is a required parameter".to_owned());
    }
    if ["PKI", "LIMITED_AWS", "AWS_PRINCIPALTAGS"].contains(&asked.token_type.as_str()) {
        return Err(failed(&format!("this simulator does not issue {} tokens", asked.token_type)));
    }
    if asked.aws_principal_tag_options.is_some() {
        return Err(failed("aws_principal_tag_options belong to AWS_PRINCIPALTAGS tokens"));
    }
    // Any other type gets the default profile, as the real service does.
    let options = TokenOptions { audience: asked.audience, nonces: asked.nonces };
    tee.issuer.token(&tee.vm, &tee.container, &options).map_err(|e| failed(&e.to_string()))
}

fn failed(why: &str) -> String {
    format!("failed to retrieve custom attestation service token: {why}")
}
