//! Attaching: alone, with 64 others, against tools that know only `.sig`, and against registries that fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::http::Method;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use csign_envelope::{
    PublicKey,
    sig_image::{SigImage, layer_signature, signature_layer},
    simple_signing,
};
use csign_oci::{
    Descriptor, Digest, Manifest, Pinned, Tag,
    manifest::{DOCKER_MANIFEST, IMAGE_INDEX, IMAGE_MANIFEST},
};
use csign_registry::{Attached, Client, Error, Limits, SignatureLayer};
use p256::ecdsa::{Signature, SigningKey, signature::RandomizedSigner as _};
use simulator::registry::{Effect, Fault, Registry, RegistryOptions};

use crate::support::{Bench, NAME, both_kinds, client_with};

/// Someone who signs images.
#[derive(Clone)]
struct Signer(SigningKey);

/// Randomness that differs from call to call, so that one signer makes different signatures.
struct Counter(u8);

impl p256::ecdsa::signature::rand_core::TryRng for Counter {
    type Error = std::convert::Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from(self.0))
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from(self.0))
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        out.fill(self.0);
        Ok(())
    }
}

impl p256::ecdsa::signature::rand_core::TryCryptoRng for Counter {}

impl Signer {
    fn new(n: u8) -> Self {
        Self(SigningKey::from_slice(&[n + 1; 32]).expect("scalar"))
    }

    fn key(&self) -> PublicKey {
        PublicKey::new(*self.0.verifying_key()).expect("key")
    }

    fn payload(&self, image: &Pinned) -> Vec<u8> {
        let annotations = simple_signing::annotations(&self.key(), &BTreeMap::new());
        simple_signing::payload(&image.repository, &image.digest, &annotations)
    }

    /// A signature of `image`; another one for each `nonce`.
    fn sign(&self, image: &Pinned, nonce: u8) -> SignatureLayer {
        let payload = self.payload(image);
        let signature: Signature = self.0.sign_with_rng(&mut Counter(nonce), &payload);
        SignatureLayer {
            payload,
            signature_base64: BASE64_STANDARD.encode(signature.to_der()),
            key_id: self.key().id().to_string(),
            annotations: BTreeMap::new(),
        }
    }

    /// Whether `layer` is a signature of this signer over its own payload of `image`.
    fn made(&self, image: &Pinned, layer: &Descriptor) -> bool {
        let payload = self.payload(image);
        let signature = layer_signature(layer);
        layer.digest == Digest::of(&payload) && signature.is_some_and(|s| self.key().verify(&payload, &s))
    }
}

fn client() -> Client {
    client_with(Limits { attach_pause: Duration::from_millis(5), ..Limits::default() })
}

fn impatient() -> Client {
    client_with(Limits {
        attach_rounds: 3,
        attach_pause: Duration::from_millis(1),
        attach_time: Duration::from_millis(500),
        ..Limits::default()
    })
}

async fn attach_with(client: &Client, image: &Pinned, signer: &Signer, nonce: u8) -> Result<Attached, Error> {
    let (ours, key) = ([signer.sign(image, nonce)], signer.key());
    let same = |layer: &Descriptor, ours: &SignatureLayer| {
        layer.digest == Digest::of(&ours.payload)
            && layer_signature(layer).is_some_and(|signature| key.verify(&ours.payload, &signature))
    };
    client.attach(image, &ours, &same).await
}

async fn attach(image: &Pinned, signer: &Signer) -> Result<Attached, Error> {
    attach_with(&client(), image, signer, 0).await
}

fn sig_tag(image: &Pinned) -> String {
    Tag::for_digest(&image.digest, ".sig").to_string()
}

/// The layers of `.sig` as the registry holds it; every payload must be there.
fn layers(bench: &Bench, image: &Pinned) -> Vec<Descriptor> {
    let Some(stored) = bench.registry.manifest(NAME, &sig_tag(image)) else { return Vec::new() };
    let layers = SigImage::parse(&stored.bytes).expect("an image").layers().to_vec();
    assert!(layers.iter().all(|layer| bench.registry.blob(NAME, &layer.digest).is_some()));
    layers
}

fn has(bench: &Bench, image: &Pinned, signer: &Signer) -> bool {
    layers(bench, image).iter().filter(|layer| signer.made(image, layer)).count() == 1
}

/// A layer of a tool that csign does not know.
fn foreign_layer(registry: &Registry, n: u8) -> Descriptor {
    let payload = format!("foreign payload {n}").into_bytes();
    registry.put_blob(NAME, payload.clone());
    signature_layer(&payload, &[n], &BTreeMap::new())
}

