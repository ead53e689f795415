//! The contract as its readers meet it.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use csign_contract::{
    Contract, ContractError, Threshold, lint,
    message::{Encryption, Refusal},
    template,
};
use csign_envelope::PublicKey;
use p256::ecdsa::SigningKey;

fn pem(seed: u8) -> String {
    PublicKey::new(*SigningKey::from_slice(&[seed; 32]).expect("scalar").verifying_key()).expect("key").pem()
}

fn sample() -> String {
    format!(
        r#"
version = 1
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
identity_provider = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x"
"#,
        pem(1),
        pem(2)
    )
}

fn parse(text: &str) -> Result<Contract, ContractError> {
    Contract::from_toml(text)
}

#[test]
fn comments_and_order_do_not_change_the_digest() {
    let plain = parse(&sample()).expect("valid");
    let noisy =
        parse(&sample().replace("version = 1", "# hello\nversion   =   1").replace("hardware = [", "hardware   = [ "))
            .expect("valid");
    let crlf = parse(&sample().replace('\n', "\r\n")).expect("valid");
    assert_eq!(plain.digest(), noisy.digest());
    assert_eq!(plain.digest(), crlf.digest());
    assert_eq!(Contract::from_canonical(&plain.canonical()).expect("canonical"), plain);
}

#[test]
fn any_value_changes_the_digest() {
    let plain = parse(&sample()).expect("valid").digest();
    for (from, to) in [
        ("r.example", "q.example"),
        ("\"op\"", "\"oq\""),
        ("providers/x", "providers/y"),
        ("GCP_INTEL_TDX", "GCP_AMD_SEV"),
    ] {
        assert_ne!(plain, parse(&sample().replace(from, to)).expect("valid").digest(), "{from} → {to}");
    }
}

#[test]
fn what_is_baked_into_the_image_must_be_canonical() {
    let mut bytes = parse(&sample()).expect("valid").canonical();
    bytes.push(b'\n');
    assert!(matches!(Contract::from_canonical(&bytes), Err(ContractError::NotCanonical)));
    let twice = String::from_utf8(parse(&sample()).expect("valid").canonical()).expect("utf-8").replacen(
        "{",
        r#"{"version":1,"#,
        1,
    );
    assert!(matches!(Contract::from_canonical(twice.as_bytes()), Err(ContractError::Json(_))));
}

#[test]
fn nonsense_is_refused_with_its_place() {
    for (from, to, place) in [
        ("version = 1", "version = 2", "version"),
        ("name = \"alice\"", "name = \"builder\"", "stands twice"),
        ("name = \"alice\"", "name = \"Alice\"", "lowercase"),
        (&*pem(2), &*pem(1), "same public key"),
        ("GCP_INTEL_TDX", "INTEL_TDX", "platform.hardware"),
        ("cryptoKeys/k", "cryptoKeys/k/cryptoKeyVersions/1", "kms_key"),
        ("//iam.googleapis.com", "https://iam.googleapis.com", "identity_provider"),
        ("projects/op/topics/t", "topics/t", "messages.topic"),
        ("kind = \"google\"", "kind = \"azure\"", "azure"),
        ("recipe = \"cargo-musl\"", "recipe = \"make\"", "make"),
        ("[operator]", "[operator]\ntypo = 1", "typo"),
        ("r.example/team", "registry.simulator.localhost/team", "on the simulator"),
    ] {
        let text = sample().replacen(from, to, 1);
        let error = parse(&text).expect_err(to).to_string();
        assert!(error.contains(place), "{to}: {error}");
    }
}

#[test]
fn thresholds_of_nothing_or_of_too_many_are_refused() {
    let with =
        |value: &str| parse(&sample().replace("[operator]", &format!("[signatures]\nthreshold = {value}\n[operator]")));
    assert_eq!(with("2").expect("two").signatures.threshold.required(2), 2);
    assert_eq!(with("\"all\"").expect("all").signatures.threshold, Threshold::All);
    for bad in ["0", "-1", "3", "\"most\"", "1.5"] {
        assert!(with(bad).is_err(), "{bad} was accepted");
    }
    let rules: Vec<&str> = lint::lint(&with("1").expect("one")).iter().map(|warning| warning.rule).collect();
    assert_eq!(rules, ["threshold"]);
}

