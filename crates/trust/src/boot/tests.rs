//! Attacks on the platform's claims. That the token itself must verify is tested in csign-attestation.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::{PublicKey, simple_signing};
use csign_oci::Digest;
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde_json::{Value, json};

use super::*;

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).expect("scalar")
}

fn key(seed: u8) -> PublicKey {
    PublicKey::new(*signing(seed).verifying_key()).expect("key")
}

fn contract(environment: &str, host: &str) -> Contract {
    Contract::from_toml(&format!(
        "version = 1\nname = \"t\"\n[image]\nrepository = \"{host}/team/app\"\n[build]\nrecipe = \"cargo-musl\"\n\
         [environment]\n{environment}\n[operator]\nproject_id = \"op\"\nservice_account = \"sa@op\"\n\
         [platform]\nhardware = [\"GCP_INTEL_TDX\"]\n\
         [messages]\ntopic = \"projects/op/topics/t\"\nsubscription = \"projects/op/subscriptions/s\"\n\
         [[party]]\nname = \"a\"\npublic_key = '''{}'''\n[[party]]\nname = \"b\"\npublic_key = '''{}'''\n",
        key(1).pem(),
        key(2).pem()
    ))
    .expect("contract")
}

fn google() -> Contract {
    contract("kind = \"google\"", "r.example")
}

fn digest() -> Digest {
    Digest::of(b"image")
}

fn image_signature(contract: &Contract, seed: u8) -> Value {
    let payload = simple_signing::payload(
        &contract.image.repository,
        &digest(),
        &simple_signing::annotations(&key(seed), &std::collections::BTreeMap::new()),
    );
    let signature: Signature = signing(seed).sign(&payload);
    json!({"key_id": key(seed).id(), "signature": BASE64_STANDARD.encode(signature.to_der().as_bytes()), "signature_algorithm": "ECDSA_P256_SHA256"})
}

fn claims(contract: &Contract) -> Value {
    json!({
        "iss": "i", "aud": "a", "sub": "s", "iat": 1, "nbf": 1, "exp": 2,
        "swname": "CONFIDENTIAL_SPACE", "swversion": ["250800"], "hwmodel": "GCP_INTEL_TDX", "secboot": true,
        "dbgstat": "disabled-since-boot", "google_service_accounts": ["sa@op"],
        "submods": {
            "confidential_space": {"support_attributes": ["LATEST", "STABLE", "USABLE"]},
            "container": {
                "image_reference": contract.image.repository.at(digest()).to_string(),
                "image_digest": digest(), "env_override": null, "cmd_override": null,
                "image_signatures": [image_signature(contract, 1), image_signature(contract, 2)],
            },
            "gce": {"zone": "z", "project_id": "op", "project_number": "1", "instance_name": "n", "instance_id": "2"},
        },
    })
}

fn report(contract: &Contract, claims: &Value) -> BootReport {
    let claims = Claims::parse_without_verification(claims.to_string().as_bytes()).expect("claims");
    let roster = Roster::of_contract(contract).expect("roster");
    BootCheck::of_claims(contract, &roster, claims).report()
}

/// The claims with `value` at `pointer`.
fn with(contract: &Contract, pointer: &str, value: Value) -> Value {
    let mut all = claims(contract);
    let (parent, name) = pointer.rsplit_once('/').expect("pointer");
    all.pointer_mut(parent).expect("parent")[name] = value;
    all
}

#[test]
fn a_production_machine_with_all_signatures_boots() {
    let contract = google();
    let boot = report(&contract, &claims(&contract)).into_verified().expect("boots");
    assert_eq!(boot.get().image.digest, digest());
}

#[test]
fn every_claim_that_is_not_as_agreed_refuses_and_is_named() {
    let contract = google();
    for (pointer, value, subject) in [
        ("/swname", json!("GCE"), "swname"),
        ("/hwmodel", json!("GCP_SHIELDED_VM"), "hwmodel"),
        ("/secboot", json!(false), "secboot"),
        ("/dbgstat", json!("enabled"), "dbgstat"),
        ("/submods/confidential_space", json!({}), "support_attributes"),
        ("/submods/confidential_space", json!({"support_attributes": []}), "support_attributes"),
        ("/submods/confidential_space", json!({"support_attributes": ["EXPERIMENTAL"]}), "support_attributes"),
        ("/submods/confidential_space", json!({"support_attributes": ["USABLE"]}), "support_attributes"),
        ("/submods/gce/project_id", json!("other"), "project_id"),
        ("/google_service_accounts", json!(["other@op"]), "service account"),
        ("/submods/container/image_reference", json!("r.example/team/app:latest"), "image_reference"),
        ("/submods/container/image_reference", json!(format!("r.example/other/app@{}", digest())), "image_reference"),
        ("/submods/container/cmd_override", json!(["sh"]), "cmd_override"),
        ("/submods/container/env_override", json!({"KEY": "x"}), "env_override"),
        ("/submods/container/env_override", json!({"CSIGN_SIMULATOR": "127.0.0.1:1"}), "env_override"),
        ("/submods/container/env_override", json!(["KEY=x"]), "env_override"),
    ] {
        let refused = report(&contract, &with(&contract, pointer, value.clone())).into_verified().expect_err(subject);
        assert_eq!(refused.verdict, Verdict::Rejected, "{pointer} {value}");
        let failed: Vec<&str> = refused
            .report
            .platform
            .iter()
            .filter(|check| check.outcome != Outcome::Passed)
            .map(|check| check.subject.as_str())
            .collect();
        assert_eq!(failed, [subject], "{pointer} {value}");
    }
}

#[test]
fn another_image_has_no_signatures() {
    let contract = google();
    let other = Digest::of(b"one byte changed");
    let mut all = with(&contract, "/submods/container/image_digest", json!(other));
    all["submods"]["container"]["image_reference"] = json!(contract.image.repository.at(other).to_string());
    let refused = report(&contract, &all).into_verified().expect_err("no signatures");
    assert!(refused.report.image.parties.iter().all(|row| row.status == PartyStatus::Missing));
}

#[test]
fn one_party_missing_refuses() {
    let contract = google();
    let one = json!([image_signature(&contract, 1), image_signature(&contract, 1), image_signature(&contract, 9)]);
    let refused =
        report(&contract, &with(&contract, "/submods/container/image_signatures", one)).into_verified().expect_err("b");
    assert!(refused.report.table().contains("signature of b"), "{}", refused.report.table());
    assert_eq!(refused.report.image.signed(), 1);
}

#[test]
fn a_simulated_contract_lets_the_operator_say_where_the_simulator_is() {
    let simulated = contract(
        "kind = \"simulated\"\nissuer = \"http://a.simulator.localhost\"\nissuer_keys = [\"k\"]",
        "registry.simulator.localhost",
    );
    let mut all = with(&simulated, "/submods/container/env_override", json!({"CSIGN_SIMULATOR": "127.0.0.1:1"}));
    assert!(report(&simulated, &all).into_verified().is_ok());
    all["submods"]["container"]["env_override"]["OTHER"] = json!("x");
    assert!(report(&simulated, &all).into_verified().is_err());
}
