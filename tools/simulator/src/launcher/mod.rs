//! The launcher: what boots a container inside a Confidential Space VM and attests it.

mod discover;
mod instances;
mod launch;
mod metadata;
mod policy;
mod process;
mod pull;
mod root;
mod signature;
mod teeserver;
mod unpack;

pub(crate) use instances::Instances;
pub use launch::Launcher;
pub(crate) use launch::Setting;
pub use metadata::{LaunchRequest, RestartPolicy};
pub use process::{Line, Lines, Running, Stream};
pub use root::enter_root;
