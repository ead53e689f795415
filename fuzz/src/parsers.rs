//! One function per parser of bytes that somebody else wrote. Each says whether the bytes were accepted and panics when
//! the parser broke a promise, besides the one never to panic itself.

use std::sync::LazyLock;

use csign_attestation::{Claims, Discovery, Expected, Jwks, Keys, TokenError, parses_x5c};
use csign_cel::{Expression, Variables};
use csign_contract::{
    Contract,
    envelope::{DataKey, Envelope as Sealed, MAX_ENVELOPE, MAX_WRAPPED_KEY, Sealer},
};
use csign_envelope::{
    PublicKey,
    bundle::Bundle,
    dsse::Envelope,
    sig_image::{SigImage, layer_signature},
    simple_signing::{self, Payload},
    statement::{SIGN_PREDICATE, Statement},
};
use csign_keyless::{Artifact, Certified, PemRoots, TrustedRoot, Verifier};
use csign_keys::{awskms, cosign_pem::SealedKey, plugin, transit};
use csign_lint::{
    Document, ProviderSettings,
    explain::{Question, explain, log_entries},
    lint, sarif,
};
use csign_oci::{
    Access, Descriptor, Digest, ImageConfig, Index, LayerBuilder, LayerLimits, Manifest, Reference, json, read_layer,
};
use csign_policy::{Decision, Policy, PolicyError, RegoVersion};
use csign_registry::fuzzing;
use csign_sbom::{Bill, Crates, ImageFacts, LockFile, Timestamp, cyclonedx, spdx};
use csign_trust::exchange::{Approval, RebuildRecord, Request};

use crate::seeds;

/// A parser under test.
pub struct Parser {
    /// What `.ci/fuzz` calls it, and its corpus's directory.
    pub name: &'static str,
    /// Were the bytes accepted?
    pub accepts: fn(&[u8]) -> bool,
    /// Bytes that are.
    pub seed: fn() -> Vec<u8>,
}

