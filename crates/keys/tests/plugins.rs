//! Programs of key providers: found, asked, and not believed.
#![cfg(all(unix, feature = "transit", feature = "awskms", feature = "gcpkms", feature = "plugins"))]
#![allow(clippy::expect_used, reason = "helpers of tests, outside #[test] functions")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use common::Settings;
use csign_keys::{KeysError, PrivateKey, ServiceFault};
use serde_json::{Value, json};
use tempfile::TempDir;

const URI: &str = "my-hsm://slot/1?a=b";

/// A program that answers as the shell script `body` says, with the files of a key pair's signature over "message" in
/// its directory.
fn plugin(body: &str) -> (TempDir, Settings) {
    let directory = tempfile::tempdir().expect("directory");
    let key = PrivateKey::generate().expect("key");
    let pem = BASE64_STANDARD.encode(key.public_key().pem());
    let signature = BASE64_STANDARD.encode(key.sign(b"message").expect("sign"));
    let write = |name: &str, value: Value| fs::write(directory.path().join(name), value.to_string()).expect("write");
    write("publicKey", json!({"publicKey": {"publicKeyPEM": pem}}));
    write("signMessage", json!({"signMessage": {"signature": signature}}));
    let program = directory.path().join("sigstore-kms-my-hsm");
    fs::write(&program, format!("#!/bin/sh\ncd {:?} || exit 9\n{body}\n", directory.path())).expect("write");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    let mut settings = Settings::new();
    settings.plugins.path = directory.path().into();
    (directory, settings)
}

/// Writes down its arguments and input, and answers honestly.
const HONEST: &str = r#"
case $2 in *'"publicKey"'*) method=publicKey ;; *) method=signMessage ;; esac
printf '%s' "$1" >version; printf '%s' "$2" >"$method.request"; cat >"$method.input"; cat "$method""#;

async fn refused(body: &str) -> KeysError {
    let (_directory, settings) = plugin(body);
    match settings.open(URI).await {
        Err(error) => error,
        Ok(signer) => signer.sign(b"message").await.expect_err("must be refused"),
    }
}

#[tokio::test]
async fn an_honest_program_gets_the_protocols_request_and_signs() {
    let (directory, settings) = plugin(HONEST);
    let signer = settings.open(URI).await.expect("open");
    let signature = signer.sign(b"message").await.expect("sign");
    assert!(signer.public_key().verify(b"message", &signature));

    let read = |name: &str| fs::read_to_string(directory.path().join(name)).expect(name);
    let request = |name: &str| -> Value { serde_json::from_str(&read(name)).expect("JSON") };
    let rpc = json!({"keyVersion": "", "remoteVerification": false});
    let init = json!({"protocolVersion": "v1", "keyResourceID": "slot/1?a=b", "hashFunc": 5, "rpcOptions": rpc});
    assert_eq!(read("version"), "v1");
    let wanted =
        json!({"initOptions": init, "methodName": "publicKey", "publicKey": {"publicKeyOptions": {"rpcOptions": rpc}}});
    assert_eq!(request("publicKey.request"), wanted);
    let options = json!({"rpcOptions": rpc, "messageOptions": {"hashFunc": 5}});
    let wanted = json!({"initOptions": init, "methodName": "signMessage", "signMessage": {"signOptions": options}});
    assert_eq!(request("signMessage.request"), wanted);
    assert_eq!((read("publicKey.input").as_str(), read("signMessage.input").as_str()), ("", "message"));
}

#[tokio::test]
async fn a_program_that_does_not_read_its_input_or_ends_with_an_error_status_is_judged_by_its_reply() {
    let (_directory, settings) =
        plugin(r#"case $2 in *'"publicKey"'*) cat publicKey ;; *) cat signMessage ;; esac; exit 3"#);
    let signer = settings.open(URI).await.expect("open");
    signer.sign(b"message").await.expect("sign");
}

#[tokio::test]
async fn a_missing_program_is_named_and_only_absolute_directories_are_searched() {
    let (directory, mut settings) = plugin(HONEST);
    let error = settings.open("other-hsm://key").await.map(|_| ()).expect_err("absent");
    assert!(
        matches!(&error, KeysError::NoPlugin { executable, .. } if executable == "sigstore-kms-other-hsm"),
        "{error:?}"
    );
    assert!(error.to_string().contains("sigstore-kms-other-hsm"));
    let up = "../".repeat(std::env::current_dir().expect("directory").components().count() - 1);
    let relative = format!("{up}{}", directory.path().display().to_string().trim_start_matches('/'));
    assert!(std::path::Path::new(&relative).join("sigstore-kms-my-hsm").is_file(), "{relative}");
    settings.plugins.path = relative.into();
    assert!(matches!(settings.open(URI).await.map(|_| ()), Err(KeysError::NoPlugin { .. })));
    settings.plugins.path = directory.path().into();
    let program = directory.path().join("sigstore-kms-my-hsm");
    fs::set_permissions(program, fs::Permissions::from_mode(0o644)).expect("not executable");
    assert!(matches!(settings.open(URI).await.map(|_| ()), Err(KeysError::NoPlugin { .. })));
}

#[tokio::test]
async fn a_reply_that_is_no_reply_is_refused() {
    for (attack, body) in [
        ("nothing", "true"),
        ("garbage", "echo hello"),
        ("no member", "echo '{}'"),
        ("the other member", "cat signMessage"),
        ("not base64", r#"echo '{"publicKey":{"publicKeyPEM":"%"}}'"#),
        ("duplicate members", r#"echo '{"errorMessage":"","errorMessage":"","publicKey":{"publicKeyPEM":""}}'"#),
        ("endless", "exec yes"),
        (
            "another message's signature",
            &HONEST.replace(
                r#"cat "$method""#,
                r#"echo '{"signMessage":{"signature":"MAYCAQECAQE="}}' >signMessage; cat "$method""#,
            ),
        ),
    ] {
        let error = refused(body).await;
        assert!(matches!(error, KeysError::Integrity { .. }), "{attack}: {error:?}");
    }
}

#[tokio::test]
async fn an_error_of_the_program_is_shown_without_control_characters() {
    let error = refused(r#"echo '{"errorMessage":"no \u001b[2J card"}'"#).await;
    assert!(matches!(error, KeysError::Service { fault: ServiceFault::Refused, .. }), "{error:?}");
    assert!(error.to_string().contains("card") && !error.to_string().contains('\u{1b}'), "{error}");
}

#[tokio::test]
async fn a_program_that_never_ends_is_ended() {
    let (directory, mut settings) = plugin("echo $$ >pid; exec sleep 600");
    settings.plugins.time_limit = Duration::from_millis(500);
    let error = settings.open(URI).await.map(|_| ()).expect_err("ended");
    assert!(error.is_unavailable() && error.to_string().contains("was ended"), "{error:?}");
    let pid = fs::read_to_string(directory.path().join("pid")).expect("it was started");
    let running = || {
        let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        !status.is_empty() && !status.contains(") Z ")
    };
    for _ in 0..100 {
        if !running() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is still running");
}
