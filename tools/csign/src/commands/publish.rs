//! `csign publish`: encrypt a collaborator's data with its own KMS key and publish it.

use std::path::PathBuf;

use csign_contract::{
    Collaborator, Contract, Party,
    envelope::MAX_PLAINTEXT,
    message::{Encryption, attributes, is_message_id},
};
use csign_keys::{
    KmsKey,
    gcpkms::{self, KmsClient},
    pubsub::{Publisher, Publishing},
};
use csign_trust::ExitStatus;
use serde_json::json;
use zeroize::Zeroizing;

use super::ContractArgs;
use crate::{
    context::{CommandResult, Context, read_up_to},
    failure::Failure,
    sealing::Sealing,
};

/// Most bytes of a file that is one message.
const MAX_MESSAGE: u64 = MAX_PLAINTEXT as u64;
/// Most bytes of a file whose lines are messages.
const MAX_LINES: u64 = 256 << 20;
/// Messages that are on their way at a time.
const IN_FLIGHT: usize = 1000;

/// Encrypt data with a collaborator's KMS key and publish it to the contract's topic
///
/// The ciphertext is bound to the contract, the collaborator and the message id, so it decrypts nowhere else. One message
/// is encrypted by Cloud KMS itself, as any of Google's clients can do it. With --envelope, Cloud KMS wraps one data key
/// for the run and the messages are encrypted with that: for many messages, and for those of more than 64 KiB (1 MiB at
/// most).
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  echo -n alice | csign publish --collaborator collaborator-1 -\n  csign publish --collaborator collaborator-1 --message order-17 words.txt\n  csign publish --collaborator collaborator-1 --message orders-2026-11 --lines orders.txt"
)]
pub(crate) struct Args {
    #[command(flatten)]
    contract: ContractArgs,
    /// Whose data it is, as the contract names them
    #[arg(long, value_name = "NAME")]
    collaborator: String,
    /// Id of the message, unique for this collaborator: the same id counts once (default: random). Of several messages,
    /// the id of each is this, "-" and the number of the file or line
    #[arg(long, value_name = "ID")]
    message: Option<String>,
    /// Encrypt with a data key that Cloud KMS wraps, instead of sending every message to Cloud KMS
    #[arg(long)]
    envelope: bool,
    /// Publish each line that is not empty as a message of its own; implies --envelope
    #[arg(long)]
    lines: bool,
    /// Files to encrypt; - is stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let contract = context.contract(&args.contract.contract, args.contract.allow_simulated)?;
    let Some((party, collaborator)) = contract.collaborator(&args.collaborator) else {
        let names: Vec<&str> = contract.collaborators().map(|(party, _)| party.name.as_str()).collect();
        return Err(Failure::usage(format_args!("the contract has no collaborator {:?}", args.collaborator))
            .hint(format_args!("it has: {}", names.join(", "))));
    };
    let id = match &args.message {
        Some(id) => id.clone(),
        None => random_id()?,
    };
    let messages = messages(args, &id)?;
    let google = context.google(contract.environment.is_simulated())?;
    let kms = KmsClient::connect(&google).await?;
    let publisher = Publisher::connect(&contract.messages.topic, &google).await?;
    let run = Run { contract: &contract, party, collaborator, kms, publisher };
    let envelope = args.envelope || args.lines || messages.len() > 1;
    match messages.as_slice() {
        [(message, plaintext)] if !args.lines => {
            let published = run.one(message, plaintext, envelope).await?;
            context.print(&json!({"message": message, "published": published}), || message.clone())?;
        }
        _ => {
            run.many(&messages).await?;
            let ids: Vec<&str> = messages.iter().map(|(id, _)| id.as_str()).collect();
            context.print(&json!({"messages": ids}), || ids.join("\n"))?;
        }
    }
    Ok(ExitStatus::Success)
}

/// A message's id and content.
type Outgoing = (String, Zeroizing<Vec<u8>>);

/// What is published, in order.
fn messages(args: &Args, id: &str) -> Result<Vec<Outgoing>, Failure> {
    let mut messages = Vec::new();
    let numbered = args.files.len() > 1 || args.lines;
    let mut number = 0_u64;
    for file in &args.files {
        let content = Zeroizing::new(read_up_to(file, if args.lines { MAX_LINES } else { MAX_MESSAGE })?);
        if !args.lines {
            number += 1;
            let id = if numbered { format!("{id}-{number}") } else { id.to_owned() };
            messages.push((id, content));
            continue;
        }
        for line in content.split(|byte| *byte == b'\n') {
            number += 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                messages.push((format!("{id}-{number}"), Zeroizing::new(line.to_vec())));
            }
        }
    }
    match messages.iter().find(|(id, _)| !is_message_id(id)) {
        Some((id, _)) => Err(Failure::usage(format_args!("{id:?} is no message id: 1 to 128 of A-Z a-z 0-9 . _ -"))),
        None => Ok(messages),
    }
}

struct Run<'a> {
    contract: &'a Contract,
    party: &'a Party,
    collaborator: &'a Collaborator,
    kms: KmsClient,
    publisher: Publisher,
}

impl Run<'_> {
    async fn one(&self, message: &str, plaintext: &[u8], envelope: bool) -> Result<String, Failure> {
        let name = &self.party.name;
        let (encryption, data) = if envelope {
            let mut sealing = self.sealing();
            (Encryption::Envelope, sealing.seal(message, plaintext).await?)
        } else {
            if plaintext.len() > gcpkms::MAX_PLAINTEXT {
                return Err(
                    Failure::usage("Cloud KMS encrypts at most 64 KiB at once").hint("publish it with --envelope")
                );
            }
            let key: KmsKey = self.collaborator.kms_key.parse()?;
            let additional = self.contract.additional_data(name, message);
            (Encryption::Direct, self.kms.encrypt(&key, plaintext, &additional).await?)
        };
        Ok(self.publisher.publish(data, attributes(encryption, name, message)).await?)
    }

    /// Publishes all as envelopes, many at a time. What failed fails the run: publishing again with the same id is safe.
    async fn many(&self, messages: &[Outgoing]) -> Result<(), Failure> {
        let mut sealing = self.sealing();
        for batch in messages.chunks(IN_FLIGHT) {
            let mut publishing: Vec<Publishing<'_>> = Vec::with_capacity(batch.len());
            for (message, plaintext) in batch {
                let data = sealing.seal(message, plaintext).await?;
                let attributes = attributes(Encryption::Envelope, &self.party.name, message);
                publishing.push(self.publisher.begin(data, attributes));
            }
            for one in publishing {
                one.stored().await?;
            }
        }
        Ok(())
    }

    fn sealing(&self) -> Sealing<'_> {
        Sealing::new(&self.kms, self.contract.binding(), &self.party.name, &self.collaborator.kms_key)
    }
}

fn random_id() -> Result<String, Failure> {
    let mut raw = [0; 16];
    getrandom::fill(&mut raw).map_err(Failure::could_not_check)?;
    Ok(raw.iter().map(|byte| format!("{byte:02x}")).collect())
}
