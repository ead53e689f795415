//! What a simulator is started with. Everything here can also be changed while it runs, except the keys' seeds.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    attestation::{Image, Platform, Vm},
    registry::RegistryOptions,
    sts::Provider,
};

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
    /// Secret Manager's secrets that exist from the start, each with one version.
    pub secrets: Vec<Secret>,
    /// Cloud Storage buckets that exist from the start.
    pub buckets: Vec<String>,
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
    /// The port to listen on; 0 lets the system pick one.
    pub port: u16,
    /// The project of clients that do not name one.
    pub project: String,
    /// Projects that gcloud finds, beside that of clients and that of the machine.
    pub projects: Vec<Project>,
    /// Every decision is also appended to this file, as a line of JSON.
    pub audit_log: Option<PathBuf>,
    /// TLS under Google's names, and a proxy that leads there; absent = neither.
    pub tls: Option<Tls>,
    /// The virtual machine of launches and of the client's workload.
    pub machine: Machine,
    /// The workload as which clients on this machine present themselves to STS.
    pub client: Option<Client>,
    /// What goes wrong at random.
    pub faults: crate::chaos::Plan,
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
            secrets: Vec::new(),
            buckets: Vec::new(),
            bindings: Vec::new(),
            topics: Vec::new(),
            subscriptions: Vec::new(),
            pubsub: PubSubOptions::default(),
            metadata_identity: None,
            port: 0,
            project: "simulator".to_owned(),
            projects: Vec::new(),
            audit_log: None,
            tls: None,
            machine: Machine::default(),
            client: None,
            faults: crate::chaos::Plan::default(),
            registry: RegistryOptions::default(),
            work_dir: None,
            root_helper: None,
        }
    }
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Its id, for instance `operator-project`.
    pub id: String,
    /// Its number, by which workload identity pools are named.
    pub number: String,
}

/// The TLS endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Seed of the certificate authority's key. Absent: a random one at every start, which is safer, because whoever
    /// knows the seed can make certificates that the authority's users trust.
    pub seed: Option<String>,
    /// Where `simulator up` writes the authority's certificate; absent = into its own directory.
    pub ca_file: Option<PathBuf>,
}

/// A virtual machine, as its attestation tokens describe it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Machine {
    /// Project id.
    pub project: String,
    /// Project number.
    pub project_number: String,
    /// Zone.
    pub zone: String,
    /// Instance name.
    pub instance: String,
    /// Instance id.
    pub instance_id: String,
    /// Service account's email address.
    pub service_account: String,
    /// Which Confidential Space image boots: `production`, `stable`, `usable`, `experimental` or `debug`.
    pub image: Image,
    /// The hardware, and what the operator switched on.
    pub platform: Platform,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            project: "operator".to_owned(),
            project_number: "100000000000".to_owned(),
            zone: "europe-west4-a".to_owned(),
            instance: "workload".to_owned(),
            instance_id: "1000000000000000000".to_owned(),
            service_account: "workload@operator.iam.gserviceaccount.com".to_owned(),
            image: Image::Production,
            platform: Platform::default(),
        }
    }
}

impl From<Machine> for Vm {
    fn from(machine: Machine) -> Self {
        let Machine { project, project_number, zone, instance, instance_id, service_account, image, platform } =
            machine;
        Self { project, project_number, zone, instance, instance_id, service_account, image, platform }
    }
}

/// The workload as which clients on this machine present themselves, without being launched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The image that it would run, with its digest.
    pub image: String,
    /// The provider that it would ask: `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
    pub provider: String,
    /// A service account that it impersonates; absent = it acts as itself.
    #[serde(default)]
    pub service_account: Option<String>,
}

impl Client {
    /// The provider's resource name as STS wants it.
    pub fn audience(&self) -> String {
        format!("//iam.googleapis.com/{}", self.provider)
    }
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// No TOML, or an unknown or malformed key; the message has the line and the key.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| Error::Config(error.to_string().trim_end().to_owned()))
    }

    /// Adds to an error about a resource of the configuration the line on which `text` names that resource.
    pub fn locate(text: &str, error: Error) -> Error {
        let message = error.to_string();
        // Some of Google's messages have the last part of a name only.
        let last = |name: &str| format!("resource={}", name.rsplit('/').next().unwrap_or_default());
        let named = |name: &str| {
            name.contains('/') && (message.contains(name) || message.contains(&format!("({})", last(name))))
        };
        let quoted = |line: &str| line.split('"').skip(1).step_by(2).any(named);
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
        match lines.find(|(_, line)| quoted(line)) {
            Some((number, line)) => Error::Config(format!("line {}: {}: {message}", number + 1, line.trim())),
            None => error,
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

/// A secret that exists from the start. Its debug form leaves the data out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// `projects/P/secrets/S`.
    pub name: String,
    /// The data of its version 1.
    pub data: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An IAM binding: `member` may do `permission` on `resource` and everything below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Resource name without a leading slash.
    pub resource: String,
    /// A permission, for instance `cloudkms.cryptoKeyVersions.useToDecrypt`, or a predefined role, for instance
    /// `roles/cloudkms.cryptoKeyDecrypter`.
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A provider that admits no image.
    pub(crate) fn provider(name: &str) -> Provider {
        Provider::for_images(name, [])
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        for (text, line, key) in [
            ("project = \"p\"\nprot = 1\n", "line 2", "prot"),
            ("[machine]\nzone = 5\n", "line 2", "zone = 5"),
            ("[[keys]]\nname = \"k\"\npurpose = \"NONE\"\n", "line 3", "NONE"),
            ("[tls]\nsede = \"x\"\n", "line 2", "sede"),
            ("topics = [", "line 1", "topics"),
        ] {
            let error = Config::from_toml(text).expect_err(text).to_string();
            assert!(error.contains(line) && error.contains(key), "{error}");
        }
    }

    #[test]
    fn an_error_about_a_resource_gets_the_line_that_names_it() {
        let text = "# \"projects/p/topics/t\"\ntopics = [\n    \"projects/p/topics/t\",\n]\n";
        let error =
            Error::Resource("Resource already exists in the project (resource=projects/p/topics/t).".to_owned());
        assert!(Config::locate(text, error).to_string().contains("line 3: \"projects/p/topics/t\",: Resource already"));
        let error = Error::Resource("Resource already exists in the project (resource=t).".to_owned());
        assert!(Config::locate(text, error).to_string().contains("line 3: "));
    }
}
