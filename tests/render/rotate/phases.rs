//! The usual rotation, forwards, backwards, out of order and interleaved.

use std::{collections::BTreeSet, process::Command};

use csign_tests::{peer::peer, process::Finished};
use serde_json::{Value, json};

use super::world::{ONE, TWO, World, new, old, usual};
use crate::scene::{contract, mutates};

const OLD: (bool, bool) = (true, false);
const BOTH: (bool, bool) = (true, true);
const NEW: (bool, bool) = (false, true);

#[test]
fn each_image_is_admitted_in_its_phases_and_no_other_image_in_any() {
    if peer("python3").is_none() {
        return;
    }
    let (world, rotation, contract) = (World::usual(), usual(), contract(""));
    let admitted = |want: [(bool, bool); 2]| {
        assert_eq!([1, 2].map(|number| world.admitted(number, &contract, &contract)), want);
    };
    admitted([OLD, OLD]);
    world.step(&rotation, &format!("1-allow/{ONE}"), &[]);
    world.again(&rotation, &format!("1-allow/{ONE}"), &[]);
    admitted([BOTH, OLD]);
    world.step(&rotation, &format!("1-allow/{TWO}"), &[]);
    admitted([BOTH, BOTH]);
    world.step(&rotation, "2-deploy/operator", &["--replace"]);
    world.again(&rotation, "2-deploy/operator", &["--replace"]);
    admitted([BOTH, BOTH]);
    world.works(new());
    world.step(&rotation, &format!("3-remove/{ONE}"), &[]);
    admitted([NEW, BOTH]);
    world.step(&rotation, &format!("3-remove/{TWO}"), &[]);
    world.again(&rotation, &format!("3-remove/{TWO}"), &[]);
    admitted([NEW, NEW]);
}

#[test]
fn the_way_back_from_every_point_restores_what_was_there() {
    if peer("python3").is_none() {
        return;
    }
    let (world, rotation) = (World::usual(), usual());
    let start = world.cloud.state();
    let go = |directory: &str| {
        let arguments: &[&str] = if directory.contains("operator") { &["--replace"] } else { &[] };
        world.run(&rotation, directory, arguments).success();
    };
    let back = |directory: &str| world.step(&rotation, &format!("back-from-{directory}"), &["--replace"]);
    let one = format!("1-allow/{ONE}");
    // Within and after phase 1.
    go(&one);
    let within = world.cloud.state();
    back(&one);
    assert_eq!(world.cloud.state(), start, "byte for byte");
    go(&one);
    assert_eq!(world.cloud.state(), within);
    let two = format!("1-allow/{TWO}");
    go(&two);
    let allowed = world.cloud.state();
    // After phase 2.
    go("2-deploy/operator");
    let deployed = world.cloud.state();
    assert_ne!(deployed, allowed);
    back("2-deploy/operator");
    assert_eq!(world.cloud.state(), allowed, "byte for byte");
    go("2-deploy/operator");
    world.works(new());
    let deployed = world.cloud.state();
    // Within and after phase 3: a member that comes back stands at the end of its list, which is a set.
    let (three, also) = (format!("3-remove/{ONE}"), format!("3-remove/{TWO}"));
    go(&three);
    back(&three);
    assert_eq!(sorted(&world.cloud.state()), sorted(&deployed));
    go(&three);
    go(&also);
    for directory in [&also, &three, &"2-deploy/operator".to_owned(), &two, &one] {
        back(directory);
    }
    let mut end = world.cloud.state();
    end.as_object_mut().unwrap().remove("used");
    assert_eq!(end, start, "byte for byte");
}

