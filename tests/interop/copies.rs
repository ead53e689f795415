//! Images that are copied with what is attached to them: csign's copies in the eyes of cosign and oras, and theirs in
//! csign's.

use csign_tests::{peer::peer, process::Finished, registry::Registry};

use crate::scene::{KEYS, LEGACY, Scene};

/// What keeps cosign offline and at its present format, bundles.
const BUNDLES: [&str; 3] = ["-y", "--use-signing-config=false", "--tlog-upload=false"];

type Make = fn(Option<Registry>) -> Option<Scene>;

fn registries() -> Vec<Option<Registry>> {
    vec![Registry::with_referrers(), Registry::without_referrers()]
}

fn predicate(scene: &Scene) {
    std::fs::write(scene.bench.path("predicate.json"), r#"{"foo":"bar"}"#).expect("writing a file");
}

/// An image with two signatures and an attestation in cosign's legacy format.
fn legacy(registry: Option<Registry>) -> Option<Scene> {
    let scene = Scene::new(registry)?;
    scene.cosign_signs("builder");
    scene.csign_signs("alice");
    predicate(&scene);
    let attest = ["--key", "bob.key", "--type", "custom", "--predicate", "predicate.json", &scene.image];
    scene.cosign(["attest"].into_iter().chain(LEGACY).chain(attest)).success();
    Some(scene)
}

/// An image with a signature and an attestation in bundles.
fn bundles(registry: Option<Registry>) -> Option<Scene> {
    let scene = Scene::new(registry)?;
    scene.cosign(["sign"].into_iter().chain(BUNDLES).chain(["--key", "bob.key", &scene.image])).success();
    predicate(&scene);
    let attest = ["--key", "bob.key", "--type", "custom", "--predicate", "predicate.json", &scene.image];
    scene.cosign(["attest"].into_iter().chain(BUNDLES).chain(attest)).success();
    Some(scene)
}

/// cosign verifies signature and attestation at `repository`, as `key` and bob made them.
#[track_caller]
fn cosign_accepts(scene: &Scene, repository: &str, key: &str) {
    let image = format!("{repository}@{}", scene.digest);
    let key = format!("{key}.pub");
    let trusting = ["--insecure-ignore-tlog", "--key"];
    scene.cosign(["verify"].into_iter().chain(trusting).chain([key.as_str(), &image])).success();
    let attested = ["bob.pub", "--type", "custom", &image];
    scene.cosign(["verify-attestation"].into_iter().chain(trusting).chain(attested)).success();
}

/// csign finds the signatures of these keys, under the name of the place where they were made.
#[track_caller]
fn csign_finds(scene: &Scene, repository: &str, keys: &[&str]) {
    let image = format!("{repository}@{}", scene.digest);
    let keys = keys.iter().flat_map(|key| ["--key".to_owned(), format!("{key}.pub")]);
    let name = ["--signed-as".to_owned(), scene.repository.clone()];
    scene.csign(["verify".to_owned(), image].into_iter().chain(name).chain(keys)).success();
}

fn copy(scene: &Scene, from: &str, to: &str) -> Finished {
    scene.csign(["copy", from, to])
}

#[test]
fn cosign_verifies_what_csign_copied() {
    for registry in registries() {
        let Some(scene) = legacy(registry) else { return };
        let there = format!("{}/copy/app", scene.proxy.address);
        copy(&scene, &scene.image, &format!("{there}:v1")).success();
        cosign_accepts(&scene, &there, "builder");
        csign_finds(&scene, &there, &["builder", "alice"]);
    }
}

#[test]
fn cosign_verifies_bundles_that_csign_copied_on_both_kinds_of_registry() {
    for (from, to) in [(0, 1), (1, 0)] {
        let Some(scene) = bundles(registries().remove(from)) else { return };
        let Some(target) = registries().remove(to) else { return };
        let there = format!("{}/copy/app", target.address);
        copy(&scene, &scene.image, &format!("{there}:v1")).success();
        cosign_accepts(&scene, &there, "bob");
    }
}

#[test]
fn cosign_loads_what_csign_saved() {
    // cosign load sends a bundle's manifest before its blobs, which only a registry that checks nothing takes.
    let cases = [(legacy as Make, Registry::without_referrers(), "builder"), (bundles, Registry::crane(), "bob")];
    for (make, registry, key) in cases {
        let Some(scene) = make(registry) else { return };
        scene.csign(["save", &scene.image, "--dir", "saved"]).success();
        let there = format!("{}/loaded/app", scene.proxy.address);
        scene.cosign(["load", "--dir", "saved", &format!("{there}:v1")]).success();
        cosign_accepts(&scene, &there, key);
        let local = format!("{key}.pub");
        scene.cosign(["verify", "--local-image", "--insecure-ignore-tlog", "--key", &local, "saved"]).success();
    }
}

#[test]
fn csign_loads_what_cosign_saved() {
    for (make, key) in [(legacy as Make, "builder"), (bundles, "bob")] {
        let Some(scene) = make(Registry::without_referrers()) else { return };
        scene.cosign(["save", "--dir", "saved", &scene.image]).success();
        let there = format!("{}/loaded/app", scene.proxy.address);
        scene.csign(["load", "--dir", "saved", &format!("{there}:v1")]).success();
        cosign_accepts(&scene, &there, key);
        let digest = scene.csign(["digest", "--layout", "saved"]).success();
        assert_eq!(digest.trim(), scene.digest);
        let local = format!("{key}.pub");
        scene.csign(["verify", &scene.image, "--local-image", "saved", "--key", &local]).success();
    }
}

#[test]
fn oras_and_csign_read_each_others_referrers_and_layouts() {
    let Some(oras) = peer("oras") else { return };
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    std::fs::write(scene.bench.path("sbom.json"), "{}").expect("writing a file");
    let attach = ["attach", "--plain-http", "--artifact-type", "application/spdx+json", &scene.image, "sbom.json"];
    scene.bench.run(&oras, attach).success();
    scene.csign_signs("builder");
    scene.csign(["save", &scene.image, "--dir", "saved"]).success();
    let saved = format!("saved@{}", scene.digest);
    let found = scene.bench.run(&oras, ["discover", "--oci-layout", &saved, "--format", "json"]).success();
    assert!(found.contains("application/spdx+json"), "{found}");
    let there = format!("{}/oras/app", scene.proxy.address);
    let arguments = ["cp", "-r", "--from-oci-layout", &saved, "--to-plain-http", &format!("{there}:v1")];
    scene.bench.run(&oras, arguments).success();
    let tree = scene.csign(["tree", &format!("{there}@{}", scene.digest)]);
    assert!(tree.stdout.contains("application/spdx+json"), "{tree}");
    tree.success();
    let target = Registry::without_referrers();
    let Some(target) = target else { return };
    let there = format!("{}/oras/app", target.address);
    copy(&scene, "oci:saved", &there).success();
    let image = format!("{there}@{}", scene.digest);
    let found = scene.bench.run(&oras, ["discover", "--plain-http", &image, "--format", "json"]).success();
    assert!(found.contains("application/spdx+json"), "{found}");
}

#[test]
fn a_copy_validates_and_its_layout_is_read_by_skopeo() {
    let (Some(crane), Some(skopeo)) = (peer("crane"), peer("skopeo")) else { return };
    let Some(scene) = legacy(Registry::without_referrers()) else { return };
    let there = format!("{}/copy/app", scene.proxy.address);
    copy(&scene, &scene.image, &format!("{there}:v1")).success();
    scene.bench.run(crane, ["validate", "--remote", &format!("{there}:v1")]).success();
    scene.csign(["save", &scene.image, "--dir", "saved"]).success();
    let signature = format!("oci:saved:{}.sig", scene.digest.replace(':', "-"));
    scene.bench.run(skopeo, ["inspect", "--raw", &signature]).success();
}

#[test]
fn download_prints_the_same_as_cosign() {
    // cosign writes envelopes anew, with an empty keyid; csign prints what is attached.
    let lines = |done: Finished| -> Vec<serde_json::Value> {
        let text = done.success().replace("\"keyid\":\"\",", "");
        text.lines().map(|line| serde_json::from_str(line).expect("one object on a line")).collect()
    };
    for make in [legacy, bundles] {
        let Some(scene) = make(Registry::without_referrers()) else { return };
        let attestations =
            ["download", "attestation", "--predicate-type", "https://cosign.sigstore.dev/attestation/v1"];
        let command = || attestations.into_iter().chain([scene.image.as_str()]);
        assert_eq!(lines(scene.csign(command())), lines(scene.cosign(command())));
    }
    let Some(scene) = legacy(Registry::without_referrers()) else { return };
    let signatures = || ["download", "signature", &scene.image];
    assert_eq!(lines(scene.csign(signatures())), lines(scene.cosign(signatures())));
    for kind in ["signature", "attestation", "sbom", "digest"] {
        let command = || ["triangulate", "--type", kind, &scene.image];
        assert_eq!(scene.csign(command()).success(), scene.cosign(command()).success());
    }
    std::fs::write(scene.bench.path("sbom.json"), "{\"spdxVersion\":\"SPDX-2.3\"}").expect("writing a file");
    let attach = ["attach", "sbom", "--sbom", "sbom.json", "--type", "spdx", "--input-format", "json", &scene.image];
    scene.cosign(attach).success();
    let sbom = || ["download", "sbom", &scene.image];
    assert_eq!(scene.csign(sbom()).success(), scene.cosign(sbom()).success());
}

#[test]
fn what_csign_cleaned_is_unsigned_for_cosign() {
    for registry in registries() {
        let Some(scene) = bundles(registry) else { return };
        for key in KEYS {
            scene.csign_signs(key);
        }
        scene.csign(["clean", "--type", "signature", "--yes", &scene.image]).success();
        scene.csign_verifies(&["builder"]).failure(1);
        let tree = scene.csign(["tree", &scene.image]);
        assert!(tree.stdout.contains("attestation") && !tree.stdout.contains("signature"), "{tree}");
        scene.csign(["clean", "--yes", &scene.image]).success();
        let refused = scene.cosign(["verify", "--insecure-ignore-tlog", "--key", "bob.pub", &scene.image]);
        assert_ne!(refused.code, Some(0), "{refused}");
        assert_eq!(scene.bench.run(peer("crane").expect("it was there"), ["digest", &scene.image]).code, Some(0));
    }
}
