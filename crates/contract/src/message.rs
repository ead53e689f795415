//! Which messages the contract admits, and what their ciphertext is bound to.
//!
//! A message is a Pub/Sub message: its data is the ciphertext, its attributes say whose it is. What decrypts it comes
//! from the contract alone; a message that names a key or an audience itself is admitted only where that is what the
//! contract says. The data is either what Cloud KMS encrypted, or an envelope (`envelope.rs`).

use std::fmt;

use crate::{Collaborator, Contract, Party};

/// Attribute with the version of this format.
pub const VERSION: &str = "version";
/// Attribute with the collaborator's name.
pub const COLLABORATOR: &str = "collaborator";
/// Attribute with the message's id, chosen by the sender, unique per collaborator.
pub const MESSAGE: &str = "message";
/// Attribute that says how the data is encrypted; without it, by Cloud KMS directly.
pub const ENCRYPTION: &str = "encryption";
/// The version that is written and admitted.
pub const VERSION_1: &str = "1";
/// The value of [`ENCRYPTION`] for an envelope; there is no other.
pub const ENVELOPE: &str = "envelope";

/// How a message's data is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// The data is a ciphertext of Cloud KMS, which takes one request per message and 64 KiB at most.
    Direct,
    /// The data is an [`crate::envelope::Envelope`]: one request of Cloud KMS per data key.
    Envelope,
}

/// A message whose attributes the contract admits. Its content is still to be proven, by decryption.
#[derive(Clone, Debug)]
pub struct Admitted<'c> {
    /// Whose message it says it is.
    pub party: &'c Party,
    /// That party's key and identity provider, from the contract.
    pub collaborator: &'c Collaborator,
    /// The sender's id of the message.
    pub message: String,
    /// How its data is encrypted.
    pub encryption: Encryption,
}

/// Why a message is refused. The reason code goes to logs; it never holds content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An attribute is missing or empty.
    Missing(&'static str),
    /// An attribute stands twice.
    Twice(&'static str),
    /// Another version.
    Version,
    /// No collaborator of this name in the contract.
    UnknownCollaborator,
    /// A known collaborator naming another key or audience than the contract's.
    ForeignKey,
    /// An id that is too long or has characters outside `[A-Za-z0-9._-]`.
    MessageId,
    /// Encrypted in another way than directly or as an envelope.
    Encryption,
}

impl Refusal {
    /// A stable code for logs and state.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing-attribute",
            Self::Twice(_) => "duplicate-attribute",
            Self::Version => "unknown-version",
            Self::UnknownCollaborator => "unknown-collaborator",
            Self::ForeignKey => "foreign-key",
            Self::MessageId => "malformed-message-id",
            Self::Encryption => "unknown-encryption",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "the attribute {name:?} is missing or empty"),
            Self::Twice(name) => write!(f, "the attribute {name:?} stands twice"),
            Self::Version => write!(f, "the attribute {VERSION:?} is not {VERSION_1:?}"),
            Self::UnknownCollaborator => f.write_str("the contract has no collaborator of this name"),
            Self::ForeignKey => {
                f.write_str("the message names another key or audience than the contract has for its collaborator")
            }
            Self::MessageId => {
                f.write_str("the message id has more than 128 characters, or others than A-Z a-z 0-9 . _ -")
            }
            Self::Encryption => write!(f, "the attribute {ENCRYPTION:?} is there and is not {ENVELOPE:?}"),
        }
    }
}

