//! `csign sign --format`: what is in the registry afterwards.

use csign_envelope::statement::SIGN_PREDICATE;

use crate::world::World;

const NAME: &str = "team/app";

fn signed_by(world: &World, name: &str, more: &[&str]) -> crate::world::Done {
    let (image, key) = (world.image(), format!("{name}.key"));
    world.csign(&[&["sign", &image, "--key", &key], more].concat())
}

#[test]
fn each_format_writes_what_it_says_and_a_second_time_nothing() {
    for world in World::both() {
        world.key("a");
        for (key, format, legacy, bundles) in [("a", "legacy", 1, 0), ("b", "bundle", 1, 1), ("c", "both", 2, 2)] {
            if key != "a" {
                world.key(key);
            }
            for _ in 0..2 {
                signed_by(&world, key, &["--format", format]).expect(0, &["signed with"]);
                assert_eq!((world.layers(NAME, ".sig").len(), world.bundles(NAME)), (legacy, bundles), "{format}");
            }
            let pub_file = format!("{key}.pub");
            world.csign(&["verify", &world.image(), "--key", &pub_file]).expect(0, &["VERIFIED", "1 of 1"]);
        }
        world
            .csign(&["verify", &world.image(), "--key", "a.pub", "--key", "b.pub", "--key", "c.pub"])
            .expect(0, &["3 of 3", "signature in the registry", "signed bundle among the referrers"]);
    }
}

#[test]
fn a_second_bundle_of_the_same_key_is_not_written_though_an_hour_later() {
    for world in World::both() {
        world.key("a");
        for time in ["1000000000", "1000003600"] {
            let (image, arguments) = (world.image(), ["--key", "a.key", "--format", "bundle"]);
            world
                .csign_with("SOURCE_DATE_EPOCH", time, &[&["sign", &image], &arguments[..]].concat())
                .expect(0, &["signed with"]);
        }
        assert_eq!(world.bundles(NAME), 1);
    }
}

#[test]
fn the_default_is_legacy_and_under_a_contract_both_where_referrers_are_listed() {
    for (world, bundles) in World::both().into_iter().zip([1, 0]) {
        world.key("a");
        world.key("b");
        world.contract(&["a", "b"]);
        let data = signed_by(&world, "a", &["--output", "json"]).expect(0, &[]).json();
        assert_eq!(data["format"], "legacy");
        assert_eq!((world.layers(NAME, ".sig").len(), world.bundles(NAME)), (1, 0));
        let data =
            signed_by(&world, "b", &["--contract", "collaboration.toml", "--output", "json"]).expect(0, &[]).json();
        assert_eq!(data["format"], if bundles == 1 { "both" } else { "legacy" });
        assert_eq!((world.layers(NAME, ".sig").len(), world.bundles(NAME)), (2, bundles));
    }
}

#[test]
fn a_registry_that_does_not_say_whether_it_lists_referrers_is_not_taken_for_one_that_does_not() {
    use simulator::registry::{Effect, Fault};
    let world = World::new();
    world.key("a");
    world.contract(&["a"]);
    world.registry.inject(Fault::on("/referrers/", Effect::Status(500, None)).times(1000));
    signed_by(&world, "a", &["--contract", "collaboration.toml"]).expect(3, &["hint:"]);
    assert!(world.layers(NAME, ".sig").is_empty(), "half of what was asked for was written");
}

