//! Who must sign: names, keys or identities, and a threshold. Every key and every identity stands once.

use std::{fmt, sync::Arc};

use csign_contract::{Contract, Threshold};
use csign_envelope::{KeyId, PublicKey};

use crate::certificate::Certified;

/// One who must sign.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The party's name, or the file that its key came from.
    pub name: String,
    /// What counts as this party's signature.
    pub credential: Credential,
}

/// What a signer signs with.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A key that everyone knows.
    Key(PublicKey),
    /// Short-lived certificates in which an authority confirms an identity.
    Identity(Identity),
}

/// Whose certificates count: a rule over what a verified certificate says.
#[derive(Clone)]
pub struct Identity {
    text: String,
    matches: Arc<dyn Fn(&Certified) -> bool + Send + Sync>,
}

/// Who must sign, and how many of them.
#[derive(Clone, Debug)]
pub struct Roster {
    signers: Vec<Signer>,
    required: usize,
}

impl Signer {
    /// A signer with a key.
    pub fn with_key(name: impl Into<String>, key: PublicKey) -> Self {
        Self { name: name.into(), credential: Credential::Key(key) }
    }

    /// The key, if it is one that decides.
    pub const fn key(&self) -> Option<&PublicKey> {
        match &self.credential {
            Credential::Key(key) => Some(key),
            Credential::Identity(_) => None,
        }
    }
}

impl Identity {
    /// An identity that people know as `text`, and the rule that says which certificates are its own.
    pub fn new(text: impl Into<String>, matches: impl Fn(&Certified) -> bool + Send + Sync + 'static) -> Self {
        Self { text: text.into(), matches: Arc::new(matches) }
    }

    /// Is it this one's certificate?
    pub fn matches(&self, certified: &Certified) -> bool {
        (self.matches)(certified)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.text)
    }
}

/// Why a roster makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// Nobody must sign: anything would be accepted.
    #[error("there is no key to verify with")]
    Empty,
    /// One key twice, perhaps in two encodings: one signature would count twice.
    #[error("{first} and {second} are the same key ({id}); each party needs a key of its own")]
    SameKey {
        /// The first name.
        first: String,
        /// The second name.
        second: String,
        /// The key's id.
        id: KeyId,
    },
    /// One identity twice: one certificate would count twice.
    #[error("{0} stands twice on the list; each party needs an identity of its own")]
    SameIdentity(String),
    /// A name that nobody has.
    #[error("the contract has no party {0:?}")]
    NoParty(String),
    /// More signatures wanted than there are keys.
    #[error("the threshold {required} is more than the {keys} keys")]
    Threshold {
        /// How many must have signed.
        required: usize,
        /// How many could.
        keys: usize,
    },
}

impl Roster {
    /// A roster of `signers`, of whom `threshold` must have signed.
    ///
    /// # Errors
    /// No signer, one key or identity twice, or a threshold above the number of signers.
    pub fn new(signers: Vec<Signer>, threshold: Threshold) -> Result<Self, RosterError> {
        if signers.is_empty() {
            return Err(RosterError::Empty);
        }
        for (index, second) in signers.iter().enumerate() {
            for first in &signers[..index] {
                match (&first.credential, &second.credential) {
                    (Credential::Key(one), Credential::Key(other)) if one.id() == other.id() => {
                        let (first, second) = (first.name.clone(), second.name.clone());
                        return Err(RosterError::SameKey { first, second, id: other.id() });
                    }
                    (Credential::Identity(one), Credential::Identity(other)) if one.text == other.text => {
                        return Err(RosterError::SameIdentity(one.text.clone()));
                    }
                    _ => {}
                }
            }
        }
        let required = threshold.required(signers.len());
        if required > signers.len() {
            return Err(RosterError::Threshold { required, keys: signers.len() });
        }
        Ok(Self { signers, required })
    }

    /// The parties of a contract, under its threshold.
    ///
    /// # Errors
    /// None for a contract that was parsed; the rules are checked again all the same.
    pub fn of_contract(contract: &Contract) -> Result<Self, RosterError> {
        let signer = |party: &csign_contract::Party| Signer::with_key(&party.name, party.public_key.clone());
        Self::new(contract.parties.iter().map(signer).collect(), contract.signatures.threshold)
    }

    /// Some parties of a contract, all of whom must have signed: for a builder who checks before the others sign. It says
    /// nothing about the contract's threshold.
    ///
    /// # Errors
    /// A name that no party has, one name twice, or no name.
    pub fn of_parties(contract: &Contract, names: &[String]) -> Result<Self, RosterError> {
        let party = |name: &String| {
            let party = contract.parties.iter().find(|party| party.name == *name);
            let party = party.ok_or_else(|| RosterError::NoParty(name.clone()))?;
            Ok(Signer::with_key(&party.name, party.public_key.clone()))
        };
        Self::new(names.iter().map(party).collect::<Result<_, _>>()?, Threshold::All)
    }

    /// Everyone who may sign, in the order given.
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// The keys, with the index of the signer to whom each belongs.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (usize, &PublicKey)> {
        self.signers.iter().enumerate().filter_map(|(index, signer)| Some((index, signer.key()?)))
    }

    /// How many of them must have signed.
    pub const fn required(&self) -> usize {
        self.required
    }
}
