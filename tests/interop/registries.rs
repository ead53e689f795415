//! A registry that asks for a password.

use csign_tests::{
    image,
    peer::{csign, peer},
    process::Bench,
    registry::Registry,
};

use crate::scene::LEGACY;

#[test]
fn csign_uses_the_login_that_crane_stored_and_says_what_is_missing_without_one() {
    let (Some(cosign), Some(crane)) = (peer("cosign"), peer("crane")) else { return };
    let Some(registry) = Registry::with_password("alice", "s3cret-word") else { return };
    let bench = Bench::new();
    let digest = image::write_layout(&bench.path("layout"), "hello");
    let repository = format!("{}/demo/app", registry.address);
    let pinned = format!("{repository}@{digest}");
    bench.run(&cosign, ["generate-key-pair", "--output-key-prefix", "alice"]).success();

    let push = ["push", "layout", &format!("{repository}:v1")];
    let refused = bench.run(csign(), push).failure(3);
    assert!(refused.contains("401") || refused.to_lowercase().contains("log"), "{refused}");
    bench.run(csign(), ["verify", &pinned, "--key", "alice.pub"]).failure(3);

    bench.run(&crane, ["auth", "login", &registry.address.to_string(), "-u", "alice", "-p", "wrong"]).success();
    let refused = bench.run(csign(), push).failure(3);
    assert!(!refused.contains("wrong\""), "{refused}");

    bench.run(&crane, ["auth", "login", &registry.address.to_string(), "-u", "alice", "-p", "s3cret-word"]).success();
    let pushed = bench.run(csign(), push);
    assert!(!pushed.stderr.contains("s3cret-word"), "{pushed}");
    pushed.success();
    bench.run(csign(), ["sign", &pinned, "--key", "alice.key"]).success();
    bench.run(&cosign, ["verify", "--insecure-ignore-tlog", "--key", "alice.pub", &pinned]).success();
    bench.run(&cosign, ["generate-key-pair", "--output-key-prefix", "bob"]).success();
    bench.run(&cosign, ["sign"].into_iter().chain(LEGACY).chain(["--key", "bob.key", &pinned])).success();
    bench.run(csign(), ["verify", &pinned, "--key", "alice.pub", "--key", "bob.pub"]).success();
}
