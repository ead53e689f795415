//! Where AWS credentials come from, in the order of AWS's own tools: environment, web identity, profile, container,
//! virtual machine.

use std::{path::Path, time::Duration};

use aws_credential_types::Credentials;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use reqwest::Url;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{AwsOptions, profile::Profile, suffix};
use crate::{
    KeysError, Secret, Service, ServiceFault,
    call::Call,
    rest::{self, Request, Rest},
    signer::read_setting,
};

/// Addresses at which AWS itself serves credentials to a container or a virtual machine, without encryption, over a link
/// that does not leave the host.
const LINK_LOCAL: [&str; 5] =
    ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "169.254.169.254", "[fd00:ec2::254]"];
/// Longest time for a virtual machine's metadata service to answer; elsewhere nothing answers at its address.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
/// Settings of profiles whose credentials only AWS's own tools can get.
const INDIRECT: [&str; 5] =
    ["sso_session", "sso_start_url", "credential_process", "source_profile", "credential_source"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    #[serde(default)]
    token: Option<Zeroizing<String>>,
}

/// The first credentials that are configured. A source that is configured and gives none is an error: the next one
/// could be somebody else's.
pub(super) async fn find(
    rest: &Rest,
    profile: &Profile,
    region: &str,
    options: &AwsOptions,
) -> Result<Credentials, KeysError> {
    match (&options.access_key_id, &options.secret_access_key) {
        (Some(id), Some(secret)) => {
            let token = options.session_token.as_ref().map(|token| token.expose());
            return Ok(credentials(id, secret.expose(), token));
        }
        (None, None) => {}
        _ => return Err(failed("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set")),
    }
    if let Some(file) = &options.web_identity_token_file {
        let role = options.role_arn.as_deref().ok_or_else(|| failed("AWS_ROLE_ARN is not set"))?;
        return web_identity(rest, file, role, options.role_session_name.as_deref(), region, options).await;
    }
    match (profile.get("aws_access_key_id"), profile.get("aws_secret_access_key")) {
        (Some(id), Some(secret)) => return Ok(credentials(id, secret, profile.get("aws_session_token"))),
        (None, None) => {}
        _ => return Err(failed(&format!("the profile {} has only half of a key", profile.name()))),
    }
    if let (Some(file), Some(role)) = (profile.get("web_identity_token_file"), profile.get("role_arn")) {
        return web_identity(rest, Path::new(file), role, profile.get("role_session_name"), region, options).await;
    }
    if let Some(setting) = INDIRECT.iter().find(|setting| profile.get(setting).is_some()) {
        let name = profile.name();
        return Err(failed(&format!("the profile {name} has {setting}, which only AWS's own tools can follow")));
    }
    if let Some(uri) = &options.container_uri {
        return container(rest, uri, options).await;
    }
    if let Some(endpoint) = &options.metadata_endpoint {
        return match tokio::time::timeout(METADATA_TIMEOUT, metadata(rest, endpoint)).await {
            Ok(found) => found,
            Err(_) => Err(failed("none are configured, and no virtual machine of AWS offers any")),
        };
    }
    Err(failed("none are configured"))
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>
async fn web_identity(
    rest: &Rest,
    file: &Path,
    role: &str,
    session: Option<&str>,
    region: &str,
    options: &AwsOptions,
) -> Result<Credentials, KeysError> {
    let call = Call { service: Service::Aws, doing: "assuming the role", resource: role };
    let token = read_setting("reading web identity token", file)?;
    let url = match &options.sts_endpoint {
        Some(url) => rest::address("AWS_ENDPOINT_URL", url)?,
        None => rest::address("AWS_REGION", &format!("https://sts.{region}.{}", suffix(region)))?,
    };
    let mut form = Url::parse("form:").map_err(|_| call.integrity("the request cannot be made"))?;
    form.query_pairs_mut()
        .append_pair("Action", "AssumeRoleWithWebIdentity")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", role)
        .append_pair("RoleSessionName", session.unwrap_or("csign"))
        .append_pair("WebIdentityToken", token.trim());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let body = form.query().unwrap_or_default().as_bytes().to_vec();
    let request = Request { method: Method::POST, url, headers, body };
    let answer = rest.send(&call, &request, judge_sts).await?;
    sts_credentials(&answer).ok_or_else(|| call.integrity("the answer holds no credentials"))
}

/// The three elements of an answer of STS, which is XML of this one form.
fn sts_credentials(answer: &[u8]) -> Option<Credentials> {
    let text = std::str::from_utf8(answer).ok()?;
    let id = element(text, "AccessKeyId")?;
    Some(credentials(id, element(text, "SecretAccessKey")?, Some(element(text, "SessionToken")?)))
}

/// The text of the only element of this name. It has no markup in it: keys and tokens need no character of XML.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, after) = rest.split_once(&format!("</{name}>"))?;
    let value = value.trim();
    let plain = !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'&');
    (plain && !after.contains(&format!("<{name}>"))).then_some(value)
}

