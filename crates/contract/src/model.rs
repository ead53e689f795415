//! The contract's members. A [`Contract`] exists only if it was parsed and passed every check of `validate.rs`.

use std::num::NonZeroU32;

use csign_envelope::{KeyError, PublicKey, SignatureAlgorithm};
use csign_oci::Repository;
use serde::{Deserialize, Serialize, de};

use crate::{Attestation, CollaboratorIngest, GOOGLE_ISSUER, Health, Ingest, PolicyRule, Sources, State};

/// What all parties agree on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Version of this format: 1.
    pub version: u32,
    /// A name for people.
    pub name: String,
    /// Which image.
    pub image: Image,
    /// How it is built.
    pub build: Build,
    /// Where it runs.
    pub environment: Environment,
    /// How many must sign.
    #[serde(default)]
    pub signatures: Signatures,
    /// How the workload proves where it runs.
    #[serde(default, skip_serializing_if = "Attestation::is_default")]
    pub attestation: Attestation,
    /// What attestations about the image must say.
    #[serde(default, rename = "policy", skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyRule>,
    /// Who runs it.
    pub operator: Operator,
    /// What the machine must be.
    pub platform: Platform,
    /// What may be changed at launch.
    #[serde(default)]
    pub launch: Launch,
    /// Where messages come from.
    pub messages: Messages,
    /// Where the counts are kept.
    #[serde(default, skip_serializing_if = "State::is_usual")]
    pub state: State,
    /// Where health and metrics are served; absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Where collaborators send data directly; absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<Ingest>,
    /// Who signs, and whose data it is.
    #[serde(rename = "party")]
    pub parties: Vec<Party>,
}

/// The image that the contract is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Repository without tag or digest.
    pub repository: Repository,
}

/// How the image is built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The recipe.
    pub recipe: Recipe,
}

/// The ways to build that csign knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipe {
    /// `x86_64-unknown-linux-musl`, linked by the pinned toolchain itself.
    CargoMusl,
    /// `x86_64-unknown-linux-gnu` with a static C library: depends on the distribution that builds.
    CargoGnuStatic,
    /// `bazel build //workload:image` of the workspace, with the contract as a file in it.
    Bazel,
}

impl Recipe {
    /// The name in the contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CargoMusl => "cargo-musl",
            Self::CargoGnuStatic => "cargo-gnu-static",
            Self::Bazel => "bazel",
        }
    }
}

/// Where the workload runs, and so whom it trusts to attest it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Environment {
    /// Confidential Space on Google Cloud.
    Google {},
    /// The simulator on this machine. Commands refuse it unless `--allow-simulated` is given.
    Simulated {
        /// Issuer of the simulator's tokens.
        issuer: String,
        /// RFC 7638 thumbprints (sha256, base64url) of the keys that may sign its tokens.
        issuer_keys: Vec<String>,
        /// sha256 (lowercase hex) of the root certificates that PKI tokens may lead to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        issuer_roots: Vec<String>,
    },
}

impl Environment {
    /// The only issuer whose tokens count.
    pub fn issuer(&self) -> &str {
        match self {
            Self::Google {} => GOOGLE_ISSUER,
            Self::Simulated { issuer, .. } => issuer,
        }
    }

    /// Is this the simulator?
    pub const fn is_simulated(&self) -> bool {
        matches!(self, Self::Simulated { .. })
    }
}

/// How many parties must have signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signatures {
    /// `"all"` (the default) or a number from 1.
    #[serde(default)]
    pub threshold: Threshold,
    /// Where the signatures must be seen.
    #[serde(default, skip_serializing_if = "Sources::is_default")]
    pub sources: Sources,
}

/// How many of a set of parties are enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threshold {
    /// Every one of them.
    #[default]
    All,
    /// This many different ones. Zero cannot be expressed.
    AtLeast(NonZeroU32),
}

impl Threshold {
    /// How many of `parties` must have signed.
    pub fn required(self, parties: usize) -> usize {
        match self {
            Self::All => parties,
            Self::AtLeast(count) => usize::try_from(count.get()).unwrap_or(usize::MAX),
        }
    }
}

impl std::str::FromStr for Threshold {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            number => number.parse().map(Self::AtLeast).map_err(|_| "a threshold is \"all\" or a number from 1"),
        }
    }
}

impl Serialize for Threshold {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::AtLeast(count) => serializer.serialize_u32(count.get()),
        }
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Word(String),
            Number(i64),
        }
        const WANT: &str = "a threshold is \"all\" or a number from 1";
        match Either::deserialize(deserializer)? {
            Either::Word(word) if word == "all" => Ok(Self::All),
            Either::Number(number) => u32::try_from(number)
                .ok()
                .and_then(NonZeroU32::new)
                .map(Self::AtLeast)
                .ok_or_else(|| de::Error::custom(WANT)),
            Either::Word(_) => Err(de::Error::custom(WANT)),
        }
    }
}

/// Who runs the machine; the token must say so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Project in which the VM runs.
    pub project_id: String,
    /// Service account that the VM runs as.
    pub service_account: String,
}

