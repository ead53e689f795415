//! What happens to one collaborator's key happens to that collaborator's messages alone, and to none of them for good.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use simulator::Fault;
use support::{COLLABORATORS, Running, Site, kms_key, until};

/// More than a window of the loop.
const THOUSANDS: u32 = 6000;

fn has_code(running: &Running, code: &str) -> bool {
    running.log.events().iter().any(|event| event["code"] == code)
}

fn held(site: &Site) -> usize {
    let (waiting, delivered) = site.backlog();
    waiting + delivered
}

fn decrypting(collaborator: &str) -> String {
    format!("{}:decrypt", kms_key(collaborator))
}

/// Publishes messages of both, starts, waits for `code` of the first and for the second's counts; then the fault ends.
async fn stops_alone(site: &Site, code: &str, ends: impl FnOnce()) {
    let [stopped, works] = COLLABORATORS;
    for number in 0..5 {
        site.publish(stopped, &format!("m{number}"), "stopped").await;
    }
    let running = site.start().await;
    until("the failure to be noticed", || has_code(&running, code)).await;
    for number in 0..5 {
        site.publish(works, &format!("m{number}"), "works").await;
    }
    until("the other's messages to be counted", || held(site) == 5).await;
    ends();
    site.drained().await;
    let (_, log) = running.stop().await;
    let failure = log.events().into_iter().find(|event| event["code"] == code).unwrap();
    assert_eq!(failure["collaborator"], stopped);
    assert!(!failure["hint"].as_str().unwrap().is_empty() && !failure["reason"].as_str().unwrap().is_empty());
    assert!(site.state().refusals().unwrap().is_empty(), "what fails for a while is not poison");
    let wanted = BTreeMap::from([("stopped".to_owned(), 5), ("works".to_owned(), 5)]);
    assert_eq!(site.state().counts().unwrap(), wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_messages_of_a_revoked_collaborator_keep_nobody_from_the_window_and_are_not_lost() {
    let site = Site::ready().await;
    let [revoked, other] = COLLABORATORS;
    site.deny_decryption(revoked);
    let mut theirs = site.data_key(revoked, [1; 32]).await;
    for number in 0..THOUSANDS {
        site.publish_sealed(&mut theirs, revoked, number, "revoked");
    }
    let mut ours = site.data_key(other, [2; 32]).await;
    for number in 0..200 {
        site.publish_sealed(&mut ours, other, number, "other");
    }
    site.publish(other, "direct", "other").await;
    let running = site.start().await;
    // The simulator delivers in order: all of theirs stand first.
    until("everything of the other collaborator", || held(&site) == THOUSANDS as usize).await;
    assert!(has_code(&running, "denied"));
    let asked = site.simulator.audit().iter().filter(|entry| entry.method == "decrypt" && !entry.allowed).count();
    assert!(asked < 100, "{asked} requests for a key that is refused");
    site.allow_decryption(revoked);
    site.drained().await;
    running.stop().await;
    let wanted = BTreeMap::from([("revoked".to_owned(), u64::from(THOUSANDS)), ("other".to_owned(), 201)]);
    assert_eq!(site.state().counts().unwrap(), wanted);
    assert!(site.state().refusals().unwrap().is_empty());
}

#[tokio::test]
async fn an_outage_of_one_collaborators_key_service_stops_nobody_else() {
    for (status, name, code) in [
        (503, "UNAVAILABLE", "unavailable"),
        (500, "INTERNAL", "unavailable"),
        (504, "DEADLINE_EXCEEDED", "unavailable"),
        (409, "ABORTED", "unavailable"),
        (429, "RESOURCE_EXHAUSTED", "throttled"),
    ] {
        let site = Site::ready().await;
        let body = json!({"error": {"code": status, "message": "on purpose", "status": name}});
        site.simulator.faults().set(&decrypting(COLLABORATORS[0]), Fault::Answer(status, body));
        stops_alone(&site, code, || site.simulator.faults().clear()).await;
    }
}

#[tokio::test]
async fn a_disabled_key_version_keeps_its_messages_until_it_is_enabled() {
    let site = Site::ready().await;
    let [disabled, works] = COLLABORATORS;
    for number in 0..5 {
        site.publish(disabled, &format!("m{number}"), "disabled").await;
    }
    site.simulator.kms().set_enabled(&kms_key(disabled), false).unwrap();
    let running = site.start().await;
    until("the failure to be noticed", || has_code(&running, "key-unusable")).await;
    site.publish(works, "m1", "works").await;
    until("the other's message to be counted", || held(&site) == 5).await;
    site.simulator.kms().set_enabled(&kms_key(disabled), true).unwrap();
    site.drained().await;
    running.stop().await;
    assert!(site.state().refusals().unwrap().is_empty(), "what fails for a while is not poison");
    let wanted = BTreeMap::from([("disabled".to_owned(), 5), ("works".to_owned(), 1)]);
    assert_eq!(site.state().counts().unwrap(), wanted);
}

#[tokio::test]
async fn an_answer_whose_checksum_is_wrong_or_absent_is_not_counted() {
    let edits: [fn(&mut Value); 3] = [
        |answer| answer["plaintextCrc32c"] = json!("1"),
        |answer| answer["plaintextCrc32c"] = Value::Null,
        |answer| answer["plaintext"] = json!("bWFsbG9yeQ=="),
    ];
    for edit in edits {
        let site = Site::ready().await;
        site.simulator.faults().set(&decrypting(COLLABORATORS[0]), Fault::Edit(Arc::new(edit)));
        stops_alone(&site, "unavailable", || site.simulator.faults().clear()).await;
    }
}

#[tokio::test]
async fn one_request_that_was_damaged_on_its_way_refuses_no_message() {
    let site = Site::ready().await;
    let once = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let invalid = move |answer: &mut Value| {
        if once.swap(false, std::sync::atomic::Ordering::SeqCst) {
            *answer = json!({"error": {"code": 400, "message": "on purpose", "status": "INVALID_ARGUMENT"}});
        }
    };
    site.simulator.faults().set(&decrypting(COLLABORATORS[0]), Fault::Edit(Arc::new(invalid)));
    site.publish(COLLABORATORS[0], "m1", "word").await;
    let running = site.start().await;
    site.drained().await;
    running.stop().await;
    assert_eq!(site.state().counts().unwrap(), BTreeMap::from([("word".to_owned(), 1)]));
}
