//! Signing here, attaching there: `sign --upload=false`, `generate`, and `attach signature`.

use std::process::Command;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::PublicKey;
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};

use crate::world::{Done, PASSWORD, World};

const NAME: &str = "team/app";

fn nothing_attached(world: &World) {
    assert!(world.registry.tags(NAME).is_empty() && world.referrers(NAME).is_empty());
}

#[test]
fn a_signature_without_upload_needs_no_registry() {
    let world = World::new();
    world.key("a");
    world.contract(&["a"]);
    let image = world.image();
    let (directory, _) = world.unplug();
    let csign = |more: &[&str]| -> Done {
        let mut command = Command::new(crate::world::program());
        command.args(["sign", &image, "--key", "a.key", "--upload=false"]).args(more);
        command.current_dir(directory.path()).env_clear().env("COSIGN_PASSWORD", PASSWORD);
        command.output().expect("csign runs").into()
    };
    let printed = csign(&[]).expect(0, &[]).stdout;
    BASE64_STANDARD.decode(printed.trim()).expect("the signature alone, in base64");
    csign(&["--contract", "collaboration.toml"]).expect(0, &[]);
    let bundle = csign(&["--format", "bundle"]).expect(0, &[]).json();
    assert_eq!(bundle["mediaType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    let both = csign(&["--format", "both", "--output", "json"]).expect(0, &[]).json();
    assert!(both["signature"].is_string() && both["payload"].is_string() && both["bundle"].is_object(), "{both}");
    assert_eq!(both["uploaded"], false);
    // The registry is gone: what uploads cannot.
    let mut command = Command::new(crate::world::program());
    command.args(["sign", &image, "--key", "a.key"]).current_dir(directory.path()).env_clear();
    let done: Done = command.env("COSIGN_PASSWORD", PASSWORD).output().expect("csign runs").into();
    done.expect(3, &["hint:"]);
}

#[test]
fn a_signature_without_upload_asks_a_registry_that_is_there_for_nothing() {
    let world = World::new();
    world.key("a");
    world.contract(&["a"]);
    let image = world.image();
    world.registry.clear_log();
    for format in ["legacy", "bundle"] {
        let arguments = ["--key", "a.key", "--upload=false", "--format", format, "--contract", "collaboration.toml"];
        world.csign(&[&["sign", &image], &arguments[..]].concat()).expect(0, &[]);
    }
    assert_eq!(world.requests(), [] as [String; 0]);
}

#[test]
fn signature_payload_and_bundle_in_files_are_attached_elsewhere_and_verify() {
    for world in World::both() {
        let image = world.image();
        world.key("a");
        world.key("b");
        let sign =
            |key: &str, more: &[&str]| world.csign(&[&["sign", &image, "--key", key, "--upload=false"], more].concat());
        let files = ["--output-signature", "a.sig", "--output-payload", "a.payload"];
        let done = sign("a.key", &files).expect(0, &[]);
        assert_eq!(done.stdout, "");
        sign("b.key", &["--output-bundle", "b.bundle"]).expect(0, &[]);
        nothing_attached(&world);
        world
            .csign(&["attach", "signature", &image, "--payload", "a.payload", "--signature", "a.sig"])
            .expect(0, &["has the signature of"]);
        world
            .csign(&["attach", "attestation", &image, "--attestation", "b.bundle", "--key", "b.pub"])
            .expect(0, &["sign/v1"]);
        world
            .csign(&["verify", &image, "--key", "a.pub", "--key", "b.pub"])
            .expect(0, &["2 of 2", "signed bundle among the referrers"]);
    }
}

#[test]
fn what_no_file_holds_is_printed() {
    let world = World::new();
    world.key("a");
    let image = world.image();
    let sign = |more: &[&str]| {
        let sign = ["sign", &image, "--key", "a.key", "--upload=false"];
        world.csign(&[&sign, more].concat()).expect(0, &[]).stdout
    };
    let signature = sign(&["--format", "both", "--output-bundle", "b"]);
    let bundle = sign(&["--format", "both", "--output-signature", "s"]);
    assert_eq!((signature.trim(), bundle.trim()), (&*world.read("s"), &*world.read("b")));
    assert_eq!(sign(&["--output-payload", "p"]), signature);
    assert_eq!(sign(&["--output-payload", "p", "--output-bundle", "b"]), signature);
    assert_eq!(sign(&["--output-signature", "s", "--output-bundle", "b"]), "");
}

#[test]
fn files_of_both_formats_are_written_before_an_upload_that_fails() {
    let world = World::new();
    world.key("a");
    let image = world.image();
    let missing = image.replace(&world.digest.to_string(), &csign_oci::Digest::of("absent").to_string());
    let files = ["--output-signature", "s", "--output-payload", "p", "--output-bundle", "b"];
    let arguments = [&["sign", &missing, "--key", "a.key", "--format", "both"], &files[..]].concat();
    world.csign(&arguments).expect(3, &["hint:"]);
    for file in ["s", "p", "b"] {
        assert!(!world.read(file).is_empty(), "{file}");
    }
    nothing_attached(&world);
}

#[test]
fn a_file_for_a_format_that_is_not_written_is_wrong_usage() {
    let world = World::new();
    world.key("a");
    let image = world.image();
    world.registry.clear_log();
    for more in [
        &["--format", "legacy", "--output-bundle", "b"][..],
        &["--output-bundle", "b"],
        &["--format", "bundle", "--output-signature", "s"],
        &["--format", "bundle", "--output-payload", "p"],
        &["--upload=false", "--format", "legacy", "--output-bundle", "b"],
        &["--upload=false", "--format", "bundle", "--output-payload", "p"],
        // One of the two would be made and lost.
        &["--upload=false", "--format", "both"],
        &["--upload=false", "--format", "both", "--output-payload", "p"],
    ] {
        world.csign(&[&["sign", &image, "--key", "a.key"], more].concat()).expect(2, &["format"]);
    }
    for file in ["b", "s", "p"] {
        assert!(!world.path(file).exists(), "{file}");
    }
    assert!(world.requests().is_empty(), "{:?}", world.requests());
}

/// Signs NAME.payload with the key of this seed into NAME.sig, as any other program would.
fn sign_payload(world: &World, name: &str, seed: u8) {
    let key = SigningKey::from_slice(&[seed; 32]).expect("scalar");
    let signature: Signature = key.sign(world.read(&format!("{name}.payload")).as_bytes());
    world.write(&format!("{name}.sig"), &BASE64_STANDARD.encode(signature.to_der().as_bytes()));
    world.write(&format!("{name}.pub"), &PublicKey::new(*key.verifying_key()).expect("key").pem());
}

#[test]
fn a_generated_payload_that_another_program_signed_is_attached() {
    for world in World::both() {
        let image = world.image();
        world.write("x.payload", "");
        sign_payload(&world, "x", 7);
        world.registry.clear_log();
        let named = world.csign(&["generate", &image, "--key", "x.pub", "-a", "env=prod"]).expect(0, &[]).stdout;
        let plain = world.csign(&["generate", &image]).expect(0, &[]).stdout;
        assert!(world.requests().is_empty());
        assert!(named.ends_with('}') && plain.ends_with("\"optional\":null}"), "{named} {plain}");
        world.write("x.payload", &named);
        sign_payload(&world, "x", 7);
        world.write("y.payload", &plain);
        sign_payload(&world, "y", 8);
        let attach = |name: &str, more: &[&str]| {
            let (payload, signature) = (format!("{name}.payload"), format!("{name}.sig"));
            let arguments = ["attach", "signature", &image, "--payload", &payload, "--signature", &signature];
            world.csign(&[&arguments, more].concat())
        };
        attach("x", &[]).expect(0, &[]);
        attach("y", &[]).expect(2, &["does not name its public key", "--key"]);
        attach("y", &["--key", "x.pub"]).expect(1, &["does not verify"]);
        attach("y", &["--key", "y.pub"]).expect(0, &[]);
        world.csign(&["verify", &image, "--key", "x.pub", "--key", "y.pub"]).expect(0, &["2 of 2"]);
        world.csign(&["verify", &image, "--key", "x.pub", "-a", "env=prod"]).expect(0, &[]);
        world.csign(&["verify", &image, "--key", "y.pub", "-a", "env=prod"]).expect(1, &["no annotation env"]);
    }
}
