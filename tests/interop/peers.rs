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