/// What the machine must be; the token must say so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// Accepted values of `hwmodel`.
    pub hardware: Vec<String>,
    /// The support attribute that the Confidential Space image must have.
    #[serde(default)]
    pub support: Support,
}

/// Support attributes of production images. Debug images have none and are never accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Support {
    /// The newest image.
    Latest,
    /// Supported and monitored for vulnerabilities.
    #[default]
    Stable,
    /// Out of support, still works.
    Usable,
}

impl Support {
    /// The text in the token.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Latest => "LATEST",
            Self::Stable => "STABLE",
            Self::Usable => "USABLE",
        }
    }
}

/// Launch policy: what the operator may change. It becomes labels of the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// Who may read the workload's log.
    #[serde(default)]
    pub log_redirect: LogRedirect,
}

/// Values of the label `tee.launch_policy.log_redirect`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogRedirect {
    /// On debug images only (which a contract refuses, so: nobody).
    #[default]
    DebugOnly,
    /// The operator may.
    Always,
    /// Nobody may.
    Never,
}

impl LogRedirect {
    /// The label's value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DebugOnly => "debugonly",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// Where messages come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// `projects/P/topics/T`: collaborators publish here.
    pub topic: String,
    /// `projects/P/subscriptions/S`: the workload pulls from here.
    pub subscription: String,
    /// May the workload print the words that it counts? Default: no.
    #[serde(default)]
    pub print_words: bool,
    /// `projects/P/topics/T`: where messages go that can never be processed, as they came and with the reason. Without
    /// it they are refused and gone. The machine's account needs `pubsub.topics.publish` on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<String>,
    /// For how many seconds the workload may keep a data key that a collaborator released to it, 1 to 3600: so long a
    /// revoked grant still opens envelopes. Default: [`Messages::DATA_KEY_SECONDS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_key_seconds: Option<u32>,
}

impl Messages {
    /// Seconds that a data key is kept unless the contract says otherwise.
    pub const DATA_KEY_SECONDS: u32 = 300;

    /// For how long a data key may be kept.
    pub fn data_key_lifetime(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.data_key_seconds.unwrap_or(Self::DATA_KEY_SECONDS).into())
    }
}

/// One who signs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PartyTable", into = "PartyTable")]
pub struct Party {
    /// Lowercase letters, digits and `-`; unique.
    pub name: String,
    /// The key that this party signs with (PEM, `PUBLIC KEY`), under the algorithm in the member `algorithm` or else the one
    /// that is usual for its type.
    pub public_key: PublicKey,
    /// What this party contributes, if it contributes data.
    pub collaborator: Option<Collaborator>,
}

/// A party as it is written. The usual algorithm is left out, so that a contract has one canonical form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartyTable {
    name: String,
    public_key: PublicKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    algorithm: Option<SignatureAlgorithm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    collaborator: Option<Collaborator>,
}

impl TryFrom<PartyTable> for Party {
    type Error = KeyError;

    fn try_from(table: PartyTable) -> Result<Self, KeyError> {
        let PartyTable { name, mut public_key, algorithm, collaborator } = table;
        if let Some(algorithm) = algorithm {
            public_key = public_key.with_algorithm(algorithm)?;
        }
        Ok(Self { name, public_key, collaborator })
    }
}

impl From<Party> for PartyTable {
    fn from(party: Party) -> Self {
        let algorithm = party.public_key.algorithm();
        let stated = algorithm != party.public_key.usual_algorithm();
        let Party { name, public_key, collaborator } = party;
        Self { name, public_key, algorithm: stated.then_some(algorithm), collaborator }
    }
}

/// A party that contributes data and releases a key to the workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collaborator {
    /// `projects/P/locations/L/keyRings/R/cryptoKeys/K`: encrypts this collaborator's data.
    pub kms_key: String,
    /// `//iam.googleapis.com/projects/N/locations/global/workloadIdentityPools/P/providers/X`: where the workload's
    /// token is exchanged, and the audience that the token names.
    pub identity_provider: String,
    /// How this collaborator's clients are known where data is sent directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<CollaboratorIngest>,
}

impl Contract {
    /// The party of this name, if it contributes data.
    pub fn collaborator(&self, name: &str) -> Option<(&Party, &Collaborator)> {
        let party = self.parties.iter().find(|party| party.name == name)?;
        Some((party, party.collaborator.as_ref()?))
    }

    /// All parties that contribute data.
    pub fn collaborators(&self) -> impl Iterator<Item = (&Party, &Collaborator)> {
        self.parties.iter().filter_map(|party| Some((party, party.collaborator.as_ref()?)))
    }

    /// The launch policy as labels of the image (Confidential Space, "launch policies").
    pub fn labels(&self) -> std::collections::BTreeMap<String, String> {
        let overrides = if self.environment.is_simulated() { crate::SIMULATOR_VARIABLE } else { "" };
        [
            ("tee.launch_policy.allow_cmd_override", "false"),
            ("tee.launch_policy.allow_env_override", overrides),
            ("tee.launch_policy.log_redirect", self.launch.log_redirect.name()),
        ]
        .into_iter()
        .map(|(label, value)| (label.to_owned(), value.to_owned()))
        .collect()
    }
}
