//! The message loop: what is counted, what never is, and when a message is acknowledged.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use csign_trust::ExitStatus;
use redb::{StorageBackend, backends::InMemoryBackend};
use serde_json::json;
use support::{COLLABORATORS, Recorder, Site, until};
use workload::{MessageLoop, Metrics, State};

const SECRET: &str = "alice-in-the-clear";

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
}

#[tokio::test]
async fn words_of_all_collaborators_are_counted_together_and_not_printed() {
    let site = Site::ready().await;
    let running = site.start().await;
    site.publish(COLLABORATORS[0], "m1", SECRET).await;
    site.drained().await;
    site.publish(COLLABORATORS[1], "m1", &format!("{SECRET} bob")).await;
    site.drained().await;
    let (status, log) = running.stop().await;
    assert_eq!(status, ExitStatus::Success);
    let lines: Vec<_> = log.events().into_iter().filter(|event| event["event"] == "word counts").collect();
    assert_eq!(lines.len(), 2, "{}", log.text());
    assert_eq!(lines[0]["counts"], json!([1]));
    assert_eq!(lines[1]["counts"], json!([2, 1]));
    assert_eq!(lines[1]["collaborator"], COLLABORATORS[1]);
    assert_eq!(lines[1]["words"], 2);
    assert!(!log.text().contains(SECRET) && !log.text().contains("bob"), "{}", log.text());
    assert_eq!(site.state().counts().unwrap(), counts(&[(SECRET, 2), ("bob", 1)]));
}

#[tokio::test]
async fn words_are_printed_only_where_the_contract_says_so() {
    let mut site = Site::with_contract(|text| text.replace("[messages]", "[messages]\nprint_words = true")).await;
    site.sign_in_token(&support::PARTIES);
    site.listen(Arc::new(|_, _| {}));
    let running = site.start().await;
    site.publish(COLLABORATORS[0], "m1", "alice alice").await;
    site.drained().await;
    let (_, log) = running.stop().await;
    let line = log.events().into_iter().find(|event| event["event"] == "word counts").unwrap();
    assert_eq!(line["counts"], json!({"alice": 2}));
}

#[tokio::test]
async fn a_message_is_counted_once_however_often_it_comes() {
    let site = Site::ready().await;
    let ciphertext = site.encrypt(COLLABORATORS[0], "m1", SECRET.as_bytes()).await;
    let attributes = [("version", "1"), ("collaborator", COLLABORATORS[0]), ("message", "m1")];
    for _ in 0..3 {
        site.publish_raw(ciphertext.clone(), &attributes);
    }
    let running = site.start().await;
    site.drained().await;
    site.simulator.pubsub().close_streams();
    site.publish_raw(ciphertext.clone(), &attributes);
    site.drained().await;
    running.stop().await;
    // Again after a restart, which reads the state of the first run.
    let running = site.start().await;
    site.publish_raw(ciphertext, &attributes);
    site.publish(COLLABORATORS[0], "m2", SECRET).await;
    site.drained().await;
    running.stop().await;
    assert_eq!(site.state().counts().unwrap(), counts(&[(SECRET, 2)]));
}