#[test]
fn simulated_contracts_pin_their_issuer() {
    let simulated = |issuer: &str, keys: &str| {
        let environment = format!("kind = \"simulated\"\nissuer = \"{issuer}\"\nissuer_keys = {keys}");
        parse(&sample().replace("kind = \"google\"", &environment).replace("r.example", "registry.simulator.localhost"))
    };
    let good = simulated("http://attestation.simulator.localhost", "[\"x\"]").expect("valid");
    assert_eq!(good.labels()["tee.launch_policy.allow_env_override"], "CSIGN_SIMULATOR");
    assert_eq!(parse(&sample()).expect("valid").labels()["tee.launch_policy.allow_env_override"], "");
    for (issuer, keys) in [
        ("http://attestation.simulator.localhost", "[]"),
        ("https://confidentialcomputing.googleapis.com", "[\"x\"]"),
        ("http://evil.example/.simulator.localhost", "[\"x\"]"),
        ("http://a.simulator.localhost:80", "[\"x\"]"),
    ] {
        assert!(simulated(issuer, keys).is_err(), "{issuer} {keys}");
    }
}

#[test]
fn messages_cannot_choose_their_key() {
    let contract = parse(&sample()).expect("valid");
    let base = [("version", "1"), ("collaborator", "alice"), ("message", "m-1")];
    let admitted = contract.admit(base).expect("admitted");
    assert!(admitted.collaborator.kms_key.ends_with("cryptoKeys/k"));
    assert_eq!((admitted.message.as_str(), admitted.encryption), ("m-1", Encryption::Direct));
    let additional = String::from_utf8(contract.additional_data("alice", "m-1")).expect("utf-8");
    assert_eq!(additional, format!("csign.message.v1\n{}\nalice\nm-1", contract.digest()));

    let with = |name: &'static str, value: &'static str| {
        let mut all: Vec<_> = base.into_iter().filter(|(known, _)| *known != name).collect();
        all.push((name, value));
        contract.admit(all).map(|_| ())
    };
    assert_eq!(with("key", "projects/a/locations/global/keyRings/r/cryptoKeys/k"), Ok(()));
    assert_eq!(with("key", "projects/b/locations/global/keyRings/r/cryptoKeys/k"), Err(Refusal::ForeignKey));
    assert_eq!(with("audience", "//iam.googleapis.com/other"), Err(Refusal::ForeignKey));
    assert_eq!(with("collaborator", "mallory"), Err(Refusal::UnknownCollaborator));
    assert_eq!(with("collaborator", "builder"), Err(Refusal::UnknownCollaborator));
    assert_eq!(with("message", "a\nb"), Err(Refusal::MessageId));
    assert_eq!(with("version", "2"), Err(Refusal::Version));
    assert_eq!(with("encryption", "envelope"), Ok(()));
    for unknown in ["", "direct", "ENVELOPE", "envelope "] {
        assert_eq!(with("encryption", unknown), Err(Refusal::Encryption), "{unknown:?}");
    }
    assert_eq!(contract.admit([("collaborator", "alice")]).map(|_| ()), Err(Refusal::Missing("version")));
    let twice = base.into_iter().chain([("collaborator", "alice")]);
    assert_eq!(contract.admit(twice).map(|_| ()), Err(Refusal::Twice("collaborator")));
}

#[test]
fn what_can_never_be_processed_does_not_go_back_to_the_topic_it_came_from() {
    let with = |line: &str| parse(&sample().replace("[messages]", &format!("[messages]\n{line}")));
    let contract = with("dead_letter = \"projects/operator/topics/dead\"\ndata_key_seconds = 60").expect("valid");
    assert_eq!(contract.messages.data_key_lifetime().as_secs(), 60);
    assert_ne!(contract.digest(), parse(&sample()).expect("valid").digest());
    let topic = parse(&sample()).expect("valid").messages.topic;
    for bad in [
        format!("dead_letter = {topic:?}"),
        "dead_letter = \"dead\"".to_owned(),
        "data_key_seconds = 0".to_owned(),
        "data_key_seconds = 3601".to_owned(),
    ] {
        assert!(with(&bad).is_err(), "{bad}");
    }
}