/// Puts `.sig` with just these layers, as a tool does that read nothing before.
fn overwrite(registry: &Registry, image: &Pinned, layers: &[Descriptor]) {
    let mut sig = SigImage::empty();
    layers.iter().for_each(|layer| sig.append(layer.clone()));
    let encoded = sig.encode().expect("encodes");
    registry.put_blob(NAME, encoded.config);
    registry.put_manifest(NAME, &sig_tag(image), &encoded.media_type, encoded.manifest);
}

#[tokio::test]
async fn what_is_attached_is_what_cosign_would_have_written() {
    for bench in both_kinds().await {
        let (image, signer) = (bench.image(), Signer::new(0));
        let done = attach(&image, &signer).await.expect("attached");
        assert_eq!(done, Attached { rounds: 1, signatures: 1 });
        let ours = signer.sign(&image, 0);
        let mut expected = SigImage::empty();
        let signature = BASE64_STANDARD.decode(&ours.signature_base64).expect("base64");
        expected.append(signature_layer(&ours.payload, &signature, &BTreeMap::new()));
        let expected = expected.encode().expect("encodes");
        let stored = bench.registry.manifest(NAME, &sig_tag(&image)).expect("there");
        assert_eq!(stored.bytes, expected.manifest);
        assert_eq!(bench.registry.blob(NAME, &Digest::of(&expected.config)).expect("there"), expected.config);
    }
}

