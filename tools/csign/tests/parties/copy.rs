//! Copying an image with everything attached, between registries and layouts.

use std::{collections::BTreeMap, fs};

use csign_oci::{Descriptor, Digest, Manifest, manifest::IMAGE_MANIFEST};
use http::Method;
use simulator::registry::{Effect, Fault, RegistryOptions};

use crate::world::World;

const NAME: &str = "team/app";

fn without_referrers() -> RegistryOptions {
    RegistryOptions { referrers: false, ..RegistryOptions::default() }
}

/// Puts a referrer of `subject` into `name`, without a request.
fn referrer(world: &World, subject: &Digest, artifact_type: &str, content: &str) -> Digest {
    world.registry.put_blob(NAME, content.to_owned());
    world.registry.put_blob(NAME, &b"{}"[..]);
    let mut manifest = Manifest::new(Descriptor::empty(), vec![Descriptor::of("text/plain", content.as_bytes())]);
    let mut of = Descriptor::of(IMAGE_MANIFEST, b"");
    (of.digest, of.size) = (*subject, 1);
    manifest.subject = Some(of);
    manifest.artifact_type = Some(artifact_type.to_owned());
    let bytes = manifest.to_bytes().expect("json");
    world.registry.put_manifest(NAME, &Digest::of(&bytes).to_string(), IMAGE_MANIFEST, bytes)
}

/// A signed image with an SBOM, a referrer, and a referrer of that one.
fn furnished(world: &World) -> (Digest, Digest) {
    for key in ["a", "b"] {
        world.key(key);
        world.csign(&["sign", &world.image(), "--key", &format!("{key}.key")]).expect(0, &[]);
    }
    let document = "{\"spdxVersion\":\"SPDX-2.3\"}";
    world.registry.put_blob(NAME, document);
    world.registry.put_blob(NAME, &b"{}"[..]);
    let manifest = Manifest::new(Descriptor::empty(), vec![Descriptor::of("text/spdx+json", document.as_bytes())]);
    let tag = format!("sha256-{}.sbom", world.digest.hex());
    world.registry.put_manifest(NAME, &tag, IMAGE_MANIFEST, manifest.to_bytes().expect("json"));
    let first = referrer(world, &world.digest, "text/x", "first");
    (first, referrer(world, &first, "text/y", "second"))
}

/// Each of these keys signed `image`, under the name that the image had where it was signed.
#[track_caller]
fn arrived(world: &World, image: &str, keys: &[&str]) {
    let keys: Vec<String> = keys.iter().flat_map(|key| ["--key".to_owned(), format!("{key}.pub")]).collect();
    let name = format!("{}/team/app", world.address);
    let arguments = ["verify", image, "--signed-as", &name].into_iter().chain(keys.iter().map(String::as_str));
    let arguments: Vec<&str> = arguments.collect();
    world.csign(&arguments).expect(0, &["VERIFIED"]);
}

/// The image's layer.
fn layer(world: &World) -> Digest {
    let image = world.registry.manifest(NAME, &world.digest.to_string()).expect("image");
    serde_json::from_slice::<Manifest>(&image.bytes).expect("manifest").layers[0].digest
}

fn tags(world: &World, name: &str) -> BTreeMap<String, Digest> {
    let tags = world.registry.tags(name).into_iter();
    tags.map(|tag| (tag.clone(), world.registry.manifest(name, &tag).expect("tagged").digest)).collect()
}

#[test]
fn everything_attached_arrives_with_the_same_digests_and_nothing_is_sent_twice() {
    let (world, target) = (World::new(), World::new());
    let (first, second) = furnished(&world);
    let there = format!("{}/other/app", target.address);
    world.csign(&["copy", &world.image(), &format!("{there}:v1")]).expect(0, &[]);
    for digest in [first, second, world.digest] {
        assert!(target.registry.manifest("other/app", &digest.to_string()).is_some(), "{digest}");
    }
    let mut want = tags(&world, NAME);
    want.insert("v1".to_owned(), world.digest);
    assert_eq!(tags(&target, "other/app"), want);
    let here = format!("{there}@{}", world.digest);
    let tree = world.csign(&["tree", &here]).expect(0, &["text/x", "text/y", "SBOM", "claims key"]);
    assert!(tree.stdout.contains(&second.to_string()), "{tree:?}");

    target.registry.clear_log();
    world.csign(&["copy", &world.image(), &format!("{there}:v1")]).expect(0, &["0 blobs"]);
    let writes = target.registry.count(|request| !["GET", "HEAD"].contains(&request.method.as_str()));
    assert_eq!(writes, 0, "{:?}", target.registry.requests());
}