#[tokio::test]
async fn messages_that_lie_are_refused_for_good_and_never_counted() {
    let site = Site::ready().await;
    let [first, second] = COLLABORATORS;
    let honest = site.encrypt(first, "m1", SECRET.as_bytes()).await;
    let mut tampered = honest.clone();
    *tampered.last_mut().unwrap() ^= 1;
    let named = |collaborator: &'static str, message: &'static str| {
        vec![("version", "1"), ("collaborator", collaborator), ("message", message)]
    };
    let with = |extra: &[(&'static str, &'static str)]| [&named(first, "m1"), extra].concat();
    let theirs: &'static str = support::kms_key(second).leak();
    let not_text = site.encrypt(first, "binary", &[b"alice-in-the-clear ".as_slice(), &[0xff, 0xfe]].concat()).await;
    let attacks = [
        ("undecryptable", tampered.clone(), named(first, "m1")),
        ("undecryptable", honest.clone(), named(first, "m2")),
        ("undecryptable", honest.clone(), named(second, "m1")),
        ("undecryptable", SECRET.as_bytes().to_vec(), named(first, "m1")),
        ("not-text", not_text, named(first, "binary")),
        ("no-ciphertext", Vec::new(), named(first, "m1")),
        ("no-ciphertext", vec![7; 100_000], named(first, "m1")),
        ("foreign-key", honest.clone(), with(&[("key", theirs)])),
        ("foreign-key", honest.clone(), with(&[("audience", "//iam.googleapis.com/projects/666")])),
        ("unknown-collaborator", honest.clone(), named("builder", "m1")),
        ("unknown-collaborator", honest.clone(), named("mallory", "m1")),
        ("malformed-message-id", honest.clone(), named(first, "m1/../m2")),
        ("missing-attribute", honest.clone(), vec![("version", "1"), ("collaborator", first)]),
        ("unknown-version", honest.clone(), vec![("version", "2"), ("collaborator", first), ("message", "m1")]),
    ];
    let mut expected = BTreeMap::new();
    for (code, data, attributes) in &attacks {
        *expected.entry((*code).to_owned()).or_insert(0_u64) += 1;
        site.publish_raw(data.clone(), attributes);
    }
    let running = site.start().await;
    site.drained().await;
    // Rubbish that came first under its id does not shut the honest message out.
    site.publish_raw(honest, &named(first, "m1"));
    site.drained().await;
    let (status, log) = running.stop().await;
    assert_eq!(status, ExitStatus::Success);
    assert!(!log.text().contains("clear"), "plaintext in the log: {}", log.text());
    let state = site.state();
    assert_eq!(state.refusals().unwrap(), expected);
    assert_eq!(state.counts().unwrap(), counts(&[(SECRET, 1)]));
    assert_eq!(state.messages().unwrap(), 1);
}

#[tokio::test]
async fn one_collaborators_refusal_stops_only_its_own_messages_and_loses_none() {
    let site = Site::ready().await;
    let [denied, allowed] = COLLABORATORS;
    site.deny_decryption(denied);
    for message in ["m1", "m2", "m3"] {
        site.publish(denied, message, "denied").await;
    }
    let running = site.start().await;
    site.publish(allowed, "m1", "allowed").await;
    until("the other collaborator's message to be counted", || running.log.has("word counts")).await;
    until("the denial to be noticed", || running.log.events().iter().any(|event| event["code"] == "denied")).await;
    let (waiting, delivered) = site.backlog();
    assert!(waiting + delivered >= 3, "a message that could not be decrypted was acknowledged");
    site.allow_decryption(denied);
    site.drained().await;
    running.stop().await;
    assert_eq!(site.state().counts().unwrap(), counts(&[("allowed", 1), ("denied", 3)]));
    assert!(site.state().refusals().unwrap().is_empty());
}

#[tokio::test]
async fn an_exchange_that_is_refused_is_tried_again_later() {
    use simulator::sts::Provider;
    let site = Site::ready().await;
    let name = format!("{}/providers/attestation", support::pool(COLLABORATORS[0]));
    let provider = |images: Vec<csign_oci::Digest>| Provider::for_images(&name, images);
    site.simulator.sts().set_provider(provider(Vec::new())).unwrap();
    site.publish(COLLABORATORS[0], "m1", "word").await;
    let running = site.start().await;
    until("the refusal to be noticed", || running.log.has("decryption failed; the message will be delivered again"))
        .await;
    site.simulator.sts().set_provider(provider(vec![support::image()])).unwrap();
    site.drained().await;
    let (_, log) = running.stop().await;
    assert_eq!(site.state().counts().unwrap(), counts(&[("word", 1)]));
    assert!(!log.text().contains("eyJ"), "a token in the log: {}", log.text());
}

