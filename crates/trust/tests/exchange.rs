//! Attacks on requests and approvals while they travel.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use csign_contract::Contract;
use csign_envelope::{PublicKey, dsse, statement::Reproduced};
use csign_oci::{Digest, Pinned};
use csign_trust::exchange::{Approval, ApprovalError, Request, RequestError, Signed, Source};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).expect("scalar")
}

fn key(seed: u8) -> PublicKey {
    PublicKey::new(*signing(seed).verifying_key()).expect("key")
}

fn sign(seed: u8, message: &[u8]) -> Vec<u8> {
    let signature: Signature = signing(seed).sign(message);
    signature.to_der().as_bytes().to_vec()
}

fn contract(operator: &str) -> Contract {
    Contract::from_toml(&format!(
        "version = 1\nname = \"t\"\n[image]\nrepository = \"r.example/team/app\"\n[build]\nrecipe = \"cargo-musl\"\n\
         [environment]\nkind = \"google\"\n[operator]\nproject_id = \"{operator}\"\nservice_account = \"sa@op\"\n\
         [platform]\nhardware = [\"GCP_INTEL_TDX\"]\n\
         [messages]\ntopic = \"projects/op/topics/t\"\nsubscription = \"projects/op/subscriptions/s\"\n\
         [[party]]\nname = \"a\"\npublic_key = '''{}'''\n[[party]]\nname = \"b\"\npublic_key = '''{}'''\n",
        key(1).pem(),
        key(2).pem()
    ))
    .expect("contract")
}

fn image() -> Pinned {
    contract("op").image.repository.at(Digest::of(b"image"))
}

fn approval(party: &str, seed: u8) -> Approval {
    let contract = contract("op");
    let what = Reproduced {
        contract: contract.digest(),
        recipe: "cargo-musl".into(),
        source_revision: None,
        lock_file: None,
        toolchain: None,
        rebuilt: true,
    };
    let pae = |statement: Vec<u8>| dsse::pae(dsse::IN_TOTO, &statement);
    let signed = Signed {
        payload: sign(seed, &Approval::payload_to_sign(&image(), &key(seed))),
        bundle: sign(seed, &pae(Approval::sign_statement(&image()).expect("statement"))),
        reproduced: sign(seed, &pae(Approval::reproduced_statement(&image(), &what).expect("statement"))),
    };
    Approval::new(&contract, party, &key(seed), &image(), &what, &signed).expect("approval")
}

#[test]
fn an_honest_approval_survives_the_journey() {
    let text = approval("a", 1).to_text().expect("text");
    let arrived = Approval::parse(text.as_bytes()).expect("parses");
    assert!(arrived.what_was_rebuilt().expect("statement").rebuilt);
    assert!(arrived.check(&contract("op"), &image()).is_ok());
}

#[test]
fn approvals_for_something_else_are_refused() {
    let check = |approval: Approval, contract: &Contract, image: &Pinned| approval.check(contract, image).map(|_| ());
    let other = image().repository.at(Digest::of(b"other"));
    assert!(matches!(
        check(approval("a", 1), &contract("op"), &other),
        Err(ApprovalError::Mismatch { what: "image", .. })
    ));
    assert!(matches!(
        check(approval("a", 1), &contract("oq"), &image()),
        Err(ApprovalError::Mismatch { what: "contract", .. })
    ));
    assert!(matches!(check(approval("a", 3), &contract("op"), &image()), Err(ApprovalError::UnknownParty { .. })));
    assert!(matches!(check(approval("b", 1), &contract("op"), &image()), Err(ApprovalError::UnknownParty { .. })));
}

#[test]
fn every_signature_in_an_approval_is_checked() {
    let mut payload = approval("a", 1);
    payload.signature = approval("a", 2).signature;
    assert!(matches!(payload.check(&contract("op"), &image()), Err(ApprovalError::Signature { .. })));

    let mut bundle = approval("a", 1);
    bundle.bundle.dsse_envelope = bundle.reproduced.clone();
    assert!(matches!(bundle.check(&contract("op"), &image()), Err(ApprovalError::Statement { .. })));

    let mut reproduced = approval("a", 1);
    reproduced.reproduced = approval("b", 2).reproduced;
    assert!(matches!(reproduced.check(&contract("op"), &image()), Err(ApprovalError::Envelope { .. })));

    let mut version = approval("a", 1);
    version.bundle.media_type = "application/vnd.dev.sigstore.bundle.v9+json".into();
    assert!(matches!(version.check(&contract("op"), &image()), Err(ApprovalError::Bundle { .. })));
}

#[test]
fn a_request_is_computed_again_not_believed() {
    let contract = contract("op");
    let text = Request::new(&contract, image().digest, Source::default()).to_text().expect("text");
    assert_eq!(Request::parse(text.as_bytes()).expect("parses").check(&contract).expect("fits"), image());

    for (from, to) in [
        (contract.digest().to_string(), Digest::of(b"x").to_string()),
        ("r.example/team/app\",".to_owned(), "r.example/evil/app\",".to_owned()),
        ("\"b\"".to_owned(), "\"c\"".to_owned()),
        (key(2).id().to_string(), key(3).id().to_string()),
        ("docker-manifest-digest".to_owned(), "docker-manifest-digesu".to_owned()),
        ("cargo-musl".to_owned(), "make".to_owned()),
    ] {
        let changed = text.replacen(&from, &to, 1);
        assert_ne!(changed, text, "{from}");
        let refused = Request::parse(changed.as_bytes()).expect("parses").check(&contract);
        assert!(matches!(refused, Err(RequestError::Mismatch { .. })), "{from} → {to}: {refused:?}");
    }
    assert!(Request::parse(text.replacen("csign-request", "x", 1).as_bytes()).is_err());
}
