//! `csign generate-key-pair`, `import-key-pair` and `public-key`, as a shell would call them.
#![cfg(unix)]
#![allow(clippy::expect_used, reason = "helpers of tests, outside #[test] functions")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use csign_envelope::PublicKey;
use csign_keys::{Password, PrivateKey, cosign_pem::SealedKey};
use serde_json::Value;
use tempfile::TempDir;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/keys/tests/fixtures");

/// Runs csign in `directory` with nothing of this process's environment but `password`.
fn csign(directory: &Path, password: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = Command::new(std::path::absolute(env!("CARGO_BIN_EXE_csign")).expect("an absolute path"));
    command.env_clear().current_dir(directory).stdin(Stdio::null()).args(arguments);
    if let Some(password) = password {
        command.env("COSIGN_PASSWORD", password);
    }
    command.output().expect("csign runs")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A usage error that says `what` and hints `advice`, with nothing on stdout.
fn assert_usage(output: &Output, what: &str, advice: &str) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains(what) && text.contains(advice), "{text}");
    assert!(output.stdout.is_empty());
}

fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .expect("directory")
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("temporary directory")
}

#[test]
fn a_new_key_pair_is_private_to_its_owner_and_opens_with_its_password() {
    let directory = temporary();
    let output = csign(directory.path(), Some("päss"), &["generate-key-pair", "--output", "json"]);
    let data: Value = serde_json::from_str(&stdout(&output)).expect("json");
    assert_eq!(files(directory.path()), ["cosign.key", "cosign.pub"]);

    let mode = |name: &str| fs::metadata(directory.path().join(name)).expect("file").permissions().mode() & 0o777;
    assert_eq!((mode("cosign.key"), mode("cosign.pub")), (0o600, 0o644));

    let read = |name: &str| fs::read_to_string(directory.path().join(name)).expect("text");
    let public = PublicKey::from_pem(&read("cosign.pub")).expect("public key");
    let key = SealedKey::parse(&read("cosign.key")).expect("parse").open(&Password::new("päss")).expect("open");
    assert_eq!(key.public_key().id(), public.id());
    assert_eq!(data["keyId"], public.id().to_string());
    assert_eq!(data["privateKey"], "cosign.key");
}

#[test]
fn existing_files_are_never_overwritten() {
    for existing in ["alice.key", "alice.pub"] {
        let directory = temporary();
        fs::write(directory.path().join(existing), "precious").expect("write");
        let output = csign(directory.path(), Some("x"), &["generate-key-pair", "--output-key-prefix", "alice"]);
        assert_usage(&output, &format!("{existing} exists already"), "--output-key-prefix");
        assert_eq!(files(directory.path()), [existing]);
        assert_eq!(fs::read_to_string(directory.path().join(existing)).expect("read"), "precious");
    }
}

#[test]
fn without_a_password_and_a_terminal_nothing_is_made() {
    let directory = temporary();
    let output = csign(directory.path(), None, &["generate-key-pair"]);
    assert_usage(&output, "needs a password", "COSIGN_PASSWORD");
    assert!(files(directory.path()).is_empty());
}

#[test]
fn a_password_file_wins_over_the_environment_and_loses_its_line_ending() {
    let directory = temporary();
    fs::write(directory.path().join("password"), "from file\n").expect("write");
    stdout(&csign(directory.path(), Some("other"), &["generate-key-pair", "--password-file", "password"]));
    let sealed = fs::read_to_string(directory.path().join("cosign.key")).expect("key");
    let sealed = SealedKey::parse(&sealed).expect("parse");
    assert!(sealed.open(&Password::new("from file")).is_ok());
    assert!(sealed.open(&Password::new("other")).is_err());
}

#[test]
fn an_empty_password_is_accepted_with_a_warning() {
    let directory = temporary();
    let output = csign(directory.path(), Some(""), &["generate-key-pair"]);
    stdout(&output);
    assert!(stderr(&output).contains("the password is empty"));
}

#[test]
fn a_directory_that_does_not_exist_leaves_nothing_behind() {
    let directory = temporary();
    let output = csign(directory.path(), Some("x"), &["generate-key-pair", "--output-key-prefix", "keys/alice"]);
    assert_usage(&output, "keys/alice.key", "no such directory");
    assert!(files(directory.path()).is_empty());
}

#[test]
fn the_public_key_of_a_key_that_cosign_made_is_what_cosign_wrote() {
    let golden = Path::new(GOLDEN);
    let public = fs::read_to_string(golden.join("cosign.pub")).expect("public key");
    let arguments = ["public-key", "--key", "cosign.key", "--password-file", "cosign.password"];
    assert_eq!(stdout(&csign(golden, None, &arguments)), public);

    let data: Value =
        serde_json::from_str(&stdout(&csign(golden, None, &[&arguments[..], &["--output", "json"]].concat())))
            .expect("json");
    let key = PublicKey::from_pem(&public).expect("key");
    assert_eq!(data["keyId"], key.id().to_string());
    assert_eq!(data["algorithm"], "ECDSA_P256_SHA256");
    assert_eq!(data["pem"], public);
    assert_eq!(data["bundleHint"], key.bundle_hint());
}

