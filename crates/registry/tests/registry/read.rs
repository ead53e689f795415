//! Reading: what is there, what is not there, and everything that is neither.

use std::time::Duration;

use axum::http::Method;
use bytes::Bytes;
use csign_oci::{Descriptor, Digest, Repository, Tag, manifest::IMAGE_MANIFEST};
use csign_registry::{Client, Error, Limits, Progress, TagOrDigest};
use simulator::registry::{Effect, Fault, RegistryOptions};

use crate::support::{Bench, NAME, blob, builder, client, client_with};

fn tag(text: &str) -> TagOrDigest {
    Tag::parse(text).expect("tag").into()
}

async fn manifest_error(bench: &Bench, reference: &TagOrDigest) -> Error {
    client().manifest(&bench.repository, reference).await.expect_err("an error")
}

#[tokio::test]
async fn a_manifest_comes_with_type_and_digest_in_one_request() {
    let bench = Bench::new().await;
    let image = bench.image();
    let found = client().manifest(&bench.repository, &image.digest.into()).await.expect("fetched").expect("there");
    assert_eq!((found.media_type.as_str(), found.digest), (IMAGE_MANIFEST, image.digest));
    assert_eq!(bench.registry.requests().len(), 1, "no ping, no second look");
    assert_eq!(client().resolve(&bench.repository, &Tag::parse("v1").expect("tag")).await.expect("tag"), image.digest);
    let described = client().describe(&bench.repository, &tag("v1")).await.expect("described").expect("there");
    assert_eq!((described.size, described.digest), (found.bytes.len() as u64, image.digest));
}

