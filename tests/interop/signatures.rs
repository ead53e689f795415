//! Each verifies what the other signed, and neither loses what the other attached.

use csign_tests::registry::Registry;

use crate::scene::{KEYS, Scene};

fn cosign_verifies_three(scene: &Scene) {
    for key in KEYS {
        scene.csign_signs(key);
    }
    for key in KEYS {
        scene.cosign_accepts(key);
    }
    assert_eq!(scene.signatures(), 3);
}

#[test]
fn cosign_verifies_what_csign_signed() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    cosign_verifies_three(&scene);
}

#[test]
fn cosign_verifies_what_csign_signed_on_a_registry_without_referrers() {
    let Some(scene) = Scene::new(Registry::without_referrers()) else { return };
    cosign_verifies_three(&scene);
}

#[test]
fn csign_verifies_what_cosign_signed_and_notices_who_did_not() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    for key in ["builder", "alice"] {
        scene.cosign_signs(key);
    }
    scene.csign_verifies(&["builder", "alice"]).success();
    let report = scene.csign_verifies(&KEYS);
    assert!(report.stdout.contains("bob"), "{report}");
    report.failure(1);
    scene.cosign_signs("bob");
    scene.csign_verifies(&KEYS).success();
}

#[test]
fn signatures_of_both_programs_stand_side_by_side() {
    let Some(scene) = Scene::new(Registry::without_referrers()) else { return };
    scene.csign_signs("builder");
    scene.cosign_signs("alice");
    scene.csign_signs("bob");
    assert_eq!(scene.signatures(), 3);
    scene.csign_verifies(&KEYS).success();
    for key in KEYS {
        scene.cosign_accepts(key);
    }
}

#[test]
fn an_image_that_nobody_signed_is_rejected_and_an_unreachable_one_is_not_judged() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    scene.csign_verifies(&KEYS).failure(1);
    let closed = scene.image.replace(&scene.proxy.address.port().to_string(), "1");
    scene.csign(["verify", &closed, "--key", "builder.pub"]).failure(3);
}

#[test]
fn a_signature_for_one_image_is_none_for_another() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    scene.cosign_signs("builder");
    let other = csign_tests::image::write_layout(&scene.bench.path("other"), "other");
    let crane = csign_tests::peer::find("crane").expect("it was there");
    scene.bench.run(&crane, ["push", "other", &format!("{}:other", scene.repository)]).success();
    let tag = |digest: &str| format!("{}:{}.sig", scene.repository, digest.replace(':', "-"));
    scene.bench.run(&crane, ["copy", &tag(&scene.digest), &tag(&other)]).success();
    let report = scene.csign(["verify", &format!("{}@{other}", scene.repository), "--key", "builder.pub"]);
    report.failure(1);
}

#[test]
fn three_signatures_of_csign_are_verified_with_one_request() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    for key in KEYS {
        scene.csign_signs(key);
    }
    scene.proxy.take_traffic();
    scene.csign_verifies(&KEYS).success();
    let traffic = scene.proxy.take_traffic();
    assert_eq!((traffic.requests.len(), traffic.connections), (1, 1), "{traffic:#?}");
}
