//! Secret Manager: secrets and their versions, over REST and gRPC.

mod messages;
mod store;
mod wire;

pub use store::{SecretState, Secrets};
pub(crate) use wire::routes;
