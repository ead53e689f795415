//! Request, approve, collect, verify: the honest way, and what goes wrong on it.

use crate::world::World;

/// Three parties, the builder has signed, both others approved.
fn agreed() -> World {
    let world = World::new();
    for name in ["builder", "alice", "bob"] {
        world.key(name);
    }
    world.contract(&["builder", "alice", "bob"]);
    let image = world.image();
    world
        .csign(&["sign", &image, "--key", "builder.key", "--contract", "collaboration.toml"])
        .expect(0, &["signed by builder"]);
    world.csign(&["request", "--layout", "image"]).expect(0, &["3 parties"]);
    world
        .csign(&["approve", "request.json", "--key", "alice.key", "--rebuilt", "image", "--out", "alice.json"])
        .expect(0, &["rebuilt"]);
    world
        .csign(&["approve", "request.json", "--key", "bob.key", "--not-rebuilt", "--out", "bob.json"])
        .expect(0, &["not rebuilt"]);
    world
}

#[test]
fn everyone_signs_and_the_image_is_verified() {
    let world = agreed();
    let image = world.image();
    world.csign(&["verify", &image, "--contract", "collaboration.toml"]).expect(1, &["MISSING", "REJECTED", "1 of 3"]);
    world
        .csign(&["collect", "alice.json", "bob.json"])
        .expect(0, &["VERIFIED", "3 of 3", "alice approves and rebuilt it"]);
    let verified =
        world.csign(&["verify", &image, "--contract", "collaboration.toml", "--output", "json"]).expect(0, &[]);
    let data = verified.json();
    assert_eq!(data["verdict"], "verified");
    assert_eq!(data["parties"][2]["status"], "signed");
    world.csign(&["verify", &image, "--key", "alice.pub", "--key", "bob.pub"]).expect(0, &["2 of 2"]);
    world.csign(&["tree", &image]).expect(0, &[".sig", "simplesigning"]);
}

#[test]
fn one_verification_of_three_keys_is_one_request() {
    let world = agreed();
    world.csign(&["collect", "alice.json", "bob.json"]).expect(0, &[]);
    world.registry.clear_log();
    world.csign(&["verify", &world.image(), "--contract", "collaboration.toml"]).expect(0, &[]);
    let requests: Vec<String> =
        world.registry.requests().iter().map(|one| format!("{} {}", one.method, one.path)).collect();
    assert_eq!(requests.len(), 1, "{requests:?}");
}

#[test]
fn collect_without_one_approval_writes_nothing() {
    let world = agreed();
    let before =
        world.registry.manifest("team/app", &format!("sha256-{}.sig", world.digest.hex())).expect("builder's").bytes;
    world.csign(&["collect", "alice.json"]).expect(1, &["missing: bob", "nothing was written", "hint:"]);
    let after =
        world.registry.manifest("team/app", &format!("sha256-{}.sig", world.digest.hex())).expect("builder's").bytes;
    assert_eq!(before, after);
    world.csign(&["collect", "alice.json", "--partial"]).expect(0, &["MISSING"]);
}

#[test]
fn approvals_for_something_else_are_not_collected() {
    let world = agreed();
    let contract = world.read("collaboration.toml");
    world.write("other.toml", &contract.replace("\"op\"", "\"other\""));
    world
        .csign(&["collect", "alice.json", "bob.json", "--contract", "other.toml"])
        .expect(1, &["by your contract it is"]);
    let tampered = world.read("bob.json").replacen("\"party\": \"bob\"", "\"party\": \"alice\"", 1);
    world.write("bob.json", &tampered);
    world.csign(&["collect", "alice.json", "bob.json"]).expect(1, &["no party of the contract"]);
    world.write("bob.json", "{");
    world.csign(&["collect", "alice.json", "bob.json"]).expect(2, &["parsing the approval"]);
}

#[test]
fn nobody_approves_what_differs_from_their_own_rebuild_contract_or_key() {
    let world = agreed();
    let other = World::new();
    other.key("stranger");
    std::fs::copy(other.path("stranger.key"), world.path("stranger.key")).expect("copy");
    let approve = |more: &[&str]| world.csign(&[&["approve", "request.json", "--out", "new.json"], more].concat());
    approve(&["--key", "stranger.key", "--not-rebuilt"]).expect(1, &["no party's in the contract"]);
    approve(&["--key", "alice.key"]).expect(2, &["--rebuilt"]);
    let request = world.read("request.json");
    let digest = world.digest.to_string();
    world.write("request.json", &request.replace(&digest, &csign_oci::Digest::of("x").to_string()));
    approve(&["--key", "alice.key", "--rebuilt", "image"]).expect(1, &["your rebuild has the digest"]);
    world.write("request.json", &request.replacen("type", "typo", 1));
    approve(&["--key", "alice.key", "--rebuilt", "image"]).expect(1, &["payload"]);
    assert!(!world.path("new.json").exists());
}

#[test]
fn approve_needs_no_network() {
    let world = agreed();
    let (directory, _) = world.unplug();
    let mut command = std::process::Command::new(crate::world::program());
    command.args(["approve", "request.json", "--key", "alice.key", "--rebuilt", "image", "--out", "again.json"]);
    command.current_dir(directory.path()).env_clear().env("COSIGN_PASSWORD", crate::world::PASSWORD);
    let output = command.output().expect("csign runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
