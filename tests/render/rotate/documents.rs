//! The phases for Terraform, Vault, AWS and the perimeter; and what every script has in common.

use std::{fs, process::Command};

use csign_contract::Contract;
use csign_oci::Digest;
use csign_render::{Change, RenderError, Rotation, Target, rotate};
use csign_tests::{peer::peer, process::Finished};
use serde_json::{Value, json};
use simulator::{
    Config, Simulator,
    attestation::{TokenKind, TokenOptions},
};

use super::world::{ONE, TWO, World, change, common, new, old, part, workload};
use crate::{
    aws::{context, holds},
    gcloud::judged_by_gcloud,
    scene::{Cloud, contract, contract_text},
    vault::Bao,
};

fn for_target(target: Target, before: &Contract, after: &Contract) -> Result<Rotation, RenderError> {
    rotate(Change { targets: &[target], ..change(before, after, &common()) })
}

/// Other hardware and another account.
fn next() -> Contract {
    let text =
        contract_text("").replace("workload@operator", "workload-2@operator").replace("GCP_INTEL_TDX", "GCP_AMD_SEV");
    Contract::from_toml(&text).unwrap()
}

#[test]
fn openbao_lets_both_images_in_while_both_are_allowed_and_its_checks_know_each_phase() {
    let contract = contract("");
    let rotation = for_target(Target::Vault, &contract, &contract).unwrap();
    let before = csign_render::Input { contract: &contract, settings: &common(), digests: &[old()] };
    let before =
        csign_render::render(Target::Vault, &crate::scene::role("collaborator=collaborator-1"), before).unwrap();
    let Some(bao) = Bao::with(&before) else { return };
    bao.script(&[]).success();
    let admitted = |want: [bool; 3]| {
        let images = [old(), new(), Digest::of("another")];
        let login = |digest: Digest| {
            let audience = format!("https://csign.dev/vault/{}", contract.digest());
            bao.login_for(audience, |claims| claims["submods"]["container"]["image_digest"] = json!(digest)).code
                == Some(0)
        };
        assert_eq!(images.map(login), want);
    };
    admitted([true, false, false]);
    for (phase, want) in [
        ("1-allow", [true, true, false]),
        ("back-from-1-allow", [true, false, false]),
        ("1-allow", [true, true, false]),
        ("3-remove", [false, true, false]),
        ("back-from-3-remove", [true, true, false]),
        ("3-remove", [false, true, false]),
    ] {
        bao.place(&part(&rotation.files, &format!("{phase}/{ONE}")));
        assert_eq!(bao.script(&["--check"]).code, Some(1), "{phase}");
        bao.script(&[]).success();
        bao.script(&["--check"]).success();
        admitted(want);
    }
}

#[test]
fn vault_is_refused_two_contracts_that_its_lists_would_mix() {
    let error =
        for_target(Target::Vault, &contract(""), &next()).expect_err("hardware of one with an account of the other");
    assert!(matches!(&error, RenderError::VaultDiffers(claim) if claim == "google_service_accounts"), "{error}");
    // What no claim shows, may differ: the audience is a list of its own.
    let mut other = contract("");
    other.name = "word-count-2".to_owned();
    let rotation = for_target(Target::Vault, &contract(""), &other).unwrap();
    let role = &part(&rotation.files, &format!("1-allow/{ONE}"))["vault-role.json"].text;
    let role: Value = serde_json::from_str(role).unwrap();
    assert_eq!(role["bound_audiences"].as_array().map(Vec::len), Some(2));
    assert_eq!(role["bound_claims"]["/submods/container/image_digest"], json!([old(), new()]));
}

