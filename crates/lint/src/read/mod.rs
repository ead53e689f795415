//! Reads what other tools and people wrote, and tells from its content what it is.

mod google;
mod json;
mod terraform;

use csign_contract::Contract;
use csign_oci::ImageConfig;
use serde_json::Value;

pub use google::{Binding, Instance, Policy, ProviderSettings};

use crate::error::LintError;

/// Largest document, in bytes: a Terraform plan of a large project.
pub const MAX_DOCUMENT: usize = 32 << 20;

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `collaboration.toml`, or its canonical JSON.
    Contract,
    /// The configuration of an OCI image.
    Image,
    /// `request.json`
    Request,
    /// A Rego policy.
    Rego,
    /// An attribute condition alone, as text.
    Condition,
    /// JSON of `gcloud`, Terraform, Vault, AWS or Pub/Sub: which one, its members say.
    Json,
}

impl Kind {
    /// Every kind, as it is written on a command line.
    pub const ALL: [(&'static str, Self); 6] = [
        ("contract", Self::Contract),
        ("image", Self::Image),
        ("request", Self::Request),
        ("rego", Self::Rego),
        ("condition", Self::Condition),
        ("json", Self::Json),
    ];
}

/// One thing that rules look at.
#[derive(Clone, Debug)]
pub enum Item {
    /// A valid contract.
    Contract(Box<Contract>),
    /// What was to be a contract, and why it is none.
    BadContract(String),
    /// An image's configuration.
    Image(Box<ImageConfig>),
    /// A request, as it was read.
    Request(Vec<u8>),
    /// A Rego policy's text.
    Rego(String),
    /// A provider of a workload identity pool.
    Provider(Box<ProviderSettings>),
    /// The IAM policy of a resource.
    Policy(Policy),
    /// A virtual machine.
    Instance(Box<Instance>),
    /// A role of Vault's JWT auth method.
    VaultRole(Value),
    /// The configuration of Vault's JWT auth method.
    VaultConfig(Value),
    /// A policy document of AWS.
    Aws(Value),
    /// An OIDC provider of AWS.
    AwsProvider(Value),
    /// A Pub/Sub subscription.
    Subscription(Value),
    /// A Pub/Sub message.
    Message(Value),
    /// An ingress rule of a VPC Service Controls perimeter.
    Ingress(Value),
    /// External account credentials.
    Credentials(Value),
}

/// An item and where it stands in its document.
#[derive(Clone, Debug)]
pub struct Located {
    /// JSON pointer; empty for the whole document.
    pub pointer: String,
    /// The item.
    pub item: Item,
}

/// A document that was read.
#[derive(Clone, Debug)]
pub struct Document {
    /// How it was given: a path or a reference.
    pub file: String,
    /// Its text, for lines.
    pub(crate) text: String,
    /// What is in it, in its order.
    pub items: Vec<Located>,
}

impl Document {
    /// Reads a document; what it is follows from its content unless `kind` says so.
    ///
    /// # Errors
    /// It is too large, no UTF-8, no JSON where it must be, or nothing that rules know.
    pub fn read(file: &str, bytes: &[u8], kind: Option<Kind>) -> Result<Self, LintError> {
        if bytes.len() > MAX_DOCUMENT {
            return Err(LintError::TooLarge { file: file.to_owned(), limit: MAX_DOCUMENT });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| LintError::NotText { file: file.to_owned() })?;
        let kind = match kind {
            Some(kind) => kind,
            None => recognize(file, text).ok_or_else(|| LintError::Unknown { file: file.to_owned() })?,
        };
        let whole = |item| vec![Located { pointer: String::new(), item }];
        let items = match kind {
            Kind::Contract => whole(contract(text)),
            Kind::Image => {
                let image = ImageConfig::parse(bytes)
                    .map_err(|error| LintError::Image { file: file.to_owned(), error: error.to_string() })?;
                whole(Item::Image(Box::new(image)))
            }
            Kind::Request => whole(Item::Request(bytes.to_vec())),
            Kind::Rego => whole(Item::Rego(text.to_owned())),
            Kind::Condition => whole(Item::Provider(Box::new(ProviderSettings::of_condition(text.trim())))),
            Kind::Json => {
                let value = csign_oci::json::value_from_slice(bytes)
                    .map_err(|source| LintError::Json { file: file.to_owned(), source })?;
                json::items(&value).ok_or_else(|| LintError::Unknown { file: file.to_owned() })?
            }
        };
        Ok(Self { file: file.to_owned(), text: text.to_owned(), items })
    }

    /// An image whose configuration was read elsewhere.
    pub fn of_image(name: &str, image: ImageConfig) -> Self {
        let item = Item::Image(Box::new(image));
        Self { file: name.to_owned(), text: String::new(), items: vec![Located { pointer: String::new(), item }] }
    }
}

fn contract(text: &str) -> Item {
    let contract = if text.trim_start().starts_with('{') {
        Contract::from_canonical(text.as_bytes())
    } else {
        Contract::from_toml(text)
    };
    match contract {
        Ok(contract) => Item::Contract(Box::new(contract)),
        Err(error) => Item::BadContract(error.to_string()),
    }
}

fn recognize(file: &str, text: &str) -> Option<Kind> {
    let start = text.trim_start();
    if start.starts_with(['{', '[']) && !start.starts_with("[[") {
        // A table of TOML also begins with a bracket.
        let value: Option<Value> = serde_json::from_str(text).ok();
        match value {
            Some(value) => return Some(json::kind(&value)),
            None if start.starts_with('{') => return Some(Kind::Json),
            None => {}
        }
    }
    let extension = file.rsplit_once('.').map(|(_, extension)| extension);
    match extension {
        Some("rego") => Some(Kind::Rego),
        Some("cel") => Some(Kind::Condition),
        Some("toml") => Some(Kind::Contract),
        _ if text.lines().any(|line| line.trim() == "[[party]]") => Some(Kind::Contract),
        _ if text.lines().any(|line| line.starts_with("package ")) => Some(Kind::Rego),
        _ => None,
    }
}
