//! What cosign and sigstore-js wrote verifies; `tests/fixtures/keyless/README.md` says how it was made.

use std::{collections::BTreeMap, fs, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::{
    simple_signing::{Payload, SIGNATURE_ANNOTATION},
    statement::{SIGN_PREDICATE, Statement},
};
use csign_keyless::{
    Artifact, Certified, Content, IdentityPolicy, KeylessError, Pattern, SanKind, TrustedRoot, Verifier,
};
use csign_oci::Digest;
use serde::Deserialize;
use serde_json::Value;

use crate::world::{self, ARTIFACT, NOW, SIGNED};

pub(crate) fn read(name: &str) -> Vec<u8> {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/keyless");
    fs::read(fixtures.join(format!("{name}.json"))).expect("a fixture")
}

pub(crate) fn verifier() -> Verifier {
    Verifier::new(&TrustedRoot::parse(&read("trusted_root")).expect("a root"), NOW).expect("a verifier")
}

/// The services' root does; the root of other services must not.
fn under_both_roots(verify: impl Fn(&Verifier) -> Result<Certified, KeylessError>) -> Certified {
    let stranger = verify(world::verifier());
    assert!(stranger.is_err(), "verified under another root");
    let certified = verify(&verifier()).expect("verifies");
    let policy = IdentityPolicy {
        identity: Pattern::exact("https://example.com/release").expect("text"),
        issuer: Pattern::exact("https://accounts.example.com").expect("text"),
    };
    policy.check(&certified.identity).expect("the signer");
    assert_eq!((certified.signed_at, certified.identity.san_kind), (SIGNED, SanKind::Uri));
    certified
}

#[test]
fn bundles_of_sigstore_js_verify() {
    for (name, kind) in [
        ("sigstore-js-message", "hashedrekord 0.0.1"),
        ("sigstore-js-message-stamped", "hashedrekord 0.0.1"),
        ("sigstore-js-dsse", "dsse 0.0.1"),
        ("sigstore-js-intoto", "intoto 0.0.2"),
    ] {
        let bundle = read(name);
        let certified = under_both_roots(|verifier| verifier.verify_bundle(&bundle, Artifact::Bytes(ARTIFACT)));
        assert_eq!(certified.log[0].kind, kind, "{name}");
        assert_eq!(matches!(certified.content, Content::Artifact), name.contains("message"), "{name}");
    }
}

#[derive(Deserialize)]
pub(crate) struct Written {
    pub(crate) image: Digest,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) payload: String,
    #[serde(default)]
    pub(crate) bundle: Value,
}

pub(crate) fn written(name: &str) -> Written {
    serde_json::from_slice(&read(name)).expect("a fixture")
}

#[test]
fn bundles_of_cosign_verify() {
    for (name, kind, signature) in [
        ("cosign-bundle-rekor1", "dsse 0.0.1", true),
        ("cosign-bundle-rekor1-stamped", "dsse 0.0.1", false),
        ("cosign-bundle-rekor2", "hashedrekord 0.0.2", true),
    ] {
        let Written { image, bundle, .. } = written(name);
        let bundle = bundle.to_string();
        let certified =
            under_both_roots(|verifier| verifier.verify_bundle(bundle.as_bytes(), Artifact::Digest(&image)));
        assert_eq!(certified.log[0].kind, kind, "{name}");
        let Content::Statement(statement) = certified.content else { panic!("{name} is no statement") };
        // An attestation is not a signature, whoever signed it.
        assert_eq!(Statement::parse_about(&statement, SIGN_PREDICATE, &image).is_ok(), signature, "{name}");
    }
}

#[test]
fn signature_layers_of_cosign_verify() {
    for name in ["cosign-sig", "cosign-sig-stamped"] {
        let Written { image, annotations, payload, .. } = written(name);
        let signature = BASE64_STANDARD.decode(&annotations[SIGNATURE_ANNOTATION]).expect("base64");
        under_both_roots(|verifier| verifier.verify_legacy(payload.as_bytes(), &signature, &annotations));
        let payload = Payload::parse(payload.as_bytes()).expect("a payload");
        assert_eq!(payload.critical.image.docker_manifest_digest, image);
    }
}

#[test]
fn attestation_layers_of_cosign_verify() {
    for name in ["cosign-att", "cosign-att-stamped"] {
        let Written { image, annotations, payload, .. } = written(name);
        let artifact = Artifact::Digest(&image);
        let certified =
            under_both_roots(|verifier| verifier.verify_legacy_attestation(payload.as_bytes(), artifact, &annotations));
        assert!(matches!(certified.content, Content::Statement(_)));
    }
}
