//! Looking at, downloading and removing what is attached.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_oci::{Descriptor, Digest, Manifest, manifest::IMAGE_MANIFEST};
use serde_json::{Value, json};
use simulator::registry::{Effect, Fault, RegistryOptions};

use crate::world::World;

const NAME: &str = "team/app";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

fn without_referrers() -> RegistryOptions {
    RegistryOptions { referrers: false, ..RegistryOptions::default() }
}

fn tag(world: &World, suffix: &str) -> String {
    format!("sha256-{}{suffix}", world.digest.hex())
}

fn envelope(predicate_type: &str) -> Value {
    let statement = json!({"predicateType": predicate_type, "predicate": {}});
    json!({
        "payload": BASE64_STANDARD.encode(statement.to_string()),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": ""}],
    })
}

/// Puts an image with one layer under a tag, without a request.
fn attach(world: &World, suffix: &str, media_type: &str, content: &str) {
    world.registry.put_blob(NAME, content.to_owned());
    world.registry.put_blob(NAME, &b"{}"[..]);
    let layer = Descriptor::of(media_type, content.as_bytes());
    let manifest = Manifest::new(Descriptor::empty(), vec![layer]).to_bytes().expect("json");
    world.registry.put_manifest(NAME, &tag(world, suffix), IMAGE_MANIFEST, manifest);
}

/// Puts a bundle as a referrer and, where the registry lists none, into the fallback index.
fn bundle(world: &World, predicate_type: &str, listed: bool) -> Digest {
    let content = json!({
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": BASE64_STANDARD.encode([7; 32])}},
        "dsseEnvelope": envelope(predicate_type),
    })
    .to_string();
    world.registry.put_blob(NAME, content.clone());
    world.registry.put_blob(NAME, &b"{}"[..]);
    let image = world.registry.manifest(NAME, &world.digest.to_string()).expect("image");
    let mut manifest = Manifest::new(Descriptor::empty(), vec![Descriptor::of(BUNDLE, content.as_bytes())]);
    manifest.subject = Some(Descriptor::of(&image.media_type, &image.bytes));
    manifest.artifact_type = Some(BUNDLE.to_owned());
    for (name, value) in [
        ("dev.sigstore.bundle.predicateType", predicate_type),
        ("org.opencontainers.image.created", "2026-01-02T03:04:05Z"),
    ] {
        manifest.annotations.insert(name.to_owned(), value.to_owned());
    }
    let bytes = manifest.to_bytes().expect("json");
    let digest = Digest::of(&bytes);
    if !listed {
        let mut entry = Descriptor::of(IMAGE_MANIFEST, &bytes);
        entry.extra.insert("artifactType".to_owned(), BUNDLE.into());
        let fallback = tag(world, "");
        let mut index = match world.registry.manifest(NAME, &fallback) {
            Some(stored) => serde_json::from_slice(&stored.bytes).expect("index"),
            None => csign_oci::Index::new(Vec::new()),
        };
        index.manifests.push(entry);
        let index = serde_json::to_vec(&index).expect("json");
        world.registry.put_manifest(NAME, &fallback, csign_oci::manifest::IMAGE_INDEX, index);
    }
    world.registry.put_manifest(NAME, &digest.to_string(), IMAGE_MANIFEST, bytes)
}

fn furnish(world: &World, listed: bool) -> [Digest; 2] {
    world.key("a");
    world.csign(&["sign", &world.image(), "--key", "a.key"]).expect(0, &[]);
    attach(world, ".sbom", "text/spdx+json", "{\"spdxVersion\":\"SPDX-2.3\"}\n");
    attach(world, ".att", "application/vnd.dsse.envelope.v1+json", &envelope("https://spdx.dev/Document").to_string());
    [bundle(world, SIGN, listed), bundle(world, "https://slsa.dev/provenance/v1", listed)]
}

