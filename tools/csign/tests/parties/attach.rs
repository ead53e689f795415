//! Attaching from many processes at once, and attaching what does not belong.

use std::{collections::BTreeMap, process::Child};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::{PublicKey, simple_signing};
use csign_oci::{Manifest, Pinned};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};

use crate::world::World;

/// Writes N.payload and N.sig, and returns the key.
fn signed(world: &World, seed: u8, annotations: bool) -> PublicKey {
    let signing = SigningKey::from_slice(&[seed; 32]).expect("scalar");
    let key = PublicKey::new(*signing.verifying_key()).expect("key");
    let image = Pinned::parse(&world.image()).expect("pinned");
    let extra = if annotations { simple_signing::annotations(&key, &BTreeMap::new()) } else { BTreeMap::new() };
    let payload = simple_signing::payload(&image.repository, &image.digest, &extra);
    let signature: Signature = signing.sign(&payload);
    world.write(&format!("{seed}.payload"), &String::from_utf8(payload).expect("utf-8"));
    world.write(&format!("{seed}.sig"), &(BASE64_STANDARD.encode(signature.to_der().as_bytes()) + "\n"));
    world.write(&format!("{seed}.pub"), &key.pem());
    key
}

fn layers(world: &World) -> usize {
    let tag = format!("sha256-{}.sig", world.digest.hex());
    let stored = world.registry.manifest("team/app", &tag).expect("signatures");
    serde_json::from_slice::<Manifest>(&stored.bytes).expect("manifest").layers.len()
}

#[test]
fn sixty_four_concurrent_csign_attach_leave_sixty_four_signatures() {
    let world = World::new();
    let image = world.image();
    let children: Vec<Child> = (1..=64)
        .map(|seed| {
            signed(&world, seed, true);
            let (payload, signature) = (format!("{seed}.payload"), format!("{seed}.sig"));
            world
                .command(&["attach", &image, "--payload", &payload, "--signature", &signature])
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .expect("csign runs")
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("csign ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(layers(&world), 64);
    let mut verify = vec!["verify".to_owned(), image];
    for seed in 1..=64 {
        verify.extend(["--key".to_owned(), format!("{seed}.pub")]);
    }
    let verify: Vec<&str> = verify.iter().map(String::as_str).collect();
    world.csign(&verify).expect(0, &["64 of 64"]);
}

#[test]
fn the_same_signer_is_attached_once() {
    let world = World::new();
    world.key("a");
    for _ in 0..3 {
        world.csign(&["sign", &world.image(), "--key", "a.key"]).expect(0, &[]);
    }
    assert_eq!(layers(&world), 1);
}

#[test]
fn what_does_not_verify_is_not_attached() {
    let world = World::new();
    let image = world.image();
    signed(&world, 1, true);
    signed(&world, 2, true);
    signed(&world, 3, false);
    let attach = |payload: &str, signature: &str, more: &[&str]| {
        world.csign(&[&["attach", &image, "--payload", payload, "--signature", signature], more].concat())
    };
    attach("1.payload", "2.sig", &[]).expect(1, &["does not verify"]);
    attach("3.payload", "3.sig", &[]).expect(2, &["does not name its public key", "--key"]);
    attach("3.payload", "3.sig", &["--key", "1.pub"]).expect(1, &["does not verify"]);
    let other = format!("{}/team/app@{}", world.address, csign_oci::Digest::of("other"));
    world.csign(&["attach", &other, "--payload", "1.payload", "--signature", "1.sig"]).expect(1, &["is about"]);
    world.csign(&["attach", &image]).expect(2, &["nothing to attach"]);
    assert!(world.registry.tags("team/app").is_empty());
    attach("3.payload", "3.sig", &["--key", "3.pub"]).expect(0, &[]);
    world.csign(&["verify", &image, "--key", "3.pub"]).expect(0, &[]);
}

#[test]
fn annotations_are_signed_along() {
    let world = World::new();
    world.key("a");
    let image = world.image();
    world.csign(&["sign", &image, "--key", "a.key", "-a", "build=42"]).expect(0, &[]);
    world.csign(&["verify", &image, "--key", "a.pub"]).expect(0, &["VERIFIED"]);
    world.csign(&["sign", &image, "--key", "a.key", "-a", "dev.cosignproject.cosign/pub=x"]).expect(2, &["csign sets"]);
}

#[test]
fn a_signature_tag_that_another_tool_overwrote_is_repaired() {
    let world = World::new();
    let image = world.image();
    for seed in [1, 2] {
        signed(&world, seed, true);
        let (payload, signature) = (format!("{seed}.payload"), format!("{seed}.sig"));
        world.csign(&["attach", &image, "--payload", &payload, "--signature", &signature]).expect(0, &[]);
    }
    let tag = format!("sha256-{}.sig", world.digest.hex());
    world.registry.delete_manifest("team/app", &tag);
    world.csign(&["verify", &image, "--key", "1.pub", "--key", "2.pub"]).expect(1, &[]);
    world.csign(&["attach", &image, "--repair"]).expect(0, &[]);
    world.csign(&["verify", &image, "--key", "1.pub", "--key", "2.pub"]).expect(0, &[]);
}
