//! Images that csign pushes and pulls, in the eyes of crane, skopeo and umoci.

use csign_tests::{image, peer::peer, process::Bench, registry::Registry};

fn pushed(registry: &Registry) -> (Bench, String, String) {
    let bench = Bench::new();
    let digest = image::write_layout(&bench.path("layout"), "hello");
    let repository = format!("{}/demo/app", registry.address);
    bench.run(csign_tests::peer::csign(), ["push", "layout", &format!("{repository}:v1")]).success();
    (bench, repository, digest)
}

#[test]
fn what_csign_pushed_validates_and_pulls() {
    let (Some(crane), Some(skopeo)) = (peer("crane"), peer("skopeo")) else { return };
    for registry in [Registry::with_referrers(), Registry::without_referrers()] {
        let Some(registry) = registry else { return };
        let (bench, repository, digest) = pushed(&registry);
        assert_eq!(bench.run(&crane, ["digest", &format!("{repository}:v1")]).success().trim(), digest);
        bench.run(&crane, ["validate", "--remote", &format!("{repository}@{digest}")]).success();
        let source = format!("docker://{repository}@{digest}");
        let copy = ["--insecure-policy", "copy", "--src-tls-verify=false", &source, "oci:copied:v1"];
        bench.run(&skopeo, copy).success();
        let index = std::fs::read_to_string(bench.path("copied/index.json")).unwrap();
        assert!(index.contains(&digest), "{index}");
    }
}

#[test]
fn what_csign_pulled_is_a_layout_that_others_read() {
    let (Some(crane), Some(skopeo), Some(umoci)) = (peer("crane"), peer("skopeo"), peer("umoci")) else { return };
    let Some(registry) = Registry::with_referrers() else { return };
    let (bench, repository, digest) = pushed(&registry);
    bench.run(csign_tests::peer::csign(), ["pull", &format!("{repository}@{digest}"), "--out", "pulled"]).success();
    bench.run(&crane, ["push", "pulled", &format!("{repository}:again")]).success();
    assert_eq!(bench.run(&crane, ["digest", &format!("{repository}:again")]).success().trim(), digest);
    let copy = ["--insecure-policy", "copy", "oci:pulled", "oci:copied:v1"];
    bench.run(&skopeo, copy).success();
    bench.run(&umoci, ["unpack", "--rootless", "--image", "copied:v1", "bundle"]).success();
    assert_eq!(std::fs::read_to_string(bench.path("bundle/rootfs/message.txt")).unwrap(), "hello");
}
