//! `collaboration.toml`, the one file on which all parties agree: its canonical form, its digest, what a careful reader
//! would ask about it, and the messages that it admits.

mod canonical;
pub mod diff;
pub mod envelope;
mod evidence;
pub mod lint;
pub mod message;
mod model;
mod serving;
mod state;
#[cfg(feature = "toml")]
mod template;
mod validate;

pub use evidence::{Attestation, PolicyRule, RegoVersion, Sources, TokenKind};
pub use model::{
    Build, Collaborator, Contract, Environment, Image, Launch, LogRedirect, Messages, Operator, Party, Platform,
    Recipe, Signatures, Support, Threshold,
};
pub use serving::{Certificate, CollaboratorIngest, Health, Ingest};
pub use state::{DatabaseUrl, State, StateKey};
#[cfg(feature = "toml")]
pub use template::template;

/// Issuer of real Confidential Space tokens.
pub const GOOGLE_ISSUER: &str = "https://confidentialcomputing.googleapis.com";
/// Hosts of a simulated contract end with this; RFC 6761 keeps them on the loopback interface.
pub const SIMULATOR_SUFFIX: &str = ".simulator.localhost";
/// Where the canonical contract stands in the image.
pub const PATH_IN_IMAGE: &str = "/etc/csign/contract.json";
/// The environment variable that says where a simulated contract's hosts listen.
pub const SIMULATOR_VARIABLE: &str = "CSIGN_SIMULATOR";

/// Why a text is not a contract.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// Not TOML, a missing, unknown or mistyped member.
    #[cfg(feature = "toml")]
    #[error("parsing collaboration.toml: {0}")]
    Toml(#[from] toml::de::Error),
    /// Not JSON, a missing, unknown, duplicate or mistyped member.
    #[error("parsing the canonical contract: {0}")]
    Json(#[from] serde_json::Error),
    /// Well-formed JSON that is not in canonical form, so its digest would not be the contract's.
    #[error("the contract is not in canonical form; csign contract digest --canonical prints it")]
    NotCanonical,
    /// Parsed, but what it says makes no sense.
    #[error("{at}: {problem}")]
    Invalid {
        /// Which member.
        at: String,
        /// What is wrong with it and what to do.
        problem: String,
    },
}
