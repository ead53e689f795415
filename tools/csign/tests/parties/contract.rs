//! Bad input, each with an error that says what and what to do.

use crate::world::World;

#[test]
fn a_simulated_contract_is_refused_unless_allowed() {
    let world = World::new();
    world.key("a");
    world.contract(&["a"]);
    let simulated = world
        .read("collaboration.toml")
        .replace(
            "kind = \"google\"",
            "kind = \"simulated\"\nissuer = \"http://attestation.simulator.localhost\"\nissuer_keys = [\"k\"]",
        )
        .replace(&world.address, "registry.simulator.localhost");
    world.write("collaboration.toml", &simulated);
    let digest = world.digest.to_string();
    let image = format!("registry.simulator.localhost/team/app@{digest}");
    for arguments in [
        &["verify", &image, "--contract", "collaboration.toml"][..],
        &["request", "--digest", &digest],
        &["approve", "request.json", "--key", "a.key", "--not-rebuilt"],
        &["collect", "a.json"],
        &["build"],
        &["sign", &image, "--key", "a.key", "--contract", "collaboration.toml"],
        &["publish", "--collaborator", "a", "-"],
    ] {
        world.csign(arguments).expect(1, &["simulated contract", "--allow-simulated"]);
    }
    world.csign(&["request", "--digest", &digest, "--allow-simulated"]).expect(0, &[]);
    world.csign(&["contract", "check"]).expect(0, &["warning", "no party has"]);
}

#[test]
fn a_tag_is_refused_with_a_hint_that_resolves_it() {
    let world = World::new();
    world.key("a");
    let tagged = format!("{}/team/app:v1", world.address);
    for command in ["verify", "sign"] {
        let key = if command == "sign" { "a.key" } else { "a.pub" };
        world.csign(&[command, &tagged, "--key", key]).expect(2, &["names a tag", &format!("csign digest {tagged}")]);
    }
    world.csign(&["tree", &tagged]).expect(2, &["names a tag"]);
    world.csign(&["attach", &tagged, "--repair"]).expect(2, &["names a tag"]);
}

#[test]
fn a_missing_or_malformed_contract_is_wrong_usage() {
    let world = World::new();
    world.csign(&["contract", "check"]).expect(2, &["reading collaboration.toml"]);
    world.write("collaboration.toml", "version = ");
    world.csign(&["contract", "check"]).expect(2, &["parsing collaboration.toml", "hint:"]);
    world.csign(&["contract", "check", "image"]).expect(3, &["reading image"]);
}

#[test]
fn init_writes_once_and_says_what_is_next() {
    let world = World::new();
    world.key("builder");
    let init = ["init", "--repository", "r.example/team/app", "--builder-key", "builder.pub"];
    world.csign(&init).expect(0, &["csign contract check"]);
    world.csign(&init).expect(2, &["exists already"]);
    world.csign(&["contract", "check"]).expect(2, &["PUBLIC KEY"]);
    assert!(world.read("collaboration.toml").contains(world.read("builder.pub").trim()));
}

#[test]
fn keys_that_do_not_fit_are_told_apart() {
    let world = World::new();
    world.key("a");
    let image = world.image();
    let p521 = include_str!("../../../../crates/envelope/tests/fixtures/keys/p521.pem");
    world.write("p521.pub", p521);
    world.csign(&["verify", &image, "--key", "p521.pub"]).expect(2, &["P-521"]);
    world.csign(&["verify", &image, "--key", "a.key"]).expect(2, &["private key"]);
    world.csign(&["verify", &image, "--key", "a.pub", "--key", "a.pub"]).expect(2, &["same key"]);
    world.csign(&["verify", &image, "--key", "a.pub", "--threshold", "2"]).expect(2, &["threshold"]);
    world.csign(&["verify", &image, "--key", "a.pub", "--threshold", "0"]).expect(2, &["threshold"]);
    world.csign(&["verify", &image]).expect(2, &["--contract"]);
    world.write("wrong", "wrong");
    world.csign(&["sign", &image, "--key", "a.key", "--password-file", "wrong"]).expect(2, &["password"]);
    world.csign(&["sign", &image, "--key", "absent.key"]).expect(2, &["absent.key"]);
    world
        .csign(&["sign", &image, "--key", "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k"])
        .expect(2, &["version"]);
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let world = World::new();
    world.key("a");
    world.contract(&["a"]);
    world.csign(&["request", "--digest", &world.digest.to_string()]).expect(0, &[]);
    let before = world.read("request.json");
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";
    let csign = crate::world::program();
    let csign = csign.to_str().expect("a path in UTF-8");
    let other = csign_oci::Digest::of("other").to_string();
    let output = std::process::Command::new("sh")
        .args(["-c", script, csign, "request", "--digest", &other])
        .current_dir(world.directory.path())
        .env_clear()
        .output()
        .expect("sh runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("writing request.json"), "{text}");
    assert_eq!(world.read("request.json"), before);
    let left: Vec<_> = std::fs::read_dir(world.directory.path())
        .expect("directory")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".tmp")), "{left:?}");
}

#[test]
fn completions_name_every_command() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        world.csign(&["completions", shell]).expect(0, &["generate-key-pair", "verify"]);
    }
}
