//! `csign explain`: it says what the simulator's STS decides, and why.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use csign_lint::{
    ProviderSettings,
    explain::{Question, explain},
};
use csign_oci::Digest;
use serde_json::{Value, json};
use simulator::{
    Config, Simulator,
    attestation::{Container, Image, ImageSignature, TokenOptions, Vm},
    sts::Provider,
};

const POOL: &str = "projects/101/locations/global/workloadIdentityPools/c1";
const STABLE: &str = "'STABLE' in assertion.submods.confidential_space.support_attributes";

fn provider_name(number: usize) -> String {
    format!("{POOL}/providers/p{number}")
}

fn vm() -> Vm {
    Vm {
        project: "operator".to_owned(),
        project_number: "100".to_owned(),
        zone: "europe-west4-a".to_owned(),
        instance: "workload".to_owned(),
        instance_id: "4711".to_owned(),
        service_account: "vm@operator.iam.gserviceaccount.com".to_owned(),
        image: Image::Production,
        platform: simulator::attestation::Platform::default(),
    }
}

fn container() -> Container {
    let image_digest = Digest::of("the agreed image");
    let signature = |byte: char| ImageSignature {
        key_id: byte.to_string().repeat(64),
        signature: "MAYCAQECAQE=".to_owned(),
        signature_algorithm: "ECDSA_P256_SHA256".to_owned(),
    };
    Container {
        image_reference: format!("registry.simulator.localhost/app@{image_digest}"),
        image_digest,
        image_id: Digest::of("configuration"),
        restart_policy: "Never".to_owned(),
        args: vec!["/workload".to_owned()],
        env: BTreeMap::new(),
        env_override: BTreeMap::new(),
        cmd_override: Vec::new(),
        image_signatures: vec![signature('1'), signature('2')],
    }
}

/// Conditions good and bad, of every kind that guides have.
fn conditions() -> Vec<String> {
    let digest = Digest::of("the agreed image");
    let signed = |byte: char| {
        let id = byte.to_string().repeat(64);
        format!("assertion.submods.container.image_signatures.exists(s, s.key_id == '{id}')")
    };
    vec![
        String::new(),
        format!("assertion.swname == 'CONFIDENTIAL_SPACE' && {STABLE} && assertion.submods.container.image_digest == '{digest}'"),
        format!("assertion.swname == 'CONFIDENTIAL_SPACE' && {STABLE} && assertion.submods.gce.project_id == 'operator'"),
        "assertion.swname == 'CONFIDENTIAL_SPACE' && int(assertion.swversion) >= 1".to_owned(),
        format!("{} && {}", signed('1'), signed('2')),
        "assertion.submods.container.image_signatures.all(s, s.key_id != '')".to_owned(),
        "size(assertion.submods.container.cmd_override) == 0".to_owned(),
        "assertion.dbgstat == 'enabled' || attribute.image_digest.startsWith('sha256:')".to_owned(),
        "google.subject.startsWith('gcpcs::') && 'vm@operator.iam.gserviceaccount.com' in assertion.google_service_accounts".to_owned(),
        "assertion.submods.confidential_space.support_attributes.debug_mode == false".to_owned(),
    ]
}

type Change = fn(&mut Value);

/// Tokens that differ from the right one in one way each.
const CHANGES: [(&str, Change); 14] = [
    ("nothing", |_| {}),
    ("debug image", |c| {
        c["dbgstat"] = json!("enabled");
        c["submods"]["confidential_space"] = json!({});
    }),
    ("experimental", |c| c["submods"]["confidential_space"]["support_attributes"] = json!(["EXPERIMENTAL"])),
    ("another image", |c| c["submods"]["container"]["image_digest"] = json!(Digest::of("another"))),
    ("no image", |c| c["submods"]["container"] = Value::Null),
    ("another project", |c| c["submods"]["gce"]["project_id"] = json!("other")),
    ("no account", |c| c["google_service_accounts"] = json!([])),
    ("unsigned", |c| c["submods"]["container"]["image_signatures"] = Value::Null),
    ("one signer", |c| {
        c["submods"]["container"]["image_signatures"].as_array_mut().expect("a list").truncate(1);
    }),
    ("a command", |c| c["submods"]["container"]["cmd_override"] = json!(["sh"])),
    ("another platform", |c| c["swname"] = json!("GCE")),
    ("another audience", |c| c["aud"] = json!("https://sts.googleapis.com")),
    ("expired", |c| c["exp"] = c["iat"].clone()),
    ("a long id", |c| c["submods"]["gce"]["instance_id"] = json!("9".repeat(60))),
];