#[tokio::test]
async fn only_the_registrys_own_404_means_that_there_is_none() {
    let bench = Bench::new().await;
    bench.image();
    assert_eq!(client().manifest(&bench.repository, &tag("v2")).await.expect("answered"), None);
    let elsewhere = Repository::parse(&format!("{}/other", bench.repository.registry())).expect("repository");
    assert_eq!(client().manifest(&elsewhere, &tag("v1")).await.expect("answered"), None);
    let login_page = Effect::Answer(404, vec![("content-type", "text/html".into())], Bytes::from("<h1>not here</h1>"));
    bench.registry.inject(Fault::on("/manifests/", login_page));
    assert!(matches!(manifest_error(&bench, &tag("v1")).await, Error::Malformed { .. }));
    let other_code = Bytes::from(r#"{"errors":[{"code":"UNSUPPORTED"}]}"#);
    bench.registry.inject(Fault::on("/manifests/", Effect::Answer(404, vec![], other_code)));
    assert!(matches!(manifest_error(&bench, &tag("v1")).await, Error::Malformed { .. }));
    let gone = client().resolve(&bench.repository, &Tag::parse("v2").expect("tag")).await.expect_err("gone");
    assert!(matches!(gone, Error::NotFound { .. }), "{gone}");
}

#[tokio::test]
async fn every_refusal_is_its_own_error() {
    let bench = Bench::new().await;
    bench.image();
    type Expected = fn(&Error) -> bool;
    let cases: [(u16, Expected); 6] = [
        (401, |e| matches!(e, Error::Unauthorized { .. })),
        (403, |e| matches!(e, Error::Forbidden { .. })),
        (429, |e| matches!(e, Error::TooManyRequests { .. })),
        (500, |e| matches!(e, Error::Server { status: 500, .. })),
        (501, |e| matches!(e, Error::Server { status: 501, .. })),
        (418, |e| matches!(e, Error::Refused { status: 418, .. })),
    ];
    for (status, expected) in cases {
        bench.registry.inject(Fault::on("/manifests/", Effect::Status(status, None)).times(100));
        let error = manifest_error(&bench, &tag("v1")).await;
        assert!(expected(&error), "{status}: {error:?}");
        assert!(error.to_string().starts_with("fetching manifest v1 of 127.0.0.1:"), "{error}");
        assert!(!error.hint().is_empty());
        bench.registry.clear_faults();
    }
}

#[tokio::test]
async fn faults_that_pass_are_tried_again_and_others_are_not() {
    let bench = Bench::new().await;
    bench.image();
    for status in [429, 500, 502, 503, 504] {
        bench.registry.clear_log();
        bench.registry.inject(Fault::on("/manifests/", Effect::Status(status, None)).times(2));
        client().manifest(&bench.repository, &tag("v1")).await.expect("the third try").expect("there");
        assert_eq!(bench.registry.requests().len(), 3, "{status}");
    }
    for status in [400, 403, 404, 501] {
        bench.registry.clear_log();
        bench.registry.inject(Fault::on("/manifests/", Effect::Status(status, None)));
        manifest_error(&bench, &tag("v1")).await;
        assert_eq!(bench.registry.requests().len(), 1, "{status}");
    }
    bench.registry.clear_log();
    bench.registry.inject(Fault::on("/manifests/", Effect::Status(429, Some(3600))).times(9));
    let busy = manifest_error(&bench, &tag("v1")).await;
    assert!(matches!(busy, Error::TooManyRequests { retry_after: Some(d), .. } if d.as_secs() == 3600), "{busy:?}");
    assert_eq!(bench.registry.requests().len(), 1, "an hour is longer than the time for all tries");
}

#[tokio::test]
async fn an_unreachable_registry_is_not_an_absent_manifest() {
    // Held and never listened on: a port that is let go may be another test's server a moment later.
    let held = tokio::net::TcpSocket::new_v4().expect("a socket");
    held.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = held.local_addr().expect("address");
    let repository = Repository::parse(&format!("{address}/{NAME}")).expect("repository");
    let error = client().manifest(&repository, &tag("v1")).await.expect_err("nobody listens");
    assert!(matches!(&error, Error::Unreachable { host, .. } if *host == address.to_string()), "{error:?}");
}

#[tokio::test]
async fn a_silent_registry_is_given_up() {
    let bench = Bench::new().await;
    bench.image();
    bench.registry.inject(Fault::on("/manifests/", Effect::Delay(Duration::from_secs(3600))).times(9));
    let limits = Limits { answer: Duration::from_millis(50), ..Limits::default() };
    let error = client_with(limits).manifest(&bench.repository, &tag("v1")).await.expect_err("no answer");
    assert!(matches!(error, Error::Interrupted { .. }), "{error:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_fetched_again_and_never_used() {
    let bench = Bench::new().await;
    let image = bench.image();
    bench.registry.inject(Fault::on("/manifests/", Effect::Truncate));
    client().manifest(&bench.repository, &image.digest.into()).await.expect("the second try").expect("there");
    bench.registry.inject(Fault::on("/manifests/", Effect::Truncate).times(9));
    assert!(matches!(manifest_error(&bench, &tag("v1")).await, Error::Interrupted { .. }));
    bench.registry.clear_faults();
    bench.registry.put_blob(NAME, &b"content"[..]);
    bench.registry.inject(Fault::on("/blobs/", Effect::Truncate).times(9));
    let error = client().blob(&bench.repository, &blob(b"content")).await.expect_err("cut");
    assert!(matches!(error, Error::Interrupted { .. }), "{error:?}");
}

#[tokio::test]
async fn replaced_manifests_are_refused() {
    let bench = Bench::new().await;
    let image = bench.image();
    let other = Digest::of(b"other").to_string();
    let wrong_header = || Fault::on("/manifests/", Effect::Header("docker-content-digest", other.clone()));
    let replaced = || Fault::on("/manifests/", Effect::Body(Bytes::from_static(b"{}")));
    for (fault, reference) in [
        (wrong_header(), tag("v1")),
        (replaced(), tag("v1")),
        (wrong_header(), image.digest.into()),
        (replaced(), image.digest.into()),
    ] {
        bench.registry.inject(fault);
        let error = manifest_error(&bench, &reference).await;
        assert!(matches!(error, Error::DigestMismatch { .. }), "{error:?}");
    }
    bench.registry.inject(wrong_header().method(Method::HEAD));
    let error = client().describe(&bench.repository, &image.digest.into()).await.expect_err("wrong header");
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error:?}");
    // Without the header only the digest asked for protects.
    let bare = || Effect::Answer(200, vec![("content-type", IMAGE_MANIFEST.into())], Bytes::from_static(b"{}"));
    bench.registry.inject(Fault::on("/manifests/", bare()));
    let error = manifest_error(&bench, &image.digest.into()).await;
    assert!(matches!(error, Error::DigestMismatch { want, .. } if want == image.digest), "{error:?}");
    bench.registry.inject(Fault::on("/manifests/", Effect::Header("docker-content-digest", "md5:0".into())));
    assert!(matches!(manifest_error(&bench, &tag("v1")).await, Error::Malformed { .. }));
}

#[tokio::test]
async fn a_manifest_over_the_limit_is_not_read() {
    let bench = Bench::new().await;
    bench.image();
    let error = client_with(Limits { manifest: 100, ..Limits::default() })
        .manifest(&bench.repository, &tag("v1"))
        .await
        .expect_err("too large");
    assert!(matches!(error, Error::TooLarge { limit: 100, .. }), "{error:?}");
}

#[tokio::test]
async fn blobs_are_checked_before_use() {
    let bench = Bench::new().await;
    bench.registry.put_blob(NAME, &b"content"[..]);
    let wanted = blob(b"content");
    assert_eq!(client().blob(&bench.repository, &wanted).await.expect("blob"), b"content");
    let fetch =
        async |descriptor: &Descriptor| client().blob(&bench.repository, descriptor).await.expect_err("refused");
    let fault =
        |bytes: &'static [u8]| bench.registry.inject(Fault::on("/blobs/", Effect::Body(Bytes::from_static(bytes))));
    fault(b"CONTENT");
    assert!(matches!(fetch(&wanted).await, Error::DigestMismatch { .. }));
    fault(b"content and more");
    assert!(matches!(fetch(&wanted).await, Error::SizeMismatch { want: 7, .. }));
    fault(b"con");
    assert!(matches!(fetch(&wanted).await, Error::SizeMismatch { want: 7, got: 3, .. }));
    assert!(matches!(fetch(&blob(b"never pushed")).await, Error::NotFound { .. }));
    let mut huge = wanted.clone();
    huge.size = u64::MAX;
    assert!(matches!(fetch(&huge).await, Error::TooLarge { .. }));
}

#[tokio::test]
async fn a_file_appears_complete_or_not_at_all() {
    let bench = Bench::new().await;
    let bytes = vec![7; 300_000];
    bench.registry.put_blob(NAME, bytes.clone());
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("blob");
    bench.registry.inject(Fault::on("/blobs/", Effect::Body(Bytes::from(vec![8; 300_000]))));
    let fetch = async |progress| client().blob_to_file(&bench.repository, &blob(&bytes), &path, &progress).await;
    fetch(Progress::none()).await.expect_err("replaced");
    assert_eq!(std::fs::read_dir(directory.path()).expect("directory").count(), 0, "something was left");
    let (sender, heard) = std::sync::mpsc::channel();
    bench.registry.inject(Fault::on("/blobs/", Effect::Truncate));
    fetch(Progress::new(move |_, done| sender.send(done).unwrap_or(()))).await.expect("the second try");
    assert_eq!(std::fs::read(&path).expect("file"), bytes);
    assert_eq!(heard.iter().last(), Some(300_000));
}

#[tokio::test]
async fn listings_are_complete_over_all_pages() {
    let bench = Bench::with(RegistryOptions { page_size: 2, ..RegistryOptions::default() }).await;
    let image = bench.image();
    let mut expected = Vec::new();
    for n in 0..5 {
        let kind = if n == 4 { "x/other" } else { "x/wanted+json" };
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{IMAGE_MANIFEST}","config":{{"mediaType":"x/c","size":2,"digest":"{0}"}},"layers":[],"subject":{{"mediaType":"{IMAGE_MANIFEST}","size":1,"digest":"{1}"}},"artifactType":"{kind}","n":{n}}}"#,
            Digest::of(b"{}"),
            image.digest
        );
        expected.push(bench.registry.put_manifest(NAME, &format!("t{n}"), IMAGE_MANIFEST, text));
    }
    let digests = |found: Vec<Descriptor>| {
        let mut digests: Vec<Digest> = found.into_iter().map(|d| d.digest).collect();
        digests.sort();
        digests
    };
    let all = digests(client().referrers(&image, None).await.expect("listing"));
    let wanted = digests(client().referrers(&image, Some("x/wanted+json")).await.expect("listing"));
    assert_eq!(wanted, {
        let mut e = expected[..4].to_vec();
        e.sort();
        e
    });
    assert_eq!(all, {
        expected.sort();
        expected
    });
    let tags: Vec<String> =
        client().tags(&bench.repository).await.expect("tags").iter().map(ToString::to_string).collect();
    assert_eq!(tags, ["t0", "t1", "t2", "t3", "t4", "v1"]);

    // A listing of which one page is missing is an error, never a shorter listing.
    for (status, skip) in [(500, 1), (403, 1), (404, 1), (404, 2), (401, 2)] {
        for path in ["/referrers/", "/tags/list"] {
            bench.registry.inject(Fault::on(path, Effect::Status(status, None)).times(9).after(skip));
            let error = match path {
                "/tags/list" => client().tags(&bench.repository).await.expect_err("partial"),
                _ => client().referrers(&image, None).await.expect_err("partial"),
            };
            bench.registry.clear_faults();
            assert!(!error.to_string().is_empty(), "{path} {status}");
        }
    }
    let few = client_with(Limits { pages: 2, ..Limits::default() });
    assert!(matches!(few.referrers(&image, None).await, Err(Error::TooLarge { unit: "pages", .. })));
    let few = client_with(Limits { entries: 4, ..Limits::default() });
    assert!(matches!(few.tags(&bench.repository).await, Err(Error::TooLarge { unit: "entries", .. })));
    bench
        .registry
        .inject(Fault::on("/referrers/", Effect::Header("link", "<http://127.0.0.2:1/x>; rel=\"next\"".into())));
    assert!(matches!(client().referrers(&image, None).await, Err(Error::Malformed { .. })));
}

