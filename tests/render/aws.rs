//! The target `aws`: documents that moto takes, and a trust policy that a small evaluator of conditions judges with the
//! simulator's tokens.

use std::{fs, process::Command};

use csign_oci::Digest;
use csign_render::{Grant, Settings, Target};
use csign_tests::{
    peer::{self, peer, repository},
    process::{Bench, Finished, Server},
};
use serde_json::{Map, Value, json};
use simulator::{
    Config, Simulator,
    attestation::{Container, Image, TokenKind, TokenOptions, Vm},
};

use crate::{
    released::{container, vm},
    scene::{contract, render_with, settings},
};

const COLLABORATOR: &str = "collaborator=collaborator-1";
const HOST: &str = "confidentialcomputing.googleapis.com";

/// moto's account.
fn moto() -> Settings {
    let mut settings = settings();
    settings.aws.account = Some("123456789012".to_owned());
    settings
}

fn document(settings: &Settings, name: &str) -> Value {
    let files = render_with(Target::Aws, COLLABORATOR, &contract(""), settings).unwrap();
    serde_json::from_str(&files[name].text).unwrap()
}

/// Does a statement's condition hold? `StringEquals` and `StringLike` over one value; an absent key is false.
pub(crate) fn holds(condition: &Value, context: &Map<String, Value>) -> bool {
    let any = |wanted: &Value, test: &dyn Fn(&str) -> bool| match wanted {
        Value::Array(all) => all.iter().any(|one| test(one.as_str().unwrap())),
        one => test(one.as_str().unwrap()),
    };
    condition.as_object().unwrap().iter().all(|(operator, keys)| {
        keys.as_object().unwrap().iter().all(|(key, wanted)| {
            let Some(value) = context.get(key).and_then(Value::as_str) else { return false };
            match operator.as_str() {
                "StringEquals" => any(wanted, &|want| want == value),
                "StringLike" => any(wanted, &|want| like(want, value)),
                other => panic!("{other} is not evaluated here"),
            }
        })
    })
}

/// `*` is any text.
fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|text| (0..=text.len()).any(|at| text.is_char_boundary(at) && like(rest, &text[at..]))),
    }
}

/// What AWS makes of a token: the audience, and each session tag.
pub(crate) fn context(token: &str) -> Map<String, Value> {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    let claims = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let mut context = Map::from_iter([(format!("{HOST}:aud"), claims["aud"].clone())]);
    for (tag, values) in claims["https://aws.amazon.com/tags"]["principal_tags"].as_object().into_iter().flatten() {
        context.insert(format!("aws:RequestTag/{tag}"), values[0].clone());
    }
    context
}

/// May the machine and container assume the role, asking for these keys to be named?
fn admitted(
    simulator: &Simulator,
    settings: &Settings,
    key_ids: &[String],
    change: impl FnOnce(&mut Vm, &mut Container, &mut String),
) -> bool {
    let policy = document(settings, "aws-trust-policy.json");
    let (mut vm, mut container) = (vm(), container());
    let mut audience = format!("https://csign.dev/aws/{}", contract("").digest());
    change(&mut vm, &mut container, &mut audience);
    let kind = TokenKind::AwsPrincipalTags { key_ids: key_ids.to_vec() };
    let options = TokenOptions { audience, nonces: Vec::new() };
    let token = simulator.issuer().token_of(&kind, &vm, &container, &options).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    assert!(
        statements.iter().all(|statement| statement["Action"].as_array().unwrap().contains(&json!("sts:TagSession")))
    );
    statements.iter().any(|statement| holds(&statement["Condition"], &context(&token)))
}

type Change = fn(&mut Vm, &mut Container, &mut String);

const REFUSED: [(&str, Change); 6] = [
    ("a debug image", |vm, _, _| vm.image = Image::Debug),
    ("out of support", |vm, _, _| vm.image = Image::Usable),
    ("experimental", |vm, _, _| vm.image = Image::Experimental),
    ("another project", |vm, _, _| vm.project = "another".to_owned()),
    ("another audience", |_, _, audience| *audience = "https://sts.googleapis.com".to_owned()),
    ("another contract's audience", |_, _, audience| audience.push('0')),
];

#[test]
fn the_trust_policy_admits_the_agreed_image_and_no_mutated_token() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start(Config::default())).unwrap();
    let settings = moto();
    assert!(admitted(&simulator, &settings, &[], |_, _, _| {}));
    assert!(admitted(&simulator, &settings, &[], |vm, _, _| vm.image = Image::Production));
    for (what, change) in REFUSED {
        assert!(!admitted(&simulator, &settings, &[], change), "{what}");
    }
    assert!(!admitted(&simulator, &settings, &[], |_, c, _| c.image_digest = Digest::of("another")));
    let keys: Vec<String> = contract("").parties.iter().map(|party| party.public_key.id().to_string()).collect();
    assert!(!admitted(&simulator, &settings, &keys, |_, _, _| {}), "a token without the digest");
}

