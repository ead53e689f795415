//! Rotations to an image that carries another contract.

use csign_contract::{Contract, Threshold};
use csign_envelope::PublicKey;
use csign_oci::Digest;
use csign_render::{Grant, RenderError, Role, rotate};
use csign_tests::peer::peer;
use serde_json::Value;

use super::world::{ONE, TWO, World, change, common, new, old, workload};
use crate::scene::{contract, contract_text};

const OTHER_KEY: &str = include_str!("../../../crates/envelope/tests/fixtures/keys/rsa4096.pem");

/// Another key of the builder, other hardware, another account, and for the first collaborator another provider.
fn next() -> Contract {
    let text = contract_text("")
        .replace("workload@operator-project", "workload-2@operator-project")
        .replace("GCP_INTEL_TDX", "GCP_AMD_SEV")
        .replacen("providers/attestation-verifier", "providers/verifier-2", 1);
    let mut contract = Contract::from_toml(&text).unwrap();
    contract.parties[0].public_key = PublicKey::from_pem(OTHER_KEY).unwrap();
    contract
}

#[test]
fn under_a_changed_contract_each_image_is_admitted_on_its_own_terms_only() {
    if peer("python3").is_none() {
        return;
    }
    let (before, after, settings) = (contract(""), next(), common());
    let world = World::of(&before, &settings);
    let rotation = rotate(change(&before, &after, &settings)).unwrap();
    assert_eq!(
        rotation.plan.contract_changes,
        [
            "operator.service_account",
            "party.builder.public_key",
            "party.collaborator-1.collaborator.identity_provider",
            "platform.hardware"
        ]
    );
    let admitted = |want: (bool, bool)| {
        for number in [1, 2] {
            assert_eq!(world.admitted(number, &before, &after), want, "project-{number}");
            // The one image on the other's terms, whole or in part.
            let (old_vm, old_container) = workload(&before, old());
            let (new_vm, new_container) = workload(&after, new());
            for (contract, vm, container) in [
                (&after, &new_vm, &old_container),
                (&after, &old_vm, &new_container),
                (&before, &new_vm, &old_container),
                (&before, &old_vm, &new_container),
                (&after, &new_vm, &workload(&before, new()).1),
                (&before, &old_vm, &workload(&after, old()).1),
                (&after, &new_vm, &workload(&after, old()).1),
                (&before, &old_vm, &workload(&before, new()).1),
            ] {
                let refused = world.admits_workload(number, contract, &(vm.clone(), container.clone()));
                assert!(refused.expect_err("a mixture").starts_with("STS: "));
            }
        }
    };
    admitted((true, false));
    let start = world.cloud.state();
    // The operator makes the account to which the builder gives a right.
    let first = ["1-allow/operator", "1-allow/builder", &format!("1-allow/{ONE}"), &format!("1-allow/{TWO}")];
    for directory in first {
        world.step(&rotation, directory, &[]);
    }
    admitted((true, true));
    let allowed = world.cloud.state();
    world.step(&rotation, "2-deploy/operator", &["--replace"]);
    let holds = |state: &Value| state["policies"].to_string().contains("workload@operator-project");
    assert!(holds(&world.cloud.state()), "the builder's, still");
    world.works(new());
    for directory in [&format!("3-remove/{ONE}"), &format!("3-remove/{TWO}"), "3-remove/builder"] {
        world.step(&rotation, directory, &[]);
    }
    admitted((false, true));
    assert!(!holds(&world.cloud.state()), "the old account has no right left");
    // All the way back.
    for directory in [&format!("3-remove/{ONE}"), &format!("3-remove/{TWO}"), "3-remove/builder"] {
        world.step(&rotation, &format!("back-from-{directory}"), &[]);
    }
    admitted((true, true));
    world.step(&rotation, "back-from-2-deploy/operator", &["--replace"]);
    assert_eq!(machines(&world.cloud.state()), machines(&allowed));
    for directory in first.iter().rev() {
        world.run(&rotation, &format!("back-from-{directory}"), &[]).success();
        world.run(&rotation, &format!("back-from-{directory}"), &["--check"]).success();
    }
    admitted((true, false));
    assert!(!world.cloud.state()["policies"].to_string().contains("workload-2@"));
    assert_eq!(machines(&world.cloud.state()), machines(&start));
}

