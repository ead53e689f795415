//! A provider of a workload identity pool: whose tokens it takes, what a token's claims become, and whom it admits.
//!
//! The simulator's STS decides by it and `csign lint` and `csign explain` judge by it, so that they cannot disagree.

mod identity;
mod mapping;
mod provider;

pub use identity::Identity;
pub use mapping::{MAX_SUBJECT, MappingError};
pub use provider::{Provider, ProviderError, Target, pool_of};
