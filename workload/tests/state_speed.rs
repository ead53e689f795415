//! How many messages a second the stores keep. Figures, not verdicts: `cargo test --release -p workload --test state_speed
//! -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "it prints figures")]

mod support;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use csign_contract::Contract;
use csign_tests::postgres::Postgres;
use simulator::kms::Purpose;
use support::{COLLABORATORS, PARTIES, Site, image, pool};
use workload::{Metrics, State};

const KEY: &str = "projects/keeper/locations/global/keyRings/csign/cryptoKeys/state";
const MESSAGES: u64 = 60_000;
/// As many as the loop may have under way.
const AT_A_TIME: u64 = 1024;
/// Words of a message.
const WORDS: u64 = 5;

/// Five words; low numbers are frequent, as in a language.
fn message(number: u64) -> BTreeMap<String, u64> {
    let word = |place: u64| {
        let random =
            number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(place.wrapping_mul(1_442_695_040_888_963_407));
        let limit = 1 << (1 + (random >> 59) % 13);
        format!("word-{}", (random >> 20) % limit)
    };
    (0..WORDS).map(|place| (word(place), 1)).collect()
}

async fn measure(what: &str, states: Vec<State>) {
    let states: Vec<Arc<State>> = states.into_iter().map(Arc::new).collect();
    let (began, before) = (Instant::now(), processor_seconds());
    let tasks: Vec<_> = (0..AT_A_TIME)
        .map(|task| {
            let state = Arc::clone(&states[task as usize % states.len()]);
            tokio::spawn(async move {
                for number in (task..MESSAGES).step_by(AT_A_TIME as usize) {
                    state.count("collaborator-1", &format!("m{number}"), &message(number)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let (rate, busy) =
        (MESSAGES as f64 / began.elapsed().as_secs_f64(), MESSAGES as f64 / (processor_seconds() - before));
    println!("{what}: {rate:.0} messages a second, {busy:.0} per second of a processor, {WORDS} words each");
    assert_eq!(states[0].messages().await.unwrap(), MESSAGES);
    let began = Instant::now();
    let words = states[0].counts().await.unwrap().len() as u64;
    let rate = (words + MESSAGES) as f64 / began.elapsed().as_secs_f64();
    println!("{what}: {rate:.0} rows a second held against the head");
}

/// What this process used so far.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let numbers = stat.rsplit(')').next().unwrap().split_whitespace();
    // Hundredths of a second, in the program and in the system for it.
    numbers.skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

async fn sealed_site(store: &str) -> Site {
    let provider = format!("//iam.googleapis.com/{}/providers/attestation", pool(COLLABORATORS[0]));
    let state = format!("[state]\n{store}\n[state.key]\nkms_key = \"{KEY}\"\nidentity_provider = \"{provider}\"\n");
    let mut site = Site::with_contract(|text| text + &state).await;
    site.simulator.kms().create_key(KEY, Purpose::EncryptDecrypt).unwrap();
    let member =
        format!("principalSet://iam.googleapis.com/{}/attribute.image_digest/{}", pool(COLLABORATORS[0]), image());
    for permission in ["cloudkms.cryptoKeyVersions.useToEncrypt", support::DECRYPT] {
        site.simulator.iam().bind(KEY, permission, &member);
    }
    site.sign_in_token(&PARTIES);
    site.listen(Arc::new(|_, _| {}));
    site
}

async fn open(site: &Site, contract: &Contract, workloads: usize) -> Vec<State> {
    let metrics = Metrics::new(contract);
    let mut states = Vec::new();
    for _ in 0..workloads {
        states.push(State::open(contract, &site.setting(), &metrics).await.unwrap());
    }
    states
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn messages_a_second() {
    let site = sealed_site("kind = \"embedded\"").await;
    let plain = site.path("plain.redb");
    measure("embedded", vec![State::in_file(&site.contract, &plain).await.unwrap()]).await;
    measure("embedded, sealed", open(&site, &site.contract, 1).await).await;
    for workloads in [1, 4] {
        let Some(server) = Postgres::start() else { return };
        let site = sealed_site(&format!("kind = \"postgres\"\nurl = \"{}\"", server.url())).await;
        let what = format!("PostgreSQL, sealed, {workloads} workload{}", if workloads == 1 { "" } else { "s" });
        measure(&what, open(&site, &site.contract, workloads).await).await;
    }
}