#[test]
fn the_template_says_what_is_still_to_fill_in() {
    let error = parse(&template("word-count", "r.example/team/app", None)).expect_err("placeholders").to_string();
    assert!(error.contains("PUBLIC KEY"), "{error}");
}

#[test]
fn what_the_template_shows_in_comments_is_valid_once_it_is_filled_in() {
    let certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----";
    let text = template("word-count", "r.example/team/app", Some(&pem(1)))
        .replace("<paste the output of: csign public-key --key KEY>", pem(2).trim())
        .replace("<PEM certificate>", &certificate.replace('\n', "\n# "))
        .replace("<number>", "1")
        .replace("<name>@<operator-project>.iam", "name@operator.iam");
    let mut inside = false;
    let lines = text.lines().map(|line| {
        let Some(rest) = line.strip_prefix("# ") else { return line.to_owned() };
        let name = rest.split_whitespace().next().unwrap_or_default();
        let setting = rest.starts_with('[') || rest.split_whitespace().nth(1) == Some("=");
        // The other environment and the other store need more than the template shows.
        let other = ["kind", "issuer", "issuer_keys", "algorithm", "[state]"].contains(&name);
        let shown = inside || (setting && !other);
        if shown && rest.matches("\"\"\"").count() == 1 {
            inside = !inside;
        }
        if shown { rest.to_owned() } else { line.to_owned() }
    });
    let text: Vec<String> = lines.collect();
    let text = text.join("\n").replace(['<', '>'], "").replace("operator-project", "operator");
    let contract = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(contract.policies.len(), 1);
    assert!(contract.health.is_some() && contract.ingest.is_some() && contract.messages.dead_letter.is_some());
}

#[test]
fn what_ciphertexts_are_bound_to_is_a_format_that_others_write_too() {
    let contract = parse(&sample()).expect("valid");
    let (binding, digest) = (contract.binding(), contract.digest());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    assert_eq!(text(binding.data_key("c1")), format!("csign.data-key.v1\n{digest}\nc1"));
    assert_eq!(text(binding.message(Encryption::Direct, "c1", "m1")), format!("csign.message.v1\n{digest}\nc1\nm1"));
    assert_eq!(text(binding.message(Encryption::Envelope, "c1", "m1")), format!("csign.envelope.v1\n{digest}\nc1\nm1"));
}

#[test]
fn an_algorithm_is_stated_once_and_belongs_to_the_key() {
    let plain = parse(&sample()).expect("valid");
    let stated = |algorithm: &str| {
        parse(&sample().replacen("public_key", &format!("algorithm = \"{algorithm}\"\npublic_key"), 1))
    };
    let usual = stated("ECDSA_P256_SHA256").expect("valid");
    assert_eq!(usual.digest(), plain.digest(), "the usual algorithm is left out of the canonical form");
    for bad in ["RSASSA_PSS_SHA256", "ECDSA_P384_SHA384", "SHA256", ""] {
        assert!(stated(bad).is_err(), "{bad:?} was accepted for a P-256 key");
    }
    let rsa = include_str!("../../envelope/tests/fixtures/keys/rsa2048.pem");
    let key = |algorithm: &str| {
        let text = sample();
        let (start, end) = (text.find("-----BEGIN").expect("key"), text.find("-----END PUBLIC KEY-----").expect("key"));
        let text = text.replacen(&text[start..end + 24], rsa.trim(), 1);
        parse(&text.replacen("public_key", &format!("{algorithm}\npublic_key"), 1)).expect("valid")
    };
    let (pkcs1, pss) = (key(""), key("algorithm = \"RSASSA_PSS_SHA256\""));
    assert_ne!(pkcs1.digest(), pss.digest(), "the algorithm is part of what is agreed");
    let read = Contract::from_canonical(&pss.canonical()).expect("canonical");
    assert_eq!(read.parties[0].public_key.algorithm().name(), "RSASSA_PSS_SHA256");
}
