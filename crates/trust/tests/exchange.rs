//! Attacks on requests and approvals while they travel.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use csign_contract::Contract;
use csign_envelope::{
    PublicKey, dsse,
    statement::{Rebuild, Reproduced, RevisionFrom, Tool},
};
use csign_oci::{Digest, Pinned};
use csign_trust::exchange::{
    Approval, ApprovalError, RebuildRecord, RecordError, Request, RequestError, Signed, Source, Variables,
    environment_digest,
};
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
        rebuild: None,
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

fn rebuilt(request: &Request, file: &[u8]) -> RebuildRecord {
    let environment = Variables::from([("CC".to_owned(), Some("/bin/false".to_owned())), ("PATH".to_owned(), None)]);
    let reproduced = Reproduced {
        contract: contract("op").digest(),
        recipe: "cargo-musl".into(),
        source_revision: Some("a".repeat(40)),
        lock_file: request.source.lock_file,
        toolchain: Some("rustc 1.95.0".into()),
        rebuilt: true,
        rebuild: Some(Rebuild {
            request: Digest::of(file),
            revision_from: RevisionFrom::Request,
            sources: "git+https://git.example/x".into(),
            submodules: Default::default(),
            rustc: None,
            cargo: None,
            bazel: None,
            linker: Some(Tool { name: "rust-lld".into(), version: "LLD 22".into(), digest: Digest::of("lld") }),
            environment: environment_digest(&environment).expect("digest"),
            network: "a network namespace of its own".into(),
        }),
    };
    RebuildRecord::new(&request.image(), reproduced, environment, ["then".into(), "now".into()])
}

#[test]
fn a_record_of_another_rebuild_is_not_signed() {
    let contract = contract("op");
    let source = Source {
        revision: Some("a".repeat(40)),
        lock_file: Some(Digest::of("lock")),
        repository: Some("git+https://git.example/x".into()),
        directory: Some("sub".into()),
        ..Source::default()
    };
    let request = Request::new(&contract, image().digest, source);
    let file = request.to_text().expect("text");
    let text = rebuilt(&request, file.as_bytes()).to_text().expect("text");
    let check = |text: &str, file: &str| {
        let request = Request::parse(file.as_bytes()).expect("request");
        RebuildRecord::parse(text.as_bytes()).expect("parses").check(&contract, &request, file.as_bytes())
    };
    let said = check(&text, &file).expect("fits");
    assert_eq!(said.rebuild.expect("facts").sources, "git+https://git.example/x");

    let other = |bytes: &str| Digest::of(bytes).to_string();
    for (what, from, to) in [
        ("request", Digest::of(&file).to_string(), other("x")),
        ("image", image().digest.to_string(), other("x")),
        ("image", "r.example/team/app".to_owned(), "r.example/team/other".to_owned()),
        ("contract", contract.digest().to_string(), other("x")),
        ("recipe", "cargo-musl".to_owned(), "bazel".to_owned()),
        ("source revision", "a".repeat(40), "b".repeat(40)),
        (
            "origin of the revision",
            "\"revisionFrom\": \"request\"".to_owned(),
            "\"revisionFrom\": \"party\"".to_owned(),
        ),
        ("lock file", other("lock"), other("x")),
        ("environment", "/bin/false".to_owned(), "/bin/true".to_owned()),
    ] {
        let changed = text.replacen(&from, &to, 1);
        assert_ne!(changed, text, "{from}");
        let refused = check(&changed, &file);
        assert!(
            matches!(&refused, Err(RecordError::Mismatch { what: got, .. }) if *got == what),
            "{what}: {refused:?}"
        );
    }
    let unsaid = text.replacen("\"rebuilt\": true", "\"rebuilt\": false", 1);
    assert!(matches!(check(&unsaid, &file), Err(RecordError::NotRebuilt)));
    assert!(matches!(
        RebuildRecord::parse(text.replacen("csign-rebuild", "x", 1).as_bytes()),
        Err(RecordError::Kind { .. })
    ));
    assert!(RebuildRecord::parse(text.replacen("\"version\"", "\"new\": 1, \"version\"", 1).as_bytes()).is_err());
    // The same request, written otherwise, is another file.
    assert!(check(&text, &(file.clone() + "\n")).is_err());
}

#[test]
fn requests_and_statements_from_before_the_rebuild_still_parse() {
    let contract = contract("op");
    let old = Request::new(&contract, image().digest, Source { revision: Some("abc".into()), ..Source::default() });
    let text = old.to_text().expect("text");
    assert!(!text.contains("modified") && !text.contains("directory"), "{text}");
    assert!(Request::parse(text.as_bytes()).expect("parses").check(&contract).is_ok());
    let text = approval("a", 1).to_text().expect("text");
    assert!(Approval::parse(text.as_bytes()).expect("parses").check(&contract, &image()).is_ok());
}
