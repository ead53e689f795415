//! The token that is explained: one from a file, or the one that an image would get.

use std::path::PathBuf;

use csign_contract::Contract;
use csign_lint::TokenFacts;
use csign_oci::{ImageConfig, json};
use serde_json::Value;

use crate::{
    commands::token::parts::{Parts, read_token},
    context::Context,
    failure::Failure,
};

/// Which token.
#[derive(clap::Args)]
pub(super) struct TokenArgs {
    /// The token's file, or its claims as JSON; - is stdin
    #[arg(value_name = "TOKEN", conflicts_with = "image")]
    file: Option<PathBuf>,
    /// The token that this image (a layout directory or a reference) would get
    #[arg(long, value_name = "DIR|IMAGE", requires = "contract")]
    image: Option<String>,
    /// The contract: names the operator, the signers and the providers
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    /// The party whose provider it is shown to
    #[arg(long, value_name = "NAME", requires = "contract")]
    collaborator: Option<String>,
    /// With --image: which image of Confidential Space the machine boots
    #[arg(long, value_enum, value_name = "IMAGE", default_value_t = Boots::Stable, requires = "image")]
    boots: Boots,
    /// With --image: the project that the machine is in, instead of the contract's
    #[arg(long, value_name = "PROJECT", requires = "image")]
    project: Option<String>,
    /// With --image: the project's number
    #[arg(long, value_name = "NUMBER", requires = "image")]
    project_number: Option<String>,
    /// With --image: the machine's service account, instead of the contract's
    #[arg(long, value_name = "EMAIL", requires = "image")]
    service_account: Option<String>,
    /// With --image: the machine's kind of hardware, instead of the contract's first
    #[arg(long, value_name = "HWMODEL", requires = "image")]
    hardware: Option<String>,
    /// With --image: the audience that the token is for, instead of the collaborator's provider
    #[arg(long, value_name = "AUDIENCE", requires = "image")]
    audience: Option<String>,
    /// With --image: a party whose signature is there, or none; may be repeated (default: all)
    #[arg(long, value_name = "PARTY|none", requires = "image")]
    signed_by: Vec<String>,
    /// With --image: a variable that the operator sets; may be repeated
    #[arg(long, value_name = "NAME=VALUE", requires = "image", value_parser = super::pair)]
    env: Vec<(String, String)>,
    /// With --image: a word of the command that the operator sets; may be repeated
    #[arg(long, value_name = "WORD", requires = "image")]
    cmd: Vec<String>,
}

/// Images of Confidential Space.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Boots {
    /// Production, supported
    Stable,
    /// Production, out of support
    Usable,
    /// Production, for trials
    Experimental,
    /// The operator can log in
    Debug,
}

/// The claims and where they are from. The token itself is not kept.
pub(super) struct Shown {
    /// What a person calls it.
    pub(super) source: String,
    pub(super) claims: Value,
    /// The provider that the contract names.
    pub(super) provider: Option<String>,
    /// The issuer that the contract names.
    pub(super) issuer: Option<String>,
    /// Why the launcher does not start the container.
    pub(super) launch: Vec<String>,
}

impl TokenArgs {
    /// Reads or makes the claims; `None` if no token is given.
    pub(super) async fn read(&self, context: &Context) -> Result<Option<Shown>, Failure> {
        let contract = self.contract.as_ref().map(|path| context.contract(path, true)).transpose()?;
        let provider = match (&contract, &self.collaborator) {
            (Some(contract), Some(name)) => Some(provider_of(contract, name)?),
            _ => None,
        };
        let issuer = contract.as_ref().map(|contract| contract.environment.issuer().to_owned());
        let shown = |source, claims, launch| Shown { source, claims, provider: provider.clone(), issuer, launch };
        if let Some(file) = &self.file {
            let token = read_token(file)?;
            let text = token.expose();
            let claims = if text.starts_with('{') {
                json::value_from_slice(text.as_bytes())
                    .map_err(|error| Failure::usage(format_args!("{}: {error}", file.display())))?
            } else {
                Value::Object(Parts::of(&token)?.claims)
            };
            return Ok(Some(shown(format!("{} (not verified)", file.display()), claims, Vec::new())));
        }
        let (Some(image), Some(contract)) = (&self.image, &contract) else { return Ok(None) };
        let configured = context.image_config(image).await?;
        let mut facts = TokenFacts { image_digest: configured.digest.to_string(), ..TokenFacts::default() };
        facts = self.changed(facts.of_contract(contract), contract)?;
        if let Some(pinned) = configured.image {
            facts.image_reference = pinned.to_string();
        }
        facts.audience = self.audience.clone().or_else(|| provider.clone()).unwrap_or_default();
        let launch = self.refusals(&configured.config);
        Ok(Some(shown(format!("the token that {image} would get"), facts.claims(), launch)))
    }

    /// The facts with what the options say about them.
    fn changed(&self, mut facts: TokenFacts, contract: &Contract) -> Result<TokenFacts, Failure> {
        let attributes = |list: &[&str]| Some(list.iter().map(|attribute| (*attribute).to_owned()).collect());
        facts.support = match self.boots {
            Boots::Stable => attributes(&["LATEST", "STABLE", "USABLE"]),
            Boots::Usable => attributes(&["USABLE"]),
            Boots::Experimental => attributes(&["EXPERIMENTAL"]),
            Boots::Debug => None,
        };
        for (option, fact) in [
            (&self.project, &mut facts.project),
            (&self.project_number, &mut facts.project_number),
            (&self.service_account, &mut facts.service_account),
            (&self.hardware, &mut facts.hardware),
        ] {
            if let Some(value) = option {
                fact.clone_from(value);
            }
        }
        if !self.signed_by.is_empty() {
            facts.signers.clear();
            for name in self.signed_by.iter().filter(|name| *name != "none") {
                let party = contract.parties.iter().find(|party| party.name == *name);
                let party = party.ok_or_else(|| Failure::usage(format_args!("the contract has no party {name}")))?;
                let key = &party.public_key;
                facts.signers.push((key.id().to_string(), key.algorithm().to_string()));
            }
        }
        facts.env_override.clone_from(&self.env);
        facts.cmd_override.clone_from(&self.cmd);
        Ok(facts)
    }

    /// What the image's launch policy does not allow: such a container does not start, and gets no token.
    fn refusals(&self, image: &ImageConfig) -> Vec<String> {
        let label =
            |name: &str| image.config.labels.get(&format!("tee.launch_policy.{name}")).map_or("", String::as_str);
        let allowed: Vec<&str> = label("allow_env_override").split(',').map(str::trim).collect();
        let mut refusals: Vec<String> = self
            .env
            .iter()
            .filter(|(name, _)| !allowed.contains(&name.as_str()))
            .map(|(name, _)| format!("the launcher does not start it: allow_env_override does not list {name}"))
            .collect();
        if !self.cmd.is_empty() && label("allow_cmd_override") != "true" {
            refusals.push("the launcher does not start it: allow_cmd_override is not true".to_owned());
        }
        refusals
    }
}

fn provider_of(contract: &Contract, name: &str) -> Result<String, Failure> {
    let found = contract.collaborator(name).map(|(_, data)| data.identity_provider.clone());
    found.ok_or_else(|| Failure::usage(format_args!("the contract has no party {name} that sends data")))
}
