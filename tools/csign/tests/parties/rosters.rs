//! Who must have signed, and how the command line refuses a roster that makes no sense: `--key`, `--threshold`,
//! `--certificate-identity`.

use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_oci::{Descriptor, Digest, Manifest, manifest::IMAGE_MANIFEST};
use serde_json::Value;

use crate::world::{Done, World};

fn signed(names: &[&str], kind: &str) -> World {
    let world = World::new();
    for name in names {
        world.csign(&["generate-key-pair", "--output-key-prefix", name, "--type", kind]).expect(0, &[]);
        let key = format!("{name}.key");
        world.csign(&["sign", &world.image(), "--key", &key, "--format", "both"]).expect(0, &[]);
    }
    world
}

fn verify(world: &World, more: &[&str]) -> Done {
    world.csign(&[&["verify", &world.image()], more].concat())
}

#[test]
fn a_threshold_that_is_no_number_of_the_keys_is_wrong_usage() {
    let world = signed(&["a", "b", "c"], "p256");
    let keys = ["--key", "a.pub", "--key", "b.pub", "--key", "c.pub"];
    world.registry.clear_log();
    for threshold in ["0", "-1", "4", "most", "", "1.5", "99999999999999999999", "all "] {
        verify(&world, &[&keys[..], &[&format!("--threshold={threshold}")]].concat()).expect(2, &["threshold"]);
    }
    verify(&world, &[&keys[..], &["--threshold", "-1"]].concat()).expect(2, &[]);
    assert!(world.requests().is_empty(), "{:?}", world.requests());
    for threshold in ["1", "3", "all"] {
        verify(&world, &[&keys[..], &["--threshold", threshold]].concat()).expect(0, &["3 of"]);
    }
    verify(&world, &["--key", "a.pub", "--threshold", "all", "--contract", "x"]).expect(2, &[]);
    verify(&world, &["--threshold", "1"]).expect(2, &["--key"]);
}

#[test]
fn a_threshold_counts_who_signed_and_one_less_is_rejected() {
    let world = signed(&["a", "b"], "p256");
    world.key("c");
    let keys = ["--key", "a.pub", "--key", "b.pub", "--key", "c.pub", "--threshold"];
    verify(&world, &[&keys[..], &["2"]].concat()).expect(0, &["2 of 2", "MISSING"]);
    verify(&world, &[&keys[..], &["3"]].concat()).expect(1, &["2 of 3", "MISSING"]);
}

#[test]
fn one_key_under_two_names_or_in_another_encoding_is_wrong_usage() {
    let world = signed(&["a"], "p256");
    std::fs::copy(world.path("a.pub"), world.path("copy.pub")).expect("copy");
    world.write("crlf.pub", &world.read("a.pub").replace('\n', "\r\n"));
    // The same point in compressed form, as SubjectPublicKeyInfo (SEC 1, 2.3.3).
    let pem = world.read("a.pub");
    let text: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
    let der = BASE64_STANDARD.decode(text).expect("base64");
    let (head, point) = der.split_at(der.len() - 65);
    let mut short = head.to_vec();
    short[1] -= 32;
    let (length, unused) = (short.len() - 2, short.len() - 1);
    assert_eq!((short[length], short[unused]), (66, 0));
    short[length] = 34;
    short.push(2 + (point[64] & 1));
    short.extend(&point[1..33]);
    let text = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(&short));
    world.write("compressed.pub", &text);
    for other in ["a.pub", "copy.pub", "crlf.pub", "compressed.pub", "a.pub#ECDSA_P256_SHA256"] {
        for threshold in ["1", "2", "all"] {
            verify(&world, &["--key", "a.pub", "--key", other, "--threshold", threshold]).expect(2, &["the same key"]);
        }
        verify(&world, &["--key", other]).expect(0, &["1 of 1"]);
    }
}

#[test]
fn the_algorithm_of_a_key_is_stated_and_never_guessed() {
    for (kind, right, wrong) in [
        ("rsa-2048", "RSASSA_PKCS1V15_SHA256", &["RSASSA_PSS_SHA256", "RSASSA_PKCS1V15_SHA512"][..]),
        ("p384", "ECDSA_P384_SHA384", &["ECDSA_P384_SHA256"]),
        ("ed25519", "ED25519", &["ED25519_PH"]),
        ("p256", "ECDSA_P256_SHA256", &[]),
    ] {
        let world = signed(&["a"], kind);
        let with = |algorithm: &str| verify(&world, &["--key", &format!("a.pub#{algorithm}")]);
        verify(&world, &["--key", "a.pub"]).expect(0, &["1 of 1"]);
        with(right).expect(0, &["1 of 1"]);
        for wrong in wrong {
            with(wrong).expect(1, &["REJECTED"]);
        }
        for nonsense in ["", "SHA256", "rsassa_pss_sha256", "NONE", "RSASSA_PKCS1V15_SHA1"] {
            with(nonsense).expect(2, &["is no signature algorithm"]);
        }
        let foreign = if kind == "p256" { "ED25519" } else { "ECDSA_P256_SHA256" };
        with(foreign).expect(2, &["a.pub"]);
    }
}

