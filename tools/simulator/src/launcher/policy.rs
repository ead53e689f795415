//! The launch policy: what the image's author lets an operator change (labels `tee.launch_policy.*`).

use std::collections::{BTreeMap, BTreeSet};

use super::LaunchRequest;
use crate::{Error, Result};

const PREFIX: &str = "tee.launch_policy.";
const KNOWN: [&str; 8] = [
    "allow_cmd_override",
    "allow_env_override",
    "allow_mount_destinations",
    "allow_capabilities",
    "allow_cgroups",
    "log_redirect",
    "hardened_monitoring",
    "debug_monitoring",
];

/// What the labels allow.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Policy {
    cmd: bool,
    env: BTreeSet<String>,
}

impl Policy {
    /// Reads an image's labels.
    ///
    /// # Errors
    /// A launch policy label of an unknown name or value: a policy that is misread must not be ignored.
    pub(super) fn parse(labels: &BTreeMap<String, String>) -> Result<Self> {
        let unknown = labels.keys().filter_map(|key| key.strip_prefix(PREFIX)).find(|name| !KNOWN.contains(name));
        if let Some(name) = unknown {
            return Err(Error::LaunchPolicy(format!("the image has an unknown label {PREFIX}{name}")));
        }
        let label = |name: &str| labels.get(&format!("{PREFIX}{name}")).map(String::as_str);
        let cmd = match label("allow_cmd_override") {
            None | Some("" | "false") => false,
            Some("true") => true,
            Some(other) => {
                return Err(Error::LaunchPolicy(format!(
                    "label {PREFIX}allow_cmd_override is {other:?}, not a boolean"
                )));
            }
        };
        let names = label("allow_env_override").unwrap_or_default();
        let env = names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Ok(Self { cmd, env })
    }

    /// Whether the operator may launch this way.
    ///
    /// # Errors
    /// The override that the image does not allow.
    pub(super) fn admit(&self, request: &LaunchRequest) -> Result<()> {
        if let Some(name) = request.env.keys().find(|name| !self.env.contains(*name)) {
            return Err(Error::LaunchPolicy(format!(
                "env var {name} is not allowed to be overridden; the image allows {:?}",
                self.env
            )));
        }
        if request.cmd.is_some() && !self.cmd {
            return Err(Error::LaunchPolicy("CMD is not allowed to be overridden on this image".to_owned()));
        }
        Ok(())
    }
}