#[test]
fn the_referrers_manifest_is_as_cosign_looks_for_it() {
    let world = World::new();
    world.key("a");
    signed_by(&world, "a", &["--format", "bundle"]).expect(0, &[]);
    let digest = world.referrers(NAME).first().expect("bundle").digest;
    let stored = world.registry.manifest(NAME, &digest.to_string()).expect("manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&stored.bytes).expect("json");
    assert_eq!(manifest["config"]["artifactType"], manifest["artifactType"]);
    assert_eq!(manifest["annotations"]["dev.sigstore.bundle.predicateType"], SIGN_PREDICATE);
    assert_eq!(manifest["annotations"]["dev.sigstore.bundle.content"], "dsse-envelope");
    assert_eq!(manifest["subject"]["digest"], world.digest.to_string());
}

#[test]
fn annotations_are_signed_in_both_formats_and_verify_wants_them() {
    for world in World::both() {
        let image = world.image();
        for (name, format) in [("a", "legacy"), ("b", "bundle")] {
            world.key(name);
            signed_by(&world, name, &["--format", format, "-a", "env=prod", "-a", "team=x"]).expect(0, &[]);
        }
        let verify =
            |more: &[&str]| world.csign(&[&["verify", &image, "--key", "a.pub", "--key", "b.pub"], more].concat());
        verify(&[]).expect(0, &["2 of 2"]);
        verify(&["-a", "env=prod"]).expect(0, &["2 of 2"]);
        verify(&["-a", "env=prod", "-a", "team=x"]).expect(0, &["2 of 2"]);
        verify(&["-a", "env=test"]).expect(1, &["0 of 2", "annotation env is \"prod\""]);
        verify(&["-a", "env=prod", "-a", "absent=1"]).expect(1, &["no annotation absent"]);
        verify(&["-a", "env=prod", "-a", "env=test"]).expect(2, &["two values"]);
    }
}

#[test]
fn a_plain_signature_does_not_stand_for_an_annotated_one() {
    let world = World::new();
    world.key("a");
    for format in ["legacy", "bundle"] {
        signed_by(&world, "a", &["--format", format]).expect(0, &[]);
    }
    let verify = || world.csign(&["verify", &world.image(), "--key", "a.pub", "-a", "env=prod"]);
    verify().expect(1, &["no annotation env"]);
    signed_by(&world, "a", &["--format", "bundle", "-a", "env=prod"]).expect(0, &[]);
    assert_eq!(world.bundles(NAME), 2);
    verify().expect(0, &["VERIFIED"]);
}

#[test]
fn annotations_that_csign_sets_itself_or_that_are_none_are_refused() {
    let world = World::new();
    world.key("a");
    for format in ["legacy", "bundle", "both"] {
        for (annotation, words) in [
            ("dev.cosignproject.cosign/pub=x", "csign sets"),
            ("dev.cosignproject.cosign/sigalg=x", "csign sets"),
            ("=x", "NAME=VALUE"),
            ("x", "NAME=VALUE"),
        ] {
            signed_by(&world, "a", &["--format", format, "-a", annotation]).expect(2, &[words]);
        }
        signed_by(&world, "a", &["--format", format, "-a", "x=1", "-a", "x=2"]).expect(2, &["two values"]);
    }
    assert!(world.layers(NAME, ".sig").is_empty() && world.referrers(NAME).is_empty());
}

#[test]
fn eight_concurrent_signers_in_both_formats_all_verify() {
    for world in World::both() {
        let image = world.image();
        let names: Vec<String> = (1..=8).map(|n| format!("k{n}")).collect();
        names.iter().for_each(|name| world.key(name));
        let sign = |name: &String| {
            let key = format!("{name}.key");
            let mut command = world.command(&["sign", &image, "--key", &key, "--format", "both"]);
            command
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .expect("csign runs")
        };
        for child in names.iter().map(sign).collect::<Vec<_>>() {
            let output = child.wait_with_output().expect("csign ends");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        assert_eq!((world.layers(NAME, ".sig").len(), world.bundles(NAME)), (8, 8));
        let keys: Vec<String> = names.iter().flat_map(|name| ["--key".to_owned(), format!("{name}.pub")]).collect();
        let verify = || {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            world.csign(&[&["verify", &image], &keys[..]].concat())
        };
        verify().expect(0, &["8 of 8", "signature in the registry"]);
        assert!(world.registry.delete_manifest(NAME, &format!("sha256-{}.sig", world.digest.hex())));
        verify().expect(0, &["8 of 8", "signed bundle"]);
    }
}
