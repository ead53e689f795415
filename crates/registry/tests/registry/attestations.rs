//! Attestations under `.att`, with other writers at the same time.

use csign_envelope::{dsse, sig_image::SigImage};
use csign_oci::{Descriptor, Digest, Pinned, Tag};
use csign_registry::{AttestationLayer, Client, Limits};
use std::{collections::BTreeMap, time::Duration};

use crate::support::{Bench, NAME, both_kinds, client_with};

fn client() -> Client {
    client_with(Limits { attach_pause: Duration::from_millis(5), ..Limits::default() })
}

fn attestation(n: usize) -> AttestationLayer {
    let envelope = format!(r#"{{"payload":"","payloadType":"{}","signatures":[],"n":{n}}}"#, dsse::IN_TOTO);
    AttestationLayer { envelope: envelope.into_bytes(), predicate_type: "https://example.com/p".to_owned() }
}

fn tag(image: &Pinned) -> String {
    Tag::for_digest(&image.digest, ".att").to_string()
}

/// The layers under `.att`; every envelope must be there.
fn layers(bench: &Bench, image: &Pinned) -> Vec<Descriptor> {
    let Some(stored) = bench.registry.manifest(NAME, &tag(image)) else { return Vec::new() };
    let layers = SigImage::parse(&stored.bytes).expect("an image").layers().to_vec();
    assert!(layers.iter().all(|layer| bench.registry.blob(NAME, &layer.digest).is_some()));
    layers
}

#[tokio::test]
async fn an_attestation_is_a_layer_as_cosign_writes_it_and_attaching_it_again_writes_nothing() {
    for bench in both_kinds().await {
        let image = bench.image();
        let ours = [attestation(0), attestation(1)];
        let done = client().attach_attestations(&image, &ours).await.expect("attached");
        assert_eq!((done.rounds, done.signatures), (1, 2));
        let found = layers(&bench, &image);
        assert_eq!(found[0].media_type, "application/vnd.dsse.envelope.v1+json");
        let annotations = BTreeMap::from([
            ("dev.cosignproject.cosign/signature".to_owned(), String::new()),
            ("predicateType".to_owned(), "https://example.com/p".to_owned()),
        ]);
        assert_eq!(found[0].annotations, annotations);
        bench.registry.clear_log();
        let again = client().attach_attestations(&image, &ours).await.expect("attached");
        assert_eq!((again.rounds, again.signatures, bench.writes()), (0, 2, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thirty_two_concurrent_attestations_are_all_there() {
    for bench in both_kinds().await {
        let image = bench.image();
        let tasks: Vec<_> = (0..32)
            .map(|n| {
                let image = image.clone();
                tokio::spawn(async move { client().attach_attestations(&image, &[attestation(n)]).await })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic").expect("attached");
        }
        let digests: Vec<Digest> = layers(&bench, &image).iter().map(|layer| layer.digest).collect();
        assert_eq!(digests.len(), 32);
        assert!((0..32).all(|n| digests.contains(&Digest::of(&attestation(n).envelope))));
    }
}

#[tokio::test]
async fn an_attestation_that_another_tool_overwrote_is_put_back() {
    for bench in both_kinds().await {
        let image = bench.image();
        client().attach_attestations(&image, &[attestation(0)]).await.expect("attached");
        bench.registry.delete_manifest(NAME, &tag(&image));
        client().attach_attestations(&image, &[attestation(1)]).await.expect("attached");
        assert_eq!(layers(&bench, &image).len(), 2);
        bench.registry.delete_manifest(NAME, &tag(&image));
        client().repair(&image).await.expect("repaired");
        assert_eq!(layers(&bench, &image).len(), 2);
    }
}
