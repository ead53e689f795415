//! Pushing referrers: with and without the referrers API, alone, with 64 others, against tools that overwrite the index.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::http::Method;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use csign_oci::{Descriptor, Digest, Index, Manifest, Pinned, Tag, json, manifest::IMAGE_INDEX};
use csign_registry::{Client, Error, Limits, PushedReferrer, Referrer};
use simulator::registry::{Effect, Fault, Registry, RegistryOptions};

use crate::support::{Bench, NAME, both_kinds, client_with};

const KIND: &str = "application/vnd.example.note+json";

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

fn note(n: usize) -> Referrer {
    Referrer {
        artifact_type: KIND.into(),
        annotations: BTreeMap::from([("n".into(), n.to_string())]),
        layers: vec![(KIND.into(), Bytes::from(format!("note {n}")))],
    }
}

async fn push(image: &Pinned, n: usize) -> Result<PushedReferrer, Error> {
    client().push_referrer(image, &note(n)).await
}

/// The numbers of the notes that a reader finds, each read through its manifest and layer.
async fn found(image: &Pinned) -> Vec<usize> {
    let mut numbers = Vec::new();
    for listed in client().referrers(image, Some(KIND)).await.expect("listing") {
        let manifest = client().referrer(image, &listed).await.expect("manifest");
        let manifest: Manifest = json::from_slice(&manifest.bytes).expect("a manifest");
        let text = client().content(&image.repository, &manifest.layers[0]).await.expect("layer");
        let text = String::from_utf8(text).expect("text");
        assert_eq!(listed.annotations["n"], text["note ".len()..]);
        numbers.push(text["note ".len()..].parse().expect("a number"));
    }
    numbers.sort_unstable();
    numbers
}

fn index_tag(image: &Pinned) -> String {
    Tag::for_digest(&image.digest, "").to_string()
}

fn index(bench: &Bench, image: &Pinned) -> Vec<Descriptor> {
    let stored = bench.registry.manifest(NAME, &index_tag(image));
    stored.map_or_else(Vec::new, |stored| json::from_slice::<Index>(&stored.bytes).expect("an index").manifests)
}

/// Puts the index with just these entries, as a tool does that read nothing before.
fn overwrite(registry: &Registry, image: &Pinned, entries: &[Descriptor]) {
    let bytes = serde_json::to_vec(&Index::new(entries.to_vec())).expect("json");
    registry.put_manifest(NAME, &index_tag(image), IMAGE_INDEX, bytes);
}

/// A referrer that another tool pushed, without csign's tag.
fn foreign(registry: &Registry, image: &Pinned, n: usize) -> Descriptor {
    let config = Descriptor::empty();
    registry.put_blob(NAME, &b"{}"[..]);
    let layer = format!("note {n}").into_bytes();
    let mut manifest = Manifest::new(config, vec![Descriptor::of(KIND, &layer)]);
    registry.put_blob(NAME, layer);
    manifest.artifact_type = Some(KIND.into());
    manifest.annotations.insert("n".into(), n.to_string());
    manifest.subject = Some(subject(image, registry));
    let bytes = manifest.to_bytes().expect("json");
    let mut entry = Descriptor::of(&manifest.media_type.clone().expect("type"), &bytes);
    entry.annotations = manifest.annotations;
    entry.extra.insert("artifactType".into(), KIND.into());
    registry.put_manifest(NAME, &entry.digest.to_string(), &entry.media_type, bytes);
    entry
}

fn subject(image: &Pinned, registry: &Registry) -> Descriptor {
    let stored = registry.manifest(NAME, &image.digest.to_string()).expect("there");
    Descriptor::of(&stored.media_type, &stored.bytes)
}

async fn old() -> Bench {
    Bench::with(RegistryOptions { referrers: false, ..RegistryOptions::default() }).await
}

