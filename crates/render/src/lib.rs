//! From one contract to the configuration of every party.
//!
//! A role's needs become a [`Plan`]; `gcloud` and `terraform` are two ways to print it. `vault`, `aws` and `vpc-sc` say the
//! same conditions in the languages of others. Contract, settings and digests in, files out: no clock, no network.

mod aws;
mod condition;
mod credentials;
mod error;
mod gcloud;
mod model;
mod names;
mod roles;
mod rotation;
mod settings;
mod terraform;
mod vault;
mod vpc_sc;

use std::{collections::BTreeMap, fmt, str::FromStr};

use csign_contract::Contract;
use csign_oci::Digest;

pub use condition::{Rules, rules};
pub use error::RenderError;
pub use rotation::{Change, Phase, PhaseName, Rotation, RotationPlan, RotationStep, rotate};
pub use settings::{Aws, Builder, Collaborator, Grant, Operator, Protection, Settings, Trigger, Vault, VpcSc};

use model::{Machine, On, Plan, Purpose, Resource, Step};

/// Whose configuration it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Builds and signs.
    Builder,
    /// Runs the machine.
    Operator,
    /// Sends data, and releases a key to the workload.
    Collaborator(String),
}

impl FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            None if text == "builder" => Ok(Self::Builder),
            None if text == "operator" => Ok(Self::Operator),
            Some(("collaborator", name)) if !name.is_empty() => Ok(Self::Collaborator(name.to_owned())),
            _ => Err("a role is builder, operator or collaborator=NAME"),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builder => f.write_str("builder"),
            Self::Operator => f.write_str("operator"),
            Self::Collaborator(name) => write!(f, "collaborator={name}"),
        }
    }
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A shell script that makes everything with gcloud.
    Gcloud,
    /// The same for Terraform.
    Terraform,
    /// JWT method, role and policy of HashiCorp Vault or OpenBao.
    Vault,
    /// OIDC provider, role, key and bucket policies of AWS.
    Aws,
    /// A service perimeter that only the operator's project enters.
    VpcSc,
    /// The external-account file of a client inside the workload.
    Credentials,
}

impl Target {
    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gcloud => "gcloud",
            Self::Terraform => "terraform",
            Self::Vault => "vault",
            Self::Aws => "aws",
            Self::VpcSc => "vpc-sc",
            Self::Credentials => "credentials",
        }
    }
}

/// A file that was rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its text; ends with a newline.
    pub text: String,
    /// Is it to be run?
    pub executable: bool,
}

/// Files by name.
pub type Files = BTreeMap<String, File>;

/// What everything follows from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// What all agreed on.
    pub contract: &'a Contract,
    /// What this party decides.
    pub settings: &'a Settings,
    /// The images that it is about.
    pub digests: &'a [Digest],
}

/// Renders `target` for `role`.
///
/// # Errors
/// A setting that is missing, a name that is none, a role for which the target has nothing.
pub fn render(target: Target, role: &Role, input: Input<'_>) -> Result<Files, RenderError> {
    match target {
        Target::Gcloud => gcloud::script(&roles::plan(role, input)?),
        Target::Terraform => terraform::configuration(&roles::plan(role, input)?),
        Target::Vault => vault::files(role, input),
        Target::Aws => aws::files(role, input),
        Target::VpcSc => vpc_sc::files(role, input),
        Target::Credentials => credentials::files(role, input),
    }
}

/// A file that is read.
fn file(text: String) -> File {
    File { text, executable: false }
}

/// JSON, as people read it.
fn json(value: &serde_json::Value) -> File {
    // `Value` holds no map with keys that are no strings, so it always has a text.
    file(format!("{value:#}\n"))
}
