//! A hostile registry: each test feeds one attack.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::Arc,
};

use axum::http::Method;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use csign_oci::{
    Descriptor, Digest, Index, Manifest, Pinned, Repository, Tag,
    manifest::{IMAGE_INDEX, IMAGE_MANIFEST},
};
use csign_registry::{
    Client, Content, CredentialSource, Credentials, Error, Limits, Progress, RetryPolicy, Secret,
    credentials::CredentialFuture,
};
use simulator::registry::{Auth, Effect, Fault, Registry, RegistryOptions};

use crate::support::{Bench, NAME, blob, both_kinds, builder, client, client_with};

/// A manifest that refers to `subject`, as the registry could list it.
fn referrer(registry: &Registry, subject: &Digest, n: usize) -> Descriptor {
    let mut manifest = Manifest::new(Descriptor::empty(), Vec::new());
    let mut to = Descriptor::of(IMAGE_MANIFEST, b"");
    to.digest = *subject;
    manifest.subject = Some(to);
    manifest.annotations.insert("n".into(), n.to_string());
    let bytes = manifest.to_bytes().expect("json");
    let entry = Descriptor::of(IMAGE_MANIFEST, &bytes);
    registry.put_manifest(NAME, &entry.digest.to_string(), IMAGE_MANIFEST, bytes);
    entry
}

fn listing(entries: &[Descriptor]) -> Bytes {
    serde_json::to_vec(&Index::new(entries.to_vec())).expect("json").into()
}

/// Answers every request with a JSON array that never ends; returns a repository there.
fn endless(member: &'static str) -> Repository {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("connection");
            std::thread::spawn(move || {
                let _ = connection.read(&mut [0; 4096]);
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {IMAGE_INDEX}\r\nconnection: close\r\n\r\n{{\"schemaVersion\":2,\"{member}\":["
                );
                let entries = "{\"mediaType\":\"x/y\",\"size\":1},".repeat(1000);
                let mut sent = connection.write_all(head.as_bytes());
                // It ends when the client hangs up.
                while sent.is_ok() {
                    sent = connection.write_all(entries.as_bytes());
                }
            });
        }
    });
    Repository::parse(&format!("{address}/{NAME}")).expect("repository")
}

#[tokio::test]
async fn endless_layers_and_listings_end_at_the_limit() {
    let layers = endless("layers");
    let error = client().manifest(&layers, &Digest::of(b"x").into()).await.expect_err("endless");
    assert!(matches!(error, Error::TooLarge { unit: "bytes", .. }), "{error:?}");
    let image = endless("manifests").at(Digest::of(b"x"));
    let error = client().referrers(&image, None).await.expect_err("endless");
    assert!(matches!(error, Error::TooLarge { unit: "bytes", .. }), "{error:?}");
    let error = client().tags(&endless("tags")).await.expect_err("endless");
    assert!(matches!(error, Error::TooLarge { unit: "bytes", .. }), "{error:?}");
}

#[tokio::test]
async fn endless_referrers_are_an_error_and_not_a_listing() {
    let bench = Bench::new().await;
    let image = bench.image();
    let page = |entries: usize| {
        let entries: Vec<_> = (0..entries).map(|n| blob(n.to_string().as_bytes())).collect();
        let next = format!("</v2/{NAME}/referrers/{}?last=x>; rel=\"next\"", image.digest);
        Effect::Answer(200, vec![("link", next)], listing(&entries))
    };
    for (entries, unit) in [(0, "pages"), (1, "pages"), (5000, "entries")] {
        bench.registry.inject(Fault::on("/referrers/", page(entries)).times(100_000));
        bench.registry.clear_log();
        let error = client().referrers(&image, None).await.expect_err("endless");
        assert!(matches!(&error, Error::TooLarge { unit: u, .. } if *u == unit), "{error:?}");
        assert!(bench.registry.requests().len() <= Limits::default().pages);
        bench.registry.clear_faults();
    }
    // The same in one index under the fallback tag.
    let bench = Bench::with(RegistryOptions { referrers: false, ..RegistryOptions::default() }).await;
    let image = bench.image();
    let entries: Vec<_> = (0..10_001).map(|n: usize| blob(n.to_string().as_bytes())).collect();
    let tag = Tag::for_digest(&image.digest, "");
    bench.registry.put_manifest(NAME, tag.as_str(), IMAGE_INDEX, listing(&entries));
    let error = client().referrers(&image, None).await.expect_err("endless");
    assert!(matches!(error, Error::TooLarge { unit: "entries", .. }), "{error:?}");
}

