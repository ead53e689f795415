//! `csign verify-attestation`: several keys, thresholds, and Rego policies.

use std::path::Path;

use simulator::registry::{Effect, Fault};

use crate::world::{Done, World};

const NAME: &str = "team/app";

/// Keys a, b and c; a attested that foo is bar in the legacy format, b the same with a bundle.
fn attested(world: &World) {
    for name in ["a", "b", "c"] {
        world.key(name);
    }
    attest(world, "a", "legacy", "bar");
    attest(world, "b", "bundle", "bar");
}

fn attest(world: &World, name: &str, format: &str, value: &str) {
    world.write("p.json", &format!("{{\"foo\": \"{value}\"}}"));
    let (image, key) = (world.image(), format!("{name}.key"));
    let arguments = ["attest", &image, "--key", &key, "--format", format, "--predicate", "p.json"];
    world.csign_with("SOURCE_DATE_EPOCH", "1767323045", &arguments).expect(0, &[]);
}

fn verify(world: &World, keys: &[&str], more: &[&str]) -> Done {
    let files: Vec<String> = keys.iter().map(|name| format!("{name}.pub")).collect();
    let image = world.image();
    let mut arguments = vec!["verify-attestation", &image];
    arguments.extend(files.iter().flat_map(|file| ["--key", file]));
    world.csign(&[&arguments, more].concat())
}

fn policy(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy").join(name).display().to_string()
}

#[test]
fn parties_are_counted_over_both_formats_and_against_the_threshold() {
    for world in World::both() {
        attested(&world);
        verify(&world, &["a", "b"], &[]).expect(0, &["2 of 2 required attested", "attestation tag", "bundle"]);
        verify(&world, &["a", "b", "c"], &[]).expect(1, &["MISSING", "2 of 3"]);
        verify(&world, &["a", "b", "c"], &["--threshold", "2"]).expect(0, &["2 of 2"]);
        attest(&world, "a", "both", "other");
        verify(&world, &["a", "c"], &["--threshold", "2"]).expect(1, &["1 of 2"]);
        verify(&world, &["a", "b"], &["--threshold", "3"]).expect(2, &["threshold"]);
        verify(&world, &["a", "b"], &["--threshold=0"]).expect(2, &["threshold"]);
        verify(&world, &["a", "a"], &["--threshold", "1"]).expect(2, &["the same key"]);
    }
}

#[test]
fn another_type_is_not_what_was_asked_for_and_a_signature_is_no_attestation() {
    for world in World::both() {
        attested(&world);
        world.csign(&["sign", &world.image(), "--key", "a.key", "--format", "both"]).expect(0, &[]);
        for kind in
            ["slsaprovenance1", "spdxjson", "https://example.com/x", "https://csign.dev/attestation/reproduced/v1"]
        {
            verify(&world, &["a", "b"], &["--type", kind]).expect(1, &["MISSING", "0 of 2"]);
        }
        verify(&world, &["a"], &["--type", "nonsense"]).expect(2, &["is no attestation type"]);
    }
}

#[test]
fn the_tutorials_policy_works_unchanged_and_a_refusal_names_rule_and_input() {
    for world in World::both() {
        attested(&world);
        let file = policy("v0/custom/policy.rego");
        verify(&world, &["a", "b"], &["--policy", &file]).expect(0, &["VERIFIED"]);
        attest(&world, "b", "bundle", "baz");
        let done = verify(&world, &["a", "b"], &["--policy", &file]).expect(1, &["REFUSED", "policy.rego:14", "baz"]);
        assert!(done.stdout.lines().any(|row| row.starts_with("b.pub") && row.contains("REFUSED")), "{done:?}");
        assert!(done.stdout.lines().any(|row| row.starts_with("a.pub") && row.contains("attestation tag")), "{done:?}");
        // It asks for the other parties no less.
        verify(&world, &["a", "b"], &["--policy", &file, "--threshold", "1"]).expect(0, &["1 of 1", "REFUSED"]);
        // With all policies satisfied but one it is refused too.
        world.write("yes.rego", "package signature\nallow { input.predicate.Data }\n");
        verify(&world, &["a"], &["--policy", "yes.rego"]).expect(0, &[]);
        verify(&world, &["b"], &["--policy", "yes.rego", "--policy", &file]).expect(1, &["REFUSED"]);
    }
}

