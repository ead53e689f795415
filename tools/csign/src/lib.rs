//! csign's commands: each is a file in `commands/`, over the logic in the crates. The build recipe is here too, since
//! it runs processes and nothing else needs it.

mod bundles;
mod claimed;
mod cli;
mod clients;
mod commands;
mod contents;
mod context;
mod credentials;
mod failure;
mod git;
mod image_config;
mod ingest;
mod issuer;
mod key_environment;
mod launcher_socket;
mod manual;
mod policies;
mod progress;
mod provenance;
mod rebuild;
pub mod recipe;
mod registry_source;
mod sealing;
mod signature;
mod sigstore_environment;

pub use cli::{command, run};
pub use manual::manual;
