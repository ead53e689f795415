//! `csign attest`, `csign attach attestation` and `csign attach sbom`: what is written, and what is refused.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use csign_oci::Digest;
use serde_json::{Value, json};
use simulator::registry::RegistryOptions;

use crate::world::{Done, PASSWORD, World};

const NAME: &str = "team/app";

/// A predicate that is of the type, and one that is not.
const TYPES: [(&str, &str, &str); 11] = [
    ("custom", "anything", ""),
    ("slsaprovenance", r#"{"builder":{"id":"x"},"buildType":"y"}"#, r#"{"builder":{}}"#),
    ("slsaprovenance02", r#"{"builder":{"id":"x"},"buildType":"y"}"#, "[]"),
    ("slsaprovenance1", r#"{"buildDefinition":{},"runDetails":{}}"#, r#"{"builder":{},"buildType":"y"}"#),
    ("spdx", "SPDXVersion: SPDX-2.3", ""),
    ("spdxjson", r#"{"spdxVersion":"SPDX-2.3"}"#, "SPDXVersion: SPDX-2.3"),
    ("cyclonedx", r#"{"bomFormat":"CycloneDX"}"#, r#"{"spdxVersion":"SPDX-2.3"}"#),
    ("link", r#"{"name":"n","command":[],"materials":[],"products":[],"byproducts":{}}"#, r#"{"name":"n"}"#),
    ("vuln", r#"{"invocation":{},"scanner":{},"metadata":{}}"#, r#"{"scanner":{},"scanner":{}}"#),
    ("openvex", r#"{"@context":"c","statements":[]}"#, "\"text\""),
    ("https://example.com/predicate/v1", "{}", "1"),
];

fn attest(world: &World, more: &[&str]) -> Done {
    let image = world.image();
    let arguments = [&["attest", &image, "--key", "a.key"], more].concat();
    world.csign_with("SOURCE_DATE_EPOCH", "1767323045", &arguments)
}

#[test]
fn every_type_is_attested_in_both_formats_and_found_under_its_own_type_alone() {
    for world in World::both() {
        world.key("a");
        let image = world.image();
        let verify = |kind: &str| world.csign(&["verify-attestation", &image, "--key", "a.pub", "--type", kind]);
        for (number, (kind, predicate, bad)) in TYPES.iter().enumerate() {
            world.write("p", predicate);
            world.write("bad", bad);
            let known =
                TYPES[..number].iter().any(|(other, ..)| other.trim_end_matches("02") == kind.trim_end_matches("02"));
            if !known && *kind != "spdxjson" {
                verify(kind).expect(1, &["MISSING"]);
            }
            let format = if number % 2 == 0 { "legacy" } else { "bundle" };
            attest(&world, &["--type", kind, "--predicate", "p", "--format", format]).expect(0, &[kind]);
            verify(kind).expect(0, &["1 of 1 required attested"]);
            if !bad.is_empty() {
                attest(&world, &["--type", kind, "--predicate", "bad"]).expect(2, &["bad", kind, "hint:"]);
            }
        }
        assert_eq!((world.layers(NAME, ".att").len(), world.bundles(NAME)), (6, 5));
        world.csign(&["verify", &image, "--key", "a.pub"]).expect(1, &["MISSING"]);
    }
}

#[test]
fn attesting_the_same_twice_adds_nothing() {
    for world in World::both() {
        world.key("a");
        world.write("p", "{}");
        for (format, legacy, bundles) in [("legacy", 1, 0), ("bundle", 1, 1), ("both", 1, 1)] {
            for _ in 0..2 {
                attest(&world, &["--predicate", "p", "--format", format]).expect(0, &[]);
                assert_eq!((world.layers(NAME, ".att").len(), world.bundles(NAME)), (legacy, bundles), "{format}");
            }
        }
        // Another statement is another attestation.
        world.write("p", "{\"x\":1}");
        attest(&world, &["--predicate", "p", "--format", "both"]).expect(0, &[]);
        assert_eq!((world.layers(NAME, ".att").len(), world.bundles(NAME)), (2, 2));
    }
}

#[test]
fn the_same_statement_is_not_written_again_an_hour_later() {
    for world in World::both() {
        world.key("a");
        world.write("p", r#"{"bomFormat":"CycloneDX"}"#);
        let image = world.image();
        for time in ["1767323045", "1767326645"] {
            let attest =
                ["attest", &image, "--key", "a.key", "--type", "cyclonedx", "--predicate", "p", "--format", "both"];
            world.csign_with("SOURCE_DATE_EPOCH", time, &attest).expect(0, &[]);
            assert_eq!((world.layers(NAME, ".att").len(), world.bundles(NAME)), (1, 1), "{time}");
        }
    }
}

#[test]
fn attestations_made_without_any_connection_are_attached_together() {
    for world in World::both() {
        world.key("a");
        world.key("b");
        world.write("p", "{\"foo\":\"bar\"}");
        let image = world.image();
        world.registry.clear_log();
        let envelope = attest(&world, &["--predicate", "p", "--no-upload"]).expect(0, &[]).stdout;
        let bundle = attest(&world, &["--predicate", "p", "--no-upload", "--format", "bundle"]).expect(0, &[]).stdout;
        assert!(envelope.ends_with('\n') && bundle.ends_with('\n'));
        world.write("1.json", &envelope);
        world.write("2.json", &bundle);
        let again = attest(&world, &["--predicate", "p", "--no-upload", "--output-attestation", "3.json"]);
        assert_eq!(again.expect(0, &[]).stdout, "");
        assert_eq!(world.read("3.json"), envelope.trim_end(), "the same input gives the same bytes");
        world.write("q", "{\"foo\":\"baz\"}");
        attest(&world, &["--predicate", "q", "--no-upload", "--output-attestation", "4.json"]).expect(0, &[]);
        assert!(world.requests().is_empty(), "{:?}", world.requests());

        let files = ["1.json", "2.json", "3.json", "4.json"].iter().flat_map(|file| ["--attestation", file]);
        let attach: Vec<&str> =
            ["attach", "attestation", &image, "--key", "b.pub", "--key", "a.pub"].into_iter().chain(files).collect();
        for time in ["1767323045", "1767326645"] {
            let attach = [&attach[..], &["--output", "json"]].concat();
            let data = world.csign_with("SOURCE_DATE_EPOCH", time, &attach).expect(0, &[]).json();
            assert_eq!(data["attached"].as_array().map(Vec::len), Some(4));
            assert_eq!((world.layers(NAME, ".att").len(), world.bundles(NAME)), (2, 1));
        }
        world.csign(&["verify-attestation", &image, "--key", "a.pub"]).expect(0, &["1 of 1"]);
        let lines = world.csign(&["download", "attestation", &image]).expect(0, &[]).stdout;
        assert_eq!(lines.lines().count(), 3);
    }
}

#[test]
fn attesting_without_upload_needs_no_registry() {
    let world = World::new();
    world.key("a");
    world.write("p", "{}");
    let image = world.image();
    let (directory, _) = world.unplug();
    for more in [&["--no-upload"][..], &["--no-upload", "--format", "bundle"]] {
        let mut command = Command::new(crate::world::program());
        command.args(["attest", &image, "--key", "a.key", "--predicate", "p"]).args(more);
        command.current_dir(directory.path()).env_clear().env("COSIGN_PASSWORD", PASSWORD);
        Done::from(command.output().expect("csign runs")).expect(0, &["payload"]);
    }
}

#[test]
fn one_file_or_stdout_does_not_hold_two_formats() {
    let world = World::new();
    world.key("a");
    world.write("p", "{}");
    for more in [
        &["--format", "both", "--no-upload"][..],
        &["--format", "both", "--no-upload", "--output-attestation", "o"],
        &["--format", "both", "--output-attestation", "o"],
    ] {
        attest(&world, &[&["--predicate", "p"], more].concat()).expect(2, &["--format legacy or --format bundle"]);
    }
    assert!(!world.path("o").exists() && world.registry.tags(NAME).is_empty() && world.referrers(NAME).is_empty());
}

#[test]
fn a_predicate_comes_from_stdin_too_and_may_be_large() {
    let world = World::new();
    world.key("a");
    let image = world.image();
    let predicate = json!({"bomFormat": "CycloneDX", "pad": "x".repeat(5 << 20)}).to_string();
    for format in ["legacy", "bundle"] {
        let mut command = world.command(&["attest", &image, "--key", "a.key", "--type", "cyclonedx"]);
        command.args(["--predicate", "-", "--format", format]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("csign runs");
        child.stdin.take().expect("stdin").write_all(predicate.as_bytes()).expect("predicate");
        Done::from(child.wait_with_output().expect("csign ends")).expect(0, &[]);
        let verify = ["verify-attestation", &image, "--key", "a.pub", "--type", "cyclonedx", "--output", "json"];
        let data = world.csign(&verify).expect(0, &[]).json();
        assert_eq!(data["statements"][0]["statement"]["predicate"]["pad"].as_str().map(str::len), Some(5 << 20));
        world.registry.delete_manifest(NAME, &format!("sha256-{}.att", world.digest.hex()));
    }
}

#[test]
fn what_cannot_be_stated_is_wrong_usage() {
    let world = World::new();
    world.key("a");
    world.write("p", "{}");
    world.registry.clear_log();
    attest(&world, &[]).expect(2, &["--predicate"]);
    attest(&world, &["--predicate", "absent"]).expect(2, &["absent"]);
    attest(&world, &["--predicate", "p", "--auto"]).expect(2, &[]);
    attest(&world, &["--predicate", "p", "--type", "customs"]).expect(2, &["is no attestation type"]);
    for kind in ["custom", "slsaprovenance", "cyclonedx", "https://example.com/x"] {
        attest(&world, &["--auto", "--type", kind]).expect(2, &["--auto makes no predicate of type", "hint:"]);
    }
    assert!(world.requests().is_empty());
}

#[test]
fn attestations_of_something_or_somebody_else_are_not_attached() {
    let world = World::new();
    world.key("a");
    world.key("b");
    world.write("p", "{}");
    let other = format!("{}/{NAME}@{}", world.address, Digest::of("another image"));
    for (format, file) in [("legacy", "e"), ("bundle", "b")] {
        let made = ["--predicate", "p", "--no-upload", "--format", format, "--output-attestation"];
        attest(&world, &[&made[..], &[file]].concat()).expect(0, &[]);
        let other_file = format!("{file}.other");
        world.csign(&[&["attest", &other, "--key", "a.key"], &made[..], &[&other_file]].concat()).expect(0, &[]);
    }
    let bundle: Value = serde_json::from_str(&world.read("b")).expect("bundle");
    let mut certified = bundle.clone();
    certified["verificationMaterial"] = json!({"certificate": {"rawBytes": "AAAA"}});
    world.write("certified", &certified.to_string());
    let mut message = bundle.clone();
    message.as_object_mut().expect("object").remove("dsseEnvelope");
    message["messageSignature"] =
        json!({"messageDigest": {"algorithm": "SHA2_256", "digest": "AAAA"}, "signature": ""});
    world.write("message", &message.to_string());
    world.write("garbage", "certainly { not JSON");
    world.write("twice", &world.read("e").replacen('{', "{\"payload\":\"e30=\",", 1));
    world.write("cut", &world.read("e")[..200]);
    let image = world.image();
    let attach = |more: &[&str]| world.csign(&[&["attach", "attestation", &image], more].concat());
    for (status, words, arguments) in [
        (1, "not about", &["--attestation", "e.other"][..]),
        (1, "not about", &["--attestation", "b.other"]),
        (1, "none of the keys signed it", &["--attestation", "e", "--key", "b.pub"]),
        (1, "none of the keys signed it", &["--attestation", "b", "--key", "b.pub"]),
        (1, "certificate", &["--attestation", "certified", "--key", "a.pub"]),
        (2, "garbage", &["--attestation", "garbage"]),
        (2, "message", &["--attestation", "message"]),
        (2, "twice", &["--attestation", "twice"]),
        (2, "cut", &["--attestation", "cut"]),
        (2, "absent", &["--attestation", "absent"]),
        (2, "required", &[]),
        // A good one before a bad one is not attached either.
        (1, "e.other", &["--attestation", "e", "--attestation", "e.other"]),
    ] {
        attach(arguments).expect(status, &[words]);
    }
    assert!(world.registry.tags(NAME).is_empty() && world.referrers(NAME).is_empty());
    attach(&["--attestation", "certified"]).expect(0, &["nobody has checked who signed"]);
    assert_eq!(world.bundles(NAME), 1);
}

#[test]
fn a_bill_of_materials_is_given_back_byte_for_byte() {
    for world in World::both() {
        let image = world.image();
        let text = "{\n \"spdxVersion\" : \"SPDX-2.3\"}\n";
        world.write("s.json", text);
        world.write("s.spdx", "SPDXVersion: SPDX-2.3\n");
        let attach = |more: &[&str]| world.csign(&[&["attach", "sbom", &image], more].concat());
        attach(&["--sbom", "s.spdx"]).expect(2, &["s.spdx", "--type"]);
        attach(&["--sbom", "s.json", "--type", "docx"]).expect(2, &["docx"]);
        attach(&["--sbom", "absent"]).expect(2, &["absent"]);
        assert!(world.referrers(NAME).is_empty());
        attach(&["--sbom", "s.json"]).expect(0, &["application/spdx+json", "not signed"]);
        assert_eq!(world.csign(&["download", "sbom", &image]).expect(0, &[]).stdout, text);
        attach(&["--sbom", "s.spdx", "--type", "spdx"]).expect(0, &["text/spdx"]);
        assert_eq!(world.referrers(NAME).len(), 2);
    }
}

#[test]
fn an_attestation_is_written_in_both_formats_under_a_contract_about_its_repository() {
    for referrers in [true, false] {
        let world = World::with(RegistryOptions { referrers, ..RegistryOptions::default() });
        let image = world.image();
        world.key("a");
        world.write("p.json", "{}");
        let attest = || {
            let arguments = ["--output", "json", "attest", &image, "--key", "a.key", "--predicate", "p.json"];
            world.csign(&arguments).expect(0, &[]).json()["format"].as_str().expect("a format").to_owned()
        };
        assert_eq!(attest(), "legacy");
        world.contract(&["a"]);
        assert_eq!(attest(), if referrers { "both" } else { "legacy" });
        let contract = world.read("collaboration.toml").replace("team/app", "team/other");
        world.write("collaboration.toml", &contract);
        assert_eq!(attest(), "legacy");
    }
}