async fn exchange(client: &reqwest::Client, simulator: &Simulator, token: &str, audience: &str) -> (u16, Value) {
    let body = json!({
        "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
        "subjectTokenType": "urn:ietf:params:oauth:token-type:jwt",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "subjectToken": token,
        "audience": audience,
    });
    let request = client.post(format!("{}/v1/token", simulator.endpoint()));
    let request = request.header("content-type", "application/json").body(body.to_string());
    let response = request.send().await.expect("answers");
    let status = response.status().as_u16();
    let body = response.bytes().await.expect("a body");
    (status, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test]
async fn explain_and_the_simulators_sts_agree_on_every_token_and_every_condition() {
    let _ = rustls_graviola::default_provider().install_default();
    let simulator = Simulator::start(Config::default()).await.expect("starts");
    let client = reqwest::Client::new();
    let (mut admitted, mut refused) = (0, 0);
    for (number, condition) in conditions().into_iter().enumerate() {
        let provider = Provider::new(provider_name(number), condition.clone());
        let mut settings = ProviderSettings::of_condition(&condition);
        settings.full_name = Some(provider.name.clone());
        settings.mapping = provider.attribute_mapping.clone();
        simulator.sts().set_provider(provider).expect("a provider");
        let audience = format!("//iam.googleapis.com/{}", provider_name(number));
        let options = TokenOptions { audience: audience.clone(), nonces: Vec::new() };
        for (what, change) in CHANGES {
            let mut claims = simulator.issuer().claims(&vm(), &container(), &options);
            change(&mut claims);
            let token = simulator.issuer().sign_anything(None, &claims).expect("a token");
            let (status, _) = exchange(&client, &simulator, &token, &audience).await;
            let question = Question {
                claims: &claims,
                provider: &settings,
                policies: &[],
                issuer: Some(simulator.issuer().name()),
                now: simulator.clock().now(),
            };
            let answer = explain(&question).expect("an answer");
            assert_eq!(answer.exchanged, status == 200, "{what} under {condition}: {answer:#?}");
            let last = simulator.audit().pop().expect("an entry");
            if let Some(reason) = answer.reason.as_ref().filter(|reason| reason.starts_with("condition:")) {
                assert_eq!(reason, &format!("condition: {}", last.clause), "{what} under {condition}");
            }
            *(if answer.exchanged { &mut admitted } else { &mut refused }) += 1;
        }
    }
    assert!(admitted + refused >= 140 && admitted > 30 && refused > 60, "{admitted} admitted, {refused} refused");
    // What the simulator wrote down about all of this is read back.
    let log: String = simulator.audit().iter().map(|entry| format!("{}\n", json!(entry))).collect();
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("audit.jsonl"), log).expect("write");
    let output = csign(directory.path(), &["explain", "--log", "audit.jsonl", "--output", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(found["refused"], refused);
    simulator.shutdown().await;
}

/// Paths of all members, with `[]` for elements of lists.
fn paths(value: &Value, at: &str, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                found.insert(at.clone());
                paths(value, &at, found);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|value| paths(value, &format!("{at}[]"), found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_token_that_rules_are_tried_on_has_the_claims_of_a_real_one_and_rules_know_them_all() {
    let _ = rustls_graviola::default_provider().install_default();
    let simulator = Simulator::start(Config::default()).await.expect("starts");
    let options = TokenOptions { audience: "a".to_owned(), nonces: vec!["0123456789".to_owned()] };
    let issued = simulator.issuer().claims(&vm(), &container(), &options);
    let facts = csign_lint::TokenFacts {
        signers: vec![("1".repeat(64), "ECDSA_P256_SHA256".to_owned())],
        ..csign_lint::TokenFacts::default()
    };
    let (mut want, mut have) = (Default::default(), Default::default());
    paths(&issued, "", &mut want);
    paths(&facts.claims(), "", &mut have);
    let unlike: Vec<&String> = want.symmetric_difference(&have).collect();
    // What no rule asks about.
    let ignored = |path: &str| path == "eat_nonce" || path.starts_with("tdx");
    assert!(unlike.iter().all(|path| ignored(path)), "{unlike:?}");
    let named: Vec<String> =
        want.iter().filter(|path| !path.contains('[')).map(|p| format!("has(assertion.{p})")).collect();
    for named in named.chunks(20) {
        let provider =
            json!({"attributeMapping": {"google.subject": "assertion.sub"}, "attributeCondition": named.join(" && ")});
        let document = csign_lint::Document::read("p.json", provider.to_string().as_bytes(), None).expect("a provider");
        let findings = csign_lint::lint(&[document], None);
        assert!(findings.iter().all(|finding| finding.rule != "condition-unknown-claim"), "{findings:#?}");
    }
    simulator.shutdown().await;
}

fn csign(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(std::path::absolute(env!("CARGO_BIN_EXE_csign")).expect("an absolute path"))
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .output()
        .expect("csign starts")
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// A directory with claims, a provider and a policy that admit each other.
fn scene() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let facts = csign_lint::TokenFacts {
        audience: format!("//iam.googleapis.com/{}", provider_name(1)),
        ..csign_lint::TokenFacts::default()
    };
    let digest = facts.image_digest.clone();
    let provider = json!({
        "name": provider_name(1),
        "oidc": {"issuerUri": "https://confidentialcomputing.googleapis.com"},
        "attributeMapping": {
            "google.subject": "assertion.submods.gce.instance_id",
            "attribute.image_digest": "assertion.submods.container.image_digest",
        },
        "attributeCondition": format!("assertion.swname == 'CONFIDENTIAL_SPACE' && {STABLE}"),
    });
    let policy = json!({"bindings": [{
        "role": "roles/cloudkms.cryptoKeyDecrypter",
        "members": [format!("principalSet://iam.googleapis.com/{POOL}/attribute.image_digest/{digest}")],
    }]});
    for (name, value) in [("claims.json", facts.claims()), ("provider.json", provider), ("policy.json", policy)] {
        fs::write(directory.path().join(name), value.to_string()).expect("write");
    }
    directory
}

const GIVEN: [&str; 6] = ["explain", "claims.json", "--provider", "provider.json", "--policy", "policy.json"];

#[test]
fn an_admitted_token_is_shown_with_its_identity_and_the_member_that_it_is() {
    let directory = scene();
    let output = csign(directory.path(), &GIVEN);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for part in ["google.subject", "attribute.image_digest", "the bearer", "ADMITTED"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
}

#[test]
fn a_refusal_names_the_clause_what_it_saw_and_what_to_change() {
    let directory = scene();
    let mut claims: Value = serde_json::from_slice(&fs::read(directory.path().join("claims.json")).unwrap()).unwrap();
    claims["dbgstat"] = json!("enabled");
    claims["submods"]["confidential_space"].as_object_mut().unwrap().remove("support_attributes");
    fs::write(directory.path().join("claims.json"), claims.to_string()).unwrap();
    let output = csign(directory.path(), &GIVEN);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1));
    for part in ["error <-", "no such key", "REFUSED by condition", "image family confidential-space"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
}

#[test]
fn a_token_whose_bearer_no_binding_means_is_refused_by_the_binding() {
    let directory = scene();
    let other = format!("principalSet://iam.googleapis.com/{POOL}/attribute.image_digest/sha256:other");
    let output =
        csign(directory.path(), &["explain", "claims.json", "--provider", "provider.json", "--member", &other]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("REFUSED by binding") && text.contains("someone else"), "{text}");
}

#[test]
fn a_raw_token_is_never_printed() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let directory = scene();
    let claims = fs::read(directory.path().join("claims.json")).unwrap();
    let payload = URL_SAFE_NO_PAD.encode(&claims);
    let signature = "A".repeat(342);
    let token = format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(br#"{"alg":"RS256","typ":"JWT"}"#));
    fs::write(directory.path().join("token"), &token).unwrap();
    for output in ["text", "json"] {
        let found = csign(directory.path(), &["explain", "token", "--provider", "provider.json", "--output", output]);
        assert_eq!(found.status.code(), Some(0), "{}", String::from_utf8_lossy(&found.stderr));
        let everything = [found.stdout, found.stderr].concat();
        let everything = String::from_utf8_lossy(&everything);
        assert!(!everything.contains(&signature) && !everything.contains(&payload[..200]));
    }
}

#[test]
fn what_is_not_given_is_asked_for() {
    let directory = scene();
    let status = |arguments: &[&str]| csign(directory.path(), arguments).status.code();
    assert_eq!(status(&["explain"]), Some(2));
    assert_eq!(status(&["explain", "claims.json"]), Some(2));
    assert_eq!(status(&["explain", "claims.json", "--provider", "policy.json"]), Some(2));
    assert_eq!(status(&["explain", "claims.json", "--condition", "assertion.swname = 'x'"]), Some(2));
    assert_eq!(status(&["explain", "claims.json", "--condition", "true"]), Some(0));
    assert_eq!(status(&["explain", "claims.json", "--condition", "true", "--at", "1"]), Some(1));
    assert_eq!(status(&["explain", "--log", "provider.json"]), Some(2));
}

#[test]
fn an_entry_of_a_cloud_audit_log_is_evaluated_again() {
    let directory = scene();
    let entry = json!([{
        "timestamp": "2026-01-02T03:04:05Z",
        "protoPayload": {
            "serviceName": "sts.googleapis.com",
            "methodName": "google.identity.sts.v1.SecurityTokenService.ExchangeToken",
            "request": {"audience": format!("//iam.googleapis.com/{}", provider_name(1))},
            "status": {"code": 3, "message": "The given credential is rejected by the attribute condition."},
        },
    }]);
    fs::write(directory.path().join("log.json"), entry.to_string()).unwrap();
    let output =
        csign(directory.path(), &["explain", "--log", "log.json", "--provider", "provider.json", "claims.json"]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("REFUSED") && text.contains("evaluated again") && text.contains("ADMITTED"), "{text}");
}

#[test]
fn the_token_that_an_image_would_get_follows_contract_and_options() {
    let directory = scene();
    let path = directory.path();
    layout(&path.join("image"));
    fs::write(path.join("collaboration.toml"), contract()).unwrap();
    let mut given = vec![
        "explain",
        "--image",
        "image",
        "--contract",
        "collaboration.toml",
        "--collaborator",
        "alice",
        "--provider",
        "provider.json",
    ];
    let output = csign(path, &given);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output), String::from_utf8_lossy(&output.stderr));
    given.extend(["--boots", "debug"]);
    assert_eq!(csign(path, &given).status.code(), Some(1));
    given.truncate(9);
    given.extend(["--env", "LEVEL=x"]);
    let refused = csign(path, &given);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("allow_env_override does not list LEVEL"), "{}", text(&refused));
    given.truncate(9);
    given.extend(["--signed-by", "nobody-of-this-name"]);
    assert_eq!(csign(path, &given).status.code(), Some(2));
}

/// An image without layers.
fn layout(directory: &Path) {
    let config = csign_oci::ContainerConfig { entrypoint: vec!["/workload".to_owned()], ..Default::default() };
    let image = csign_oci::assemble(config, Vec::new()).expect("an image");
    let builder = csign_oci::Layout::create(directory).expect("a layout");
    let descriptor = builder.add_image(&image).expect("added");
    builder.finish(vec![descriptor]).expect("finished");
}

fn contract() -> String {
    let key = |seed: u8| {
        let key = p256::ecdsa::SigningKey::from_slice(&[seed; 32]).expect("scalar");
        csign_envelope::PublicKey::new(*key.verifying_key()).expect("key").pem()
    };
    format!(
        r#"version = 1
name = "word-count"
[image]
repository = "r.example/team/app"
[build]
recipe = "cargo-musl"
[environment]
kind = "google"
[operator]
project_id = "op"
service_account = "sa@op.iam.gserviceaccount.com"
[platform]
hardware = ["GCP_INTEL_TDX"]
[messages]
topic = "projects/op/topics/t"
subscription = "projects/op/subscriptions/s"
[[party]]
name = "builder"
public_key = """
{}"""
[[party]]
name = "alice"
public_key = """
{}"""
[party.collaborator]
kms_key = "projects/a/locations/global/keyRings/r/cryptoKeys/k"
identity_provider = "//iam.googleapis.com/{}"
"#,
        key(1),
        key(2),
        provider_name(1)
    )
}