#[tokio::test]
async fn each_collaborator_sees_only_its_own_audience() {
    use std::sync::Mutex;
    let audiences = Arc::new(Mutex::new(Vec::new()));
    let mut site = Site::new().await;
    site.sign_in_token(&support::PARTIES);
    let seen = audiences.clone();
    site.listen(Arc::new(move |_, options| seen.lock().unwrap().push(options.audience.clone())));
    let running = site.start().await;
    for collaborator in COLLABORATORS {
        site.publish(collaborator, "m1", "word").await;
        site.publish(collaborator, "m2", "word").await;
    }
    site.drained().await;
    running.stop().await;
    let mut audiences = audiences.lock().unwrap().clone();
    audiences.sort();
    let mut wanted: Vec<String> = COLLABORATORS
        .iter()
        .map(|collaborator| format!("//iam.googleapis.com/{}/providers/attestation", support::pool(collaborator)))
        .collect();
    wanted.push("https://csign.dev/workload/boot".to_owned());
    wanted.sort();
    assert_eq!(audiences, wanted, "one token per collaborator, kept for its messages");
}

/// Storage that can be made to fail, as a full or broken disk does.
#[derive(Debug)]
struct Breakable {
    inner: InMemoryBackend,
    broken: Arc<AtomicBool>,
}

impl Breakable {
    fn check(&self) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) { Err(io::Error::other("no space left on device")) } else { Ok(()) }
    }
}

impl StorageBackend for Breakable {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.inner.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.inner.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.inner.write(offset, data)
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_before_it_is_durable() {
    let site = Site::ready().await;
    let log = Recorder::default();
    let boot = workload::boot(&site.setting(), &log.log()).await.unwrap();
    let broken = Arc::new(AtomicBool::new(false));
    let storage = Breakable { inner: InMemoryBackend::new(), broken: broken.clone() };
    let state = State::on(&site.contract, storage).await.unwrap();
    broken.store(true, Ordering::SeqCst);
    let message_loop =
        MessageLoop::with_state(boot, &site.setting(), &log.log(), &Metrics::new(&site.contract), state).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let stopped = std::pin::pin!(async {
            let _ = stopped.await;
        });
        message_loop.run(stopped).await;
    });
    site.publish(COLLABORATORS[0], "m1", "word").await;
    site.publish_raw(b"rubbish".to_vec(), &[("version", "1"), ("collaborator", "nobody"), ("message", "m1")]);
    let failures = || log.events().iter().filter(|event| event["event"] == "keeping a result failed").count();
    until("both results to fail to be kept", || failures() >= 2).await;
    let (waiting, delivered) = site.backlog();
    assert_eq!(waiting + delivered, 2, "acknowledged before it was durable");
    stop.send(()).unwrap();
    task.await.unwrap();
    assert!(!log.has("word counts") && !log.has("message refused"), "{}", log.text());
    // With a disk that works, nothing was lost.
    let running = site.start().await;
    site.drained().await;
    running.stop().await;
    assert_eq!(site.state().counts().unwrap(), counts(&[("word", 1)]));
    assert_eq!(site.state().refusals().unwrap(), counts(&[("unknown-collaborator", 1)]));
}

#[tokio::test]
async fn a_stop_leaves_what_was_not_begun_to_the_next_run() {
    let site = Site::ready().await;
    site.deny_decryption(COLLABORATORS[0]);
    for number in 0..40 {
        site.publish(COLLABORATORS[0], &format!("m{number}"), "word").await;
    }
    let running = site.start().await;
    until("the denial to be noticed", || running.log.events().iter().any(|event| event["code"] == "denied")).await;
    let (status, log) = running.stop().await;
    assert_eq!(status, ExitStatus::Success);
    assert!(log.has("stopped"), "{}", log.text());
    site.allow_decryption(COLLABORATORS[0]);
    let running = site.start().await;
    site.drained().await;
    running.stop().await;
    assert_eq!(site.state().counts().unwrap(), counts(&[("word", 40)]));
}