/// Members in order.
fn sorted(state: &Value) -> Value {
    let mut state = state.clone();
    for policy in state["policies"].as_object_mut().unwrap().values_mut() {
        for binding in policy["bindings"].as_array_mut().into_iter().flatten() {
            binding["members"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
        }
    }
    state
}

#[test]
fn the_old_image_is_not_removed_before_the_new_one_decrypted_something() {
    if peer("python3").is_none() {
        return;
    }
    let (world, rotation, contract) = (World::usual(), usual(), contract(""));
    for who in [ONE, TWO] {
        world.run(&rotation, &format!("1-allow/{who}"), &[]).success();
    }
    // The deployment's own check says that it has not happened.
    let checked = world.run(&rotation, "2-deploy/operator", &["--check"]);
    assert_eq!(checked.code, Some(1), "{checked}");
    assert!(checked.stdout.contains("still has the image") && checked.stdout.contains(&old().to_string()), "{checked}");
    // That the old one decrypted, or the new one elsewhere, is no proof.
    for digest in [None, Some(old())] {
        if let Some(digest) = digest {
            world.works(digest);
        }
        let before = world.cloud.state();
        for arguments in [&["--check"][..], &[], &["--replace"]] {
            let refused = world.run(&rotation, &format!("3-remove/{ONE}"), arguments);
            assert_eq!(refused.code, Some(1), "{refused}");
            assert!(refused.stdout.contains("decrypted nothing in project-1"), "{refused}");
            assert_eq!(world.cloud.state(), before);
        }
        assert_eq!(world.admitted(1, &contract, &contract), BOTH);
    }
    // A log that cannot be read is no proof either.
    let mut world = world;
    world.works(new());
    world.cloud.deny = Some("logging");
    let refused = world.run(&rotation, &format!("3-remove/{ONE}"), &[]);
    assert_eq!(refused.code, Some(3), "{refused}");
    assert_eq!(world.admitted(1, &contract, &contract), BOTH);
}

#[test]
fn a_machine_with_the_old_image_under_another_name_fails_the_check_of_the_deployment() {
    if peer("python3").is_none() {
        return;
    }
    let (world, rotation) = (World::usual(), usual());
    world.run(&rotation, "2-deploy/operator", &["--replace"]).success();
    let mut state = world.cloud.state();
    let things = state["things"].as_object_mut().unwrap();
    let (name, mut forgotten) = things
        .iter()
        .find(|(name, _)| name.starts_with("compute instances|"))
        .map(|(n, t)| (n.clone(), t.clone()))
        .unwrap();
    forgotten["name"] = json!("forgotten");
    forgotten["status"] = json!("TERMINATED");
    let text = forgotten.to_string().replace(&new().to_string(), &old().to_string());
    things.insert(name.replace("csign-workload", "forgotten"), serde_json::from_str(&text).unwrap());
    world.cloud.set_state(&state);
    for arguments in [&["--check"][..], &["--replace"]] {
        let refused = world.run(&rotation, "2-deploy/operator", arguments);
        assert_eq!(refused.code, Some(1), "{refused}");
        assert!(refused.stdout.contains("machine forgotten in us-central1-a still has the image"), "{refused}");
        assert_eq!(world.cloud.state(), state, "nobody's machine is deleted");
    }
    let mut world = world;
    world.cloud.deny = Some("compute instances");
    assert_eq!(world.run(&rotation, "2-deploy/operator", &["--check"]).code, Some(3));
}

/// All orders in which two lists can be worked off.
fn interleavings(one: usize, two: usize) -> Vec<Vec<usize>> {
    if one == 0 || two == 0 {
        return vec![[vec![0; one], vec![1; two]].concat()];
    }
    let first = interleavings(one - 1, two).into_iter().map(|rest| [vec![0], rest].concat());
    let second = interleavings(one, two - 1).into_iter().map(|rest| [vec![1], rest].concat());
    first.chain(second).collect()
}

#[test]
fn in_every_interleaving_of_the_parties_commands_nobody_who_runs_is_locked_out() {
    if peer("python3").is_none() {
        return;
    }
    let (world, rotation, contract) = (World::usual(), usual(), contract(""));
    let mut orders = 0;
    for (phase, runs) in [("1-allow", 0), ("3-remove", 1)] {
        if runs == 1 {
            world.run(&rotation, "2-deploy/operator", &["--replace"]).success();
            world.works(new());
        }
        let start = world.cloud.state();
        world.cloud.calls();
        let commands = [ONE, TWO].map(|who| {
            world.run(&rotation, &format!("{phase}/{who}"), &[]).success();
            let calls: Vec<Vec<String>> = world.cloud.calls().into_iter().filter(|call| mutates(call)).collect();
            assert_eq!(calls.len(), 2, "condition and binding: {calls:?}");
            calls
        });
        let end = world.cloud.state();
        let mut seen = BTreeSet::new();
        for order in interleavings(2, 2) {
            world.cloud.set_state(&start);
            let mut queues = commands.clone().map(Vec::into_iter);
            for who in order {
                gcloud(&world, &queues[who].next().unwrap());
                if !seen.insert(world.cloud.state().to_string()) {
                    continue;
                }
                for number in [1, 2] {
                    let (old, new) = world.admitted(number, &contract, &contract);
                    assert!([old, new][runs], "{phase}: the image that runs is locked out of project-{number}");
                }
            }
            assert_eq!(world.cloud.state(), end, "the order makes no difference in the end");
            orders += 1;
        }
    }
    assert_eq!(orders, 12);
}

/// One command of a script.
fn gcloud(world: &World, arguments: &[String]) {
    let mut command = Command::new(world.cloud.path("bin/gcloud"));
    Finished::of(command.args(arguments).env("FAKE_GCLOUD_STATE", world.cloud.path("state"))).success();
}

#[test]
fn an_access_token_that_the_old_image_got_before_is_worth_nothing_afterwards() {
    if peer("python3").is_none() {
        return;
    }
    let (world, rotation, contract) = (World::usual(), usual(), contract(""));
    let released = &world.released[&1];
    let (vm, mut container) = super::world::workload(&contract, old());
    container.image_digest = old();
    let audience = crate::released::audience();
    let access = released.exchange(&audience, &released.token(&vm, &container, &audience)).unwrap();
    assert_eq!(released.unwrap(&access), Ok(()));
    world.works(new());
    for directory in [format!("1-allow/{ONE}"), format!("3-remove/{ONE}")] {
        assert_eq!(released.unwrap(&access), Ok(()));
        world.run(&rotation, &directory, &[]).success();
        released.apply(&world.cloud.state());
    }
    assert!(released.unwrap(&access).expect_err("an hour is not over").starts_with("KMS: "));
}
