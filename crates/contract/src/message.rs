//! Which messages the contract admits, and what their ciphertext is bound to.
//!
//! A message is a Pub/Sub message: its data is the ciphertext, its attributes say whose it is. What decrypts it comes
//! from the contract alone; a message that names a key or an audience itself is admitted only where that is what the
//! contract says.

use std::fmt;

use crate::{Collaborator, Contract, Party};

/// Attribute with the version of this format.
pub const VERSION: &str = "version";
/// Attribute with the collaborator's name.
pub const COLLABORATOR: &str = "collaborator";
/// Attribute with the message's id, chosen by the sender, unique per collaborator.
pub const MESSAGE: &str = "message";
/// The version that is written and admitted.
pub const VERSION_1: &str = "1";

/// A message whose attributes the contract admits. Its content is still to be proven, by decryption.
#[derive(Clone, Debug)]
pub struct Admitted<'c> {
    /// Whose message it says it is.
    pub party: &'c Party,
    /// That party's key and identity provider, from the contract.
    pub collaborator: &'c Collaborator,
    /// The sender's id of the message.
    pub message: String,
    /// Additional authenticated data of the ciphertext.
    pub additional_data: Vec<u8>,
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
        }
    }
}

impl Contract {
    /// Admits or refuses a message by its attributes.
    ///
    /// The rules: 1. The version is ours. 2. The collaborator is one of the contract's. 3. The id is well-formed. 4. `key`
    /// and `audience`, which the original client sends, are the contract's own where they are there.
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
        Ok(Admitted {
            party,
            collaborator,
            message: message.to_owned(),
            additional_data: self.additional_data(name, message),
        })
    }

    /// The additional authenticated data that binds a ciphertext to this contract, collaborator and message.
    pub fn additional_data(&self, collaborator: &str, message: &str) -> Vec<u8> {
        format!("csign.message.v1\n{}\n{collaborator}\n{message}", self.digest()).into_bytes()
    }
}

/// Is this an id that [`Contract::admit`] admits?
pub fn is_message_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The attributes to publish a message with.
pub fn attributes(collaborator: &str, message: &str) -> [(String, String); 3] {
    [(VERSION, VERSION_1), (COLLABORATOR, collaborator), (MESSAGE, message)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

#[derive(Default)]
struct Attributes<'a> {
    version: Option<&'a str>,
    collaborator: Option<&'a str>,
    message: Option<&'a str>,
    key: Option<&'a str>,
    audience: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    fn set(&mut self, name: &str, value: &'a str) -> Result<(), Refusal> {
        let (slot, name) = match name {
            VERSION => (&mut self.version, VERSION),
            COLLABORATOR => (&mut self.collaborator, COLLABORATOR),
            MESSAGE => (&mut self.message, MESSAGE),
            "key" => (&mut self.key, "key"),
            "audience" => (&mut self.audience, "audience"),
            _ => return Ok(()),
        };
        if slot.replace(value).is_some() { Err(Refusal::Twice(name)) } else { Ok(()) }
    }
}
