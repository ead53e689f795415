//! Messages that can never be processed: to the dead-letter topic first, then acknowledged; and never in the clear.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{collections::BTreeMap, sync::Arc};

use simulator::{config::Subscription, pubsub::Published};
use support::{COLLABORATORS, MACHINE, PARTIES, SUBSCRIPTION, Site, envelope, until};

const DEAD: &str = "projects/operator/topics/dead";
const DEAD_SUBSCRIPTION: &str = "projects/operator/subscriptions/dead";
const PUBLISH: &str = "pubsub.topics.publish";
/// What must be nowhere but in the counts.
const CANARY: &str = "canary-in-the-clear";

async fn site() -> Site {
    let change = |text: String| text.replace("[messages]", &format!("[messages]\ndead_letter = \"{DEAD}\""));
    let mut site = Site::with_contract(change).await;
    site.sign_in_token(&PARTIES);
    site.listen(Arc::new(|_, _| {}));
    site.simulator.pubsub().create_topic(DEAD).unwrap();
    let subscription = Subscription {
        name: DEAD_SUBSCRIPTION.to_owned(),
        topic: DEAD.to_owned(),
        ack_deadline_seconds: 10,
        dead_letter: None,
        ..Subscription::default()
    };
    site.simulator.pubsub().create_subscription(&subscription).unwrap();
    site
}

fn dead(site: &Site) -> Vec<Published> {
    site.simulator.pubsub().waiting(DEAD_SUBSCRIPTION).unwrap()
}

#[tokio::test]
async fn poison_goes_to_the_dead_letter_topic_as_it_came_with_the_reason_and_without_plaintext() {
    let site = site().await;
    site.simulator.iam().bind(DEAD, PUBLISH, MACHINE);
    let first = COLLABORATORS[0];
    let binary = [CANARY.as_bytes(), &[0xff, 0xfe]].concat();
    let not_text = site.encrypt(first, "m1", &binary).await;
    let mut sealer = site.data_key(first, [1; 32]).await;
    let mut nonsense = site.seal(&mut sealer, first, 1, CANARY);
    *nonsense.last_mut().unwrap() ^= 1;
    let attributes = |message: &'static str| {
        vec![("version", "1"), ("collaborator", first), ("message", message), ("note", CANARY), ("key", "")]
    };
    let long = "x".repeat(900);
    let poison = [
        ("foreign-key", not_text.clone(), attributes("m1")),
        ("not-text", not_text.clone(), attributes("m1")[..4].to_vec()),
        ("not-authentic", nonsense, envelope(first, "e1").to_vec()),
        ("no-ciphertext", vec![7; 3 << 20], attributes("m2")[..4].to_vec()),
        ("malformed-message-id", vec![7], vec![("version", "1"), ("collaborator", first), ("message", &long)]),
    ];
    for (_, data, attributes) in &poison {
        site.publish_raw(data.clone(), attributes);
    }
    site.publish(COLLABORATORS[1], "m1", CANARY).await;
    let running = site.start().await;
    site.drained().await;
    let (_, log) = running.stop().await;
    assert!(!log.text().contains("clear"), "plaintext in the log: {}", log.text());
    let dead = dead(&site);
    assert_eq!(dead.len(), poison.len());
    for (code, data, attributes) in poison {
        let letter =
            dead.iter().find(|letter| letter.attributes["csign_reason"] == code).unwrap_or_else(|| panic!("{code}"));
        assert_eq!(letter.attributes["csign_subscription"], SUBSCRIPTION);
        assert!(!letter.attributes["csign_delivery"].is_empty());
        assert!(!letter.attributes.contains_key("note"), "an attribute that may hold anything");
        if data.len() > 2 << 20 {
            assert!(letter.data.is_empty() && letter.attributes["csign_omitted_bytes"] == data.len().to_string());
        } else {
            assert_eq!(letter.data, data, "{code}");
        }
        for (name, value) in attributes.iter().filter(|(name, _)| *name != "note") {
            assert_eq!(letter.attributes[*name], *value, "{code}");
        }
    }
    assert!(!format!("{dead:?}").contains("clear"), "plaintext in a dead letter");
    let refusals = site.state().refusals().unwrap();
    assert_eq!(refusals.values().sum::<u64>(), 5, "{refusals:?}");
    assert_eq!(site.state().counts().unwrap(), BTreeMap::from([(CANARY.to_owned(), 1)]));
}

#[tokio::test]
async fn poison_is_not_acknowledged_before_its_dead_letter_is_stored_and_stops_nobody() {
    let site = site().await;
    for number in 0..50 {
        site.publish_raw(
            vec![7; 100],
            &[("version", "1"), ("collaborator", "mallory"), ("message", &format!("m{number}"))],
        );
    }
    site.publish(COLLABORATORS[0], "m1", "word").await;
    let running = site.start().await;
    until("the refusal of the topic to be noticed", || {
        running.log.has("a refused message could not be published to the dead-letter topic; it will be delivered again")
    })
    .await;
    let held = || {
        let (waiting, delivered) = site.backlog();
        waiting + delivered
    };
    until("the honest message to be counted", || held() == 50).await;
    assert!(dead(&site).is_empty());
    site.simulator.iam().bind(DEAD, PUBLISH, MACHINE);
    site.drained().await;
    running.stop().await;
    let letters = dead(&site);
    let deliveries: std::collections::BTreeSet<_> =
        letters.iter().map(|letter| letter.attributes["csign_delivery"].clone()).collect();
    assert_eq!(deliveries.len(), 50, "each of them, at least once");
    assert_eq!(site.state().refusals().unwrap(), BTreeMap::from([("unknown-collaborator".to_owned(), 50)]));
}

#[tokio::test]
async fn a_collaborator_whose_grant_is_gone_sends_no_poison() {
    let site = site().await;
    site.simulator.iam().bind(DEAD, PUBLISH, MACHINE);
    site.deny_decryption(COLLABORATORS[0]);
    site.publish(COLLABORATORS[0], "m1", "word").await;
    let running = site.start().await;
    until("the denial to be noticed", || running.log.events().iter().any(|event| event["code"] == "denied")).await;
    running.stop().await;
    assert!(dead(&site).is_empty() && site.state().refusals().unwrap().is_empty());
    let (waiting, delivered) = site.backlog();
    assert_eq!(waiting + delivered, 1, "it waits for the grant");
}