#[test]
fn a_signature_with_a_stated_algorithm_counts_under_that_algorithm_alone() {
    let world = World::new();
    world.csign(&["generate-key-pair", "--output-key-prefix", "a", "--type", "rsa-2048"]).expect(0, &[]);
    let image = world.image();
    let sign = |more: &[&str]| world.csign(&[&["sign", &image, "--key", "a.key"], more].concat());
    sign(&["--key-algorithm", "ED25519"]).expect(2, &[]);
    sign(&["--key-algorithm", "PSS"]).expect(2, &["is no signature algorithm"]);
    for format in ["legacy", "bundle"] {
        let other = World::new();
        for file in ["a.key", "a.pub"] {
            std::fs::copy(world.path(file), other.path(file)).expect("copy");
        }
        let image = other.image();
        let sign = ["sign", &image, "--key", "a.key", "--key-algorithm", "RSASSA_PSS_SHA256", "--format", format];
        // Such a signature is another one each time, and the signer is the same.
        for time in ["1767323045", "1767326645"] {
            other.csign_with("SOURCE_DATE_EPOCH", time, &sign).expect(0, &[]);
            assert_eq!(other.layers("team/app", ".sig").len() + other.bundles("team/app"), 1, "{format}");
        }
        verify(&other, &["--key", "a.pub#RSASSA_PSS_SHA256"]).expect(0, &["1 of 1"]);
        for wrong in ["a.pub", "a.pub#RSASSA_PKCS1V15_SHA256", "a.pub#RSASSA_PSS_SHA512"] {
            verify(&other, &["--key", wrong]).expect(1, &["REJECTED"]);
        }
        verify(&other, &["--key", "a.pub", "--key", "a.pub#RSASSA_PSS_SHA256"]).expect(2, &["the same key"]);
    }
}

#[test]
fn an_identity_needs_an_issuer_and_an_issuer_an_identity() {
    let world = signed(&["a"], "p256");
    let (identity, issuer) = ("--certificate-identity", "--certificate-oidc-issuer");
    world.registry.clear_log();
    for arguments in [
        &[identity, "x@example.com"][..],
        &["--certificate-identity-regexp", ".*"],
        &[identity, "x", identity, "y", issuer, "1", issuer, "2", issuer, "3"],
        &[identity, "x", identity, "y", identity, "z", issuer, "1", issuer, "2"],
        &[identity, "x", issuer, "1", "--certificate-oidc-issuer-regexp", ".*"],
        &[identity, "x", identity, "x", issuer, "1"],
        &["--certificate-identity-regexp", "(", issuer, "1"],
        &[identity, "", issuer, "1"],
        &[identity, "x", issuer, ""],
        // What would change nothing is not taken in silence.
        &["--key", "a.pub", issuer, "1"],
        &["--key", "a.pub", "--certificate-oidc-issuer-regexp", "1"],
        &["--key", "a.pub", "--trusted-root", "root.json"],
        &[identity, "x", issuer, "1", "--trusted-root", "absent.json"],
        &[identity, "x", issuer, "1", "--trusted-root", "a.pub"],
        &[],
    ] {
        for command in ["verify", "verify-attestation"] {
            world.csign(&[&[command, &world.image()], arguments].concat()).expect(2, &[]);
        }
    }
    assert!(world.requests().is_empty(), "{:?}", world.requests());
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/keyless").join(name)
}

/// What cosign wrote, in the simulator's registry under the image that it is about; returns that image and the name that
/// its legacy signature has for the repository.
fn keyless(world: &World) -> (String, String) {
    let json = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(fixture(name)).expect("fixture")).expect("json")
    };
    let legacy = json("cosign-sig.json");
    let image: Digest = Digest::parse(legacy["image"].as_str().expect("image")).expect("digest");
    let payload = legacy["payload"].as_str().expect("payload").to_owned();
    let statement: Value = serde_json::from_str(&payload).expect("payload");
    let name = statement["critical"]["identity"]["docker-reference"].as_str().expect("name").to_owned();
    let mut layer = Descriptor::of("application/vnd.dev.cosign.simplesigning.v1+json", payload.as_bytes());
    for (key, value) in legacy["annotations"].as_object().expect("annotations") {
        layer.annotations.insert(key.clone(), value.as_str().expect("text").to_owned());
    }
    world.registry.put_blob("legacy/app", payload);
    let manifest = Manifest::new(Descriptor::empty(), vec![layer]).to_bytes().expect("json");
    let tag = format!("sha256-{}.sig", image.hex());
    world.registry.put_manifest("legacy/app", &tag, IMAGE_MANIFEST, manifest);

    let bundle = json("cosign-bundle-rekor1.json")["bundle"].to_string();
    world.registry.put_blob("bundle/app", bundle.clone());
    let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let mut manifest = Manifest::new(Descriptor::empty(), vec![Descriptor::of(kind, bundle.as_bytes())]);
    let mut subject = Descriptor::of(IMAGE_MANIFEST, b"");
    subject.digest = image;
    manifest.subject = Some(subject);
    manifest.artifact_type = Some(kind.to_owned());
    let bytes = manifest.to_bytes().expect("json");
    world.registry.put_manifest("bundle/app", &Digest::of(&bytes).to_string(), IMAGE_MANIFEST, bytes);
    (image.to_string(), name)
}

