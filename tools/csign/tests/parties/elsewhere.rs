//! `COSIGN_REPOSITORY`: what is attached lies in another repository than the image.

use csign_oci::Digest;

use crate::world::{Done, World};

const NAME: &str = "team/app";
const ELSEWHERE: &str = "team/signatures";

fn csign(world: &World, arguments: &[&str]) -> Done {
    world.csign_with("COSIGN_REPOSITORY", &format!("{}/{ELSEWHERE}", world.address), arguments)
}

#[test]
fn signatures_and_attestations_in_every_format_are_written_and_found_there() {
    for world in World::both() {
        let image = world.image();
        world.write("p.json", "{\"foo\":\"bar\"}");
        for (name, format) in [("a", "legacy"), ("b", "bundle"), ("c", "both")] {
            world.key(name);
            let key = format!("{name}.key");
            for _ in 0..2 {
                csign(&world, &["sign", &image, "--key", &key, "--format", format]).expect(0, &["signed with"]);
                let attest = ["attest", &image, "--key", &key, "--format", format, "--predicate", "p.json"];
                let command = world
                    .command(&attest)
                    .env("SOURCE_DATE_EPOCH", "1")
                    .env("COSIGN_REPOSITORY", format!("{}/{ELSEWHERE}", world.address))
                    .output()
                    .expect("csign runs");
                Done::from(command).expect(0, &["has the attestation"]);
            }
        }
        assert!(world.registry.tags(NAME).is_empty(), "{:?}", world.registry.tags(NAME));
        assert!(world.referrers(NAME).is_empty());
        assert_eq!(world.layers(ELSEWHERE, ".sig").len(), 2);
        assert_eq!(world.layers(ELSEWHERE, ".att").len(), 2);
        assert_eq!(world.bundles(ELSEWHERE), 4);
        let keys = ["--key", "a.pub", "--key", "b.pub", "--key", "c.pub"];
        let (verify, attested) = (["verify", &image], ["verify-attestation", &image]);
        csign(&world, &[&verify[..], &keys].concat()).expect(0, &["3 of 3"]);
        csign(&world, &[&attested[..], &keys].concat()).expect(0, &["3 of 3"]);
        world.csign(&[&verify[..], &keys].concat()).expect(1, &["MISSING", "0 of 3"]);
        world.csign(&[&attested[..], &keys].concat()).expect(1, &["MISSING", "0 of 3"]);
    }
}

#[test]
fn what_was_made_elsewhere_is_attached_there() {
    for world in World::both() {
        let image = world.image();
        world.key("a");
        world.write("p.json", "{}");
        world.write("s.json", "{\"spdxVersion\":\"SPDX-2.3\"}");
        let files = ["--upload=false", "--output-signature", "s", "--output-payload", "p"];
        world.csign(&[&["sign", &image, "--key", "a.key"], &files[..]].concat()).expect(0, &[]);
        for (format, file) in [("legacy", "e.json"), ("bundle", "b.json")] {
            let attest = ["--predicate", "p.json", "--no-upload", "--format", format, "--output-attestation", file];
            world.csign(&[&["attest", &image, "--key", "a.key"], &attest[..]].concat()).expect(0, &[]);
        }
        csign(&world, &["attach", "signature", &image, "--signature", "s", "--payload", "p"]).expect(0, &[]);
        let attestations = ["--attestation", "e.json", "--attestation", "b.json", "--key", "a.pub"];
        csign(&world, &[&["attach", "attestation", &image], &attestations[..]].concat()).expect(0, &[]);
        csign(&world, &["attach", "sbom", &image, "--sbom", "s.json"]).expect(0, &["not signed"]);
        assert!(world.registry.tags(NAME).is_empty() && world.referrers(NAME).is_empty());
        assert_eq!((world.layers(ELSEWHERE, ".sig").len(), world.layers(ELSEWHERE, ".att").len()), (1, 1));
        assert_eq!(world.bundles(ELSEWHERE), 1);
        csign(&world, &["verify", &image, "--key", "a.pub"]).expect(0, &[]);
        csign(&world, &["verify-attestation", &image, "--key", "a.pub"]).expect(0, &[]);
        csign(&world, &["attach", &image, "--repair"]).expect(0, &[]);
    }
}

#[test]
fn commands_that_read_beside_the_image_alone_say_so() {
    let world = World::new();
    let image = world.image();
    world.key("a");
    csign(&world, &["sign", &image, "--key", "a.key"]).expect(0, &[]);
    for (status, arguments) in [
        (0, &["tree", &image][..]),
        (1, &["download", "signature", &image]),
        (0, &["save", &image, "--dir", "saved"]),
        (0, &["clean", &image, "--yes"]),
    ] {
        let done = csign(&world, arguments).expect(status, &["warning: this command reads", ELSEWHERE]);
        assert!(!done.stdout.contains("warning"), "{done:?}");
    }
    csign(&world, &["verify", &image, "--key", "a.pub"]).expect(0, &[]);
}

#[test]
fn triangulate_says_where_what_is_attached_lies_and_where_the_image_does() {
    let world = World::new();
    let (image, place) = (world.image(), format!("{}/{ELSEWHERE}:sha256-{}.sig", world.address, world.digest.hex()));
    csign(&world, &["triangulate", &image]).expect(0, &[&place]);
    csign(&world, &["triangulate", &image, "--type", "digest"]).expect(0, &[&image]);
}

#[test]
fn collected_approvals_are_attached_there() {
    for world in World::both() {
        let image = world.image();
        world.key("a");
        world.key("b");
        world.contract(&["a", "b"]);
        world.csign(&["request", "--layout", "image"]).expect(0, &[]);
        for name in ["a", "b"] {
            let (key, out) = (format!("{name}.key"), format!("{name}.json"));
            world
                .csign(&["approve", "request.json", "--key", &key, "--rebuilt", "image", "--out", &out])
                .expect(0, &[]);
        }
        csign(&world, &["collect", "a.json", "b.json", "--format", "both"]).expect(0, &["2 of 2"]);
        assert!(world.registry.tags(NAME).is_empty() && world.referrers(NAME).is_empty());
        assert_eq!((world.layers(ELSEWHERE, ".sig").len(), world.bundles(ELSEWHERE)), (2, 4));
        csign(&world, &["verify", &image, "--contract", "collaboration.toml"]).expect(0, &["2 of 2"]);
    }
}

#[test]
fn no_bundle_is_attached_there_to_an_image_that_is_not_where_it_is_said_to_be() {
    let world = World::new();
    world.key("a");
    let missing = format!("{}/{NAME}@{}", world.address, Digest::of("absent"));
    csign(&world, &["sign", &missing, "--key", "a.key", "--format", "bundle"]).expect(3, &["there is no such image"]);
    assert!(world.registry.tags(ELSEWHERE).is_empty());
}

#[test]
fn a_malformed_repository_is_wrong_usage_for_every_command() {
    let world = World::new();
    world.key("a");
    let image = world.image();
    for value in
        ["r.example", "https://r.example/a", "r.example/UPPER", "r.example/a:tag", "r.example/a b", "/", "a//b"]
    {
        for arguments in [
            &["verify", &image, "--key", "a.pub"][..],
            &["sign", &image, "--key", "a.key"],
            &["verify-attestation", &image, "--key", "a.pub"],
        ] {
            world.csign_with("COSIGN_REPOSITORY", value, arguments).expect(2, &["COSIGN_REPOSITORY"]);
        }
    }
    assert!(world.registry.tags(NAME).is_empty());
}
