//! Pushing blobs and manifests.

use axum::http::Method;
use bytes::Bytes;
use csign_oci::{Digest, Manifest, Tag, manifest::IMAGE_MANIFEST};
use csign_registry::{Content, Error, Progress};
use simulator::registry::{Effect, Fault};

use crate::support::{Bench, NAME, blob, client};

async fn push(bench: &Bench, content: &'static [u8]) -> Result<bool, Error> {
    let bytes = Content::Bytes(Bytes::from_static(content));
    client().push_blob(&bench.repository, &blob(content), bytes, &Progress::none()).await
}

#[tokio::test]
async fn a_blob_that_exists_is_not_sent_again() {
    let bench = Bench::new().await;
    assert!(push(&bench, b"content").await.expect("pushed"));
    assert_eq!(bench.registry.blob(NAME, &Digest::of(b"content")).as_deref(), Some(&b"content"[..]));
    bench.registry.clear_log();
    assert!(!push(&bench, b"content").await.expect("looked up"));
    assert_eq!(bench.writes(), 0);
}

#[tokio::test]
async fn a_file_is_streamed_and_sent_again_after_a_fault() {
    let bench = Bench::new().await;
    let directory = tempfile::tempdir().expect("directory");
    let (path, bytes) = (directory.path().join("blob"), vec![7; 1_000_000]);
    std::fs::write(&path, &bytes).expect("file");
    bench.registry.inject(Fault::on("digest=", Effect::Status(503, None)).method(Method::PUT));
    let (sender, heard) = std::sync::mpsc::channel();
    let progress = Progress::new(move |_, done| sender.send(done).unwrap_or(()));
    let sent = client().push_blob(&bench.repository, &blob(&bytes), Content::File(path), &progress).await;
    assert!(sent.expect("the second try"));
    drop(progress);
    assert_eq!(heard.iter().last(), Some(1_000_000));
    assert_eq!(bench.registry.blob(NAME, &Digest::of(&bytes)).map(|b| b.len()), Some(1_000_000));
}

#[tokio::test]
async fn content_that_is_not_its_descriptor_is_not_sent() {
    let bench = Bench::new().await;
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("blob");
    std::fs::write(&path, b"CONTENT").expect("file");
    for content in [Content::File(path.clone()), Content::Bytes(Bytes::from_static(b"CONTENT"))] {
        let error = client().push_blob(&bench.repository, &blob(b"content"), content, &Progress::none()).await;
        assert!(matches!(error, Err(Error::DigestMismatch { .. })), "{error:?}");
    }
    let missing = Content::File(directory.path().join("none"));
    let error = client().push_blob(&bench.repository, &blob(b"content"), missing, &Progress::none()).await;
    assert!(matches!(error, Err(Error::Io { .. })), "{error:?}");
    assert_eq!(bench.writes(), 0);
}

#[tokio::test]
async fn refused_and_misreported_uploads_are_errors() {
    let bench = Bench::new().await;
    bench.registry.inject(Fault::on("/uploads/", Effect::Status(403, None)));
    assert!(matches!(push(&bench, b"a").await, Err(Error::Forbidden { .. })));
    bench.registry.inject(Fault::on("digest=", Effect::Status(400, None)).method(Method::PUT));
    assert!(matches!(push(&bench, b"a").await, Err(Error::Refused { status: 400, .. })));
    let other = Digest::of(b"b").to_string();
    bench.registry.inject(Fault::on("digest=", Effect::Header("docker-content-digest", other)));
    assert!(matches!(push(&bench, b"a").await, Err(Error::DigestMismatch { .. })));
    for elsewhere in ["http://registry.example/upload", "ftp://127.0.0.1/upload"] {
        let started = Effect::Answer(202, vec![("location", elsewhere.into())], Bytes::new());
        bench.registry.inject(Fault::on("/uploads/", started).method(Method::POST));
        assert!(matches!(push(&bench, b"c").await, Err(Error::Insecure { .. })), "{elsewhere}");
    }
}

#[tokio::test]
async fn a_manifest_is_stored_as_it_is_or_not_at_all() {
    let bench = Bench::new().await;
    let manifest = Manifest::new(blob(b"{}"), Vec::new()).to_bytes().expect("json");
    let (digest, tag) = (Digest::of(&manifest), Tag::parse("v1").expect("tag"));
    let push = async |reference| client().push_manifest(&bench.repository, &reference, IMAGE_MANIFEST, &manifest).await;
    let error = push(tag.clone().into()).await.expect_err("its configuration was never pushed");
    assert!(error.to_string().contains("MANIFEST_BLOB_UNKNOWN"), "{error}");
    bench.registry.put_blob(NAME, &b"{}"[..]);
    assert!(matches!(push(Digest::of(b"x").into()).await, Err(Error::DigestMismatch { .. })));
    let other = Digest::of(b"b").to_string();
    bench.registry.inject(Fault::on("/manifests/", Effect::Header("docker-content-digest", other)));
    assert!(matches!(push(tag.clone().into()).await, Err(Error::DigestMismatch { .. })));
    let pushed = push(tag.into()).await.expect("pushed");
    assert_eq!((pushed.digest, pushed.subject_listed), (digest, false));
    let huge = vec![b' '; (4 << 20) + 1];
    let error = client().push_manifest(&bench.repository, &Digest::of(&huge).into(), IMAGE_MANIFEST, &huge).await;
    assert!(matches!(error, Err(Error::TooLarge { .. })), "{error:?}");
}
