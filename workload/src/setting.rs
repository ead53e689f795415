//! Where the workload finds things, and every environment variable that it reads.

use std::path::{Path, PathBuf};

use csign_contract::{PATH_IN_IMAGE, SIMULATOR_VARIABLE};

/// Where the root of a container's files is if it could not be given a root of its own. Only a simulator does that.
const CONTAINER_ROOT: &str = "CONTAINER_ROOT";
const SOCKET: &str = "/run/container_launcher/teeserver.sock";
const TOKEN_FILE: &str = "/run/container_launcher/attestation_verifier_claims_token";
const STATE: &str = "/var/lib/csign/state.redb";

/// What the workload is given beside its contract. Nothing here is trusted: under a `google` contract the simulator's
/// address is not looked at and the root must be `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The container's root.
    pub root: PathBuf,
    /// Where a simulated contract's hosts listen, as text.
    pub simulator: Option<String>,
}

impl Setting {
    /// From the environment. `CONTAINER_ROOT` counts only where `/` has no contract.
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let root = match variable(CONTAINER_ROOT) {
            Some(root) if !Path::new(PATH_IN_IMAGE).exists() => PathBuf::from(root),
            _ => PathBuf::from("/"),
        };
        Self { root, simulator: variable(SIMULATOR_VARIABLE).map(|value| value.to_string_lossy().into_owned()) }
    }

    /// Is the root the machine's own?
    pub(crate) fn has_own_root(&self) -> bool {
        self.root == Path::new("/")
    }

    pub(crate) fn contract(&self) -> PathBuf {
        self.below_root(PATH_IN_IMAGE)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.below_root(SOCKET)
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.below_root(TOKEN_FILE)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.below_root(STATE)
    }

    fn below_root(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}