/// All parsers: a new one needs a line here and a seed, nothing else.
pub const PARSERS: &[Parser] = &[
    Parser { name: "digest", accepts: digest, seed: || seeds::DIGEST.into() },
    Parser { name: "reference", accepts: reference, seed: || seeds::REFERENCE.into() },
    Parser { name: "manifest", accepts: manifest, seed: || seeds::MANIFEST.into() },
    Parser { name: "image_config", accepts: image_config, seed: || seeds::IMAGE_CONFIG.into() },
    Parser { name: "layer", accepts: layer, seed: || layer_seed() },
    Parser { name: "public_key", accepts: public_key, seed: || seeds::PUBLIC_KEY.into() },
    Parser { name: "simple_signing", accepts: simple_signing, seed: || seeds::SIMPLE_SIGNING.into() },
    Parser { name: "sig_image", accepts: sig_image, seed: || seeds::MANIFEST.into() },
    Parser { name: "dsse", accepts: dsse, seed: || seeds::DSSE.into() },
    Parser { name: "bundle", accepts: bundle, seed: || seeds::BUNDLE.into() },
    Parser { name: "statement", accepts: statement, seed: || seeds::STATEMENT.into() },
    Parser { name: "contract_toml", accepts: contract_toml, seed: || seeds::CONTRACT.into() },
    Parser { name: "contract_json", accepts: contract_json, seed: || contract().canonical() },
    Parser { name: "message_attributes", accepts: message_attributes, seed: || seeds::MESSAGE_ATTRIBUTES.into() },
    Parser { name: "envelope", accepts: envelope, seed: envelope_seed },
    Parser { name: "jwks", accepts: jwks, seed: || seeds::JWKS.into() },
    Parser { name: "certificate_chain", accepts: parses_x5c, seed: || seeds::X5C.into() },
    Parser { name: "token", accepts: token, seed: || seeds::TOKEN.into() },
    Parser { name: "claims", accepts: claims, seed: || seeds::CLAIMS.into() },
    Parser { name: "discovery", accepts: discovery, seed: || seeds::DISCOVERY.into() },
    Parser { name: "key_file", accepts: key_file, seed: || seeds::KEY_FILE.into() },
    Parser { name: "request", accepts: request, seed: || seeds::REQUEST.into() },
    Parser { name: "rebuild_record", accepts: rebuild_record, seed: || seeds::REBUILD_RECORD.into() },
    Parser { name: "approval", accepts: approval, seed: || seeds::APPROVAL.into() },
    Parser { name: "artifact", accepts: fuzzing::artifact, seed: || seeds::MANIFEST.into() },
    Parser { name: "challenge", accepts: challenge, seed: || seeds::CHALLENGE.into() },
    Parser { name: "policy", accepts: policy, seed: || seeds::POLICY.into() },
    Parser { name: "policy_decision", accepts: policy_decision, seed: policy_decision_seed },
    Parser { name: "lock_file", accepts: lock_file, seed: || seeds::LOCK_FILE.into() },
    Parser { name: "transit_key", accepts: transit::parses_key, seed: || seeds::TRANSIT_KEY.into() },
    Parser { name: "aws_answer", accepts: awskms::parses_answer, seed: || seeds::AWS_ANSWER.into() },
    Parser { name: "plugin_reply", accepts: plugin::parses_reply, seed: || seeds::PLUGIN_REPLY.into() },
    Parser { name: "docker_config", accepts: fuzzing::docker_config, seed: || seeds::DOCKER_CONFIG.into() },
    Parser { name: "referrer", accepts: fuzzing::referrer, seed: || seeds::REFERRER.into() },
    Parser { name: "referrers", accepts: fuzzing::referrers, seed: || seeds::REFERRERS.into() },
    Parser { name: "trusted_root", accepts: trusted_root, seed: || seeds::TRUSTED_ROOT.into() },
    Parser { name: "pem_roots", accepts: pem_roots, seed: || seeds::PEM_ROOTS.into() },
    Parser { name: "keyless_bundle", accepts: keyless_bundle, seed: || seeds::KEYLESS_BUNDLE.into() },
    Parser { name: "keyless_layer", accepts: keyless_layer, seed: || seeds::KEYLESS_LAYER.into() },
    Parser { name: "cel_condition", accepts: cel_condition, seed: || seeds::CEL_CONDITION.into() },
    Parser { name: "diff_layer", accepts: csign_diff::fuzzing::layer, seed: || layer_seed() },
    Parser { name: "diff_image", accepts: csign_diff::fuzzing::image, seed: || seeds::docker_archive() },
    Parser { name: "diff_configuration", accepts: diff_configuration, seed: || seeds::IMAGE_CONFIG.into() },
    Parser { name: "lint_document", accepts: lint_document, seed: || seeds::LINT_DOCUMENT.into() },
    Parser { name: "explained_claims", accepts: explained_claims, seed: || seeds::CLAIMS.into() },
    Parser { name: "audit_log", accepts: audit_log, seed: || seeds::AUDIT_LOG.into() },
    Parser { name: "diff_elf", accepts: csign_diff::fuzzing::damaged_copy, seed: || seeds::elf() },
    Parser { name: "diff_ar", accepts: csign_diff::fuzzing::damaged_copy, seed: || seeds::ar() },
    Parser { name: "diff_zip", accepts: csign_diff::fuzzing::damaged_copy, seed: || seeds::zip() },
    Parser { name: "diff_text", accepts: csign_diff::fuzzing::damaged_copy, seed: || seeds::LOCK_FILE.into() },
    Parser { name: "diff_json", accepts: csign_diff::fuzzing::damaged_copy, seed: || seeds::MANIFEST.into() },
    Parser { name: "diff_compressed", accepts: diff_compressed, seed: || layer_seed() },
    Parser { name: "checkpoint", accepts: checkpoint, seed: || checkpoint_seed() },
];

static CONTRACT: LazyLock<Contract> =
    LazyLock::new(|| Contract::from_toml(seeds::CONTRACT).expect("the seed is a contract"));