/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>
async fn container(rest: &Rest, uri: &str, options: &AwsOptions) -> Result<Credentials, KeysError> {
    let call = Call { service: Service::Aws, doing: "asking for credentials at", resource: "the container's endpoint" };
    let mut headers = HeaderMap::new();
    let from_file;
    let token = match (&options.container_token, &options.container_token_file) {
        (Some(token), _) => Some(token),
        (None, Some(path)) => {
            from_file = Secret::new(read_setting("reading container token", path)?.trim())?;
            Some(&from_file)
        }
        (None, None) => None,
    };
    if let Some(token) = token {
        headers.insert(AUTHORIZATION, sensitive(token.expose())?);
    }
    let url = link_local("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)?;
    document(rest, &call, url, headers).await
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>, version 2 only.
async fn metadata(rest: &Rest, endpoint: &str) -> Result<Credentials, KeysError> {
    const PATH: &str = "latest/meta-data/iam/security-credentials/";
    let call = Call { service: Service::Aws, doing: "asking for credentials at", resource: "the metadata service" };
    let base = link_local("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("{}/", endpoint.trim_end_matches('/')))?;
    let url = |path: &str| base.join(path).map_err(|_| call.integrity("the service's address is malformed"));
    let lifetime = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
    let headers = HeaderMap::from_iter([(lifetime, HeaderValue::from_static("300"))]);
    let request = Request { method: Method::PUT, url: url("latest/api/token")?, headers, body: Vec::new() };
    let token = rest.send(&call, &request, judge).await?;
    let token = sensitive(String::from_utf8_lossy(&token).trim())?;
    let headers = HeaderMap::from_iter([(HeaderName::from_static("x-aws-ec2-metadata-token"), token)]);
    let request = Request { method: Method::GET, url: url(PATH)?, headers: headers.clone(), body: Vec::new() };
    let roles = rest.send(&call, &request, judge).await?;
    let role = String::from_utf8_lossy(&roles).lines().next().unwrap_or_default().trim().to_owned();
    // The role's name becomes a segment of a path.
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    if role.is_empty() || role.starts_with('.') || !role.chars().all(allowed) {
        return Err(call.integrity("the service names no role"));
    }
    document(rest, &call, url(&format!("{PATH}{role}"))?, headers).await
}

async fn document(rest: &Rest, call: &Call<'_>, url: Url, headers: HeaderMap) -> Result<Credentials, KeysError> {
    let request = Request { method: Method::GET, url, headers, body: Vec::new() };
    let answer = rest.send(call, &request, judge).await?;
    let document: Document =
        csign_oci::json::from_slice(&answer).map_err(|_| call.integrity("the answer holds no credentials"))?;
    let token = document.token.as_ref().map(|token| token.as_str());
    Ok(credentials(&document.access_key_id, &document.secret_access_key, token))
}

/// Like [`rest::address`], and AWS's own link-local addresses.
fn link_local(setting: &'static str, text: &str) -> Result<Url, KeysError> {
    match Url::parse(text) {
        Ok(url) if url.scheme() == "http" && url.host_str().is_some_and(|host| LINK_LOCAL.contains(&host)) => Ok(url),
        _ => rest::address(setting, text),
    }
}

fn credentials(id: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials::new(id, secret, token.map(str::to_owned), None, "csign")
}

fn sensitive(text: &str) -> Result<HeaderValue, KeysError> {
    let mut value = HeaderValue::try_from(text).map_err(|_| failed("a token has characters that it cannot have"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The body may be a secret of somebody's: it is never quoted.
fn judge(status: u16, _: &[u8]) -> Result<(), (ServiceFault, String)> {
    let fault = match status {
        200 => return Ok(()),
        401 => ServiceFault::Unauthenticated,
        403 => ServiceFault::PermissionDenied,
        404 => ServiceFault::NotFound,
        429 => ServiceFault::Throttled,
        500.. => ServiceFault::Unavailable,
        _ => ServiceFault::Refused,
    };
    Err((fault, format!("HTTP status {status}")))
}

fn judge_sts(status: u16, body: &[u8]) -> Result<(), (ServiceFault, String)> {
    judge(status, body).map_err(|(fault, message)| {
        let code = std::str::from_utf8(body).ok().and_then(|text| element(text, "Code")).unwrap_or_default();
        (fault, format!("{message} {code}"))
    })
}

fn failed(why: &str) -> KeysError {
    KeysError::AwsCredentials(why.to_owned())
}

/// For fuzzing: are there credentials in this answer of STS?
pub(super) fn parses_sts(bytes: &[u8]) -> bool {
    sts_credentials(bytes).is_some()
}
