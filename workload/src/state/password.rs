//! The database's password, from Secret Manager with the machine's account.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_oci::json;
use google_cloud_auth::credentials::mds;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::error::StateError;
use crate::{endpoints::Endpoints, kms::causes};

/// For one request.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of the answer: a secret has at most 64 KiB.
const ANSWER_LIMIT: usize = 128 << 10;
/// Bytes of a password.
const PASSWORD_LIMIT: usize = 1024;

/// The answer of `secrets.versions.access`, as far as it is needed.
#[derive(Deserialize)]
struct Answer {
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    data: String,
    /// A 64-bit number, which JSON of Google's interfaces has as text.
    data_crc32c: String,
}

/// Reads a version of a secret.
///
/// # Errors
/// Neither the address, nor the token, nor the secret is in an error.
pub(super) async fn read(endpoints: &Endpoints, version: &str) -> Result<Zeroizing<String>, StateError> {
    let account = mds::Builder::default()
        .with_endpoint(endpoints.metadata())
        .build_access_token_credentials()
        .map_err(|error| StateError::Password(causes(&error)))?;
    let token = tokio::time::timeout(TIMEOUT, account.access_token())
        .await
        .map_err(|_| StateError::Password("the metadata server does not answer".to_owned()))?
        .map_err(|error| StateError::Password(causes(&error)))?;
    let url = format!("{}/v1/{version}:access", endpoints.secret_manager());
    let failed = |error: reqwest::Error| StateError::Password(causes(&error.without_url()));
    let mut answer = client()?.get(url).bearer_auth(token.token).send().await.map_err(failed)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(StateError::Password(format!("Secret Manager answers {}", answer.status())));
    }
    let mut body = Zeroizing::new(Vec::with_capacity(ANSWER_LIMIT));
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(StateError::Password(format!("the answer has more than {ANSWER_LIMIT} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    parse(&body)
}

/// The password in an answer, its checksum verified.
fn parse(body: &[u8]) -> Result<Zeroizing<String>, StateError> {
    let wrong = |why: &str| StateError::Password(why.to_owned());
    // serde's words could quote the secret.
    let answer: Answer = json::from_slice(body).map_err(|_| wrong("the answer is no version of a secret"))?;
    let (encoded, checksum) = (Zeroizing::new(answer.payload.data), answer.payload.data_crc32c);
    let data = BASE64_STANDARD.decode(encoded.as_bytes()).map_err(|_| wrong("the secret is not base64"))?;
    let data = Zeroizing::new(data);
    if checksum.parse() != Ok(i64::from(crc32c::crc32c(&data))) {
        return Err(wrong("the checksum of the secret is wrong"));
    }
    let text = std::str::from_utf8(&data).map_err(|_| wrong("the secret is no text"))?.trim_end_matches(['\r', '\n']);
    if text.is_empty() || text.len() > PASSWORD_LIMIT || text.contains('\0') {
        return Err(wrong("the secret is no password"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn client() -> Result<reqwest::Client, StateError> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| StateError::Password(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| StateError::Password(causes(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(data: &[u8], checksum: i64) -> Vec<u8> {
        let data = BASE64_STANDARD.encode(data);
        format!(r#"{{"name":"n","payload":{{"data":"{data}","dataCrc32c":"{checksum}"}}}}"#).into_bytes()
    }

    #[test]
    fn a_password_whose_checksum_is_wrong_or_absent_is_not_used() {
        let secret = b"correct horse\n";
        let checksum = i64::from(crc32c::crc32c(secret));
        assert_eq!(parse(&answer(secret, checksum)).expect("whole").as_str(), "correct horse");
        let absent = answer(secret, checksum);
        let absent = String::from_utf8(absent).expect("text").replace("dataCrc32c", "other");
        for bad in
            [answer(secret, checksum ^ 1), absent.into_bytes(), answer(b"", 0), answer(&[0xff], 0), b"{}".to_vec()]
        {
            let error = parse(&bad).expect_err("refused").to_string();
            assert!(!error.contains("horse"), "{error}");
        }
    }
}