impl Contract {
    /// Admits or refuses a message by its attributes.
    ///
    /// The rules: 1. The version is ours. 2. The collaborator is one of the contract's. 3. The id is well-formed. 4. `key`
    /// and `audience`, which the original client sends, are the contract's own where they are there. 5. The encryption is
    /// one that we know.
    ///
    /// # Errors
    /// The first rule that the message breaks.
    pub fn admit<'a>(&self, attributes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Admitted<'_>, Refusal> {
        let mut seen = Attributes::default();
        for (name, value) in attributes {
            seen.set(name, value)?;
        }
        // 1.
        if seen.version.ok_or(Refusal::Missing(VERSION))? != VERSION_1 {
            return Err(Refusal::Version);
        }
        // 2.
        let name = seen.collaborator.filter(|name| !name.is_empty()).ok_or(Refusal::Missing(COLLABORATOR))?;
        let (party, collaborator) = self.collaborator(name).ok_or(Refusal::UnknownCollaborator)?;
        // 3.
        let message = seen.message.filter(|id| !id.is_empty()).ok_or(Refusal::Missing(MESSAGE))?;
        if !is_message_id(message) {
            return Err(Refusal::MessageId);
        }
        // 4.
        let foreign = |named: Option<&str>, ours: &str| named.is_some_and(|named| named != ours);
        if foreign(seen.key, &collaborator.kms_key) || foreign(seen.audience, &collaborator.identity_provider) {
            return Err(Refusal::ForeignKey);
        }
        // 5.
        let encryption = match seen.encryption {
            None => Encryption::Direct,
            Some(ENVELOPE) => Encryption::Envelope,
            Some(_) => return Err(Refusal::Encryption),
        };
        Ok(Admitted { party, collaborator, message: message.to_owned(), encryption })
    }

    /// What this contract's ciphertexts are bound to. Make it once: it takes the contract's digest.
    pub fn binding(&self) -> Binding {
        Binding { digest: self.digest().to_string() }
    }

    /// The additional authenticated data that binds a directly encrypted message: see [`Binding::message`].
    pub fn additional_data(&self, collaborator: &str, message: &str) -> Vec<u8> {
        self.binding().message(Encryption::Direct, collaborator, message)
    }
}

/// Additional authenticated data of one contract's ciphertexts. Names and ids have no line feed, and every use has a
/// first line of its own: no two uses share a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    digest: String,
}

impl Binding {
    /// Binds a ciphertext to the contract, the collaborator and the message. For [`Encryption::Direct`] it goes to Cloud
    /// KMS, for [`Encryption::Envelope`] to AES-GCM.
    pub fn message(&self, encryption: Encryption, collaborator: &str, message: &str) -> Vec<u8> {
        let kind = match encryption {
            Encryption::Direct => "csign.message.v1",
            Encryption::Envelope => "csign.envelope.v1",
        };
        [kind, &self.digest, collaborator, message].join("\n").into_bytes()
    }

    /// Binds a wrapped data key to the contract and the collaborator; goes to Cloud KMS.
    pub fn data_key(&self, collaborator: &str) -> Vec<u8> {
        ["csign.data-key.v1", &self.digest, collaborator].join("\n").into_bytes()
    }
}

/// Is this an id that [`Contract::admit`] admits?
pub fn is_message_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The attributes to publish a message with.
pub fn attributes(encryption: Encryption, collaborator: &str, message: &str) -> Vec<(String, String)> {
    let envelope = (encryption == Encryption::Envelope).then_some((ENCRYPTION, ENVELOPE));
    [(VERSION, VERSION_1), (COLLABORATOR, collaborator), (MESSAGE, message)]
        .into_iter()
        .chain(envelope)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[derive(Default)]
struct Attributes<'a> {
    version: Option<&'a str>,
    collaborator: Option<&'a str>,
    message: Option<&'a str>,
    key: Option<&'a str>,
    audience: Option<&'a str>,
    encryption: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    fn set(&mut self, name: &str, value: &'a str) -> Result<(), Refusal> {
        let (slot, name) = match name {
            VERSION => (&mut self.version, VERSION),
            COLLABORATOR => (&mut self.collaborator, COLLABORATOR),
            MESSAGE => (&mut self.message, MESSAGE),
            "key" => (&mut self.key, "key"),
            "audience" => (&mut self.audience, "audience"),
            ENCRYPTION => (&mut self.encryption, ENCRYPTION),
            _ => return Ok(()),
        };
        if slot.replace(value).is_some() { Err(Refusal::Twice(name)) } else { Ok(()) }
    }
}