#[tokio::test]
async fn an_error_of_the_referrers_api_is_never_an_empty_listing() {
    let bench = Bench::new().await;
    let image = bench.image();
    assert_eq!(client().referrers(&image, None).await.expect("listing"), []);
    for effect in [
        Effect::Status(403, None),
        Effect::Status(401, None),
        Effect::Status(400, None),
        Effect::Status(405, None),
        Effect::Body(Bytes::from_static(b"{}")),
        Effect::Body(Bytes::from_static(b"<html>")),
        Effect::Body(Bytes::from_static(br#"{"schemaVersion":2,"mediaType":"x/y","manifests":[]}"#)),
    ] {
        bench.registry.inject(Fault::on("/referrers/", effect.clone()));
        client().referrers(&image, None).await.expect_err(&format!("{effect:?}"));
    }
}

#[tokio::test]
async fn without_the_referrers_api_the_fallback_tag_is_read() {
    let bench = Bench::with(RegistryOptions { referrers: false, ..RegistryOptions::default() }).await;
    let image = bench.image();
    assert_eq!(client().referrers(&image, None).await.expect("no tag"), []);
    let mut referrer = blob(b"a");
    referrer.extra.insert("artifactType".into(), "x/wanted+json".into());
    let mut other = blob(b"b");
    other.extra.insert("artifactType".into(), "x/other".into());
    let index = csign_oci::Index::new(vec![referrer.clone(), other]);
    let tag = Tag::for_digest(&image.digest, "");
    let bytes = serde_json::to_vec(&index).expect("json");
    bench.registry.put_manifest(NAME, tag.as_str(), csign_oci::manifest::IMAGE_INDEX, bytes);
    assert_eq!(client().referrers(&image, Some("x/wanted+json")).await.expect("listing"), [referrer]);
    assert_eq!(client().referrers(&image, None).await.expect("listing").len(), 2);
    bench.registry.inject(Fault::on("/manifests/sha256-", Effect::Status(403, None)));
    client().referrers(&image, None).await.expect_err("the tag could not be read");
}

#[tokio::test]
async fn simulator_names_need_its_address() {
    let bench = Bench::new().await;
    let image = bench.image();
    let port = bench.repository.registry().to_owned();
    let repository = Repository::parse(&format!("registry.simulator.localhost/{NAME}")).expect("repository");
    let error = client().manifest(&repository, &image.digest.into()).await.expect_err("no address");
    assert!(matches!(error, Error::NoSimulator { .. }), "{error:?}");
    let client = builder().simulator(port.parse().expect("address")).build().expect("client");
    client.manifest(&repository, &image.digest.into()).await.expect("fetched").expect("there");
    let with_port = Repository::parse(&format!("registry.simulator.localhost:1/{NAME}")).expect("repository");
    assert!(matches!(client.manifest(&with_port, &image.digest.into()).await, Err(Error::Setup(_))));
    let outside = Client::builder().simulator("192.0.2.1:80".parse().expect("address")).build();
    assert!(matches!(outside, Err(Error::Setup(_))));
}

#[tokio::test]
async fn a_malformed_ca_file_is_found_at_once() {
    for bad in ["", "no pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        assert!(matches!(Client::builder().authorities(bad.into()).build(), Err(Error::Setup(_))), "{bad}");
    }
}