#[test]
fn tree_shows_types_sizes_claimed_signers_and_dates() {
    let world = World::new();
    let [signature, _] = furnish(&world, true);
    let id = world.csign(&["public-key", "--key", "a.key", "--output", "json"]).expect(0, &[]).json();
    let text = world.csign(&["tree", &world.image()]).expect(0, &["claims key", "2026-01-02T03:04:05Z", SIGN]);
    assert!(text.stdout.contains(&"07".repeat(32)), "{}", text.stdout);
    let tree = world.csign(&["tree", &world.image(), "--output", "json"]).expect(0, &[]).json();
    let attached = tree["attached"].as_array().expect("attached");
    let row = |via: &str, digest: &str| {
        attached.iter().find(|row| row["via"] == via && (digest.is_empty() || row["digest"] == digest)).expect(via)
    };
    let sig = row(&tag(&world, ".sig"), "");
    assert_eq!(sig["kind"], "signature");
    assert!(sig["layers"][0]["signer"]["keyId"].is_string(), "{sig} {id}");
    assert!(sig["size"].as_u64().expect("size") > 500);
    let sign = row("referrer", &signature.to_string());
    assert_eq!((&sign["kind"], &sign["predicateType"]), (&json!("signature"), &json!(SIGN)));
    assert_eq!(sign["layers"][0]["signer"]["keyId"], "07".repeat(32));
    assert_eq!(tree["created"], "1970-01-01T00:00:00Z");
}

#[test]
fn download_prints_what_cosign_prints() {
    let world = World::new();
    furnish(&world, true);
    let lines = |done: crate::world::Done| -> Vec<Value> {
        done.stdout.lines().map(|line| serde_json::from_str(line).expect("one object on a line")).collect()
    };
    let signatures =
        lines(world.csign(&["download", "signature", &world.image()]).expect(0, &["nothing of this is verified"]));
    assert_eq!(signatures.len(), 2);
    let payload = BASE64_STANDARD.decode(signatures[0]["Payload"].as_str().expect("payload")).expect("base64");
    assert!(String::from_utf8(payload).expect("utf-8").contains(&world.digest.to_string()));
    assert!(signatures[0]["Base64Signature"].is_string() && signatures[0]["Cert"].is_null());
    assert_eq!(signatures[1]["mediaType"], BUNDLE);
    let attestations = lines(world.csign(&["download", "attestation", &world.image()]).expect(0, &[]));
    assert_eq!(attestations.len(), 2);
    assert_eq!(attestations[0]["payloadType"], "application/vnd.in-toto+json");
    let only = ["download", "attestation", &world.image(), "--predicate-type", "slsaprovenance1"];
    let only = lines(world.csign(&only).expect(0, &[]));
    assert_eq!((only.len(), &only[0]["mediaType"]), (1, &json!(BUNDLE)));
    world
        .csign(&["download", "attestation", &world.image(), "--predicate-type", "vuln"])
        .expect(1, &["nothing of this kind"]);
    let sbom = world.csign(&["download", "sbom", &world.image()]).expect(0, &["text/spdx+json"]);
    assert_eq!(sbom.stdout, "{\"spdxVersion\":\"SPDX-2.3\"}\n");
}

#[test]
fn an_endless_payload_is_not_downloaded() {
    let world = World::new();
    world.registry.put_blob(NAME, &b"{}"[..]);
    let mut layer = Descriptor::of("text/spdx+json", b"");
    layer.size = 1 << 40;
    let manifest = Manifest::new(Descriptor::empty(), vec![layer]).to_bytes().expect("json");
    world.registry.put_manifest(NAME, &tag(&world, ".sbom"), IMAGE_MANIFEST, manifest);
    world.csign(&["download", "sbom", &world.image()]).expect(3, &["no honest one has"]);
    assert_eq!(world.registry.count(|request| request.path.contains("/blobs/")), 0);
}

#[test]
fn triangulate_prints_the_tag_and_resolves_a_tag_visibly() {
    let world = World::new();
    let (plain, hex) = (format!("{}/team/app", world.address), world.digest.hex());
    let image = world.registry.manifest(NAME, &world.digest.to_string()).expect("image");
    world.registry.put_manifest(NAME, "v1", &image.media_type, image.bytes);
    for (kind, want) in [
        ("signature", format!("{plain}:sha256-{hex}.sig\n")),
        ("attestation", format!("{plain}:sha256-{hex}.att\n")),
        ("sbom", format!("{plain}:sha256-{hex}.sbom\n")),
        ("digest", format!("{plain}@sha256:{hex}\n")),
    ] {
        assert_eq!(world.csign(&["triangulate", "--type", kind, &world.image()]).expect(0, &[]).stdout, want);
        let tagged = world.csign(&["triangulate", "--type", kind, &format!("{plain}:v1")]).expect(0, &["now"]);
        assert_eq!(tagged.stdout, want);
    }
}