#[test]
fn a_policy_of_the_newer_language_shows_the_path_of_what_it_refuses() {
    let world = World::new();
    world.key("a");
    world.write("p.json", r#"{"buildDefinition":{"resolvedDependencies":[{"uri":"git+https://github.com/example/app@1"}]},"runDetails":{"builder":{"id":"https://mallory.example"}}}"#);
    let (image, file) = (world.image(), policy("v1/provenance/policy.rego"));
    let attest = || {
        let attest = ["attest", &image, "--key", "a.key", "--type", "slsaprovenance1", "--predicate", "p.json"];
        world.csign(&attest).expect(0, &[]);
    };
    attest();
    let verify =
        |more: &[&str]| verify(&world, &["a"], &[&["--type", "slsaprovenance1", "--policy", &file], more].concat());
    verify(&[]).expect(1, &["REFUSED", "input.predicate.runDetails.builder.id", "https://mallory.example"]);
    verify(&["--rego", "v0"]).expect(2, &["policy.rego:"]);
    let good = world.read("p.json").replace("mallory.example", "cloudbuild.googleapis.com/GoogleHostedWorker");
    world.write("p.json", &good);
    attest();
    // What the party stated before it cannot take back.
    verify(&[]).expect(1, &["REFUSED", "https://mallory.example"]);
    assert!(world.registry.delete_manifest(NAME, &format!("sha256-{}.att", world.digest.hex())));
    world.csign(&["clean", &image, "--yes"]).expect(0, &[]);
    attest();
    verify(&[]).expect(0, &["VERIFIED"]);
    verify(&["--rego", "v1"]).expect(0, &["VERIFIED"]);
}

#[test]
fn a_policy_that_makes_no_sense_is_wrong_usage_and_one_that_allows_nothing_refuses() {
    let world = World::new();
    attested(&world);
    world.registry.clear_log();
    for text in
        ["", "package signature\nallow {", "allow = true", "package signature\nallow { http.send({}) }\n", "\u{0}"]
    {
        world.write("p.rego", text);
        verify(&world, &["a"], &["--policy", "p.rego"]).expect(2, &["p.rego"]);
    }
    verify(&world, &["a"], &["--policy", "absent.rego"]).expect(2, &["absent.rego"]);
    verify(&world, &["a"], &["--policy", "p.rego", "--rego", "v2"]).expect(2, &["v2"]);
    verify(&world, &["a"], &["--rego", "v1"]).expect(2, &["--policy"]);
    assert!(world.requests().is_empty(), "{:?}", world.requests());
    for text in [
        "package other\nallow { true }\n",
        "package signature\nallow = \"true\"\n",
        "package signature\nallow = 1\n",
        "package signature\nallow = [true]\n",
        "package signature\ndefault allow = false\n",
        "package signature\nallow { input.predicate.Data / 0 }\n",
        "package signature\nallow { to_number(input.predicate.Data) == 1 }\n",
    ] {
        world.write("p.rego", text);
        verify(&world, &["a"], &["--policy", "p.rego"]).expect(1, &["REFUSED", "p.rego"]);
    }
}

#[test]
fn an_attestation_that_cannot_be_read_may_be_the_one_that_a_policy_refuses() {
    let world = World::new();
    attested(&world);
    let before = world.referrers(NAME);
    attest(&world, "a", "bundle", "baz");
    let file = policy("v0/custom/policy.rego");
    let of_a = world.referrers(NAME).into_iter().find(|one| !before.contains(one)).expect("bundle").digest;
    verify(&world, &["a"], &["--policy", &file]).expect(1, &["REFUSED"]);
    for (path, effect) in [
        (format!("/manifests/{of_a}"), Effect::Status(500, None)),
        (format!("/manifests/{of_a}"), Effect::Status(404, None)),
        ("/referrers/".to_owned(), Effect::Status(503, Some(0))),
    ] {
        world.registry.clear_faults();
        world.registry.inject(Fault::on(path, effect).times(1000));
        verify(&world, &["a"], &["--policy", &file]).expect(3, &["COULD NOT CHECK", "unchecked"]);
        // Without a policy one attestation that was read is enough.
        verify(&world, &["a"], &[]).expect(0, &["VERIFIED"]);
    }
    world.registry.clear_faults();
    world.registry.inject(Fault::on(".att", Effect::Status(500, None)).times(1000));
    let done = verify(&world, &["a", "b"], &["--threshold", "2", "--policy", &file]);
    done.expect(3, &["COULD NOT CHECK"]);
}

#[test]
fn the_document_for_programs_has_verdict_parties_and_statements_and_is_the_same_every_time() {
    for world in World::both() {
        attested(&world);
        let file = policy("v0/custom/policy.rego");
        let document = || verify(&world, &["a", "b"], &["--policy", &file, "--output", "json"]);
        let first = document().expect(0, &[]);
        let data = first.json();
        assert_eq!(data["verdict"], "verified");
        assert_eq!(data["predicateType"], "https://cosign.sigstore.dev/attestation/v1");
        assert_eq!((&data["policies"], &data["required"]), (&1.into(), &2.into()));
        assert_eq!(data["parties"][0]["status"], "signed");
        assert_eq!(
            (&data["parties"][0]["source"], &data["parties"][1]["source"]),
            (&"attestation".into(), &"bundle".into())
        );
        for (number, party) in ["a.pub", "b.pub"].into_iter().enumerate() {
            let one = &data["statements"][number];
            assert_eq!(one["party"], party);
            assert_eq!(one["statement"]["subject"][0]["digest"]["sha256"], world.digest.hex());
            assert_eq!(one["statement"]["predicate"]["Data"], "{\"foo\": \"bar\"}");
        }
        assert_eq!(document().stdout, first.stdout);
        attest(&world, "b", "bundle", "baz");
        let data = verify(&world, &["b"], &["--policy", &file, "--output", "json"]).expect(1, &[]).json();
        assert_eq!((&data["verdict"], &data["parties"][0]["status"]), (&"rejected".into(), &"policy-refused".into()));
        assert!(data["parties"][0]["reasons"][0].as_str().is_some_and(|text| text.contains("policy.rego")));
    }
}
