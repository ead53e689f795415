//! What the workload counts about itself, for `/metrics` and `/readyz`. No series is ever made from a message: names of
//! collaborators come from the contract, everything else is one of a fixed set of words.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use csign_contract::Contract;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};
use serde::Serialize;

type Labels<const N: usize> = [(&'static str, String); N];

/// Upper bounds of latencies in seconds: KMS answers in some 20 milliseconds, a token takes seconds on a bad day.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// Upper bounds of how many results one write keeps.
const RESULTS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1024.0];

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its words went into the counts.
    Counted,
    /// It was in the counts already.
    Duplicate,
    /// Refused for good.
    Refused,
    /// Refused for good and handed to the dead-letter topic.
    DeadLetter,
    /// It comes again.
    Again,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Counted, Self::Duplicate, Self::Refused, Self::DeadLetter, Self::Again];

    const fn name(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Duplicate => "duplicate",
            Self::Refused => "refused",
            Self::DeadLetter => "dead-letter",
            Self::Again => "again",
        }
    }
}

/// How one call came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// It was answered.
    Answered,
    /// The answer is that this can never work: a ciphertext that does not decrypt.
    Impossible,
    /// Not allowed, now.
    Denied,
    /// Nobody answered, or not usably.
    Unavailable,
}

impl Call {
    const ALL: [Self; 4] = [Self::Answered, Self::Impossible, Self::Denied, Self::Unavailable];

    const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Impossible => "impossible",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
        }
    }
}

/// How a collaborator's lane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneState {
    /// Nothing stands in the way.
    Works,
    /// The collaborator does not let the workload decrypt; it is asked again after pauses.
    Denied,
    /// KMS, STS or the launcher cannot be used; it is tried again after pauses.
    Unavailable,
}

/// The counters. Clones count into the same; every call costs a few atomic operations.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: RwLock<Registry>,
    started: Instant,
    lanes: BTreeMap<String, Series>,
    /// For messages whose collaborator nobody knows.
    nobody: Series,
    pulls: Gauge,
    pull_breaks: Counter,
    token_requests: Family<Labels<1>, Counter>,
    commits: Histogram,
    commit_seconds: Histogram,
    commit_failures: Counter,
    boot_milliseconds: Gauge,
    connections: Family<Labels<1>, Gauge>,
    subscription: Mutex<Subscription>,
    image: Mutex<Option<String>>,
    contract: String,
    state_fails: AtomicBool,
}

/// What is counted about one collaborator.
struct Series {
    messages: [Counter; Outcome::ALL.len()],
    kms_calls: [Counter; Call::ALL.len()],
    decrypt_seconds: Histogram,
    data_keys: [Counter; 2],
    retries: Counter,
    paused: Gauge,
    ingested: Counter,
    lane: Mutex<LaneState>,
}

#[derive(Default)]
struct Subscription {
    pulling: bool,
    last_message: Option<Instant>,
}

struct Families {
    messages: Family<Labels<2>, Counter>,
    kms_calls: Family<Labels<2>, Counter>,
    decrypt_seconds: Family<Labels<1>, Histogram>,
    data_keys: Family<Labels<2>, Counter>,
    retries: Family<Labels<1>, Counter>,
    paused: Family<Labels<1>, Gauge>,
    ingested: Family<Labels<1>, Counter>,
}

impl Families {
    fn register(registry: &mut Registry) -> Self {
        let families = Self {
            messages: Family::default(),
            kms_calls: Family::default(),
            decrypt_seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            data_keys: Family::default(),
            retries: Family::default(),
            paused: Family::default(),
            ingested: Family::default(),
        };
        registry.register("messages", "Messages by collaborator and outcome", families.messages.clone());
        registry.register("kms_calls", "Decryptions asked of Cloud KMS, by result", families.kms_calls.clone());
        registry.register_with_unit(
            "decrypt",
            "Time of one decryption, its token exchange included",
            Unit::Seconds,
            families.decrypt_seconds.clone(),
        );
        registry.register("data_keys", "Envelope data keys, by where they were found", families.data_keys.clone());
        registry.register("retries", "Calls that were tried again", families.retries.clone());
        registry.register(
            "lane_paused",
            "1 while a collaborator's lane waits after a failure",
            families.paused.clone(),
        );
        registry.register("ingested", "Messages that arrived over TLS", families.ingested.clone());
        families
    }

