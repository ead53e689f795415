//! Contracts and settings that are written to break out of a script, a condition or a template.

use csign_cel::Expression;
use csign_oci::Digest;
use csign_render::{Grant, RenderError, Settings, Target, rules};

use crate::scene::{OPERATOR, ROLES, SETTINGS, agreed, contract, contract_text, render_with, rendered, settings};

const TARGETS: [Target; 6] =
    [Target::Gcloud, Target::Terraform, Target::Vault, Target::Aws, Target::VpcSc, Target::Credentials];

#[test]
fn the_same_contract_and_settings_give_the_same_bytes() {
    for target in TARGETS {
        assert_eq!(rendered(target, ROLES[2]), rendered(target, ROLES[2]));
    }
}

#[test]
fn a_hostile_name_in_the_contract_is_refused_by_every_target_that_would_write_it() {
    let hostile = [
        "p';touch${IFS}/tmp/x;'",
        "p$(id)",
        "p`id`",
        "p\"||true||\"",
        "p${file('x')}",
        "p~google.subject=assertion.sub",
        "--flags-file=x",
        "p/../q",
        "p,q",
        "p\u{a0}q",
        "",
    ];
    for name in hostile {
        // The contract's own checks stop most of them; those that pass must be stopped here.
        for (from, to) in [
            (format!("project_id = \"{OPERATOR}\""), format!("project_id = {name:?}")),
            (
                "service_account = \"workload".to_owned(),
                format!("service_account = \"{}workload", name.replace('"', "\\\"")),
            ),
            ("projects/project-1/".to_owned(), format!("projects/{}/", name.replace('"', "\\\""))),
            ("keyRings/kr1".to_owned(), format!("keyRings/{}", name.replace('"', "\\\""))),
            (
                "workloadIdentityPools/trusted".to_owned(),
                format!("workloadIdentityPools/{}trusted", name.replace('"', "\\\"")),
            ),
            ("topics/cs-topic".to_owned(), format!("topics/{}", name.replace('"', "\\\""))),
        ] {
            let text = contract_text("").replace(&from, &to);
            let Ok(contract) = csign_contract::Contract::from_toml(&text) else { continue };
            for who in ["operator", "collaborator=collaborator-1"] {
                for target in [Target::Gcloud, Target::Terraform] {
                    match render_with(target, who, &contract, &settings()) {
                        Err(RenderError::Value { .. }) => {}
                        Err(other) => panic!("{name:?}: {other}"),
                        // What this role does not name does not stop it.
                        Ok(files) => {
                            assert!(files.values().all(|file| name.is_empty() || !file.text.contains(name)), "{name:?}")
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_hostile_setting_is_refused_and_named() {
    for (who, setting, at) in [
        ("operator", "[operator]\nregion = \"us'; id; '\"", "operator.region"),
        ("operator", "[operator]\npublishers = [\"user:a@b $(id)\"]", "operator.publishers"),
        ("builder", "[builder]\nbucket = \"$(id)\"", "builder.bucket"),
        ("builder", "[builder]\nreaders = [\"allUsers\\nuser:x\"]", "builder.readers"),
        ("builder", "[builder.trigger]\nrepository = \"--flag=x y\"", "builder.trigger.repository"),
        (ROLES[2], "[collaborator]\nencrypters = [\"user:x'\"]", "collaborator.encrypters"),
        (ROLES[2], "[alerts]\nnotification_channels = [\"a b\"]", "alerts.notification_channels"),
    ] {
        let (table, line) = setting.split_once('\n').unwrap();
        let key = line.split(' ').next().unwrap();
        // The scene's own settings, with this one in the place of theirs.
        let mut kept = String::new();
        let mut inside = false;
        for old in SETTINGS.lines() {
            if old.starts_with('[') {
                inside = old == table;
            }
            if !(inside && old.starts_with(&format!("{key} ="))) {
                kept.push_str(old);
                kept.push('\n');
            }
            if inside && old.starts_with('[') {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        let settings = Settings::from_toml(&kept).unwrap();
        match render_with(Target::Gcloud, who, &contract(""), &settings) {
            Err(RenderError::Value { at: named, .. }) => assert_eq!(named, at),
            other => panic!("{at}: {other:?}"),
        }
    }
}

#[test]
fn every_generated_expression_parses_and_none_is_the_obsolete_one() {
    for grant in [Grant::Digest, Grant::Signers] {
        let rules = rules(&contract(""), grant, &[agreed(), Digest::of("the next image")]).unwrap();
        Expression::condition(&rules.condition).unwrap();
        for (attribute, expression) in &rules.mapping {
            Expression::mapping(expression).unwrap_or_else(|error| panic!("{attribute}: {error}"));
        }
        assert!(rules.condition.contains("\"STABLE\" in ") && rules.condition.contains("disabled-since-boot"));
        for obsolete in ["swversion", "debug_mode", "\"enable\"", "\"INTEL_TDX\"", "tee.", "assertion.sub\""] {
            assert!(!rules.condition.contains(obsolete), "{obsolete}");
            assert!(!rules.mapping.values().any(|expression| expression.contains(obsolete)), "{obsolete}");
        }
    }
}

#[test]
fn a_condition_longer_than_google_takes_is_refused_and_never_cut() {
    let many: Vec<Digest> = (0..60).map(|n| Digest::of(format!("image {n}"))).collect();
    match rules(&contract(""), Grant::Digest, &many) {
        Err(RenderError::TooLong { length, longest: 4096, .. }) => assert!(length > 4096),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_image_and_no_readable_signer_admit_nobody() {
    assert!(matches!(rules(&contract(""), Grant::Digest, &[]), Err(RenderError::NoDigest(_))));
    let mut contract = contract("");
    let ed25519 = include_str!("../../crates/keys/tests/fixtures/ed25519.pub");
    contract.parties.truncate(1);
    contract.parties[0].public_key = csign_envelope::PublicKey::from_pem(ed25519).unwrap();
    assert!(matches!(rules(&contract, Grant::Signers, &[]), Err(RenderError::NoReadableSigner)));
}

#[test]
fn a_threshold_below_all_counts_different_keys() {
    use csign_cel::Variables;
    use serde_json::json;
    let contract = contract("[signatures]\nthreshold = 2\n");
    let rules = rules(&contract, Grant::Signers, &[]).unwrap();
    let agreement = Expression::mapping(&rules.mapping["attribute.agreement"]).unwrap();
    let signed = |who: &[usize]| {
        let signatures: Vec<_> = who
            .iter()
            .map(|index| {
                let key = &contract.parties[*index].public_key;
                json!({"key_id": key.id().to_string(), "signature_algorithm": key.algorithm().to_string()})
            })
            .collect();
        let claims = json!({"submods": {"container": {"image_signatures": signatures}}});
        let value = agreement.evaluate(&Variables::new().with("assertion", &claims)).unwrap();
        value.as_str() == Some("signed")
    };
    assert!(signed(&[0, 1]) && signed(&[2, 0]) && signed(&[0, 1, 2]));
    assert!(!signed(&[0]) && !signed(&[0, 0]) && !signed(&[]));
}

#[test]
fn a_target_that_has_nothing_for_a_role_says_for_whom_it_is() {
    for (target, who) in [(Target::Vault, "operator"), (Target::Aws, "builder"), (Target::VpcSc, "operator")] {
        match render_with(target, who, &contract(""), &settings()) {
            Err(error @ RenderError::Role { .. }) => assert!(error.to_string().contains("collaborator=NAME")),
            other => panic!("{other:?}"),
        }
    }
    let all = render_with(Target::Credentials, "operator", &contract(""), &settings()).unwrap();
    assert_eq!(all.len(), 2);
}
