//! How many messages a second, and in how much memory: the loop against the tutorial's way, in one run.
//!
//! usage: cargo bench -p workload --profile image --bench messages [-- --json] [-- --quick]
//!
//! The tutorial's way: for every message new credentials and a new client of Cloud KMS, one message at a time. Both sides
//! have the same simulator, whose Cloud KMS answers after 20 ms, in this very process: what it costs is in the figures.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot measure stops and says why")]
#![allow(clippy::print_stdout, reason = "its figures are its output")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    collections::HashMap,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use csign_contract::envelope::Sealer;
use google_cloud_auth::credentials::{
    external_account,
    subject_token::{Builder as SubjectToken, SubjectToken as Token, SubjectTokenProvider},
};
use google_cloud_kms_v1::client::KeyManagementService;
use serde_json::{Value, json};
use simulator::{Fault, attestation::TokenOptions};
use support::{COLLABORATORS, Recorder, Site, envelope, kms_key, pool};
use workload::{Fodder, MessageLoop, Metrics};

const ROUND_TRIP: Duration = Duration::from_millis(20);
const TEXT: &str = "the quick brown fox jumps over the lazy dog";

struct Sizes {
    tutorial: u32,
    direct: u32,
    fed: u32,
    pulled: u32,
    memory: u32,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let sizes = if has("--quick") {
        Sizes { tutorial: 5, direct: 300, fed: 5_000, pulled: 5_000, memory: 20_000 }
    } else {
        Sizes { tutorial: 50, direct: 20_000, fed: 400_000, pulled: 200_000, memory: 1_000_000 }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let figures = runtime.block_on(measure(&sizes));
    if has("--json") {
        println!("{figures:#}");
    } else {
        table(&figures);
    }
}

async fn measure(sizes: &Sizes) -> Value {
    let (fed, fed_cores) = fed_envelopes(sizes.fed).await;
    let (small, large) = memory(sizes.memory).await;
    let tutorial = tutorial(sizes.tutorial).await;
    let direct = pulled_direct(sizes.direct).await;
    let (pulled, pulled_cores) = pulled_envelopes(sizes.pulled).await;
    json!({
        "round_trip_milliseconds": u64::try_from(ROUND_TRIP.as_millis()).unwrap(),
        "direct": {
            "tutorial_per_second": tutorial,
            "per_second": direct,
            "ratio": direct / tutorial,
        },
        "envelopes": {
            "per_second": fed,
            "per_second_and_core": fed / fed_cores,
            "with_pubsub_per_second": pulled,
            "with_pubsub_per_second_and_core": pulled / pulled_cores,
        },
        "resident_kib": {
            "messages": [10_000.min(sizes.memory), sizes.memory],
            "after": [small, large],
        },
    })
}

fn table(figures: &Value) {
    let number = |path: &str| figures.pointer(path).and_then(Value::as_f64).unwrap_or_default();
    println!("direct, Cloud KMS at {} ms", figures["round_trip_milliseconds"]);
    println!("  tutorial's way       {:>10.1} messages/s", number("/direct/tutorial_per_second"));
    println!("  workload             {:>10.1} messages/s", number("/direct/per_second"));
    println!("  ratio                {:>10.1}", number("/direct/ratio"));
    println!("envelopes, data key kept");
    println!("  loop alone           {:>10.0} messages/s", number("/envelopes/per_second"));
    println!("                       {:>10.0} messages/s and core", number("/envelopes/per_second_and_core"));
    println!("  with Pub/Sub         {:>10.0} messages/s", number("/envelopes/with_pubsub_per_second"));
    println!(
        "                       {:>10.0} messages/s and core, the simulator's part included",
        number("/envelopes/with_pubsub_per_second_and_core")
    );
    println!("resident memory");
    for index in 0..2 {
        let messages = number(&format!("/resident_kib/messages/{index}"));
        println!(
            "  after {messages:>10} messages {:>6.1} MiB",
            number(&format!("/resident_kib/after/{index}")) / 1024.0
        );
    }
}

/// Processor time of this process in seconds.
fn processor_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = text.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

fn resident_kib() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn message_loop(site: &Site) -> MessageLoop {
    let log = Recorder::default().log();
    let boot = workload::boot(&site.setting(), &log).await.unwrap();
    let metrics = Metrics::new(&site.contract);
    MessageLoop::new(boot, &site.setting(), &log, &metrics).await.unwrap()
}

fn fodder(site: &Site, sealer: &mut Sealer, number: u32) -> Fodder {
    let collaborator = COLLABORATORS[0];
    let data = Bytes::from(site.seal(sealer, collaborator, number, TEXT));
    let id = format!("e{number}");
    let attributes: HashMap<String, String> =
        envelope(collaborator, &id).into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (data, attributes, number.to_string())
}

/// Envelopes a second, and how many cores that took; without Pub/Sub.
async fn fed_envelopes(count: u32) -> (f64, f64) {
    let site = Site::ready().await;
    let mut sealer = site.data_key(COLLABORATORS[0], [1; 32]).await;
    let messages: Vec<Fodder> = (0..count).map(|number| fodder(&site, &mut sealer, number)).collect();
    let message_loop = message_loop(&site).await;
    // The first one brings the data key.
    let mut messages = messages.into_iter();
    assert_eq!(message_loop.feed(messages.next()).await, (1, 0));
    let (began, processor) = (Instant::now(), processor_seconds());
    let (done, again) = message_loop.feed(messages).await;
    let (took, cores) = (began.elapsed().as_secs_f64(), processor_seconds() - processor);
    assert_eq!((done, again), (u64::from(count) - 1, 0));
    (f64::from(count) / took, cores / took)
}

/// Resident memory after the first messages and after all.
async fn memory(count: u32) -> (u64, u64) {
    let site = Site::ready().await;
    let mut sealer = site.data_key(COLLABORATORS[0], [1; 32]).await;
    let message_loop = message_loop(&site).await;
    let mut small = 0;
    assert_eq!(message_loop.feed([fodder(&site, &mut sealer, count)]).await, (1, 0));
    let messages = (0..count).map(|number| {
        if number == 10_000.min(count - 1) {
            small = resident_kib();
        }
        fodder(&site, &mut sealer, number)
    });
    let (done, _) = message_loop.feed(messages).await;
    assert_eq!(done, u64::from(count));
    (small, resident_kib())
}

#[derive(Debug)]
struct Given(String);

impl SubjectTokenProvider for Given {
    type Error = Never;

