//! `deployment.toml`: what one party decides alone. Nothing in it changes what the contract says.

use serde::Deserialize;

use crate::RenderError;

/// The settings of one party. Every table may be absent; a target names the member that it misses.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// For the builder.
    pub builder: Builder,
    /// For the operator.
    pub operator: Operator,
    /// For a collaborator.
    pub collaborator: Collaborator,
    /// For the target `vault`.
    pub vault: Vault,
    /// For the target `aws`.
    pub aws: Aws,
    /// For the target `vpc-sc`.
    pub vpc_sc: VpcSc,
    /// For everyone.
    pub alerts: Alerts,
}

/// `[builder]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Builder {
    /// Does Cloud Build build? Otherwise the builder does on a machine of its own, and needs no account, bucket and trigger.
    pub cloud_build: bool,
    /// Id of the service account that builds.
    pub service_account: String,
    /// `projects/P/locations/L/keyRings/R/cryptoKeys/K`; absent: a key in the repository's project.
    pub signing_key: Option<String>,
    /// `software` or `hsm`.
    pub protection: Protection,
    /// Who may pull the image and its signatures, beside the operator.
    pub readers: Vec<String>,
    /// Who may read the public half of the signing key.
    pub key_viewers: Vec<String>,
    /// Bucket of the builds' sources and logs; absent: named after the project.
    pub bucket: Option<String>,
    /// Where it builds.
    pub trigger: Trigger,
}

/// `[builder.trigger]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trigger {
    /// The trigger's name.
    pub name: String,
    /// `projects/P/locations/R/connections/C/repositories/N`, or the URL of a GitHub repository.
    pub repository: Option<String>,
    /// The branch that is built.
    pub branch: String,
    /// The build's configuration in the repository.
    pub config: String,
    /// Region of trigger and builds; absent: where the repository of images is.
    pub region: Option<String>,
}

/// `[operator]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operator {
    /// Number of the operator's project.
    pub project_number: Option<String>,
    /// Region of network, router and address.
    pub region: Option<String>,
    /// Zone of the machines.
    pub zone: Option<String>,
    /// The network's name; subnet, router and NAT are named after it.
    pub network: String,
    /// Addresses of the subnet.
    pub subnet_range: String,
    /// A machine type of the contract's hardware; absent: a small one.
    pub machine_type: Option<String>,
    /// Name of the machine, or of the group's machines.
    pub instance: String,
    /// Machines of a managed group; absent: one machine without a group.
    pub group_size: Option<u32>,
    /// Who may publish messages.
    pub publishers: Option<Vec<String>>,
    /// From where the ingest port is reached.
    pub ingest_ranges: Option<Vec<String>>,
    /// From where the health port is reached; absent: from nowhere outside.
    pub health_ranges: Vec<String>,
    /// Seconds that the workload has for a message, 10 to 600.
    pub ack_seconds: u32,
    /// Deliveries before Pub/Sub itself sets a message aside, 5 to 100; absent: never.
    pub max_delivery_attempts: Option<u32>,
}

/// `[collaborator]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Collaborator {
    /// Who may encrypt with the key.
    pub encrypters: Option<Vec<String>>,
    /// What releases the key.
    pub grant: Grant,
    /// `software` or `hsm`.
    pub protection: Protection,
    /// A key to sign images with, if it is in Cloud KMS: `projects/P/locations/L/keyRings/R/cryptoKeys/K`.
    pub signing_key: Option<String>,
    /// Who may sign with it.
    pub signers: Vec<String>,
}

/// What releases a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grant {
    /// Images that are named one by one, signed by the parties.
    #[default]
    Digest,
    /// Any image of the contract's repository that the parties signed.
    Signers,
}

/// Where a key's material is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// In software.
    #[default]
    Software,
    /// In a hardware security module.
    Hsm,
}

impl Protection {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Hsm => "hsm",
        }
    }
}

/// `[vault]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vault {
    /// Where the JWT method is mounted.
    pub mount: String,
    /// The role's name, and the policy's.
    pub role: String,
    /// `aud` that tokens for it must name; absent: one of this contract's own.
    pub audience: Option<String>,
    /// What the workload may do, by path.
    pub paths: Option<std::collections::BTreeMap<String, Vec<String>>>,
    /// Seconds that a login lives.
    pub ttl_seconds: u32,
}

/// `[aws]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Aws {
    /// Twelve digits.
    pub account: Option<String>,
    /// For instance `eu-west-1`.
    pub region: Option<String>,
    /// The role's name, and the key's alias.
    pub role: String,
    /// `aud` that tokens for it must name; absent: one of this contract's own.
    pub audience: Option<String>,
    /// Bucket with the encrypted data.
    pub bucket: Option<String>,
    /// Objects in it.
    pub prefix: String,
    /// Path and name of the IAM role or user that manages the key.
    pub key_administrator: Option<String>,
}

/// `[vpc_sc]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VpcSc {
    /// Number of the organization's access policy.
    pub policy: Option<String>,
    /// The perimeter's name: letters, digits and `_`.
    pub perimeter: String,
}

/// `[alerts]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alerts {
    /// `projects/P/notificationChannels/N`; an empty list shows alerts on the console only.
    pub notification_channels: Option<Vec<String>>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            cloud_build: true,
            service_account: "csign-builder".to_owned(),
            signing_key: None,
            protection: Protection::default(),
            readers: Vec::new(),
            key_viewers: Vec::new(),
            bucket: None,
            trigger: Trigger::default(),
        }
    }
}

impl Default for Trigger {
    fn default() -> Self {
        Self {
            name: "csign-build".to_owned(),
            repository: None,
            branch: "main".to_owned(),
            config: "cloudbuild.yaml".to_owned(),
            region: None,
        }
    }
}

impl Default for Operator {
    fn default() -> Self {
        Self {
            project_number: None,
            region: None,
            zone: None,
            network: "csign".to_owned(),
            subnet_range: "10.128.0.0/24".to_owned(),
            machine_type: None,
            instance: "csign-workload".to_owned(),
            group_size: None,
            publishers: None,
            ingest_ranges: None,
            health_ranges: Vec::new(),
            ack_seconds: 60,
            max_delivery_attempts: None,
        }
    }
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            mount: "jwt".to_owned(),
            role: "csign-workload".to_owned(),
            audience: None,
            paths: None,
            ttl_seconds: 300,
        }
    }
}

impl Default for Aws {
    fn default() -> Self {
        Self {
            account: None,
            region: None,
            role: "csign-workload".to_owned(),
            audience: None,
            bucket: None,
            prefix: String::new(),
            key_administrator: None,
        }
    }
}

impl Default for VpcSc {
    fn default() -> Self {
        Self { policy: None, perimeter: "csign".to_owned() }
    }
}

impl Settings {
    /// Reads `deployment.toml`.
    ///
    /// # Errors
    /// No TOML, or an unknown or mistyped member.
    pub fn from_toml(text: &str) -> Result<Self, RenderError> {
        Ok(toml::from_str(text)?)
    }

    /// The commented file that `csign render settings` writes: every setting, with its default or an example.
    pub const fn template() -> &'static str {
        include_str!("deployment.toml")
    }
}

/// The value of a setting that has no default.
pub(crate) fn required<'a, T>(
    value: Option<&'a T>,
    key: &'static str,
    what: &'static str,
) -> Result<&'a T, RenderError> {
    value.ok_or(RenderError::Missing { key, what })
}