fn machines(state: &Value) -> Vec<Value> {
    let things = state["things"].as_object().unwrap().iter();
    things.filter(|(name, _)| name.starts_with("compute instances|")).map(|(_, thing)| thing.clone()).collect()
}

#[test]
fn what_is_a_migration_is_refused_and_named() {
    let (before, settings) = (contract(""), common());
    let refused = |from: &str, to: &str| {
        let text = contract_text("").replace(from, to);
        assert_ne!(text, contract_text(""));
        let after = Contract::from_toml(&text).unwrap();
        match rotate(change(&before, &after, &settings)).expect_err(to) {
            RenderError::Migration { at, .. } => at,
            other => panic!("{to}: {other}"),
        }
    };
    let key = "projects/project-1/locations/global/keyRings/kr1/cryptoKeys/key1";
    for (from, to, at) in [
        (
            key,
            "projects/project-1/locations/global/keyRings/kr1/cryptoKeys/key2",
            "party.collaborator-1.collaborator.kms_key",
        ),
        (
            "200000000001/locations/global/workloadIdentityPools/trusted-workload-pool",
            "200000000001/locations/global/workloadIdentityPools/pool-2",
            "party.collaborator-1.collaborator.identity_provider",
        ),
        ("projects/200000000002", "projects/200000000003", "party.collaborator-2.collaborator.identity_provider"),
        ("name = \"collaborator-1\"", "name = \"renamed\"", "party.collaborator-1.name"),
        ("topics/cs-topic", "topics/cs-topic-2", "messages.topic"),
    ] {
        assert_eq!(refused(from, to), at);
    }
    let other_operator = contract_text("").replace("operator-project", "other-project");
    let after = Contract::from_toml(&other_operator).unwrap();
    let error = rotate(change(&before, &after, &settings)).expect_err("another operator");
    assert!(error.to_string().contains("operator.project_id"), "{error}");
}

#[test]
fn under_a_threshold_both_images_are_admitted_by_enough_signers_of_their_own_contract() {
    if peer("python3").is_none() {
        return;
    }
    let (mut before, settings) = (contract(""), common());
    before.signatures.threshold = Threshold::AtLeast(2.try_into().unwrap());
    let mut after = before.clone();
    after.parties[0].public_key = PublicKey::from_pem(OTHER_KEY).unwrap();
    let world = World::of(&before, &settings);
    let rotation = rotate(change(&before, &after, &settings)).unwrap();
    for who in [ONE, TWO] {
        world.step(&rotation, &format!("1-allow/{who}"), &[]);
    }
    for (contract, digest, other) in [(&before, old(), &after), (&after, new(), &before)] {
        assert_eq!(world.admits(1, contract, digest), Ok(()));
        let (vm, mut container) = workload(contract, digest);
        container.image_signatures.remove(2);
        assert_eq!(world.admits_workload(1, contract, &(vm.clone(), container.clone())), Ok(()), "two of three");
        container.image_signatures.remove(1);
        world.admits_workload(1, contract, &(vm.clone(), container.clone())).expect_err("one of three");
        // The builder's key of the other contract is no second one.
        container.image_signatures.push(workload(other, digest).1.image_signatures[0].clone());
        world.admits_workload(1, contract, &(vm, container)).expect_err("one of three, and a stranger");
    }
}

