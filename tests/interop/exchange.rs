//! Approvals made offline, collected or attached, as cosign sees the result.

use std::{fs, thread};

use csign_tests::registry::Registry;

use crate::scene::{KEYS, LEGACY, Scene};

/// A contract in which the owners of the three keys are the parties.
fn write_contract(scene: &Scene) {
    let mut contract = format!(
        "version = 1\nname = \"interop\"\n[image]\nrepository = \"{}\"\n[build]\nrecipe = \"cargo-musl\"\n\
         [environment]\nkind = \"google\"\n[operator]\nproject_id = \"operator\"\n\
         service_account = \"runner@operator.iam.gserviceaccount.com\"\n[platform]\nhardware = [\"GCP_INTEL_TDX\"]\n\
         support = \"STABLE\"\n[messages]\ntopic = \"projects/operator/topics/words\"\n\
         subscription = \"projects/operator/subscriptions/words\"\n",
        scene.repository
    );
    for key in KEYS {
        let pem = fs::read_to_string(scene.bench.path(format!("{key}.pub"))).unwrap();
        contract += &format!("[[party]]\nname = \"{key}\"\npublic_key = \"\"\"\n{pem}\"\"\"\n");
    }
    fs::write(scene.bench.path("collaboration.toml"), contract).unwrap();
}

/// Everyone approves; the files are `builder.json` and so on.
fn approve(scene: &Scene) {
    write_contract(scene);
    scene.csign(["request", "--digest", &scene.digest]).success();
    scene.proxy.take_traffic();
    for key in KEYS {
        let (private, out) = (format!("{key}.key"), format!("{key}.json"));
        let arguments = ["approve", "request.json", "--key", &private, "--rebuilt", "layout", "--out", &out];
        scene.csign(arguments).success();
    }
    assert_eq!(scene.proxy.take_traffic().connections, 0, "approving needs no network");
}

fn everyone_is_satisfied(scene: &Scene) {
    assert_eq!(scene.signatures(), 3);
    for key in KEYS {
        scene.cosign_accepts(key);
    }
    scene.csign(["verify", &scene.image, "--contract", "collaboration.toml"]).success();
}

#[test]
fn cosign_verifies_what_csign_collected() {
    for registry in [Registry::with_referrers(), Registry::without_referrers()] {
        let Some(scene) = Scene::new(registry) else { return };
        approve(&scene);
        scene.csign(["collect", "--request", "request.json", "builder.json", "alice.json", "bob.json"]).success();
        everyone_is_satisfied(&scene);
    }
}

#[test]
fn cosign_verifies_what_three_csigns_attached_at_the_same_time() {
    for registry in [Registry::with_referrers(), Registry::without_referrers()] {
        let Some(scene) = Scene::new(registry) else { return };
        approve(&scene);
        thread::scope(|scope| {
            for key in KEYS {
                let scene = &scene;
                scope.spawn(move || scene.csign(["attach", &scene.image, &format!("{key}.json")]).success());
            }
        });
        everyone_is_satisfied(&scene);
    }
}

#[test]
fn csign_attaches_a_payload_that_cosign_generated_and_signed_offline() {
    let Some(scene) = Scene::new(Registry::without_referrers()) else { return };
    fs::write(scene.bench.path("payload.json"), scene.cosign(["generate", &scene.image]).success()).unwrap();
    let sign = ["--key", "alice.key", "--output-signature", "alice.sig", "payload.json"];
    scene.cosign(["sign-blob"].into_iter().chain(LEGACY).chain(sign)).success();
    let attach = ["--payload", "payload.json", "--signature", "alice.sig", "--key", "alice.pub"];
    scene.csign(["attach", &scene.image].into_iter().chain(attach)).success();
    scene.cosign_accepts("alice");
    scene.csign_verifies(&["alice"]).success();
}

#[test]
fn a_signature_that_cosign_overwrote_is_repaired() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    scene.csign_signs("builder");
    let tag = format!("{}:{}.sig", scene.repository, scene.digest.replace(':', "-"));
    let crane = csign_tests::peer::find("crane").expect("it was there");
    scene.bench.run(&crane, ["delete", &tag]).success();
    scene.cosign_signs("alice");
    scene.csign(["attach", &scene.image, "--repair"]).success();
    assert_eq!(scene.signatures(), 2);
    scene.cosign_accepts("builder");
    scene.cosign_accepts("alice");
}
