//! The command line of the conformance suite, over the bundles that cosign and sigstore-js wrote.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const IDENTITY: &str = "https://example.com/release";
const ISSUER: &str = "https://accounts.example.com";
const ARTIFACT: &[u8] = b"an artifact";
/// sha256 of [`ARTIFACT`].
const DIGEST: &str = "sha256:326086a5d542fbb3f783c4d9182b3188caecd714d02d6c10cbdea982e2bfc409";

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/keyless").join(name);
    path.to_str().expect("UTF-8").to_owned()
}

fn run(arguments: &[&str]) -> Output {
    Command::new(std::path::absolute(env!("CARGO_BIN_EXE_csign-conformance")).expect("an absolute path"))
        .args(arguments)
        .output()
        .expect("it starts")
}

fn verify(bundle: &str, identity: &str, issuer: &str, artifact: &str) -> bool {
    let root = fixture("trusted_root.json");
    let signer = ["--certificate-identity", identity, "--certificate-oidc-issuer", issuer];
    let arguments =
        [&["verify-bundle", "--bundle", bundle][..], &signer, &["--trusted-root", &root, artifact]].concat();
    match run(&arguments).status.code() {
        Some(0) => true,
        Some(1) => false,
        other => panic!("status {other:?}"),
    }
}

fn scratch(name: &str, bytes: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).expect("writes");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn bundles_verify_by_file_and_by_digest() {
    let artifact = scratch("artifact", ARTIFACT);
    for name in ["sigstore-js-message.json", "sigstore-js-dsse.json", "sigstore-js-intoto.json"] {
        let bundle = fixture(name);
        assert!(verify(&bundle, IDENTITY, ISSUER, &artifact), "{name}");
        assert!(verify(&bundle, IDENTITY, ISSUER, DIGEST), "{name}");
        assert!(!verify(&bundle, "https://example.com/other", ISSUER, &artifact), "{name}");
        assert!(!verify(&bundle, IDENTITY, "https://accounts.example.org", &artifact), "{name}");
        assert!(!verify(&bundle, IDENTITY, ISSUER, &scratch("other", b"another artifact")), "{name}");
        assert!(!verify(&bundle, IDENTITY, ISSUER, &DIGEST.replace("sha256:3", "sha256:0")), "{name}");
    }
}

#[test]
fn a_bundle_of_other_services_is_refused_and_the_roots_age_is_told() {
    let artifact = scratch("artifact-of-others", ARTIFACT);
    let bundle = fixture("sigstore-js-message.json");
    let signer = ["--certificate-identity", IDENTITY, "--certificate-oidc-issuer", ISSUER];
    let output = run(&[&["verify-bundle", "--bundle", &bundle][..], &signer, &[&artifact]].concat());
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(stderr.contains(csign_keyless::PUBLIC_GOOD_AS_OF) && stderr.contains("hint: "), "{stderr}");
}

#[test]
fn what_is_not_supported_fails_and_says_so() {
    let output = run(&["sign-bundle", "--identity-token", "t", "--bundle", "b", "a"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unsupported"));
    for bad in [&["verify"][..], &["verify-bundle", "--bundle", "b", "a"], &["verify-bundle", "--staging", "a"]] {
        assert_eq!(run(bad).status.code(), Some(1), "{bad:?}");
    }
}