#[test]
fn what_is_attached_at_the_destination_stays_and_signatures_are_merged() {
    for options in [RegistryOptions::default(), without_referrers()] {
        let (world, target) = (World::with(options.clone()), World::with(options));
        for key in ["a", "b"] {
            world.key(key);
        }
        // World's image is the same in both.
        let there = format!("{}/team/app", target.address);
        let image = format!("{there}@{}", world.digest);
        world.csign(&["sign", &world.image(), "--key", "a.key"]).expect(0, &[]);
        world.csign(&["sign", &image, "--key", "b.key"]).expect(0, &[]);
        world.csign(&["copy", &world.image(), &there]).expect(0, &[]);
        world.csign(&["verify", &image, "--key", "b.pub"]).expect(0, &[]);
        let tag = format!("sha256-{}.sig", world.digest.hex());
        let stored = target.registry.manifest(NAME, &tag).expect("signatures");
        assert_eq!(serde_json::from_slice::<Manifest>(&stored.bytes).expect("manifest").layers.len(), 2);
        world.csign(&["verify", &world.image(), "--key", "a.pub"]).expect(0, &[]);
    }
}

#[test]
fn another_sbom_at_the_destination_stays_and_is_reported() {
    let (world, target) = (World::new(), World::new());
    furnished(&world);
    let tag = format!("sha256-{}.sbom", world.digest.hex());
    let other = Manifest::new(Descriptor::empty(), vec![Descriptor::of("text/spdx+json", b"other")]);
    let other = target.registry.put_manifest(NAME, &tag, IMAGE_MANIFEST, other.to_bytes().expect("json"));
    let there = format!("{}/team/app", target.address);
    world.csign(&["copy", &world.image(), &there]).expect(3, &["another SBOM", "stays"]);
    assert_eq!(target.registry.manifest(NAME, &tag).map(|stored| stored.digest), Some(other));
    assert!(target.registry.manifest(NAME, &tag.replace(".sbom", ".sig")).is_some(), "everything else was copied");
}

#[test]
fn only_signatures_go_to_an_image_that_is_there() {
    let (world, target) = (World::new(), World::new());
    furnished(&world);
    let empty = format!("{}/empty/app", target.address);
    world.csign(&["copy", "--only", "sig", &world.image(), &empty]).expect(3, &["not there to attach to"]);
    let there = format!("{}/team/app", target.address);
    world.csign(&["copy", "--only", "signature", &world.image(), &there]).expect(0, &[]);
    assert_eq!(target.registry.tags(NAME), [format!("sha256-{}.sig", world.digest.hex())]);
    world
        .csign(&["copy", "--only", "signature", &world.image(), &format!("{there}:v1")])
        .expect(2, &["nothing to tag"]);
}

#[test]
fn within_a_registry_blobs_are_mounted() {
    let world = World::new();
    world.csign(&["copy", &world.image(), &format!("{}/other/app", world.address)]).expect(0, &["mounted 2"]);
    assert_eq!(world.registry.count(|request| request.method == "PUT" && request.path.contains("/uploads/")), 0);
}

#[test]
fn a_copy_between_registries_with_and_without_referrers_verifies_at_both_ends() {
    for (from, to) in
        [(RegistryOptions::default(), without_referrers()), (without_referrers(), RegistryOptions::default())]
    {
        let (world, target) = (World::with(from), World::with(to));
        for key in ["a", "b"] {
            world.key(key);
            world.csign(&["sign", &world.image(), "--key", &format!("{key}.key")]).expect(0, &[]);
        }
        let there = format!("{}/other/app", target.address);
        world.csign(&["copy", &world.image(), &there]).expect(0, &[]);
        arrived(&world, &format!("{there}@{}", world.digest), &["a", "b"]);
        // Every signature is kept there besides: a tool that overwrites the tag loses nothing.
        let tag = format!("sha256-{}.sig", world.digest.hex());
        target.registry.delete_manifest("other/app", &tag);
        world.csign(&["copy", &world.image(), &there]).expect(0, &[]);
        arrived(&world, &format!("{there}@{}", world.digest), &["a", "b"]);
    }
}