#[test]
fn what_cosign_signed_with_a_certificate_counts_for_its_identity_alone() {
    let world = World::new();
    world.key("a");
    let (digest, name) = keyless(&world);
    let root = fixture("trusted_root.json").display().to_string();
    let (legacy, bundle) =
        (format!("{}/legacy/app@{digest}", world.address), format!("{}/bundle/app@{digest}", world.address));
    for (image, more) in [(&legacy, &["--signed-as", &name][..]), (&bundle, &[])] {
        let verify = |identity: &str, issuer: &str, root: &[&str]| {
            let who = ["--certificate-identity", identity, "--certificate-oidc-issuer", issuer];
            world.csign(&[&["verify", image], &who[..], root, more].concat())
        };
        let (who, issuer, root) =
            ("https://example.com/release", "https://accounts.example.com", ["--trusted-root", &root]);
        verify(who, issuer, &root).expect(0, &["VERIFIED", "1 of 1", "KEY ID OR IDENTITY"]);
        for (identity, issuer) in [
            ("https://example.com/releas", issuer),
            ("https://example.com/release ", issuer),
            ("https://example.com/.*", issuer),
            ("*", issuer),
            (who, "https://accounts.example.com/"),
            (who, "https://accounts.example.org"),
        ] {
            verify(identity, issuer, &root).expect(1, &["MISSING", "who was not asked for"]);
        }
        // sigstore's public services did not confirm it.
        verify(who, issuer, &[]).expect(1, &["MISSING", "signed with a certificate"]);
        // No identity was asked for.
        world
            .csign(&[&["verify", image, "--key", "a.pub"], more].concat())
            .expect(1, &["MISSING", "no identity was asked for"]);
        let regexp = |pattern: &str| {
            let who =
                ["--certificate-identity-regexp", pattern, "--certificate-oidc-issuer-regexp", "https://accounts.*"];
            world.csign(&[&["verify", image], &who[..], &root, more].concat())
        };
        regexp("https://example.com/.*").expect(0, &["1 of 1"]);
        regexp("example.com").expect(1, &["MISSING"]);
    }
    // The legacy payload names the repository in which cosign signed it.
    let who = ["--certificate-identity", "https://example.com/release", "--certificate-oidc-issuer"];
    world
        .csign(&[&["verify", &legacy], &who[..], &["https://accounts.example.com", "--trusted-root", &root]].concat())
        .expect(1, &["WRONG REPOSITORY"]);
}

/// What a builder checks before the others have signed.
#[test]
fn one_party_of_a_contract_is_asked_for_by_name_and_says_that_it_is_not_all() {
    let world = World::new();
    for name in ["builder", "collaborator", "stranger"] {
        world.key(name);
    }
    world.contract(&["builder", "collaborator"]);
    let image = world.image();
    let verify = |arguments: &[&str]| {
        world.csign(&[&["verify", &image, "--contract", "collaboration.toml"], arguments].concat())
    };
    world.csign(&["sign", &image, "--key", "stranger.key"]).expect(0, &[]);
    verify(&["--party", "builder"]).expect(1, &["REJECTED"]);
    world.csign(&["sign", &image, "--key", "builder.key", "--contract", "collaboration.toml"]).expect(0, &[]);
    let note = "only builder asked for; the contract requires 2 of 2 parties";
    verify(&["--party", "builder"]).expect(0, &["VERIFIED", "1 of 1 required", note]);
    verify(&["--party", "collaborator"]).expect(1, &["REJECTED"]);
    // Whoever names several asks for all of them.
    verify(&["--party", "builder", "--party", "collaborator"]).expect(1, &["REJECTED", "1 of 2 required"]);
    verify(&[]).expect(1, &["REJECTED", "1 of 2 required"]);
    verify(&["--party", "buidler"]).expect(2, &["no party \"buidler\""]);
    verify(&["--party", "builder", "--party", "builder"]).expect(2, &["same key"]);
    world.csign(&["verify", &image, "--key", "builder.pub", "--party", "builder"]).expect(2, &["--party"]);
    world.csign(&["verify", &image, "--party", "builder"]).expect(2, &["--contract"]);
}