#[tokio::test]
async fn the_manifest_is_what_cosign_would_have_written_but_for_inlined_content() {
    for bench in both_kinds().await {
        let image = bench.image();
        let pushed = push(&image, 7).await.expect("pushed");
        let stored = bench.registry.manifest(NAME, &pushed.descriptor.digest.to_string()).expect("there");
        let subject = subject(&image, &bench.registry);
        let expected = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","artifactType":"{KIND}"}},"layers":[{{"mediaType":"{KIND}","size":6,"digest":"{}","data":"bm90ZSA3"}}],"annotations":{{"n":"7"}},"subject":{{"mediaType":"{}","size":{},"digest":"{}"}},"artifactType":"{KIND}"}}"#,
            Digest::of(b"note 7"),
            subject.media_type,
            subject.size,
            image.digest,
        );
        assert_eq!(String::from_utf8_lossy(&stored.bytes), expected);
        assert_eq!(bench.registry.blob(NAME, &Digest::of(b"note 7")).as_deref(), Some(&b"note 7"[..]));
        assert_eq!(pushed.descriptor.artifact_type(), Some(KIND));
    }
}

#[tokio::test]
async fn pushing_again_changes_nothing() {
    for bench in both_kinds().await {
        let image = bench.image();
        let first = push(&image, 0).await.expect("pushed");
        push(&image, 1).await.expect("pushed");
        let (tags, before) = (bench.registry.tags(NAME), bench.registry.manifest(NAME, &index_tag(&image)));
        bench.registry.clear_log();
        let again = push(&image, 0).await.expect("pushed");
        assert_eq!((again.descriptor, again.rounds), (first.descriptor, 0));
        assert_eq!(bench.writes(), 1, "only the manifest itself, by its digest");
        assert_eq!((bench.registry.tags(NAME), bench.registry.manifest(NAME, &index_tag(&image))), (tags, before));
        assert_eq!(found(&image).await, [0, 1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_concurrent_pushes_leave_sixty_four_referrers() {
    for bench in both_kinds().await {
        let image = bench.image();
        let (at, theirs) = (image.clone(), foreign(&bench.registry, &image, 99));
        // Another tool overwrites the index with nothing but its own referrer, again and again while csign works.
        let effect = Effect::Before(Arc::new(move |registry| overwrite(registry, &at, std::slice::from_ref(&theirs))));
        for moment in [3, 10, 30] {
            let fault = Fault::on(format!("/manifests/{}", index_tag(&image)), effect.clone());
            bench.registry.inject(fault.method(Method::GET).after(moment));
        }
        let tasks: Vec<_> = (0..64)
            .map(|n| {
                let image = image.clone();
                tokio::spawn(async move { push(&image, n).await })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic").expect("pushed");
        }
        bench.registry.clear_faults();
        assert_eq!(found(&image).await, (0..64).chain([99]).collect::<Vec<_>>());
    }
}

/// Just before the request on the index that csign makes with `method` after `moment` others of its kind, another tool
/// puts the index with nothing but its own referrer. Says whether csign made so many requests.
async fn interfere(method: Method, moment: usize) -> bool {
    let bench = old().await;
    let image = bench.image();
    push(&image, 0).await.expect("pushed");
    let earlier = foreign(&bench.registry, &image, 8);
    overwrite(&bench.registry, &image, std::slice::from_ref(&earlier));
    let (at, theirs) = (image.clone(), foreign(&bench.registry, &image, 9));
    let happened = Arc::new(AtomicBool::new(false));
    let flag = happened.clone();
    let effect = Effect::Before(Arc::new(move |registry| {
        flag.store(true, Ordering::SeqCst);
        overwrite(registry, &at, std::slice::from_ref(&theirs));
    }));
    let fault = Fault::on(format!("/manifests/{}", index_tag(&image)), effect);
    // The tags that keep referrers begin like the index's: requests for them are moments too.
    bench.registry.inject(fault.method(method.clone()).after(moment));
    push(&image, 1).await.expect("pushed");
    bench.registry.clear_faults();
    let (happened, found) = (happened.load(Ordering::SeqCst), found(&image).await);
    assert!(found.contains(&0) && found.contains(&1), "{method} {moment}: {found:?}");
    // What the other tool dropped before csign read it for the first time, only that tool could know.
    let unseen = happened && method == Method::GET && moment == 0;
    // A tool that writes at the very moment of csign's own put is overwritten unseen; it must look itself.
    let blind = method == Method::PUT;
    assert!(unseen || found.contains(&8), "{method} {moment}: {found:?}");
    assert!(blind || found.contains(&9) == happened, "{method} {moment}: {found:?}");
    happened
}

#[tokio::test]
async fn a_foreign_writer_of_the_index_at_any_moment_loses_nothing() {
    for (method, at_least) in [(Method::GET, 3), (Method::HEAD, 1), (Method::PUT, 1)] {
        let mut moment = 0;
        while interfere(method.clone(), moment).await {
            moment += 1;
        }
        assert!(moment >= at_least, "only {moment} moments of {method} were tried");
    }
}

#[tokio::test]
async fn repair_brings_back_the_referrers_that_a_foreign_writer_dropped() {
    let bench = old().await;
    let image = bench.image();
    for n in 0..3 {
        push(&image, n).await.expect("pushed");
    }
    let theirs = foreign(&bench.registry, &image, 9);
    overwrite(&bench.registry, &image, std::slice::from_ref(&theirs));
    assert_eq!(client().repair_referrers(&image).await.expect("repaired"), 1);
    assert_eq!(index(&bench, &image)[0], theirs, "order was kept");
    assert_eq!(found(&image).await, [0, 1, 2, 9]);
    bench.registry.delete_manifest(NAME, &index_tag(&image));
    client().repair_referrers(&image).await.expect("repaired");
    assert_eq!(found(&image).await, [0, 1, 2]);
    assert_eq!(client().repair_referrers(&image).await.expect("nothing to do"), 0);
}

#[tokio::test]
async fn one_who_overwrites_the_index_for_ever_is_named_by_what_is_missing() {
    let bench = old().await;
    let image = bench.image();
    let at = image.clone();
    let effect = Effect::Before(Arc::new(move |registry| overwrite(registry, &at, &[])));
    bench.registry.inject(Fault::on(index_tag(&image), effect).method(Method::GET).times(10_000));
    let error = impatient().push_referrer(&image, &note(0)).await.expect_err("could not hold");
    let Error::Incomplete { missing, .. } = &error else { panic!("{error:?}") };
    assert!(matches!(missing.as_slice(), [digest] if Digest::parse(digest).is_ok()), "{missing:?}");
    bench.registry.clear_faults();
    client().repair_referrers(&image).await.expect("repaired");
    assert_eq!(found(&image).await, [0]);
}

#[tokio::test]
async fn an_index_that_cannot_be_read_is_never_overwritten() {
    let bench = old().await;
    let image = bench.image();
    push(&image, 0).await.expect("pushed");
    let before = bench.registry.manifest(NAME, &index_tag(&image));
    let login_page = Effect::Answer(404, vec![], Bytes::from_static(b"<html>"));
    for (path, effect) in [
        ("/manifests/sha256-", Effect::Status(403, None)),
        ("/manifests/sha256-", Effect::Status(500, None)),
        ("/manifests/sha256-", login_page.clone()),
        ("/manifests/sha256-", Effect::Truncate),
        ("/manifests/sha256-", Effect::Body(Bytes::from_static(b"{}"))),
        ("/tags/list", Effect::Status(403, None)),
        ("/tags/list", Effect::Status(429, None)),
        ("/tags/list", login_page),
        ("/referrers/", Effect::Status(403, None)),
        ("/referrers/", Effect::Status(500, None)),
    ] {
        bench.registry.inject(Fault::on(path, effect.clone()).method(Method::GET).times(1000));
        impatient().push_referrer(&image, &note(1)).await.expect_err(&format!("{path} {effect:?}"));
        bench.registry.clear_faults();
        assert_eq!(bench.registry.manifest(NAME, &index_tag(&image)), before, "{path} {effect:?}");
    }
    for other in [r#"{"schemaVersion":2,"mediaType":"x/y","manifests":[]}"#, r#"{"manifests":[],"manifests":[]}"#] {
        bench.registry.put_manifest(NAME, &index_tag(&image), "x/y", other);
        impatient().push_referrer(&image, &note(1)).await.expect_err(other);
        assert_eq!(bench.registry.manifest(NAME, &index_tag(&image)).expect("there").bytes, other);
    }
}

#[tokio::test]
async fn what_the_registry_no_longer_has_leaves_the_index() {
    let bench = old().await;
    let image = bench.image();
    let first = push(&image, 0).await.expect("pushed");
    let theirs = foreign(&bench.registry, &image, 9);
    overwrite(&bench.registry, &image, &[first.descriptor, theirs.clone()]);
    bench.registry.delete_manifest(NAME, &theirs.digest.to_string());
    push(&image, 1).await.expect("pushed");
    assert_eq!(found(&image).await, [0, 1]);
}

#[tokio::test]
async fn a_tag_that_is_not_its_referrers_is_ignored() {
    let bench = old().await;
    let (image, other) = (bench.image(), foreign(&bench.registry, &bench.image(), 5));
    let stray = bench.registry.manifest(NAME, &other.digest.to_string()).expect("there");
    let prefix = index_tag(&image);
    for id in ["0".repeat(40), image.digest.hex()[..40].to_owned()] {
        bench.registry.put_manifest(NAME, &format!("{prefix}.{id}.referrer"), &stray.media_type, stray.bytes.clone());
    }
    // The right name, but the manifest does not refer to the image.
    let own = bench.registry.manifest(NAME, &image.digest.to_string()).expect("there");
    let id = image.digest.hex()[..40].to_owned();
    bench.registry.put_manifest(NAME, &format!("{prefix}.{id}.referrer"), &own.media_type, own.bytes);
    push(&image, 1).await.expect("pushed");
    assert_eq!(found(&image).await, [1]);
}

#[tokio::test]
async fn a_reader_of_the_fallback_index_needs_one_request_for_small_referrers() {
    let bench = old().await;
    let image = bench.image();
    for n in 0..3 {
        push(&image, n).await.expect("pushed");
    }
    bench.registry.clear_log();
    assert_eq!(found(&image).await, [0, 1, 2]);
    let paths: Vec<String> = bench.registry.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths.len(), 2, "the API that is not there, and the index: {paths:?}");
}

#[tokio::test]
async fn large_content_is_not_inlined() {
    for bench in both_kinds().await {
        let image = bench.image();
        let mut large = note(0);
        large.layers[0].1 = Bytes::from(vec![b'x'; (16 << 10) + 1]);
        large.annotations.insert("long".into(), "y".repeat(9 << 10));
        let pushed = client().push_referrer(&image, &large).await.expect("pushed");
        let manifest = client().referrer(&image, &pushed.descriptor).await.expect("fetched");
        let manifest: Manifest = json::from_slice(&manifest.bytes).expect("a manifest");
        assert!(!manifest.layers[0].extra.contains_key("data"));
        assert!(index(&bench, &image).iter().all(|entry| !entry.extra.contains_key("data")));
        let bytes = client().content(&image.repository, &manifest.layers[0]).await.expect("the blob");
        assert_eq!(bytes, large.layers[0].1);
    }
}

#[tokio::test]
async fn a_registry_that_takes_a_referrer_and_does_not_list_it_is_an_error() {
    let bench = Bench::new().await;
    let image = bench.image();
    let empty = format!(r#"{{"schemaVersion":2,"mediaType":"{IMAGE_INDEX}","manifests":[]}}"#);
    let silent = Effect::Answer(201, vec![], Bytes::new());
    bench.registry.inject(Fault::on("/manifests/", silent).method(Method::PUT));
    bench.registry.inject(Fault::on("/referrers/", Effect::Body(empty.into())).times(1000));
    let error = impatient().push_referrer(&image, &note(0)).await.expect_err("not listed");
    assert!(matches!(error, Error::Unlisted { .. }), "{error:?}");
    assert!(!bench.registry.tags(NAME).contains(&index_tag(&image)), "readers would never look there");
}

#[tokio::test]
async fn only_referrers_of_the_image_are_pushed() {
    for bench in both_kinds().await {
        let image = bench.image();
        let own = bench.registry.manifest(NAME, &image.digest.to_string()).expect("there");
        let error = client().push_referrer_manifest(&image, &own.bytes).await.expect_err("no subject");
        assert!(matches!(error, Error::WrongSubject { got: None, .. }), "{error:?}");
        let absent = bench.repository.at(Digest::of(b"never pushed"));
        let error = client().push_referrer(&absent, &note(0)).await.expect_err("no such image");
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
        assert_eq!(bench.writes(), 0);
        let theirs = foreign(&bench.registry, &image, 4);
        let bytes = bench.registry.manifest(NAME, &theirs.digest.to_string()).expect("there").bytes;
        client().push_referrer_manifest(&image, &bytes).await.expect("pushed byte for byte");
        assert_eq!(found(&image).await, [4]);
    }
}

#[tokio::test]
async fn an_index_entry_has_the_manifest_inlined() {
    let bench = old().await;
    let image = bench.image();
    let pushed = push(&image, 0).await.expect("pushed");
    let entries = index(&bench, &image);
    let stored = bench.registry.manifest(NAME, &pushed.descriptor.digest.to_string()).expect("there");
    assert_eq!(entries[0].extra["data"], BASE64_STANDARD.encode(&stored.bytes));
    assert_eq!((entries.len(), entries[0].artifact_type()), (1, Some(KIND)));
}

#[tokio::test]
async fn an_entry_that_does_not_tell_its_type_is_listed_under_every_type() {
    let bench = old().await;
    let image = bench.image();
    let (mut cosigns, mut bare, mut other) =
        (foreign(&bench.registry, &image, 1), foreign(&bench.registry, &image, 2), foreign(&bench.registry, &image, 3));
    cosigns.extra.insert("artifactType".into(), "application/vnd.oci.empty.v1+json".into());
    bare.extra.remove("artifactType");
    other.extra.insert("artifactType".into(), "x/other".into());
    overwrite(&bench.registry, &image, &[cosigns.clone(), bare.clone(), other]);
    assert_eq!(client().referrers(&image, Some(KIND)).await.expect("listing"), [cosigns, bare]);
}

#[tokio::test]
async fn a_manifest_is_deleted_by_tag_and_by_digest() {
    let bench = Bench::new().await;
    let image = bench.image();
    let delete = async |reference| client().delete_manifest(&image.repository, &reference).await;
    let tag = Tag::parse("v1").expect("tag");
    assert!(delete(tag.clone().into()).await.expect("deleted"));
    assert!(!delete(tag.into()).await.expect("gone already"));
    assert!(delete(image.digest.into()).await.expect("deleted"));
    assert!(!delete(image.digest.into()).await.expect("gone already"));
    bench.registry.inject(Fault::on("/manifests/", Effect::Status(405, None)));
    let error = delete(image.digest.into()).await.expect_err("not allowed");
    assert!(matches!(error, Error::Undeletable { .. }), "{error:?}");
    bench.registry.inject(Fault::on("/manifests/", Effect::Answer(404, vec![], Bytes::from_static(b"<html>"))));
    let error = delete(image.digest.into()).await.expect_err("who says so?");
    assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
}