#[test]
fn under_the_grant_signers_there_is_nothing_to_allow_and_the_guide_says_that_the_old_image_stays() {
    if peer("python3").is_none() {
        return;
    }
    let (contract, mut settings) = (contract(""), common());
    settings.collaborator.grant = Grant::Signers;
    let rotation = rotate(change(&contract, &contract, &settings)).unwrap();
    let [allow, deploy, remove] = &rotation.plan.phases[..] else { panic!("three phases") };
    assert!(allow.steps.is_empty() && remove.steps.is_empty() && deploy.steps.len() == 1);
    assert!(rotation.files["ROTATE.md"].text.contains("**Under the grant `signers` the old image stays admitted**"));
    let world = World::of(&contract, &settings);
    assert_eq!(world.admits(1, &contract, new()), Ok(()));
    world.step(&rotation, "2-deploy/operator", &["--replace"]);
    assert_eq!(world.admits(1, &contract, old()), Ok(()), "all signed it");
    // Another key of a signer is something to allow, and afterwards the old image is out.
    let mut after = contract.clone();
    after.parties[0].public_key = PublicKey::from_pem(OTHER_KEY).unwrap();
    let rotation = rotate(change(&contract, &after, &settings)).unwrap();
    let world = World::of(&contract, &settings);
    world.admits(1, &after, new()).expect_err("nobody knows that key yet");
    world.step(&rotation, &format!("1-allow/{ONE}"), &[]);
    assert_eq!((world.admits(1, &contract, old()), world.admits(1, &after, new())), (Ok(()), Ok(())));
    world.works(new());
    world.step(&rotation, &format!("3-remove/{ONE}"), &[]);
    world.admits(1, &contract, old()).expect_err("signed with a key that is out of use");
    assert_eq!(world.admits(1, &after, Digest::of("the one after")), Ok(()));
}

#[test]
fn one_who_joins_gets_all_of_it_and_one_who_leaves_lets_nobody_in() {
    if peer("python3").is_none() {
        return;
    }
    let settings = common();
    let all = contract("");
    let mut fewer = all.clone();
    fewer.parties.pop();
    let who = [Role::Collaborator("collaborator-2".to_owned())];
    // Joins: a project in which nothing is yet.
    let world = World::usual();
    let mut empty = world.cloud.state();
    for part in ["things", "policies"] {
        empty[part].as_object_mut().unwrap().retain(|name, _| !name.contains("project=project-2"));
    }
    world.cloud.set_state(&empty);
    let mut joins = change(&fewer, &all, &settings);
    joins.roles = &who;
    let rotation = rotate(joins).unwrap();
    world.step(&rotation, &format!("1-allow/{TWO}"), &[]);
    assert_eq!(world.admits(2, &all, new()), Ok(()));
    world.admits(2, &fewer_signers(&all), new()).expect_err("signed by fewer");
    world.step(&rotation, &format!("back-from-1-allow/{TWO}"), &[]);
    world.admits(2, &all, new()).expect_err("nobody");
    // Leaves: only at the end, and the key stays.
    let world = World::usual();
    let start = world.cloud.state();
    let mut leaves = change(&all, &fewer, &settings);
    leaves.roles = &who;
    leaves.needs_proof = false;
    let rotation = rotate(leaves).unwrap();
    assert!(rotation.plan.phases[0].steps.is_empty());
    assert_eq!(world.admits(2, &all, old()), Ok(()));
    world.step(&rotation, &format!("3-remove/{TWO}"), &[]);
    world.admits(2, &all, old()).expect_err("nobody");
    assert!(
        world.cloud.state()["things"]
            .as_object()
            .unwrap()
            .keys()
            .any(|name| name.starts_with("kms keys|key1|project=project-2"))
    );
    world.step(&rotation, &format!("back-from-3-remove/{TWO}"), &[]);
    assert_eq!(world.cloud.state(), start);
}

/// The contract without its last signer, whose part is kept.
fn fewer_signers(contract: &Contract) -> Contract {
    let mut contract = contract.clone();
    contract.parties.remove(0);
    contract
}
