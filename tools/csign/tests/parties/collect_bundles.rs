//! `csign collect` writes bundles and what the parties rebuilt, once.

use crate::world::World;

const NAME: &str = "team/app";
const REPRODUCED: &str = "https://csign.dev/attestation/reproduced/v1";

/// Both parties approved, and nothing is attached.
fn approved(world: &World) {
    for name in ["a", "b"] {
        world.key(name);
    }
    world.contract(&["a", "b"]);
    world.csign(&["request", "--layout", "image"]).expect(0, &[]);
    for (name, how) in [("a", &["--rebuilt", "image"][..]), ("b", &["--not-rebuilt"])] {
        let (key, out) = (format!("{name}.key"), format!("{name}.json"));
        let approve = ["approve", "request.json", "--key", &key, "--out", &out];
        world.csign(&[&approve, how].concat()).expect(0, &[]);
    }
}

/// Layers of .sig and .att, and bundles.
fn attached(world: &World) -> (usize, usize, usize) {
    (world.layers(NAME, ".sig").len(), world.layers(NAME, ".att").len(), world.bundles(NAME))
}

fn reproduced(world: &World) -> crate::world::Done {
    let image = world.image();
    world.csign(&["verify-attestation", &image, "--type", REPRODUCED, "--key", "a.pub", "--key", "b.pub"])
}

#[test]
fn signatures_bundles_and_reproductions_are_attached_once() {
    for world in World::both() {
        approved(&world);
        for _ in 0..2 {
            world.csign(&["collect", "a.json", "b.json", "--format", "both"]).expect(0, &["2 of 2"]);
            assert_eq!(attached(&world), (2, 0, 4));
        }
        reproduced(&world).expect(0, &["2 of 2 required attested"]);
        assert!(world.registry.delete_manifest(NAME, &format!("sha256-{}.sig", world.digest.hex())));
        world
            .csign(&["verify", &world.image(), "--contract", "collaboration.toml"])
            .expect(0, &["2 of 2", "signed bundle"]);
    }
}

#[test]
fn the_default_is_both_formats_where_referrers_are_listed_and_legacy_elsewhere() {
    for (world, bundles) in World::both().into_iter().zip([4, 0]) {
        approved(&world);
        world.csign(&["collect", "a.json", "b.json"]).expect(0, &["2 of 2"]);
        assert_eq!(attached(&world), (2, 0, bundles));
        reproduced(&world).expect(if bundles == 4 { 0 } else { 1 }, &[]);
    }
}

#[test]
fn the_legacy_format_attaches_no_bundle() {
    for world in World::both() {
        approved(&world);
        world.csign(&["collect", "a.json", "b.json", "--format", "legacy"]).expect(0, &["2 of 2"]);
        assert_eq!(attached(&world), (2, 0, 0));
        reproduced(&world).expect(1, &["MISSING"]);
    }
}

#[test]
fn the_bundle_format_alone_is_verified_from_its_bundles() {
    for world in World::both() {
        approved(&world);
        world.csign(&["collect", "a.json", "b.json", "--format", "bundle"]).expect(0, &["2 of 2", "signed bundle"]);
        assert_eq!(attached(&world), (0, 0, 4));
    }
}

#[test]
fn who_rebuilt_and_who_did_not_is_what_a_policy_can_tell() {
    let world = World::new();
    approved(&world);
    world.csign(&["collect", "a.json", "b.json"]).expect(0, &[]);
    world.write("p.rego", "package signature\nallow { input.predicate.rebuilt == true }\n");
    let verify = |key: &str| {
        let image = world.image();
        world.csign(&["verify-attestation", &image, "--type", REPRODUCED, "--policy", "p.rego", "--key", key])
    };
    verify("a.pub").expect(0, &["VERIFIED"]);
    verify("b.pub").expect(1, &["REFUSED", "input.predicate.rebuilt is false"]);
}

#[test]
fn a_party_that_signed_with_a_bundle_alone_need_not_approve_again() {
    for world in World::both() {
        approved(&world);
        world.csign(&["sign", &world.image(), "--key", "b.key", "--format", "bundle"]).expect(0, &[]);
        world.csign(&["collect", "a.json", "--format", "legacy"]).expect(0, &["2 of 2"]);
    }
}

#[test]
fn an_approval_whose_bundle_or_statement_was_exchanged_is_not_collected() {
    let world = World::new();
    approved(&world);
    let read = |name: &str| -> serde_json::Value { serde_json::from_str(&world.read(name)).expect("approval") };
    let (a, b) = (read("a.json"), read("b.json"));
    for member in ["bundle", "reproduced"] {
        let mut forged = b.clone();
        forged[member] = a[member].clone();
        assert_ne!(forged, b, "{member}");
        world.write("forged.json", &forged.to_string());
        let done = world.csign(&["collect", "a.json", "forged.json"]);
        assert!([1, 2].contains(&done.status), "{member} {done:?}");
    }
    assert_eq!(attached(&world), (0, 0, 0));
}
