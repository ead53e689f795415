//! The launcher: what boots a container inside a Confidential Space VM and attests it.

mod discover;
mod furnish;
mod instances;
mod launch;
mod metadata;
mod policy;
mod process;
mod pull;
mod request;
mod root;
mod signature;
mod teeserver;
mod unpack;

pub(crate) use instances::Instances;
pub use launch::Launcher;
pub(crate) use launch::Setting;
pub use process::{Line, Lines, MachineEnd, Running, Stream};
pub use request::{LaunchRequest, LogRedirect, Monitoring, Mount, RestartPolicy};
pub use root::enter_root;