#[test]
fn a_broken_connection_is_tried_again_and_an_interrupted_copy_goes_on() {
    let (world, target) = (World::new(), World::new());
    furnished(&world);
    let there = format!("{}/other/app:v1", target.address);
    world.registry.inject(Fault::on("/blobs/", Effect::Truncate).method(Method::GET));
    // The last manifest is refused: nothing after it is written, least of all the tag.
    target.registry.inject(Fault::on("/manifests/", Effect::Status(403, None)).method(Method::PUT).after(2));
    world.csign(&["copy", &world.image(), &there]).expect(3, &["forbids"]);
    assert!(!target.registry.tags("other/app").contains(&"v1".to_owned()));
    target.registry.clear_log();
    world.csign(&["copy", &world.image(), &there]).expect(0, &["0 blobs"]);
    assert_eq!(target.registry.count(|request| request.method == "POST"), 0, "blobs were sent again");
    arrived(&world, &format!("{}/other/app@{}", target.address, world.digest), &["a", "b"]);
}

#[test]
fn a_saved_image_is_loaded_with_everything_attached() {
    for options in [RegistryOptions::default(), without_referrers()] {
        let (world, target) = (World::with(options.clone()), World::with(options));
        for key in ["a", "b"] {
            world.key(key);
            world.csign(&["sign", &world.image(), "--key", &format!("{key}.key")]).expect(0, &[]);
        }
        world.csign(&["save", &world.image(), "--dir", "saved"]).expect(0, &[]);
        world.csign(&["digest", "--layout", "saved"]).expect(0, &[&world.digest.to_string()]);
        world.csign(&["load", "--dir", "saved", &format!("{}/other/app:v1", target.address)]).expect(0, &[]);
        arrived(&world, &format!("{}/other/app@{}", target.address, world.digest), &["a", "b"]);
        // The same layout again, with what was signed meanwhile.
        world.key("c");
        world.csign(&["sign", &world.image(), "--key", "c.key"]).expect(0, &[]);
        world.csign(&["save", &world.image(), "--dir", "saved"]).expect(0, &[]);
        world.csign(&["load", "--dir", "saved", &format!("{}/other/app", target.address)]).expect(0, &[]);
        let image = format!("{}/other/app@{}", target.address, world.digest);
        arrived(&world, &image, &["a", "b", "c"]);
    }
}

#[test]
fn a_save_that_was_interrupted_goes_on_and_is_no_layout_until_then() {
    let world = World::new();
    furnished(&world);
    world.registry.inject(Fault::on("/blobs/", Effect::Status(403, None)).method(Method::GET).after(2).times(100));
    world.csign(&["save", &world.image(), "--dir", "saved"]).expect(3, &["forbids"]);
    world.csign(&["digest", "--layout", "saved"]).expect(3, &["not an OCI image layout"]);
    fs::write(world.path("saved/blobs/.partial-x"), "left by a kill").expect("write");
    world.registry.clear_faults();
    world.registry.clear_log();
    world.csign(&["save", &world.image(), "--dir", "saved"]).expect(0, &[]);
    let all = fs::read_dir(world.path("saved/blobs/sha256")).expect("blobs").count();
    let fetched = world.registry.count(|request| request.method == "GET" && request.path.contains("/blobs/"));
    let manifests = 7;
    assert_eq!(fetched, all - manifests - 2, "two blobs were there already");
    assert!(!world.path("saved/blobs/.partial-x").exists());
    // One that is damaged is fetched again.
    let blob = world.path(&format!("saved/blobs/sha256/{}", layer(&world).hex()));
    fs::write(&blob, "damage").expect("write");
    world.csign(&["save", &world.image(), "--dir", "saved"]).expect(0, &[]);
    assert_ne!(fs::read(&blob).expect("blob"), b"damage");
}

#[test]
fn a_tampered_layout_is_refused_before_any_of_it_is_sent() {
    let (world, target) = (World::new(), World::new());
    furnished(&world);
    world.csign(&["save", &world.image(), "--dir", "saved"]).expect(0, &[]);
    let path = world.path(&format!("saved/blobs/sha256/{}", layer(&world).hex()));
    let good = fs::read(&path).expect("layer");
    let mut bad = good.clone();
    bad[0] ^= 1;
    let there = format!("{}/other/app:v1", target.address);
    for tampered in [bad, good[1..].to_vec()] {
        fs::write(&path, &tampered).expect("write");
        world.csign(&["load", "--dir", "saved", &there]).expect(3, &["damaged"]);
        assert!(target.registry.blob("other/app", &Digest::of(&tampered)).is_none());
        assert!(target.registry.tags("other/app").is_empty());
    }
    fs::write(&path, &good).expect("write");
    // A signature that is replaced in the layout has another digest.
    let index = fs::read_to_string(world.path("saved/index.json")).expect("index");
    let manifest = world.path(&format!("saved/blobs/sha256/{}", world.digest.hex()));
    fs::write(&manifest, "{}").expect("write");
    world.csign(&["load", "--dir", "saved", &there]).expect(3, &[]);
    assert!(index.contains(&world.digest.to_string()));
}

