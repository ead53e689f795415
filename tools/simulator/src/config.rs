//! What a simulator is started with. Everything here can also be changed while it runs, except the keys' seeds.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{registry::RegistryOptions, sts::Provider};

/// The issuer of attestation tokens unless the configuration names another.
pub const DEFAULT_ISSUER: &str = "http://attestation.simulator.localhost";

/// The seed whose RSA key is committed, so that starting with it is quick. It is public and worth nothing.
pub const DEMO_SEED: &str = "csign simulator demo, public, worthless";

/// The simulator's configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `iss` of attestation tokens.
    pub issuer: String,
    /// Seed of the attestation issuer's RSA key. Whoever knows it can forge the simulator's tokens: never use a
    /// simulator's key outside simulations. Any seed but [`DEMO_SEED`] costs a key generation at start.
    pub attestation_seed: String,
    /// Seed of all Cloud KMS keys; a key follows from the seed and its resource name.
    pub kms_seed: String,
    /// Workload identity providers that exist from the start.
    pub providers: Vec<Provider>,
    /// Cloud KMS keys that exist from the start.
    pub keys: Vec<Key>,
    /// IAM bindings that exist from the start.
    pub bindings: Vec<Binding>,
    /// Pub/Sub topics that exist from the start.
    pub topics: Vec<String>,
    /// Pub/Sub subscriptions that exist from the start.
    pub subscriptions: Vec<Subscription>,
    /// Who serves Pub/Sub.
    pub pubsub: PubSubOptions,
    /// Whose tokens the GCE metadata server hands out, for instance `serviceAccount:operator@…`. Without it: the
    /// service account of the machine that was launched last.
    pub metadata_identity: Option<String>,
    /// How the registry behaves.
    #[serde(skip)]
    pub registry: RegistryOptions,
    /// Where the launcher unpacks images; a temporary directory if absent.
    pub work_dir: Option<PathBuf>,
    /// The simulator's own program, which the launcher re-executes as `enter-root` to give a container its own root.
    /// Without it programs run from the extracted directory.
    pub root_helper: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            issuer: DEFAULT_ISSUER.to_owned(),
            attestation_seed: DEMO_SEED.to_owned(),
            kms_seed: DEMO_SEED.to_owned(),
            providers: Vec::new(),
            keys: Vec::new(),
            bindings: Vec::new(),
            topics: Vec::new(),
            subscriptions: Vec::new(),
            pubsub: PubSubOptions::default(),
            metadata_identity: None,
            registry: RegistryOptions::default(),
            work_dir: None,
            root_helper: None,
        }
    }
}

/// A Cloud KMS key that exists from the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// `projects/P/locations/L/keyRings/R/cryptoKeys/K`.
    pub name: String,
    /// What the key is for.
    pub purpose: crate::kms::Purpose,
}

/// An IAM binding: `member` may do `permission` on `resource` and everything below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Resource name without a leading slash.
    pub resource: String,
    /// For instance `cloudkms.cryptoKeyVersions.useToDecrypt`.
    pub permission: String,
    /// `user:`, `serviceAccount:`, `principal://`, `principalSet://` or `allUsers`, compared exactly.
    pub member: String,
}

/// Who serves Pub/Sub: the simulator itself, unless one of these says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PubSubOptions {
    /// `127.0.0.1:PORT` of an emulator that runs already. Permissions are not checked then.
    pub emulator: Option<String>,
    /// Whether to start Google's emulator, which must be installed. Permissions are not checked then.
    pub google_emulator: bool,
}

/// A Pub/Sub subscription; all fields but the two names have Google's defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// `projects/P/subscriptions/S`.
    pub name: String,
    /// `projects/P/topics/T`.
    pub topic: String,
    /// Seconds that a delivered message waits for its acknowledgement, 10 to 600.
    #[serde(default = "default_ack_deadline")]
    pub ack_deadline_seconds: u32,
    /// Where messages go that were delivered too often, and how often that is.
    #[serde(default)]
    pub dead_letter: Option<DeadLetter>,
    /// How long a message rests after it was refused or its deadline passed; without it, it comes again at once.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// Whether messages with the same ordering key are delivered in the order in which they were published.
    #[serde(default)]
    pub enable_message_ordering: bool,
    /// Whether acknowledgements are confirmed, and fail after the deadline.
    #[serde(default)]
    pub enable_exactly_once_delivery: bool,
    /// Seconds after which an unacknowledged message is dropped, 600 to 2678400.
    #[serde(default = "default_retention")]
    pub message_retention_seconds: u64,
    /// Which messages of the topic are delivered, for instance `attributes.kind = "order"`; empty is all.
    #[serde(default)]
    pub filter: String,
}

impl Default for Subscription {
    fn default() -> Self {
        Self {
            name: String::new(),
            topic: String::new(),
            ack_deadline_seconds: default_ack_deadline(),
            dead_letter: None,
            retry: None,
            enable_message_ordering: false,
            enable_exactly_once_delivery: false,
            message_retention_seconds: default_retention(),
            filter: String::new(),
        }
    }
}

/// A dead-letter policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetter {
    /// `projects/P/topics/T`.
    pub topic: String,
    /// Deliveries before a message is forwarded there, 5 to 100.
    pub max_delivery_attempts: u32,
}

/// A retry policy: exponential from the shorter to the longer pause, each 0 to 600 seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Milliseconds after the first failure.
    pub minimum_backoff_ms: u64,
    /// Milliseconds that no pause exceeds.
    pub maximum_backoff_ms: u64,
}

fn default_ack_deadline() -> u32 {
    10
}

fn default_retention() -> u64 {
    7 * 24 * 3600
}