#[test]
fn a_trust_policy_by_signers_wants_all_of_them_in_the_token() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start(Config::default())).unwrap();
    let mut settings = moto();
    settings.collaborator.grant = Grant::Signers;
    let keys: Vec<String> = contract("").parties.iter().map(|party| party.public_key.id().to_string()).collect();
    assert!(admitted(&simulator, &settings, &keys, |_, _, _| {}));
    assert!(admitted(&simulator, &settings, &keys, |_, c, _| c.image_digest = Digest::of("the next image")));
    for (what, change) in REFUSED {
        assert!(!admitted(&simulator, &settings, &keys, change), "{what}");
    }
    assert!(!admitted(&simulator, &settings, &keys, |_, c, _| _ = c.image_signatures.pop()), "one did not sign");
    assert!(!admitted(&simulator, &settings, &keys[..1], |_, _, _| {}), "a token that names one key only");
    assert!(!admitted(&simulator, &settings, &[], |_, _, _| {}), "a token that names the digest");
}

#[test]
fn only_the_role_decrypts_and_only_it_reads() {
    let key = document(&moto(), "aws-key-policy.json");
    for statement in key["Statement"].as_array().unwrap() {
        let decrypts = statement["Action"].to_string();
        let role = statement["Principal"]["AWS"] == "arn:aws:iam::123456789012:role/csign-workload";
        assert_eq!(decrypts.contains("kms:Decrypt") || decrypts.contains("kms:*"), role, "{statement}");
        assert!(!decrypts.contains("ReEncrypt") && !decrypts.contains("CreateGrant"), "a way around: {statement}");
    }
    let bucket = document(&moto(), "aws-bucket-policy.json");
    let allowed: Vec<&Value> =
        bucket["Statement"].as_array().unwrap().iter().filter(|statement| statement["Effect"] == "Allow").collect();
    assert_eq!(allowed.len(), 1);
    assert_eq!(allowed[0]["Principal"]["AWS"], "arn:aws:iam::123456789012:role/csign-workload");
}

#[test]
fn moto_takes_everything_twice_and_keeps_the_documents_as_they_are() {
    let Some(python) = peer("python-peers") else { return };
    let Some(aws) = peer::find("aws") else {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "aws.sh against moto: skipped, no AWS command line on this machine");
        return;
    };
    let bench = Bench::new();
    let script = repository().join("tests/interop/scripts/moto_kms.py");
    let (_server, port) = Server::start(bench.command(python).arg(script).arg("0"), |line| {
        line.split_once("listening on 127.0.0.1:")?.1.trim().parse::<u16>().ok()
    });
    let files = render_with(Target::Aws, COLLABORATOR, &contract(""), &moto()).unwrap();
    for (name, file) in &files {
        fs::write(bench.path(name), &file.text).unwrap();
    }
    let run = |program: &std::path::Path, arguments: &[&str]| {
        let mut command: Command = bench.command(program);
        let home = std::env::var_os("HOME").unwrap_or_default();
        command
            .env("HOME", home)
            .env("AWS_CONFIG_FILE", bench.path("none"))
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret-of-the-test");
        Finished::of(command.args(arguments))
    };
    assert_eq!(run("bash".as_ref(), &["aws.sh", "--check"]).code, Some(1), "nothing is there yet");
    run("bash".as_ref(), &["aws.sh"]).success();
    run("bash".as_ref(), &["aws.sh"]).success();
    run("bash".as_ref(), &["aws.sh", "--check"]).success();
    let drift = document(&moto(), "aws-trust-policy.json").to_string().replace("STABLE", "USABLE");
    fs::write(bench.path("drift.json"), drift).unwrap();
    let update = ["iam", "update-assume-role-policy", "--role-name", "csign-workload", "--policy-document"];
    run(&aws, &[&update[..], &["file://drift.json"]].concat()).success();
    let checked = run("bash".as_ref(), &["aws.sh", "--check"]);
    assert!(checked.code == Some(1) && checked.stdout.contains("differs aws-trust-policy.json"), "{checked}");
    run("bash".as_ref(), &["aws.sh"]).success();
    run("bash".as_ref(), &["aws.sh", "--check"]).success();
    let shown = |arguments: &[&str]| -> Value {
        serde_json::from_str(&run(&aws, &[arguments, &["--output", "json"]].concat()).success()).unwrap()
    };
    let role = shown(&["iam", "get-role", "--role-name", "csign-workload"]);
    assert_eq!(role["Role"]["AssumeRolePolicyDocument"], document(&moto(), "aws-trust-policy.json"));
    let aliases = shown(&["kms", "list-aliases"]);
    let ours =
        aliases["Aliases"].as_array().unwrap().iter().filter(|alias| alias["AliasName"] == "alias/csign-workload");
    let keys: Vec<&str> = ours.map(|alias| alias["TargetKeyId"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 1);
    let policy = shown(&["kms", "get-key-policy", "--key-id", keys[0], "--policy-name", "default"]);
    let policy: Value = serde_json::from_str(policy["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(policy, document(&moto(), "aws-key-policy.json"));
    let bucket = shown(&["s3api", "get-bucket-policy", "--bucket", "collaborator-1-data"]);
    let bucket: Value = serde_json::from_str(bucket["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(bucket, document(&moto(), "aws-bucket-policy.json"));
    let providers = shown(&["iam", "list-open-id-connect-providers"]);
    assert_eq!(providers["OpenIDConnectProviderList"].as_array().map(Vec::len), Some(1));
    run("bash".as_ref(), &["aws.sh", "--teardown"]).success();
    assert_ne!(run(&aws, &["iam", "get-role", "--role-name", "csign-workload"]).code, Some(0));
}
