//! The peers themselves work as the other tests assume: what fails here is not csign's fault.

use csign_tests::{image, peer::peer, process::Bench, proxy::Proxy, registry::Registry};

/// The flags that keep cosign away from Fulcio, Rekor and its update repository.
pub(crate) const OFFLINE: [&str; 3] = ["-y", "--use-signing-config=false", "--tlog-upload=false"];

#[test]
fn cosign_verifies_one_of_three_legacy_signatures_with_seven_requests() {
    let (Some(cosign), Some(crane), Some(registry)) = (peer("cosign"), peer("crane"), Registry::with_referrers())
    else {
        return;
    };
    let bench = Bench::new();
    let proxy = Proxy::start(registry.address);
    let digest = image::write_layout(&bench.path("layout"), "hello");
    let name = format!("{}/demo/app", proxy.address);
    bench.run(&crane, ["push", "layout", &format!("{name}:latest")]).success();
    bench.run(&crane, ["validate", "--remote", &format!("{name}@{digest}")]).success();
    let pinned = format!("{name}@{digest}");
    for key in ["one", "two", "three"] {
        bench.run(&cosign, ["generate-key-pair", "--output-key-prefix", key]).success();
        let key = format!("{key}.key");
        let arguments = ["--new-bundle-format=false", "--key", &key, &pinned];
        bench.run(&cosign, ["sign"].into_iter().chain(OFFLINE).chain(arguments)).success();
    }
    proxy.take_traffic();
    bench.run(&cosign, ["verify", "--key", "one.pub", "--insecure-ignore-tlog", &pinned]).success();
    let traffic = proxy.take_traffic();
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