static KEY: LazyLock<PublicKey> =
    LazyLock::new(|| PublicKey::from_pem(seeds::PUBLIC_KEY).expect("the seed is a public key"));
static KEY_SET: LazyLock<Keys> =
    LazyLock::new(|| Jwks::parse(seeds::JWKS.as_bytes()).expect("the seed is a key set").into());

fn contract() -> &'static Contract {
    &CONTRACT
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn digest(bytes: &[u8]) -> bool {
    let parsed = Digest::parse(text(bytes));
    parsed.inspect(|digest| assert_eq!(digest.to_string().as_bytes(), bytes, "one digest, two spellings")).is_ok()
}

fn reference(bytes: &[u8]) -> bool {
    let parsed = Reference::parse(text(bytes));
    let Ok(reference) = parsed else { return false };
    let written = reference.to_string();
    assert_eq!(Reference::parse(&written).expect("what is written parses").to_string(), written);
    true
}

fn manifest(bytes: &[u8]) -> bool {
    let index = json::from_slice::<Index>(bytes).is_ok();
    let Ok(manifest) = json::from_slice::<Manifest>(bytes) else { return index };
    let written = manifest.to_bytes().expect("what was parsed can be written");
    let again: Manifest = json::from_slice(&written).expect("what is written parses");
    assert_eq!(again.to_bytes().expect("what was parsed can be written"), written);
    true
}

fn image_config(bytes: &[u8]) -> bool {
    ImageConfig::parse(bytes).is_ok()
}

fn layer(bytes: &[u8]) -> bool {
    let limits = LayerLimits { unpacked: 1 << 20, entries: 64 };
    let Ok(layer) = read_layer(bytes, &limits) else { return false };
    assert!(layer.entries.len() <= 64, "too many entries");
    for entry in &layer.entries {
        assert!(!entry.path.starts_with('/') && entry.path.split('/').all(|part| part != ".."), "{:?}", entry.path);
    }
    true
}

fn diff_configuration(bytes: &[u8]) -> bool {
    csign_diff::fuzzing::configuration(bytes, seeds::IMAGE_CONFIG.as_bytes())
}

/// A compressed archive in a file, next to another one.
fn diff_compressed(bytes: &[u8]) -> bool {
    let (changes, _) = csign_diff::fuzzing::contents("file.tar.gz", bytes, &layer_seed());
    !changes.iter().any(|change| match change {
        csign_diff::Change::Unread { .. } => true,
        csign_diff::Change::Attribute { name, .. } => name == "format",
        _ => false,
    })
}

fn layer_seed() -> Vec<u8> {
    let mut layer = LayerBuilder::new();
    layer.file("etc/message", Access { mode: 0o644, uid: 0, gid: 0 }, *b"hello").expect("a plain path");
    layer.build().expect("a small layer").bytes
}

fn public_key(bytes: &[u8]) -> bool {
    let der = PublicKey::from_der(bytes);
    let pem = PublicKey::from_pem(text(bytes));
    for key in [&der, &pem].into_iter().flatten() {
        assert_eq!(PublicKey::from_pem(&key.pem()).expect("what is written parses").id(), key.id());
    }
    der.is_ok() || pem.is_ok()
}

fn simple_signing(bytes: &[u8]) -> bool {
    Payload::parse(bytes).is_ok()
}

fn sig_image(bytes: &[u8]) -> bool {
    let Ok(image) = SigImage::parse(bytes) else { return false };
    for layer in image.layers() {
        if let Some(signature) = layer_signature(layer) {
            assert!(!KEY.verify(b"never signed", &signature), "a forged signature");
        }
    }
    let written = image.encode().expect("what was parsed can be written").manifest;
    let again = SigImage::parse(&written).expect("what is written parses");
    assert_eq!(again.layers().len(), image.layers().len(), "a signature was lost");
    true
}

fn dsse(bytes: &[u8]) -> bool {
    let parsed = Envelope::parse(bytes);
    parsed.inspect(|envelope| assert!(envelope.verify(&KEY).is_err(), "a forged envelope")).is_ok()
}

