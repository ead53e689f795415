//! The canonical form: compact JSON, members in the order of the types, keys in canonical PEM. Comments, order and
//! spelling of `collaboration.toml` do not reach it.

use csign_oci::{Digest, json};

use crate::{Contract, ContractError, validate::validate};

impl Contract {
    /// Parses `collaboration.toml` and checks what it says.
    ///
    /// # Errors
    /// See [`ContractError`].
    #[cfg(feature = "toml")]
    pub fn from_toml(text: &str) -> Result<Self, ContractError> {
        let contract: Self = toml::from_str(text)?;
        validate(&contract)?;
        Ok(contract)
    }

    /// Parses the canonical form, as it stands in the image, and checks what it says.
    ///
    /// # Errors
    /// See [`ContractError`]; JSON that is not byte for byte canonical is refused.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, ContractError> {
        let contract: Self = json::from_slice(bytes)?;
        validate(&contract)?;
        if contract.canonical() == bytes { Ok(contract) } else { Err(ContractError::NotCanonical) }
    }

    /// The canonical bytes.
    pub fn canonical(&self) -> Vec<u8> {
        // These types always serialize; were it otherwise, no bytes parse as a contract.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// sha256 of the canonical bytes: what requests, approvals and messages carry.
    pub fn digest(&self) -> Digest {
        Digest::of(self.canonical())
    }
}