#[test]
fn aws_admits_each_image_in_its_phases_and_on_its_own_contract_s_terms() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start(Config::default())).unwrap();
    for after in [contract(""), next()] {
        let before = contract("");
        let rotation = for_target(Target::Aws, &before, &after).unwrap();
        let admitted = |phase: &str, contract: &Contract, digest: Digest, terms: &Contract| {
            let files = part(&rotation.files, &format!("{phase}/{ONE}"));
            let policy: Value = serde_json::from_str(&files["aws-trust-policy.json"].text).unwrap();
            let audience = format!("https://csign.dev/aws/{}", terms.digest());
            let (vm, container) = workload(contract, digest);
            let kind = TokenKind::AwsPrincipalTags { key_ids: Vec::new() };
            let options = TokenOptions { audience, nonces: Vec::new() };
            let token = simulator.issuer().token_of(&kind, &vm, &container, &options).unwrap();
            let statements = policy["Statement"].as_array().unwrap();
            statements.iter().any(|statement| holds(&statement["Condition"], &context(&token)))
        };
        for (phase, want) in [
            ("back-from-1-allow", (true, false)),
            ("1-allow", (true, true)),
            ("3-remove", (false, true)),
            ("back-from-3-remove", (true, true)),
        ] {
            assert_eq!(
                (admitted(phase, &before, old(), &before), admitted(phase, &after, new(), &after)),
                want,
                "{phase}"
            );
            assert!(!admitted(phase, &after, Digest::of("another"), &after), "{phase}");
            if before != after {
                assert!(
                    !admitted(phase, &before, old(), &after) && !admitted(phase, &after, new(), &before),
                    "{phase}"
                );
            }
        }
    }
    runtime.block_on(simulator.shutdown());
}

#[test]
fn terraform_gets_the_whole_configuration_of_each_phase() {
    let contract = contract("");
    let rotation = for_target(Target::Terraform, &contract, &contract).unwrap();
    let members = |directory: &str| {
        let files = part(&rotation.files, &format!("{directory}/{ONE}"));
        let document: Value = serde_json::from_str(&files[&format!("{ONE}.tf.json")].text).unwrap();
        let resources = &document["resource"];
        assert!(resources["google_kms_crypto_key"].is_object(), "Terraform removes what is not there");
        let condition =
            &resources["google_iam_workload_identity_pool_provider"]["attestation_verifier"]["attribute_condition"];
        let members = &resources["google_kms_crypto_key_iam_binding"]["key1_cloudkms_cryptokeydecrypter"]["members"];
        [old(), new()].map(|digest| {
            let digest = digest.to_string();
            assert_eq!(condition.as_str().unwrap().contains(&digest), members.to_string().contains(&digest));
            members.to_string().contains(&digest)
        })
    };
    for (directory, want) in [
        ("back-from-1-allow", [true, false]),
        ("1-allow", [true, true]),
        ("3-remove", [false, true]),
        ("back-from-3-remove", [true, true]),
    ] {
        assert_eq!(members(directory), want, "{directory}");
    }
    let operator = &part(&rotation.files, "2-deploy/operator")["operator.tf.json"].text;
    assert!(operator.contains(&new().to_string()) && !operator.contains(&old().to_string()));
}

#[test]
fn the_perimeter_lets_both_images_use_the_key_while_both_are_allowed() {
    if peer("python3").is_none() {
        return;
    }
    let (world, contract) = (World::usual(), contract(""));
    let input = csign_render::Input { contract: &contract, settings: &common(), digests: &[old()] };
    let before =
        csign_render::render(Target::VpcSc, &crate::scene::role("collaborator=collaborator-1"), input).unwrap();
    world.cloud.run(&before, &[]).success();
    let start = world.cloud.state();
    let rotation = for_target(Target::VpcSc, &contract, &contract).unwrap();
    let inside = || {
        let state =
            world.cloud.state()["things"]["access-context-manager perimeters|csign|policy=123456789"].to_string();
        [old(), new()].map(|digest| state.contains(&digest.to_string()))
    };
    world.step(&rotation, &format!("1-allow/{ONE}"), &[]);
    assert_eq!(inside(), [true, true]);
    world.step(&rotation, &format!("3-remove/{ONE}"), &[]);
    assert_eq!(inside(), [false, true]);
    world.step(&rotation, &format!("back-from-3-remove/{ONE}"), &[]);
    world.step(&rotation, &format!("back-from-1-allow/{ONE}"), &[]);
    assert_eq!(world.cloud.state(), start);
}

