//! `csign verify` where parties signed in different formats: the union, how many requests it takes, and a registry that
//! does not answer.

use csign_oci::{Descriptor, Digest, Manifest, manifest::IMAGE_MANIFEST};
use simulator::registry::{Effect, Fault, RegistryOptions};

use crate::world::{Done, World};

const NAME: &str = "team/app";

/// Makes a key NAME and signs with it.
fn sign(world: &World, name: &str, format: &str) {
    world.key(name);
    let key = format!("{name}.key");
    world.csign(&["sign", &world.image(), "--key", &key, "--format", format]).expect(0, &[]);
}

fn verify(world: &World, keys: &[&str]) -> Done {
    let image = world.image();
    let files: Vec<String> = keys.iter().map(|name| format!("{name}.pub")).collect();
    let mut arguments = vec!["verify", &image];
    arguments.extend(files.iter().flat_map(|file| ["--key", file]));
    world.csign(&arguments)
}

#[test]
fn one_party_signed_in_the_legacy_format_and_one_with_a_bundle() {
    for world in World::both() {
        sign(&world, "a", "legacy");
        sign(&world, "b", "bundle");
        verify(&world, &["a", "b"]).expect(0, &["2 of 2"]);
        world.key("c");
        verify(&world, &["a", "b", "c"]).expect(1, &["MISSING", "2 of 3"]);
    }
}

#[test]
fn complete_legacy_signatures_take_one_request_and_need_no_referrers() {
    for world in World::both() {
        for name in ["a", "b", "c"] {
            sign(&world, name, "both");
        }
        world.registry.inject(Fault::on("/referrers/", Effect::Status(500, None)).times(1000));
        world.registry.clear_log();
        verify(&world, &["a", "b", "c"]).expect(0, &["3 of 3"]);
        assert_eq!(world.requests(), [format!("GET /v2/{NAME}/manifests/sha256-{}.sig", world.digest.hex())]);
    }
}

#[test]
fn bundles_take_the_listing_and_one_request_each_and_no_blob() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        sign(&world, name, "bundle");
    }
    world.registry.clear_log();
    verify(&world, &["a", "b", "c"]).expect(0, &["3 of 3"]);
    let requests = world.requests();
    assert_eq!(requests.len(), 5, "{requests:?}");
    assert!(requests[0].ends_with(".sig") && requests[1].contains("/referrers/"), "{requests:?}");
    assert!(requests[2..].iter().all(|one| one.contains("/manifests/sha256:")), "{requests:?}");
}

#[test]
fn bundles_inlined_in_the_fallback_index_take_three_requests_for_any_number_of_signers() {
    let world = World::with(RegistryOptions { referrers: false, ..RegistryOptions::default() });
    for name in ["a", "b", "c"] {
        sign(&world, name, "bundle");
    }
    world.registry.clear_log();
    verify(&world, &["a", "b", "c"]).expect(0, &["3 of 3"]);
    let requests = world.requests();
    assert_eq!(requests.len(), 3, "{requests:?}");
    assert!(requests[0].ends_with(".sig") && requests[1].contains("/referrers/"), "{requests:?}");
    assert!(requests[2].ends_with(&format!("/manifests/sha256-{}", world.digest.hex())), "{requests:?}");
}

/// It must be "could not check", and nobody is called missing.
fn unchecked(done: Done) {
    let done = done.expect(3, &["UNCHECKED", "COULD NOT CHECK"]);
    assert!(!done.stdout.contains("MISSING"), "{done:?}");
}

#[test]
fn a_referrers_listing_that_fails_is_never_an_absent_signature() {
    let world = World::new();
    sign(&world, "a", "legacy");
    sign(&world, "b", "bundle");
    for effect in [
        Effect::Status(500, None),
        Effect::Status(503, Some(0)),
        Effect::Status(429, Some(0)),
        Effect::Status(403, None),
        Effect::Status(401, None),
        Effect::Truncate,
        Effect::Body("{}".into()),
        Effect::Body("<html>".into()),
    ] {
        world.registry.clear_faults();
        world.registry.inject(Fault::on("/referrers/", effect.clone()).times(1000));
        unchecked(verify(&world, &["a", "b"]));
        verify(&world, &["a"]).expect(0, &["1 of 1"]);
    }
}

