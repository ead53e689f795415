//! Tokens from the launcher: HTTP over its unix socket, or the default token's file where there is no socket.

use std::{
    io,
    os::{fd::AsRawFd as _, unix::fs::FileTypeExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use csign_attestation::{LIMITS, Token};
use csign_trust::report::printable;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{io::AsyncReadExt as _, net::UnixStream};

use crate::setting::Setting;

/// Audience of the token in the default file.
pub(crate) const DEFAULT_AUDIENCE: &str = "https://sts.googleapis.com";

/// For one token: the launcher asks the attestation service, which takes seconds on a bad day.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The launcher of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    socket: PathBuf,
    token_file: PathBuf,
}

/// Why there is no token. None of these means that a token is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    /// Not in Confidential Space.
    #[error("there is neither the launcher's socket {} nor its token file {}", socket.display(), token_file.display())]
    Absent {
        /// The socket.
        socket: PathBuf,
        /// The file.
        token_file: PathBuf,
    },
    /// The socket or the file cannot be used.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The launcher's answer is not HTTP, too large or cut short.
    #[error("asking the launcher for a token: {0}")]
    Http(String),
    /// No answer in time.
    #[error("asking the launcher for a token: no answer within {} seconds", .0.as_secs())]
    Timeout(Duration),
    /// The launcher says no.
    #[error("the launcher refused a token ({status}): {message}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// Its words.
        message: String,
    },
}

/// Types of custom tokens. The real service takes an unknown one for the default: there is no other here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenType {
    /// Under a key that the issuer publishes.
    Oidc,
    /// Under a certificate chain in the token.
    Pki,
}

impl TokenType {
    const fn name(self) -> &'static str {
        match self {
            Self::Oidc => "OIDC",
            Self::Pki => "PKI",
        }
    }
}

impl Launcher {
    pub(crate) fn new(setting: &Setting) -> Self {
        Self { socket: setting.socket(), token_file: setting.token_file() }
    }

    /// Is there a socket? Without one there is only the default token.
    pub(crate) async fn has_socket(&self) -> Result<bool, LauncherError> {
        match tokio::fs::metadata(&self.socket).await {
            Ok(metadata) => Ok(metadata.file_type().is_socket()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(LauncherError::Io { doing: "looking for", path: self.socket.clone(), source }),
        }
    }

    /// An OIDC token for `audience`, with `nonce` in it if one is given.
    pub(crate) async fn token(&self, audience: &str, nonce: Option<&str>) -> Result<Token, LauncherError> {
        self.token_of(TokenType::Oidc, audience, nonce).await
    }

    /// The same of any type that this workload asks for.
    pub(crate) async fn token_of(
        &self,
        kind: TokenType,
        audience: &str,
        nonce: Option<&str>,
    ) -> Result<Token, LauncherError> {
        let mut body = json!({"audience": audience, "token_type": kind.name()});
        if let Some(nonce) = nonce {
            body["nonces"] = json!([nonce]);
        }
        tokio::time::timeout(TIMEOUT, self.post(body.to_string())).await.map_err(|_| LauncherError::Timeout(TIMEOUT))?
    }

    async fn post(&self, body: String) -> Result<Token, LauncherError> {
        let http = |error: hyper::Error| LauncherError::Http(error.to_string());
        let stream = connect(&self.socket).await.map_err(|source| LauncherError::Io {
            doing: "connecting to",
            path: self.socket.clone(),
            source,
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
        let request = Request::builder()
            .method(Method::POST)
            .uri("/v1/token")
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| LauncherError::Http(error.to_string()))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(http)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LIMITS.token_bytes);
            let body = body.collect().await.map_err(|error| LauncherError::Http(error.to_string()))?.to_bytes();
            Ok((status, body))
        };
        let mut connection = std::pin::pin!(connection);
        let mut exchange = std::pin::pin!(exchange);
        let (status, body) = tokio::select! {
            answer = &mut exchange => answer?,
            ended = &mut connection => {
                ended.map_err(http)?;
                exchange.await?
            }
        };
        let text = String::from_utf8_lossy(&body);
        match status {
            StatusCode::OK => Ok(Token::new(&text)),
            status => Err(LauncherError::Refused { status, message: printable(text.trim(), 300) }),
        }
    }

    /// The token in the default file: its audience is [`DEFAULT_AUDIENCE`], it has no nonce.
    pub(crate) async fn default_token(&self) -> Result<Token, LauncherError> {
        let failed = |source| LauncherError::Io { doing: "reading", path: self.token_file.clone(), source };
        let file = match tokio::fs::File::open(&self.token_file).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (socket, token_file) = (self.socket.clone(), self.token_file.clone());
                return Err(LauncherError::Absent { socket, token_file });
            }
            Err(error) => return Err(failed(error)),
        };
        let mut text = String::new();
        // One byte more than a token may have, so that a longer one is refused and not cut.
        file.take(LIMITS.token_bytes as u64 + 1).read_to_string(&mut text).await.map_err(failed)?;
        Ok(Token::new(&text))
    }
}

/// A socket's address holds 108 bytes with its terminator; below a moved root the path may be longer.
async fn connect(path: &Path) -> io::Result<UnixStream> {
    const LONGEST: usize = 107;
    match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) if path.as_os_str().len() > LONGEST => {
            let opened = std::fs::File::open(directory)?;
            let short = Path::new("/proc/self/fd").join(opened.as_raw_fd().to_string()).join(name);
            UnixStream::connect(short).await
        }
        _ => UnixStream::connect(path).await,
    }
}
