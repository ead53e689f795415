//! Damage inside the base64 of a bundle: DER, entries, proofs and signatures that a fuzzer of JSON rarely reaches.

use std::panic;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_keyless::{Artifact, Certified, Content};
use csign_oci::Digest;
use serde_json::Value;

use crate::{
    peers::{self, read, written},
    world::ARTIFACT,
};

/// Mutations of one bundle.
const ROUNDS: usize = 60;

/// xorshift64: the same damage on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// Every text in the document that is base64 of more than a few bytes.
fn binaries<'v>(value: &'v mut Value, out: &mut Vec<&'v mut String>) {
    match value {
        Value::String(text) if text.len() > 16 && BASE64_STANDARD.decode(&*text).is_ok() => out.push(text),
        Value::Array(values) => values.iter_mut().for_each(|value| binaries(value, out)),
        Value::Object(members) => members.values_mut().for_each(|value| binaries(value, out)),
        _ => {}
    }
}

fn damage(bundle: &Value, random: &mut Random) -> Value {
    let mut bundle = bundle.clone();
    let mut texts = Vec::new();
    binaries(&mut bundle, &mut texts);
    let chosen = random.below(texts.len());
    let text = &mut *texts[chosen];
    let mut bytes = BASE64_STANDARD.decode(&*text).unwrap();
    for _ in 0..=random.below(2) {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes.insert(at, u8::try_from(random.below(256)).unwrap()),
            _ => bytes[at] ^= 1 << random.below(8),
        }
    }
    *text = BASE64_STANDARD.encode(bytes);
    bundle
}

#[test]
fn damage_anywhere_in_a_bundle_neither_panics_nor_changes_what_was_certified() {
    let image = written("cosign-bundle-rekor2").image;
    let (artifact, digest) = (Digest::of(ARTIFACT), image);
    let mut bundles: Vec<(Value, Digest)> = ["sigstore-js-message-stamped", "sigstore-js-dsse", "sigstore-js-intoto"]
        .map(|name| (serde_json::from_slice(&read(name)).unwrap(), artifact))
        .into();
    for name in ["cosign-bundle-rekor1-stamped", "cosign-bundle-rekor2"] {
        bundles.push((written(name).bundle, digest));
    }
    let verifier = peers::verifier();
    let mut random = Random(0x5eed);
    for (bundle, digest) in bundles {
        let verify = |bundle: &Value| verifier.verify_bundle(bundle.to_string().as_bytes(), Artifact::Digest(&digest));
        let honest = verify(&bundle).unwrap();
        for _ in 0..ROUNDS {
            let damaged = damage(&bundle, &mut random);
            let outcome = panic::catch_unwind(panic::AssertUnwindSafe(|| verify(&damaged)));
            let Ok(outcome) = outcome else { panic!("panics on {damaged}") };
            if let Ok(certified) = outcome {
                assert_eq!(essence(&certified), essence(&honest), "{damaged}");
            }
        }
    }
}

fn essence(certified: &Certified) -> (&str, &str, &Content, i64) {
    (&certified.identity.san, &certified.identity.issuer, &certified.content, certified.signed_at)
}
