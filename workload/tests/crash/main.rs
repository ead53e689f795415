//! The crash test: workloads that are killed at random while every service fails, is slow or cuts connections at
//! random; in the end the counts are exact.
//!
//! It takes minutes, so it runs where it is asked for: `cargo test -p workload --test crash -- --ignored --nocapture`.
//! `CRASH_MESSAGES` (100000), `CRASH_KILLS` (50) and `CRASH_SEED` (1) change how many, how often, and which run it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test fails by panicking")]

mod fleet;
mod load;
mod random;
#[path = "../support/mod.rs"]
mod support;
mod verdict;

use std::time::{Duration, Instant};

use csign_tests::postgres::Postgres;
use fleet::Fleet;
use load::Load;
use random::Random;
use simulator::chaos::{Plan, Rates, Service};
use support::{PARTIES, SUBSCRIPTION, Site, image};

/// Only ends a run that hangs: from the last progress, with a machine that does other things too.
const STALLED: Duration = Duration::from_secs(120);
/// One in so many stops is not a kill but a request to stop, which must end well.
const GRACEFUL: u64 = 10;

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) workloads: usize,
    pub(crate) messages: u64,
    pub(crate) kills: u64,
    pub(crate) seed: u64,
}

impl Run {
    fn of(workloads: usize) -> Self {
        let number = |name: &str, otherwise: u64| match std::env::var(name) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, not a number")),
            Err(_) => otherwise,
        };
        Self {
            workloads,
            messages: number("CRASH_MESSAGES", 100_000),
            kills: number("CRASH_KILLS", 50),
            seed: number("CRASH_SEED", 1),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; .ci/run has a step for it"]
async fn four_workloads_on_one_postgresql_count_exactly_whatever_is_killed_or_fails() {
    let Some(server) = Postgres::start() else { return };
    let state = format!("kind = \"postgres\"\nurl = \"{}\"", server.url());
    let site = Site::with_contract(|text| load::with_state(&text, &state)).await;
    crash(site, Run::of(4)).await;
    assert!(!verdict::holds_plaintext(&server.raw_bytes()), "words in the database's files");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; .ci/run has a step for it"]
async fn one_workload_with_an_embedded_store_counts_exactly_whatever_is_killed_or_fails() {
    let site = Site::with_contract(|text| load::with_state(&text, "kind = \"embedded\"")).await;
    let site = crash(site, Run::of(1)).await;
    let file = site.path("var/lib/csign/state.redb");
    assert!(!verdict::holds_plaintext(&std::fs::read(file).unwrap()), "words in the store's file");
}

/// Every service, a little of everything.
fn faults(seed: u64) -> Plan {
    let usual = Rates { error: 20, cut: 10, lost: 10, slow: 20, slow_ms: 300, stream_ms: 0 };
    let rates = |service| match service {
        Service::Pubsub => Rates { stream_ms: 15_000, ..usual },
        _ => usual,
    };
    Plan { seed, services: Service::ALL.into_iter().map(|service| (service, rates(service))).collect() }
}

async fn crash(mut site: Site, run: Run) -> Site {
    eprintln!("crash test: {run:?}");
    let began = Instant::now();
    let mut random = Random::new(run.seed);
    // The signatures are in the registry, so that a boot needs it.
    site.sign_in_registry(&PARTIES, &image());
    load::let_in(&site);
    fleet::launcher_that_fails(&mut site, run.seed);
    let load = Load::publish(&site, run).await;
    eprintln!(
        "{:4} s: {} messages published, {} of them poison",
        began.elapsed().as_secs(),
        load.published,
        load.poison.len()
    );

    site.simulator.chaos().set(faults(run.seed));
    let mut fleet = Fleet::start(&site, run.workloads);
    for kill in 1..=run.kills {
        // Spread over the work, so that every kill finds workloads that are busy.
        let left = load.published - load.published * kill / (run.kills + 1);
        progress(&site, &mut fleet, left).await;
        tokio::time::sleep(Duration::from_millis(random.below(300))).await;
        if kill % 5 == 0 {
            let service = Service::ALL[random.below(Service::ALL.len() as u64) as usize];
            site.simulator.chaos().outage(service, Duration::from_millis(500 + random.below(1500)));
        }
        let victim = random.below(run.workloads as u64) as usize;
        if kill % GRACEFUL == 0 {
            fleet.stop(victim).await
        } else {
            fleet.kill(victim).await
        }
        tokio::time::sleep(Duration::from_millis(random.below(200))).await;
        fleet.restart(victim);
    }
    eprintln!("{:4} s: {} kills, {} faults", began.elapsed().as_secs(), run.kills, site.simulator.chaos().faults());
    site.simulator.chaos().stop();
    progress(&site, &mut fleet, 0).await;
    eprintln!("{:4} s: everything acknowledged", began.elapsed().as_secs());
    fleet.end().await;
    assert!(!verdict::holds_plaintext(fleet.logs().as_bytes()), "words in the logs");
    verdict::check(&site, &load).await;
    eprintln!("{:4} s: the counts are exact", began.elapsed().as_secs());
    site
}

/// Waits until no more than `left` messages are unacknowledged; starts workloads again that gave up meanwhile.
async fn progress(site: &Site, fleet: &mut Fleet, left: u64) {
    let (mut last, mut since) = (u64::MAX, Instant::now());
    loop {
        let (waiting, leased) = site.simulator.pubsub().backlog(SUBSCRIPTION).unwrap();
        let now = (waiting + leased) as u64;
        if now <= left {
            return;
        }
        if now < last {
            (last, since) = (now, Instant::now());
        }
        assert!(
            since.elapsed() < STALLED,
            "nothing was acknowledged for {STALLED:?}: {waiting} wait, {leased} are leased\n{}",
            fleet.said()
        );
        fleet.mend().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
