//! The peers themselves work as the other tests assume: what fails here is not csign's fault.

use csign_tests::{image, peer::peer, process::Bench, registry::Registry};

use crate::scene::{KEYS, Scene};

#[test]
fn cosign_verifies_one_of_three_legacy_signatures_with_seven_requests() {
    let Some(scene) = Scene::new(Registry::crane()) else { return };
    for key in KEYS {
        scene.cosign_signs(key);
    }
    scene.proxy.take_traffic();
    scene.cosign_accepts("builder");
    let traffic = scene.proxy.take_traffic();
    assert_eq!(traffic.requests.len(), 7, "{traffic:#?}");
}

#[test]
fn a_registry_with_a_password_refuses_strangers() {
    let (Some(crane), Some(registry)) = (peer("crane"), Registry::with_password("alice", "secret")) else { return };
    let bench = Bench::new();
    image::write_layout(&bench.path("layout"), "hello");
    let name = format!("{}/demo/app:latest", registry.address);
    bench.run(&crane, ["push", "layout", &name]).failure(1);
    bench.run(&crane, ["auth", "login", &registry.address.to_string(), "-u", "alice", "-p", "secret"]).success();
    bench.run(&crane, ["push", "layout", &name]).success();
}

#[test]
fn the_simulators_registry_serves_crane_skopeo_and_cosign() {
    let (Some(crane), Some(skopeo)) = (peer("crane"), peer("skopeo")) else { return };
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    scene.bench.run(crane, ["validate", "--remote", &scene.image]).success();
    let source = format!("docker://{}", scene.image);
    let copy = ["--insecure-policy", "copy", "--src-tls-verify=false", &source, "oci:copied:v1"];
    scene.bench.run(skopeo, copy).success();
    for key in KEYS {
        scene.cosign_signs(key);
        scene.cosign_accepts(key);
    }
    // Bundles go through the referrers API.
    scene
        .cosign(["sign", "-y", "--use-signing-config=false", "--tlog-upload=false", "--key", "bob.key", &scene.image])
        .success();
    scene.cosign_accepts("bob");
}

#[test]
fn crane_oras_and_skopeo_push_list_fetch_a_range_and_delete_in_the_simulators_registry() {
    let (Some(crane), Some(oras), Some(skopeo)) = (peer("crane"), peer("oras"), peer("skopeo")) else { return };
    let Some(registry) = Registry::with_referrers() else { return };
    let bench = Bench::new();
    image::write_layout(&bench.path("layout"), "hello");
    let repository = format!("{}/demo/app", registry.address);
    let tagged = |tag: &str| format!("{repository}:{tag}");
    let run = |program: &std::path::Path, arguments: &[&str]| bench.run(program, arguments).success();
    run(&crane, &["push", "layout", &tagged("crane")]);
    let (from, to) = ("oci:layout".to_owned(), format!("docker://{}", tagged("skopeo")));
    run(&skopeo, &["--insecure-policy", "copy", "--dest-tls-verify=false", &from, &to]);
    std::fs::write(bench.path("note.txt"), "a note").unwrap();
    run(&oras, &["push", "--plain-http", &tagged("oras"), "note.txt:text/plain"]);
    run(&oras, &["attach", "--plain-http", "--artifact-type", "text/x.note", &tagged("crane"), "note.txt:text/plain"]);
    let found = run(&oras, &["discover", "--plain-http", "--format", "json", &tagged("crane")]);
    assert!(found.contains("text/x.note"), "{found}");
    let mut tags: Vec<_> = run(&crane, &["ls", &repository]).lines().map(str::to_owned).collect();
    tags.sort();
    assert_eq!(tags, ["crane", "oras", "skopeo"]);
    run(&crane, &["validate", "--remote", &tagged("skopeo")]);
    run(&oras, &["pull", "--plain-http", &tagged("oras"), "--output", "pulled"]);
    assert_eq!(std::fs::read_to_string(bench.path("pulled/note.txt")).unwrap(), "a note");
    run(&oras, &["manifest", "delete", "--plain-http", "--force", &tagged("oras")]);
    run(&crane, &["delete", &tagged("crane")]);
    let left = run(&crane, &["ls", &repository]);
    assert!(!left.contains("oras") && !left.contains("crane"), "{left}");
}