#[test]
fn a_layout_of_another_image_or_of_two_images_is_left_alone() {
    let world = World::new();
    world.csign(&["save", &world.image(), "--dir", "saved"]).expect(0, &[]);
    let mut other = Manifest::new(Descriptor::empty(), Vec::new());
    other.annotations.insert("a".to_owned(), "b".to_owned());
    world.registry.put_blob(NAME, &b"{}"[..]);
    let other = world.registry.put_manifest(NAME, "other", IMAGE_MANIFEST, other.to_bytes().expect("json"));
    let image = format!("{}/team/app@{other}", world.address);
    world.csign(&["save", &image, "--dir", "saved"]).expect(3, &["holds the image", "left as it is"]);
    world.csign(&["copy", &image, "oci:second"]).expect(0, &[]);
    // Two images in one layout: neither is picked.
    let read =
        |dir: &str| -> serde_json::Value { serde_json::from_str(&world.read(&format!("{dir}/index.json"))).unwrap() };
    let (mut index, second) = (read("saved"), read("second"));
    index["manifests"].as_array_mut().expect("list").push(second["manifests"][0].clone());
    world.write("saved/index.json", &index.to_string());
    let blob = |dir: &str| world.path(&format!("{dir}/blobs/sha256/{}", other.hex()));
    fs::copy(blob("second"), blob("saved")).expect("copy");
    world.csign(&["load", "--dir", "saved", &format!("{}/x/y", world.address)]).expect(3, &["2 manifests"]);
}

#[test]
fn a_referrer_loop_and_a_chain_without_end_terminate() {
    let world = World::new();
    // A listing that names the image as its own referrer, again and again.
    let image = world.registry.manifest(NAME, &world.digest.to_string()).expect("image");
    let mut entry = Descriptor::of(&image.media_type, &image.bytes);
    entry.extra.insert("artifactType".to_owned(), "text/x".into());
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
    let headers = vec![("content-type", "application/vnd.oci.image.index.v1+json".to_owned())];
    world.registry.inject(Fault::on("/referrers/", Effect::Answer(200, headers, index.into())).times(1000));
    world.csign(&["tree", &world.image()]).expect(0, &["nothing is attached", "says that it is not"]);
    world.csign(&["save", &world.image(), "--dir", "loop"]).expect(0, &["says that it is not"]);
    world.registry.clear_faults();
    let mut subject = world.digest;
    for depth in 0..20 {
        subject = referrer(&world, &subject, "text/x", &depth.to_string());
    }
    world.csign(&["tree", &world.image()]).expect(3, &["levels deep"]);
    let target = World::new();
    world.csign(&["copy", &world.image(), &format!("{}/x/y", target.address)]).expect(3, &["levels deep"]);
    assert!(target.registry.manifest("x/y", &world.digest.to_string()).is_some());
}

#[test]
fn an_index_is_copied_with_its_platforms_and_their_signatures() {
    let (world, target) = (World::new(), World::new());
    world.key("a");
    world.csign(&["sign", &world.image(), "--key", "a.key"]).expect(0, &[]);
    let child = world.registry.manifest(NAME, &world.digest.to_string()).expect("image");
    let child = Descriptor::of(&child.media_type, &child.bytes);
    let index = csign_oci::Index::new(vec![child]);
    let kind = csign_oci::manifest::IMAGE_INDEX;
    let index = world.registry.put_manifest(NAME, "multi", kind, serde_json::to_vec(&index).expect("json"));
    let image = format!("{}/team/app@{index}", world.address);
    world.csign(&["sign", &image, "--key", "a.key"]).expect(0, &[]);
    let check = |name: &str| {
        for digest in [index, world.digest] {
            let image = format!("{}/{name}@{digest}", target.address);
            arrived(&world, &image, &["a"]);
        }
    };
    world
        .csign(&["copy", &format!("{}/team/app:multi", world.address), &format!("{}/a/a:v1", target.address)])
        .expect(0, &["is sha256:", "now"]);
    check("a/a");
    world.csign(&["save", &image, "--dir", "saved"]).expect(0, &[]);
    world.csign(&["load", "--dir", "saved", &format!("{}/b/b", target.address)]).expect(0, &[]);
    check("b/b");
}

#[test]
fn a_listing_that_breaks_off_copies_nothing() {
    let (world, target) = (World::new(), World::new());
    furnished(&world);
    world.registry.inject(Fault::on("/referrers/", Effect::Status(403, None)).times(100));
    world.csign(&["copy", &world.image(), &format!("{}/x/y:v1", target.address)]).expect(3, &["403"]);
    assert_eq!(target.registry.count(|_| true), 0);
}
