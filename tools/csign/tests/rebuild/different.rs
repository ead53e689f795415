//! Another digest: exit status 1, both digests, and why.

use csign_oci::Layout;

use crate::scene::{Scene, can_build};

#[test]
fn a_builder_who_built_something_else_is_found_out() {
    if !can_build() {
        return;
    }
    let scene = Scene::bare("cargo-musl");
    let honest = scene.read("source/workload/src/main.rs");
    scene.write("source/workload/src/main.rs", "fn main() { println!(\"tampered\"); }\n");
    scene.csign(&["build", "--source", "source", "--target-dir", "target", "--out", "image"]).expect(0, &[]);
    scene.write("source/workload/src/main.rs", &honest);
    scene.csign(&["request", "--layout", "image", "--source", "source"]).expect(0, &[]);
    let digest = |layout: &str| Layout::open(scene.path(layout)).expect("layout").image().expect("image").0.digest;

    let done = scene.rebuild(&["--against", "image", "--diff", "difference.json"]);
    let ours = digest("rebuilt").to_string();
    let done = done.expect(1, &["your rebuild has the digest", &ours, &digest("image").to_string(), "do not approve"]);
    assert!(done.text.contains("workload"), "{}", done.text);
    let report: serde_json::Value = serde_json::from_str(&scene.read("difference.json")).expect("JSON");
    assert_eq!(report["b"]["digest"], *ours);
    assert!(!scene.path("rebuild.json").exists());
    scene
        .csign(&["approve", "request.json", "--key", "alice.key", "--rebuilt", "rebuilt"])
        .expect(1, &["your rebuild has the digest"]);

    scene.rebuild(&["--against", "image", "--diff", "difference.html", "--output", "json"]).expect(1, &["\"causes\""]);
    assert!(scene.read("difference.html").starts_with("<!doctype html>"));
    // Another image than the request's explains nothing, whoever offers it.
    scene.rebuild(&["--against", "rebuilt"]).expect(1, &["it is not the builder's image"]);
    // Without the builder's image the verdict is the same.
    scene.rebuild(&["--quiet"]).expect(1, &["your rebuild has the digest"]);
}