    async fn subject_token(&self) -> Result<Token, Never> {
        Ok(SubjectToken::new(&self.0).build())
    }
}

#[derive(Debug)]
struct Never;

impl std::fmt::Display for Never {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("never")
    }
}

impl std::error::Error for Never {}

impl google_cloud_auth::errors::SubjectTokenProviderError for Never {
    fn is_transient(&self) -> bool {
        false
    }
}

/// Messages a second as the tutorial's program processes them.
async fn tutorial(count: u32) -> f64 {
    let site = Site::ready().await;
    slow(&site);
    let collaborator = COLLABORATORS[0];
    let audience = format!("//iam.googleapis.com/{}/providers/attestation", pool(collaborator));
    let mut ciphertexts = Vec::new();
    for number in 0..count {
        ciphertexts.push(site.encrypt(collaborator, &format!("m{number}"), TEXT.as_bytes()).await);
    }
    let options = TokenOptions { audience: audience.clone(), nonces: Vec::new() };
    let token = {
        let claims = site.simulator.issuer().claims(&site.vm, &site.container, &options);
        site.simulator.issuer().sign_anything(None, &claims).unwrap()
    };
    let began = Instant::now();
    for (number, ciphertext) in ciphertexts.into_iter().enumerate() {
        let credentials = external_account::ProgrammaticBuilder::new(Arc::new(Given(token.clone())))
            .with_audience(&audience)
            .with_subject_token_type("urn:ietf:params:oauth:token-type:jwt")
            .with_token_url(format!("{}/v1/token", site.simulator.endpoint()))
            .build()
            .unwrap();
        let client = KeyManagementService::builder()
            .with_endpoint(site.simulator.endpoint())
            .with_credentials(credentials)
            .build()
            .await
            .unwrap();
        let answer = client
            .decrypt()
            .set_name(kms_key(collaborator))
            .set_ciphertext(ciphertext)
            .set_additional_authenticated_data(site.contract.additional_data(collaborator, &format!("m{number}")))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.plaintext, TEXT.as_bytes());
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}

/// Direct messages a second, from Pub/Sub to the acknowledgement.
async fn pulled_direct(count: u32) -> f64 {
    let site = Site::ready().await;
    let collaborator = COLLABORATORS[0];
    for number in 0..count {
        site.publish(collaborator, &format!("m{number}"), TEXT).await;
    }
    slow(&site);
    drain(&site, count).await.0
}

/// Envelopes a second from Pub/Sub to the acknowledgement, and how many cores that took.
async fn pulled_envelopes(count: u32) -> (f64, f64) {
    let site = Site::ready().await;
    let mut sealer = site.data_key(COLLABORATORS[0], [1; 32]).await;
    for number in 0..count {
        site.publish_sealed(&mut sealer, COLLABORATORS[0], number, TEXT);
    }
    drain(&site, count).await
}

async fn drain(site: &Site, count: u32) -> (f64, f64) {
    let message_loop = message_loop(site).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (began, processor) = (Instant::now(), processor_seconds());
    let task = tokio::spawn(async move {
        let stopped = std::pin::pin!(async {
            let _ = stopped.await;
        });
        message_loop.run(stopped).await;
    });
    while site.backlog() != (0, 0) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (took, cores) = (began.elapsed().as_secs_f64(), processor_seconds() - processor);
    stop.send(()).unwrap();
    task.await.unwrap();
    assert_eq!(site.state().messages().unwrap(), u64::from(count));
    (f64::from(count) / took, cores / took)
}

fn slow(site: &Site) {
    site.simulator.faults().set(":decrypt", Fault::Delay(ROUND_TRIP));
}
