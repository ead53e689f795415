//! An image is revoked: out first, whatever stops by that.

use csign_contract::Contract;
use csign_render::{Change, Grant, PhaseName, RenderError, Settings, rotate};
use csign_tests::peer::peer;

use super::world::{ONE, TWO, World, change, common, new, old};
use crate::scene::contract;

fn revocation<'a>(contract: &'a Contract, settings: &'a Settings) -> Change<'a> {
    Change { revoke: true, ..change(contract, contract, settings) }
}

#[test]
fn a_revoked_image_is_shut_out_before_anything_else_and_without_a_proof() {
    if peer("python3").is_none() {
        return;
    }
    let (contract, settings) = (contract(""), common());
    let (world, rotation) = (World::usual(), rotate(revocation(&contract, &settings)).unwrap());
    let names: Vec<PhaseName> = rotation.plan.phases.iter().map(|phase| phase.name).collect();
    assert_eq!(names, [PhaseName::Revoke, PhaseName::Deploy]);
    let guide = &rotation.files["ROTATE.md"].text;
    assert!(guide.contains("**What stops:**") && guide.contains("admits the revoked image again"), "{guide}");
    // One after the other, and neither waits for the deployment.
    world.step(&rotation, &format!("1-revoke/{TWO}"), &[]);
    assert_eq!(world.admitted(1, &contract, &contract), (true, false), "nobody else can prevent it");
    assert_eq!(world.admitted(2, &contract, &contract), (false, true));
    world.step(&rotation, &format!("1-revoke/{ONE}"), &[]);
    assert_eq!(world.admitted(1, &contract, &contract), (false, true));
    world.step(&rotation, "2-deploy/operator", &["--replace"]);
    let machines = world.cloud.state().to_string();
    assert!(
        machines.contains(&format!("word-count@{}", new())) && !machines.contains(&format!("word-count@{}", old()))
    );
}

#[test]
fn without_a_successor_nothing_is_admitted_and_no_machine_is_left() {
    if peer("python3").is_none() {
        return;
    }
    for grant in [Grant::Digest, Grant::Signers] {
        let (contract, mut settings) = (contract(""), common());
        settings.collaborator.grant = grant;
        let rotation = rotate(Change { to: None, ..revocation(&contract, &settings) }).unwrap();
        let world = World::of(&contract, &settings);
        let start = world.cloud.state();
        for who in [ONE, TWO] {
            world.step(&rotation, &format!("1-revoke/{who}"), &[]);
        }
        for (number, digest) in [(1, old()), (1, new()), (2, old()), (2, new())] {
            world.admits(number, &contract, digest).expect_err("nothing is admitted");
        }
        world.step(&rotation, "2-deploy/operator", &["--replace"]);
        assert!(
            !world.cloud.state()["things"]
                .as_object()
                .unwrap()
                .keys()
                .any(|name| name.starts_with("compute instances|"))
        );
        // It was a mistake.
        for directory in ["2-deploy/operator", &format!("1-revoke/{ONE}"), &format!("1-revoke/{TWO}")] {
            world.step(&rotation, &format!("back-from-{directory}"), &["--replace"]);
        }
        assert_eq!(world.cloud.state(), start);
    }
}

#[test]
fn what_all_signed_cannot_be_revoked_while_the_grant_is_signers() {
    let (contract, mut settings) = (contract(""), common());
    settings.collaborator.grant = Grant::Signers;
    let error = rotate(revocation(&contract, &settings)).expect_err("it would have no effect");
    assert!(matches!(error, RenderError::SignersKeep(_)), "{error}");
    assert!(error.hint().contains("\"digest\""));
}

#[test]
fn a_revocation_under_signers_works_after_the_grant_became_digest() {
    if peer("python3").is_none() {
        return;
    }
    let (contract, mut settings) = (contract(""), common());
    settings.collaborator.grant = Grant::Signers;
    let world = World::of(&contract, &settings);
    assert_eq!(world.admits(1, &contract, old()), Ok(()));
    settings.collaborator.grant = Grant::Digest;
    let rotation = rotate(revocation(&contract, &settings)).unwrap();
    world.step(&rotation, &format!("1-revoke/{ONE}"), &[]);
    assert_eq!(world.admitted(1, &contract, &contract), (false, true));
}
