//! What an operator asks for: an image on a machine, and how it is to run.

use std::{collections::BTreeMap, fmt};

use csign_oci::{Pinned, Repository};

use crate::attestation::Vm;

/// When the machine starts the program again, by rebooting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Never.
    #[default]
    Never,
    /// Whenever it ends.
    Always,
    /// When it ends with another status than 0.
    OnFailure,
}

impl RestartPolicy {
    /// The metadata's and the token's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "Never",
            Self::Always => "Always",
            Self::OnFailure => "OnFailure",
        }
    }
}

/// Where the program's output goes besides to whoever launched it here (`tee-container-log-redirect`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogRedirect {
    /// `false`: nowhere.
    #[default]
    Nowhere,
    /// `true`: to Cloud Logging and the serial console.
    Everywhere,
    /// `cloud_logging`.
    CloudLogging,
    /// `serial`: to the serial console.
    Serial,
}

impl LogRedirect {
    pub(crate) const ALL: [Self; 4] = [Self::Everywhere, Self::CloudLogging, Self::Serial, Self::Nowhere];

    /// The metadata's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nowhere => "false",
            Self::Everywhere => "true",
            Self::CloudLogging => "cloud_logging",
            Self::Serial => "serial",
        }
    }

    /// What the launcher says about it.
    pub(super) const fn notice(self) -> &'static str {
        match self {
            Self::Nowhere => "Container stdout/stderr will not be redirected.",
            Self::Everywhere => "Container stdout/stderr will be redirected to serial and Cloud Logging.",
            Self::CloudLogging => "Container stdout/stderr will be redirected to Cloud Logging.",
            Self::Serial => "Container stdout/stderr will be redirected to serial logging.",
        }
    }
}

/// What of the machine's health the operator sees, from nothing to everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Monitoring {
    /// Nothing.
    #[default]
    None,
    /// How much memory is used.
    MemoryOnly,
    /// All metrics.
    All,
}

impl Monitoring {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "memoryonly" => Ok(Self::MemoryOnly),
            "all" => Ok(Self::All),
            _ => Err(format!("invalid monitoring type {text}")),
        }
    }
}

impl fmt::Display for Monitoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::MemoryOnly => "memoryOnly",
            Self::All => "all",
        })
    }
}

/// A `tmpfs` that the operator asks for (`tee-mount`). The simulator makes an empty directory of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is in the container: absolute.
    pub destination: String,
    /// Its size in bytes; `None` is half of the machine's memory.
    pub size: Option<u64>,
}

/// What to launch, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchRequest {
    /// `tee-image-reference`.
    pub image: Pinned,
    /// `tee-env-NAME`.
    pub env: BTreeMap<String, String>,
    /// `tee-cmd`: replaces the image's command, not its entry point.
    pub cmd: Option<Vec<String>>,
    /// `tee-restart-policy`.
    pub restart_policy: RestartPolicy,
    /// `tee-signed-image-repos`.
    pub signed_image_repos: Vec<Repository>,
    /// `tee-container-log-redirect`.
    pub log_redirect: LogRedirect,
    /// `tee-monitoring-enable`, or the older `tee-monitoring-memory-enable`.
    pub monitoring: Monitoring,
    /// `tee-mount`.
    pub mounts: Vec<Mount>,
    /// `tee-dev-shm-size-kb`; 0 is the default size.
    pub dev_shm_kib: u64,
    /// `tee-added-capabilities`.
    pub capabilities: Vec<String>,
    /// `tee-cgroup-ns`.
    pub cgroup_namespace: bool,
    /// Tells the program where the simulator is, in `CSIGN_SIMULATOR`, if the image lets that variable be set: a command
    /// that is written for the real platform cannot know it.
    pub tells_address: bool,
    /// The machine; `tee-impersonate-service-accounts` is in its platform.
    pub vm: Vm,
}

impl LaunchRequest {
    /// A launch of `image` on `vm` that overrides nothing and looks for signatures in the image's own repository.
    pub fn new(image: Pinned, vm: Vm) -> Self {
        Self {
            signed_image_repos: vec![image.repository.clone()],
            image,
            env: BTreeMap::new(),
            cmd: None,
            restart_policy: RestartPolicy::Never,
            log_redirect: LogRedirect::Nowhere,
            monitoring: Monitoring::None,
            mounts: Vec::new(),
            dev_shm_kib: 0,
            capabilities: Vec::new(),
            cgroup_namespace: false,
            tells_address: false,
            vm,
        }
    }
}