fn bundle(bytes: &[u8]) -> bool {
    let parsed = Bundle::parse(bytes);
    parsed.inspect(|bundle| assert!(bundle.dsse_envelope.verify(&KEY).is_err(), "a forged bundle")).is_ok()
}

fn statement(bytes: &[u8]) -> bool {
    let digest = Digest::parse(seeds::DIGEST).expect("the seed is a digest");
    Statement::parse_about(bytes, SIGN_PREDICATE, &digest).is_ok()
}

fn contract_toml(bytes: &[u8]) -> bool {
    let Ok(contract) = Contract::from_toml(text(bytes)) else { return false };
    let again = Contract::from_canonical(&contract.canonical()).expect("the canonical form is a contract");
    assert_eq!(again.digest(), contract.digest());
    true
}

fn contract_json(bytes: &[u8]) -> bool {
    let parsed = Contract::from_canonical(bytes);
    parsed.inspect(|contract| assert_eq!(contract.canonical(), bytes, "one contract, two digests")).is_ok()
}

fn message_attributes(bytes: &[u8]) -> bool {
    let attributes = text(bytes).lines().filter_map(|line| line.split_once('='));
    let Ok(admitted) = contract().admit(attributes) else { return false };
    assert_eq!(admitted.party.name, "one");
    assert!(!admitted.message.is_empty() && admitted.message.len() <= 128);
    true
}

fn envelope(bytes: &[u8]) -> bool {
    let Ok(parsed) = Sealed::parse(bytes) else { return false };
    assert!((1..=MAX_WRAPPED_KEY).contains(&parsed.wrapped_key.len()) && bytes.len() <= MAX_ENVELOPE);
    // Cloud KMS proves the wrapped key; nothing else opens but what the seed has after its own.
    let key = DataKey::new(&[7; 32]).expect("a key");
    let authentic = bytes[3 + parsed.wrapped_key.len()..] == envelope_seed()[3 + b"wrapped".len()..];
    assert_eq!(key.open(&parsed, b"additional").is_ok(), authentic, "a forgery opened");
    true
}

fn envelope_seed() -> Vec<u8> {
    let mut sealer = Sealer::new(&[7; 32], b"wrapped".to_vec()).expect("a sealer");
    sealer.seal([9; 12], b"alice", b"additional").expect("seals")
}

fn jwks(bytes: &[u8]) -> bool {
    Jwks::parse(bytes).is_ok()
}

/// Nobody has the key, so the furthest that any token can come is its signature.
fn token(bytes: &[u8]) -> bool {
    let expected =
        Expected { issuer: "https://issuer.example", audience: "audience", nonce: None, now: 1500, leeway: 0 };
    match csign_attestation::verify(text(bytes), &KEY_SET, &expected) {
        Ok(claims) => panic!("a forged token: {claims:?}"),
        Err(error) => matches!(error, TokenError::Signature),
    }
}

fn claims(bytes: &[u8]) -> bool {
    Claims::parse_without_verification(bytes).is_ok()
}

fn discovery(bytes: &[u8]) -> bool {
    Discovery::parse(bytes, "https://issuer.example").is_ok()
}

fn key_file(bytes: &[u8]) -> bool {
    SealedKey::parse(text(bytes)).is_ok()
}

fn request(bytes: &[u8]) -> bool {
    let Ok(request) = Request::parse(bytes) else { return false };
    assert!(request.check(contract()).is_err(), "the seed's digest is of another contract");
    Request::parse(request.to_text().expect("what was parsed can be written").as_bytes())
        .expect("what is written parses");
    true
}

fn rebuild_record(bytes: &[u8]) -> bool {
    let Ok(record) = RebuildRecord::parse(bytes) else { return false };
    let request = Request::parse(seeds::REQUEST.as_bytes()).expect("the seed parses");
    assert!(record.check(contract(), &request, b"").is_err(), "a record of no request");
    RebuildRecord::parse(record.to_text().expect("what was parsed can be written").as_bytes())
        .expect("what is written parses");
    true
}

