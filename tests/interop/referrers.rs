//! Bundles as referrers: what cosign pushed is found, and what csign's client pushes is found by cosign and oras, on
//! registries that list referrers and on one that does not.

use csign_oci::{Manifest, Pinned, json};
use csign_registry::{Client, Referrer};
use csign_tests::{peer::peer, registry::Registry};
use tokio::runtime::Runtime;

use crate::scene::Scene;

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// As [`crate::scene::LEGACY`], but for bundles.
const BUNDLES: [&str; 4] = ["-y", "--use-signing-config=false", "--tlog-upload=false", "--new-bundle-format=true"];

fn cosign_signs(scene: &Scene, key: &str, image: &str) {
    let key = format!("{key}.key");
    scene.cosign(["sign"].into_iter().chain(BUNDLES).chain(["--key", &key, image])).success();
}

fn cosign_accepts(scene: &Scene, key: &str, image: &str) {
    let key = format!("{key}.pub");
    let flags = ["verify", "--insecure-ignore-tlog", "--new-bundle-format=true", "--key", &key, image];
    scene.cosign(flags).success();
}

/// What is listed, with the bundle in it as something to push elsewhere.
async fn bundles(client: &Client, image: &Pinned) -> Vec<Referrer> {
    let mut bundles = Vec::new();
    for listed in client.referrers(image, Some(BUNDLE)).await.expect("a listing") {
        let manifest = client.referrer(image, &listed).await.expect("a referrer");
        let manifest: Manifest = json::from_slice(&manifest.bytes).expect("a manifest");
        assert_eq!(manifest.artifact_type.as_deref(), Some(BUNDLE));
        let [layer] = manifest.layers.as_slice() else { panic!("{} layers", manifest.layers.len()) };
        let bytes = client.content(&image.repository, layer).await.expect("the bundle");
        let mut annotations = manifest.annotations;
        annotations.retain(|name, _| name.starts_with("dev.sigstore.bundle."));
        let layers = vec![(layer.media_type.clone(), bytes.into())];
        bundles.push(Referrer { artifact_type: BUNDLE.into(), annotations, layers });
    }
    bundles
}

fn both_find_each_others(registry: Option<Registry>) {
    let (Some(scene), Some(crane), Some(oras)) = (Scene::new(registry), peer("crane"), peer("oras")) else { return };
    let (client, runtime) = (Client::builder().build().expect("a client"), Runtime::new().expect("threads"));
    let ours = format!("{}/other", scene.proxy.address);
    scene.bench.run(crane, ["copy", &scene.image, &format!("{ours}:latest")]).success();
    let ours = format!("{ours}@{}", scene.digest);
    let (from, to) = (Pinned::parse(&scene.image).expect("pinned"), Pinned::parse(&ours).expect("pinned"));

    cosign_signs(&scene, "alice", &scene.image);
    cosign_signs(&scene, "bob", &scene.image);
    let listed = runtime.block_on(bundles(&client, &from));
    assert_eq!(listed.len(), 2, "what cosign pushed is listed");

    // The statements name the image by its digest alone, so they count in another repository too.
    let push = |bundle| runtime.block_on(client.push_referrer(&to, bundle)).expect("pushed").descriptor;
    let first = push(&listed[0]);
    cosign_signs(&scene, "builder", &ours);
    let second = push(&listed[1]);
    for key in ["alice", "bob", "builder"] {
        cosign_accepts(&scene, key, &ours);
    }
    assert_eq!(runtime.block_on(bundles(&client, &to)).len(), 3);
    let discovered = scene.bench.run(oras, ["discover", "--plain-http", "--format", "json", &ours]).success();
    let tree = scene.cosign(["tree", &ours]).success();
    for pushed in [first, second] {
        assert!(discovered.contains(&pushed.digest.to_string()), "oras does not see {}: {discovered}", pushed.digest);
        assert!(tree.contains(&pushed.digest.to_string()), "cosign does not see {}: {tree}", pushed.digest);
    }
}

#[test]
fn bundles_are_found_on_cranes_registry() {
    both_find_each_others(Registry::crane());
}

#[test]
fn bundles_are_found_on_a_registry_that_lists_referrers() {
    both_find_each_others(Registry::with_referrers());
}

#[test]
fn bundles_are_found_on_a_registry_that_does_not_list_referrers() {
    both_find_each_others(Registry::without_referrers());
}
