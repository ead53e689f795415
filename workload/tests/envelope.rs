//! Envelopes: one request of Cloud KMS for many messages, what is refused, and how long a data key is kept.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use csign_contract::envelope::Sealer;
use support::{COLLABORATORS, Site, envelope, until};

const SECRET: &str = "alice-in-the-clear";

fn decryptions(site: &Site) -> usize {
    site.simulator.audit().iter().filter(|entry| entry.method == "decrypt").count()
}

#[tokio::test]
async fn many_envelopes_take_one_request_of_cloud_kms_for_each_data_key() {
    let site = Site::ready().await;
    for (number, collaborator) in COLLABORATORS.into_iter().enumerate() {
        let mut sealer = site.data_key(collaborator, [u8::try_from(number).unwrap(); 32]).await;
        for number in 0..60 {
            site.publish_sealed(&mut sealer, collaborator, number, &format!("{SECRET} word{number}"));
        }
    }
    let running = site.start().await;
    site.drained().await;
    let (_, log) = running.stop().await;
    assert_eq!(decryptions(&site), COLLABORATORS.len());
    let counts = site.state().counts().unwrap();
    assert_eq!((counts[SECRET], counts["word7"], counts.len()), (120, 2, 61));
    assert!(!log.text().contains("clear") && !log.text().contains("word7"), "{}", log.text());
}

#[tokio::test]
async fn envelopes_that_lie_are_refused_for_good_and_shut_no_honest_one_out() {
    let site = Site::ready().await;
    let [first, second] = COLLABORATORS;
    let mut sealer = site.data_key(first, [1; 32]).await;
    let honest = site.seal(&mut sealer, first, 1, SECRET);
    let change = |at: usize| {
        let mut changed = honest.clone();
        changed[at] ^= 1;
        changed
    };
    let wrapped = usize::from(u16::from_be_bytes([honest[1], honest[2]]));
    // A key that the collaborator wrapped for another purpose, and one of the wrong length.
    let message_bound = site.encrypt(first, "e1", &[1; 32]).await;
    let mut purpose = Sealer::new(&[1; 32], message_bound).unwrap();
    let short = site.encrypt_for(first, &[1; 31], site.binding.data_key(first)).await;
    let mut short = Sealer::new(&[1; 32], short).unwrap();
    let foreign = site.encrypt_for(first, &[1; 32], site.binding.data_key(second)).await;
    let mut foreign = Sealer::new(&[1; 32], foreign).unwrap();
    let attacks = [
        ("malformed-envelope", SECRET.as_bytes().to_vec(), envelope(first, "e1")),
        ("malformed-envelope", honest[..40].to_vec(), envelope(first, "e1")),
        ("malformed-envelope", change(0), envelope(first, "e1")),
        ("no-ciphertext", Vec::new(), envelope(first, "e1")),
        ("no-ciphertext", vec![1; 2 << 20], envelope(first, "e1")),
        ("undecryptable", change(10), envelope(first, "e1")),
        ("undecryptable", honest.clone(), envelope(second, "e1")),
        ("undecryptable", site.seal(&mut purpose, first, 1, SECRET), envelope(first, "e1")),
        ("undecryptable", site.seal(&mut foreign, first, 1, SECRET), envelope(first, "e1")),
        ("no-data-key", site.seal(&mut short, first, 1, SECRET), envelope(first, "e1")),
        ("not-authentic", change(3 + wrapped), envelope(first, "e1")),
        ("not-authentic", change(honest.len() - 1), envelope(first, "e1")),
        ("not-authentic", honest.clone(), envelope(first, "e2")),
    ];
    let mut expected = BTreeMap::new();
    for (code, data, attributes) in attacks {
        *expected.entry(code.to_owned()).or_insert(0_u64) += 1;
        site.publish_raw(data, &attributes);
    }
    // Directly encrypted and called an envelope, the other way round, and in a way that nobody knows.
    let direct = site.encrypt(first, "m1", SECRET.as_bytes()).await;
    site.publish_raw(direct, &envelope(first, "m1"));
    site.publish_raw(honest.clone(), &envelope(first, "e1")[..3]);
    let unknown = [("version", "1"), ("collaborator", first), ("message", "e1"), ("encryption", "rot13")];
    site.publish_raw(honest.clone(), &unknown);
    for code in ["malformed-envelope", "undecryptable", "unknown-encryption"] {
        *expected.entry(code.to_owned()).or_insert(0) += 1;
    }
    let running = site.start().await;
    site.drained().await;
    site.publish_raw(honest, &envelope(first, "e1"));
    site.drained().await;
    let (_, log) = running.stop().await;
    assert!(!log.text().contains("clear"), "plaintext in the log: {}", log.text());
    assert_eq!(site.state().refusals().unwrap(), expected);
    assert_eq!(site.state().counts().unwrap(), BTreeMap::from([(SECRET.to_owned(), 1)]));
}

#[tokio::test]
async fn a_data_key_opens_nothing_more_once_its_time_is_over_after_a_grant_was_revoked() {
    let mut site = Site::with_contract(|text| text.replace("[messages]", "[messages]\ndata_key_seconds = 1")).await;
    site.sign_in_token(&support::PARTIES);
    site.listen(Arc::new(|_, _| {}));
    let [revoked, other] = COLLABORATORS;
    let mut sealer = site.data_key(revoked, [1; 32]).await;
    let running = site.start().await;
    site.publish_sealed(&mut sealer, revoked, 0, "before");
    site.drained().await;
    site.deny_decryption(revoked);
    // Published until one is not counted: that is when the key's time is over.
    let mut published = 0;
    while !running.log.events().iter().any(|event| event["code"] == "denied") {
        published += 1;
        assert!(published < 6000, "the data key is kept for ever");
        site.publish_sealed(&mut sealer, revoked, published, "after");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    site.publish(other, "m1", "other").await;
    until("the other collaborator's message", || {
        running.log.events().iter().any(|event| event["collaborator"] == other)
    })
    .await;
    let (waiting, delivered) = site.backlog();
    assert!(waiting + delivered > 0, "a message was acknowledged that could not be opened");
    site.allow_decryption(revoked);
    site.drained().await;
    running.stop().await;
    let counts = site.state().counts().unwrap();
    assert_eq!((counts["before"], counts["after"], counts["other"]), (1, published.into(), 1));
    assert!(site.state().refusals().unwrap().is_empty());
}
