//! Layouts to a registry and back.

use std::path::Path;

use axum::http::Method;
use csign_oci::{Descriptor, Layout, Manifest, Tag, manifest::IMAGE_MANIFEST};
use csign_registry::{Error, Progress};
use simulator::registry::{Effect, Fault};

use crate::support::{Bench, NAME, client};

fn layout(at: &Path) -> Layout {
    let builder = Layout::create(at).expect("builder");
    let config = builder.add_blob("x/config", b"{}").expect("config");
    let layers = (0..3).map(|n| builder.add_blob("x/layer", &vec![n; 200_000]).expect("layer")).collect();
    let manifest = Manifest::new(config, layers).to_bytes().expect("json");
    let descriptor = builder.add_blob(IMAGE_MANIFEST, &manifest).expect("manifest");
    builder.finish(vec![descriptor]).expect("layout")
}

#[tokio::test]
async fn a_round_trip_keeps_every_byte_and_sends_nothing_twice() {
    let bench = Bench::new().await;
    let directory = tempfile::tempdir().expect("directory");
    let first = layout(&directory.path().join("first"));
    let tag = Tag::parse("v1").expect("tag");
    let push = async || client().push_layout(&first, &bench.repository, Some(&tag), &Progress::none()).await;
    let image = push().await.expect("pushed");
    assert_eq!(client().resolve(&bench.repository, &tag).await.expect("tag"), image.digest);
    assert_eq!(bench.count("POST", "/blobs/uploads/"), 4);
    bench.registry.clear_log();
    push().await.expect("pushed again");
    assert_eq!(bench.count("POST", "/blobs/uploads/"), 0);

    let path = directory.path().join("second");
    let builder = Layout::create(&path).expect("builder");
    let second = client().pull_layout(&image, builder, &Progress::none()).await.expect("pulled");
    let contents = |layout: &Layout| -> Vec<(Descriptor, Vec<u8>)> {
        let contents = layout.contents().expect("contents").into_iter();
        contents.map(|(descriptor, path)| (descriptor, std::fs::read(path).expect("file"))).collect()
    };
    assert_eq!(contents(&first), contents(&second));
}

#[tokio::test]
async fn an_interrupted_push_leaves_no_manifest() {
    let bench = Bench::new().await;
    let directory = tempfile::tempdir().expect("directory");
    let layout = layout(&directory.path().join("layout"));
    let tag = Tag::parse("v1").expect("tag");
    bench.registry.inject(Fault::on("digest=", Effect::Status(503, None)).method(Method::PUT).times(1000).after(2));
    let error = client().push_layout(&layout, &bench.repository, Some(&tag), &Progress::none()).await;
    // The registry answers before it has read everything; whether csign still sees the answer is a matter of luck.
    assert!(matches!(error, Err(Error::Server { .. } | Error::Interrupted { .. })), "{error:?}");
    assert_eq!(bench.registry.tags(NAME), Vec::<String>::new());
    assert_eq!(bench.count("PUT", "/manifests/"), 0);
    bench.registry.clear_faults();
    bench.registry.clear_log();
    client().push_layout(&layout, &bench.repository, Some(&tag), &Progress::none()).await.expect("pushed");
    assert!(bench.count("POST", "/blobs/uploads/") < 4, "what had arrived was sent again");
}

#[tokio::test]
async fn a_damaged_layout_is_not_pushed() {
    let bench = Bench::new().await;
    let directory = tempfile::tempdir().expect("directory");
    let layout = layout(&directory.path().join("layout"));
    let (_, manifest) = layout.image().expect("image");
    std::fs::write(layout.blob_path(&manifest.layers[1].digest), vec![9; 200_000]).expect("damage");
    let error = client().push_layout(&layout, &bench.repository, None, &Progress::none()).await;
    assert!(matches!(error, Err(Error::DigestMismatch { .. })), "{error:?}");
    assert_eq!(bench.count("PUT", "/manifests/"), 0);
}

#[tokio::test]
async fn a_replaced_layer_leaves_no_layout() {
    let bench = Bench::new().await;
    let directory = tempfile::tempdir().expect("directory");
    let source = layout(&directory.path().join("first"));
    let image = client().push_layout(&source, &bench.repository, None, &Progress::none()).await.expect("pushed");
    let layer = source.image().expect("image").1.layers[2].digest.to_string();
    bench.registry.inject(Fault::on(layer, Effect::Body(vec![9; 200_000].into())));
    let path = directory.path().join("second");
    let builder = Layout::create(&path).expect("builder");
    let error = client().pull_layout(&image, builder, &Progress::none()).await;
    assert!(matches!(error, Err(Error::DigestMismatch { .. })), "{error:?}");
    assert!(!path.exists());
    assert_eq!(std::fs::read_dir(directory.path()).expect("directory").count(), 1, "something was left");
}