#[tokio::test]
async fn referrers_in_a_circle_lead_nowhere() {
    let bench = Bench::new().await;
    let image = bench.image();
    let (one, two) = (referrer(&bench.registry, &image.digest, 1), referrer(&bench.registry, &image.digest, 2));
    let own = bench.registry.manifest(NAME, &image.digest.to_string()).expect("there");
    let own = Descriptor::of(&own.media_type, &own.bytes);
    // The registry lists the image as its own referrer, and each referrer as the other's.
    for (of, lists) in [(image.digest, &own), (one.digest, &two), (two.digest, &one), (one.digest, &one)] {
        let subject = bench.repository.at(of);
        bench
            .registry
            .inject(Fault::on(format!("/referrers/{of}"), Effect::Body(listing(std::slice::from_ref(lists)))));
        bench.registry.clear_log();
        let listed = client().referrers(&subject, None).await.expect("a listing");
        assert_eq!((listed.len(), bench.registry.requests().len()), (1, 1), "a listing looks no further");
        let error = client().referrer(&subject, &listed[0]).await.expect_err("no referrer of it");
        assert!(matches!(error, Error::WrongSubject { .. }), "{error:?}");
        assert!(bench.registry.requests().len() <= 2);
    }
}

#[tokio::test]
async fn a_referrer_whose_subject_is_another_image_does_not_count() {
    for bench in both_kinds().await {
        let (image, other) = (bench.image(), Digest::of(b"another image"));
        let stray = referrer(&bench.registry, &other, 1);
        let error = client().referrer(&image, &stray).await.expect_err("of another image");
        assert!(matches!(&error, Error::WrongSubject { got: Some(got), .. } if *got == other), "{error:?}");
        // Neither where the listing brings the content along.
        let mut inlined = stray.clone();
        let bytes = bench.registry.manifest(NAME, &stray.digest.to_string()).expect("there").bytes;
        inlined.extra.insert("data".into(), BASE64_STANDARD.encode(&bytes).into());
        let error = client().referrer(&image, &inlined).await.expect_err("of another image");
        assert!(matches!(error, Error::WrongSubject { .. }), "{error:?}");
        let good = referrer(&bench.registry, &image.digest, 1);
        assert_eq!(client().referrer(&image, &good).await.expect("of the image").digest, good.digest);
    }
}