#[test]
fn clean_asks_and_nothing_is_removed_where_nobody_can_answer() {
    let world = World::new();
    furnish(&world, true);
    let before = world.registry.tags(NAME);
    world
        .csign(&["clean", &world.image()])
        .expect(2, &["This removes", ".sig (signature", ".sbom (SBOM", "stdin is no terminal", "--yes"]);
    assert_eq!(world.registry.tags(NAME), before);
    assert_eq!(world.registry.count(|request| request.method == "DELETE"), 0);
}

#[test]
fn clean_removes_one_type_and_nothing_else() {
    for listed in [true, false] {
        let world = World::with(RegistryOptions { referrers: listed, ..RegistryOptions::default() });
        let [signature, provenance] = furnish(&world, listed);
        let there = |digest: Digest| world.registry.manifest(NAME, &digest.to_string()).is_some();
        world.csign(&["clean", &world.image(), "--type", "sbom", "--yes"]).expect(0, &["removed"]);
        assert!(!world.registry.tags(NAME).contains(&tag(&world, ".sbom")));
        world.csign(&["verify", &world.image(), "--key", "a.pub"]).expect(0, &[]);
        world.csign(&["clean", &world.image(), "--type", "signature", "-f"]).expect(0, &["removed"]);
        assert!(!there(signature) && there(provenance) && there(world.digest));
        let left: Vec<String> = world.registry.tags(NAME);
        assert!(left.iter().all(|tag| !tag.ends_with(".sig") && !tag.ends_with(".csign")), "{left:?}");
        world.csign(&["verify", &world.image(), "--key", "a.pub"]).expect(1, &[]);
        // Nothing brings them back.
        world.csign(&["attach", &world.image(), "--repair"]).expect(0, &[]);
        world.csign(&["verify", &world.image(), "--key", "a.pub"]).expect(1, &[]);
        let tree = world.csign(&["tree", &world.image()]).expect(0, &["https://slsa.dev/provenance/v1"]);
        assert!(!tree.stderr.contains("not there"), "the index still names what was removed: {tree:?}");
        world.csign(&["clean", &world.image(), "--yes"]).expect(0, &[]);
        world.csign(&["tree", &world.image()]).expect(0, &["nothing is attached"]);
        world.csign(&["clean", &world.image(), "--yes"]).expect(0, &["nothing to remove"]);
    }
}

#[test]
fn an_image_that_somebody_tagged_as_a_signature_is_not_deleted_with_it() {
    let world = World::with(without_referrers());
    // Whoever can push puts the signature tag on the image itself, on a registry that deletes by digest only.
    let image = world.registry.manifest(NAME, &world.digest.to_string()).expect("image");
    world.registry.put_manifest(NAME, &tag(&world, ".sig"), &image.media_type, image.bytes);
    let by_tag = Fault::on(tag(&world, ".sig"), Effect::Status(405, None)).method(http::Method::DELETE);
    world.registry.inject(by_tag);
    world.csign(&["clean", &world.image(), "--yes"]).expect(3, &["holds something else"]);
    assert!(world.registry.manifest(NAME, &world.digest.to_string()).is_some());
}

#[test]
fn a_registry_that_deletes_nothing_is_named() {
    let world = World::new();
    furnish(&world, true);
    world.registry.inject(Fault::on("/manifests/", Effect::Status(405, None)).method(http::Method::DELETE).times(100));
    world.csign(&["clean", &world.image(), "--yes"]).expect(3, &["delet"]);
}

#[test]
fn what_claims_to_be_attached_cannot_make_the_terminal_lie() {
    let world = World::new();
    let image = world.registry.manifest(NAME, &world.digest.to_string()).expect("image");
    world.registry.put_blob(NAME, &b"{}"[..]);
    let mut endless = Descriptor::of("text/plain", b"");
    endless.size = u64::MAX;
    let mut manifest = Manifest::new(Descriptor::empty(), vec![endless.clone(), endless]);
    manifest.subject = Some(Descriptor::of(&image.media_type, &image.bytes));
    manifest.artifact_type = Some("x\u{1b}[2Jy\nVERIFIED".to_owned());
    manifest.annotations.insert("org.opencontainers.image.created".to_owned(), "\r\u{1b}[1A".to_owned());
    let bytes = manifest.to_bytes().expect("json");
    world.registry.put_manifest(NAME, &Digest::of(&bytes).to_string(), IMAGE_MANIFEST, bytes);
    let tree = world.csign(&["tree", &world.image()]).expect(0, &[]);
    assert!(!tree.stdout.contains(['\u{1b}', '\r']) && tree.stdout.lines().count() == 4, "{tree:?}");
}
