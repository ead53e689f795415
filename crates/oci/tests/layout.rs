//! A layout is there complete or not at all, and what is read from it was checked.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, io::Write, path::Path};

use csign_oci::{
    Access, ContainerConfig, Descriptor, Digest, Image, LayerBuilder, Layout, OciError, assemble,
    manifest::{IMAGE_INDEX, IMAGE_LAYER_GZIP},
};

fn image(content: &str) -> Image {
    let mut layer = LayerBuilder::new();
    layer.file("program", Access::root(0o755), content).unwrap();
    assemble(ContainerConfig::default(), vec![(layer.build().unwrap(), "test")]).unwrap()
}

fn store(image: &Image, path: &Path) -> Layout {
    let builder = Layout::create(path).unwrap();
    let descriptor = builder.add_image(image).unwrap();
    builder.finish(vec![descriptor]).unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn round_trip() {
    let directory = tempfile::tempdir().unwrap();
    let image = image("one");
    let path = directory.path().join("new/parent/layout");
    store(&image, &path);
    let layout = Layout::open(&path).unwrap();
    let (descriptor, manifest) = layout.image().unwrap();
    assert_eq!(descriptor, image.descriptor);
    assert_eq!(layout.blob(&descriptor).unwrap(), image.manifest);
    assert_eq!(layout.blob(&manifest.layers[0]).unwrap(), image.blobs[1].1);
    assert_eq!(layout.config().unwrap().rootfs.diff_ids.len(), 1);
    let order: Vec<_> = layout.contents().unwrap().into_iter().map(|(d, _)| d.digest).collect();
    assert_eq!(order, [manifest.config.digest, manifest.layers[0].digest, descriptor.digest], "the manifest is last");
    assert_eq!(names(&path), ["blobs", "index.json", "oci-layout"]);
    assert_eq!(names(path.parent().unwrap()), ["layout"], "nothing temporary is left");
}

#[test]
fn a_layout_is_replaced_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("layout");
    store(&image("one"), &path);
    let second = image("two");
    let layout = store(&second, &path);
    assert_eq!(layout.image().unwrap().0.digest, second.descriptor.digest);
    assert_eq!(names(&path.join("blobs/sha256")).len(), 3, "no blob of the first image is left");
    assert_eq!(names(directory.path()), ["layout"]);
}

#[test]
fn abandoned_or_failed_builds_leave_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("layout");
    let builder = Layout::create(&path).unwrap();
    builder.add_image(&image("one")).unwrap();
    drop(builder);
    assert!(names(directory.path()).is_empty(), "a dropped builder leaves nothing");

    let first = image("one");
    store(&first, &path);
    let builder = Layout::create(&path).unwrap();
    builder.add_image(&image("two")).unwrap();
    drop(builder);
    assert_eq!(Layout::open(&path).unwrap().image().unwrap().0, first.descriptor);
}

#[test]
fn a_users_directory_is_never_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("thesis");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("index.json"), "{}").unwrap();
    fs::write(path.join("chapter1"), "text").unwrap();
    assert!(matches!(Layout::create(&path), Err(OciError::Occupied(_))));
    assert!(matches!(Layout::create(path.join("chapter1")), Err(OciError::Occupied(_))));
    assert_eq!(fs::read_to_string(path.join("chapter1")).unwrap(), "text");
}

#[test]
fn altered_blobs_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let layout = store(&image("one"), &directory.path().join("layout"));
    let (descriptor, manifest) = layout.image().unwrap();
    let blob = &manifest.layers[0];
    let path = layout.blob_path(&blob.digest);
    let good = fs::read(&path).unwrap();

    let mut flipped = good.clone();
    flipped[20] ^= 1;
    fs::write(&path, flipped).unwrap();
    assert!(matches!(layout.blob(blob), Err(OciError::Mismatch { .. })));
    fs::write(&path, &good[1..]).unwrap();
    assert!(matches!(layout.blob(blob), Err(OciError::Size { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(layout.blob(blob), Err(OciError::Io { .. })));

    let text = String::from_utf8(fs::read(layout.blob_path(&descriptor.digest)).unwrap()).unwrap();
    fs::write(layout.blob_path(&descriptor.digest), text.replacen("sha256:", "sha256;", 1)).unwrap();
    assert!(matches!(layout.image(), Err(OciError::Mismatch { .. })), "the manifest itself is checked");
}

#[test]
fn blob_writer_takes_exactly_what_was_announced() {
    let directory = tempfile::tempdir().unwrap();
    let builder = Layout::create(directory.path().join("layout")).unwrap();
    let want = Descriptor::of(IMAGE_LAYER_GZIP, b"content");

    let mut long = builder.blob_writer(&want).unwrap();
    assert!(long.write_all(b"content and more").is_err());
    let mut short = builder.blob_writer(&want).unwrap();
    short.write_all(b"conten").unwrap();
    assert!(matches!(short.finish(), Err(OciError::Size { .. })));
    let mut other = builder.blob_writer(&want).unwrap();
    other.write_all(b"c0ntent").unwrap();
    assert!(matches!(other.finish(), Err(OciError::Mismatch { .. })));
    let mut right = builder.blob_writer(&want).unwrap();
    right.write_all(b"con").unwrap();
    right.write_all(b"tent").unwrap();
    right.finish().unwrap();
    let layout = builder.finish(vec![want.clone()]).unwrap();
    assert_eq!(layout.blob(&want).unwrap(), b"content");
    assert_eq!(names(&layout.root().join("blobs/sha256")).len(), 1, "failed blobs left nothing");
}

#[test]
fn what_is_not_one_image_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(Layout::open(directory.path()), Err(OciError::NotALayout { .. })));
    let path = directory.path().join("layout");

    let builder = Layout::create(&path).unwrap();
    let one = builder.add_image(&image("one")).unwrap();
    let two = builder.add_image(&image("two")).unwrap();
    let layout = builder.finish(vec![one, two]).unwrap();
    assert!(matches!(layout.image(), Err(OciError::NotOneImage(2))));

    let builder = Layout::create(&path).unwrap();
    let index = builder.add_blob(IMAGE_INDEX, b"{}").unwrap();
    assert!(matches!(builder.finish(vec![index]).unwrap().image(), Err(OciError::MediaType { .. })));

    fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(matches!(Layout::open(&path), Err(OciError::NotALayout { .. })));
}

#[test]
fn oversized_documents_are_refused_before_they_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let builder = Layout::create(directory.path().join("layout")).unwrap();
    let mut huge = Descriptor::of(csign_oci::manifest::IMAGE_MANIFEST, b"");
    huge.size = 1 << 40;
    huge.digest = Digest::of(b"x");
    assert!(matches!(builder.finish(vec![huge]).unwrap().image(), Err(OciError::TooLarge { .. })));
}