/// Scripts of every kind of rotation.
fn all() -> Vec<Rotation> {
    let (before, after, settings) = (contract(""), next(), common());
    let targets = [Target::Gcloud, Target::Vault, Target::Aws, Target::VpcSc];
    let same = Change { targets: &targets, ..change(&before, &before, &settings) };
    let mut group = settings.clone();
    group.operator.group_size = Some(2);
    vec![
        rotate(same).unwrap(),
        rotate(change(&before, &after, &settings)).unwrap(),
        rotate(change(&before, &before, &group)).unwrap(),
        rotate(Change { revoke: true, ..same }).unwrap(),
        rotate(Change { revoke: true, to: None, ..same }).unwrap(),
    ]
}

#[test]
fn the_scripts_of_rotations_pass_shellcheck() {
    let Some(shellcheck) = peer("shellcheck") else { return };
    let cloud = Cloud::new();
    let mut command = Command::new(shellcheck);
    let mut texts = std::collections::BTreeSet::new();
    for rotation in all() {
        for file in rotation.files.into_values().filter(|file| file.executable) {
            let path = cloud.path(&format!("{}.sh", texts.len()));
            fs::write(&path, &file.text).unwrap();
            if texts.insert(file.text) {
                command.arg(path);
            }
        }
    }
    assert!(texts.len() > 20);
    Finished::of(&mut command).success();
}

#[test]
fn what_a_rotation_calls_is_what_the_real_gcloud_takes() {
    if peer("python3").is_none() {
        return;
    }
    let (before, settings) = (contract(""), common());
    let world = World::usual();
    let rotation = rotate(change(&before, &before, &settings)).unwrap();
    for who in [ONE, TWO] {
        world.run(&rotation, &format!("1-allow/{who}"), &[]).success();
    }
    world.run(&rotation, "2-deploy/operator", &["--check"]);
    world.run(&rotation, "2-deploy/operator", &["--replace"]).success();
    world.run(&rotation, &format!("3-remove/{ONE}"), &["--check"]);
    world.works(new());
    world.run(&rotation, &format!("3-remove/{ONE}"), &[]).success();
    judged_by_gcloud(&world.cloud, 20);
}

#[test]
fn a_group_of_machines_is_replaced_one_by_one() {
    if peer("python3").is_none() {
        return;
    }
    let (contract, mut settings) = (contract(""), common());
    settings.operator.group_size = Some(2);
    let world = World::of(&contract, &settings);
    let rotation = rotate(change(&contract, &contract, &settings)).unwrap();
    assert!(rotation.plan.phases[0].steps.iter().all(|step| step.role != "operator"), "no template before its time");
    world.cloud.calls();
    world.step(&rotation, "2-deploy/operator", &["--replace"]);
    let calls = world.cloud.calls();
    assert!(calls.iter().any(|call| call.contains(&"start-update".to_owned())), "{calls:?}");
    world.step(&rotation, "back-from-2-deploy/operator", &["--replace"]);
}

#[test]
fn one_step_of_a_rotation_tears_nothing_down() {
    if peer("python3").is_none() {
        return;
    }
    let (world, rotation) = (World::usual(), super::world::usual());
    let before = world.cloud.state();
    for (directory, project) in
        [(format!("1-allow/{ONE}"), "project-1"), ("2-deploy/operator".to_owned(), "operator-project")]
    {
        let refused =
            world.run(&rotation, &directory, &["--teardown", &format!("--confirm={project}"), "--destroy-keys"]);
        assert_eq!(refused.code, Some(2), "{refused}");
    }
    assert_eq!(world.cloud.state(), before);
}