#[test]
fn a_fallback_index_that_fails_is_never_an_absent_signature() {
    let world = World::with(RegistryOptions { referrers: false, ..RegistryOptions::default() });
    sign(&world, "b", "bundle");
    let index = format!("/manifests/sha256-{}", world.digest.hex());
    for effect in [Effect::Status(500, None), Effect::Status(403, None), Effect::Truncate, Effect::Body("{}".into())] {
        world.registry.clear_faults();
        // The first such request is for .sig.
        world.registry.inject(Fault::on(&index, effect).after(1).times(1000));
        unchecked(verify(&world, &["b"]));
    }
}

#[test]
fn a_listing_that_breaks_off_on_its_second_page_is_never_complete() {
    for effect in [Effect::Status(429, Some(0)), Effect::Status(500, None), Effect::Status(404, None)] {
        let world = World::with(RegistryOptions { page_size: 1, ..RegistryOptions::default() });
        for name in ["a", "b", "c"] {
            sign(&world, name, "bundle");
        }
        verify(&world, &["a", "b", "c"]).expect(0, &["3 of 3"]);
        world.registry.inject(Fault::on("/referrers/", effect).after(1).times(1000));
        unchecked(verify(&world, &["a", "b", "c"]));
    }
}

#[test]
fn one_bundle_that_cannot_be_read_leaves_its_party_unchecked() {
    let world = World::new();
    sign(&world, "a", "bundle");
    sign(&world, "b", "bundle");
    let of_b = world.referrers(NAME).last().expect("bundle").digest;
    for effect in [
        Effect::Status(500, None),
        Effect::Status(404, None),
        Effect::Status(429, Some(0)),
        Effect::Body("{}".into()),
        Effect::Truncate,
    ] {
        world.registry.clear_faults();
        world.registry.inject(Fault::on(format!("/manifests/{of_b}"), effect).times(1000));
        let done = verify(&world, &["a", "b"]).expect(3, &["UNCHECKED", "1 of 2"]);
        assert!(!done.stdout.contains("MISSING"), "{done:?}");
    }
}

#[test]
fn a_manifest_that_refers_to_another_image_is_no_bundle_of_this_one() {
    let world = World::with(RegistryOptions { referrers: false, ..RegistryOptions::default() });
    sign(&world, "a", "bundle");
    // The index is anyone's word: it now lists a referrer of something else first.
    let tag = format!("sha256-{}", world.digest.hex());
    let stored = world.registry.manifest(NAME, &tag).expect("index");
    let mut index: csign_oci::Index = serde_json::from_slice(&stored.bytes).expect("index");
    let mut stranger = Manifest::new(Descriptor::empty(), Vec::new());
    let mut subject = Descriptor::of(IMAGE_MANIFEST, b"another image");
    subject.digest = Digest::of("another image");
    stranger.subject = Some(subject);
    let bytes = stranger.to_bytes().expect("json");
    let mut entry = Descriptor::of(IMAGE_MANIFEST, &bytes);
    entry.extra.insert("artifactType".to_owned(), "application/vnd.dev.sigstore.bundle.v0.3+json".into());
    world.registry.put_manifest(NAME, &entry.digest.to_string(), IMAGE_MANIFEST, bytes);
    index.manifests = vec![entry];
    world.registry.put_manifest(NAME, &tag, &stored.media_type, serde_json::to_vec(&index).expect("json"));
    let done = verify(&world, &["a"]);
    assert_ne!(done.status, 0, "{done:?}");
    done.expect(3, &["COULD NOT CHECK"]);
}

#[test]
fn a_copied_image_is_verified_under_the_name_that_its_signers_know() {
    for world in World::both() {
        sign(&world, "a", "legacy");
        sign(&world, "b", "bundle");
        let copy = format!("{}/mirror/app", world.address);
        world.csign(&["copy", &world.image(), &copy]).expect(0, &[]);
        let (image, signed) = (format!("{copy}@{}", world.digest), format!("{}/team/app", world.address));
        let verify =
            |more: &[&str]| world.csign(&[&["verify", &image, "--key", "a.pub", "--key", "b.pub"], more].concat());
        verify(&[]).expect(1, &["WRONG REPOSITORY", "--signed-as"]);
        verify(&["--signed-as", &signed]).expect(0, &["2 of 2"]);
        verify(&["--signed-as", "other.example/app"]).expect(1, &["WRONG REPOSITORY"]);
    }
}