#[tokio::test]
async fn a_listing_that_lies_about_size_digest_or_type_is_an_error() {
    for bench in both_kinds().await {
        let image = bench.image();
        let good = referrer(&bench.registry, &image.digest, 1);
        let bytes = bench.registry.manifest(NAME, &good.digest.to_string()).expect("there").bytes;
        let data = BASE64_STANDARD.encode(&bytes);
        type Expected = fn(&Error) -> bool;
        let size: Expected = |e| matches!(e, Error::SizeMismatch { .. });
        let digest: Expected = |e| matches!(e, Error::DigestMismatch { .. });
        let malformed: Expected = |e| matches!(e, Error::Malformed { .. });
        let too_large: Expected = |e| matches!(e, Error::TooLarge { .. });
        let absent: Expected = |e| matches!(e, Error::NotFound { .. });
        type Lie<'a> = &'a dyn Fn(&mut Descriptor);
        let lies: [(Lie<'_>, bool, Expected); 11] = [
            (&|d| d.size += 1, false, size),
            (&|d| d.size += 1, true, size),
            (&|d| d.size = 0, false, size),
            (&|d| d.size = u64::MAX, false, too_large),
            (&|d| d.digest = Digest::of(b"never pushed"), false, absent),
            (&|d| d.digest = Digest::of(b"never pushed"), true, digest),
            (&|d| d.media_type = IMAGE_INDEX.into(), true, malformed),
            (&|d| d.media_type = IMAGE_INDEX.into(), false, malformed),
            (&|d| drop(d.extra.insert("data".into(), "!".into())), true, malformed),
            (&|d| drop(d.extra.insert("data".into(), 7.into())), true, malformed),
            (&|d| drop(d.extra.insert("data".into(), "e30=".into())), true, size),
        ];
        for (n, (lie, inlined, expected)) in lies.into_iter().enumerate() {
            let mut entry = good.clone();
            if inlined {
                entry.extra.insert("data".into(), data.clone().into());
            }
            lie(&mut entry);
            let error = client().referrer(&image, &entry).await.expect_err("a lie");
            assert!(expected(&error), "{n}: {error:?}");
        }
    }
}

#[tokio::test]
async fn inlined_content_is_checked_and_never_replaced_by_a_request() {
    let bench = Bench::new().await;
    bench.registry.put_blob(NAME, &b"content"[..]);
    let with = |data: serde_json::Value| {
        let mut descriptor = blob(b"content");
        descriptor.extra.insert("data".into(), data);
        descriptor
    };
    let fetch = async |descriptor: &Descriptor| client().content(&bench.repository, descriptor).await;
    assert_eq!(fetch(&with(BASE64_STANDARD.encode("content").into())).await.expect("inlined"), b"content");
    let digest = fetch(&with(BASE64_STANDARD.encode("CONTENT").into())).await.expect_err("another content");
    assert!(matches!(digest, Error::DigestMismatch { .. }), "{digest:?}");
    for (data, size) in [("Y29udGVudA==\n", false), ("Y29udGVudA", false), ("", true), ("Y29udGVudDI=", true)] {
        let error = fetch(&with(data.into())).await.expect_err(data);
        assert!(matches!(&error, Error::SizeMismatch { .. }) == size, "{data}: {error:?}");
        assert!(matches!(&error, Error::Malformed { .. }) != size, "{data}: {error:?}");
    }
    assert_eq!(bench.registry.requests().len(), 0);
    assert_eq!(fetch(&blob(b"content")).await.expect("the blob"), b"content");
}

#[tokio::test]
async fn a_compressed_answer_is_refused_and_never_decompressed() {
    let bench = Bench::new().await;
    let image = bench.image();
    bench.registry.put_blob(NAME, &b"content"[..]);
    for coding in ["gzip", "br", "deflate, gzip"] {
        let fault =
            |path: &str| bench.registry.inject(Fault::on(path, Effect::Header("content-encoding", coding.into())));
        fault("/manifests/");
        let error = client().manifest(&bench.repository, &image.digest.into()).await.expect_err(coding);
        assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
        fault("/blobs/");
        let error = client().blob(&bench.repository, &blob(b"content")).await.expect_err(coding);
        assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
        fault("/referrers/");
        let error = client().referrers(&image, None).await.expect_err(coding);
        assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
        fault("/tags/list");
        let error = client().tags(&bench.repository).await.expect_err(coding);
        assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn duplicate_json_keys_are_refused_in_manifests_and_listings() {
    for bench in both_kinds().await {
        let image = bench.image();
        let text = |subject: &Digest| format!(r#""subject":{{"mediaType":"x/y","size":1,"digest":"{subject}"}}"#);
        let ours = text(&image.digest);
        let manifest =
            format!(r#"{{"schemaVersion":2,"mediaType":"{IMAGE_MANIFEST}",{ours},"a":{{"b":1,"b":2}},{ours}}}"#);
        let entry = Descriptor::of(IMAGE_MANIFEST, manifest.as_bytes());
        let digest = bench.registry.put_manifest(NAME, &entry.digest.to_string(), IMAGE_MANIFEST, manifest.clone());
        let error = client().referrer(&image, &entry).await.expect_err("ambiguous");
        assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
        let error = client().manifest(&bench.repository, &digest.into()).await.expect_err("ambiguous");
        assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
        let mut inlined = entry;
        inlined.extra.insert("data".into(), BASE64_STANDARD.encode(&manifest).into());
        let error = client().referrer(&image, &inlined).await.expect_err("ambiguous");
        assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
        let listing = format!(r#"{{"schemaVersion":2,"mediaType":"{IMAGE_INDEX}","manifests":[],"manifests":[]}}"#);
        let api = bench.registry.clone();
        api.put_manifest(NAME, Tag::for_digest(&image.digest, "").as_str(), IMAGE_INDEX, listing.clone());
        if bench.count("GET", "/referrers/") == 0 {
            api.inject(Fault::on("/referrers/", Effect::Body(listing.into())));
        }
        let error = client().referrers(&image, None).await.expect_err("ambiguous");
        assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
        api.clear_faults();
        api.inject(Fault::on("/tags/list", Effect::Body(Bytes::from_static(br#"{"tags":["a"],"tags":[]}"#))));
        let error = client().tags(&bench.repository).await.expect_err("ambiguous");
        assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_tag_that_moves_after_it_was_resolved_changes_nothing() {
    let bench = Bench::new().await;
    let (image, tag) = (bench.image(), Tag::parse("v1").expect("tag"));
    let resolved = client().resolve(&bench.repository, &tag).await.expect("resolved");
    let moved = format!(r#"{{"schemaVersion":2,"mediaType":"{IMAGE_MANIFEST}","moved":true}}"#);
    bench.registry.put_manifest(NAME, "v1", IMAGE_MANIFEST, moved.clone());
    let pinned = bench.repository.at(resolved);
    assert_eq!(pinned, image);
    let found = client().manifest(&bench.repository, &resolved.into()).await.expect("fetched").expect("there");
    assert_eq!(found.digest, image.digest);
    // Nor can the registry hand out the new content under the old digest.
    bench.registry.inject(Fault::on("/manifests/sha256:", Effect::Body(moved.into())).times(9));
    let error = client().manifest(&bench.repository, &resolved.into()).await.expect_err("replaced");
    assert!(matches!(error, Error::DigestMismatch { want, .. } if want == image.digest), "{error:?}");
}

#[tokio::test]
async fn a_fault_in_the_middle_of_a_listing_is_never_a_shorter_listing() {
    let bench = Bench::with(RegistryOptions { page_size: 1, ..RegistryOptions::default() }).await;
    let image = bench.image();
    for n in 0..3 {
        referrer(&bench.registry, &image.digest, n);
        bench.registry.put_manifest(NAME, &format!("t{n}"), IMAGE_MANIFEST, "{}");
    }
    for status in [429, 500, 502, 503, 504] {
        for path in ["/referrers/", "/tags/list"] {
            for page in 0..3 {
                bench.registry.inject(Fault::on(path, Effect::Status(status, None)).times(99).after(page));
                let listed = match path {
                    "/tags/list" => client().tags(&bench.repository).await.map(|tags| tags.len()),
                    _ => client().referrers(&image, None).await.map(|found| found.len()),
                };
                bench.registry.clear_faults();
                let error = listed.expect_err("partial");
                let expected = match status {
                    429 => matches!(error, Error::TooManyRequests { .. }),
                    _ => matches!(error, Error::Server { status: s, .. } if s == status),
                };
                assert!(expected, "{status} {path} {page}: {error:?}");
            }
        }
    }
    // One that passes costs a try, not an entry.
    bench.registry.inject(Fault::on("/referrers/", Effect::Status(503, None)).after(1));
    assert_eq!(client().referrers(&image, None).await.expect("the second try").len(), 3);
    // And the fallback tag: unreadable is not absent.
    let old = Bench::with(RegistryOptions { referrers: false, ..RegistryOptions::default() }).await;
    let image = old.image();
    for status in [429, 500, 503] {
        old.registry.inject(Fault::on("/manifests/sha256-", Effect::Status(status, None)).times(99));
        client().referrers(&image, None).await.expect_err("could not be read");
        old.registry.clear_faults();
    }
}

/// Addresses to which a registry on the loopback interface may not send csign.
const ELSEWHERE: [&str; 10] = [
    "169.254.169.254",
    "[fe80::1]",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "0.0.0.0",
    "2852039166",
    "10.0.0.1",
    "100.64.0.1",
    "[fd00::1]",
    "metadata.example",
];

/// A client for which some names resolve to bad addresses, one of them only among others.
fn with_names() -> Client {
    let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("address")).collect();
    builder()
        .resolve("metadata.example", parse(&["169.254.169.254"]))
        .resolve("private.example", parse(&["8.8.8.8", "10.0.0.1"]))
        .resolve("mapped.example", parse(&["::ffff:10.0.0.1"]))
        .resolve("here.example", parse(&["127.0.0.1"]))
        .retry(RetryPolicy { tries: 1, ..RetryPolicy::default() })
        .build()
        .expect("client")
}

fn is_insecure(error: &Error) -> bool {
    matches!(error, Error::Insecure { .. })
}

#[tokio::test]
async fn a_redirect_to_a_link_local_or_private_address_is_not_followed() {
    let bench = Bench::new().await;
    for host in ELSEWHERE.into_iter().chain(["private.example", "mapped.example"]) {
        let location = format!("https://{host}/latest/meta-data");
        bench.registry.inject(Fault::on("/blobs/", Effect::Answer(307, vec![("location", location)], Bytes::new())));
        let error = with_names().blob(&bench.repository, &blob(b"content")).await.expect_err(host);
        assert!(is_insecure(&error), "{host}: {error:?}");
        assert!(error.hint().contains("link-local"), "{}", error.hint());
    }
    // To its own kind it may: nobody listens, but csign goes there. The port is held, or another test might take it.
    let held = tokio::net::TcpSocket::new_v4().expect("a socket");
    held.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let port = held.local_addr().expect("address").port();
    for host in ["127.0.0.1", "here.example"] {
        let location = format!("https://{host}:{port}/blob");
        bench.registry.inject(Fault::on("/blobs/", Effect::Answer(307, vec![("location", location)], Bytes::new())));
        let error = with_names().blob(&bench.repository, &blob(b"content")).await.expect_err(host);
        assert!(matches!(error, Error::Unreachable { .. }), "{host}: {error:?}");
    }
}

#[tokio::test]
async fn an_upload_location_at_a_link_local_or_private_address_gets_nothing() {
    let bench = Bench::new().await;
    for host in ELSEWHERE {
        let started = Effect::Answer(202, vec![("location", format!("https://{host}/upload"))], Bytes::new());
        bench.registry.inject(Fault::on("/uploads/", started).method(Method::POST));
        let content = Content::Bytes(Bytes::from_static(b"content"));
        let sent = with_names().push_blob(&bench.repository, &blob(b"content"), content, &Progress::none()).await;
        let error = sent.expect_err(host);
        assert!(is_insecure(&error), "{host}: {error:?}");
    }
}

struct User;

impl CredentialSource for User {
    fn credentials<'a>(&'a self, _: &'a str) -> CredentialFuture<'a> {
        Box::pin(async { Ok(Some(Credentials::Basic { user: "me".into(), password: Secret::new("correct horse") })) })
    }
}

async fn with_realm(realm: String) -> (Bench, Pinned) {
    let (user, password) = ("me".into(), "correct horse".into());
    let auth = Auth::Bearer { user, password, identity_token: None, realm: Some(realm), anonymous_pull: false };
    let bench = Bench::with(RegistryOptions { auth: Some(auth), ..RegistryOptions::default() }).await;
    let image = bench.image();
    (bench, image)
}

#[tokio::test]
async fn a_token_realm_at_a_link_local_or_private_address_is_not_asked() {
    for host in ELSEWHERE {
        let (bench, image) = with_realm(format!("https://{host}/token")).await;
        let error = with_names().manifest(&bench.repository, &image.digest.into()).await.expect_err(host);
        assert!(is_insecure(&error), "{host}: {error:?}");
    }
}

#[tokio::test]
async fn a_registry_without_tls_does_not_choose_another_host_for_the_password() {
    let (bench, image) = with_realm("https://auth.example/token".into()).await;
    let client = builder().credentials(Arc::new(User)).build().expect("client");
    let error = client.manifest(&bench.repository, &image.digest.into()).await.expect_err("sent");
    assert!(matches!(&error, Error::Insecure { why, .. } if why.contains("credentials")), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("correct horse"));
}

#[tokio::test]
async fn a_next_page_on_another_host_is_not_asked() {
    let bench = Bench::new().await;
    let image = bench.image();
    for host in ["http://127.0.0.2:1", "https://169.254.169.254", "https://metadata.example", "//10.0.0.1"] {
        let link = format!("<{host}/x>; rel=\"next\"");
        bench.registry.inject(Fault::on("/referrers/", Effect::Header("link", link)));
        let error = with_names().referrers(&image, None).await.expect_err(host);
        assert!(matches!(error, Error::Malformed { .. }), "{host}: {error:?}");
    }
}

#[tokio::test]
async fn a_huge_manifest_is_refused_by_its_length_alone() {
    let bench = Bench::new().await;
    let image = bench.image();
    let huge = Bytes::from(vec![b' '; (4 << 20) + 1]);
    bench.registry.inject(Fault::on("/manifests/", Effect::Answer(200, vec![], huge)));
    let error = client().manifest(&bench.repository, &image.digest.into()).await.expect_err("huge");
    assert!(matches!(error, Error::TooLarge { unit: "bytes", .. }), "{error:?}");
    let mut listed = Descriptor::of(IMAGE_MANIFEST, b"");
    listed.size = (4 << 20) + 1;
    bench.registry.clear_log();
    let error = client_with(Limits::default()).referrer(&image, &listed).await.expect_err("huge");
    assert!(matches!(error, Error::TooLarge { unit: "bytes", .. }), "{error:?}");
    assert_eq!(bench.registry.requests().len(), 0);
}
