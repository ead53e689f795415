//! Docker's `config.json`: stored logins, identity tokens, and credential helpers.

use std::{collections::HashMap, io, path::PathBuf, process::Stdio, time::Duration};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::Deserialize;
use tokio::{io::AsyncWriteExt as _, process::Command};
use zeroize::Zeroizing;

use crate::{
    credentials::{CredentialFuture, CredentialSource, Credentials, Secret},
    error::{Error, Result},
};

/// Docker Hub's name in the file.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// The user that helpers and Docker write for an identity token.
const TOKEN_USER: &str = "<token>";
/// How long a helper may take; it may ask the user something.
const HELPER_TIME: Duration = Duration::from_secs(120);
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Credentials from a Docker configuration directory. The file is read each time, as logins may change meanwhile.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    directory: PathBuf,
    helpers: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct File {
    auths: HashMap<String, Login>,
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Login {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
    registrytoken: Option<Secret>,
}

/// What a helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: Secret,
}

impl DockerConfig {
    /// Reads `config.json` in `directory` (usually `~/.docker`, or what `DOCKER_CONFIG` says). No file is no login.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), helpers: None }
    }

    /// Runs credential helpers from `directory` only, not from the search path.
    #[must_use]
    pub fn helpers(mut self, directory: impl Into<PathBuf>) -> Self {
        self.helpers = Some(directory.into());
        self
    }

    async fn find(&self, registry: &str) -> Result<Option<Credentials>> {
        let failed = |why: String| Error::Credentials { host: registry.to_owned(), why };
        let path = self.directory.join("config.json");
        let text = match tokio::fs::read(&path).await {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(format!("reading {}: {error}", path.display()))),
        };
        // The parser's error could quote a secret: only its place is told.
        let mut file: File = serde_json::from_slice(&text).map_err(|error| {
            failed(format!("{} is malformed at line {}, column {}", path.display(), error.line(), error.column()))
        })?;
        let wanted = canonical(registry);
        if let Some((_, helper)) = file.cred_helpers.iter().find(|(key, _)| canonical(key) == wanted) {
            return self.ask_helper(helper, &wanted).await.map_err(failed);
        }
        let key = file.auths.keys().find(|key| canonical(key) == wanted).cloned();
        if let Some(login) = key.and_then(|key| file.auths.remove(&key))
            && let Some(credentials) = login.credentials().map_err(failed)?
        {
            return Ok(Some(credentials));
        }
        match &file.creds_store {
            Some(helper) if !helper.is_empty() => self.ask_helper(helper, &wanted).await.map_err(failed),
            _ => Ok(None),
        }
    }

    /// Runs `docker-credential-NAME get`.
    async fn ask_helper(&self, name: &str, registry: &str) -> Result<Option<Credentials>, String> {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            return Err(format!("{name:?} is not the name of a credential helper"));
        }
        let program = format!("docker-credential-{name}");
        let path = self.helpers.as_ref().map_or_else(|| PathBuf::from(&program), |directory| directory.join(&program));
        let run = async {
            let mut child = Command::new(path)
                .arg("get")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::inherit())
                .kill_on_drop(true)
                .spawn()?;
            if let Some(mut input) = child.stdin.take() {
                // A helper that does not read its input may still answer.
                let _ = input.write_all(server(registry).as_bytes()).await;
            }
            child.wait_with_output().await
        };
        let output = tokio::time::timeout(HELPER_TIME, run)
            .await
            .map_err(|_| format!("{program} did not answer in {} seconds", HELPER_TIME.as_secs()))?
            .map_err(|error| format!("running {program}: {error}"))?;
        let stdout = Zeroizing::new(output.stdout);
        if !output.status.success() {
            let absent = String::from_utf8_lossy(&stdout).contains("credentials not found");
            return if absent { Ok(None) } else { Err(format!("{program} failed ({})", output.status)) };
        }
        let answer: HelperAnswer =
            serde_json::from_slice(&stdout).map_err(|_| format!("{program} did not print the expected JSON"))?;
        Ok(Some(credentials(answer.username, answer.secret)))
    }
}

impl CredentialSource for DockerConfig {
    fn credentials<'a>(&'a self, registry: &'a str) -> CredentialFuture<'a> {
        Box::pin(self.find(registry))
    }
}

impl Login {
    fn credentials(self) -> Result<Option<Credentials>, String> {
        let filled = |secret: Option<Secret>| secret.filter(|secret| !secret.expose().is_empty());
        if let Some(token) = filled(self.identitytoken) {
            return Ok(Some(Credentials::IdentityToken(token)));
        }
        if let Some(token) = filled(self.registrytoken) {
            return Ok(Some(Credentials::Bearer(token)));
        }
        if let Some(auth) = filled(self.auth) {
            let bad = || "its \"auth\" member is not base64 of USER:PASSWORD".to_owned();
            let decoded = Zeroizing::new(BASE64.decode(auth.expose()).map_err(|_| bad())?);
            let (user, password) =
                std::str::from_utf8(&decoded).ok().and_then(|text| text.split_once(':')).ok_or_else(bad)?;
            // Docker once padded the password with zero bytes.
            return Ok(Some(credentials(user.to_owned(), Secret::new(password.trim_end_matches('\0')))));
        }
        Ok(match (self.username, filled(self.password)) {
            (Some(user), Some(password)) => Some(credentials(user, password)),
            _ => None,
        })
    }
}

