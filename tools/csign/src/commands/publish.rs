//! `csign publish`: encrypt a collaborator's data with its own KMS key and publish it.

use std::path::PathBuf;

use csign_contract::message::{attributes, is_message_id};
use csign_keys::{KmsKey, gcpkms::KmsClient, pubsub::Publisher};
use csign_trust::ExitStatus;
use serde_json::json;

use super::ContractArgs;
use crate::{
    context::{CommandResult, Context, read},
    failure::Failure,
};

/// Encrypt data with a collaborator's KMS key and publish it to the contract's topic
///
/// The ciphertext is bound to the contract, the collaborator and the message id, so it decrypts nowhere else.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  echo -n alice | csign publish --collaborator collaborator-1 -\n  csign publish --collaborator collaborator-1 --message order-17 words.txt"
)]
pub(crate) struct Args {
    #[command(flatten)]
    contract: ContractArgs,
    /// Whose data it is, as the contract names them
    #[arg(long, value_name = "NAME")]
    collaborator: String,
    /// Id of the message, unique for this collaborator: the same id counts once (default: random)
    #[arg(long, value_name = "ID")]
    message: Option<String>,
    /// File to encrypt; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let contract = context.contract(&args.contract.contract, args.contract.allow_simulated)?;
    let Some((party, collaborator)) = contract.collaborator(&args.collaborator) else {
        let names: Vec<&str> = contract.collaborators().map(|(party, _)| party.name.as_str()).collect();
        return Err(Failure::usage(format_args!("the contract has no collaborator {:?}", args.collaborator))
            .hint(format_args!("it has: {}", names.join(", "))));
    };
    let message = match &args.message {
        Some(id) if is_message_id(id) => id.clone(),
        Some(id) => return Err(Failure::usage(format_args!("{id:?} is no message id: 1 to 128 of A-Z a-z 0-9 . _ -"))),
        None => random_id()?,
    };
    let google = context.google(contract.environment.is_simulated())?;
    let key: KmsKey = collaborator.kms_key.parse()?;
    let plaintext = zeroize::Zeroizing::new(read(&args.file)?);
    let additional = contract.additional_data(&party.name, &message);
    let ciphertext = KmsClient::connect(&google).await?.encrypt(&key, &plaintext, &additional).await?;
    let publisher = Publisher::connect(&contract.messages.topic, &google).await?;
    let published = publisher.publish(ciphertext, attributes(&party.name, &message)).await?;
    context.print(&json!({"message": message, "published": published}), || message.clone())?;
    Ok(ExitStatus::Success)
}

fn random_id() -> Result<String, Failure> {
    let mut raw = [0; 16];
    getrandom::fill(&mut raw).map_err(Failure::could_not_check)?;
    Ok(raw.iter().map(|byte| format!("{byte:02x}")).collect())
}