#[test]
fn a_public_key_goes_to_a_file_and_never_over_another_key() {
    let directory = temporary();
    let (key, password) = (format!("{GOLDEN}/cosign.key"), format!("{GOLDEN}/cosign.password"));
    let arguments = ["public-key", "--key", &key, "--password-file", &password, "--outfile", "out.pub"];
    for _ in 0..2 {
        assert_eq!(stdout(&csign(directory.path(), None, &arguments)), "");
    }
    let written = fs::read(directory.path().join("out.pub")).expect("out.pub");
    assert_eq!(written, fs::read(format!("{GOLDEN}/cosign.pub")).expect("cosign.pub"));
    fs::write(directory.path().join("out.pub"), "another").expect("write");
    assert_usage(&csign(directory.path(), None, &arguments), "out.pub exists already", "another name");
    assert_eq!(fs::read(directory.path().join("out.pub")).expect("read"), b"another");
}

#[test]
fn every_key_that_cannot_be_used_says_why_and_what_to_do() {
    let golden = Path::new(GOLDEN);
    let version = "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k";
    for (key, what, advice) in [
        ("cosign.key", "wrong password", "COSIGN_PASSWORD"),
        ("cosign.pub", "this is a public key", ""),
        ("README.md", "malformed private key", ""),
        ("missing.key", "missing.key", "generate-key-pair"),
        ("awskms:///alias/k", "names an alias", "aws kms describe-key --key-id alias/k"),
        ("hashivault://k", "names no key version", "hashivault://k/versions/1"),
        ("openbao://k/versions/1", "needs BAO_ADDR, which is not set", "set BAO_ADDR"),
        ("my-hsm://k", "no program sigstore-kms-my-hsm", "install the program"),
        ("k8s://a/b", "not supported", "sigstore-kms-SCHEME"),
        (version, "names no key version", "cryptoKeyVersions/1"),
    ] {
        let output = csign(golden, Some("wrong"), &["public-key", "--key", key]);
        assert_usage(&output, what, advice);
    }
}

#[test]
fn a_key_pair_of_every_type_is_made_and_opens_with_a_note_where_confidential_space_does_not_read_it() {
    for (kind, algorithm, read) in [
        ("p256", "ECDSA_P256_SHA256", true),
        ("p384", "ECDSA_P384_SHA384", false),
        ("ed25519", "ED25519", false),
        ("rsa-2048", "RSASSA_PKCS1V15_SHA256", true),
    ] {
        let directory = temporary();
        let output = csign(directory.path(), Some("x"), &["generate-key-pair", "--type", kind, "--output", "json"]);
        let data: Value = serde_json::from_str(&stdout(&output)).expect("json");
        assert_eq!(data["algorithm"], algorithm);
        assert_eq!(stderr(&output).contains("Confidential Space does not read"), !read, "{kind}");
        let public = fs::read_to_string(directory.path().join("cosign.pub")).expect("public key");
        assert_eq!(stdout(&csign(directory.path(), Some("x"), &["public-key", "--key", "cosign.key"])), public);
    }
    let output = csign(temporary().path(), Some("x"), &["generate-key-pair", "--type", "dsa"]);
    assert_usage(&output, "rsa-2048", "");
}

#[test]
fn keys_of_every_type_that_openssl_wrote_can_be_imported() {
    for (file, key) in [
        ("p384-sec1", include_str!("fixtures/p384-sec1.public-and-worthless.pem")),
        ("ed25519", include_str!("fixtures/ed25519.public-and-worthless.pem")),
        ("rsa-pkcs1", include_str!("fixtures/rsa-pkcs1.public-and-worthless.pem")),
        ("rsa-pkcs8", include_str!("fixtures/rsa-pkcs8.public-and-worthless.pem")),
    ] {
        let directory = temporary();
        fs::write(directory.path().join("plain.pem"), key).expect("write");
        let import = ["import-key-pair", "--key", "plain.pem", "--output-key-prefix", "mine"];
        stdout(&csign(directory.path(), Some("x"), &import));
        let public = fs::read_to_string(directory.path().join("mine.pub")).expect("public key");
        assert_eq!(stdout(&csign(directory.path(), Some("x"), &["public-key", "--key", "mine.key"])), public, "{file}");
        let expected = PrivateKey::from_unencrypted_pem(key).expect(file).public_key().pem();
        assert_eq!(public, expected, "{file}");
    }
}

#[test]
fn a_plain_key_is_refused_for_signing_and_can_be_imported() {
    let directory = temporary();
    let plain = include_str!("fixtures/plain.public-and-worthless.pem");
    fs::write(directory.path().join("plain.pem"), plain).expect("write");
    let refused = csign(directory.path(), Some("x"), &["public-key", "--key", "plain.pem"]);
    assert_usage(&refused, "is not encrypted", "csign import-key-pair");

    let import = ["import-key-pair", "--key", "plain.pem", "--output-key-prefix", "mine"];
    stdout(&csign(directory.path(), Some("x"), &import));
    let expected = PrivateKey::from_unencrypted_pem(plain).expect("plain").public_key().pem();
    assert_eq!(stdout(&csign(directory.path(), Some("x"), &["public-key", "--key", "mine.key"])), expected);
    assert_eq!(files(directory.path()), ["mine.key", "mine.pub", "plain.pem"]);

    let again = csign(directory.path(), Some("x"), &["import-key-pair", "--key", "mine.key"]);
    assert_usage(&again, "it is encrypted", "");
}
