//! Key files go both ways, and a wrong password opens none.

use csign_tests::{process::Finished, registry::Registry};

use crate::scene::{LEGACY, Scene};

#[test]
fn cosign_signs_with_a_key_that_csign_made() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    scene.csign(["generate-key-pair", "--output-key-prefix", "ours"]).success();
    let ours = std::fs::read_to_string(scene.bench.path("ours.pub")).unwrap();
    assert_eq!(scene.cosign(["public-key", "--key", "ours.key"]).success().trim(), ours.trim());
    scene.cosign_signs("ours");
    scene.cosign_accepts("ours");
    scene.csign_verifies(&["ours"]).success();
}

#[test]
fn csign_signs_with_a_key_that_cosign_made() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    let theirs = std::fs::read_to_string(scene.bench.path("alice.pub")).unwrap();
    assert_eq!(scene.csign(["public-key", "--key", "alice.key"]).success().trim(), theirs.trim());
    scene.csign_signs("alice");
    scene.cosign_accepts("alice");
}

#[test]
fn neither_program_opens_a_key_with_a_wrong_password() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    let mut ours = scene.bench.command(csign_tests::peer::csign());
    ours.args(["sign", &scene.image, "--key", "alice.key"]).env("COSIGN_PASSWORD", "wrong");
    let refused = Finished::of(&mut ours);
    assert!(refused.stderr.contains("password") && !refused.stderr.contains("wrong\""), "{refused}");
    assert_ne!(refused.code, Some(0), "{refused}");
    scene.csign(["generate-key-pair", "--output-key-prefix", "ours"]).success();
    let mut theirs = scene.bench.command(csign_tests::peer::find("cosign").expect("it was there"));
    theirs.arg("sign").args(LEGACY).args(["--key", "ours.key", &scene.image]).env("COSIGN_PASSWORD", "wrong");
    assert_ne!(Finished::of(&mut theirs).code, Some(0));
    scene.csign_verifies(&["alice"]).failure(1);
}
