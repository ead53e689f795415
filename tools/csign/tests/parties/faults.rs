//! A registry that does not answer as it should is "could not check", exit status 3, never "unsigned".

use csign_oci::Digest;
use simulator::registry::{Auth, Effect, Fault, RegistryOptions};

use crate::world::World;

fn signed() -> World {
    let world = World::new();
    world.key("a");
    world.csign(&["sign", &world.image(), "--key", "a.key"]).expect(0, &[]);
    world
}

#[test]
fn refusals_and_faults_of_the_registry_could_not_be_checked() {
    let world = signed();
    let image = world.image();
    for (effect, words) in [
        (Effect::Status(401, None), &["COULD NOT CHECK", "log in"][..]),
        (Effect::Status(403, None), &["COULD NOT CHECK", "ask the registry's owner"]),
        (Effect::Status(429, Some(0)), &["COULD NOT CHECK", "wait"]),
        (Effect::Status(500, None), &["COULD NOT CHECK", "fault of its own"]),
        (Effect::Truncate, &["COULD NOT CHECK"]),
        (Effect::Header("docker-content-digest", Digest::of("x").to_string()), &["COULD NOT CHECK", "was replaced"]),
        (Effect::Body("{".into()), &["COULD NOT CHECK"]),
    ] {
        world.registry.clear_faults();
        world.registry.inject(Fault::on("", effect).times(1000));
        world.csign(&["verify", &image, "--key", "a.pub"]).expect(3, words);
    }
    world.registry.clear_faults();
    world.csign(&["verify", &image, "--key", "a.pub"]).expect(0, &[]);
}

#[test]
fn an_image_without_signatures_is_rejected() {
    let world = World::new();
    world.key("a");
    world.csign(&["verify", &world.image(), "--key", "a.pub"]).expect(1, &["MISSING", "REJECTED"]);
}

#[test]
fn a_manifest_over_the_limit_could_not_be_checked() {
    let world = signed();
    let huge = format!("{{\"schemaVersion\":2,\"pad\":\"{}\"}}", "x".repeat(8 << 20));
    world.registry.inject(Fault::on("manifests/", Effect::Body(huge.into())).times(1000));
    world.csign(&["verify", &world.image(), "--key", "a.pub"]).expect(3, &["COULD NOT CHECK"]);
}

#[test]
fn an_unreachable_registry_could_not_be_checked() {
    let world = signed();
    let image = world.image();
    let (directory, _) = world.unplug();
    let mut command = std::process::Command::new(crate::world::program());
    command.args(["verify", &image, "--key", "a.pub"]).current_dir(directory.path()).env_clear();
    let output = command.output().expect("csign runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("check the host name"), "{text}");
}

#[test]
fn an_interrupted_push_leaves_no_image_and_is_taken_up_again() {
    let world = World::new();
    let target = format!("{}/team/new", world.address);
    world.registry.inject(Fault::on("blobs/uploads", Effect::Status(403, None)).times(1000));
    world.csign(&["push", "image", &target]).expect(3, &["hint:"]);
    assert!(world.registry.manifest("team/new", &world.digest.to_string()).is_none());
    world.registry.clear_faults();
    world.csign(&["push", "image", &target]).expect(0, &[&world.digest.to_string()]);
    world.registry.clear_log();
    world.csign(&["push", "image", &format!("{target}:v1")]).expect(0, &[]);
    let sent = world.registry.count(|request| request.path.contains("blobs/uploads"));
    assert_eq!(sent, 0, "blobs that exist were sent again");
    world.csign(&["digest", &format!("{target}:v1")]).expect(0, &[&world.digest.to_string()]);
}

#[test]
fn a_push_of_another_digest_than_named_is_refused() {
    let world = World::new();
    let target = format!("{}/team/new@{}", world.address, Digest::of("other"));
    world.csign(&["push", "image", &target]).expect(1, &["the layout holds"]);
}

#[test]
fn pulled_content_that_was_replaced_leaves_no_layout() {
    let world = World::new();
    world.csign(&["pull", &world.image(), "--out", "good"]).expect(0, &[]);
    world.csign(&["digest", "--layout", "good"]).expect(0, &[&world.digest.to_string()]);
    world.registry.inject(Fault::on("blobs/", Effect::Body("other".into())).times(1000));
    world.csign(&["pull", &world.image(), "--out", "bad"]).expect(3, &["hint:"]);
    assert!(!world.path("bad").exists());
}

#[test]
fn logins_come_from_dockers_configuration() {
    let world = World::with(RegistryOptions {
        auth: Some(Auth::Basic { user: "me".to_owned(), password: "secret".to_owned() }),
        ..RegistryOptions::default()
    });
    world.key("a");
    world.csign(&["sign", &world.image(), "--key", "a.key"]).expect(3, &["log in"]);
    let login = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, "me:secret");
    world.write("config.json", &format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{login}\"}}}}}}", world.address));
    let done = world.csign(&["sign", &world.image(), "--key", "a.key"]).expect(0, &[]);
    assert!(!done.stderr.contains("secret"));
    world.csign(&["verify", &world.image(), "--key", "a.pub"]).expect(0, &[]);
}
