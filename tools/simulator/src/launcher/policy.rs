//! The launch policy: what the image's author lets an operator do (labels `tee.launch_policy.*`), with the launcher's own
//! words for what is not allowed.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    metadata::bool_of,
    request::{LaunchRequest, LogRedirect, Monitoring},
};
use crate::{Error, Result};

const PREFIX: &str = "tee.launch_policy.";
const KNOWN: [&str; 9] = [
    "allow_cmd_override",
    "allow_env_override",
    "allow_mount_destinations",
    "allow_capabilities",
    "allow_cgroups",
    "log_redirect",
    "hardened_monitoring",
    "debug_monitoring",
    "monitoring_memory_allow",
];

/// On which images something is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    DebugOnly,
    Always,
    Never,
}

/// What the labels allow.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Policy {
    cmd: bool,
    env: Vec<String>,
    capabilities: bool,
    cgroups: bool,
    log_redirect: When,
    hardened_monitoring: Monitoring,
    debug_monitoring: Monitoring,
    mount_destinations: Vec<PathBuf>,
}

impl Policy {
    /// Reads an image's labels.
    ///
    /// # Errors
    /// A launch policy label of an unknown value; also of an unknown name, which the real launcher passes over: a policy
    /// that is misread must not be ignored.
    pub(super) fn parse(labels: &BTreeMap<String, String>) -> Result<Self> {
        Self::read(labels).map_err(|why| {
            Error::LaunchPolicy(format!("failed to parse image Launch Policy: {why}: contact the image author"))
        })
    }

    fn read(labels: &BTreeMap<String, String>) -> Result<Self, String> {
        let unknown = labels.keys().filter_map(|key| key.strip_prefix(PREFIX)).find(|name| !KNOWN.contains(name));
        if let Some(name) = unknown {
            return Err(format!("the image has an unknown label {PREFIX}{name}"));
        }
        let label = |name: &str| labels.get(&format!("{PREFIX}{name}")).map(String::as_str);
        let flag = |name: &str| match label(name) {
            None => Ok(false),
            Some(text) => bool_of(text).ok_or_else(|| format!("invalid image LABEL '{PREFIX}{name}' (not a boolean)")),
        };
        let when = |name: &str, text: &str| match text.trim().to_ascii_lowercase().as_str() {
            "always" => Ok(When::Always),
            "never" => Ok(When::Never),
            "debugonly" => Ok(When::DebugOnly),
            _ => Err(format!("invalid image LABEL '{PREFIX}{name}'")),
        };
        let monitoring = |name: &str, image: &str, default| match label(name) {
            None => Ok(default),
            Some(text) => {
                Monitoring::parse(text).map_err(|e| format!("invalid monitoring type for {image} image: {e}"))
            }
        };
        let (hardened_monitoring, debug_monitoring) = match label("monitoring_memory_allow") {
            Some(_) if label("hardened_monitoring").is_some() || label("debug_monitoring").is_some() => {
                return Err(format!(
                    "use either {PREFIX}monitoring_memory_allow or {PREFIX}hardened_monitoring/{PREFIX}debug_monitoring \
                     in image labels, not both"
                ));
            }
            Some(text) => match when("monitoring_memory_allow", text)? {
                When::Always => (Monitoring::MemoryOnly, Monitoring::MemoryOnly),
                When::Never => (Monitoring::None, Monitoring::None),
                When::DebugOnly => (Monitoring::None, Monitoring::MemoryOnly),
            },
            None => (
                monitoring("hardened_monitoring", "hardened", Monitoring::None)?,
                monitoring("debug_monitoring", "debug", Monitoring::MemoryOnly)?,
            ),
        };
        let list = |name: &str, separator: char| -> Vec<&str> {
            label(name).unwrap_or_default().split(separator).filter(|item| !item.is_empty()).collect()
        };
        Ok(Self {
            cmd: flag("allow_cmd_override")?,
            env: list("allow_env_override", ',').into_iter().map(str::to_owned).collect(),
            capabilities: flag("allow_capabilities")?,
            cgroups: flag("allow_cgroups")?,
            log_redirect: label("log_redirect").map_or(Ok(When::DebugOnly), |text| when("log_redirect", text))?,
            hardened_monitoring,
            debug_monitoring,
            mount_destinations: list("allow_mount_destinations", ':').into_iter().map(PathBuf::from).collect(),
        })
    }

    /// May the operator set this variable?
    pub(super) fn lets_set(&self, variable: &str) -> bool {
        self.env.iter().any(|name| name == variable)
    }

    /// Whether the operator may launch this way; the first thing that is not allowed, as the launcher looks.
    ///
    /// # Errors
    /// What the image does not allow.
    pub(super) fn admit(&self, request: &LaunchRequest) -> Result<()> {
        self.verify(request).map_err(Error::LaunchPolicy)
    }

    fn verify(&self, request: &LaunchRequest) -> Result<(), String> {
        let hardened = request.vm.image.is_hardened();
        if let Some(name) = request.env.keys().find(|name| !self.env.contains(name)) {
            return Err(format!(
                "env var {name} is not allowed to be overridden on this image; allowed envs to be overridden: [{}]",
                self.env.join(" ")
            ));
        }
        if request.cmd.is_some() && !self.cmd {
            return Err("CMD is not allowed to be overridden on this image".to_owned());
        }
        match self.log_redirect {
            _ if request.log_redirect == LogRedirect::Nowhere => {}
            When::Never => return Err("logging redirection not allowed by image".to_owned()),
            When::DebugOnly if hardened => {
                return Err("logging redirection only allowed on debug environment by image".to_owned());
            }
            When::DebugOnly | When::Always => {}
        }
        let allowed = if hardened { self.hardened_monitoring } else { self.debug_monitoring };
        if request.monitoring > allowed {
            let why = match allowed {
                Monitoring::None => format!("spec configured for {} but policy is none", request.monitoring),
                _ => "spec configured for all monitoring, policy only allows memory".to_owned(),
            };
            return Err(format!("error verifying monitoring config: {why}"));
        }
        for mount in &request.mounts {
            self.verify_destination(&mount.destination)
                .map_err(|why| format!("destination mount points are not allowed: {why}"))?;
        }
        if !request.capabilities.is_empty() && !self.capabilities {
            return Err("additional capabilities are not allowed".to_owned());
        }
        if request.cgroup_namespace && !self.cgroups {
            return Err("cgroups usage is not allowed".to_owned());
        }
        Ok(())
    }

    /// The destination itself or something below it must be allowed, after `.` and `..` are resolved.
    fn verify_destination(&self, destination: &str) -> Result<(), String> {
        let cleaned =
            clean(destination).ok_or_else(|| format!("received a non-absolute destination path: {destination}"))?;
        for allowed in &self.mount_destinations {
            let allowed = clean(&allowed.to_string_lossy())
                .ok_or_else(|| format!("received a non-absolute allowed destination path: {}", allowed.display()))?;
            if cleaned.starts_with(allowed) {
                return Ok(());
            }
        }
        let all: Vec<_> = self.mount_destinations.iter().map(|path| path.display().to_string()).collect();
        Err(format!(
            "destination mount point \"{}\" is invalid: policy only allows mounts in the following paths: [{}]",
            cleaned.display(),
            all.join(" ")
        ))
    }
}

/// An absolute path without `.` and `..`; `None` if it is not absolute.
fn clean(path: &str) -> Option<PathBuf> {
    let mut cleaned = PathBuf::from("/");
    for name in path.strip_prefix('/')?.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(cleaned.pop()),
            name => cleaned.push(name),
        }
    }
    Some(cleaned)
}

#[cfg(test)]
mod tests;