#[tokio::test]
async fn a_signer_who_is_there_already_causes_no_write() {
    for bench in both_kinds().await {
        let (image, signer) = (bench.image(), Signer::new(0));
        attach(&image, &signer).await.expect("attached");
        bench.registry.clear_log();
        let again = attach_with(&client(), &image, &signer, 1).await.expect("another signature of the same key");
        assert_eq!(again, Attached { rounds: 0, signatures: 1 });
        assert_eq!(client().repair(&image).await.expect("nothing to repair").rounds, 0);
        assert_eq!(bench.writes(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_concurrent_attaches_leave_sixty_four_signatures() {
    for bench in both_kinds().await {
        let image = bench.image();
        let tasks: Vec<_> = (0..64)
            .map(|n| {
                let image = image.clone();
                tokio::spawn(async move { attach(&image, &Signer::new(n)).await })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic").expect("attached");
        }
        assert_eq!(layers(&bench, &image).len(), 64);
        assert!((0..64).all(|n| has(&bench, &image, &Signer::new(n))));
    }
}

#[tokio::test]
async fn several_signatures_take_one_write_of_the_tag() {
    let bench = Bench::new().await;
    let (image, signers) = (bench.image(), [Signer::new(0), Signer::new(1), Signer::new(2)]);
    let ours: Vec<_> = signers.iter().map(|signer| signer.sign(&image, 0)).collect();
    let same = |layer: &Descriptor, ours: &SignatureLayer| {
        signers.iter().any(|s| s.key().id().to_string() == ours.key_id && s.made(&image, layer))
    };
    assert_eq!(client().attach(&image, &ours, &same).await.expect("attached").rounds, 1);
    assert_eq!(bench.count("PUT", &sig_tag(&image)), 1);
    assert!(signers.iter().all(|signer| has(&bench, &image, signer)));
}

/// Just before the request that csign makes with `method` after `moment` others of its kind, another tool puts `.sig`
/// with nothing but its own signature. Says whether the attach made so many requests.
async fn interfere(bench: &Bench, method: Method, moment: usize) -> bool {
    let (image, first, signer) = (bench.image(), Signer::new(0), Signer::new(1));
    attach(&image, &first).await.expect("attached");
    let earlier = foreign_layer(&bench.registry, 8);
    overwrite(&bench.registry, &image, std::slice::from_ref(&earlier));
    let (at, foreign) = (image.clone(), foreign_layer(&bench.registry, 9));
    let (layer, happened) = (foreign.clone(), Arc::new(AtomicBool::new(false)));
    let flag = happened.clone();
    let effect = Effect::Before(Arc::new(move |registry| {
        flag.store(true, Ordering::SeqCst);
        overwrite(registry, &at, std::slice::from_ref(&layer));
    }));
    bench.registry.inject(Fault::on(sig_tag(&image), effect).method(method.clone()).after(moment));
    attach(&image, &signer).await.expect("attached");
    assert!(has(bench, &image, &first) && has(bench, &image, &signer), "{method} {moment}");
    let happened = happened.load(Ordering::SeqCst);
    // What the other tool dropped before csign read it for the first time, only that tool could know.
    let unseen = happened && method == Method::GET && moment == 0;
    assert!(unseen || layers(bench, &image).contains(&earlier), "{method} {moment}: a signature seen was lost");
    assert_eq!(layers(bench, &image).contains(&foreign), happened, "{method} {moment}: the foreign signature was lost");
    happened
}

#[tokio::test]
async fn a_foreign_writer_at_any_moment_loses_nothing() {
    for (method, at_least) in [(Method::GET, 3), (Method::HEAD, 1)] {
        let mut moment = 0;
        loop {
            let happened = both_kinds().await.map(|bench| {
                let method = method.clone();
                async move { interfere(&bench, method, moment).await }
            });
            let [new, old] = happened;
            if !(new.await | old.await) {
                break;
            }
            moment += 1;
        }
        assert!(moment >= at_least, "only {moment} moments of {method} were tried");
    }
}

#[tokio::test]
async fn one_who_overwrites_for_ever_is_named_by_what_is_missing() {
    for bench in both_kinds().await {
        let (image, signer) = (bench.image(), Signer::new(0));
        let (at, layer) = (image.clone(), foreign_layer(&bench.registry, 9));
        let interfere =
            Effect::Before(Arc::new(move |registry| overwrite(registry, &at, std::slice::from_ref(&layer))));
        bench.registry.inject(Fault::on(sig_tag(&image), interfere).method(Method::GET).times(10_000));
        let error = attach_with(&impatient(), &image, &signer, 0).await.expect_err("could not hold");
        let Error::Incomplete { missing, .. } = &error else { panic!("{error:?}") };
        assert!(
            missing.iter().any(|who| who.contains(&Digest::of(signer.sign(&image, 0).payload).to_string())
                || *who == signer.key().id().to_string()),
            "{missing:?}"
        );
        bench.registry.clear_faults();
        assert_eq!(client().repair(&image).await.expect("repaired").rounds, 1);
        assert!(has(&bench, &image, &signer));
    }
}

#[tokio::test]
async fn repair_brings_back_what_a_foreign_writer_dropped() {
    for bench in both_kinds().await {
        let (image, signers) = (bench.image(), [Signer::new(0), Signer::new(1)]);
        for signer in &signers {
            attach(&image, signer).await.expect("attached");
        }
        let foreign = foreign_layer(&bench.registry, 9);
        overwrite(&bench.registry, &image, std::slice::from_ref(&foreign));
        client().repair(&image).await.expect("repaired");
        assert_eq!(layers(&bench, &image)[0], foreign, "order was kept");
        assert!(signers.iter().all(|signer| has(&bench, &image, signer)));
        bench.registry.delete_manifest(NAME, &sig_tag(&image));
        client().repair(&image).await.expect("repaired");
        assert!(signers.iter().all(|signer| has(&bench, &image, signer)));
    }
}

#[tokio::test]
async fn an_attach_that_broke_off_is_finished_by_the_next() {
    for bench in both_kinds().await {
        let (image, broken, next) = (bench.image(), Signer::new(0), Signer::new(1));
        bench.registry.inject(Fault::on(sig_tag(&image), Effect::Status(403, None)).method(Method::PUT));
        attach(&image, &broken).await.expect_err("no right to write the tag");
        assert_eq!(layers(&bench, &image), []);
        attach(&image, &next).await.expect("attached");
        assert!(has(&bench, &image, &broken) && has(&bench, &image, &next));
    }
}

#[tokio::test]
async fn foreign_layers_types_and_configuration_survive() {
    let bench = Bench::new().await;
    let (image, signer) = (bench.image(), Signer::new(0));
    let config = br#"{"architecture":"","created":"2024-01-01T00:00:00Z","history":[],"os":"","rootfs":{"type":"layers","diff_ids":[]},"config":{},"variant":"v"}"#;
    let mut odd = foreign_layer(&bench.registry, 1);
    odd.media_type = "x/unknown".into();
    odd.extra.insert("urls".into(), serde_json::json!(["u"]));
    let mut manifest = Manifest::new(Descriptor::of("x/config", config), vec![odd, foreign_layer(&bench.registry, 2)]);
    manifest.media_type = Some(DOCKER_MANIFEST.into());
    manifest.annotations.insert("kept".into(), "yes".into());
    bench.registry.put_blob(NAME, &config[..]);
    bench.registry.put_manifest(NAME, &sig_tag(&image), DOCKER_MANIFEST, manifest.to_bytes().expect("json"));
    attach(&image, &signer).await.expect("attached");
    let stored = bench.registry.manifest(NAME, &sig_tag(&image)).expect("there");
    let after: Manifest = serde_json::from_slice(&stored.bytes).expect("json");
    assert_eq!(stored.media_type, DOCKER_MANIFEST);
    assert_eq!((&after.layers[..2], &after.annotations), (&manifest.layers[..], &manifest.annotations));
    let config = bench.registry.blob(NAME, &after.config.digest).expect("there");
    let config: serde_json::Value = serde_json::from_slice(&config).expect("json");
    assert_eq!((&config["variant"], &config["created"]), (&"v".into(), &"2024-01-01T00:00:00Z".into()));
    assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!([after.layers[2].digest]));
}

#[tokio::test]
async fn a_signature_that_only_the_tag_holds_is_kept_as_it_is() {
    for bench in both_kinds().await {
        let (image, signer) = (bench.image(), Signer::new(0));
        let earlier = signer.sign(&image, 1);
        bench.registry.put_blob(NAME, earlier.payload.clone());
        let bytes = BASE64_STANDARD.decode(&earlier.signature_base64).expect("base64");
        let layer = signature_layer(&earlier.payload, &bytes, &BTreeMap::new());
        overwrite(&bench.registry, &image, std::slice::from_ref(&layer));
        assert_eq!(attach(&image, &signer).await.expect("attached"), Attached { rounds: 0, signatures: 1 });
        // A writer that read `.sig` before the signature came drops it; it is kept elsewhere all the same.
        bench.registry.delete_manifest(NAME, &sig_tag(&image));
        client().repair(&image).await.expect("repaired");
        assert_eq!(layers(&bench, &image), [layer]);
    }
}

#[tokio::test]
async fn the_limit_of_confidential_space_is_kept() {
    let bench = Bench::new().await;
    let (image, signer) = (bench.image(), Signer::new(0));
    let layer = foreign_layer(&bench.registry, 1);
    let many = |count: usize| -> Vec<Descriptor> {
        (0..count)
            .map(|n| signature_layer(b"foreign payload 1", format!("{n}").as_bytes(), &layer.annotations))
            .collect()
    };
    overwrite(&bench.registry, &image, &many(300));
    let error = attach(&image, &signer).await.expect_err("one too many");
    assert!(matches!(error, Error::TooManySignatures { count: 301, .. }), "{error:?}");
    assert_eq!(bench.writes(), 0);
    overwrite(&bench.registry, &image, &many(299));
    assert_eq!(attach(&image, &signer).await.expect("the last place").signatures, 300);
}

#[tokio::test]
async fn what_cannot_be_read_is_never_overwritten() {
    for bench in both_kinds().await {
        let (image, first, signer) = (bench.image(), Signer::new(0), Signer::new(1));
        attach(&image, &first).await.expect("attached");
        let before = bench.registry.manifest(NAME, &sig_tag(&image));
        let sig = sig_tag(&image);
        let listing = if bench.count("GET", "/tags/list") > 0 { "/tags/list" } else { "/referrers/" };
        let login_page = Effect::Answer(404, vec![], Bytes::from_static(b"<html>"));
        for (path, effect) in [
            (sig.as_str(), Effect::Status(403, None)),
            (sig.as_str(), Effect::Status(500, None)),
            (sig.as_str(), login_page),
            (sig.as_str(), Effect::Truncate),
            (sig.as_str(), Effect::Body(Bytes::from_static(b"{}"))),
            (listing, Effect::Status(403, None)),
            (listing, Effect::Status(500, None)),
            (listing, Effect::Truncate),
            (listing, Effect::Body(Bytes::from_static(b"{}x"))),
        ] {
            bench.registry.inject(Fault::on(path, effect.clone()).method(Method::GET).times(1000));
            attach_with(&impatient(), &image, &signer, 0).await.expect_err(&format!("{path} {effect:?}"));
            bench.registry.clear_faults();
            assert_eq!(bench.registry.manifest(NAME, &sig_tag(&image)), before, "{path} {effect:?}");
        }
    }
}

#[tokio::test]
async fn a_partial_listing_is_an_error() {
    for referrers in [true, false] {
        let bench = Bench::with(RegistryOptions { referrers, page_size: 1, ..RegistryOptions::default() }).await;
        let image = bench.image();
        for n in 0..3 {
            attach(&image, &Signer::new(n)).await.expect("attached");
        }
        let path = if referrers { "/referrers/" } else { "/tags/list" };
        let second_page = || Fault::on(path, Effect::Status(404, None)).after(1).times(1000);
        let writes = bench.writes();
        bench.registry.inject(second_page());
        attach(&image, &Signer::new(3)).await.expect_err("the second page was missing");
        bench.registry.clear_faults();
        bench.registry.inject(second_page());
        client().repair(&image).await.expect_err("the second page was missing");
        assert_eq!(bench.writes(), writes);
    }
}

#[tokio::test]
async fn something_else_under_the_signature_tag_is_left_alone() {
    let bench = Bench::new().await;
    let (image, signer) = (bench.image(), Signer::new(0));
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{IMAGE_INDEX}","manifests":[]}}"#);
    let digest = bench.registry.put_manifest(NAME, &sig_tag(&image), IMAGE_INDEX, index);
    let error = attach(&image, &signer).await.expect_err("an index");
    assert!(matches!(error, Error::SigImage { .. }), "{error:?}");
    assert_eq!(bench.registry.manifest(NAME, &sig_tag(&image)).map(|m| m.digest), Some(digest));
}

#[tokio::test]
async fn strange_records_are_ignored_and_lost_ones_are_not() {
    let bench = Bench::new().await;
    let (image, first) = (bench.image(), Signer::new(0));
    attach(&image, &first).await.expect("attached");
    for (tag, layers) in [("empty", "[]"), ("strange", r#"[{"mediaType":1}]"#)] {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{IMAGE_MANIFEST}","config":{{"mediaType":"x/y","size":2,"digest":"{}"}},"layers":{layers},"subject":{{"mediaType":"x/y","size":1,"digest":"{}"}},"artifactType":"application/vnd.csign.signature.v1+json"}}"#,
            Digest::of(b"{}"),
            image.digest
        );
        bench.registry.put_manifest(NAME, tag, IMAGE_MANIFEST, text);
    }
    attach(&image, &Signer::new(1)).await.expect("attached");
    assert_eq!(layers(&bench, &image).len(), 2);

    let gone = Bytes::from_static(br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#);
    let gone = Fault::on("/manifests/sha256:", Effect::Answer(404, vec![], gone)).method(Method::GET).times(1000);
    bench.registry.inject(gone);
    let error = impatient().repair(&image).await.expect_err("a listed record could not be read");
    assert!(matches!(error, Error::Incomplete { .. }), "{error:?}");
}

#[tokio::test]
async fn a_record_tag_that_somebody_took_is_shared() {
    let bench = Bench::with(RegistryOptions { referrers: false, ..RegistryOptions::default() }).await;
    let (image, signer) = (bench.image(), Signer::new(0));
    let mut sig = SigImage::empty();
    let squatter = foreign_layer(&bench.registry, 1);
    sig.append(squatter.clone());
    let encoded = sig.encode().expect("encodes");
    bench.registry.put_blob(NAME, encoded.config);
    let tag = Tag::for_digest(&image.digest, &format!(".{}.csign", &signer.key().id().to_string()[..16]));
    bench.registry.put_manifest(NAME, tag.as_str(), &encoded.media_type, encoded.manifest);
    attach(&image, &signer).await.expect("attached");
    assert!(has(&bench, &image, &signer) && layers(&bench, &image).contains(&squatter));
    let tags: BTreeSet<String> = bench.registry.tags(NAME).into_iter().collect();
    assert_eq!(tags, BTreeSet::from(["v1".to_owned(), tag.to_string(), sig_tag(&image)]));
}

#[tokio::test]
async fn bad_input_writes_nothing() {
    let bench = Bench::new().await;
    let (image, signer) = (bench.image(), Signer::new(0));
    let mut newline = signer.sign(&image, 0);
    newline.signature_base64.push('\n');
    let error = client().attach(&image, &[newline], &|_, _| false).await.expect_err("a newline");
    assert!(matches!(error, Error::BadSignature { .. }), "{error:?}");
    assert_eq!(bench.writes(), 0);
    let absent = bench.repository.at(Digest::of(b"never pushed"));
    let error = attach(&absent, &signer).await.expect_err("no such image");
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    assert!(bench.registry.tags(NAME).iter().all(|tag| !tag.ends_with(".sig")));
}
