//! What `csign render` writes has no finding: for every target, role, grant and threshold.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "rules/good.rs"]
mod good;

use csign_contract::Contract;
use csign_lint::{Document, LintError, lint};
use csign_oci::Digest;
use csign_render::{Change, Input, RenderError, Role, Settings, Target, render, rotate};

const SETTINGS: &str = r#"
[builder.trigger]
repository = "https://github.com/example/app"
[operator]
project_number = "100000000001"
region = "us-central1"
zone = "us-central1-a"
publishers = ["user:alice@example.com"]
[collaborator]
encrypters = ["user:alice@example.com"]
[vault.paths]
"transit/decrypt/alice" = ["update"]
[aws]
account = "111122223333"
region = "eu-west-1"
bucket = "alice-data"
key_administrator = "role/security"
[vpc_sc]
policy = "123456789"
[alerts]
notification_channels = []
"#;

const TARGETS: [Target; 6] =
    [Target::Gcloud, Target::Terraform, Target::Vault, Target::Aws, Target::VpcSc, Target::Credentials];

#[test]
fn what_render_writes_has_no_finding() {
    let digests = [good::DIGEST.parse::<Digest>().expect("a digest"), Digest::of("the next one")];
    let roles = [Role::Builder, Role::Operator, Role::Collaborator("alice".to_owned())];
    let (mut looked_at, mut scripts) = (0, 0);
    for threshold in ["\"all\"", "1"] {
        let contract = good::contract()
            .replacen("r.example/team/app", "us-central1-docker.pkg.dev/builder-project/repo/app", 1)
            .replacen("[[party]]", &format!("[signatures]\nthreshold = {threshold}\n[[party]]"), 1)
            .replacen(
                "topic = \"projects/op/topics/t\"",
                "topic = \"projects/op/topics/t\"\ndead_letter = \"projects/op/topics/d\"",
                1,
            );
        let contract = Contract::from_toml(&contract).expect("a contract");
        for grant in ["digest", "signers"] {
            let settings = SETTINGS.replacen("encrypters", &format!("grant = \"{grant}\"\nencrypters"), 1);
            let settings = Settings::from_toml(&settings).expect("settings");
            for (target, role) in TARGETS.iter().flat_map(|target| roles.iter().map(move |role| (*target, role))) {
                // A machine runs one image; a key is released to several while they change.
                let digests = if *role == Role::Operator { &digests[..1] } else { &digests[..] };
                let files = match render(target, role, Input { contract: &contract, settings: &settings, digests }) {
                    Ok(files) => files,
                    Err(RenderError::Role { .. }) => continue,
                    Err(_) if target == Target::Aws && grant == "signers" && threshold == "1" => continue,
                    Err(error) => panic!("{target:?} for {role}: {error}"),
                };
                let mut documents = Vec::new();
                for (name, file) in &files {
                    match Document::read(name, file.text.as_bytes(), None) {
                        Ok(document) => documents.push(document),
                        // Scripts and Vault's policies are no JSON.
                        Err(LintError::Unknown { .. }) if !name.ends_with(".json") => scripts += 1,
                        Err(error) => panic!("{target:?} for {role}: {error}"),
                    }
                }
                looked_at += documents.len();
                let what = format!("{target:?} for {role}, threshold {threshold}, grant {grant}");
                // That one signer is enough is a mistake unless a contract says that it is meant.
                let without = (threshold == "\"all\"").then_some(None);
                for contract in without.into_iter().chain([Some(&contract)]) {
                    let found = lint(&documents, contract);
                    assert!(found.is_empty(), "{what}, with a contract: {}: {found:#?}", contract.is_some());
                }
            }
        }
    }
    assert!(looked_at > 20 && scripts > 4, "{looked_at} documents, {scripts} scripts");
}

#[test]
fn what_rotate_writes_has_no_finding_in_any_phase() {
    let text =
        good::contract().replacen("r.example/team/app", "us-central1-docker.pkg.dev/builder-project/repo/app", 1);
    let contract = Contract::from_toml(&text).expect("a contract");
    let mut other = contract.clone();
    other.operator.service_account = other.operator.service_account.replacen('@', "-2@", 1);
    let settings = Settings::from_toml(SETTINGS).expect("settings");
    let role = [Role::Collaborator("alice".to_owned())];
    for (after, targets) in [
        (&contract, &[Target::Terraform, Target::Vault, Target::Aws][..]),
        // Vault cannot keep two contracts apart, and says so.
        (&other, &[Target::Terraform, Target::Aws]),
    ] {
        let change = Change {
            before: &contract,
            after,
            settings: &settings,
            from: good::DIGEST.parse().expect("a digest"),
            to: Some(Digest::of("the next one")),
            revoke: false,
            roles: &role,
            targets,
            needs_proof: true,
        };
        let files = rotate(change).expect("a rotation").files;
        for phase in ["1-allow/", "3-remove/", "back-from-1-allow/", "back-from-3-remove/"] {
            let inside = files.iter().filter(|(name, _)| name.starts_with(phase) && name.ends_with(".json"));
            let documents: Vec<Document> = inside
                .map(|(name, file)| Document::read(name, file.text.as_bytes(), None).expect("a document"))
                .collect();
            assert!(documents.len() > 5, "{phase}");
            let wanted = (after == &contract).then_some(&contract);
            let found = lint(&documents, wanted);
            assert!(found.is_empty(), "{phase} {targets:?}: {found:#?}");
        }
    }
}

#[test]
fn a_clause_that_is_taken_out_of_what_render_writes_is_missed() {
    let contract = Contract::from_toml(&good::contract()).expect("a contract");
    let settings = Settings::from_toml(SETTINGS).expect("settings");
    let input = Input { contract: &contract, settings: &settings, digests: &[good::DIGEST.parse().expect("a digest")] };
    let files = render(Target::Terraform, &Role::Collaborator("alice".to_owned()), input).expect("renders");
    let text = &files.values().next().expect("a file").text;
    let stable = r#"\"STABLE\" in assertion.submods.confidential_space.support_attributes && assertion.dbgstat == \"disabled-since-boot\""#;
    let operator = format!(
        r#"assertion.submods.gce.project_id == \"{}\" && \"{}\" in assertion.google_service_accounts"#,
        contract.operator.project_id, contract.operator.service_account
    );
    let key = contract.parties[0].public_key.id();
    let signer = format!(r#"s.key_id == \"{key}\" && "#);
    for (clause, rule) in [
        (stable, "admits-debug"),
        (stable, "admits-unstable"),
        (&operator, "admits-other-operator"),
        (&signer, "admits-one-signer"),
    ] {
        let rest = if clause == signer { "" } else { "true" };
        assert!(text.contains(clause), "{clause} is not in {text}");
        let changed = text.replace(clause, rest);
        let document = Document::read("main.tf.json", changed.as_bytes(), None).expect("a configuration");
        let found = lint(&[document], Some(&contract));
        assert!(found.iter().any(|finding| finding.rule == rule), "{rule} was not found without {clause}: {found:#?}");
    }
}
