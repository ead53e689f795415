//! Who must sign: names, keys and a threshold. Every key stands once.

use csign_contract::{Contract, Threshold};
use csign_envelope::{KeyId, PublicKey};

/// One who must sign.
#[derive(Clone, Debug, PartialEq)]
pub struct Signer {
    /// The party's name, or the file that its key came from.
    pub name: String,
    /// The key that counts for this party.
    pub key: PublicKey,
}

/// Who must sign, and how many of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Roster {
    signers: Vec<Signer>,
    required: usize,
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
    /// No signer, one key twice, or a threshold above the number of signers.
    pub fn new(signers: Vec<Signer>, threshold: Threshold) -> Result<Self, RosterError> {
        if signers.is_empty() {
            return Err(RosterError::Empty);
        }
        for (index, second) in signers.iter().enumerate() {
            if let Some(first) = signers[..index].iter().find(|first| first.key.id() == second.key.id()) {
                return Err(RosterError::SameKey {
                    first: first.name.clone(),
                    second: second.name.clone(),
                    id: second.key.id(),
                });
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
        let signer = |party: &csign_contract::Party| Signer { name: party.name.clone(), key: party.public_key.clone() };
        Self::new(contract.parties.iter().map(signer).collect(), contract.signatures.threshold)
    }

    /// Everyone who may sign, in the order given.
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// How many of them must have signed.
    pub const fn required(&self) -> usize {
        self.required
    }
}
