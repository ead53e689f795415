//! `csign verify --contract` applies what the boot applies: where signatures must be, and what attestations must say.

use crate::world::World;

/// A world with two parties whose contract has `table` in it.
fn world(table: &str) -> World {
    let world = World::new();
    world.key("a");
    world.key("b");
    world.contract(&["a", "b"]);
    let contract = world.read("collaboration.toml").replacen("[[party]]", &format!("{table}\n[[party]]"), 1);
    world.write("collaboration.toml", &contract);
    world
}

fn sign(world: &World, party: &str, format: &str) {
    let key = format!("{party}.key");
    world.csign(&["sign", &world.image(), "--key", &key, "--format", format]).expect(0, &[]);
}

fn attest(world: &World, party: &str, predicate: &str) {
    world.write("predicate.json", predicate);
    let key = format!("{party}.key");
    let kind = "https://example.com/review/v1";
    world
        .csign(&["attest", &world.image(), "--type", kind, "--predicate", "predicate.json", "--key", &key])
        .expect(0, &[]);
}

fn verify(world: &World) -> Vec<String> {
    ["verify", &world.image(), "--contract", "collaboration.toml"].map(str::to_owned).to_vec()
}

fn verified(world: &World, status: i32, words: &[&str]) {
    let arguments = verify(world);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    world.csign(&arguments).expect(status, words);
}

#[test]
fn a_bundle_is_no_signature_where_the_token_must_show_it() {
    for sources in ["token", "both"] {
        let world = world(&format!("[signatures]\nsources = \"{sources}\""));
        sign(&world, "a", "legacy");
        sign(&world, "b", "bundle");
        verified(&world, 1, &["REJECTED", "MISSING", "only signatures under the .sig tag count"]);
        sign(&world, "b", "legacy");
        verified(&world, 0, &["VERIFIED"]);
    }
    let world = world("[signatures]\nsources = \"registry\"");
    sign(&world, "a", "legacy");
    sign(&world, "b", "bundle");
    verified(&world, 0, &["VERIFIED"]);
}

const POLICY: &str = "[[policy]]\nname = \"review\"\npredicate_type = \"https://example.com/review/v1\"\n\
                      rego = '''\npackage signature\nallow { input.predicate.grade >= 3 }\n'''\n";

#[test]
fn the_contracts_policies_decide_too() {
    let world = world(POLICY);
    sign(&world, "a", "legacy");
    sign(&world, "b", "legacy");
    verified(&world, 1, &["policy review", "0 of 2 required attested"]);
    attest(&world, "a", "{\"grade\": 3}");
    attest(&world, "b", "{\"grade\": 4}");
    verified(&world, 0, &["2 of 2 required signed", "2 of 2 required attested"]);
    attest(&world, "b", "{\"grade\": 1}");
    verified(&world, 1, &["policy review", "REJECTED", "grade"]);
    let arguments = verify(&world);
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    arguments.extend(["--output", "json"]);
    let json = world.csign(&arguments).expect(1, &[]).json();
    assert_eq!(json["verdict"], "rejected");
    assert_eq!(json["policies"][0]["name"], "review");
    assert_eq!(json["policies"][0]["parties"][1]["status"], "policy-refused");
}

#[test]
fn a_policy_that_no_attestation_could_satisfy_is_wrong_usage_everywhere() {
    for rego in ["package other\nallow { true }", "package signature\nallow {"] {
        let world = world(&POLICY.replace("package signature\nallow { input.predicate.grade >= 3 }", rego));
        verified(&world, 2, &["policy review"]);
        world.csign(&["contract", "check"]).expect(2, &["policy review"]);
    }
}
