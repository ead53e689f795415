//! `csign diff` of what real tools write: layouts, archives, compressions, registries.

use std::fs;

use csign_tests::{
    image,
    peer::{csign, peer},
    process::{Bench, Finished},
    registry::Registry,
};

fn diff(bench: &Bench, a: &str, b: &str, status: i32) -> String {
    let finished: Finished = bench.run(csign(), ["diff", a, b]);
    assert_eq!(finished.code, Some(status), "{finished}");
    finished.stdout
}

/// Two layouts, `one` and `two`, that differ in their only file.
fn bench() -> Bench {
    let bench = Bench::new();
    image::write_layout(&bench.path("one"), "hello");
    image::write_layout(&bench.path("two"), "hello, world");
    bench
}

#[test]
fn what_skopeo_writes_in_any_form_is_the_same_image() {
    let Some(skopeo) = peer("skopeo") else { return };
    let bench = bench();
    let copy = |from: &str, to: &str, more: &[&str]| {
        let arguments = [&["--insecure-policy", "copy"], more, &[from, to]].concat();
        bench.run(&skopeo, arguments).success();
    };
    copy("oci:one", "oci:layout:v1", &[]);
    copy("oci:one", "oci-archive:archive.tar:v1", &[]);
    assert!(diff(&bench, "one", "layout", 0).contains("the same"));
    diff(&bench, "oci:layout", "oci-archive:archive.tar", 0);
    diff(&bench, "archive.tar", "two", 1);
    // No manifest, and layers without compression: the content is what there is to compare.
    copy("oci:one", "docker-archive:docker.tar:example/app:v1", &[]);
    let text = diff(&bench, "one", "docker.tar", 1);
    assert!(text.contains("only its compression differs") && !text.contains("/message.txt"), "{text}");
    let text = diff(&bench, "docker-archive:docker.tar", "two", 1);
    assert!(text.contains("/message.txt"), "{text}");
    diff(&bench, "docker.tar", "docker.tar", 0);
    // Layers without compression are compressed as asked; others would stay what they are.
    for (algorithm, level) in [("zstd", "1"), ("zstd", "19"), ("zstd:chunked", "3")] {
        let layout = format!("oci:{}-{level}", algorithm.replace(':', "-"));
        let how = ["--dest-compress-format", algorithm, "--dest-compress-level", level];
        copy("docker-archive:docker.tar", &format!("{layout}:v1"), &how);
        let text = diff(&bench, "one", &layout, 1);
        assert!(text.contains("compression: gzip → zstd") && !text.contains("/message.txt"), "{text}");
        // Some versions cut what follows the archive's end when they write zstd:chunked.
        let same = text.contains("only its compression differs");
        assert!(same || (algorithm == "zstd:chunked" && text.contains("end of archive")), "{text}");
        let text = diff(&bench, "two", &layout, 1);
        assert!(text.contains("compression: gzip → zstd") && text.contains("/message.txt"), "{text}");
    }
}

#[test]
fn what_crane_pulls_as_an_archive_and_as_a_layout_is_the_image_in_the_registry() {
    let Some(crane) = peer("crane") else { return };
    let bench = bench();
    let Some(registry) = Registry::with_referrers() else { return };
    let name = format!("{}/demo/app", registry.address);
    for layout in ["one", "two"] {
        bench.run(csign(), ["push", layout, &format!("{name}:{layout}")]).success();
    }
    let one = format!("{name}:one");
    bench.run(&crane, ["pull", "--format=oci", &one, "layout"]).success();
    bench.run(&crane, ["pull", "--format=tarball", &one, "archive.tar"]).success();
    diff(&bench, &one, "layout", 0);
    diff(&bench, &one, "one", 0);
    let text = diff(&bench, &one, "archive.tar", 1);
    assert!(text.contains("- manifest") && !text.contains("layers[0]"), "{text}");
    let text = diff(&bench, &one, &format!("{name}:two"), 1);
    assert!(text.contains("/message.txt") && text.contains("size: 5 → 12"), "{text}");
    let text = diff(&bench, "two", &one, 1);
    assert!(text.contains("size: 12 → 5"), "{text}");
    // What is not there is no difference.
    diff(&bench, &one, &format!("{name}:three"), 3);
}

#[test]
fn what_umoci_packs_again_differs_as_umoci_says() {
    let Some(umoci) = peer("umoci") else { return };
    let bench = bench();
    let tagged = fs::read_to_string(bench.path("one/index.json")).unwrap();
    let tagged = tagged.replacen(r#""size""#, r#""annotations":{"org.opencontainers.image.ref.name":"v1"},"size""#, 1);
    fs::write(bench.path("tagged-index"), tagged).unwrap();
    bench.run("cp", ["-r", "one", "layout"]).success();
    fs::copy(bench.path("tagged-index"), bench.path("layout/index.json")).unwrap();
    bench.run(&umoci, ["unpack", "--rootless", "--image", "layout:v1", "bundle"]).success();
    fs::write(bench.path("bundle/rootfs/more.txt"), "more").unwrap();
    bench.run(&umoci, ["repack", "--image", "layout:v1", "bundle"]).success();
    let text = diff(&bench, "one", "layout", 1);
    assert!(text.contains("+ layers[1]") && text.contains("/history/1"), "{text}");
}

#[test]
fn a_platform_is_picked_from_the_index_that_crane_makes() {
    let Some(crane) = peer("crane") else { return };
    let bench = bench();
    let Some(registry) = Registry::with_referrers() else { return };
    let name = format!("{}/demo/app", registry.address);
    for layout in ["one", "two"] {
        bench.run(csign(), ["push", layout, &format!("{name}:{layout}")]).success();
        let (image, index) = (format!("{name}:{layout}"), format!("{name}:index-{layout}"));
        bench.run(&crane, ["index", "append", "-m", &image, "-t", &index]).success();
    }
    let (one, two) = (format!("{name}:index-one"), format!("{name}:index-two"));
    let text = diff(&bench, &one, &two, 1);
    assert!(text.contains("image linux/amd64") && text.contains("/message.txt"), "{text}");
    // An index of one image against the image.
    let text = diff(&bench, &one, "one", 1);
    assert!(text.contains("- index") && !text.contains("layers"), "{text}");
    let picked = bench.run(csign(), ["diff", "--platform", "linux/amd64", &one, "one"]);
    assert_eq!(picked.code, Some(0), "{picked}");
    let none = bench.run(csign(), ["diff", "--platform", "linux/arm64", &one, "one"]);
    assert_eq!(none.code, Some(2), "{none}");
}