fn credentials(user: String, secret: Secret) -> Credentials {
    if user == TOKEN_USER { Credentials::IdentityToken(secret) } else { Credentials::Basic { user, password: secret } }
}

/// The host of a key, which may be written as an address. Docker Hub has several names.
fn canonical(key: &str) -> String {
    let host = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    match host {
        "docker.io" | "registry-1.docker.io" => "index.docker.io".to_owned(),
        host => host.to_ascii_lowercase(),
    }
}

/// What a helper knows the registry as.
fn server(registry: &str) -> &str {
    if registry == "index.docker.io" { DOCKER_HUB } else { registry }
}

/// Does this parse, with every login in it?
pub(crate) fn accepts(bytes: &[u8]) -> bool {
    let file = serde_json::from_slice::<File>(bytes);
    file.is_ok_and(|file| file.auths.into_values().all(|login| login.credentials().is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> (tempfile::TempDir, DockerConfig) {
        let directory = tempfile::tempdir().expect("directory");
        std::fs::write(directory.path().join("config.json"), json).expect("file");
        let config = DockerConfig::new(directory.path()).helpers(directory.path());
        (directory, config)
    }

    /// Kind, user and secret in one line.
    fn shown(credentials: Option<Credentials>) -> String {
        match credentials {
            None => "none".to_owned(),
            Some(Credentials::Basic { user, password }) => format!("basic {user} {}", password.expose()),
            Some(Credentials::Bearer(token)) => format!("bearer {}", token.expose()),
            Some(Credentials::IdentityToken(token)) => format!("identity {}", token.expose()),
        }
    }

    #[tokio::test]
    async fn logins_are_found_however_the_registry_is_written() {
        let (_directory, config) = config(
            r#"{"auths":{"r.example:5000":{"auth":"bWU6cGE6c3M="},"https://index.docker.io/v1/":{"auth":"aHViOng"},
               "https://i.example/v2/":{"auth":"","identitytoken":"idt"},"b.example":{"registrytoken":"rt"},
               "u.example":{"username":"u","password":"p"},"e.example":{}},"HttpHeaders":{"x":"y"}}"#,
        );
        for (registry, expected) in [
            ("r.example:5000", "basic me pa:ss"),
            ("docker.io", "basic hub x"),
            ("index.docker.io", "basic hub x"),
            ("i.example", "identity idt"),
            ("b.example", "bearer rt"),
            ("u.example", "basic u p"),
            ("e.example", "none"),
            ("r.example", "none"),
            ("r.example:50001", "none"),
        ] {
            assert_eq!(shown(config.credentials(registry).await.expect("read")), expected, "{registry}");
        }
        let nowhere = DockerConfig::new("/nonexistent");
        assert_eq!(shown(nowhere.credentials("r.example").await.expect("no file")), "none");
    }

    #[tokio::test]
    async fn a_malformed_file_is_an_error_without_its_secrets() {
        for bad in [
            r#"{"auths":{"r.example":{"auth":"hunter2!"}}}"#,
            r#"{"auths":{"r.example":{"auth":"aHVudGVyMg=="}}}"#,
            r#"{"auths":{"r.example":{"auth":["hunter2"]}}}"#,
            r#"{"auths":"hunter2""#,
            r#"{"credsStore":"../hunter2"}"#,
        ] {
            let (_directory, config) = config(bad);
            let error = config.credentials("r.example").await.expect_err(bad);
            assert!(matches!(error, Error::Credentials { .. }), "{error:?}");
            assert!(bad.contains("credsStore") || !format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    /// One test for all helpers: a file cannot be run while another thread's child still holds it open for writing.
    #[cfg(unix)]
    #[tokio::test]
    async fn helpers_are_asked_and_their_failures_told_from_absence() {
        use std::os::unix::fs::PermissionsExt as _;
        let (directory, config) = config(
            r#"{"credHelpers":{"t.example":"token","f.example":"fails","g.example":"garbage","n.example":"missing"},
               "credsStore":"echo","auths":{"own.example":{"auth":"bWU6b3du"},"t.example":{"auth":"bWU6b3du"}}}"#,
        );
        for (name, script) in [
            (
                "echo",
                r#"read server; case $server in none*) echo credentials not found in native keychain; exit 1;; esac; echo "{\"Username\":\"$1\",\"Secret\":\"$server\"}""#,
            ),
            ("token", r#"echo '{"ServerURL":"x","Username":"<token>","Secret":"idt"}'"#),
            ("fails", "echo no keychain; exit 1"),
            ("garbage", "echo hunter2"),
        ] {
            let path = directory.path().join(format!("docker-credential-{name}"));
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("script");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("mode");
        }
        for (registry, expected) in [
            ("t.example", "identity idt"),
            ("own.example", "basic me own"),
            ("any.example", "basic get any.example"),
            ("docker.io", "basic get https://index.docker.io/v1/"),
            ("none.example", "none"),
        ] {
            assert_eq!(shown(config.credentials(registry).await.expect("asked")), expected, "{registry}");
        }
        for registry in ["f.example", "g.example", "n.example"] {
            let error = config.credentials(registry).await.expect_err(registry);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