    fn series(&self, collaborator: &str) -> Series {
        let name = || ("collaborator", collaborator.to_owned());
        Series {
            messages: Outcome::ALL
                .map(|outcome| self.messages.get_or_create_owned(&[name(), ("outcome", outcome.name().to_owned())])),
            kms_calls: Call::ALL
                .map(|call| self.kms_calls.get_or_create_owned(&[name(), ("result", call.name().to_owned())])),
            decrypt_seconds: self.decrypt_seconds.get_or_create_owned(&[name()]),
            data_keys: ["cache", "kms"]
                .map(|found| self.data_keys.get_or_create_owned(&[name(), ("found", found.to_owned())])),
            retries: self.retries.get_or_create_owned(&[name()]),
            paused: self.paused.get_or_create_owned(&[name()]),
            ingested: self.ingested.get_or_create_owned(&[name()]),
            lane: Mutex::new(LaneState::Works),
        }
    }
}

impl Metrics {
    /// Counters at zero for the contract's collaborators.
    pub fn new(contract: &Contract) -> Self {
        let mut registry = Registry::with_prefix("csign_workload");
        let digest = contract.digest().to_string();
        let build = [("version", env!("CARGO_PKG_VERSION").to_owned()), ("contract", digest.clone())];
        registry.register("build", "What runs here", Info::new(build));
        let families = Families::register(&mut registry);
        let (pulls, boot_milliseconds) = (Gauge::default(), Gauge::default());
        let (pull_breaks, commit_failures) = (Counter::default(), Counter::default());
        let (commits, commit_seconds) = (Histogram::new(RESULTS), Histogram::new(SECONDS));
        let (token_requests, connections) = (Family::default(), Family::default());
        registry.register("pulling", "1 while the subscription is pulled", pulls.clone());
        registry.register("pull_breaks", "Ends of a streaming pull", pull_breaks.clone());
        registry.register("token_requests", "Tokens asked of the launcher, by result", Family::clone(&token_requests));
        registry.register("commit_results", "Results that one write of the state keeps", commits.clone());
        registry.register_with_unit("commit", "Time of one write of the state", Unit::Seconds, commit_seconds.clone());
        registry.register("commit_failures", "Writes of the state that failed", commit_failures.clone());
        registry.register("boot_milliseconds", "From start to verified boot", boot_milliseconds.clone());
        registry.register("connections", "Connections that are open, by port", Family::clone(&connections));
        let names = contract.collaborators().map(|(party, _)| party.name.clone());
        Self(Arc::new(Inner {
            started: Instant::now(),
            lanes: names.map(|name| (name.clone(), families.series(&name))).collect(),
            nobody: families.series(""),
            registry: RwLock::new(registry),
            pulls,
            pull_breaks,
            token_requests,
            commits,
            commit_seconds,
            commit_failures,
            boot_milliseconds,
            connections,
            subscription: Mutex::default(),
            image: Mutex::default(),
            contract: digest,
            state_fails: AtomicBool::new(false),
        }))
    }

    /// A message's fate. A collaborator that the contract does not know is counted as nobody.
    pub fn message(&self, collaborator: &str, outcome: Outcome) {
        if let Some(counter) = self.series(collaborator).messages.get(outcome as usize) {
            counter.inc();
        }
    }

    /// One call of KMS for a collaborator, and how long it took.
    pub fn kms_call(&self, collaborator: &str, call: Call, took: Duration) {
        let series = self.series(collaborator);
        series.decrypt_seconds.observe(took.as_secs_f64());
        if let Some(counter) = series.kms_calls.get(call as usize) {
            counter.inc();
        }
    }

    /// A data key was needed; `cached`: KMS was not asked for it.
    pub fn data_key(&self, collaborator: &str, cached: bool) {
        if let Some(counter) = self.series(collaborator).data_keys.get(usize::from(!cached)) {
            counter.inc();
        }
    }

