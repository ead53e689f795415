//! `csign verify` of certificates under the services that cosign's `SIGSTORE_*` variables name.

use std::{collections::BTreeMap, fs};

use csign_oci::{Descriptor, Manifest, manifest::IMAGE_MANIFEST};
use serde_json::Value;

use crate::world::{Done, World};

const NAME: &str = "team/app";
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The variables, and the files of [`write_files`] that they name.
const VARIABLES: [(&str, &str); 4] = [
    ("SIGSTORE_ROOT_FILE", "fulcio.pem"),
    ("SIGSTORE_REKOR_PUBLIC_KEY", "rekor.pem"),
    ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", "ctlog.pem"),
    ("SIGSTORE_TSA_CERTIFICATE_FILE", "tsa.pem"),
];

fn fixture(name: &str) -> String {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/keyless");
    fs::read_to_string(format!("{fixtures}/{name}.json")).expect("a fixture")
}

fn pem(label: &str, base64: &Value) -> String {
    let lines: Vec<String> =
        base64.as_str().expect("text").as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn write_files(world: &World) {
    let root: Value = serde_json::from_str(&fixture("trusted_root")).expect("JSON");
    let key = |list: &str| pem("PUBLIC KEY", &root[list][0]["publicKey"]["rawBytes"]);
    let chain = |list: &str| -> String {
        let chain = root[list][0]["certChain"]["certificates"].as_array().expect("a chain");
        chain.iter().map(|one| pem("CERTIFICATE", &one["rawBytes"])).collect()
    };
    world.write("fulcio.pem", &chain("certificateAuthorities"));
    world.write("rekor.pem", &key("tlogs"));
    world.write("ctlog.pem", &key("ctlogs"));
    world.write("tsa.pem", &chain("timestampAuthorities"));
    world.write("trusted_root.json", &fixture("trusted_root"));
}

/// Puts the signature that cosign made into the registry; the arguments that verify it.
fn signed(world: &World) -> Vec<String> {
    write_files(world);
    let written: Value = serde_json::from_str(&fixture("cosign-sig")).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let (image, payload) = (text(&written["image"]), text(&written["payload"]));
    let mut layer = Descriptor::of(SIMPLE_SIGNING, payload.as_bytes());
    layer.annotations =
        serde_json::from_value::<BTreeMap<String, String>>(written["annotations"].clone()).expect("annotations");
    world.registry.put_blob(NAME, payload.clone());
    world.registry.put_blob(NAME, &b"{}"[..]);
    let manifest = Manifest::new(Descriptor::empty(), vec![layer]).to_bytes().expect("JSON");
    world.registry.put_manifest(NAME, &format!("{}.sig", image.replace(':', "-")), IMAGE_MANIFEST, manifest);
    let payload: Value = serde_json::from_str(&payload).expect("JSON");
    let repository = text(&payload["critical"]["identity"]["docker-reference"]);
    let image = format!("{}/{NAME}@{image}", world.address);
    let identity = ["--certificate-identity", "https://example.com/release"];
    let issuer = ["--certificate-oidc-issuer", "https://accounts.example.com", "--signed-as", &repository];
    ["verify", &image].into_iter().chain(identity).chain(issuer).map(str::to_owned).collect()
}

fn run(world: &World, arguments: &[String], variables: &[(&str, &str)]) -> Done {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    world.command(&arguments).envs(variables.iter().copied()).output().expect("csign runs").into()
}

#[test]
fn the_services_of_cosigns_variables_are_trusted_and_no_others() {
    let world = World::new();
    let arguments = signed(&world);
    for variables in [&VARIABLES[..], &VARIABLES[..3]] {
        let done = run(&world, &arguments, variables).expect(0, &["VERIFIED"]);
        assert!(!done.stderr.contains("public services"), "{}", done.stderr);
    }
    run(&world, &arguments, &[]).expect(1, &["trusting sigstore's public services"]);
    let mut swapped = VARIABLES;
    swapped[1].1 = "ctlog.pem";
    run(&world, &arguments, &swapped).expect(1, &["REJECTED"]);
}

#[test]
fn some_of_the_variables_without_the_others_are_a_wrong_call_that_names_the_missing() {
    let world = World::new();
    let arguments = signed(&world);
    let needed = &VARIABLES[..3];
    for set in 1..16 {
        let chosen: Vec<_> =
            VARIABLES.iter().enumerate().filter(|(bit, _)| set & (1 << bit) != 0).map(|(_, one)| *one).collect();
        let missing: Vec<&str> = needed.iter().filter(|one| !chosen.contains(one)).map(|(name, _)| *name).collect();
        if missing.is_empty() {
            continue;
        }
        let done = run(&world, &arguments, &chosen).expect(2, &["--trusted-root"]);
        assert!(done.stderr.contains(&format!(" set without {}\n", missing.join(", "))), "{}", done.stderr);
    }
    // Empty is not set.
    let mut empty = VARIABLES;
    empty[1].1 = "";
    run(&world, &arguments, &empty).expect(2, &["set without SIGSTORE_REKOR_PUBLIC_KEY"]);
}

#[test]
fn files_that_are_missing_or_wrong_are_a_wrong_call() {
    let world = World::new();
    let arguments = signed(&world);
    for (variable, file, words) in [
        (0, "rekor.pem", "the PEM file of Fulcio cannot be used"),
        (1, "fulcio.pem", "the PEM file of Rekor cannot be used"),
        (2, "nowhere.pem", "nowhere.pem"),
        (3, "ctlog.pem", "the PEM file of the time stamp authority cannot be used"),
    ] {
        let mut variables = VARIABLES;
        variables[variable].1 = file;
        run(&world, &arguments, &variables).expect(2, &[words]);
    }
}

#[test]
fn a_trusted_root_wins_over_the_variables_and_says_so() {
    let world = World::new();
    let mut arguments = signed(&world);
    arguments.extend(["--trusted-root".to_owned(), "trusted_root.json".to_owned()]);
    let variables = [(VARIABLES[0].0, "nowhere.pem"), (VARIABLES[3].0, "nowhere.pem")];
    let note = "--trusted-root is used; SIGSTORE_ROOT_FILE, SIGSTORE_TSA_CERTIFICATE_FILE not looked at";
    run(&world, &arguments, &variables).expect(0, &["VERIFIED", note]);
    let done = run(&world, &arguments, &[]).expect(0, &["VERIFIED"]);
    assert!(!done.stderr.contains("SIGSTORE"), "{}", done.stderr);
}