fn approval(bytes: &[u8]) -> bool {
    let Ok(approval) = Approval::parse(bytes) else { return false };
    let image = approval.repository.at(approval.digest);
    assert!(approval.check(contract(), &image).is_err(), "a forged approval");
    true
}

fn challenge(bytes: &[u8]) -> bool {
    fuzzing::challenge(text(bytes))
}

fn trusted_root(bytes: &[u8]) -> bool {
    TrustedRoot::parse(bytes).is_ok()
}

fn pem_roots(bytes: &[u8]) -> bool {
    let (pem, key) = (text(bytes), seeds::PUBLIC_KEY);
    let parse = |rekor, tsa| TrustedRoot::from_pem(&PemRoots { fulcio: pem, rekor, ct_log: key, tsa }).is_ok();
    assert!(!parse(pem, None), "certificates and a key in one");
    let accepted = parse(key, None);
    assert!(accepted || !parse(key, Some(pem)), "certified by a time stamp authority");
    accepted
}

static KEYLESS: LazyLock<Verifier> = LazyLock::new(|| {
    let root = TrustedRoot::parse(seeds::TRUSTED_ROOT.as_bytes()).expect("the seed is a trusted root");
    Verifier::new(&root, 1_800_000_000).expect("a verifier")
});

/// Nobody has the authority's key, so whatever verifies was signed by the seed's signer at the seed's time.
fn ours(certified: &Certified) -> bool {
    assert_eq!(certified.identity.san, "https://example.com/release", "a forged certificate");
    assert_eq!(certified.signed_at, 1_767_323_045, "a forged time");
    true
}

fn keyless_bundle(bytes: &[u8]) -> bool {
    assert!(KEYLESS.verify_bundle(bytes, Artifact::Bytes(b"another artifact")).is_err(), "a forged bundle");
    KEYLESS.verify_bundle(bytes, Artifact::Bytes(b"an artifact")).is_ok_and(|certified| ours(&certified))
}

/// A layer of `.sig`, its payload and annotations in one JSON document.
fn keyless_layer(bytes: &[u8]) -> bool {
    let Ok(document) = json::value_from_slice(bytes) else { return false };
    let annotations = document.get("annotations").and_then(|annotations| annotations.as_object());
    let annotations = annotations.into_iter().flatten();
    let annotations =
        annotations.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    let layer = Descriptor { annotations, ..Descriptor::of(simple_signing::MEDIA_TYPE, b"") };
    let Some(signature) = layer_signature(&layer) else { return false };
    assert!(KEYLESS.verify_legacy(b"{}", &signature, &layer.annotations).is_err(), "a forged payload");
    let payload = document.get("payload").and_then(|payload| payload.as_str()).unwrap_or_default();
    let verified = KEYLESS.verify_legacy(payload.as_bytes(), &signature, &layer.annotations);
    verified.is_ok_and(|certified| ours(&certified))
}

const CHECKPOINT: &str = "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope";

fn checkpoint_seed() -> Vec<u8> {
    let bundle = json::value_from_slice(seeds::KEYLESS_BUNDLE.as_bytes()).expect("the seed is JSON");
    bundle.pointer(CHECKPOINT).and_then(|text| text.as_str()).expect("a checkpoint").into()
}

fn checkpoint(bytes: &[u8]) -> bool {
    let mut bundle = json::value_from_slice(seeds::KEYLESS_BUNDLE.as_bytes()).expect("the seed is JSON");
    *bundle.pointer_mut(CHECKPOINT).expect("a checkpoint") = text(bytes).into();
    keyless_bundle(bundle.to_string().as_bytes())
}

/// The interpreter may refuse a source, and must not break down over it.
fn parse_policy(bytes: &[u8], version: RegoVersion) -> Option<Policy> {
    let parsed = Policy::parse("p.rego", text(bytes), version);
    assert!(!matches!(parsed, Err(PolicyError::Interpreter)), "the interpreter broke down");
    parsed.ok()
}