    /// A call is tried again.
    pub fn retry(&self, collaborator: &str) {
        self.series(collaborator).retries.inc();
    }

    /// How a collaborator's lane is from now on.
    pub fn lane(&self, collaborator: &str, state: LaneState) {
        let series = self.series(collaborator);
        series.paused.set(i64::from(state != LaneState::Works));
        *lock(&series.lane) = state;
    }

    /// A message of a collaborator arrived over TLS.
    pub fn ingested(&self, collaborator: &str) {
        self.series(collaborator).ingested.inc();
    }

    /// Is the subscription pulled from now on?
    pub fn pulling(&self, pulling: bool) {
        let mut subscription = lock(&self.0.subscription);
        if subscription.pulling && !pulling {
            self.0.pull_breaks.inc();
        }
        subscription.pulling = pulling;
        self.0.pulls.set(i64::from(pulling));
    }

    /// A message was delivered.
    pub fn delivered(&self) {
        lock(&self.0.subscription).last_message = Some(Instant::now());
    }

    /// The state kept `results` in one write.
    pub fn committed(&self, results: usize, took: Duration) {
        self.0.commits.observe(f64::from(u32::try_from(results).unwrap_or(u32::MAX)));
        self.0.commit_seconds.observe(took.as_secs_f64());
        self.0.state_fails.store(false, Ordering::Relaxed);
    }

    /// A write of the state failed.
    pub fn commit_failed(&self) {
        self.0.commit_failures.inc();
        self.0.state_fails.store(true, Ordering::Relaxed);
    }

    /// The launcher was asked for a token, and gave one or not.
    pub fn token_request(&self, given: bool) {
        let result = if given { "given" } else { "refused" };
        self.0.token_requests.get_or_create_owned(&[("result", result.to_owned())]).inc();
    }

    /// The boot was verified.
    pub fn booted(&self, image: &str, took: Duration) {
        self.0.boot_milliseconds.set(i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
        *lock(&self.0.image) = Some(image.to_owned());
    }

    /// A connection on `port`, which is `health` or `ingest`; it counts for as long as the guard lives.
    pub(crate) fn connection(&self, port: &'static str) -> ConnectionGuard {
        let gauge = self.0.connections.get_or_create_owned(&[("port", port.to_owned())]);
        gauge.inc();
        ConnectionGuard(gauge)
    }

    /// OpenMetrics text 1.0.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.0.registry.read().unwrap_or_else(PoisonError::into_inner);
        // Writing into a string does not fail.
        let _ = encode(&mut text, &registry);
        text
    }

    /// How things stand, for `/readyz`.
    pub(crate) fn readiness(&self) -> Readiness {
        let subscription = lock(&self.0.subscription);
        let image = lock(&self.0.image).clone();
        let state_works = !self.0.state_fails.load(Ordering::Relaxed);
        Readiness {
            ready: image.is_some() && subscription.pulling && state_works,
            boot: if image.is_some() { "verified" } else { "pending" },
            subscription: if subscription.pulling { "pulling" } else { "not pulling" },
            seconds_since_message: subscription.last_message.map(|at| at.elapsed().as_secs()),
            state: if state_works { "works" } else { "fails" },
            uptime_seconds: self.0.started.elapsed().as_secs(),
            contract: self.0.contract.clone(),
            image,
            collaborators: self.0.lanes.iter().map(|(name, series)| (name.clone(), *lock(&series.lane))).collect(),
        }
    }

    fn series(&self, collaborator: &str) -> &Series {
        self.0.lanes.get(collaborator).unwrap_or(&self.0.nobody)
    }
}

/// What `/readyz` answers. One collaborator's trouble makes the workload no less ready for the others.
#[derive(Debug, Serialize)]
pub(crate) struct Readiness {
    pub(crate) ready: bool,
    boot: &'static str,
    subscription: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_since_message: Option<u64>,
    state: &'static str,
    uptime_seconds: u64,
    contract: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    collaborators: BTreeMap<String, LaneState>,
}

/// An open connection.
pub(crate) struct ConnectionGuard(Gauge);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