fn policy(bytes: &[u8]) -> bool {
    let v1 = parse_policy(bytes, RegoVersion::V1).is_some();
    parse_policy(bytes, RegoVersion::Auto).is_some() || v1
}

/// A policy, a zero byte, and the statement that it is asked about.
fn policy_decision(bytes: &[u8]) -> bool {
    let Some(at) = bytes.iter().position(|byte| *byte == 0) else { return false };
    let (source, statement) = (&bytes[..at], &bytes[at + 1..]);
    let Some(policy) = parse_policy(source, RegoVersion::Auto) else { return false };
    let policy = policy.with_steps(20_000);
    let decide = || match policy.evaluate(statement, 0) {
        Ok(decision) => Some(decision),
        Err(PolicyError::Interpreter) => panic!("the interpreter broke down"),
        Err(_) => None,
    };
    let decision = decide();
    assert_eq!(decide(), decision, "one policy and statement, two decisions");
    if let Some(Decision::Refused { reasons }) = &decision {
        assert!(!reasons.is_empty(), "a refusal without a reason");
    }
    decision == Some(Decision::Allowed)
}

fn policy_decision_seed() -> Vec<u8> {
    [seeds::POLICY.as_bytes(), &[0], seeds::STATEMENT.as_bytes()].concat()
}

/// What is accepted can be written out in both formats, and names nothing twice.
fn lock_file(bytes: &[u8]) -> bool {
    let Ok(lock) = LockFile::parse(bytes) else { return false };
    let mut names: Vec<String> = lock.packages.iter().map(|package| package.reference()).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "two packages, one name");
    for package in &lock.packages {
        assert!(package.dependencies.iter().all(|at| *at < count), "a dependency that is no package");
    }
    let bill = Bill {
        image: ImageFacts { digest: lock.digest, repository: None, architecture: "amd64".into(), program: None },
        layers: Vec::new(),
        crates: Some(Crates::of_lock_file(lock)),
        created: Timestamp::from_epoch(0).expect("1970"),
        tool_version: "0".into(),
    };
    for document in [spdx::write(&bill), cyclonedx::write(&bill)] {
        json::value_from_slice(&document.expect("what was parsed can be written")).expect("what is written parses");
    }
    true
}

/// What is found has a rule, and says nothing that a terminal would obey.
fn lint_document(bytes: &[u8]) -> bool {
    let Ok(document) = Document::read("document", bytes, None) else { return false };
    let findings = lint(&[document], None);
    for finding in &findings {
        assert!(csign_lint::rule(finding.rule).is_some(), "{} is no rule", finding.rule);
        assert!(finding.message.chars().count() <= 1001, "a message is too long");
        assert!(!finding.message.chars().any(char::is_control), "a message has a control character");
    }
    sarif(&findings, "0");
    true
}

/// Whatever the claims are, the condition decides as it does alone.
fn explained_claims(bytes: &[u8]) -> bool {
    let Ok(claims) = json::value_from_slice(bytes) else { return false };
    let provider =
        ProviderSettings::of_condition("assertion.swname == 'CONFIDENTIAL_SPACE' || has(assertion.submods.gce)");
    let question = Question { claims: &claims, provider: &provider, policies: &[], issuer: None, now: 1500 };
    let answer = explain(&question).expect("the condition is one");
    assert!(answer.admitted == answer.reason.is_none() && answer.exchanged == answer.admitted);
    true
}

fn audit_log(bytes: &[u8]) -> bool {
    log_entries("log", bytes).is_ok()
}

/// Whatever is accepted can be evaluated, and its explanation says the same.
fn cel_condition(bytes: &[u8]) -> bool {
    static CLAIMS: LazyLock<Variables> = LazyLock::new(|| {
        let claims = json::from_slice(seeds::CLAIMS.as_bytes()).expect("the seed is JSON");
        Variables::new().with("assertion", &claims)
    });
    let Ok(condition) = Expression::condition(text(bytes)) else { return false };
    let holds = condition.holds(&CLAIMS) == Ok(true);
    assert_eq!(condition.explain(&CLAIMS).admits(), holds, "the explanation says something else");
    true
}
